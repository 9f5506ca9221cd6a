//! Lambda's Invoke API, for direct invocations (see
//! [AWS's reference](https://docs.aws.amazon.com/lambda/latest/api/API_Invoke.html)). It does not check signatures:
//! anybody who can reach the port can invoke.

use std::sync::Arc;

use bytes::Bytes;
use http::header::{CONTENT_TYPE, ORIGIN};
use http::{HeaderMap, HeaderName, HeaderValue, Method, Request, Response, StatusCode};
use http_body_util::Full;
use hyper::body::Incoming;
use percent_encoding::percent_decode_str;
use serde::de::IgnoredAny;
use serde_json::json;
use uuid::Uuid;

use crate::functions::{ACCOUNT_ID, Functions, LocalFunction, NOT_JSON};
use crate::request_body::{self, BodyError};

/// The largest payload of a synchronous invocation, in bytes.
const MAX_PAYLOAD: usize = 6 * 1024 * 1024;
/// The largest payload of an asynchronous invocation, in bytes.
const MAX_EVENT_PAYLOAD: usize = 1024 * 1024;

const INVOCATION_TYPE: HeaderName = HeaderName::from_static("x-amz-invocation-type");
const EXECUTED_VERSION: HeaderName = HeaderName::from_static("x-amz-executed-version");
const FUNCTION_ERROR: HeaderName = HeaderName::from_static("x-amz-function-error");
const REQUEST_ID: HeaderName = HeaderName::from_static("x-amzn-requestid");
const ERROR_TYPE: HeaderName = HeaderName::from_static("x-amzn-errortype");

/// The Invoke API in front of the functions.
pub struct InvokeApi {
    functions: Arc<Functions>,
}

/// `X-Amz-Invocation-Type`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum InvocationType {
    RequestResponse,
    Event,
    DryRun,
}

/// Why a function was not invoked.
#[derive(Clone, Debug, PartialEq, Eq)]
enum InvokeError {
    UnknownFunction(String),
    UnknownInvocationType,
    NotJson,
    TooLarge(usize),
    TooSlow,
    FromBrowser,
}

/// The result of an invocation.
struct Invoked {
    status: StatusCode,
    payload: Vec<u8>,
    is_function_error: bool,
}

/// The function named in a request's path, still percent-encoded. `None` if the request is not an invocation.
pub fn named_function<'a>(method: &Method, path: &'a str) -> Option<&'a str> {
    let name = path.strip_prefix("/2015-03-31/functions/")?.strip_suffix("/invocations")?;
    (*method == Method::POST && !name.contains('/')).then_some(name)
}

/// The plain name in a function's name, ARN or partial ARN, with or without a qualifier.
fn plain_name(named: &str) -> &str {
    let name = named.rsplit_once("function:").map_or(named, |(_, name)| name);
    name.split_once(':').map_or(name, |(name, _qualifier)| name)
}

impl InvokeApi {
    /// The API in front of the functions.
    pub fn new(functions: Arc<Functions>) -> Self {
        Self { functions }
    }

    /// Answers an invocation of the function that [`named_function`] found.
    pub async fn answer(&self, named: &str, request: Request<Incoming>) -> Response<Full<Bytes>> {
        let request_id = Uuid::new_v4();
        let answered = self.invoke(named, request, request_id).await;
        let mut response = answered.map_or_else(|error| error.response(), Invoked::response);
        if let Ok(request_id) = HeaderValue::try_from(request_id.to_string()) {
            response.headers_mut().insert(REQUEST_ID, request_id);
        }
        response
    }

    async fn invoke(
        &self,
        named: &str,
        request: Request<Incoming>,
        request_id: Uuid,
    ) -> Result<Invoked, InvokeError> {
        let (parts, body) = request.into_parts();
        // Browsers send this header, SDKs never do. So no web page can invoke a function.
        if parts.headers.contains_key(ORIGIN) {
            return Err(InvokeError::FromBrowser);
        }
        let function = self.find(named)?;
        let invocation_type = InvocationType::of(&parts.headers)?;
        let payload = read_payload(body, invocation_type).await?;
        match invocation_type {
            InvocationType::RequestResponse => {
                let (payload, is_function_error) = match function.invoke(&payload, request_id).await {
                    Ok(answer) => (answer, false),
                    Err(error) => (error, true),
                };
                Ok(Invoked { status: StatusCode::OK, payload, is_function_error })
            }
            InvocationType::Event => {
                tokio::spawn(async move { function.invoke(&payload, request_id).await });
                Ok(Invoked::without_payload(StatusCode::ACCEPTED))
            }
            InvocationType::DryRun => Ok(Invoked::without_payload(StatusCode::NO_CONTENT)),
        }
    }

    fn find(&self, named: &str) -> Result<Arc<LocalFunction>, InvokeError> {
        let named = percent_decode_str(named).decode_utf8_lossy();
        let name = plain_name(&named);
        self.functions.get(name).ok_or_else(|| InvokeError::UnknownFunction(name.to_owned()))
    }
}

/// The payload. An empty one means `{}`, as on Lambda.
async fn read_payload(body: Incoming, invocation_type: InvocationType) -> Result<Bytes, InvokeError> {
    let limit = invocation_type.max_payload();
    let payload = request_body::read(body, limit).await.map_err(|error| match error {
        BodyError::TooLarge => InvokeError::TooLarge(limit),
        BodyError::Timeout => InvokeError::TooSlow,
        BodyError::Broken => InvokeError::NotJson,
    })?;
    if payload.is_empty() {
        return Ok(Bytes::from_static(b"{}"));
    }
    match serde_json::from_slice::<IgnoredAny>(&payload) {
        Ok(_) => Ok(payload),
        Err(_) => Err(InvokeError::NotJson),
    }
}

impl InvocationType {
    fn of(headers: &HeaderMap) -> Result<Self, InvokeError> {
        match headers.get(INVOCATION_TYPE).map(HeaderValue::as_bytes) {
            None | Some(b"RequestResponse") => Ok(Self::RequestResponse),
            Some(b"Event") => Ok(Self::Event),
            Some(b"DryRun") => Ok(Self::DryRun),
            Some(_) => Err(InvokeError::UnknownInvocationType),
        }
    }

    fn max_payload(self) -> usize {
        match self {
            Self::RequestResponse | Self::DryRun => MAX_PAYLOAD,
            Self::Event => MAX_EVENT_PAYLOAD,
        }
    }
}

impl Invoked {
    fn without_payload(status: StatusCode) -> Self {
        Self { status, payload: Vec::new(), is_function_error: false }
    }

    fn response(self) -> Response<Full<Bytes>> {
        let mut response = json_response(self.status, self.payload);
        let headers = response.headers_mut();
        headers.insert(EXECUTED_VERSION, HeaderValue::from_static("$LATEST"));
        if self.is_function_error {
            headers.insert(FUNCTION_ERROR, HeaderValue::from_static("Unhandled"));
        }
        response
    }
}

impl InvokeError {
    /// The response, with the status, name and message key that Lambda uses for this error.
    fn response(&self) -> Response<Full<Bytes>> {
        let (status, name) = match self {
            Self::UnknownFunction(_) => (StatusCode::NOT_FOUND, "ResourceNotFoundException"),
            Self::UnknownInvocationType => (StatusCode::BAD_REQUEST, "InvalidParameterValueException"),
            Self::NotJson => (StatusCode::BAD_REQUEST, "InvalidRequestContentException"),
            Self::TooLarge(_) => (StatusCode::PAYLOAD_TOO_LARGE, "RequestTooLargeException"),
            Self::TooSlow => (StatusCode::REQUEST_TIMEOUT, "RequestTimeoutException"),
            Self::FromBrowser => (StatusCode::FORBIDDEN, "AccessDeniedException"),
        };
        let (key, message) = match self {
            Self::UnknownFunction(function) => {
                let arn = format!("arn:aws:lambda:us-east-1:{ACCOUNT_ID}:function:{function}");
                ("Message", format!("Function not found: {arn}"))
            }
            Self::UnknownInvocationType => {
                ("message", "X-Amz-Invocation-Type must be RequestResponse, Event or DryRun".to_owned())
            }
            Self::NotJson => ("message", NOT_JSON.to_owned()),
            Self::TooLarge(limit) => ("message", format!("Request must be smaller than {limit} bytes")),
            Self::TooSlow => ("message", "The payload did not arrive in time".to_owned()),
            Self::FromBrowser => ("Message", "A web page may not invoke functions".to_owned()),
        };
        let mut response = json_response(status, json!({ "Type": "User", key: message }).to_string());
        response.headers_mut().insert(ERROR_TYPE, HeaderValue::from_static(name));
        response
    }
}

fn json_response(status: StatusCode, body: impl Into<Bytes>) -> Response<Full<Bytes>> {
    let mut response = Response::new(Full::new(body.into()));
    *response.status_mut() = status;
    response.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
    response
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_function_is_named_in_the_path() {
        let path = "/2015-03-31/functions/admin-revoke/invocations";
        assert_eq!(named_function(&Method::POST, path), Some("admin-revoke"));
        assert_eq!(named_function(&Method::GET, path), None);
        for path in [
            "/2015-03-31/functions/a/b/invocations",
            "/2015-03-31/functions/invocations",
            "/2015-03-31/functions/a/invocation",
            "/2015-03-31/functions/a/invocations/",
            "/workspaces",
        ] {
            assert_eq!(named_function(&Method::POST, path), None, "{path}");
        }
    }

    #[test]
    fn a_name_an_arn_and_a_partial_arn_name_the_function() {
        for named in [
            "admin-revoke",
            "admin-revoke:$LATEST",
            "function:admin-revoke",
            "000000000000:function:admin-revoke",
            "arn:aws:lambda:eu-central-1:123456789012:function:admin-revoke",
            "arn:aws:lambda:eu-central-1:123456789012:function:admin-revoke:live",
        ] {
            assert_eq!(plain_name(named), "admin-revoke", "{named}");
        }
        for named in ["", ":", "admin", "admin-revoke-2", "arn:aws:lambda:a:1:function:", "a:admin-revoke"] {
            assert_ne!(plain_name(named), "admin-revoke", "{named}");
        }
    }
}

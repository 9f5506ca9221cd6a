//! What a function is given and what it answers. A function sees the bytes of an event and gives back bytes; whether
//! they came through API Gateway (HTTP API, payload format 2.0) or from a direct invocation is told apart strictly
//! by the presence of `requestContext`.

use std::convert::Infallible;
use std::future::Future;

use base64::Engine;
use base64::prelude::BASE64_STANDARD;
use http::header::{AUTHORIZATION, CACHE_CONTROL, CONTENT_TYPE, HOST, RETRY_AFTER, WWW_AUTHENTICATE};
use http::{HeaderMap, HeaderName, HeaderValue, StatusCode};
use lambda_http::aws_lambda_events::apigw::ApiGatewayV2httpRequest;
use lambda_http::request::{LambdaRequest, RequestContext};
use lambda_http::tower::{Service, service_fn};
use lambda_http::{Adapter, Body, Request, RequestExt, Response};
use lambda_runtime::{Context, Diagnostic, LambdaEvent};
use serde::de::IgnoredAny;
use serde::{Deserialize, Deserializer, Serialize};
use serde_json::value::{RawValue, to_raw_value};

use crate::admin::AdminAuth;
use crate::error::Error;
use crate::fields::Fields;
use crate::id::{OperationId, WorkspaceId};
use crate::token::Bearer;

/// The largest body, in bytes.
pub const MAX_BODY: usize = 64 * 1024;

const NOT_AN_HTTP_EVENT: Error =
    Error::InvalidJson("A payload with `requestContext` must be an HTTP API event, payload format 2.0.");

const IDEMPOTENCY_KEY: HeaderName = HeaderName::from_static("idempotency-key");
const X_FORWARDED_PROTO: HeaderName = HeaderName::from_static("x-forwarded-proto");

/// What a function gives back to Lambda: the answer as JSON, or a function error.
pub type Answer = Result<Box<RawValue>, Diagnostic>;

/// One invocation's event.
pub enum Event {
    /// A request through API Gateway.
    Http(Box<HttpEvent>),
    /// A payload that somebody with the right to invoke the function has sent.
    Direct(DirectEvent),
}

/// A request through API Gateway.
pub struct HttpEvent {
    request: LambdaRequest,
    context: Context,
}

/// A direct invocation's payload.
pub struct DirectEvent {
    payload: Box<RawValue>,
    request_id: String,
}

/// What tells the two shapes apart.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Shape {
    #[serde(default, deserialize_with = "is_there")]
    request_context: bool,
}

/// Also where it is `null`.
fn is_there<'de, D: Deserializer<'de>>(deserializer: D) -> Result<bool, D::Error> {
    IgnoredAny::deserialize(deserializer).map(|_| true)
}

impl Event {
    /// Tells the two shapes apart.
    ///
    /// # Errors
    /// [`Error::InvalidJson`] when the event is neither a JSON object without `requestContext` nor an HTTP API
    /// event.
    pub fn parse(event: LambdaEvent<Box<RawValue>>) -> Result<Self, Error> {
        let LambdaEvent { payload, context } = event;
        // Without `requestContext` this fails: the library's type has no default for it.
        let not_http = match serde_json::from_str(payload.get()) {
            Ok(request) => {
                let request = LambdaRequest::ApiGatewayV2(harmless(request).ok_or(NOT_AN_HTTP_EVENT)?);
                return Ok(Self::Http(Box::new(HttpEvent { request, context })));
            }
            Err(error) => error,
        };
        let shape: Shape = serde_json::from_str(payload.get())
            .map_err(|_| Error::InvalidJson("The payload must be a JSON object."))?;
        if shape.request_context {
            // Where it came through API Gateway, every caller has a bare 500 now. The error's own text may hold a value.
            let (line, column) = (not_http.line(), not_http.column());
            tracing::error!(line, column, "an event with requestContext cannot be read");
            return Err(NOT_AN_HTTP_EVENT);
        }
        Ok(Self::Direct(DirectEvent { payload, request_id: context.request_id }))
    }

    /// The HTTP request of a function that takes nothing else.
    ///
    /// # Errors
    /// A function error for a direct payload.
    pub fn http_only(self) -> Result<Box<HttpEvent>, Diagnostic> {
        match self {
            Self::Http(event) => Ok(event),
            Self::Direct(_) => {
                let error =
                    Error::invalid("payload", "This function takes requests through API Gateway only.");
                log(&error, None);
                Err(error.into())
            }
        }
    }
}

/// The event without what `lambda_http` makes a URI of, and would panic on where API Gateway has not made it: no route
/// looks at that. `None` when the body is not the base64 that it is said to be.
fn harmless(mut request: ApiGatewayV2httpRequest) -> Option<ApiGatewayV2httpRequest> {
    request.raw_path = None;
    request.raw_query_string = None;
    request.headers.insert(HOST, HeaderValue::from_static("localhost"));
    if !is_plain_http(&request.headers) {
        request.headers.remove(X_FORWARDED_PROTO);
    }
    if request.is_base64_encoded {
        BASE64_STANDARD.decode(request.body.as_deref().unwrap_or_default()).ok()?;
    }
    Some(request)
}

/// Whether the caller's request was not protected by TLS, as it is with the local registry.
fn is_plain_http(headers: &HeaderMap) -> bool {
    headers.get(X_FORWARDED_PROTO).is_some_and(|protocol| protocol == "http")
}

impl DirectEvent {
    /// The payload's fields, which may be these and no other.
    ///
    /// # Errors
    /// [`Error::InvalidRequest`] when there is another one.
    pub fn fields(&self, known: &[&str]) -> Result<Fields<'_>, Error> {
        let fields = Fields::parse(self.payload.get())?;
        fields.only(known)?;
        Ok(fields)
    }

    /// Lambda's request id.
    pub fn request_id(&self) -> &str {
        &self.request_id
    }
}

/// The answer to a direct invocation.
///
/// # Errors
/// A function error with a stable `errorType`.
pub fn direct_answer<T: Serialize>(outcome: Result<T, Error>) -> Answer {
    match outcome {
        Ok(answer) => {
            tracing::info!("answered");
            to_json(&answer).map_err(Diagnostic::from)
        }
        Err(error) => {
            log(&error, None);
            Err(error.into())
        }
    }
}

impl HttpEvent {
    /// Answers the request by `handler`. Errors become responses: API Gateway would make a bare 500 of a function
    /// error.
    pub async fn answer<H, F>(self, handler: H) -> Answer
    where
        H: Fn(HttpRequest) -> F,
        F: Future<Output = Result<Reply, Error>> + Send,
    {
        let Self { request, context } = self;
        let request_id = context.request_id.clone();
        let mut adapter = Adapter::from(service_fn(|request: Request| {
            let request_id = request_id.clone();
            let outcome = handler(HttpRequest { request, request_id: request_id.clone() });
            async move { Ok::<_, Infallible>(render(outcome.await, &request_id)) }
        }));
        let Ok(response) = adapter.call(LambdaEvent { payload: request, context }).await;
        to_json(&response).map_err(Diagnostic::from)
    }
}

/// An HTTP request as a handler sees it.
pub struct HttpRequest {
    request: Request,
    request_id: String,
}

impl HttpRequest {
    /// Lambda's request id.
    pub fn request_id(&self) -> &str {
        &self.request_id
    }

    /// Whether the method is DELETE.
    pub fn is_delete(&self) -> bool {
        self.request.method() == http::Method::DELETE
    }

    /// The bearer that was presented (RFC 6750, section 2.1), `None` without an `Authorization` header.
    ///
    /// # Errors
    /// [`Error::InvalidToken`] for anything else in that header: what was presented is never ignored.
    pub fn bearer(&self) -> Result<Option<Bearer>, Error> {
        let mut values = self.request.headers().get_all(AUTHORIZATION).iter();
        let Some(value) = values.next() else { return Ok(None) };
        let credentials = value.to_str().ok().filter(|_| values.next().is_none());
        let token = credentials.and_then(|text| text.split_once(' ')).and_then(|(scheme, token)| {
            scheme.eq_ignore_ascii_case("bearer").then_some(token.trim_start_matches(' '))
        });
        let bearer = Bearer::parse(token.ok_or(Error::InvalidToken)?).map_err(|reason| {
            tracing::debug!(%reason, "bearer refused offline");
            Error::InvalidToken
        })?;
        Ok(Some(bearer))
    }

    /// Checks that the bearer is the operator.
    ///
    /// # Errors
    /// [`Error::MissingToken`] or [`Error::InvalidToken`].
    pub fn require_admin(&self, admin: &AdminAuth) -> Result<(), Error> {
        let bearer = self.bearer()?.ok_or(Error::MissingToken)?;
        if admin.accepts(&bearer) { Ok(()) } else { Err(Error::InvalidToken) }
    }

    /// The body as text.
    ///
    /// # Errors
    /// [`Error::PayloadTooLarge`] past [`MAX_BODY`], [`Error::InvalidJson`] when it is not UTF-8.
    pub fn body(&self) -> Result<&str, Error> {
        let body = self.request.body();
        if body.len() > MAX_BODY {
            return Err(Error::PayloadTooLarge("The body must be at most 64 KiB."));
        }
        let text = match body {
            Body::Empty => Some(""),
            Body::Text(text) => Some(text.as_str()),
            Body::Binary(bytes) => std::str::from_utf8(bytes).ok(),
            _ => None,
        };
        text.ok_or(Error::InvalidJson("The body must be JSON in UTF-8."))
    }

    /// The workspace id in the path.
    ///
    /// # Errors
    /// [`Error::InvalidRequest`] when it does not follow the grammar.
    pub fn workspace_id(&self) -> Result<WorkspaceId, Error> {
        let parameters = self.request.path_parameters_ref();
        let id = parameters.and_then(|parameters| parameters.first("id")).unwrap_or_default();
        WorkspaceId::parse(id).ok_or_else(|| {
            Error::invalid("id", format!("The id in the path must be {}.", WorkspaceId::GRAMMAR))
        })
    }

    /// The operation id in the `Idempotency-Key` header.
    ///
    /// # Errors
    /// [`Error::InvalidRequest`] when it is there and does not follow the grammar.
    pub fn idempotency_key(&self) -> Result<Option<OperationId>, Error> {
        let Some(value) = self.request.headers().get(IDEMPOTENCY_KEY) else { return Ok(None) };
        let id = value.to_str().ok().and_then(OperationId::parse);
        let message = || format!("The `Idempotency-Key` header must be {}.", OperationId::GRAMMAR);
        id.map(Some).ok_or_else(|| Error::invalid("Idempotency-Key", message()))
    }

    /// The registry's own address as the caller sees it: API Gateway's domain and stage.
    pub fn platform_url(&self) -> String {
        let scheme = if is_plain_http(self.request.headers()) { "http" } else { "https" };
        let (domain, stage) = match self.request.request_context_ref() {
            Some(RequestContext::ApiGatewayV2(context)) => {
                (context.domain_name.clone(), context.stage.clone())
            }
            _ => (None, None),
        };
        let domain = domain.unwrap_or_default();
        let stage =
            stage.filter(|stage| stage != "$default").map(|stage| format!("/{stage}")).unwrap_or_default();
        format!("{scheme}://{domain}{stage}")
    }
}

/// A success: a status and a JSON body.
pub struct Reply {
    status: StatusCode,
    body: String,
}

impl Reply {
    /// 200.
    ///
    /// # Errors
    /// [`Error::Internal`] when the body cannot be written as JSON.
    pub fn ok(body: &impl Serialize) -> Result<Self, Error> {
        Self::new(StatusCode::OK, body)
    }

    /// 201.
    ///
    /// # Errors
    /// [`Error::Internal`] when the body cannot be written as JSON.
    pub fn created(body: &impl Serialize) -> Result<Self, Error> {
        Self::new(StatusCode::CREATED, body)
    }

    fn new(status: StatusCode, body: &impl Serialize) -> Result<Self, Error> {
        Ok(Self { status, body: to_json(body)?.get().to_owned() })
    }
}

/// The body of every error over HTTP.
#[derive(Serialize)]
struct ErrorBody<'a> {
    error: String,
    code: &'static str,
    request_id: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    field: Option<&'a str>,
}

fn render(outcome: Result<Reply, Error>, request_id: &str) -> Response<Body> {
    let (status, body, challenge, retry_after) = match outcome {
        Ok(Reply { status, body }) => {
            tracing::info!(status = status.as_u16(), "answered");
            (status, body, None, None)
        }
        Err(error) => {
            let http = error.http();
            log(&error, Some(http.status));
            let field =
                if let Error::InvalidRequest { field, .. } = &error { Some(field.as_str()) } else { None };
            let body = ErrorBody { error: error.to_string(), code: http.code, request_id, field };
            // The body is made of strings: writing it as JSON cannot fail.
            let body = serde_json::to_string(&body).unwrap_or_default();
            (http.status, body, http.challenge, http.retry_after)
        }
    };
    let mut response = Response::new(Body::Text(body));
    *response.status_mut() = status;
    let headers = response.headers_mut();
    headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
    headers.insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
    for (name, value) in [(WWW_AUTHENTICATE, challenge), (RETRY_AFTER, retry_after)] {
        if let Some(value) = value {
            headers.insert(name, HeaderValue::from_static(value));
        }
    }
    response
}

fn log(error: &Error, status: Option<StatusCode>) {
    let status = status.map(|status| status.as_u16());
    let code = error.http().code;
    match error.cause() {
        Some(cause) => tracing::error!(status, code, cause, "failed"),
        None => tracing::info!(status, code, "refused"),
    }
}

fn to_json(value: &impl Serialize) -> Result<Box<RawValue>, Error> {
    to_raw_value(value)
        .map_err(|error| Error::Internal { cause: format!("an answer could not be written: {error}") })
}

//! API Gateway's HTTP API: finds the route, invokes its function with an event, and turns the answer into a response. Or asks
//! the function `authorize` about a request to somebody else's API, and forwards it.

use std::net::SocketAddr;
use std::sync::Arc;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;
use bytes::Bytes;
use http::header::CONTENT_TYPE;
use http::{HeaderName, HeaderValue, Request, Response, StatusCode, request};
use http_body_util::Full;
use hyper::body::Incoming;
use uuid::Uuid;

use crate::functions::Functions;
use crate::http_event::{self, Received};
use crate::protected::{self, Protected, ProtectedApi};
use crate::request_body::{self, BodyError};
use crate::route::{RawParameters, Routes};

/// API Gateway's limit for a body, in bytes.
pub(crate) const MAX_BODY: usize = 10 * 1024 * 1024;

/// The Lambda authorizer of the APIs behind the gateway.
const AUTHORIZER: &str = "authorize";

const REQUEST_ID: HeaderName = HeaderName::from_static("apigw-requestid");

/// The routes and the functions behind them.
pub struct Gateway {
    routes: Routes,
    functions: Arc<Functions>,
    protected: Protected,
    listening: SocketAddr,
}

/// An error that API Gateway answers itself.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum GatewayError {
    /// The request is not well formed.
    BadRequest,
    /// No route matches.
    NotFound,
    /// The body did not arrive in time.
    Timeout,
    /// The body is larger than [`MAX_BODY`].
    TooLarge,
    /// What the authorizer is to be asked about is missing.
    Unauthorized,
    /// The authorizer said no.
    Forbidden,
    /// The function failed, or its answer is not a response.
    FunctionFailed,
    /// The server behind the gateway did not answer in time, or with what cannot be passed on.
    Unavailable,
}

impl GatewayError {
    fn status_and_message(self) -> (StatusCode, &'static str) {
        match self {
            Self::BadRequest => (StatusCode::BAD_REQUEST, "Bad Request"),
            Self::NotFound => (StatusCode::NOT_FOUND, "Not Found"),
            Self::Timeout => (StatusCode::REQUEST_TIMEOUT, "Request Timeout"),
            Self::TooLarge => (StatusCode::PAYLOAD_TOO_LARGE, "Request Entity Too Large"),
            Self::Unauthorized => (StatusCode::UNAUTHORIZED, "Unauthorized"),
            Self::Forbidden => (StatusCode::FORBIDDEN, "Forbidden"),
            Self::FunctionFailed => (StatusCode::INTERNAL_SERVER_ERROR, "Internal Server Error"),
            Self::Unavailable => (StatusCode::SERVICE_UNAVAILABLE, "Service Unavailable"),
        }
    }

    /// The response.
    pub fn response(self) -> Response<Full<Bytes>> {
        let (status, message) = self.status_and_message();
        let body = format!(r#"{{"message":"{message}"}}"#);
        let mut response = Response::new(Full::new(Bytes::from(body)));
        *response.status_mut() = status;
        response.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
        response
    }
}

impl From<BodyError> for GatewayError {
    fn from(error: BodyError) -> Self {
        match error {
            BodyError::TooLarge => Self::TooLarge,
            BodyError::Timeout => Self::Timeout,
            BodyError::Broken => Self::BadRequest,
        }
    }
}

impl Gateway {
    /// A gateway in front of the functions and of other people's APIs.
    pub fn new(
        routes: Routes,
        functions: Arc<Functions>,
        protected: Protected,
        listening: SocketAddr,
    ) -> Self {
        Self { routes, functions, protected, listening }
    }

    /// Answers one request.
    pub async fn answer(&self, request: Request<Incoming>, peer: SocketAddr) -> Response<Full<Bytes>> {
        let request_id = new_request_id();
        let answered = self.pass_on(request, peer, &request_id).await;
        let mut response = answered.unwrap_or_else(GatewayError::response);
        if let Ok(request_id) = HeaderValue::try_from(request_id) {
            response.headers_mut().insert(REQUEST_ID, request_id);
        }
        response
    }

    async fn pass_on(
        &self,
        request: Request<Incoming>,
        peer: SocketAddr,
        request_id: &str,
    ) -> Result<Response<Full<Bytes>>, GatewayError> {
        let (parts, body) = request.into_parts();
        if let Some((api, parameters)) = self.protected.find(parts.uri.path()) {
            return self.pass_on_if_authorized(api, parameters, &parts, body, peer, request_id).await;
        }
        let found = self.routes.find(&parts.method, parts.uri.path());
        let (route, parameters) = found.ok_or(GatewayError::NotFound)?;
        let function = self.functions.get(route.function()).ok_or(GatewayError::NotFound)?;
        let (parts, body) = (&parts, &request_body::read(body, MAX_BODY).await?);
        let (listening, route_key) = (self.listening, &route.key());
        let received = Received { parts, peer, listening, route_key, parameters, request_id };
        let event = http_event::event(&received, body).map_err(|_| GatewayError::BadRequest)?;
        let answer = function.invoke(&event, Uuid::new_v4()).await;
        let response = answer.ok().and_then(|answer| http_event::response(&answer));
        response.ok_or_else(|| {
            tracing::error!(
                function = route.function(),
                "the function failed or did not answer with a response"
            );
            GatewayError::FunctionFailed
        })
    }

    /// As API Gateway does it for a route with a Lambda authorizer, whose results are not cached.
    async fn pass_on_if_authorized(
        &self,
        api: &ProtectedApi,
        parameters: RawParameters<'_>,
        parts: &request::Parts,
        body: Incoming,
        peer: SocketAddr,
        request_id: &str,
    ) -> Result<Response<Full<Bytes>>, GatewayError> {
        let url = protected::url_at(api, parts).ok_or(GatewayError::BadRequest)?;
        if !protected::has_identity_source(&parts.headers) {
            return Err(GatewayError::Unauthorized);
        }
        let (listening, route_key) = (self.listening, &format!("ANY {}/{{proxy+}}", api.prefix()));
        let received = Received { parts, peer, listening, route_key, parameters, request_id };
        let event = http_event::authorizer_event(&received).map_err(|_| GatewayError::BadRequest)?;
        let authorizer = self.functions.get(AUTHORIZER).ok_or(GatewayError::FunctionFailed)?;
        let answer = authorizer.invoke(&event, Uuid::new_v4()).await;
        let caller = protected::caller(&answer.map_err(|_| GatewayError::FunctionFailed)?)?;
        // Not before: a stranger's body is not worth waiting for.
        let body = request_body::read(body, MAX_BODY).await?;
        self.protected.forward(url, parts, &caller, body).await
    }
}

/// 11 random bytes in base64: 16 characters, as in API Gateway's.
fn new_request_id() -> String {
    let uuid = Uuid::new_v4().into_bytes();
    BASE64.encode(uuid.split_at(11).0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_request_id_looks_like_api_gateway_s() {
        let id = new_request_id();
        assert_eq!((id.len(), id.ends_with('=')), (16, true), "{id}");
        assert_ne!(id, new_request_id());
    }
}

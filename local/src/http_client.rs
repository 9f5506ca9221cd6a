//! A small HTTP client for JSON, as a caller of the registry has one.

use bytes::Bytes;
use http::header::{AUTHORIZATION, CONTENT_TYPE};
use http::{HeaderMap, Method, Request, StatusCode};
use http_body_util::{BodyExt, Full};
use hyper_util::client::legacy::Client;
use hyper_util::client::legacy::connect::HttpConnector;
use hyper_util::rt::TokioExecutor;
use serde_json::Value;

/// A client of one registry.
pub struct HttpClient {
    client: Client<HttpConnector, Full<Bytes>>,
    base_url: String,
}

/// What came back.
#[derive(Clone, Debug)]
pub struct Reply {
    /// The status.
    pub status: StatusCode,
    /// The headers.
    pub headers: HeaderMap,
    /// The body, `null` when it is empty.
    pub body: Value,
}

/// There was no reply, or none in JSON.
#[derive(Debug, thiserror::Error)]
pub enum HttpError {
    /// The request cannot be written, for example because of a character in a path or a header.
    #[error("the request is not well formed: {0}")]
    Request(#[from] http::Error),
    /// No connection.
    #[error("there was no reply: {0}")]
    NoReply(#[from] hyper_util::client::legacy::Error),
    /// The connection broke.
    #[error("the reply was cut off: {0}")]
    CutOff(#[from] hyper::Error),
    /// The body is something else.
    #[error("the reply is not JSON: {0}")]
    NotJson(#[from] serde_json::Error),
}

impl HttpClient {
    /// A client of the registry at this address.
    pub fn new(base_url: &str) -> Self {
        let client = Client::builder(TokioExecutor::new()).build_http();
        Self { client, base_url: base_url.to_owned() }
    }

    /// Sends one request.
    ///
    /// # Errors
    /// [`HttpError`] when there is no reply in JSON. A reply with an error's status is a reply.
    pub async fn send(
        &self,
        method: Method,
        path: &str,
        bearer: Option<&str>,
        body: Option<&Value>,
    ) -> Result<Reply, HttpError> {
        let mut request = Request::builder().method(method).uri(format!("{}{path}", self.base_url));
        if let Some(bearer) = bearer {
            request = request.header(AUTHORIZATION, format!("Bearer {bearer}"));
        }
        if body.is_some() {
            request = request.header(CONTENT_TYPE, "application/json");
        }
        let body = body.map(Value::to_string).unwrap_or_default();
        let (parts, body) = self.client.request(request.body(Full::from(body))?).await?.into_parts();
        let body = body.collect().await?.to_bytes();
        let body = if body.is_empty() { Value::Null } else { serde_json::from_slice(&body)? };
        Ok(Reply { status: parts.status, headers: parts.headers, body })
    }
}

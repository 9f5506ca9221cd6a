//! What a function receives and returns. A function receives the bytes of an event and returns bytes. Whether the event came
//! through API Gateway (HTTP API, payload format 2.0) or from a direct invocation depends on one thing alone: whether it has
//! a `requestContext`. With a `routeArn` too, API Gateway asks on behalf of another API: it is an authorizer's request.

use std::convert::Infallible;
use std::future::Future;

use base64::Engine;
use base64::prelude::BASE64_STANDARD;
use domain::id::{CommandId, WorkspaceId};
use domain::time::Timestamp;
use domain::token::{Bearer, TokenId};
use http::header::{
    AUTHORIZATION, CACHE_CONTROL, CONTENT_ENCODING, CONTENT_TYPE, HOST, LINK, RETRY_AFTER, WWW_AUTHENTICATE,
};
use http::{HeaderMap, HeaderName, HeaderValue, StatusCode};
use lambda_http::aws_lambda_events::apigw::ApiGatewayV2httpRequest;
use lambda_http::request::LambdaRequest;
use lambda_http::tower::{Service, service_fn};
use lambda_http::{Adapter, Body as HttpBody, Request, RequestExt, Response};
use lambda_runtime::{Context, Diagnostic, LambdaEvent};
use serde::de::IgnoredAny;
use serde::{Deserialize, Deserializer, Serialize};
use serde_json::value::{RawValue, to_raw_value};

use crate::api::admin::AdminAuth;
use crate::api::authorizer::AuthorizerRequest;
use crate::api::call::{AdminCall, Body, CallContext};
use crate::api::error::{Audience, Error};
use crate::api::fields::Fields;

/// The largest body, in bytes.
pub const MAX_BODY: usize = 64 * 1024;

const NOT_AN_HTTP_EVENT: Error =
    Error::InvalidJson("A payload with `requestContext` must be an HTTP API event, payload format 2.0.");

const IDEMPOTENCY_KEY: HeaderName = HeaderName::from_static("idempotency-key");
const X_FORWARDED_PROTO: HeaderName = HeaderName::from_static("x-forwarded-proto");

/// What a function returns to Lambda: JSON, or a function error.
pub type Answer = Result<Box<RawValue>, Diagnostic>;

/// One invocation's event.
pub struct Event {
    source: Source,
    context: Context,
    audience: Audience,
}

enum Source {
    /// A request through API Gateway.
    Http(Box<HttpEvent>),
    /// API Gateway's question about a request to another API.
    Authorizer(AuthorizerRequest),
    /// A payload from somebody with the permission to invoke the function.
    Direct(Box<RawValue>),
}

struct HttpEvent {
    request: LambdaRequest,
    origin: Origin,
}

/// What of the event `lambda_http` does not get to see.
#[derive(Clone)]
struct Origin {
    platform_url: String,
    route_key: String,
}

/// What tells the kinds of event apart.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Shape {
    #[serde(default, deserialize_with = "is_present")]
    request_context: bool,
    #[serde(default, deserialize_with = "is_present")]
    route_arn: bool,
}

/// Present even if it is `null`.
fn is_present<'de, D: Deserializer<'de>>(deserializer: D) -> Result<bool, D::Error> {
    IgnoredAny::deserialize(deserializer).map(|_| true)
}

impl Event {
    /// Reads an event. `audience` is who calls the function.
    ///
    /// # Errors
    /// [`Error::InvalidJson`] when the event is neither a JSON object without `requestContext`, nor an HTTP API event, nor an
    /// authorizer's request.
    pub fn parse(event: LambdaEvent<Box<RawValue>>, audience: Audience) -> Result<Self, Error> {
        let LambdaEvent { payload, context } = event;
        let shape: Shape = serde_json::from_str(payload.get())
            .map_err(|_| Error::InvalidJson("The payload must be a JSON object."))?;
        let source = match shape {
            Shape { request_context: false, .. } => Source::Direct(payload),
            Shape { request_context: true, route_arn: true } => {
                Source::Authorizer(AuthorizerRequest::parse(payload.get())?)
            }
            Shape { request_context: true, route_arn: false } => Source::Http(Box::new(read_http(&payload)?)),
        };
        Ok(Self { source, context, audience })
    }

    /// Answers a function that takes HTTP requests only.
    ///
    /// # Errors
    /// A function error for a direct payload.
    pub async fn answer_http<H, F>(self, handler: H) -> Answer
    where
        H: Fn(HttpRequest) -> F,
        F: Future<Output = Result<Reply, Error>> + Send,
    {
        let Self { source, context, audience } = self;
        match source {
            Source::Http(event) => answer_http(*event, context, audience, handler).await,
            Source::Direct(_) | Source::Authorizer(_) => {
                let error =
                    Error::invalid("payload", "This function accepts requests through API Gateway only.");
                answer_direct(Err(error), audience)
            }
        }
    }

    /// Answers a Lambda authorizer. The handler logs what it decided.
    ///
    /// # Errors
    /// A function error when nothing could be decided, and for any other event.
    pub async fn answer_authorizer<H, F>(self, handler: H) -> Answer
    where
        H: FnOnce(AuthorizerRequest) -> F,
        F: Future<Output = Result<Reply, Error>> + Send,
    {
        let outcome = match self.source {
            Source::Authorizer(request) => handler(request).await,
            Source::Http(_) | Source::Direct(_) => {
                Err(Error::invalid("payload", "This function accepts an authorizer's requests only."))
            }
        };
        outcome.map(|reply| reply.body).map_err(|error| {
            log(&error, self.audience, None);
            error.into()
        })
    }

    /// Answers a function that takes HTTP requests and direct payloads with the fields `workspace_id` and those of `B`.
    ///
    /// # Errors
    /// A function error, with a stable `errorType`, for a direct payload that cannot be answered.
    pub async fn answer<B, H, HF, D, DF>(self, http: H, direct: D) -> Answer
    where
        B: Body,
        H: Fn(HttpRequest) -> HF,
        HF: Future<Output = Result<Reply, Error>> + Send,
        D: FnOnce(AdminCall<B>) -> DF,
        DF: Future<Output = Result<Reply, Error>> + Send,
    {
        let Self { source, context, audience } = self;
        match source {
            Source::Http(event) => answer_http(*event, context, audience, http).await,
            Source::Direct(payload) => {
                let call = direct_call(&payload, &context);
                let outcome = match call {
                    Ok(call) => direct(call).await,
                    Err(error) => Err(error),
                };
                answer_direct(outcome, audience)
            }
            Source::Authorizer(_) => answer_direct(Err(NOT_AN_HTTP_EVENT), audience),
        }
    }

    /// Answers an administrator's call: an HTTP request with the admin token, or a direct payload.
    ///
    /// # Errors
    /// A function error, with a stable `errorType`, for a direct payload that cannot be answered.
    pub async fn answer_admin<B, H, F>(self, admin: &AdminAuth, handler: H) -> Answer
    where
        B: Body + Send,
        H: Fn(AdminCall<B>) -> F + Sync,
        F: Future<Output = Result<Reply, Error>> + Send,
    {
        let handler = &handler;
        self.answer(|request| async move { handler(request.admin_call(admin)?).await }, handler).await
    }
}

fn read_http(payload: &RawValue) -> Result<HttpEvent, Error> {
    let request: ApiGatewayV2httpRequest = serde_json::from_str(payload.get()).map_err(|error| {
        // If it came through API Gateway, every caller now gets a bare 500. The error's own text may contain a value.
        let (line, column) = (error.line(), error.column());
        tracing::error!(line, column, "an event with requestContext cannot be read");
        NOT_AN_HTTP_EVENT
    })?;
    let route_key = request.route_key.clone().unwrap_or_default();
    let origin = Origin { platform_url: platform_url(&request), route_key };
    let request = LambdaRequest::ApiGatewayV2(without_uri_parts(request).ok_or(NOT_AN_HTTP_EVENT)?);
    Ok(HttpEvent { request, origin })
}

/// The event without the parts that `lambda_http` builds a URI from. API Gateway sends valid ones, anybody else might not,
/// and `lambda_http` panics on a URI that it cannot parse. `None` when the body is not the base64 that it claims to be.
fn without_uri_parts(mut request: ApiGatewayV2httpRequest) -> Option<ApiGatewayV2httpRequest> {
    request.raw_path = None;
    request.raw_query_string = None;
    request.request_context.stage = None;
    request.request_context.domain_name = None;
    request.headers.insert(HOST, HeaderValue::from_static("localhost"));
    request.headers.remove(X_FORWARDED_PROTO);
    if request.is_base64_encoded {
        BASE64_STANDARD.decode(request.body.as_deref().unwrap_or_default()).ok()?;
    }
    Some(request)
}

/// The registry's own address as the caller sees it: API Gateway's domain and stage.
fn platform_url(request: &ApiGatewayV2httpRequest) -> String {
    let is_plain_http = request.headers.get(X_FORWARDED_PROTO).is_some_and(|protocol| protocol == "http");
    let scheme = if is_plain_http { "http" } else { "https" };
    let context = &request.request_context;
    let domain = context.domain_name.as_deref().unwrap_or_default();
    let stage = match context.stage.as_deref() {
        None | Some("$default") => String::new(),
        Some(stage) => format!("/{stage}"),
    };
    format!("{scheme}://{domain}{stage}")
}

fn direct_call<B: Body>(payload: &RawValue, context: &Context) -> Result<AdminCall<B>, Error> {
    let fields = Fields::parse(payload.get())?;
    let workspace_id = fields.required_workspace_id("workspace_id")?;
    log_workspace_id(&workspace_id);
    let request_id = context.request_id.clone();
    let (idempotency_key, token_id, method) = (None, None, None);
    let context = CallContext { request_id, idempotency_key, token_id, method, now: Timestamp::now() };
    let body = B::read(&fields, &context)?;
    fields.refuse_others()?;
    Ok(AdminCall { workspace_id, body, now: context.now })
}

fn answer_direct(outcome: Result<Reply, Error>, audience: Audience) -> Answer {
    match outcome {
        Ok(reply) => {
            tracing::info!("answered");
            Ok(reply.body)
        }
        Err(error) => {
            log(&error, audience, None);
            Err(error.into())
        }
    }
}

/// Errors become responses: API Gateway turns a function error into a bare 500.
async fn answer_http<H, F>(event: HttpEvent, context: Context, audience: Audience, handler: H) -> Answer
where
    H: Fn(HttpRequest) -> F,
    F: Future<Output = Result<Reply, Error>> + Send,
{
    let HttpEvent { request, origin } = event;
    let request_id = context.request_id.clone();
    let mut adapter = Adapter::from(service_fn(|request: Request| {
        let request_id = request_id.clone();
        let outcome =
            handler(HttpRequest { request, request_id: request_id.clone(), origin: origin.clone() });
        async move { Ok::<_, Infallible>(render(outcome.await, audience, &request_id)) }
    }));
    let Ok(response) = adapter.call(LambdaEvent { payload: request, context }).await;
    to_raw_value(&response).map_err(|error| {
        let error = Error::Internal { cause: format!("the response cannot be serialised: {error}") };
        log(&error, audience, None);
        error.into()
    })
}

/// An HTTP request as a handler sees it.
pub struct HttpRequest {
    request: Request,
    request_id: String,
    origin: Origin,
}

impl HttpRequest {
    /// Lambda's request id.
    pub fn request_id(&self) -> &str {
        &self.request_id
    }

    /// The registry's own address as the caller sees it.
    pub fn platform_url(&self) -> &str {
        &self.origin.platform_url
    }

    /// The route as `template.yaml` names it, for example `GET /workspaces/{id}`.
    pub fn route_key(&self) -> &str {
        &self.origin.route_key
    }

    /// The bearer token that the caller presented (RFC 6750, section 2.1); `None` without an `Authorization` header.
    ///
    /// # Errors
    /// [`Error::InvalidToken`] for anything else in that header. What was presented is never ignored.
    pub fn bearer(&self) -> Result<Option<Bearer>, Error> {
        bearer_of(self.request.headers())
    }

    /// Checks that the caller presented the admin token.
    ///
    /// # Errors
    /// [`Error::MissingToken`] or [`Error::InvalidToken`].
    pub fn require_admin(&self, admin: &AdminAuth) -> Result<(), Error> {
        let bearer = self.bearer()?.ok_or(Error::MissingToken)?;
        if admin.accepts(&bearer) { Ok(()) } else { Err(Error::InvalidToken) }
    }

    /// The fields of the body, which must be a JSON object.
    ///
    /// # Errors
    /// [`Error::PayloadTooLarge`] past [`MAX_BODY`], [`Error::InvalidRequest`] for an encoded body, [`Error::InvalidJson`]
    /// for anything else that is not a JSON object.
    pub fn fields(&self) -> Result<Fields<'_>, Error> {
        Fields::parse(self.body()?)
    }

    /// The same, but an empty body is treated as an empty object.
    ///
    /// # Errors
    /// Those of [`Self::fields`].
    pub fn optional_fields(&self) -> Result<Fields<'_>, Error> {
        Fields::parse_optional(self.body()?)
    }

    fn body(&self) -> Result<&str, Error> {
        let body = self.request.body();
        if body.len() > MAX_BODY {
            return Err(Error::PayloadTooLarge("The body must be at most 64 KiB."));
        }
        if is_encoded(self.request.headers()) {
            let message = "The body must not be compressed: send it without a `Content-Encoding` header.";
            return Err(Error::invalid("Content-Encoding", message));
        }
        let text = match body {
            HttpBody::Empty => Some(""),
            HttpBody::Text(text) => Some(text.as_str()),
            HttpBody::Binary(bytes) => std::str::from_utf8(bytes).ok(),
            _ => None,
        };
        text.ok_or(Error::InvalidJson("The body must be JSON in UTF-8."))
    }

    /// The workspace id in the path.
    ///
    /// # Errors
    /// [`Error::InvalidRequest`] when it does not follow the grammar.
    pub fn workspace_id(&self) -> Result<WorkspaceId, Error> {
        let id = self.path_parameter("id").unwrap_or_default();
        let id = WorkspaceId::parse(id).ok_or_else(|| {
            Error::invalid("id", format!("The id in the path must be {}.", WorkspaceId::GRAMMAR))
        })?;
        log_workspace_id(&id);
        Ok(id)
    }

    /// A workspace id in a header; `None` without the header.
    ///
    /// # Errors
    /// [`Error::InvalidRequest`] names the header when it does not follow the grammar, or is there twice.
    pub fn header_id(&self, header: &'static str) -> Result<Option<WorkspaceId>, Error> {
        let mut values = self.request.headers().get_all(header).iter();
        let Some(value) = values.next() else { return Ok(None) };
        let id = value.to_str().ok().filter(|_| values.next().is_none()).and_then(WorkspaceId::parse);
        let message = || format!("The `{header}` header must be {}.", WorkspaceId::GRAMMAR);
        id.map(Some).ok_or_else(|| Error::invalid(header, message()))
    }

    /// A parameter of the query string that `parse` accepts; `None` without the parameter. `expected` completes the sentence "The
    /// query parameter must be …".
    ///
    /// # Errors
    /// [`Error::InvalidRequest`] names the parameter when it is anything else, or is there twice.
    pub fn query<T>(
        &self,
        name: &'static str,
        expected: &str,
        parse: impl FnOnce(&str) -> Option<T>,
    ) -> Result<Option<T>, Error> {
        let Some(parameters) = self.request.query_string_parameters_ref() else { return Ok(None) };
        let Some(values) = parameters.all(name) else { return Ok(None) };
        let value = if let [value] = values.as_slice() { parse(value) } else { None };
        let message = || format!("The query parameter `{name}` must be {expected}.");
        value.map(Some).ok_or_else(|| Error::invalid(name, message()))
    }

    /// The token id in the path; `None` on a route without one.
    ///
    /// # Errors
    /// [`Error::InvalidRequest`] when it does not follow the grammar.
    pub fn token_id(&self) -> Result<Option<TokenId>, Error> {
        let Some(id) = self.path_parameter("token_id") else { return Ok(None) };
        let message = || format!("The token id in the path must be {}.", TokenId::GRAMMAR);
        TokenId::parse(id).map(Some).ok_or_else(|| Error::invalid("token_id", message()))
    }

    fn path_parameter(&self, name: &str) -> Option<&str> {
        self.request.path_parameters_ref().and_then(|parameters| parameters.first(name))
    }

    fn admin_call<B: Body>(&self, admin: &AdminAuth) -> Result<AdminCall<B>, Error> {
        self.require_admin(admin)?;
        let workspace_id = self.workspace_id()?;
        let fields = self.optional_fields()?;
        let context = CallContext {
            request_id: self.request_id.clone(),
            idempotency_key: self.idempotency_key()?,
            token_id: self.token_id()?,
            method: Some(self.request.method().clone()),
            now: Timestamp::now(),
        };
        Ok(AdminCall { workspace_id, body: B::read(&fields, &context)?, now: context.now })
    }

    fn idempotency_key(&self) -> Result<Option<CommandId>, Error> {
        let Some(value) = self.request.headers().get(IDEMPOTENCY_KEY) else { return Ok(None) };
        let id = value.to_str().ok().and_then(CommandId::parse);
        let message = || format!("The `Idempotency-Key` header must be {}.", CommandId::GRAMMAR);
        id.map(Some).ok_or_else(|| Error::invalid("Idempotency-Key", message()))
    }
}

/// The bearer token in the `Authorization` header; `None` without that header.
pub(crate) fn bearer_of(headers: &HeaderMap) -> Result<Option<Bearer>, Error> {
    let mut values = headers.get_all(AUTHORIZATION).iter();
    let Some(value) = values.next() else { return Ok(None) };
    let credentials = value.to_str().ok().filter(|_| values.next().is_none());
    let token = credentials.and_then(|text| text.split_once(' ')).and_then(|(scheme, token)| {
        scheme.eq_ignore_ascii_case("bearer").then_some(token.trim_start_matches(' '))
    });
    let bearer = Bearer::parse(token.ok_or(Error::InvalidToken)?).map_err(|reason| {
        tracing::debug!(%reason, "malformed bearer token");
        Error::InvalidToken
    })?;
    Ok(Some(bearer))
}

/// RFC 9110, section 8.4: `identity` is no encoding.
fn is_encoded(headers: &HeaderMap) -> bool {
    headers
        .get_all(CONTENT_ENCODING)
        .iter()
        .any(|coding| !coding.as_bytes().eq_ignore_ascii_case(b"identity"))
}

/// A success: a status and a JSON body.
pub struct Reply {
    status: StatusCode,
    body: Box<RawValue>,
    link: Option<HeaderValue>,
}

impl Reply {
    /// 200.
    ///
    /// # Errors
    /// [`Error::Internal`] when the body cannot be serialised.
    pub fn ok(body: &impl Serialize) -> Result<Self, Error> {
        Self::new(StatusCode::OK, body)
    }

    /// 201.
    ///
    /// # Errors
    /// [`Error::Internal`] when the body cannot be serialised.
    pub fn created(body: &impl Serialize) -> Result<Self, Error> {
        Self::new(StatusCode::CREATED, body)
    }

    fn new(status: StatusCode, body: &impl Serialize) -> Result<Self, Error> {
        let body = to_raw_value(body)
            .map_err(|error| Error::Internal { cause: format!("the body cannot be serialised: {error}") })?;
        Ok(Self { status, body, link: None })
    }

    /// With a link to the next page (RFC 8288).
    ///
    /// # Errors
    /// [`Error::Internal`] when this is not a URL that a header can hold.
    pub fn with_next(self, url: &str) -> Result<Self, Error> {
        let link = HeaderValue::from_str(&format!("<{url}>; rel=\"next\""));
        let link =
            link.map_err(|_| Error::Internal { cause: "the link to the next page is no URL".to_owned() })?;
        Ok(Self { link: Some(link), ..self })
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
    #[serde(skip_serializing_if = "Option::is_none")]
    deleted: Option<bool>,
}

fn render(outcome: Result<Reply, Error>, audience: Audience, request_id: &str) -> Response<HttpBody> {
    let (status, body, headers) = match outcome {
        Ok(Reply { status, body, link }) => {
            tracing::info!(status = status.as_u16(), "answered");
            (status, Box::<str>::from(body).into_string(), [(LINK, link), (RETRY_AFTER, None)])
        }
        Err(error) => {
            let http = error.http(audience);
            log(&error, audience, Some(http.status));
            let field =
                if let Error::InvalidRequest { field, .. } = &error { Some(field.as_str()) } else { None };
            let deleted = matches!(error, Error::StateOfRemoved).then_some(true);
            let body = ErrorBody { error: error.to_string(), code: http.code, request_id, field, deleted };
            // Serialising strings cannot fail.
            let body = serde_json::to_string(&body).unwrap_or_default();
            let header = |value: Option<&'static str>| value.map(HeaderValue::from_static);
            (
                http.status,
                body,
                [(WWW_AUTHENTICATE, header(http.challenge)), (RETRY_AFTER, header(http.retry_after))],
            )
        }
    };
    let mut response = Response::new(HttpBody::Text(body));
    *response.status_mut() = status;
    let response_headers = response.headers_mut();
    response_headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
    response_headers.insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
    response_headers.extend(headers.into_iter().filter_map(|(name, value)| Some((name, value?))));
    response
}

/// Adds the workspace's id to all log lines of the current invocation from here on.
pub fn log_workspace_id(id: &WorkspaceId) {
    tracing::Span::current().record("workspace_id", id.as_str());
}

/// One line for each call that does not succeed.
fn log(error: &Error, audience: Audience, status: Option<StatusCode>) {
    let status = status.map(|status| status.as_u16());
    let code = error.http(audience).code;
    match (error, error.cause()) {
        (_, Some(cause)) => tracing::error!(status, code, cause, "failed"),
        (Error::Contended, None) => tracing::warn!(status, code, "contended"),
        (_, None) => tracing::info!(status, code, "refused"),
    }
}

//! A rehearsal during init: the function answers its usual calls once, so that the first caller does not wait for its code
//! to be brought into memory. It is a second instance of the function that does so: its store is a connector that has the
//! replies ready, its admin token is made for the occasion, and its log goes nowhere. Nothing leaves the process, and
//! nothing of it is left.

use std::io;

use aws_sdk_dynamodb::config::SharedHttpClient;
use aws_smithy_runtime_api::client::http::{
    HttpConnector, HttpConnectorFuture, SharedHttpConnector, http_client_fn,
};
use aws_smithy_runtime_api::client::orchestrator::{HttpRequest, HttpResponse};
use aws_smithy_runtime_api::client::result::ConnectorError;
use aws_smithy_runtime_api::http::StatusCode;
use lambda_runtime::{Context, LambdaEvent};
use serde_json::value::to_raw_value;
use serde_json::{Value, json};
use tracing::instrument::WithSubscriber;

use crate::config::{ADMIN_TOKEN_SHA256, Env};
use crate::event::Answer;
use crate::random::Random;
use crate::runtime::{Function, Resources, invoke};
use crate::token::NewToken;
use crate::{client, logging};

/// A call that a function rehearses, on the workspace [`ID`].
#[derive(Clone, Copy, Debug)]
pub struct Call {
    /// Whether a bearer is presented.
    pub bearer: bool,
    /// The body, JSON.
    pub body: &'static str,
}

/// The workspace's id in the path of every call.
pub const ID: &str = "rehearsal";

/// What only the owner's refresh asks for. It is told that the condition does not hold, so that what follows is rehearsed too.
const OF_THE_OWNER: &str = "owner_hash = :presented";

/// Has a function answer its [`Function::REHEARSAL`]. Each answer is a success; there are none where the function cannot be
/// set up or no token can be made.
pub async fn rehearse<F: Function>(env: &Env<'_>) -> Vec<Answer> {
    let Ok(token) = NewToken::generate(Random::OS) else { return Vec::new() };
    let digest = token.hash().as_str().to_owned();
    let env =
        Env::from_fn(|name| if name == ADMIN_TOKEN_SHA256 { Some(digest.clone()) } else { env.get(name) });
    let Ok(dynamodb) = client::with_http_client(&env, prepared_store(&digest)) else { return Vec::new() };
    let Ok(function) = F::new(&env, Resources { dynamodb, random: Random::OS }) else { return Vec::new() };
    let authorization = format!("Bearer {}", token.reveal());
    let (format, level) = logging::settings(&env);
    let answers = async {
        let mut answers = Vec::new();
        for call in F::REHEARSAL {
            let Ok(payload) = to_raw_value(&event(call, &authorization)) else { continue };
            let mut context = Context::default();
            context.request_id = ID.to_owned();
            answers.push(invoke(&function, LambdaEvent::new(payload, context)).await);
        }
        answers
    };
    answers.with_subscriber(logging::subscriber(format, level, io::sink)).await
}

/// What API Gateway makes of the call.
fn event(call: &Call, authorization: &str) -> Value {
    let mut event = json!({
        "version": "2.0", "routeKey": "$default", "rawPath": "/", "rawQueryString": "",
        "headers": {"content-type": "application/json", "host": "localhost"},
        "requestContext": {
            "accountId": "-", "apiId": "-", "domainName": "localhost", "domainPrefix": "localhost",
            "http": {"method": "POST", "path": "/", "protocol": "HTTP/1.1", "sourceIp": "127.0.0.1", "userAgent": "-"},
            "requestId": "-", "routeKey": "$default", "stage": "$default", "time": "-", "timeEpoch": 0
        },
        "pathParameters": {"id": ID},
        "body": call.body, "isBase64Encoded": false
    });
    if let (true, Some(headers)) = (call.bearer, event.pointer_mut("/headers").and_then(Value::as_object_mut))
    {
        headers.insert("authorization".to_owned(), authorization.into());
    }
    event
}

/// A workspace with its door open and one API token.
fn item(token_digest: &str) -> Value {
    json!({
        "workspace_id": {"S": ID}, "status": {"S": "online"}, "name": {"S": "-"}, "external": {"BOOL": false},
        "url": {"S": "https://agent.example.com"}, "agent_card": {"S": "{}"}, "created_at": {"S": "-"},
        "created_op": {"S": "-"}, "registered_at": {"S": "-"}, "registered_by": {"S": "owner"}, "epoch": {"N": "1"},
        "api_tokens": {"M": {token_digest: {"M": {"minted_at": {"S": "-"}}}}}
    })
}

/// A store that is not there: every request is answered at once.
fn prepared_store(token_digest: &str) -> SharedHttpClient {
    let item = item(token_digest);
    let found = json!({"Item": item, "Attributes": item}).to_string();
    let failed = json!({"__type": "ConditionalCheckFailedException", "Item": item}).to_string();
    let connector = SharedHttpConnector::new(Prepared { found, failed });
    http_client_fn(move |_, _| connector.clone())
}

#[derive(Debug)]
struct Prepared {
    found: String,
    failed: String,
}

impl HttpConnector for Prepared {
    fn call(&self, request: HttpRequest) -> HttpConnectorFuture {
        let body = request.body().bytes().and_then(|body| std::str::from_utf8(body).ok());
        let (status, reply) = match body {
            Some(body) if body.contains(OF_THE_OWNER) => (400, &self.failed),
            _ => (200, &self.found),
        };
        let status = StatusCode::try_from(status).map_err(|error| ConnectorError::user(error.into()));
        HttpConnectorFuture::ready(status.map(|status| HttpResponse::new(status, reply.clone().into())))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::guard::Registration;
    use crate::schema::Update;
    use crate::time::Now;
    use crate::token::TokenHash;

    #[test]
    fn the_store_knows_an_owner_s_refresh() {
        let registration = Registration { url: None, agent_card: "{}" };
        let refresh = Update::refresh(&TokenHash::of("owner"), &registration, Now::read());
        assert!(refresh.condition().contains(OF_THE_OWNER));
    }
}

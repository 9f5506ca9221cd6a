//! From any event to its answer, for every function: events as API Gateway makes them of any request, direct payloads, and
//! any bytes. The functions run in this process on an embedded engine, which is well: so nothing may be a 5xx.

#![no_main]

use arbitrary::{Arbitrary, Unstructured};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use libfuzzer_sys::fuzz_target;
use local::{Engine, Options, Registry};
use serde_json::{Map, Value, json};
use sha2::{Digest, Sha256};
use std::cell::RefCell;
use tokio::runtime::Runtime;

/// One input is a short history: later steps meet what earlier ones did. Of each choice the first is the one that fits: it
/// is what an input that has run out of bytes says.
#[derive(Arbitrary, Debug)]
struct History {
    steps: Vec<Step>,
}

#[derive(Arbitrary, Debug)]
struct Step {
    function: Function,
    event: Event,
}

#[derive(Arbitrary, Debug, Clone, Copy)]
enum Function {
    Create,
    Register,
    Revoke,
    HandOver,
    Mint,
    Get,
    State,
    Heartbeat,
    Discover,
    Peers,
    List,
    OwnerMint,
    OwnerEnd,
    Rotate,
    EndToken,
    Remove,
    Authorize,
}

#[derive(Arbitrary, Debug)]
enum Event {
    Http(Http),
    /// What a direct caller of the function sends, with these fields changed.
    UsualDirect(u8, Fields),
    Direct(Fields),
    DirectText(String),
    Bytes(Vec<u8>),
}

#[derive(Arbitrary, Debug)]
struct Http {
    is_delete: bool,
    id: Id,
    bearer: Bearer,
    headers: Vec<(Header, String)>,
    cookies: Vec<String>,
    query: String,
    body: Body,
    is_base64: bool,
    domain: u8,
    stage: u8,
    user_agent: Option<String>,
}

#[derive(Arbitrary, Debug)]
enum Id {
    Known(u8),
    Text(String),
    Missing,
}

#[derive(Arbitrary, Debug)]
enum Bearer {
    /// The admin's where the function asks for it, else one that was shown.
    Fit(u8),
    None,
    Admin,
    Shown(u8),
    Chosen(u8),
    Text(String),
    Basic(String),
    Twice,
}

#[derive(Arbitrary, Debug)]
enum Header {
    ContentType,
    IdempotencyKey,
    ForwardedProto,
    TraceId,
    ContentLength,
    WorkspaceId,
    Other(String),
}

#[derive(Arbitrary, Debug)]
enum Body {
    /// What the function asks for.
    Fit,
    /// The same with these fields changed.
    Usual(Fields),
    None,
    Fields(Fields),
    Text(String),
    Bytes(Vec<u8>),
    Long(u16),
}

#[derive(Arbitrary, Debug)]
struct Fields(Vec<(Field, Any)>);

#[derive(Arbitrary, Debug)]
enum Field {
    Known(u8),
    Other(String),
}

const FIELDS: [&str; 31] = [
    "id",
    "name",
    "role",
    "tier",
    "runtime",
    "parent_id",
    "url",
    "external",
    "compute",
    "instance_type",
    "volume_root_gb",
    "auth_token_sha256",
    "bootstrap",
    "agent_card",
    "scope",
    "operation_id",
    "expected_epoch",
    "workspace_id",
    "action",
    "successor_token_sha256",
    "expires_in_seconds",
    "current_task",
    "active_tasks",
    "error_rate",
    "sample_error",
    "uptime_seconds",
    "requestContext",
    "routeArn",
    "body",
    "headers",
    "version",
];

#[derive(Arbitrary, Debug)]
enum Any {
    Null,
    Bool(bool),
    Small(u8),
    Number(i64),
    Float(f64),
    Text(String),
    Word(u8),
    Id(u8),
    Hash(u8),
    Long(u16),
    Deep(u8),
    Fields(Box<Fields>),
    List(Vec<Any>),
}

const WORDS: [&str; 16] = [
    "closed",
    "open",
    "all",
    "owner",
    "api",
    "hand_over",
    "cancel",
    "sealed",
    "remote://no-inbound",
    "https://a.example",
    "http://127.1",
    "http://[::ffff:10.0.0.1]",
    "op-1",
    "op-2",
    "#owner_hash",
    "localhost",
];

/// What is kept from step to step.
struct World {
    registry: Registry,
    admin: String,
    histories: u64,
}

/// A registry is made anew after so many histories: its table must not fill the memory.
const HISTORIES: u64 = 5_000;
const STEPS: usize = 8;
const CODES: [&str; 16] = [
    "invalid_json",
    "invalid_request",
    "missing_token",
    "invalid_token",
    "workspace_not_found",
    "workspace_exists",
    "token_limit_reached",
    "epoch_changed",
    "operation_id_reused",
    "hand_over_pending",
    "workspace_removed",
    "payload_too_large",
    "hash_in_use",
    "contended",
    "insufficient_scope",
    "",
];
const ERROR_TYPES: [&str; 7] = [
    "InvalidPayload",
    "EpochChanged",
    "WorkspaceNotFound",
    "WorkspaceRemoved",
    "OperationIdReused",
    "HashInUse",
    // Lambda's own, for bytes that are not JSON.
    "InvalidRequestContentException",
];

impl Function {
    fn name(self) -> &'static str {
        match self {
            Self::Create => "create-workspace",
            Self::Register => "register",
            Self::Revoke | Self::EndToken => "admin-revoke",
            Self::HandOver => "admin-hand-over",
            Self::Mint => "admin-mint-token",
            Self::Get | Self::State => "get-workspace",
            Self::Heartbeat => "heartbeat",
            Self::Discover | Self::Peers => "discover",
            Self::List => "admin-list",
            Self::OwnerMint | Self::OwnerEnd | Self::Rotate => "owner-tokens",
            Self::Remove => "admin-remove",
            Self::Authorize => "authorize",
        }
    }

    fn route(self, is_delete: bool) -> (&'static str, &'static str) {
        match self {
            Self::Create => ("POST", "/workspaces"),
            Self::Register => ("POST", "/registry/register"),
            Self::Revoke => ("POST", "/admin/workspaces/{id}/revoke-auth-tokens"),
            Self::HandOver if is_delete => ("DELETE", "/admin/workspaces/{id}/hand-over"),
            Self::HandOver => ("POST", "/admin/workspaces/{id}/hand-over"),
            Self::Mint => ("POST", "/admin/workspaces/{id}/tokens"),
            Self::Get => ("GET", "/workspaces/{id}"),
            Self::State => ("GET", "/workspaces/{id}/state"),
            Self::Heartbeat => ("POST", "/registry/heartbeat"),
            Self::Discover => ("GET", "/registry/discover/{id}"),
            Self::Peers => ("GET", "/registry/{id}/peers"),
            Self::List => ("GET", "/workspaces"),
            Self::OwnerMint => ("POST", "/workspaces/{id}/tokens"),
            Self::OwnerEnd => ("DELETE", "/workspaces/{id}/tokens/{token_id}"),
            Self::Rotate => ("POST", "/workspaces/{id}/rotate"),
            Self::EndToken => ("DELETE", "/admin/workspaces/{id}/tokens/{token_id}"),
            Self::Remove => ("DELETE", "/workspaces/{id}"),
            // A route of somebody else's API.
            Self::Authorize => ("GET", "/{id}/notes"),
        }
    }

    /// The least that a direct caller sends.
    fn usual_direct(self, id: &str) -> Value {
        match self {
            Self::HandOver => json!({"workspace_id": id, "successor_token_sha256": hash(&chosen(0))}),
            Self::Create
            | Self::Register
            | Self::Revoke
            | Self::Mint
            | Self::Get
            | Self::State
            | Self::Heartbeat
            | Self::Discover
            | Self::Peers
            | Self::List
            | Self::OwnerMint
            | Self::OwnerEnd
            | Self::Rotate
            | Self::EndToken
            | Self::Remove
            | Self::Authorize => json!({"workspace_id": id}),
        }
    }

    fn is_for_admins(self) -> bool {
        !matches!(
            self,
            Self::Register
                | Self::Get
                | Self::State
                | Self::Heartbeat
                | Self::Discover
                | Self::Peers
                | Self::OwnerMint
                | Self::OwnerEnd
                | Self::Rotate
                | Self::Authorize
        )
    }

    fn usual(self, id: &str) -> Value {
        match self {
            Self::Create => json!({"id": id, "name": "n"}),
            Self::Register => json!({"id": id, "agent_card": {}, "url": "https://a.example"}),
            Self::HandOver => json!({"successor_token_sha256": hash(&chosen(0))}),
            Self::Heartbeat => json!({"workspace_id": id, "current_task": "t", "error_rate": 0.5}),
            Self::Revoke
            | Self::Mint
            | Self::Get
            | Self::State
            | Self::Discover
            | Self::Peers
            | Self::List
            | Self::OwnerEnd
            | Self::EndToken
            | Self::Remove
            | Self::Authorize => json!({}),
            Self::OwnerMint => json!({"name": "n", "expires_in_seconds": 60}),
            Self::Rotate => json!({"expires_in_seconds": 60}),
        }
    }
}

/// Tokens that callers made.
fn chosen(number: u8) -> String {
    format!("chosen~token~of~more~than~32~characters~{}", number % 4)
}

fn hash(text: &str) -> String {
    Sha256::digest(text).iter().map(|byte| format!("{byte:02x}")).collect()
}

/// An id of this history alone.
fn known_id(history: u64, number: u8) -> String {
    format!("h{history}-{}", number % 3)
}

fn value(any: &Any, history: u64, depth: u8) -> Value {
    match any {
        Any::Null => Value::Null,
        Any::Bool(bool) => json!(bool),
        Any::Small(number) => json!(number),
        Any::Number(number) => json!(number),
        Any::Float(number) => json!(number),
        Any::Text(text) => json!(text),
        Any::Word(number) => json!(WORDS[usize::from(*number) % WORDS.len()]),
        Any::Id(number) => json!(known_id(history, *number)),
        Any::Hash(number) => json!(hash(&chosen(*number))),
        Any::Long(length) => json!("x".repeat(usize::from(*length))),
        Any::Deep(levels) => (0..*levels).fold(json!({}), |inner, _| json!({"x": inner})),
        Any::Fields(_) | Any::List(_) if depth == 0 => Value::Null,
        Any::Fields(fields) => object(fields, history, depth - 1),
        Any::List(list) => list.iter().map(|any| value(any, history, depth - 1)).collect(),
    }
}

fn object(fields: &Fields, history: u64, depth: u8) -> Value {
    let mut map = Map::new();
    for (field, any) in &fields.0 {
        let name = match field {
            Field::Known(number) => FIELDS[usize::from(*number) % FIELDS.len()].to_owned(),
            Field::Other(name) => name.clone(),
        };
        map.insert(name, value(any, history, depth));
    }
    Value::Object(map)
}

fn with(mut body: Value, changed: &Fields, history: u64) -> Value {
    if let (Some(body), Value::Object(changed)) = (body.as_object_mut(), object(changed, history, 3)) {
        body.extend(changed);
    }
    body
}

/// The event that API Gateway makes of a request, or somebody who has seen one: well-formed where the caller has no say.
fn http_event(http: &Http, function: Function, history: u64, admin: &str, shown: &[String]) -> Value {
    let id = match &http.id {
        Id::Known(number) => Some(known_id(history, *number)),
        Id::Text(text) => Some(text.clone()),
        Id::Missing => None,
    };
    let (method, route) = function.route(http.is_delete);
    let encoded: String = id.iter().flat_map(|id| id.bytes()).map(|byte| format!("%{byte:02X}")).collect();
    let path = route.replace("{id}", &encoded);
    let domain = [
        "registry.example.com",
        "a1b2.execute-api.eu-west-1.amazonaws.com",
        "127.0.0.1:9000",
        "[::1]:80",
        "",
        "a b",
        "[::1",
        "a:99999",
    ];
    let domain = domain[usize::from(http.domain) % domain.len()];
    // Nobody but API Gateway chooses it, but whoever may invoke a function can: longer than any URI may be.
    let long = "s".repeat(70_000);
    let stage = ["$default", "prod", "v1", "a b", "", &long][usize::from(http.stage) % 6];

    let mut headers = Map::new();
    for (header, text) in &http.headers {
        let name = match header {
            Header::ContentType => "content-type",
            Header::IdempotencyKey => "idempotency-key",
            Header::ForwardedProto => "x-forwarded-proto",
            Header::TraceId => "x-amzn-trace-id",
            Header::ContentLength => "content-length",
            Header::WorkspaceId => "x-workspace-id",
            Header::Other(name) => name,
        };
        // The gateway lets no control characters through.
        let text: String = text.chars().filter(|c| !c.is_control()).collect();
        let is_name = !name.is_empty() && name.bytes().all(|b| b.is_ascii_lowercase() || b == b'-');
        if is_name && name != "authorization" && name != "host" && name != "cookie" {
            headers.insert(name.to_owned(), json!(text));
        }
    }
    headers.insert("host".to_owned(), json!(domain));
    if matches!(function, Function::Discover) {
        headers.entry("x-workspace-id").or_insert_with(|| json!(known_id(history, 0)));
    }
    let plain = |text: &str| text.chars().filter(|c| !c.is_control()).collect::<String>();
    let authorization = match &http.bearer {
        Bearer::None => None,
        Bearer::Fit(_) if function.is_for_admins() => Some(format!("Bearer {admin}")),
        Bearer::Admin => Some(format!("Bearer {admin}")),
        Bearer::Fit(number) | Bearer::Shown(number) => {
            shown.get(usize::from(*number) % shown.len().max(1)).map(|token| format!("bearer {token}"))
        }
        Bearer::Chosen(number) => Some(format!("Bearer {}", chosen(*number))),
        Bearer::Text(text) => Some(format!("Bearer {}", plain(text))),
        Bearer::Basic(text) => Some(plain(text)),
        Bearer::Twice => Some(format!("Bearer {admin},Bearer {admin}")),
    };
    if let Some(authorization) = authorization {
        headers.insert("authorization".to_owned(), json!(authorization));
    }

    let usual_id = id.clone().unwrap_or_default();
    let body = match &http.body {
        Body::Fit => Some(function.usual(&usual_id).to_string().into_bytes()),
        Body::Usual(changed) => {
            Some(with(function.usual(&usual_id), changed, history).to_string().into_bytes())
        }
        Body::None => None,
        Body::Fields(fields) => Some(object(fields, history, 3).to_string().into_bytes()),
        Body::Text(text) => Some(text.clone().into_bytes()),
        Body::Bytes(bytes) => Some(bytes.clone()),
        Body::Long(length) => Some("9".repeat(usize::from(*length) * 2).into_bytes()),
    };
    let (body, is_base64) = match body {
        None => (Value::Null, false),
        Some(bytes) => match String::from_utf8(bytes) {
            Ok(text) if !http.is_base64 => (json!(text), false),
            Ok(text) => (json!(STANDARD.encode(text)), true),
            Err(error) => (json!(STANDARD.encode(error.into_bytes())), true),
        },
    };
    let cookies: Vec<_> = http.cookies.iter().map(|cookie| plain(cookie)).collect();
    let mut event = json!({
        "version": "2.0", "routeKey": format!("{method} {route}"), "rawPath": path, "rawQueryString": http.query,
        "headers": headers, "isBase64Encoded": is_base64, "body": body,
        "requestContext": {
            "accountId": "000000000000", "apiId": "a1b2", "domainName": domain, "domainPrefix": "a1b2",
            "http": {"method": method, "path": path, "protocol": "HTTP/1.1", "sourceIp": "192.0.2.1",
                "userAgent": http.user_agent},
            "requestId": "JKJaXmPLvHcESHA=", "routeKey": format!("{method} {route}"), "stage": stage,
            "time": "10/Mar/2020:05:16:23 +0000", "timeEpoch": 1_583_817_383_220_i64
        }
    });
    if !cookies.is_empty() {
        event["cookies"] = json!(cookies);
    }
    if !http.query.is_empty() {
        event["queryStringParameters"] =
            json!({"after": http.query, "limit": http.query, "parent_id": http.query});
    }
    if let Some(id) = id {
        event["pathParameters"] = json!({"id": id});
        if route.contains("{token_id}") {
            let hash = hash(&chosen(0));
            event["pathParameters"]["token_id"] = match http.domain % 3 {
                0 => json!(format!("sha256:{}", &hash[..16])),
                1 => json!("wsr_00000000"),
                _ => json!(http.query),
            };
        }
    }
    event
}

/// The bytes of an event, and whether it is certainly an HTTP API's.
fn bytes(step: &Step, history: u64, admin: &str, shown: &[String]) -> (Vec<u8>, bool) {
    let bytes = match &step.event {
        Event::Http(http) => {
            let mut event = http_event(http, step.function, history, admin, shown);
            let is_http = !matches!(step.function, Function::Authorize);
            if !is_http {
                event["type"] = json!("REQUEST");
                event["routeArn"] =
                    json!("arn:aws:execute-api:eu-west-1:000000000000:a1b2/$default/GET/notes");
                event["identitySource"] = json!([event["headers"]["authorization"]]);
            }
            return (event.to_string().into_bytes(), is_http);
        }
        Event::UsualDirect(number, changed) => {
            let payload = step.function.usual_direct(&known_id(history, *number));
            with(payload, changed, history).to_string().into_bytes()
        }
        Event::Direct(fields) => object(fields, history, 3).to_string().into_bytes(),
        Event::DirectText(text) => text.clone().into_bytes(),
        Event::Bytes(bytes) => bytes.clone(),
    };
    (bytes, false)
}

async fn start() -> World {
    let options = Options { port: 0, engine: Engine::Memory, ..Options::default() };
    let registry = Registry::start(options).await.expect("a registry");
    let admin = registry.admin_token().expose().to_owned();
    World { registry, admin, histories: 0 }
}

/// Creates a workspace: its token.
async fn create(world: &World, body: Value) -> String {
    let event = json!({
        "version": "2.0", "routeKey": "POST /workspaces", "rawPath": "/workspaces", "rawQueryString": "",
        "headers": {"host": "a.example", "authorization": format!("Bearer {}", world.admin)},
        "requestContext": {"http": {"method": "POST", "path": "/workspaces"}, "stage": "$default"},
        "body": body.to_string(), "isBase64Encoded": false
    });
    let answer = world.registry.invoke("create-workspace", event.to_string().into_bytes()).await;
    let answer: Value =
        serde_json::from_slice(&answer.expect("a function").expect("an answer")).expect("JSON");
    let body: Value = serde_json::from_str(answer["body"].as_str().expect("a body")).expect("JSON");
    body["auth_token"].as_str().unwrap_or_else(|| panic!("no token in {answer}")).to_owned()
}

async fn run(world: &World, input: &History) {
    // A workspace with an owner, and one with its door open.
    let mut shown: Vec<String> =
        vec![create(world, json!({"id": known_id(world.histories, 0), "name": "n"})).await];
    create(world, json!({"id": known_id(world.histories, 1), "name": "n", "bootstrap": "open"})).await;
    for step in input.steps.iter().take(STEPS) {
        let (event, is_http) = bytes(step, world.histories, &world.admin, &shown);
        let outcome = world.registry.invoke(step.function.name(), event).await.expect("a function");
        let mut text = String::from_utf8(match &outcome {
            Ok(text) | Err(text) => text.clone(),
        })
        .expect("UTF-8");
        let said: Value = serde_json::from_str(&text).expect("JSON");
        let mut new = None;
        if outcome.is_ok() && (is_http || said["statusCode"].is_u64()) {
            let status = said["statusCode"].as_u64().expect("a status");
            assert!((200..500).contains(&status), "{status}: {text}");
            assert_eq!(said["headers"]["cache-control"], "no-store", "{text}");
            let body: Value = serde_json::from_str(said["body"].as_str().expect("a body")).expect("JSON");
            let code = body["code"].as_str().unwrap_or_default();
            assert!(CODES.contains(&code), "{code}");
            assert_eq!(status >= 400, !code.is_empty(), "{text}");
            assert_eq!(matches!(status, 401 | 403), !said["headers"]["www-authenticate"].is_null(), "{text}");
            let token =
                [&body["auth_token"], &body["connection"]["auth_token"]].into_iter().find_map(Value::as_str);
            if let Some(token) = token {
                assert_eq!(text.matches(token).count(), 1, "a token is shown once");
                assert!(status < 300);
                text = text.replacen(token, "", 1);
                new = Some(token.to_owned());
            }
        } else if matches!(step.function, Function::Authorize) && outcome.is_ok() {
            let is_authorized = said["isAuthorized"].as_bool().expect("a yes or a no");
            assert_eq!(is_authorized, said["context"]["token_id"].is_string(), "{text}");
        } else if outcome.is_err() {
            let kind = said["errorType"].as_str().expect("a type");
            assert!(ERROR_TYPES.contains(&kind), "{text}");
        }
        shown.extend(new);
        for secret in shown.iter().chain([&world.admin]) {
            assert!(!text.contains(secret.as_str()), "a secret is shown: {text}");
            assert!(!text.contains(&hash(secret)), "a hash is shown: {text}");
        }
    }
}

thread_local! {
    static RUNTIME: Runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
    static WORLD: RefCell<Option<World>> = const { RefCell::new(None) };
}

fuzz_target!(|bytes: &[u8]| {
    let Ok(input) = History::arbitrary_take_rest(Unstructured::new(bytes)) else { return };
    RUNTIME.with(|runtime| {
        WORLD.with_borrow_mut(|world| {
            runtime.block_on(async {
                let mut at_work = match world.take() {
                    Some(world) if world.histories < HISTORIES => world,
                    Some(world) => {
                        world.registry.stop().await;
                        start().await
                    }
                    None => start().await,
                };
                at_work.histories += 1;
                run(&at_work, &input).await;
                *world = Some(at_work);
            });
        });
    });
});

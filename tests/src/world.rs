//! A registry of its own for each test, and the callers' side of it. What goes in and comes out is recorded; when the
//! test is over, responses, log lines, panic messages and the table are searched for the secrets of the test.

use std::collections::{BTreeSet, HashMap};
use std::io::Write;
use std::sync::{Arc, LazyLock, Mutex, OnceLock};

use aws_sdk_dynamodb::types::AttributeValue;
use domain::agent_url::AgentUrlPolicy;
use domain::random::Random;
use domain::tree::Roots;
use local::{AdminToken, EmbeddedEngine, Engine, Options, ProtectedApi, Registry};
use reqwest::Method;
use serde_json::{Value, json};
use sha2::{Digest, Sha256};
use shared::lambda::logging::{LogFormat, subscriber};
use tracing::level_filters::LevelFilter;

use crate::proxy::Proxy;
use crate::secrets;

pub type Item = HashMap<String, AttributeValue>;

const TEMPLATE: &str = include_str!("../../template.yaml");

/// The variable that names another engine.
pub const DYNAMODB_ENDPOINT: &str = "DYNAMODB_ENDPOINT";

/// What a caller got back.
#[derive(Clone, Debug)]
pub struct Reply {
    pub status: u16,
    pub headers: reqwest::header::HeaderMap,
    pub text: String,
    pub json: Value,
}

impl Reply {
    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers.get(name).and_then(|value| value.to_str().ok())
    }

    /// The `code` of an error.
    pub fn code(&self) -> &str {
        self.json["code"].as_str().unwrap_or_default()
    }

    pub fn epoch(&self) -> u64 {
        self.json["epoch"].as_u64().unwrap_or_else(|| panic!("no epoch in {self:?}"))
    }

    /// The token that this response shows.
    pub fn token(&self) -> String {
        let token = [&self.json["auth_token"], &self.json["connection"]["auth_token"]];
        let token = token.into_iter().find_map(Value::as_str);
        token.unwrap_or_else(|| panic!("no token in {}: {}", self.status, self.text)).to_owned()
    }
}

/// A route of the contract.
#[derive(Clone, Debug)]
pub struct Route {
    pub method: Method,
    pub path: String,
    /// The admin token, and nothing else, is accepted.
    pub is_admin: bool,
    /// A body that is fine, with no more in it than has to be; `None` where none is read.
    pub body: Option<Value>,
}

impl std::fmt::Display for Route {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{} {}", self.method, self.path)
    }
}

/// All routes, those of one workspace for this one. Asked in this order, each succeeds.
pub fn routes(id: &str) -> [Route; 17] {
    let of = |rest: &str| format!("/admin/workspaces/{id}/{rest}");
    let successor = json!({"successor_token_sha256": sha256("a successor's token")});
    let registration = json!({"id": id, "agent_card": {}});
    // No token has it.
    let token_id = if id == "{id}" { "{token_id}" } else { "wsr_00000000" };
    [
        (Method::POST, "/workspaces".to_owned(), true, Some(json!({"name": "x"}))),
        (Method::POST, "/registry/register".to_owned(), false, Some(registration)),
        (Method::POST, "/registry/heartbeat".to_owned(), false, Some(json!({"workspace_id": id}))),
        (Method::GET, format!("/workspaces/{id}/state"), false, None),
        (Method::GET, format!("/registry/discover/{id}"), false, None),
        (Method::GET, format!("/registry/{id}/peers"), false, None),
        (Method::GET, "/workspaces".to_owned(), true, None),
        (Method::POST, format!("/workspaces/{id}/tokens"), false, Some(json!({}))),
        (Method::DELETE, format!("/workspaces/{id}/tokens/{token_id}"), false, None),
        (Method::POST, format!("/workspaces/{id}/rotate"), false, Some(json!({}))),
        (Method::DELETE, of(&format!("tokens/{token_id}")), true, Some(json!({}))),
        (Method::POST, of("hand-over"), true, Some(successor)),
        (Method::DELETE, of("hand-over"), true, Some(json!({}))),
        (Method::POST, of("tokens"), true, Some(json!({}))),
        (Method::GET, format!("/workspaces/{id}"), false, None),
        (Method::POST, of("revoke-auth-tokens"), true, Some(json!({}))),
        (Method::DELETE, format!("/workspaces/{id}"), true, Some(json!({}))),
    ]
    .map(|(method, path, is_admin, body)| Route { method, path, is_admin, body })
}

/// How a world differs from the usual.
pub struct Setup {
    pub random: Random,
    pub agent_url_policy: AgentUrlPolicy,
    pub platform_url: Option<String>,
    pub roots: Roots,
    pub protected_apis: Vec<ProtectedApi>,
}

impl Default for Setup {
    fn default() -> Self {
        let (agent_url_policy, roots) = (AgentUrlPolicy::Public, Roots::Strangers);
        let protected_apis = Vec::new();
        Self { random: Random::OS, agent_url_policy, platform_url: None, roots, protected_apis }
    }
}

pub struct World {
    pub registry: Registry,
    pub proxy: Proxy,
    pub http: reqwest::Client,
    pub dynamodb: aws_sdk_dynamodb::Client,
    admin: String,
    engine: Option<EmbeddedEngine>,
    said: Mutex<Vec<String>>,
    secrets: Mutex<Vec<String>>,
}

/// Runs one test in a world of its own and then searches what came out for its secrets (guarantee G8).
pub async fn test(body: impl AsyncFnOnce(&World)) {
    test_with(Setup::default(), body).await;
}

pub async fn test_with(setup: Setup, body: impl AsyncFnOnce(&World)) {
    let world = World::start(setup).await;
    body(&world).await;
    world.search_for_secrets().await;
    world.check_grants();
    world.registry.stop().await;
    if let Some(engine) = world.engine {
        engine.stop().await;
    }
}

impl World {
    async fn start(setup: Setup) -> Self {
        LazyLock::force(&LOG);
        LazyLock::force(&PANICS);
        let (engine, endpoint) = match external_endpoint() {
            Some(endpoint) => (None, endpoint),
            None => {
                let engine = EmbeddedEngine::start(None).await.unwrap();
                let endpoint = engine.endpoint().to_owned();
                (Some(engine), endpoint)
            }
        };
        let proxy = Proxy::start(&endpoint).await;
        let admin_token = AdminToken::generate();
        let admin = admin_token.expose().to_owned();
        let registry = Registry::start(Options {
            port: 0,
            engine: Engine::Endpoint(endpoint.clone()),
            table_name: format!("workspaces-{}", uuid::Uuid::new_v4()),
            admin_token,
            agent_url_policy: setup.agent_url_policy,
            platform_url: setup.platform_url,
            roots: setup.roots,
            random: setup.random,
            protected_apis: setup.protected_apis,
            store_endpoint: Some(proxy.url().to_owned()),
            ..Options::default()
        })
        .await
        .unwrap();
        proxy.take_seen();
        let http = reqwest::Client::builder().no_proxy().build().unwrap();
        let dynamodb = local::engine::client(&endpoint);
        let secrets = Mutex::new(vec![admin.clone()]);
        Self { registry, proxy, http, dynamodb, admin, engine, said: Mutex::default(), secrets }
    }

    /// Another registry on the same table, which does not go through the proxy.
    pub async fn second_registry(&self) -> Registry {
        Registry::start(self.options_of_another()).await.unwrap()
    }

    /// Another registry on the same table, behind a proxy of its own.
    pub async fn registry_behind_its_own_proxy(&self) -> (Proxy, Registry) {
        let proxy = Proxy::start(self.registry.dynamodb_endpoint()).await;
        let registry = self.registry_looking_at(proxy.url()).await;
        (proxy, registry)
    }

    /// Another registry on the same table, which looks for the store at this address.
    pub async fn registry_looking_at(&self, store: &str) -> Registry {
        let options = Options { store_endpoint: Some(store.to_owned()), ..self.options_of_another() };
        Registry::start(options).await.unwrap()
    }

    fn options_of_another(&self) -> Options {
        Options {
            port: 0,
            engine: Engine::Endpoint(self.registry.dynamodb_endpoint().to_owned()),
            table_name: self.registry.table_name().to_owned(),
            admin_token: AdminToken::parse(&self.admin).unwrap(),
            ..Options::default()
        }
    }

    pub fn admin(&self) -> &str {
        &self.admin
    }

    /// A new id that no other test uses.
    pub fn new_id(&self) -> String {
        format!("w-{}", uuid::Uuid::new_v4())
    }

    /// A token as a caller makes one, and its hash.
    pub fn chosen_token(&self) -> (String, String) {
        let token = format!("chosen~{}{}", uuid::Uuid::new_v4(), uuid::Uuid::new_v4());
        let hash = sha256(&token);
        self.keep_secret(&token);
        (token, hash)
    }

    pub fn keep_secret(&self, secret: &str) {
        self.secrets.lock().unwrap().push(secret.to_owned());
    }

    /// A request to this route, without a body so far.
    pub fn request(&self, route: &Route, bearer: Option<&str>) -> reqwest::RequestBuilder {
        let url = format!("{}{}", self.registry.url(), route.path);
        let request = authorized(self.http.request(route.method.clone(), url), bearer);
        match route.path.strip_prefix("/registry/discover/") {
            // The caller asks where it is itself.
            Some(id) => request.header("x-workspace-id", id),
            None => request,
        }
    }

    /// The bearer that this route accepts: the admin token, or the owner's.
    pub fn bearer_for<'a>(&'a self, route: &Route, owner: &'a str) -> Option<&'a str> {
        Some(if route.is_admin { &self.admin } else { owner })
    }

    /// Sends a request and records the response. The token that it may show becomes a secret from here on.
    pub async fn send(&self, request: reqwest::RequestBuilder) -> Reply {
        let response = request.send().await.unwrap();
        let (status, headers) = (response.status().as_u16(), response.headers().clone());
        let text = response.text().await.unwrap();
        let json: Value = serde_json::from_str(&text).unwrap_or(Value::Null);
        let reply = Reply { status, headers, text, json };
        self.record(&reply);
        reply
    }

    fn record(&self, reply: &Reply) {
        let mut said = format!("{} {:?}\n{}", reply.status, reply.headers, reply.text);
        for shown in [&reply.json["auth_token"], &reply.json["connection"]["auth_token"]] {
            if let Some(token) = shown.as_str() {
                assert_eq!(reply.text.matches(token).count(), 1, "a token is shown exactly once");
                self.keep_secret(token);
                said = said.replacen(token, "<the token, shown this once>", 1);
            }
        }
        self.said.lock().unwrap().push(said);
    }

    pub async fn post(&self, path: &str, bearer: Option<&str>, body: impl Into<Value>) -> Reply {
        self.post_to(&self.registry, path, bearer, body).await
    }

    pub async fn post_to(
        &self,
        registry: &Registry,
        path: &str,
        bearer: Option<&str>,
        body: impl Into<Value>,
    ) -> Reply {
        let request = self.http.post(format!("{}{path}", registry.url())).json(&body.into());
        self.send(authorized(request, bearer)).await
    }

    pub async fn get(&self, path: &str, bearer: Option<&str>) -> Reply {
        let request = self.http.get(format!("{}{path}", self.registry.url()));
        self.send(authorized(request, bearer)).await
    }

    pub async fn create(&self, body: Value) -> Reply {
        self.post("/workspaces", Some(&self.admin), body).await
    }

    /// A spawned workspace: its id and its owner token.
    pub async fn spawned(&self) -> (String, String) {
        let id = self.new_id();
        let reply = self.create(json!({"id": id, "name": "spawned"})).await;
        assert_eq!(reply.status, 201, "{}", reply.text);
        (id, reply.token())
    }

    /// An external workspace with its door open.
    pub async fn open(&self) -> String {
        let id = self.new_id();
        let body = json!({"id": id, "name": "open", "external": true, "url": "https://source.example"});
        assert_eq!(self.create(body).await.status, 201);
        id
    }

    /// A spawned workspace with this parent: its id and its owner token.
    pub async fn child_of(&self, parent: &str) -> (String, String) {
        let id = self.new_id();
        let reply = self.create(json!({"id": id, "name": "child", "parent_id": parent})).await;
        assert_eq!(reply.status, 201, "{}", reply.text);
        (id, reply.token())
    }

    /// Asks where this workspace is, as another one.
    pub async fn discover(&self, id: &str, caller: &str, bearer: Option<&str>) -> Reply {
        let request = self.http.get(format!("{}/registry/discover/{id}", self.registry.url()));
        self.send(authorized(request, bearer).header("x-workspace-id", caller)).await
    }

    /// One page of a workspace's peers.
    pub async fn peers(&self, id: &str, bearer: Option<&str>) -> Reply {
        self.get(&format!("/registry/{id}/peers"), bearer).await
    }

    pub async fn register(&self, bearer: Option<&str>, body: Value) -> Reply {
        self.post("/registry/register", bearer, body).await
    }

    /// Registers with a URL and some card.
    pub async fn register_url(&self, id: &str, bearer: Option<&str>, url: &str) -> Reply {
        self.register(bearer, json!({"id": id, "url": url, "agent_card": {"name": "agent"}})).await
    }

    pub async fn revoke(&self, id: &str, body: Value) -> Reply {
        self.post(&format!("/admin/workspaces/{id}/revoke-auth-tokens"), Some(&self.admin), body).await
    }

    pub async fn hand_over(&self, id: &str, body: Value) -> Reply {
        self.post(&format!("/admin/workspaces/{id}/hand-over"), Some(&self.admin), body).await
    }

    /// Hands over to a token that the successor made: the token, and the epoch from which the flip proof counts.
    pub async fn handed_over(&self, id: &str) -> (String, u64) {
        let (token, hash) = self.chosen_token();
        let reply = self.hand_over(id, json!({"successor_token_sha256": hash})).await;
        assert_eq!(
            (reply.status, &reply.json["status"]),
            (200, &json!("hand_over_pending")),
            "{}",
            reply.text
        );
        (token, reply.epoch())
    }

    pub async fn cancel(&self, id: &str, body: Value) -> Reply {
        let url = format!("{}/admin/workspaces/{id}/hand-over", self.registry.url());
        self.send(self.http.delete(url).bearer_auth(&self.admin).json(&body)).await
    }

    /// A heartbeat with nothing to report.
    pub async fn beat(&self, id: &str, bearer: Option<&str>) -> Reply {
        self.post("/registry/heartbeat", bearer, json!({"workspace_id": id})).await
    }

    pub async fn state(&self, id: &str, bearer: Option<&str>) -> Reply {
        self.get(&format!("/workspaces/{id}/state"), bearer).await
    }

    pub async fn remove(&self, id: &str, body: Value) -> Reply {
        let url = format!("{}/workspaces/{id}", self.registry.url());
        self.send(self.http.delete(url).bearer_auth(&self.admin).json(&body)).await
    }

    pub async fn mint(&self, id: &str, body: Value) -> Reply {
        self.post(&format!("/admin/workspaces/{id}/tokens"), Some(&self.admin), body).await
    }

    /// An owner names its own next token.
    pub async fn rotate(&self, id: &str, bearer: &str, body: Value) -> Reply {
        self.post(&format!("/workspaces/{id}/rotate"), Some(bearer), body).await
    }

    /// An operator ends one token.
    pub async fn end_token(&self, id: &str, token_id: &str, body: Value) -> Reply {
        let url = format!("{}/admin/workspaces/{id}/tokens/{token_id}", self.registry.url());
        self.send(self.http.delete(url).bearer_auth(&self.admin).json(&body)).await
    }

    /// An owner ends an API token.
    pub async fn owner_ends(&self, id: &str, bearer: &str, token_id: &str) -> Reply {
        let url = format!("{}/workspaces/{id}/tokens/{token_id}", self.registry.url());
        self.send(authorized(self.http.delete(url), Some(bearer))).await
    }

    pub async fn show(&self, id: &str) -> Value {
        let reply = self.get(&format!("/workspaces/{id}"), Some(&self.admin)).await;
        assert_eq!(reply.status, 200, "{}", reply.text);
        reply.json
    }

    /// Invokes a function directly, through the Lambda Invoke API: its answer, or its function error.
    pub async fn invoke(&self, function: &str, payload: impl Into<Value>) -> Result<Value, Value> {
        self.invoke_on(&self.registry, function, payload).await
    }

    pub async fn invoke_on(
        &self,
        registry: &Registry,
        function: &str,
        payload: impl Into<Value>,
    ) -> Result<Value, Value> {
        let url = format!("{}/2015-03-31/functions/{function}/invocations", registry.url());
        let reply = self.send(self.http.post(url).body(payload.into().to_string())).await;
        assert_eq!(reply.status, 200, "{}", reply.text);
        match reply.header("x-amz-function-error") {
            None => Ok(reply.json),
            Some(_) => Err(reply.json),
        }
    }

    /// What the table holds, read past the proxy.
    pub async fn item(&self, id: &str) -> Option<Item> {
        let request = self.dynamodb.get_item().table_name(self.registry.table_name()).consistent_read(true);
        request.key("workspace_id", AttributeValue::S(id.to_owned())).send().await.unwrap().item
    }

    /// Everything in the table.
    pub async fn items(&self) -> Vec<Item> {
        let request = self.dynamodb.scan().table_name(self.registry.table_name()).consistent_read(true);
        // A page holds 1 MB at most.
        let (mut items, mut start) = (Vec::new(), None);
        loop {
            let page = request.clone().set_exclusive_start_key(start).send().await.unwrap();
            items.extend(page.items.unwrap_or_default());
            start = page.last_evaluated_key;
            if start.is_none() {
                return items;
            }
        }
    }

    pub async fn put(&self, item: Item) {
        let request = self.dynamodb.put_item().table_name(self.registry.table_name());
        request.set_item(Some(item)).send().await.unwrap();
    }

    /// Changes one attribute of an item, as an operator at the console might.
    pub async fn tamper(&self, id: &str, change: impl FnOnce(&mut Item)) {
        let mut item = self.item(id).await.unwrap();
        change(&mut item);
        self.put(item).await;
    }

    /// Moves the expiry of every API token that has one into the past.
    pub async fn expire_api_tokens(&self, id: &str) {
        self.tamper(id, |item| {
            let Some(AttributeValue::M(tokens)) = item.get_mut("api_tokens") else { panic!("no tokens") };
            for token in tokens.values_mut() {
                let AttributeValue::M(token) = token else { panic!("no token") };
                if token.contains_key("expires") {
                    token.insert("expires".to_owned(), AttributeValue::N("1".to_owned()));
                }
            }
        })
        .await;
    }

    /// Runs one call and tells the requests to the store that it made.
    pub async fn requests_of(&self, call: impl Future<Output = Reply>) -> (Reply, Vec<String>) {
        self.proxy.take_seen();
        let reply = call.await;
        (reply, self.proxy.take_seen())
    }

    /// Every request to the store is one that the function's policy allows: an engine on this machine would not ask.
    fn check_grants(&self) {
        for (function, operation) in self.proxy.made() {
            let granted = granted(&function);
            assert!(
                granted.contains(&operation),
                "{function} makes a {operation}, its role allows {granted:?}"
            );
        }
    }

    /// Searches all that was said, logged and stored for every secret of this test (G8), and all but the store for every
    /// hash of one.
    async fn search_for_secrets(&self) {
        self.proxy.heal();
        let stored = format!("{:?}", self.items().await);
        let said = self.said.lock().unwrap().join("\n");
        let (logged, panics) = (LOG.text(), PANICS.text());
        for secret in self.secrets.lock().unwrap().iter() {
            let places =
                [("a response", &said), ("the log", &logged), ("a panic", &panics), ("the table", &stored)];
            for (place, text) in places {
                if let Some(form) = secrets::find(text, secret) {
                    panic!("G8: {place} shows a secret, as {form}");
                }
            }
            let hash = sha256(secret);
            assert!(!said.contains(&hash), "a response shows the hash of a token");
            assert!(!logged.contains(&hash), "the log shows the hash of a token");
            assert!(!panics.contains(&hash), "a panic shows the hash of a token");
        }
    }
}

/// What a function's role in `template.yaml` allows it to do with the table and its index.
fn granted(function: &str) -> BTreeSet<String> {
    let words = function
        .split('-')
        .map(|word| word.get(..1).unwrap_or_default().to_uppercase() + word.get(1..).unwrap_or_default());
    let role = format!("\n  {}Role:\n", words.collect::<String>());
    let start = TEMPLATE.find(&role).unwrap_or_else(|| panic!("no role for {function}"));
    let role = TEMPLATE.get(start..).unwrap().split("\n\n").next().unwrap();
    let actions = role.split_whitespace().filter_map(|word| word.strip_prefix("dynamodb:"));
    actions.map(str::to_owned).collect()
}

pub fn authorized(request: reqwest::RequestBuilder, bearer: Option<&str>) -> reqwest::RequestBuilder {
    match bearer {
        Some(bearer) => request.header("authorization", format!("Bearer {bearer}")),
        None => request,
    }
}

/// What API Gateway sends to an authorizer: the `Authorization` header, the path's parameters, the header `X-Workspace-ID`.
pub fn authorizer_event(authorization: Option<&str>, parameters: Value, header: Option<&str>) -> Value {
    let mut headers = json!({"host": "api.example", "accept": "*/*"});
    if let Some(authorization) = authorization {
        headers["authorization"] = json!(authorization);
    }
    if let Some(header) = header {
        headers["x-workspace-id"] = json!(header);
    }
    json!({
        "version": "2.0", "type": "REQUEST",
        "routeArn": "arn:aws:execute-api:eu-central-1:123456789012:a1b2c3d4e5/$default/GET/notes",
        "identitySource": [authorization], "routeKey": "GET /notes", "rawPath": "/notes", "rawQueryString": "",
        "headers": headers, "pathParameters": parameters,
        "requestContext": {
            "accountId": "123456789012", "apiId": "a1b2c3d4e5", "domainName": "api.example", "domainPrefix": "api",
            "http": {"method": "GET", "path": "/notes", "protocol": "HTTP/1.1", "sourceIp": "192.0.2.1",
                "userAgent": "curl/8"},
            "requestId": "JKJaXmPLvHcESHA=", "routeKey": "GET /notes", "stage": "$default",
            "time": "12/Mar/2020:19:03:58 +0000", "timeEpoch": 1_583_348_638_390_i64
        }
    })
}

pub fn sha256(text: &str) -> String {
    Sha256::digest(text).iter().map(|byte| format!("{byte:02x}")).collect()
}

/// The engine that `DYNAMODB_ENDPOINT` names, if any. Printed past the test harness, which would swallow it.
pub fn external_endpoint() -> Option<String> {
    static ENDPOINT: OnceLock<Option<String>> = OnceLock::new();
    let endpoint = ENDPOINT.get_or_init(|| {
        #[allow(clippy::disallowed_methods, reason = "the tests' own setting")]
        let endpoint = std::env::var(DYNAMODB_ENDPOINT).ok().filter(|endpoint| !endpoint.is_empty());
        let engine = endpoint.as_deref().unwrap_or("embedded, one for each test");
        let _lost = writeln!(std::io::stderr(), "DynamoDB engine of this run: {engine}");
        endpoint
    });
    endpoint.clone()
}

/// All log lines of the process, at the most talkative level.
#[derive(Clone, Default)]
pub struct Log(Arc<Mutex<Vec<u8>>>);

pub static LOG: LazyLock<Log> = LazyLock::new(|| {
    let log = Log::default();
    let writer = log.clone();
    let lines = subscriber(LogFormat::Json, LevelFilter::TRACE, move || writer.clone());
    tracing::subscriber::set_global_default(lines).expect("nobody else logs here");
    log
});

/// The messages of all panics of the process, those that a runtime catches included.
pub static PANICS: LazyLock<Log> = LazyLock::new(|| {
    let log = Log::default();
    let writer = log.clone();
    let usual = std::panic::take_hook();
    std::panic::set_hook(Box::new(move |panic| {
        let _poisoned = writer.clone().write_all(format!("{panic}\n").as_bytes());
        usual(panic);
    }));
    log
});

impl Log {
    pub fn text(&self) -> String {
        String::from_utf8(self.0.lock().unwrap().clone()).unwrap()
    }
}

impl Write for Log {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        self.0.lock().unwrap().write(bytes)
    }

    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}

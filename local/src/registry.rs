//! The registry as a whole: engine, table, functions, and the server in front of them.

use std::collections::BTreeMap;
use std::io;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::sync::Arc;

use domain::agent_url::AgentUrlPolicy;
use domain::random::Random;
use domain::tree::Roots;
use shared::lambda::start::Resources;
use tokio::net::TcpListener;
use uuid::Uuid;

use crate::admin_token::AdminToken;
use crate::engine::{self, EmbeddedEngine, Engine, EngineError};
use crate::functions::{Functions, Outcome, SetUpError};
use crate::gateway::Gateway;
use crate::invoke_api::InvokeApi;
use crate::protected::{Protected, ProtectedApi};
use crate::route::{AmbiguousRoute, Routes};
use crate::server::{Apis, Server};
use crate::table::{self, TableError};
use crate::template::{Template, TemplateError};

/// The default port.
pub const DEFAULT_PORT: u16 = 9000;
/// The default name of the table.
pub const DEFAULT_TABLE_NAME: &str = "workspaces";

/// How to start a registry.
pub struct Options {
    /// The address to listen on. Anybody who can reach it can invoke functions directly.
    pub host: IpAddr,
    /// The port to listen on; 0 picks a free one.
    pub port: u16,
    /// Where the table is.
    pub engine: Engine,
    /// The table's name.
    pub table_name: String,
    /// The admin token.
    pub admin_token: AdminToken,
    /// Where an agent's URL may point.
    pub agent_url_policy: AgentUrlPolicy,
    /// Whether workspaces without a parent see each other.
    pub roots: Roots,
    /// The registry's URL in answers. By default it is the one that the caller used.
    pub platform_url: Option<String>,
    /// Where tokens and ids come from.
    pub random: Random,
    /// Other people's APIs, to which requests go once the function `authorize` has said yes.
    pub protected_apis: Vec<ProtectedApi>,
    /// The URL at which the functions call the engine, for example of a proxy in front of it. The table is created
    /// directly in the engine.
    pub store_endpoint: Option<String>,
}

impl Default for Options {
    /// An empty registry in memory, on port 9000 of the loopback interface, with a new admin token.
    fn default() -> Self {
        Self {
            host: IpAddr::V4(Ipv4Addr::LOCALHOST),
            port: DEFAULT_PORT,
            engine: Engine::Memory,
            table_name: DEFAULT_TABLE_NAME.to_owned(),
            admin_token: AdminToken::generate(),
            agent_url_policy: AgentUrlPolicy::Any,
            roots: Roots::Strangers,
            platform_url: None,
            random: Random::OS,
            protected_apis: Vec::new(),
            store_endpoint: None,
        }
    }
}

/// Why a registry does not start.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    /// Another process listens on the port.
    #[error("Port {0} is already in use: pick another one with --port, or a free one with --port 0.")]
    PortInUse(u16),
    /// It cannot listen on the address.
    #[error("The registry cannot listen on {address}: {source}.")]
    Listen {
        /// The address.
        address: SocketAddr,
        /// The operating system's error.
        source: io::Error,
    },
    /// The template cannot be read.
    #[error(transparent)]
    Template(#[from] TemplateError),
    /// The template has routes that cannot be told apart.
    #[error(transparent)]
    Routes(#[from] AmbiguousRoute),
    /// A prefix leads to the registry itself.
    #[error("The prefix {0} is one of the registry's own paths: take another one.")]
    OwnPath(String),
    /// The client for the APIs behind the gateway cannot be made.
    #[error("The HTTP client cannot be made: {0}.")]
    Client(reqwest::Error),
    /// A function does not start.
    #[error(transparent)]
    SetUp(#[from] SetUpError),
    /// The engine cannot be used.
    #[error(transparent)]
    Engine(#[from] EngineError),
    /// The table cannot be used.
    #[error(transparent)]
    Table(#[from] TableError),
}

/// A running registry. It ends when it is stopped or dropped.
pub struct Registry {
    url: String,
    /// The embedded engine. `None` if the registry uses another one.
    engine: Option<EmbeddedEngine>,
    dynamodb_endpoint: String,
    table_name: String,
    admin_token: AdminToken,
    functions: Arc<Functions>,
    server: Server,
}

impl Registry {
    /// Starts a registry. It serves requests when this returns.
    ///
    /// # Errors
    /// [`StartError`]. Nothing keeps running then.
    pub async fn start(options: Options) -> Result<Self, StartError> {
        let template = Template::embedded()?;
        check_prefixes(&template, &options.protected_apis)?;
        let protected = Protected::new(options.protected_apis).map_err(StartError::Client)?;
        let (listener, listening) = listen(SocketAddr::new(options.host, options.port)).await?;
        let (engine, dynamodb_endpoint) = start_engine(options.engine).await?;
        table::ensure(&dynamodb_endpoint, &options.table_name, &template.table).await?;
        let store_endpoint = options.store_endpoint.as_deref().unwrap_or(&dynamodb_endpoint);
        let resources = Resources { dynamodb: engine::client(store_endpoint), random: options.random };
        let parameters = BTreeMap::from([
            ("AdminTokenSha256", options.admin_token.sha256()),
            ("AgentUrlPolicy", options.agent_url_policy.as_str().to_owned()),
            ("PlatformUrl", options.platform_url.unwrap_or_default()),
            ("RootsArePeers", (options.roots == Roots::Peers).to_string()),
        ]);
        let functions = Functions::new(&template, &parameters, &options.table_name, &resources)?;
        let functions = Arc::new(functions);
        let routes = Routes::new(template.functions.into_iter().flat_map(|function| function.routes))?;
        let gateway = Gateway::new(routes, Arc::clone(&functions), protected, listening);
        let invoke_api = InvokeApi::new(Arc::clone(&functions));
        let server = Server::start(listener, Apis { gateway, invoke_api });
        Ok(Self {
            url: format!("http://{listening}"),
            engine,
            dynamodb_endpoint,
            table_name: options.table_name,
            admin_token: options.admin_token,
            functions,
            server,
        })
    }

    /// The registry's address: `http://HOST:PORT`.
    pub fn url(&self) -> &str {
        &self.url
    }

    /// The address of the DynamoDB engine itself.
    pub fn dynamodb_endpoint(&self) -> &str {
        &self.dynamodb_endpoint
    }

    /// The name of the table.
    pub fn table_name(&self) -> &str {
        &self.table_name
    }

    /// The admin token.
    pub fn admin_token(&self) -> &AdminToken {
        &self.admin_token
    }

    /// Invokes a function directly, as the Invoke API does. `None` if there is no such function.
    pub async fn invoke(&self, function: &str, event: Vec<u8>) -> Option<Outcome> {
        let function = self.functions.get(function)?;
        Some(function.invoke(&event, Uuid::new_v4()).await)
    }

    /// Finishes the running requests, for a few seconds at most, and stops.
    pub async fn stop(self) {
        self.server.stop().await;
        if let Some(engine) = self.engine {
            engine.stop().await;
        }
    }
}

fn check_prefixes(template: &Template, apis: &[ProtectedApi]) -> Result<(), StartError> {
    let mut routes = template.functions.iter().flat_map(|function| &function.routes);
    let is_own = |api: &&ProtectedApi| routes.any(|route| route.first_segment() == api.first_segment());
    apis.iter().find(is_own).map_or(Ok(()), |api| Err(StartError::OwnPath(api.prefix())))
}

/// Starts the engine if it is an embedded one, and returns its URL.
async fn start_engine(engine: Engine) -> Result<(Option<EmbeddedEngine>, String), EngineError> {
    let file = match engine {
        Engine::Memory => None,
        Engine::File(path) => Some(path),
        Engine::Endpoint(endpoint) => {
            engine::check_endpoint(&endpoint)?;
            return Ok((None, endpoint));
        }
    };
    let engine = EmbeddedEngine::start(file).await?;
    let endpoint = engine.endpoint().to_owned();
    Ok((Some(engine), endpoint))
}

async fn listen(address: SocketAddr) -> Result<(TcpListener, SocketAddr), StartError> {
    let failed = |source: io::Error| {
        if source.kind() == io::ErrorKind::AddrInUse {
            return StartError::PortInUse(address.port());
        }
        StartError::Listen { address, source }
    };
    let listener = TcpListener::bind(address).await.map_err(failed)?;
    let listening = listener.local_addr().map_err(failed)?;
    Ok((listener, listening))
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::{Value, json};
    use std::time::Duration;
    use tokio::io::{AsyncReadExt, AsyncWriteExt};
    use tokio::net::TcpStream;

    async fn start(options: Options) -> Registry {
        Registry::start(Options { port: 0, ..options }).await.expect("a registry")
    }

    fn client() -> reqwest::Client {
        reqwest::Client::builder().no_proxy().build().expect("a client")
    }

    async fn raw(url: &str, request: &[u8]) -> String {
        let mut stream = TcpStream::connect(url.trim_start_matches("http://")).await.expect("a connection");
        stream.write_all(request).await.expect("a request");
        let mut answer = vec![0; 4_096];
        let read = tokio::time::timeout(Duration::from_secs(5), stream.read(&mut answer)).await;
        let length = read.expect("an answer in time").expect("an answer");
        answer.truncate(length);
        String::from_utf8(answer).expect("text")
    }

    #[tokio::test]
    async fn several_registries_share_an_engine() {
        let engine = EmbeddedEngine::start(None).await.expect("an engine");
        let shared =
            || Options { engine: Engine::Endpoint(engine.endpoint().to_owned()), ..Options::default() };
        let (one, two) = tokio::join!(start(shared()), start(shared()));
        assert_eq!(one.dynamodb_endpoint(), engine.endpoint());
        let body = json!({"id": "one", "name": "One"});
        let token = one.admin_token().expose();
        let request = client().post(format!("{}/workspaces", one.url())).bearer_auth(token).json(&body);
        assert_eq!(request.send().await.expect("a reply").status(), 201);
        let seen = two.invoke("get-workspace", br#"{"workspace_id":"one"}"#.to_vec()).await;
        let seen: Value = serde_json::from_slice(&seen.expect("a function").expect("an answer")).unwrap();
        assert_eq!(seen["name"], "One");
        assert!(two.invoke("nothing", Vec::new()).await.is_none());
        one.stop().await;
        two.stop().await;
        engine.stop().await;
    }

    #[tokio::test]
    async fn the_functions_may_call_another_endpoint_than_the_engine_s() {
        let nowhere = Some("http://127.0.0.1:1".to_owned());
        let registry = start(Options { store_endpoint: nowhere, ..Options::default() }).await;
        let request = client().get(format!("{}/workspaces/one", registry.url()));
        let reply = request.bearer_auth(registry.admin_token().expose()).send().await.expect("a reply");
        assert_eq!(reply.status(), 503);
        assert_eq!(reply.json::<Value>().await.expect("JSON")["code"], "store_unavailable");
    }

    #[tokio::test]
    async fn a_port_in_use_is_named() {
        let registry = start(Options::default()).await;
        let port: u16 = registry.url().rsplit(':').next().unwrap().parse().unwrap();
        let refused = Registry::start(Options { port, ..Options::default() }).await;
        let error = refused.err().expect("in use").to_string();
        assert!(error.starts_with(&format!("Port {port} is already in use: ")), "{error}");
    }

    #[tokio::test]
    async fn a_prefix_of_the_registry_s_own_is_refused() {
        for prefix in ["/workspaces", "/registry/{id}", "/admin/other"] {
            let api = ProtectedApi::parse(&format!("{prefix}=http://127.0.0.1:1")).expect(prefix);
            let options = Options { port: 0, protected_apis: vec![api], ..Options::default() };
            let error = Registry::start(options).await.err().expect(prefix).to_string();
            assert!(error.starts_with(&format!("The prefix {prefix} is one of ")), "{error}");
        }
    }

    #[tokio::test]
    async fn no_request_takes_the_server_down() {
        let registry = start(Options::default()).await;
        let get = |host: &str| format!("GET /workspaces/a HTTP/1.1\r\nHost: {host}\r\n\r\n").into_bytes();
        for (request, status) in [
            (b"\x16\x03\x01\r\n\r\n".to_vec(), "400"),
            (get("a b"), "400"),
            (get("1.2.3.4.5"), "400"),
            (get("[::1"), "400"),
            (b"GET /workspaces/%ff HTTP/1.1\r\nHost: a\r\n\r\n".to_vec(), "400"),
            (b"GET /workspaces/a HTTP/1.1\r\nHost: a\r\nX: \xff\r\n\r\n".to_vec(), "401"),
            (b"GET /workspaces/ HTTP/1.1\r\nHost: a\r\n\r\n".to_vec(), "404"),
            (b"GET /workspaces/a HTTP/1.0\r\n\r\n".to_vec(), "401"),
            (b"OPTIONS * HTTP/1.1\r\nHost: a\r\n\r\n".to_vec(), "404"),
            (b"CONNECT a:1 HTTP/1.1\r\nHost: a\r\n\r\n".to_vec(), "404"),
            (b"PUT /workspaces/a HTTP/1.1\r\nHost: a\r\n\r\n".to_vec(), "404"),
            (b"POST /workspaces HTTP/1.1\r\nHost: a\r\nContent-Length: 10485761\r\n\r\n".to_vec(), "413"),
            (get(&"a".repeat(1_000)), "400"),
            (get("registry.example"), "401"),
        ] {
            let answer = raw(registry.url(), &request).await;
            let shown = String::from_utf8_lossy(&request).chars().take(80).collect::<String>();
            assert_eq!(answer.split(' ').nth(1), Some(status), "{shown}: {answer}");
        }
    }

    #[tokio::test]
    async fn a_silent_client_does_not_keep_the_server_from_stopping() {
        let registry = start(Options::default()).await;
        let silent = TcpStream::connect(registry.url().trim_start_matches("http://")).await;
        let stopped = tokio::time::timeout(Duration::from_secs(15), registry.stop()).await;
        assert!(stopped.is_ok());
        drop(silent);
    }

    #[tokio::test]
    async fn the_invoke_api_answers_as_lambda_s() {
        let registry = start(Options::default()).await;
        let invoke = async |name: &str, headers: &str, payload: &str| {
            let length = payload.len();
            let line = format!("POST /2015-03-31/functions/{name}/invocations HTTP/1.1");
            let request = format!("{line}\r\nHost: a\r\nContent-Length: {length}\r\n{headers}\r\n{payload}");
            raw(registry.url(), request.as_bytes()).await
        };
        let unknown = r#"{"workspace_id":"unheard-of"}"#;
        for (name, headers, payload, expected) in [
            ("admin-revoke", "", unknown, ["HTTP/1.1 200", r#""revoked":0"#]),
            (
                "function%3Aadmin-revoke%3Alive",
                "",
                unknown,
                ["HTTP/1.1 200", "x-amz-executed-version: $LATEST"],
            ),
            (
                "get-workspace",
                "",
                unknown,
                ["x-amz-function-error: Unhandled", r#""errorType":"WorkspaceNotFound""#],
            ),
            ("get-workspace", "", "", ["x-amz-function-error: Unhandled", r#""errorType":"InvalidPayload""#]),
            ("get-workspace", "", "{", ["HTTP/1.1 400", "x-amzn-errortype: InvalidRequestContentException"]),
            ("nothing", "", "{}", ["HTTP/1.1 404", "x-amzn-errortype: ResourceNotFoundException"]),
            (
                "get-workspace",
                "X-Amz-Invocation-Type: Event\r\n",
                "{}",
                ["HTTP/1.1 202", "x-amzn-requestid: "],
            ),
            (
                "get-workspace",
                "X-Amz-Invocation-Type: DryRun\r\n",
                "{}",
                ["HTTP/1.1 204", "x-amzn-requestid: "],
            ),
            (
                "get-workspace",
                "X-Amz-Invocation-Type: x\r\n",
                "{}",
                ["HTTP/1.1 400", "InvalidParameterValue"],
            ),
            ("get-workspace", "Origin: http://a\r\n", "{}", ["HTTP/1.1 403", "AccessDeniedException"]),
        ] {
            let answer = invoke(name, headers, payload).await;
            for expected in expected {
                assert!(answer.contains(expected), "{name} {headers}: {expected} is not in {answer}");
            }
        }
    }
}

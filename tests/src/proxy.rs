//! A proxy between the functions and the store. It records every request and injects faults into the chosen ones.

use std::collections::{BTreeSet, VecDeque};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use http_body_util::{BodyExt, Full};
use hyper::body::{Bytes, Incoming};
use hyper::service::service_fn;
use hyper::{Request, Response};
use hyper_util::rt::TokioIo;
use reqwest::redirect::Policy;
use serde_json::{Value, json};
use tokio::net::TcpListener;
use tokio::sync::{Notify, watch};
use tokio::time::timeout;

/// A fault of one request.
#[derive(Clone, Debug)]
pub enum Fault {
    /// It reaches the store; the reply is lost and the connection breaks.
    DropReply,
    /// The connection breaks before the store sees it.
    Reset,
    /// The connection breaks and the request is kept. [`Proxy::deliver_captured`] delivers it later.
    Capture,
    /// It waits for [`Proxy::heal`] and reaches the store then.
    HoldBack,
    /// It is never answered.
    Stall,
    /// It is answered with this status and a DynamoDB error of this type. The store does not see it.
    Answer(u16, &'static str),
    /// It reaches the store; the reply is cut in the middle of its JSON.
    CutBody,
    /// It reaches the store twice; the caller gets the first reply.
    Duplicate,
    /// BatchGetItem answers that it processed none of the keys. The store does not see the request.
    Unprocessed,
    /// It is answered with this status and an HTML page, as by another proxy. The store does not see it.
    Page(u16),
}

#[derive(Default)]
struct State {
    seen: Mutex<Vec<String>>,
    /// Which function has made which operation.
    made: Mutex<BTreeSet<(String, String)>>,
    next: Mutex<VecDeque<(String, Option<Fault>)>>,
    always: Mutex<Option<(String, Fault)>>,
    captured: Mutex<Vec<Request<Bytes>>>,
    gate: Mutex<Option<Arc<Gate>>>,
    held: Notify,
    healed: watch::Sender<()>,
}

/// Holds all requests of an operation back until this many are waiting.
struct Gate {
    operation: String,
    size: usize,
    waiting: watch::Sender<Waiting>,
}

#[derive(Default)]
struct Waiting {
    now: usize,
    most: usize,
}

/// How long a request waits at a gate, even if others never come. It is less than the second after which the SDK retries, so
/// that the store still has time to answer.
const GATE_PATIENCE: Duration = Duration::from_millis(700);

impl Gate {
    async fn wait(&self) {
        let mut waiting = self.waiting.subscribe();
        let _place = Place::take(self);
        let _all_there_or_late = timeout(GATE_PATIENCE, waiting.wait_for(|it| it.most >= self.size)).await;
    }
}

/// Counts a request as waiting until this is dropped, also if its caller gives up.
struct Place<'a>(&'a Gate);

impl<'a> Place<'a> {
    fn take(gate: &'a Gate) -> Self {
        gate.waiting.send_modify(|waiting| {
            waiting.now += 1;
            waiting.most = waiting.most.max(waiting.now);
        });
        Self(gate)
    }
}

impl Drop for Place<'_> {
    fn drop(&mut self) {
        self.0.waiting.send_modify(|waiting| waiting.now -= 1);
    }
}

pub struct Proxy {
    url: String,
    state: Arc<State>,
    client: reqwest::Client,
}

impl Proxy {
    /// A proxy for the store at this URL, `http://HOST:PORT`.
    pub async fn start(store: &str) -> Self {
        Self::start_on(TcpListener::bind("127.0.0.1:0").await.unwrap(), store)
    }

    /// The same on an open listener.
    pub fn start_on(listener: TcpListener, store: &str) -> Self {
        let url = format!("http://{}", listener.local_addr().unwrap());
        let state = Arc::new(State::default());
        let client = reqwest::Client::builder().no_proxy().redirect(Policy::none()).build().unwrap();
        let proxy = Self { url, state: Arc::clone(&state), client: client.clone() };
        let store = store.trim_end_matches('/').to_owned();
        tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                let (state, client, store) = (Arc::clone(&state), client.clone(), store.clone());
                let service = service_fn(move |request| {
                    let (state, client, store) = (Arc::clone(&state), client.clone(), store.clone());
                    async move { Ok::<_, Broken>(handle(&state, &client, &store, request).await?.map(Full::new)) }
                });
                tokio::spawn(
                    hyper::server::conn::http1::Builder::new()
                        .serve_connection(TokioIo::new(stream), service),
                );
            }
        });
        proxy
    }

    pub fn url(&self) -> &str {
        &self.url
    }

    /// Injects a fault into the next request of this operation. Several calls apply in their order.
    pub fn spoil_next(&self, operation: &str, fault: Fault) {
        self.state.next.lock().unwrap().push_back((operation.to_owned(), Some(fault)));
    }

    /// Passes this many requests of the operation, and injects the fault into the next one.
    pub fn pass_then_spoil_once(&self, operation: &str, pass: usize, fault: Fault) {
        self.pass(operation, pass);
        self.spoil_next(operation, fault);
    }

    /// Passes this many requests of the operation, and injects the fault into all later ones until [`Self::heal`].
    pub fn pass_then_spoil(&self, operation: &str, pass: usize, fault: Fault) {
        self.pass(operation, pass);
        self.spoil_all(operation, fault);
    }

    fn pass(&self, operation: &str, count: usize) {
        let mut next = self.state.next.lock().unwrap();
        next.extend((0..count).map(|_| (operation.to_owned(), None)));
    }

    /// Injects the fault into every request of this operation (`*`: of any) until [`Self::heal`].
    pub fn spoil_all(&self, operation: &str, fault: Fault) {
        *self.state.always.lock().unwrap() = Some((operation.to_owned(), fault));
    }

    pub fn heal(&self) {
        *self.state.always.lock().unwrap() = None;
        self.state.next.lock().unwrap().clear();
        self.state.healed.send_replace(());
    }

    /// Waits until a request is held back. The test must release it within the SDK's three seconds.
    pub async fn until_held(&self) {
        timeout(Duration::from_secs(30), self.state.held.notified()).await.expect("a request is held back");
    }

    /// Holds the requests of this operation back until this many are waiting.
    pub fn gather(&self, operation: &str, size: usize) {
        let gate = Gate { operation: operation.to_owned(), size, waiting: watch::Sender::default() };
        *self.state.gate.lock().unwrap() = Some(Arc::new(gate));
    }

    /// The largest number of requests that waited at the gate at the same time.
    pub fn gathered(&self) -> usize {
        self.state.gate.lock().unwrap().as_ref().map_or(0, |gate| gate.waiting.borrow().most)
    }

    /// Takes the operations of all requests since the last call, the SDK's retries included.
    pub fn take_seen(&self) -> Vec<String> {
        std::mem::take(&mut self.state.seen.lock().unwrap())
    }

    /// Which function has made which operation so far.
    pub fn made(&self) -> BTreeSet<(String, String)> {
        self.state.made.lock().unwrap().clone()
    }

    /// Delivers each captured request this many times, and returns the store's statuses.
    pub async fn deliver_captured(&self, times: usize) -> Vec<u16> {
        let captured = std::mem::take(&mut *self.state.captured.lock().unwrap());
        let mut statuses = Vec::new();
        for request in captured {
            for _ in 0..times {
                let reply = forward(&self.client, request.clone()).await.unwrap();
                statuses.push(reply.status().as_u16());
            }
        }
        statuses
    }
}

#[derive(Debug)]
struct Broken;

impl std::fmt::Display for Broken {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("the proxy breaks the connection")
    }
}

impl std::error::Error for Broken {}

async fn handle(
    state: &State,
    client: &reqwest::Client,
    store: &str,
    request: Request<Incoming>,
) -> Result<Response<Bytes>, Broken> {
    let operation = operation(&request);
    state.seen.lock().unwrap().push(operation.clone());
    if let Some(function) = function(&request) {
        state.made.lock().unwrap().insert((function, operation.clone()));
    }
    let request = readdress(store, request).await?;
    let gate = state.gate.lock().unwrap().clone().filter(|gate| gate.operation == operation);
    if let Some(gate) = gate {
        gate.wait().await;
    }
    let mut healed = state.healed.subscribe();
    match fault_for(state, &operation) {
        None => forward(client, request).await,
        Some(Fault::DropReply) => {
            forward(client, request).await?;
            Err(Broken)
        }
        Some(Fault::Reset) => Err(Broken),
        Some(Fault::Capture) => {
            state.captured.lock().unwrap().push(request);
            Err(Broken)
        }
        Some(Fault::HoldBack) => {
            state.held.notify_one();
            healed.changed().await.map_err(|_| Broken)?;
            forward(client, request).await
        }
        Some(Fault::Stall) => std::future::pending().await,
        Some(Fault::Answer(status, kind)) => {
            let body = format!(
                r#"{{"__type":"com.amazonaws.dynamodb.v20120810#{kind}","message":"a message of the store's own"}}"#
            );
            let response =
                Response::builder().status(status).header("content-type", "application/x-amz-json-1.0");
            Ok(response.body(Bytes::from(body)).unwrap())
        }
        Some(Fault::CutBody) => {
            let (mut parts, body) = forward(client, request).await?.into_parts();
            parts.headers.remove("content-length");
            parts.headers.remove("x-amz-crc32");
            Ok(Response::from_parts(parts, body.slice(..body.len() / 2)))
        }
        Some(Fault::Unprocessed) => {
            let mut asked: Value = serde_json::from_slice(request.body()).unwrap();
            let answer = json!({"Responses": {}, "UnprocessedKeys": asked["RequestItems"].take()});
            let response = Response::builder().header("content-type", "application/x-amz-json-1.0");
            Ok(response.body(Bytes::from(answer.to_string())).unwrap())
        }
        Some(Fault::Page(status)) => {
            let page = Bytes::from_static(b"<html><body>Be right back.</body></html>");
            Ok(Response::builder().status(status).header("content-type", "text/html").body(page).unwrap())
        }
        Some(Fault::Duplicate) => {
            let reply = forward(client, request.clone()).await?;
            forward(client, request).await?;
            Ok(reply)
        }
    }
}

/// The function that sends this request: `User-Agent: … app/heartbeat …`.
fn function(request: &Request<Incoming>) -> Option<String> {
    let agent = request.headers().get("user-agent")?.to_str().ok()?;
    agent.split(' ').find_map(|part| part.strip_prefix("app/")).map(str::to_owned)
}

/// `X-Amz-Target: DynamoDB_20120810.GetItem` → `GetItem`.
fn operation(request: &Request<Incoming>) -> String {
    let target = request.headers().get("x-amz-target").and_then(|target| target.to_str().ok());
    target.and_then(|target| target.split_once('.')).map_or("?", |(_, operation)| operation).to_owned()
}

async fn readdress(store: &str, request: Request<Incoming>) -> Result<Request<Bytes>, Broken> {
    let (mut parts, body) = request.into_parts();
    parts.uri = format!("{store}{}", parts.uri.path()).parse().map_err(|_| Broken)?;
    parts.headers.remove("host");
    let body = body.collect().await.map_err(|_| Broken)?.to_bytes();
    Ok(Request::from_parts(parts, body))
}

async fn forward(client: &reqwest::Client, request: Request<Bytes>) -> Result<Response<Bytes>, Broken> {
    let request = request.try_into().map_err(|_| Broken)?;
    let (parts, body) = Response::from(client.execute(request).await.map_err(|_| Broken)?).into_parts();
    let body = body.collect().await.map_err(|_| Broken)?.to_bytes();
    Ok(Response::from_parts(parts, body))
}

fn fault_for(state: &State, operation: &str) -> Option<Fault> {
    let mut next = state.next.lock().unwrap();
    if let Some(position) = next.iter().position(|(of, _)| of == operation) {
        return next.remove(position).and_then(|(_, fault)| fault);
    }
    let always = state.always.lock().unwrap();
    always.as_ref().filter(|(of, _)| of == operation || of == "*").map(|(_, fault)| fault.clone())
}

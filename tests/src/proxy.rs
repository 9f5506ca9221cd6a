//! A proxy between the functions and the store. It writes down every request, and spoils those that it is told to.

use std::collections::VecDeque;
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

/// What happens to one request.
#[derive(Clone, Debug)]
pub enum Fault {
    /// It reaches the store; the reply is lost and the connection breaks.
    DropReply,
    /// The connection breaks before the store sees it.
    Reset,
    /// It is kept, the connection breaks; it can be delivered later with [`Proxy::deliver_captured`].
    Capture,
    /// It is kept until [`Proxy::heal`] and reaches the store then.
    HoldBack,
    /// No answer, ever.
    Stall,
    /// An error of this type in the store's form, with this status. The store does not see the request.
    Answer(u16, &'static str),
    /// It reaches the store; the reply is cut in the middle of its JSON.
    CutBody,
    /// It reaches the store twice; the first reply is passed on.
    Duplicate,
    /// BatchGetItem answers that it processed none of the keys. The store does not see the request.
    Unprocessed,
    /// A page of HTML with this status, as from something on the way that is not the store. The store does not see it.
    Page(u16),
}

#[derive(Default)]
struct State {
    seen: Mutex<Vec<String>>,
    next: Mutex<VecDeque<(String, Option<Fault>)>>,
    always: Mutex<Option<(String, Fault)>>,
    captured: Mutex<Vec<Request<Bytes>>>,
    gate: Mutex<Option<Arc<Gate>>>,
    held: Notify,
    healed: watch::Sender<()>,
}

/// Lets nobody of an operation through until so many are waiting at once.
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

/// How long a request waits at a gate for the others. It bounds the wait when some never come, and leaves the store some of
/// the second after which the SDK asks again.
const GATE_PATIENCE: Duration = Duration::from_millis(700);

impl Gate {
    async fn wait(&self) {
        let mut waiting = self.waiting.subscribe();
        let _place = Place::take(self);
        let _all_there_or_late = timeout(GATE_PATIENCE, waiting.wait_for(|it| it.most >= self.size)).await;
    }
}

/// A request's place at a gate, which it leaves also when its caller gives up.
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
    /// A proxy before the store at this address, `http://HOST:PORT`.
    pub async fn start(store: &str) -> Self {
        Self::start_on(TcpListener::bind("127.0.0.1:0").await.unwrap(), store)
    }

    /// The same on a listener that is there.
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

    /// Spoils the next request of this operation. Several are taken in the order in which they were asked for.
    pub fn spoil_next(&self, operation: &str, fault: Fault) {
        self.state.next.lock().unwrap().push_back((operation.to_owned(), Some(fault)));
    }

    /// Lets so many requests of this operation through and spoils the one after them.
    pub fn pass_then_spoil_once(&self, operation: &str, pass: usize, fault: Fault) {
        self.pass(operation, pass);
        self.spoil_next(operation, fault);
    }

    /// Lets so many requests of this operation through and spoils all after them, until [`Self::heal`].
    pub fn pass_then_spoil(&self, operation: &str, pass: usize, fault: Fault) {
        self.pass(operation, pass);
        self.spoil_all(operation, fault);
    }

    fn pass(&self, operation: &str, count: usize) {
        let mut next = self.state.next.lock().unwrap();
        next.extend((0..count).map(|_| (operation.to_owned(), None)));
    }

    /// Spoils every request of this operation (`*`: of any) until [`Self::heal`].
    pub fn spoil_all(&self, operation: &str, fault: Fault) {
        *self.state.always.lock().unwrap() = Some((operation.to_owned(), fault));
    }

    pub fn heal(&self) {
        *self.state.always.lock().unwrap() = None;
        self.state.next.lock().unwrap().clear();
        self.state.healed.send_replace(());
    }

    /// Waits until a request is held back. It has to be let go within the SDK's three seconds.
    pub async fn until_held(&self) {
        timeout(Duration::from_secs(30), self.state.held.notified()).await.expect("a request is held back");
    }

    /// Holds the requests of this operation back until so many are waiting at once.
    pub fn gather(&self, operation: &str, size: usize) {
        let gate = Gate { operation: operation.to_owned(), size, waiting: watch::Sender::default() };
        *self.state.gate.lock().unwrap() = Some(Arc::new(gate));
    }

    /// How many requests met at the gate: the most that were waiting at once.
    pub fn gathered(&self) -> usize {
        self.state.gate.lock().unwrap().as_ref().map_or(0, |gate| gate.waiting.borrow().most)
    }

    /// The operations of all requests so far, the SDK's retries included, and forgets them.
    pub fn take_seen(&self) -> Vec<String> {
        std::mem::take(&mut self.state.seen.lock().unwrap())
    }

    /// Delivers what was captured, each as often as asked, and tells the store's statuses.
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

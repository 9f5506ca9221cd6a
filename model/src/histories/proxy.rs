//! A proxy that injects faults, as the seed decides, and records the history.

use std::collections::{BTreeMap, HashMap};
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use http_body_util::{BodyExt, Full};
use hyper::body::{Bytes, Incoming};
use hyper::service::service_fn;
use hyper::{Request, Response};
use hyper_util::rt::TokioIo;
use reqwest::redirect::Policy;
use serde_json::Value;
use tokio::net::TcpListener;

use super::Numbers;
use super::calls::{self, FENCED};
use super::record::{Episode, Recorded};
use crate::spec::Op;

/// The header in which a client sends its episode and the number of its call.
pub const CALL: &str = "x-model-call";

/// The header with the id that the SDK gives a request and its retries.
const INVOCATION: &str = "amz-sdk-invocation-id";

/// What happens to a request.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Fault {
    /// It arrives later.
    Delay,
    /// It never arrives, and the connection stays open.
    DropRequest,
    /// It arrives; the reply is lost and the connection breaks.
    DropReply,
    /// The connection breaks before it arrives.
    Reset,
    /// It arrives twice.
    Duplicate,
    /// The connection breaks; it arrives later.
    HoldBack,
    /// It is answered with a 500 and never arrives.
    Fail,
    /// It is throttled and never arrives.
    Throttle,
    /// The caller hangs up while the function works. The function goes on. Only before the gateway.
    HangUp,
}

/// Where a proxy is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Side {
    BeforeTheGateway,
    BeforeTheStore,
}

/// What both proxies share.
pub struct Shared {
    pub seed: u64,
    /// How many of a hundred requests get a fault.
    pub percent: u64,
    /// Remove the fence if a write is every so many requests to the store; 0 for never. This is no fault of a network: the
    /// check must notice it.
    pub sabotage: u64,
    /// How many fences were removed.
    pub sabotaged: AtomicUsize,
    episodes: Mutex<HashMap<String, Arc<Running>>>,
    counts: Mutex<BTreeMap<(Side, Fault), usize>>,
}

/// A running episode.
#[derive(Default)]
pub struct Running {
    pub number: u64,
    pub episode: Episode,
    /// The calls that clients have made.
    pub asked: Mutex<Vec<Op>>,
    /// How many requests to the store there were.
    to_the_store: Mutex<u64>,
    /// How many requests are in the network.
    pub in_flight: Mutex<usize>,
    /// There are no faults any more.
    pub is_quiet: AtomicBool,
}

impl Shared {
    pub fn new(seed: u64, percent: u64, sabotage: u64) -> Self {
        let (sabotaged, episodes, counts) = (AtomicUsize::new(0), Mutex::default(), Mutex::default());
        Self { seed, percent, sabotage, sabotaged, episodes, counts }
    }

    pub fn begin(&self, workspace: &str, number: u64) -> Arc<Running> {
        let running = Arc::new(Running { number, ..Running::default() });
        self.episodes.lock().unwrap().insert(workspace.to_owned(), Arc::clone(&running));
        running
    }

    pub fn end(&self, workspace: &str) {
        self.episodes.lock().unwrap().remove(workspace);
    }

    pub fn counts(&self) -> BTreeMap<(Side, Fault), usize> {
        self.counts.lock().unwrap().clone()
    }

    fn find(&self, workspace: &str) -> Option<Arc<Running>> {
        self.episodes.lock().unwrap().get(workspace).cloned()
    }

    /// The fault of this request, by the seed, the episode and the request's number. Requests are numbered as they arrive,
    /// which the seed does not decide.
    fn fault(&self, side: Side, episode: u64, request: u64) -> Option<(Fault, Duration)> {
        let mut numbers = Numbers::new(self.seed, &[side as u64, episode, request]);
        if numbers.below(100) >= self.percent {
            return None;
        }
        let common = [
            Fault::Delay,
            Fault::Delay,
            Fault::DropReply,
            Fault::DropReply,
            Fault::Reset,
            Fault::Duplicate,
            Fault::HoldBack,
            Fault::HoldBack,
            Fault::Fail,
            Fault::Throttle,
        ];
        let fault = match numbers.below(40) {
            // Rare: somebody then waits for a whole second.
            0 => Fault::DropRequest,
            1..4 if side == Side::BeforeTheGateway => Fault::HangUp,
            _ => *numbers.pick(&common),
        };
        let wait = Duration::from_micros(500 + numbers.below(60_000));
        *self.counts.lock().unwrap().entry((side, fault)).or_default() += 1;
        Some((fault, wait))
    }
}

/// A request that can be sent more than once.
#[derive(Clone)]
struct Passed {
    running: Arc<Running>,
    client: reqwest::Client,
    request: Request<Bytes>,
    what: Option<Recorded>,
}

pub struct Proxy {
    pub url: String,
}

impl Proxy {
    /// A proxy before `target`, `http://HOST:PORT`.
    pub async fn start(shared: Arc<Shared>, side: Side, target: &str) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        let client = reqwest::Client::builder().no_proxy().redirect(Policy::none()).build().unwrap();
        let target: Arc<str> = target.trim_end_matches('/').into();
        tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                let (shared, client, target) = (Arc::clone(&shared), client.clone(), Arc::clone(&target));
                let service = service_fn(move |request| {
                    let reply =
                        handle(Arc::clone(&shared), side, client.clone(), Arc::clone(&target), request);
                    async move { Ok::<_, Broken>(reply.await?.map(Full::new)) }
                });
                let _set = stream.set_nodelay(true);
                tokio::spawn(
                    hyper::server::conn::http1::Builder::new()
                        .serve_connection(TokioIo::new(stream), service),
                );
            }
        });
        Self { url }
    }
}

#[derive(Debug)]
pub struct Broken;

impl std::fmt::Display for Broken {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("the proxy breaks the connection")
    }
}

impl std::error::Error for Broken {}

type Reply = Response<Bytes>;

async fn handle(
    shared: Arc<Shared>,
    side: Side,
    client: reqwest::Client,
    target: Arc<str>,
    request: Request<Incoming>,
) -> Result<Reply, Broken> {
    let (mut parts, body) = request.into_parts();
    let body = body.collect().await.map_err(|_| Broken)?.to_bytes();
    parts.uri = format!("{target}{}", parts.uri.path()).parse().map_err(|_| Broken)?;
    parts.headers.remove("host");
    let header =
        |name: &str| parts.headers.get(name).and_then(|value| value.to_str().ok()).map(str::to_owned);
    let (named, to_the_store) = match side {
        Side::BeforeTheGateway => (header(CALL), None),
        Side::BeforeTheStore => {
            let json: Value = serde_json::from_slice(&body).unwrap_or(Value::Null);
            let action = header("x-amz-target").unwrap_or_default();
            let action = action.rsplit('.').next().unwrap_or_default().to_owned();
            let id = calls::workspace_of(&json);
            (id.map(|id| format!("{id} 0")), Some((action, json)))
        }
    };
    let mut request = Request::from_parts(parts, body);
    let named = named.unwrap_or_default();
    let (workspace, call) = named.split_once(' ').unwrap_or_default();
    let Some(running) = shared.find(workspace) else {
        // A function opens its connection, or a write arrives after its episode.
        return send(&client, request).await;
    };
    let (number, what) = match &to_the_store {
        None => {
            let call: usize = call.parse().map_err(|_| Broken)?;
            let op = running.asked.lock().unwrap()[call];
            (call as u64, Some(Recorded::Call(op)))
        }
        Some((action, json)) => {
            let mut count = running.to_the_store.lock().unwrap();
            *count += 1;
            let write = calls::store_write(action, json, &mut running.episode.texts.lock().unwrap());
            let write = write.unwrap_or_else(|unexpected| {
                running.episode.history.lock().unwrap().unexpected.push(unexpected);
                None
            });
            (*count, write.map(Recorded::Write))
        }
    };
    let is_quiet = running.is_quiet.load(Ordering::SeqCst);
    let fault = if is_quiet { None } else { shared.fault(side, running.number, number) };
    if let Some((_, json)) = to_the_store
        && shared.sabotage > 0
        && number.is_multiple_of(shared.sabotage)
    {
        request = without_fence(&shared, request, json);
    }
    let passed = Passed { running, client, request, what };
    let Some((fault, wait)) = fault else { return passed.forward().await };
    match fault {
        Fault::Delay => {
            tokio::time::sleep(wait).await;
            passed.forward().await
        }
        Fault::DropRequest => std::future::pending().await,
        Fault::DropReply => {
            let _reply = passed.forward_and_lose_reply().await;
            Err(Broken)
        }
        Fault::Reset => Err(Broken),
        Fault::Duplicate => {
            let twin = passed.clone();
            let twin = tokio::spawn(async move { twin.forward_and_lose_reply().await });
            let reply = passed.forward().await;
            if wait.subsec_micros().is_multiple_of(2) {
                let _reply = twin.await;
            }
            reply
        }
        Fault::HoldBack => {
            tokio::spawn(async move {
                let held = passed.hold();
                tokio::time::sleep(wait).await;
                let _reply = held.forward_and_lose_reply().await;
            });
            Err(Broken)
        }
        Fault::Fail => Ok(own_answer(side, 500, "InternalServerError")),
        Fault::Throttle => {
            let status = if side == Side::BeforeTheStore { 400 } else { 429 };
            Ok(own_answer(side, status, "ThrottlingException"))
        }
        Fault::HangUp => {
            let _gone = tokio::time::timeout(wait / 4, passed.forward_here()).await;
            Err(Broken)
        }
    }
}

impl Passed {
    /// Sends it on and passes the reply back. It is recorded to its end even if the caller goes away.
    async fn forward(self) -> Result<Reply, Broken> {
        let running = Arc::clone(&self.running);
        let is_write = matches!(self.what, Some(Recorded::Write(_)));
        let (number, reply) = tokio::spawn(self.hold().send_and_record()).await.map_err(|_| Broken)?;
        if let (true, Some(number), Ok(_)) = (is_write, number, &reply) {
            running.episode.history.lock().unwrap().confirm(number);
        }
        reply
    }

    /// Sends it on and loses the reply.
    async fn forward_and_lose_reply(self) -> Result<Reply, Broken> {
        let (_, reply) = tokio::spawn(self.hold().send_and_record()).await.map_err(|_| Broken)?;
        reply
    }

    /// Sends it on until this future is dropped.
    async fn forward_here(self) -> Result<Reply, Broken> {
        self.hold().send_and_record().await.1
    }

    fn hold(self) -> Held {
        *self.running.in_flight.lock().unwrap() += 1;
        Held(Some(self))
    }
}

/// A request in the network. It counts as such until this is dropped.
struct Held(Option<Passed>);

impl Held {
    async fn forward_and_lose_reply(self) -> Result<Reply, Broken> {
        let (_, reply) = tokio::spawn(self.send_and_record()).await.map_err(|_| Broken)?;
        reply
    }

    /// Sends it on and records the outcome.
    async fn send_and_record(self) -> (Option<usize>, Result<Reply, Broken>) {
        let Some(passed) = &self.0 else { return (None, Err(Broken)) };
        let history = &passed.running.episode.history;
        let invocation = passed.request.headers().get(INVOCATION).and_then(|name| name.to_str().ok());
        let invocation = invocation.map(str::to_owned);
        let number = passed.what.map(|what| history.lock().unwrap().begin(what, invocation));
        let _cut = number.map(|number| Cut(&passed.running, number));
        let reply = send(&passed.client, passed.request.clone()).await;
        if let (Some(Recorded::Call(op)), Some(number), Ok(reply)) = (&passed.what, number, &reply) {
            let mut texts = passed.running.episode.texts.lock().unwrap();
            let answer = calls::answer(op, reply.status().as_u16(), reply.body(), &mut texts);
            let mut history = history.lock().unwrap();
            match answer {
                Ok(answer) => history.end(number, answer),
                Err(unexpected) => history.unexpected.push(unexpected),
            }
        }
        (number, reply)
    }
}

impl Drop for Held {
    fn drop(&mut self) {
        if let Some(passed) = &self.0 {
            *passed.running.in_flight.lock().unwrap() -= 1;
        }
    }
}

/// Records when a request's future was dropped.
struct Cut<'a>(&'a Running, usize);

impl Drop for Cut<'_> {
    fn drop(&mut self) {
        self.0.episode.history.lock().unwrap().cut(self.1);
    }
}

async fn send(client: &reqwest::Client, request: Request<Bytes>) -> Result<Reply, Broken> {
    let request = request.try_into().map_err(|_| Broken)?;
    let (parts, body) = Response::from(client.execute(request).await.map_err(|_| Broken)?).into_parts();
    let body = body.collect().await.map_err(|_| Broken)?.to_bytes();
    Ok(Response::from_parts(parts, body))
}

fn own_answer(side: Side, status: u16, kind: &str) -> Reply {
    let body = match side {
        Side::BeforeTheGateway => r#"{"message":"from the proxy"}"#.to_owned(),
        Side::BeforeTheStore => {
            format!(r#"{{"__type":"com.amazonaws.dynamodb.v20120810#{kind}","message":"from the proxy"}}"#)
        }
    };
    let response = Response::builder().status(status).header("content-type", "application/x-amz-json-1.0");
    response.body(Bytes::from(body)).unwrap()
}

/// The same write without its fence.
fn without_fence(shared: &Shared, request: Request<Bytes>, mut json: Value) -> Request<Bytes> {
    if json["ConditionExpression"] != FENCED {
        return request;
    }
    json["ConditionExpression"] = "attribute_exists(#workspace_id)".into();
    // DynamoDB refuses names and values that no expression refers to.
    let sets_epoch = json["UpdateExpression"].as_str().is_some_and(|update| update.contains("#epoch"));
    if let Some(values) = json["ExpressionAttributeValues"].as_object_mut() {
        values.remove(":seen");
    }
    if let Some(names) = json["ExpressionAttributeNames"].as_object_mut()
        && !sets_epoch
    {
        names.remove("#epoch");
    }
    shared.sabotaged.fetch_add(1, Ordering::Relaxed);
    let (mut parts, _) = request.into_parts();
    parts.headers.remove("content-length");
    Request::from_parts(parts, Bytes::from(json.to_string()))
}

//! A run: episodes side by side, until the time is up or a history is wrong. Each is judged as soon as it ends.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use local::{AdminToken, EmbeddedEngine, Engine, Options, Registry};
use tokio::sync::Mutex;
use tokio::task::JoinSet;

use super::Numbers;
use super::calls::{self, Parent, Request};
use super::proxy::{CALL, Fault, Proxy, Running, Shared, Side};
use super::record::Verdict;
use crate::spec::{First, Op, Scope};
use crate::symbols::{CommandName, Credential, Place, Token};

/// How a run goes.
#[derive(Clone, Debug)]
pub struct Plan {
    /// Decides what clients ask for and which fault a request gets, by its number.
    pub seed: u64,
    pub time: Duration,
    /// Clients of one episode.
    pub clients: u64,
    /// Episodes at the same time.
    pub side_by_side: usize,
    /// How many of a hundred requests get a fault, on each side.
    pub percent: u64,
    /// Remove the fence if a write is every so many requests to the store; 0 for never.
    pub sabotage: u64,
    /// The engine's address; `None` for one inside this process.
    pub endpoint: Option<String>,
}

/// What a run has seen.
#[derive(Debug, Default)]
pub struct Outcome {
    pub episodes: usize,
    pub calls: usize,
    pub overlapping: usize,
    pub unconfirmed: usize,
    pub faults: BTreeMap<(Side, Fault), usize>,
    /// How many fences were removed.
    pub sabotaged: usize,
    pub answers: BTreeMap<&'static str, usize>,
    /// The histories that no order explains, to read.
    pub violations: Vec<String>,
    /// How many histories the search gave up on.
    pub undecided: usize,
    /// The longest time that a judgement took.
    pub slowest: Duration,
}

/// How long a client waits for an answer.
const PATIENCE: Duration = Duration::from_millis(1_200);
/// How long an episode's last requests may take.
const LAST: Duration = Duration::from_secs(20);

impl Outcome {
    /// The kinds of success that no call answered. A long run that misses one has not checked much.
    pub fn never_answered(&self) -> Vec<&'static str> {
        SUCCESSES.iter().filter(|kind| !self.answers.contains_key(**kind)).copied().collect()
    }
}

/// Runs for the plan's time.
///
/// # Panics
/// When the registry does not start, and when a client or a judge panics.
pub async fn run(plan: &Plan) -> Outcome {
    run_while(plan, |_| true).await
}

/// Runs until a history is wrong, for the plan's time at most.
///
/// # Panics
/// As [`run`] does.
pub async fn run_to_a_violation(plan: &Plan) -> Outcome {
    run_while(plan, |so_far| so_far.violations.is_empty()).await
}

async fn run_while(plan: &Plan, goes_on: fn(&Outcome) -> bool) -> Outcome {
    let (engine, endpoint) = match &plan.endpoint {
        Some(endpoint) => (None, endpoint.clone()),
        None => {
            let engine = EmbeddedEngine::start(None).await.unwrap();
            let endpoint = engine.endpoint().to_owned();
            (Some(engine), endpoint)
        }
    };
    let shared = Arc::new(Shared::new(plan.seed, plan.percent, plan.sabotage));
    let to_store = Proxy::start(Arc::clone(&shared), Side::BeforeTheStore, &endpoint).await;
    // Unique also among runs on one engine.
    let run = format!("{:x}-{}", plan.seed, std::process::id());
    let registry = start(&endpoint, &to_store.url, &format!("histories-{run}")).await;
    let admin: Arc<str> = registry.admin_token().expose().into();
    let parent = create_parent(&registry).await;
    let to_gateway = Proxy::start(Arc::clone(&shared), Side::BeforeTheGateway, registry.url()).await;
    let http =
        reqwest::Client::builder().no_proxy().timeout(PATIENCE).pool_max_idle_per_host(0).build().unwrap();

    let outcome = Arc::new(Mutex::new(Outcome::default()));
    let (next, begin) = (Arc::new(AtomicU64::new(0)), Instant::now());
    let mut lanes = JoinSet::new();
    for _ in 0..plan.side_by_side {
        let (plan, shared, outcome, next) =
            (plan.clone(), Arc::clone(&shared), Arc::clone(&outcome), Arc::clone(&next));
        let (admin, http, url, run) = (Arc::clone(&admin), http.clone(), to_gateway.url.clone(), run.clone());
        let parent = parent.clone();
        lanes.spawn(async move {
            while begin.elapsed() < plan.time && goes_on(&*outcome.lock().await) {
                let number = next.fetch_add(1, Ordering::SeqCst);
                let workspace = format!("w-{run}-{number}");
                let (http, url, admin, parent) =
                    (http.clone(), url.clone(), Arc::clone(&admin), parent.clone());
                let world = World { http, url, admin, parent, workspace };
                let running = shared.begin(&world.workspace, number);
                episode(&plan, &world, &running).await;
                shared.end(&world.workspace);
                judge(&plan, number, running, &outcome).await;
            }
        });
    }
    while let Some(lane) = lanes.join_next().await {
        lane.unwrap();
    }
    registry.stop().await;
    if let Some(engine) = engine {
        engine.stop().await;
    }
    let mut outcome = std::mem::take(&mut *outcome.lock().await);
    outcome.faults = shared.counts();
    outcome.sabotaged = shared.sabotaged.load(Ordering::SeqCst);
    outcome
}

/// The workspace whose children all episodes are about.
async fn create_parent(registry: &Registry) -> Parent {
    let request =
        reqwest::Client::builder().no_proxy().build().unwrap().post(format!("{}/workspaces", registry.url()));
    let body = serde_json::json!({"name": "the parent of all episodes"});
    let reply = request.bearer_auth(registry.admin_token().expose()).json(&body).send().await.unwrap();
    let created: serde_json::Value = reply.json().await.unwrap();
    let text = |field: &str| created[field].as_str().unwrap().to_owned();
    Parent { id: text("id"), token: text("auth_token") }
}

/// The registry. An engine that has only just been started may need more than one try.
async fn start(endpoint: &str, store_endpoint: &str, table_name: &str) -> Registry {
    let mut tries = 10;
    loop {
        let options = Options {
            port: 0,
            engine: Engine::Endpoint(endpoint.to_owned()),
            table_name: table_name.to_owned(),
            admin_token: AdminToken::generate(),
            store_endpoint: Some(store_endpoint.to_owned()),
            ..Options::default()
        };
        tries -= 1;
        match Registry::start(options).await {
            Ok(registry) => return registry,
            Err(error) => assert!(tries > 0, "the registry does not start: {error}"),
        }
    }
}

/// What an episode's clients share.
#[derive(Clone)]
struct World {
    http: reqwest::Client,
    url: String,
    admin: Arc<str>,
    parent: Parent,
    workspace: String,
}

async fn episode(plan: &Plan, world: &World, running: &Arc<Running>) {
    let mut clients = JoinSet::new();
    for client in 0..plan.clients {
        let numbers = Numbers::new(plan.seed, &[100 + client, running.number]);
        clients.spawn(live(client, world.clone(), Arc::clone(running), numbers));
    }
    while let Some(client) = clients.join_next().await {
        client.unwrap();
    }
    // Requests may still be in the network.
    let end = Instant::now() + LAST;
    while *running.in_flight.lock().unwrap() > 0 && Instant::now() < end {
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    // The administrator and every token holder read the final state.
    running.is_quiet.store(true, Ordering::SeqCst);
    ask(world, running, Op::Show { bearer: None }).await;
    ask(world, running, Op::Discover).await;
    let known = running.episode.texts.lock().unwrap().known();
    for token in known {
        ask(world, running, Op::Show { bearer: Some(Credential::Token(token)) }).await;
    }
}

/// One client: a few calls, each sometimes repeated if it fails.
async fn live(client: u64, world: World, running: Arc<Running>, mut numbers: Numbers) {
    // The create comes first most of the time, and clients do not all start at once.
    tokio::time::sleep(Duration::from_micros(numbers.below(20_000))).await;
    for turn in 0..2 + numbers.below(2) {
        let op = if client == 0 && turn == 0 {
            Op::Create(*numbers.pick(&[First::Generated, First::Chosen(Token::SOURCE)]))
        } else {
            next_call(client, turn, &running, &mut numbers)
        };
        let mut tries = 1 + numbers.below(2);
        while tries > 0 && !ask(&world, &running, op).await {
            tries -= 1;
        }
        tokio::time::sleep(Duration::from_micros(numbers.below(8_000))).await;
    }
}

/// A client's next call.
fn next_call(client: u64, turn: u64, running: &Running, numbers: &mut Numbers) -> Op {
    // Each registration says something different, so that a late one is recognised.
    let place = Place(u16::try_from(client * 4 + turn).unwrap());
    let known = running.episode.texts.lock().unwrap().known();
    let some = [Token::SOURCE, Token::TARGET, Token::RIVAL];
    let chosen = *numbers.pick(&some);
    let bearer = if known.is_empty() || numbers.below(3) == 0 { chosen } else { *numbers.pick(&known) };
    let bearer = match numbers.below(30) {
        0 => Credential::HashOf(bearer),
        _ => Credential::Token(bearer),
    };
    // Few names, so that commands repeat and names are reused.
    let name = CommandName(u16::try_from(numbers.below(6)).unwrap());
    let expected = if numbers.below(4) == 0 { Some(1 + numbers.below(6)) } else { None };
    // A removal ends an episode: nothing but refusals comes after it.
    if turn > 0 && numbers.below(50) == 0 {
        return Op::Remove { expected };
    }
    let ended = if known.is_empty() { chosen } else { *numbers.pick(&known) };
    match numbers.below(28) {
        20..22 => Op::Beat { bearer },
        22..24 => Op::Discover,
        24 => Op::EndToken { token: ended, name, expected },
        25 => Op::OwnerEnds { bearer, token: ended },
        26..28 => {
            let chosen = if numbers.below(2) == 0 { Some(chosen) } else { None };
            Op::Rotate { bearer, chosen }
        }
        0..6 => Op::Register { bearer: Some(bearer), chosen: None, place },
        6..9 => Op::Register { bearer: None, chosen: None, place },
        9..11 => Op::Register { bearer: None, chosen: Some(chosen), place },
        11 => Op::Mint { chosen: None, expires: false },
        12 => Op::Mint { chosen: Some(Token::CALLER), expires: false },
        13..15 => {
            let scope = *numbers.pick(&[Scope::All, Scope::All, Scope::Owner, Scope::Api]);
            let successor = if scope == Scope::All && numbers.below(3) == 0 { Some(chosen) } else { None };
            Op::Revoke { scope, successor, name, expected }
        }
        15..17 => Op::HandOver { successor: chosen, name, expected },
        17 => Op::Cancel { name, expected },
        18 => Op::Show { bearer: Some(bearer) },
        _ => Op::Show { bearer: None },
    }
}

/// Makes a call. Returns whether it succeeded or was refused for good.
async fn ask(world: &World, running: &Running, op: Op) -> bool {
    let Request { method, path, caller, bearer, body } = calls::request(
        &op,
        &world.workspace,
        &world.parent,
        &world.admin,
        &mut running.episode.texts.lock().unwrap(),
    );
    let number = {
        let mut asked = running.asked.lock().unwrap();
        asked.push(op);
        asked.len() - 1
    };
    let method = reqwest::Method::from_bytes(method.as_bytes()).unwrap();
    let mut request = world
        .http
        .request(method, format!("{}{path}", world.url))
        .header(CALL, format!("{} {number}", world.workspace));
    if let Some(caller) = caller {
        request = request.header("x-workspace-id", caller);
    }
    if let Some(bearer) = bearer {
        request = request.bearer_auth(bearer);
    }
    if let Some(body) = body {
        request = request.json(&body);
    }
    request.send().await.is_ok_and(|reply| reply.status().as_u16() < 429)
}

async fn judge(plan: &Plan, number: u64, running: Arc<Running>, outcome: &Mutex<Outcome>) {
    let mut history = std::mem::take(&mut *running.episode.history.lock().unwrap());
    history.withdraw_doubtful();
    let begin = Instant::now();
    let judged = tokio::task::spawn_blocking(move || (history.judge(), history)).await;
    let (verdict, history) = judged.unwrap();
    let mut outcome = outcome.lock().await;
    outcome.slowest = outcome.slowest.max(begin.elapsed());
    outcome.episodes += 1;
    outcome.calls += history.calls();
    outcome.overlapping += history.overlapping();
    outcome.unconfirmed += history.unconfirmed();
    for answer in history.answers() {
        let debug = format!("{answer:?}");
        let kind = SUCCESSES
            .iter()
            .chain(&FAILURES)
            .find(|kind| debug.starts_with(**kind))
            .copied()
            .unwrap_or("other");
        *outcome.answers.entry(kind).or_default() += 1;
    }
    outcome.undecided += usize::from(verdict == Verdict::Undecided);
    let explained = match verdict {
        Verdict::NotLinearizable { explained } => Some(explained),
        Verdict::Linearizable | Verdict::Undecided => None,
    };
    if explained.is_some() || !history.unexpected.is_empty() {
        let (described, unexpected) = (history.describe(), history.unexpected.join("\n"));
        let explained = explained.unwrap_or_default();
        outcome
            .violations
            .push(format!("seed {}, episode {number}:\n{described}{unexpected}{explained}", plan.seed));
    }
}

/// No hand-over expires in an episode.
const SUCCESSES: [&str; 13] = [
    "Created",
    "Registered",
    "Minted",
    "Revoked",
    "Pending",
    "HandedOver",
    "Cancelled",
    "Removed",
    "Shown",
    "Discovered",
    "Beaten",
    "Ended",
    "Rotating",
];
const FAILURES: [&str; 3] = ["Refused", "Contended", "Unavailable"];

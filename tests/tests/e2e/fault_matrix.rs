//! Each function's calls × each fault of the store: the answer, what is in the table afterwards, and the same call again
//! when the store is well. The outcome is a table in `docs/reliability.md`, which must be the one there;
//! `UPDATE_DOCS=1 cargo test -p tests fault_matrix` writes it.
//!
//! What holds for every cell is asserted besides: a caller is refused only where it is refused without the fault, a call
//! that failed shows no token and is said to have failed, the item is as before or as after the whole call, and at most
//! one token was made.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write;

use aws_sdk_dynamodb::types::AttributeValue;
use futures_util::StreamExt;
use futures_util::future::join_all;
use futures_util::stream::iter;
use reqwest::Method;
use serde_json::{Value, json};
use tests::proxy::{Fault, Proxy};
use tests::world::{Item, Reply, World, authorized, authorizer_event, sha256, test};
use tokio::net::TcpSocket;

const PAGE: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../docs/reliability.md");
const BEGIN: &str =
    "<!-- Written by tests/tests/e2e/fault_matrix.rs: UPDATE_DOCS=1 cargo test -p tests fault_matrix -->\n";
const END: &str = "<!-- The end of what the test writes. -->\n";

/// One request that can be sent again as it is.
#[derive(Clone)]
enum Ask {
    Http {
        method: Method,
        path: String,
        bearer: Option<String>,
        body: Value,
    },
    /// As this workspace.
    Discover {
        path: String,
        caller: String,
        bearer: String,
    },
    Direct {
        function: &'static str,
        payload: Value,
    },
}

/// The workspace that a call is made on.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Start {
    /// There is none.
    Nothing,
    /// With every attribute that an item can have: an owner, an API token, a pending hand-over.
    Full,
    /// The same without the hand-over.
    Owned,
    /// The same after a revoke that reserved the claim for a successor.
    Reserved,
    /// The same after a revoke: the door is open.
    Open,
    /// With an owner that rotates its token.
    Rotating,
}

struct Call {
    name: &'static str,
    start: Start,
    /// The request that the call is about: its operation, and how many of that operation come before it.
    deciding: (&'static str, usize),
    ask: fn(&Keys, &str) -> Ask,
}

/// The tokens of the workspaces that calls are made on.
struct Keys {
    admin: String,
    owner: String,
    api: String,
    successor: String,
    /// The token to which an owner rotates.
    next: String,
    /// The workspaces' parent, and its owner's token.
    parent: (String, String),
    /// A token that is none of any workspace's, and its hash.
    new: (String, String),
    full: Item,
    owned: Item,
    reserved: Item,
    open: Item,
    rotating: Item,
}

fn post(path: String, bearer: Option<&str>, body: Value) -> Ask {
    Ask::Http { method: Method::POST, path, bearer: bearer.map(str::to_owned), body }
}

fn delete(path: String, bearer: &str, body: Value) -> Ask {
    Ask::Http { method: Method::DELETE, path, bearer: Some(bearer.to_owned()), body }
}

fn register(bearer: Option<&str>, id: &str) -> Ask {
    let body = json!({"id": id, "url": "https://target.example", "agent_card": {"name": "target"}});
    post("/registry/register".to_owned(), bearer, body)
}

fn get(bearer: &str, id: &str) -> Ask {
    get_path(bearer, format!("/workspaces/{id}"))
}

fn beat(bearer: &str, id: &str) -> Ask {
    post("/registry/heartbeat".to_owned(), Some(bearer), json!({"workspace_id": id, "current_task": "x"}))
}

fn get_path(bearer: &str, path: String) -> Ask {
    Ask::Http { method: Method::GET, path, bearer: Some(bearer.to_owned()), body: Value::Null }
}

fn state(bearer: &str, id: &str) -> Ask {
    get_path(bearer, format!("/workspaces/{id}/state"))
}

fn discover(keys: &Keys, bearer: &str, id: &str) -> Ask {
    let (path, caller) = (format!("/registry/discover/{id}"), keys.parent.0.clone());
    Ask::Discover { path, caller, bearer: bearer.to_owned() }
}

fn authorize(bearer: &str, id: &str) -> Ask {
    let payload = authorizer_event(Some(&format!("Bearer {bearer}")), json!({"id": id}), None);
    Ask::Direct { function: "authorize", payload }
}

fn admin(keys: &Keys, id: &str, what: &str, body: Value) -> Ask {
    post(format!("/admin/workspaces/{id}/{what}"), Some(&keys.admin), body)
}

fn calls() -> Vec<Call> {
    use Start::{Full, Nothing, Open, Owned, Reserved, Rotating};
    let call = |name, start, deciding, ask| Call { name, start, deciding, ask };
    let (put, update, read, batch_read) =
        (("PutItem", 0), ("UpdateItem", 0), ("GetItem", 0), ("BatchGetItem", 0));
    vec![
        call("create", Nothing, put, |k, id| {
            post("/workspaces".to_owned(), Some(&k.admin), json!({"id": id, "name": "x"}))
        }),
        call("create (caller-chosen token)", Nothing, put, |k, id| {
            let body = json!({"id": id, "name": "x", "auth_token_sha256": k.new.1});
            post("/workspaces".to_owned(), Some(&k.admin), body)
        }),
        call("create (with a parent)", Nothing, put, |k, id| {
            let body = json!({"id": id, "name": "x", "parent_id": k.parent.0});
            post("/workspaces".to_owned(), Some(&k.admin), body)
        }),
        call("register: claim", Open, update, |_, id| register(None, id)),
        call("register: claim (caller-chosen token)", Open, update, |k, id| {
            let body = json!({"id": id, "agent_card": {}, "auth_token_sha256": k.new.1});
            post("/registry/register".to_owned(), None, body)
        }),
        call("register: no bearer while there is an owner", Owned, read, |_, id| register(None, id)),
        call("register: no bearer while the claim is reserved", Reserved, read, |_, id| register(None, id)),
        call("register: refresh by the owner", Full, update, |k, id| register(Some(&k.owner), id)),
        call("register: refresh by an API token", Full, update, |k, id| register(Some(&k.api), id)),
        call("register: take-over", Full, update, |k, id| register(Some(&k.successor), id)),
        call("register: a bearer that is not live", Full, read, |k, id| register(Some(&k.new.0), id)),
        call("mint", Full, update, |k, id| admin(k, id, "tokens", json!({}))),
        call("mint (caller-chosen token)", Full, update, |k, id| {
            admin(k, id, "tokens", json!({"auth_token_sha256": k.new.1}))
        }),
        call("mint (by the owner)", Full, update, |k, id| {
            post(format!("/workspaces/{id}/tokens"), Some(&k.owner), json!({}))
        }),
        call("mint (by an API token)", Full, read, |k, id| {
            post(format!("/workspaces/{id}/tokens"), Some(&k.api), json!({}))
        }),
        call("end a token", Full, update, |k, id| {
            let path = format!("/admin/workspaces/{id}/tokens/{}", k.api.get(..12).unwrap());
            delete(path, &k.admin, json!({"operation_id": "matrix"}))
        }),
        call("end a token (by the owner)", Full, update, |k, id| {
            delete(format!("/workspaces/{id}/tokens/{}", k.api.get(..12).unwrap()), &k.owner, Value::Null)
        }),
        call("rotate", Owned, update, |k, id| {
            post(format!("/workspaces/{id}/rotate"), Some(&k.owner), json!({}))
        }),
        call("rotate (caller-chosen token)", Owned, update, |k, id| {
            let body = json!({"successor_token_sha256": k.new.1});
            post(format!("/workspaces/{id}/rotate"), Some(&k.owner), body)
        }),
        call("rotate (while a hand-over is pending)", Full, read, |k, id| {
            post(format!("/workspaces/{id}/rotate"), Some(&k.owner), json!({}))
        }),
        call("revoke", Full, update, |k, id| {
            admin(k, id, "revoke-auth-tokens", json!({"operation_id": "matrix"}))
        }),
        call("revoke (direct)", Full, update, |_, id| {
            let payload = json!({"workspace_id": id, "operation_id": "matrix"});
            Ask::Direct { function: "admin-revoke", payload }
        }),
        call("hand over", Full, update, |k, id| {
            let body = json!({"successor_token_sha256": k.new.1, "operation_id": "matrix"});
            admin(k, id, "hand-over", body)
        }),
        call("hand over (direct)", Full, update, |k, id| {
            let named = &k.new.1;
            let payload =
                json!({"workspace_id": id, "successor_token_sha256": named, "operation_id": "matrix"});
            Ask::Direct { function: "admin-hand-over", payload }
        }),
        call("cancel a hand-over", Full, update, |k, id| {
            let body = json!({"operation_id": "matrix"});
            delete(format!("/admin/workspaces/{id}/hand-over"), &k.admin, body)
        }),
        call("cancel a hand-over (direct)", Full, update, |_, id| {
            let payload = json!({"workspace_id": id, "action": "cancel", "operation_id": "matrix"});
            Ask::Direct { function: "admin-hand-over", payload }
        }),
        call("heartbeat", Full, put, |k, id| beat(&k.owner, id)),
        call("heartbeat (by the next token)", Rotating, update, |k, id| beat(&k.next, id)),
        call("heartbeat (by an API token)", Full, read, |k, id| beat(&k.api, id)),
        call("heartbeat (by a bearer that is not live)", Full, read, |k, id| beat(&k.new.0, id)),
        call("state", Full, batch_read, |k, id| state(&k.owner, id)),
        call("state (by a bearer that is not live)", Full, batch_read, |k, id| state(&k.new.0, id)),
        call("discover", Full, batch_read, |k, id| discover(k, &k.parent.1, id)),
        call("discover (by a bearer that is not live)", Full, batch_read, |k, id| discover(k, &k.new.0, id)),
        call("peers", Full, batch_read, |k, id| get_path(&k.owner, format!("/registry/{id}/peers"))),
        call("peers (by a bearer that is not live)", Full, read, |k, id| {
            get_path(&k.new.0, format!("/registry/{id}/peers"))
        }),
        call("authorize", Full, read, |k, id| authorize(&k.owner, id)),
        call("authorize (by an API token)", Full, read, |k, id| authorize(&k.api, id)),
        call("authorize (by a bearer that is not live)", Full, read, |k, id| authorize(&k.new.0, id)),
        call("list", Full, batch_read, |k, _| {
            get_path(&k.admin, format!("/workspaces?parent_id={}", k.parent.0))
        }),
        call("remove", Full, update, |k, id| delete(format!("/workspaces/{id}"), &k.admin, Value::Null)),
        call("remove (direct)", Full, update, |_, id| Ask::Direct {
            function: "admin-remove",
            payload: json!({"workspace_id": id}),
        }),
        call("get", Full, batch_read, |k, id| get(&k.admin, id)),
        call("get (by the owner)", Full, batch_read, |k, id| get(&k.owner, id)),
        call("get (by a bearer that is not live)", Full, batch_read, |k, id| get(&k.new.0, id)),
        call("get (direct)", Full, batch_read, |_, id| Ask::Direct {
            function: "get-workspace",
            payload: json!({"workspace_id": id}),
        }),
    ]
}

/// A fault of the store, by its name in the table.
#[derive(Clone)]
struct StoreFault {
    name: &'static str,
    kind: Kind,
}

#[derive(Clone)]
enum Kind {
    /// Nothing listens where the store should be.
    Unreachable,
    /// Every request.
    All(Fault),
    /// Every BatchGetItem.
    Batch(Fault),
    /// Every request of the deciding operation: where a read comes before it, that is answered.
    Deciding(Fault),
    /// The first request of the deciding operation; the SDK sends it again.
    Once(Fault),
}

fn store_faults() -> Vec<StoreFault> {
    let fault = |name, kind| StoreFault { name, kind };
    vec![
        fault("unreachable", Kind::Unreachable),
        fault("no answer in time", Kind::All(Fault::Stall)),
        fault("reset before the request arrived", Kind::All(Fault::Reset)),
        fault("the same for the write alone", Kind::Deciding(Fault::Reset)),
        fault("`ThrottlingException`", Kind::All(Fault::Answer(400, "ThrottlingException"))),
        fault(
            "`ProvisionedThroughputExceededException`",
            Kind::All(Fault::Answer(400, "ProvisionedThroughputExceededException")),
        ),
        fault("HTTP 500", Kind::All(Fault::Answer(500, "InternalServerError"))),
        fault("HTTP 503", Kind::All(Fault::Answer(503, "ServiceUnavailable"))),
        fault("`UnprocessedKeys` each time", Kind::Batch(Fault::Unprocessed)),
        fault("an HTML page with 200", Kind::All(Fault::Page(200))),
        fault("an HTML page with 502", Kind::All(Fault::Page(502))),
        fault(
            "the signature is refused (the function's clock is off)",
            Kind::All(Fault::Answer(400, "InvalidSignatureException")),
        ),
        fault("reset after the write each time", Kind::Deciding(Fault::DropReply)),
        fault("the reply to the write is cut each time", Kind::Deciding(Fault::CutBody)),
        fault("reset after the write once", Kind::Once(Fault::DropReply)),
    ]
}

/// What came back.
struct Answer {
    /// As the table shows it.
    text: String,
    /// Of an error, what it says.
    sentence: String,
    failed: Failed,
    token: Option<String>,
}

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Failed {
    No,
    StoreUnavailable,
    InternalError,
}

fn of_http(reply: &Reply) -> Answer {
    let code = reply.code();
    let failed = match (code, reply.status) {
        ("store_unavailable", 500 | 503) => Failed::StoreUnavailable,
        ("internal_error", 500) => Failed::InternalError,
        (_, status) => {
            assert!(status < 500, "{status}: {}", reply.text);
            Failed::No
        }
    };
    assert!(!reply.text.contains("of the store's own") && !reply.text.contains("right back"));
    let token = reply.json["auth_token"].as_str().map(str::to_owned);
    let text = if code.is_empty() { reply.status.to_string() } else { format!("{} `{code}`", reply.status) };
    let sentence = reply.json["error"].as_str().unwrap_or_default().to_owned();
    Answer { text, sentence, failed, token }
}

fn of_direct(answer: &Result<Value, Value>) -> Answer {
    let (text, sentence, failed) = match answer {
        Ok(answer) => {
            let text = match answer["isAuthorized"].as_bool() {
                None => "success",
                Some(true) => "authorized",
                Some(false) => "not authorized",
            };
            (text.to_owned(), String::new(), Failed::No)
        }
        Err(error) => {
            let kind = error["errorType"].as_str().unwrap();
            let failed = match kind {
                "StoreUnavailable" => Failed::StoreUnavailable,
                "InternalError" => Failed::InternalError,
                _ => Failed::No,
            };
            (format!("`{kind}`"), error["errorMessage"].as_str().unwrap().to_owned(), failed)
        }
    };
    Answer { text, sentence, failed, token: None }
}

async fn send(w: &World, registry: &local::Registry, ask: &Ask) -> Answer {
    match ask {
        Ask::Http { method, path, bearer, body } => {
            let mut request = w.http.request(method.clone(), format!("{}{path}", registry.url()));
            if !body.is_null() {
                request = request.json(body);
            }
            let reply = w.send(authorized(request, bearer.as_deref())).await;
            let answer = of_http(&reply);
            let is_by_an_agent = path.starts_with("/registry/")
                || path.starts_with("/workspaces/")
                    && (method == Method::GET || path.matches('/').count() > 2);
            if answer.failed == Failed::StoreUnavailable {
                assert_eq!(reply.status, if is_by_an_agent { 503 } else { 500 });
                assert_eq!(reply.header("retry-after").is_some(), is_by_an_agent);
            }
            answer
        }
        Ask::Discover { path, caller, bearer } => {
            let request = w.http.get(format!("{}{path}", registry.url())).header("x-workspace-id", caller);
            of_http(&w.send(request.bearer_auth(bearer)).await)
        }
        Ask::Direct { function, payload } => {
            of_direct(&w.invoke_on(registry, function, payload.clone()).await)
        }
    }
}

/// An item without what differs from workspace to workspace: ids, hashes, times. Two workspaces that went through the
/// same have the same shape.
fn shape(item: Option<&Item>) -> Option<BTreeMap<String, String>> {
    let volatile = [
        "workspace_id",
        "created_op",
        "created_at",
        "registered_at",
        "revoked_at",
        "owner_hash",
        "owner_prefix",
        "owner_minted_at",
        "previous_owner_hash",
        "successor_hash",
        "successor_prefix",
        "successor_expires",
    ];
    let show = |(name, value): (&String, &AttributeValue)| {
        let shown = match (name.as_str(), value) {
            (name, _) if volatile.contains(&name) => "there".to_owned(),
            ("api_tokens", AttributeValue::M(tokens)) => format!("{} tokens", tokens.len()),
            ("last_op_kind", AttributeValue::S(kind)) => {
                kind.split_once(':').map_or(kind.as_str(), |(kind, _)| kind).to_owned()
            }
            (_, AttributeValue::M(map)) => format!("{:?}", map.iter().collect::<BTreeMap<_, _>>()),
            (_, value) => format!("{value:?}"),
        };
        (name.clone(), shown)
    };
    item.map(|item| item.iter().map(show).collect())
}

/// The hashes of all live tokens of an item, and of the next owner's.
fn live_hashes(item: Option<&Item>) -> BTreeSet<String> {
    let hash = |name| item.and_then(|item| item.get(name)).and_then(|hash| hash.as_s().ok().cloned());
    let tokens = item.and_then(|item| item.get("api_tokens")).and_then(|tokens| tokens.as_m().ok());
    let named = hash("owner_hash").into_iter().chain(hash("successor_hash"));
    named.chain(tokens.into_iter().flat_map(|tokens| tokens.keys().cloned())).collect()
}

/// Workspaces with everything that one can have.
async fn keys(w: &World) -> Keys {
    let (id, parent) = (w.new_id(), w.spawned().await);
    let created = w
        .create(json!({"id": id, "name": "n", "role": "r", "tier": 1, "runtime": "u", "parent_id": parent.0,
            "compute": {"instance_type": "t", "volume_root_gb": 8}}))
        .await;
    assert_eq!(created.status, 201, "{}", created.text);
    assert_eq!(w.revoke(&id, json!({})).await.status, 200);
    let owner = w.register_url(&id, None, "https://source.example").await.token();
    let api = w.mint(&id, json!({})).await.token();
    let (successor, _) = w.handed_over(&id).await;
    let full = w.item(&id).await.unwrap();
    let after = async |path: &str, body: Value| {
        let id = w.new_id();
        w.put(renamed(&full, &id)).await;
        let url = format!("{}/admin/workspaces/{id}/{path}", w.registry.url());
        let method = if path == "hand-over" { Method::DELETE } else { Method::POST };
        let reply = w.send(w.http.request(method, url).bearer_auth(w.admin()).json(&body)).await;
        assert_eq!(reply.status, 200, "{}", reply.text);
        w.item(&id).await.unwrap()
    };
    let owned = after("hand-over", json!({})).await;
    let reserved = after("revoke-auth-tokens", json!({"successor_token_sha256": sha256(&successor)})).await;
    let open = after("revoke-auth-tokens", json!({})).await;
    let (next, hash) = w.chosen_token();
    let id = w.new_id();
    w.put(renamed(&owned, &id)).await;
    assert_eq!(w.rotate(&id, &owner, json!({"successor_token_sha256": hash})).await.status, 200);
    let rotating = w.item(&id).await.unwrap();
    Keys {
        admin: w.admin().to_owned(),
        owner,
        api,
        successor,
        next,
        parent,
        new: w.chosen_token(),
        full,
        owned,
        reserved,
        open,
        rotating,
    }
}

/// The same workspace under another id. It is not in the index: a malformed one would be everybody's peer.
fn renamed(item: &Item, id: &str) -> Item {
    let mut item = item.clone();
    item.remove("parent_key");
    item.insert("workspace_id".to_owned(), AttributeValue::S(id.to_owned()));
    item
}

impl Keys {
    fn item(&self, start: Start) -> Option<&Item> {
        match start {
            Start::Nothing => None,
            Start::Full => Some(&self.full),
            Start::Owned => Some(&self.owned),
            Start::Reserved => Some(&self.reserved),
            Start::Open => Some(&self.open),
            Start::Rotating => Some(&self.rotating),
        }
    }

    /// A workspace of this kind for one cell.
    async fn place(&self, w: &World, start: Start) -> String {
        let id = w.new_id();
        if let Some(item) = self.item(start) {
            w.put(renamed(item, &id)).await;
        }
        id
    }
}

/// What a call is without any fault: its answer, and the shapes of its item before and after.
struct Control {
    answer: Answer,
    before: Option<BTreeMap<String, String>>,
    after: Option<BTreeMap<String, String>>,
}

async fn control(w: &World, keys: &Keys, call: &Call) -> Control {
    let id = keys.place(w, call.start).await;
    let before = shape(w.item(&id).await.as_ref());
    let answer = send(w, &w.registry, &(call.ask)(keys, &id)).await;
    assert_eq!(answer.failed, Failed::No, "{}", call.name);
    Control { answer, before, after: shape(w.item(&id).await.as_ref()) }
}

/// One cell. After a fault that strikes once, the SDK has 3 s for another attempt: where the machine is too busy for that, the
/// call cannot tell, and the cell is filled once more.
async fn patient_cell(w: &World, keys: &Keys, call: &Call, control: &Control, fault: &StoreFault) -> String {
    let mut tries = if matches!(fault.kind, Kind::Once(_)) { 3 } else { 1 };
    loop {
        tries -= 1;
        let said = cell(w, keys, call, control, fault).await;
        let could_tell = !said.contains("store_unavailable") && !said.contains("StoreUnavailable");
        if could_tell || tries == 0 {
            return said;
        }
    }
}

/// One cell: the call under the fault, and again without it.
async fn cell(w: &World, keys: &Keys, call: &Call, control: &Control, fault: &StoreFault) -> String {
    let context = format!("{} / {}", call.name, fault.name);
    let id = keys.place(w, call.start).await;
    let ask = (call.ask)(keys, &id);
    let (operation, before_it) = call.deciding;
    let before = w.item(&id).await;
    let (proxy, registry) = if let Kind::Unreachable = &fault.kind {
        // Bound and not listening: connections are refused, and nobody else can take the port.
        let socket = TcpSocket::new_v4().unwrap();
        socket.bind("127.0.0.1:0".parse().unwrap()).unwrap();
        let registry = w.registry_looking_at(&format!("http://{}", socket.local_addr().unwrap())).await;
        (Err(socket), registry)
    } else {
        let (proxy, registry) = w.registry_behind_its_own_proxy().await;
        (Ok(proxy), registry)
    };
    if let Ok(proxy) = &proxy {
        match &fault.kind {
            Kind::Unreachable => {}
            Kind::All(fault) => proxy.spoil_all("*", fault.clone()),
            Kind::Batch(fault) => proxy.spoil_all("BatchGetItem", fault.clone()),
            Kind::Deciding(fault) => proxy.pass_then_spoil(operation, before_it, fault.clone()),
            Kind::Once(fault) => proxy.pass_then_spoil_once(operation, before_it, fault.clone()),
        }
    }
    let answer = send(w, &registry, &ask).await;
    // The store is well from here on.
    let proxy = proxy.unwrap_or_else(|socket| {
        Proxy::start_on(socket.listen(128).unwrap(), w.registry.dynamodb_endpoint())
    });
    proxy.heal();
    let after = w.item(&id).await;
    let effect = effect(control, before.as_ref(), after.as_ref(), &context);
    check(&answer, control, before.as_ref(), after.as_ref(), &context);

    let again = send(w, &registry, &ask).await;
    assert_eq!(again.failed, Failed::No, "the next call is fine: {context}: {}", again.text);
    // Only a token that the service made and nobody ever saw cannot be had again: the workspace is there, or owned.
    let is_lost = control.answer.token.is_some() && answer.token.is_none() && after != before;
    if is_lost {
        let then = ["409 `workspace_exists`", "401 `missing_token`", "201", "200"];
        assert!(then.contains(&again.text.as_str()), "{context}: {}", again.text);
        assert_eq!(w.revoke(&id, json!({})).await.status, 200);
        assert_eq!(w.register_url(&id, None, "https://a.example").await.status, 200, "{context}");
    } else if after == before {
        assert_eq!(again.text, control.answer.text, "{context}");
    }
    drop(proxy);
    registry.stop().await;
    // A repeat on the epoch that its own first call moved is told so.
    let then = if again.text == answer.text { String::new() } else { format!("; then {}", again.text) };
    format!("{}{effect}{then}", answer.text)
}

/// Whether anything was written, and that it was all or nothing.
fn effect(control: &Control, before: Option<&Item>, after: Option<&Item>, context: &str) -> &'static str {
    let after_shape = shape(after);
    if control.before == control.after {
        assert_eq!(after, before, "{context}");
        return "";
    }
    if after_shape == control.before {
        assert_eq!(after, before, "{context}");
        return "; nothing written";
    }
    assert_eq!(after_shape, control.after, "half written: {context}");
    "; written"
}

/// What holds in every cell.
fn check(answer: &Answer, control: &Control, before: Option<&Item>, after: Option<&Item>, context: &str) {
    if answer.failed == Failed::No {
        assert_eq!(answer.text, control.answer.text, "refused, or done, as without the fault: {context}");
        assert_eq!(answer.token.is_some(), control.answer.token.is_some(), "{context}");
    } else {
        assert!(answer.token.is_none(), "a failed call shows no token: {context}");
    }
    let (before, after) = (live_hashes(before), live_hashes(after));
    let made: Vec<_> = after.difference(&before).collect();
    assert!(made.len() <= 1, "{context}: {} tokens were made", made.len());
    if let Some(token) = &answer.token {
        assert_eq!(made, [&sha256(token)], "the token that is shown is the one that was made: {context}");
    }
}

/// A Markdown table after a list of its columns. Columns and rows that say the same are one.
fn table(columns: &[String], rows: &[(String, Vec<String>)]) -> String {
    let mut merged_rows: Vec<(Vec<&str>, &Vec<String>)> = Vec::new();
    for (name, cells) in rows {
        match merged_rows.iter_mut().find(|(_, known)| *known == cells) {
            Some((names, _)) => names.push(name),
            None => merged_rows.push((vec![name], cells)),
        }
    }
    let mut merged: Vec<(Vec<&str>, Vec<&str>)> = Vec::new();
    for (position, name) in columns.iter().enumerate() {
        let column: Vec<_> = rows.iter().map(|(_, cells)| cells[position].as_str()).collect();
        match merged.iter_mut().find(|(_, known)| *known == column) {
            Some((names, _)) => names.push(name),
            None => merged.push((vec![name], column)),
        }
    }
    let mut table = String::new();
    let letters: Vec<_> = ('A'..).take(merged.len()).collect();
    for (letter, (names, _)) in letters.iter().zip(&merged) {
        writeln!(table, "- **{letter}**: {}", joined(names)).unwrap();
    }
    let headings: Vec<_> = letters.iter().map(char::to_string).collect();
    write!(table, "\n| | {} |\n|{}\n", headings.join(" | "), " --- |".repeat(letters.len() + 1)).unwrap();
    for (names, cells) in merged_rows {
        let cells: Vec<_> = merged
            .iter()
            .map(|(of, _)| columns.iter().position(|name| name == of[0]).map_or("", |column| &cells[column]))
            .collect();
        writeln!(table, "| {} | {} |", joined(&names), cells.join(" | ")).unwrap();
    }
    table
}

/// `a: x`, `a: y` and `b: x` as `a: x, y; b: x`.
fn joined(names: &[&str]) -> String {
    let mut groups: Vec<(&str, Vec<&str>)> = Vec::new();
    for name in names {
        let (of, part) = name.split_once(": ").unwrap_or((name, ""));
        match groups.iter_mut().find(|(known, _)| *known == of) {
            Some((_, parts)) => parts.push(part),
            None => groups.push((of, vec![part])),
        }
    }
    let show = |(of, parts): &(&str, Vec<&str>)| match parts.as_slice() {
        [""] => (*of).to_owned(),
        parts => format!("{of}: {}", parts.join(", ")),
    };
    groups.iter().map(show).collect::<Vec<_>>().join("; ")
}

async fn matrix_of_store_faults(w: &World, keys: &Keys, calls: &[Call], controls: &[Control]) -> String {
    let faults = store_faults();
    let cells = calls.iter().zip(controls).enumerate().flat_map(|(row, (call, control))| {
        faults.iter().enumerate().map(move |(column, fault)| {
            (fault, async move { ((row, column), patient_cell(w, keys, call, control, fault).await) })
        })
    });
    // Those that wait for a time-out wait together; of the others only so many at once that nothing else times out.
    let (waiting, busy): (Vec<_>, Vec<_>) =
        cells.partition(|(fault, _)| matches!(fault.kind, Kind::All(Fault::Stall)));
    let waiting = join_all(waiting.into_iter().map(|(_, cell)| cell));
    let busy = iter(busy.into_iter().map(|(_, cell)| cell)).buffer_unordered(4).collect::<Vec<_>>();
    let (waiting, busy) = (waiting.await, busy.await);
    let cells: BTreeMap<_, _> = waiting.into_iter().chain(busy).collect();
    let rows = calls.iter().enumerate().map(|(row, call)| {
        let cells = (0..faults.len()).map(|column| cells[&(row, column)].clone());
        (call.name.to_owned(), cells.collect())
    });
    let columns: Vec<_> = faults.iter().map(|fault| fault.name.to_owned()).collect();
    table(&columns, &rows.collect::<Vec<_>>())
}

/// The attributes of an item one by one missing, or of another type.
async fn matrix_of_items(w: &World, keys: &Keys, calls: &[Call], controls: &[Control]) -> String {
    // The table's keys: DynamoDB itself sees to their types.
    let is_key = |name: &String| ["workspace_id", "parent_key"].contains(&name.as_str());
    let mut attributes: Vec<_> = keys.full.keys().filter(|name| !is_key(name)).cloned().collect();
    attributes.sort_unstable();
    let calls: Vec<_> = calls.iter().zip(controls).filter(|(call, _)| call.start != Start::Nothing).collect();
    let mut rows = Vec::new();
    for (fault, is_mistyped) in [("missing", false), ("of another type", true)] {
        for attribute in &attributes {
            let mut cells = Vec::new();
            for (call, control) in &calls {
                cells.push(one_broken_item(w, keys, call, control, attribute, is_mistyped).await);
            }
            rows.push((format!("{fault}: `{attribute}`"), cells));
        }
    }
    let columns: Vec<_> = calls.iter().map(|(call, _)| call.name.to_owned()).collect();
    table(&columns, &rows)
}

async fn one_broken_item(
    w: &World,
    keys: &Keys,
    call: &Call,
    control: &Control,
    attribute: &str,
    is_mistyped: bool,
) -> String {
    let context = format!("{} / {attribute}, mistyped: {is_mistyped}", call.name);
    let id = w.new_id();
    let mut broken = renamed(keys.item(call.start).unwrap(), &id);
    if broken.remove(attribute).is_none() && !is_mistyped {
        return "unchanged".to_owned();
    }
    if is_mistyped {
        broken.insert(attribute.to_owned(), AttributeValue::Ss(vec!["x".to_owned()]));
    }
    w.put(broken.clone()).await;
    let answer = send(w, &w.registry, &(call.ask)(keys, &id)).await;
    let after = w.item(&id).await;
    let is_written = after.as_ref() != Some(&broken);
    match answer.failed {
        Failed::StoreUnavailable => panic!("{context}: the store is well"),
        Failed::InternalError => {
            assert!(answer.token.is_none(), "{context}");
            assert!(!answer.sentence.contains(attribute), "the attribute is for the log: {context}");
            if is_written { "internal error; written" } else { "internal error" }.to_owned()
        }
        Failed::No => {
            // No caller gains by what is not there.
            assert_eq!(answer.text, control.answer.text, "{context}");
            "unchanged".to_owned()
        }
    }
}

/// The item as a clock would have written it that is so many years off the one that reads it now.
fn written_years_ago(item: &Item, years: i64) -> Item {
    let shift = |value: &AttributeValue| {
        let time = value.as_s().ok().filter(|text| text.len() == 24 && text.ends_with('Z'));
        let Some((year, rest)) = time.and_then(|time| time.split_at_checked(4)) else { return value.clone() };
        let year: i64 = year.parse().unwrap();
        AttributeValue::S(format!("{:04}{rest}", year - years))
    };
    let mut shifted: Item = item.iter().map(|(name, value)| (name.clone(), shift(value))).collect();
    if let Some(AttributeValue::N(expires)) = item.get("successor_expires") {
        let expires = expires.parse::<i64>().unwrap() - years * 365 * 86_400;
        shifted.insert("successor_expires".to_owned(), AttributeValue::N(expires.to_string()));
    }
    shifted
}

async fn matrix_of_clocks(w: &World, keys: &Keys, calls: &[Call]) -> String {
    let mut rows = Vec::new();
    for call in calls {
        let Some(item) = keys.item(call.start) else { continue };
        let mut cells = Vec::new();
        for years in [0, 100, -100] {
            let id = w.new_id();
            w.put(renamed(&written_years_ago(item, years), &id)).await;
            let ask = (call.ask)(keys, &id);
            let answer = send(w, &w.registry, &ask).await;
            assert_eq!(answer.failed, Failed::No, "{}: {}", call.name, answer.text);
            cells.push(answer.text);
        }
        rows.push((call.name.to_owned(), cells));
    }
    let columns = ["right", "100 years ahead", "100 years behind"].map(str::to_owned);
    table(&columns, &rows)
}

#[tokio::test]
async fn fault_matrix_g7_every_function_under_every_fault_of_the_store() {
    test(async |w| {
        let (keys, calls) = (keys(w).await, calls());
        let controls = iter(&calls).then(|call| control(w, &keys, call)).collect::<Vec<_>>().await;
        let written = format!(
            "{}\n### Malformed items\n\n{}\n### Clocks\n\n{}",
            matrix_of_store_faults(w, &keys, &calls, &controls).await,
            matrix_of_items(w, &keys, &calls, &controls).await,
            matrix_of_clocks(w, &keys, &calls).await,
        );
        compare_with_page(&written);
    })
    .await;
}

fn compare_with_page(written: &str) {
    let page = std::fs::read_to_string(PAGE).unwrap();
    let (before, rest) = page.split_once(BEGIN).expect("the page has the mark at which the tables begin");
    let (there, after) = rest.split_once(END).expect("the page has the mark at which the tables end");
    #[allow(clippy::disallowed_methods, reason = "the tests' own setting")]
    let is_update = std::env::var("UPDATE_DOCS").is_ok_and(|value| value == "1");
    if is_update {
        std::fs::write(PAGE, format!("{before}{BEGIN}\n{written}\n{END}{after}")).unwrap();
    } else {
        assert_eq!(
            there.trim(),
            written.trim(),
            "docs/reliability.md says otherwise: look which is right; `UPDATE_DOCS=1 cargo test -p tests fault_matrix` writes it"
        );
    }
}

//! `cargo run -- demo`: runs two migrations and a team at work on a temporary registry, over HTTP and the
//! Invoke API, and checks every step.

use std::io::{self, Write};

use domain::random::{Random, RandomUnavailable};
use domain::token::{NewToken, TokenHash};
use reqwest::header::HeaderMap;
use reqwest::{Method, StatusCode};
use serde_json::{Map, Value, json};

use crate::registry::{Options, Registry, StartError};

const TOKEN_MARK: &str = "wsr_";
/// `wsr_` and the public id, the part of a token that may be shown.
const TOKEN_PREFIX_LENGTH: usize = 12;

const SOURCE_URL: &str = "https://source.cloud-a.example";
const TARGET_URL: &str = "https://target.cloud-b.example";

/// Why the demo failed.
#[derive(Debug, thiserror::Error)]
pub enum DemoError {
    /// The registry does not start.
    #[error(transparent)]
    Start(#[from] StartError),
    /// The HTTP client cannot be set up.
    #[error("The HTTP client cannot be set up: {0}.")]
    Client(#[source] reqwest::Error),
    /// A step got no answer, or one that is not JSON.
    #[error("Step {step} got no answer: {source}.")]
    NoAnswer {
        /// Its number.
        step: u32,
        /// Why.
        source: reqwest::Error,
    },
    /// A step had an unexpected result.
    #[error("Step {step} failed: {what} should be {expected}, and is {found}.")]
    Unexpected {
        /// Its number.
        step: u32,
        /// What was checked: a status or a field.
        what: String,
        /// The expected value.
        expected: String,
        /// The actual value.
        found: String,
    },
    /// No random token could be generated.
    #[error(transparent)]
    Random(#[from] RandomUnavailable),
    /// The output cannot be written.
    #[error("The output cannot be written: {0}.")]
    Output(#[from] io::Error),
}

/// Runs the demo and writes each step to `out`.
///
/// # Errors
/// [`DemoError`] at the first step that fails.
pub async fn run(out: &mut (dyn Write + Send)) -> Result<(), DemoError> {
    let client = reqwest::Client::builder().no_proxy().build().map_err(DemoError::Client)?;
    let registry = Registry::start(Options { port: 0, ..Options::default() }).await?;
    let mut stage = Stage { out, client, base_url: registry.url().to_owned(), step: 0 };
    let played = play(&mut stage, registry.admin_token().expose()).await;
    registry.stop().await;
    played
}

async fn play(stage: &mut Stage<'_>, admin_token: &str) -> Result<(), DemoError> {
    stage.act("A workspace moves to another cloud.")?;
    revoke_and_reclaim(stage, admin_token).await?;
    stage.act(
        "The same move by hand-over: the source serves until the write in which the target takes over.",
    )?;
    hand_over_and_take_over(stage, admin_token).await?;
    stage.act("Two agents of one team work together, and one of them moves.")?;
    find_and_follow(stage, admin_token).await?;
    stage.finish()
}

/// A migration that is stuck, and the way out: revoke, reclaim, prove.
async fn revoke_and_reclaim(stage: &mut Stage<'_>, admin_token: &str) -> Result<(), DemoError> {
    stage.scene("The operator creates a workspace; its first token comes with the answer.")?;
    let create = json!({"id": "research-agent", "name": "Research agent"});
    let created = stage.post("/workspaces", Caller::Operator(admin_token), create, 201).await?;
    let source_token = stage.text(&created, "auth_token")?;
    stage.expect(&created, json!({"id": "research-agent", "status": "provisioning"}))?;

    stage.scene("Its container, the source, registers with that token.")?;
    let source = json!({"id": "research-agent", "url": SOURCE_URL, "agent_card": {"name": "Research agent"}});
    let registered =
        stage.post("/registry/register", Caller::Bearer(&source_token), source.clone(), 200).await?;
    stage.expect(&registered, json!({"status": "registered", "epoch": 1}))?;

    stage.scene("A stranger tries to point the workspace at a machine of their own: refused.")?;
    let hijack = json!({"id": "research-agent", "url": "https://stranger.example", "agent_card": {"name": "Mine now"}});
    let refused = stage.post("/registry/register", Caller::Nobody, hijack, 401).await?;
    stage.expect(&refused, json!({"code": "missing_token"}))?;

    stage.scene(
        "The workspace moves. Its new container, the target, has an empty config. It is refused too, however often it tries.",
    )?;
    let target = json!({"id": "research-agent", "url": TARGET_URL, "agent_card": {"name": "Research agent"}});
    let wedged = stage.post("/registry/register", Caller::Nobody, target.clone(), 401).await?;
    stage.expect(&wedged, json!({"code": "missing_token"}))?;

    stage.scene("The target looks healthy, but the registry still says: source.")?;
    let seen = stage.get("/workspaces/research-agent", Caller::Operator(admin_token), FLIP_PROOF).await?;
    stage.expect(&seen, json!({"url": SOURCE_URL, "registered_by": "owner", "owner_epoch": 1}))?;

    stage.scene("The migrator revokes by direct invocation: the source's token ends, the door opens.")?;
    let revoke =
        json!({"workspace_id": "research-agent", "operation_id": "migration-42", "expected_epoch": 1});
    let revoked = stage.invoke("admin-revoke", revoke.clone()).await?;
    stage.expect(&revoked, json!({"status": "revoked", "revoked": 1, "epoch": 2}))?;

    stage.scene("Its workflow repeats the step, as workflows do: one effect, the same epoch.")?;
    let repeated = stage.invoke("admin-revoke", revoke).await?;
    stage.expect(&repeated, json!({"status": "revoked", "revoked": 0, "epoch": 2}))?;

    stage
        .scene("The target tries again, still without a token: it claims the workspace and is given one.")?;
    let claimed = stage.post("/registry/register", Caller::Nobody, target, 200).await?;
    let target_token = stage.text(&claimed, "auth_token")?;
    stage.expect(&claimed, json!({"status": "registered", "epoch": 3}))?;

    stage.scene("The source does not know yet and sends its heartbeat: refused.")?;
    let late = stage.post("/registry/register", Caller::Bearer(&source_token), source, 401).await?;
    stage.expect(&late, json!({"code": "invalid_token"}))?;

    stage.scene(
        "The flip proof: owner_epoch > 2, registered by the owner, and the target's URL. The source may go.",
    )?;
    let proof =
        stage.invoke_shown("get-workspace", json!({"workspace_id": "research-agent"}), FLIP_PROOF).await?;
    stage
        .expect(&proof, json!({"url": TARGET_URL, "registered_by": "owner", "owner_epoch": 3, "epoch": 3}))?;

    stage.scene("From here on the target is the owner, and nobody else.")?;
    let again = json!({"id": "research-agent", "url": TARGET_URL, "agent_card": {"name": "Research agent"}});
    let refreshed = stage.post("/registry/register", Caller::Bearer(&target_token), again, 200).await?;
    stage.expect(&refreshed, json!({"status": "registered", "epoch": 3}))
}

/// The same migration by hand-over: the successor is named first, and ownership moves in one write.
async fn hand_over_and_take_over(stage: &mut Stage<'_>, admin_token: &str) -> Result<(), DemoError> {
    let at = |url: &str| json!({"id": "writing-agent", "url": url, "agent_card": {"name": "Writing agent"}});
    let get = json!({"workspace_id": "writing-agent"});

    stage.scene("Another workspace is created, and its source registers.")?;
    let create = json!({"id": "writing-agent", "name": "Writing agent"});
    let created = stage.post("/workspaces", Caller::Operator(admin_token), create, 201).await?;
    let source_token = stage.text(&created, "auth_token")?;
    stage.post("/registry/register", Caller::Bearer(&source_token), at(SOURCE_URL), 200).await?;

    stage.scene(
        "The target makes a token of its own. The migrator names it, by its SHA-256, as the successor.",
    )?;
    let target_token = NewToken::generate(&Random::OS)?;
    let hand_over = json!({
        "workspace_id": "writing-agent", "successor_token_sha256": target_token.hash().as_str(), "operation_id": "move-7",
    });
    let target_token = target_token.reveal();
    let pending = stage.invoke("admin-hand-over", hand_over.clone()).await?;
    stage.expect(&pending, json!({"status": "hand_over_pending", "epoch": 2}))?;

    stage.scene("Nothing has happened to the source: it serves, and registers as before.")?;
    let refreshed =
        stage.post("/registry/register", Caller::Bearer(&source_token), at(SOURCE_URL), 200).await?;
    stage.expect(&refreshed, json!({"status": "registered"}))?;

    stage.scene("A stranger finds the door as closed as ever.")?;
    let refused =
        stage.post("/registry/register", Caller::Nobody, at("https://stranger.example"), 401).await?;
    stage.expect(&refused, json!({"code": "missing_token"}))?;

    stage.scene(
        "The target is ready and registers: the same write makes it the owner and ends the source's token.",
    )?;
    let taken = stage.post("/registry/register", Caller::Bearer(&target_token), at(TARGET_URL), 200).await?;
    stage.expect(&taken, json!({"status": "registered", "epoch": 3}))?;
    let late = stage.post("/registry/register", Caller::Bearer(&source_token), at(SOURCE_URL), 401).await?;
    stage.expect(&late, json!({"code": "invalid_token"}))?;

    stage.scene("The flip proof holds, and a late repeat of the hand-over reports the truth.")?;
    let proof = stage.invoke_shown("get-workspace", get, FLIP_PROOF).await?;
    stage.expect(&proof, json!({"url": TARGET_URL, "registered_by": "owner", "owner_epoch": 3}))?;
    let repeated = stage.invoke("admin-hand-over", hand_over).await?;
    stage.expect(&repeated, json!({"status": "handed_over", "epoch": 2}))
}

/// Two siblings find each other. One moves, and the other follows it.
async fn find_and_follow(stage: &mut Stage<'_>, admin_token: &str) -> Result<(), DemoError> {
    let operator = Caller::Operator(admin_token);
    let at = |id: &str, url: &str| json!({"id": id, "url": url, "agent_card": {"name": id}});
    let child = |id: &str| json!({"id": id, "name": id, "parent_id": "team"});

    stage.scene("The operator creates a team and two workspaces in it, and their agents register.")?;
    stage.post("/workspaces", operator, json!({"id": "team", "name": "Team"}), 201).await?;
    let created = stage.post("/workspaces", operator, child("reader"), 201).await?;
    let reader_token = stage.text(&created, "auth_token")?;
    let created = stage.post("/workspaces", operator, child("writer"), 201).await?;
    let writer_token = stage.text(&created, "auth_token")?;
    let (reader, writer) = (Caller::Agent("reader", &reader_token), Caller::Agent("writer", &writer_token));
    stage.post("/registry/register", reader, at("reader", "https://reader.example"), 200).await?;
    stage.post("/registry/register", writer, at("writer", SOURCE_URL), 200).await?;

    stage.scene("The reader lists its peers: the team and the writer.")?;
    let peers = stage.get("/registry/reader/peers", reader, &["id", "url", "status"]).await?;
    stage.expect(&json!({"peers": peers.as_array().map(Vec::len)}), json!({"peers": 2}))?;

    stage.scene("It asks where the writer is.")?;
    let found = stage.get("/registry/discover/writer", reader, ADDRESS).await?;
    stage.expect(&found, json!({"url": SOURCE_URL, "status": "online"}))?;

    stage.scene("The writer says that it is alive.")?;
    let beat = json!({"workspace_id": "writer", "current_task": "Writing", "active_tasks": 1});
    let beaten = stage.post("/registry/heartbeat", writer, beat.clone(), 200).await?;
    stage.expect(&beaten, json!({"status": "ok"}))?;

    stage.scene("It rotates its token by itself. The old token works until the next one is first used.")?;
    let rotating = stage.post("/workspaces/writer/rotate", writer, json!({}), 200).await?;
    stage.expect(&rotating, json!({"status": "rotation_pending"}))?;
    let next_token = stage.text(&rotating, "auth_token")?;
    stage.post("/registry/heartbeat", writer, beat.clone(), 200).await?;
    stage.post("/registry/heartbeat", Caller::Agent("writer", &next_token), beat.clone(), 200).await?;
    let late = stage.post("/registry/heartbeat", writer, beat, 401).await?;
    stage.expect(&late, json!({"code": "invalid_token"}))?;

    stage.scene("The writer moves: its new container takes over.")?;
    let target_token = NewToken::generate(&Random::OS)?;
    let named = target_token.hash().as_str();
    let hand_over =
        json!({"workspace_id": "writer", "successor_token_sha256": named, "operation_id": "move-8"});
    stage.invoke("admin-hand-over", hand_over).await?;
    let target_token = target_token.reveal();
    let moved = Caller::Agent("writer", &target_token);
    stage.post("/registry/register", moved, at("writer", TARGET_URL), 200).await?;

    stage.scene("The reader asks again, and follows.")?;
    let found = stage.get("/registry/discover/writer", reader, ADDRESS).await?;
    stage.expect(&found, json!({"url": TARGET_URL, "status": "online"}))?;

    stage.scene("A stranger's agent learns nothing: to it, the writer does not exist.")?;
    let created =
        stage.post("/workspaces", operator, json!({"id": "stranger", "name": "Stranger"}), 201).await?;
    let stranger_token = stage.text(&created, "auth_token")?;
    let stranger = Caller::Agent("stranger", &stranger_token);
    let unseen = stage.get_with_status("/registry/discover/writer", stranger, &["code"], 404).await?;
    stage.expect(&unseen, json!({"code": "workspace_not_found"}))?;

    stage.scene("The operator removes the writer. Its agent asks for its state, and may stop.")?;
    stage.invoke("admin-remove", json!({"workspace_id": "writer"})).await?;
    let state = stage.get_with_status("/workspaces/writer/state", moved, &["code", "deleted"], 404).await?;
    stage.expect(&state, json!({"code": "workspace_removed", "deleted": true}))
}

/// Where an agent is.
const ADDRESS: &[&str] = &["url", "status", "epoch"];

/// The fields of a workspace that the flip proof needs.
const FLIP_PROOF: &[&str] = &["url", "registered_by", "owner_epoch", "epoch"];

/// Who sends a request.
#[derive(Clone, Copy)]
enum Caller<'a> {
    Operator(&'a str),
    Bearer(&'a str),
    /// An agent that names its workspace.
    Agent(&'a str, &'a str),
    Nobody,
}

impl<'a> Caller<'a> {
    fn bearer(self) -> Option<&'a str> {
        match self {
            Self::Operator(token) | Self::Bearer(token) | Self::Agent(_, token) => Some(token),
            Self::Nobody => None,
        }
    }

    fn shown(self) -> String {
        match self {
            Self::Operator(_) => "with the admin token".to_owned(),
            Self::Bearer(token) => format!("with {}", shorten(token)),
            Self::Agent(id, token) => format!("as {id}, with {}", shorten(token)),
            Self::Nobody => "without a token".to_owned(),
        }
    }
}

/// Sends requests, prints them with their answers, and checks the answers.
struct Stage<'a> {
    out: &'a mut (dyn Write + Send),
    client: reqwest::Client,
    base_url: String,
    step: u32,
}

/// The response to a request.
struct HttpReply {
    status: StatusCode,
    headers: HeaderMap,
    body: Value,
}

impl Stage<'_> {
    fn act(&mut self, title: &str) -> Result<(), DemoError> {
        Ok(writeln!(self.out, "{title}\n")?)
    }

    fn scene(&mut self, text: &str) -> Result<(), DemoError> {
        self.step += 1;
        Ok(writeln!(self.out, "{:>2}. {text}", self.step)?)
    }

    fn finish(&mut self) -> Result<(), DemoError> {
        Ok(writeln!(self.out, "All {} steps succeeded.", self.step)?)
    }

    async fn post(
        &mut self,
        path: &str,
        caller: Caller<'_>,
        body: Value,
        status: u16,
    ) -> Result<Value, DemoError> {
        self.sent(&format!("POST {path} {}: {}", caller.shown(), shown(&body)))?;
        let reply = self.send(Method::POST, path, caller, Some(&body)).await?;
        self.received(reply, status, &[])
    }

    async fn get(&mut self, path: &str, caller: Caller<'_>, fields: &[&str]) -> Result<Value, DemoError> {
        self.get_with_status(path, caller, fields, 200).await
    }

    async fn get_with_status(
        &mut self,
        path: &str,
        caller: Caller<'_>,
        fields: &[&str],
        status: u16,
    ) -> Result<Value, DemoError> {
        self.sent(&format!("GET {path} {}", caller.shown()))?;
        let reply = self.send(Method::GET, path, caller, None).await?;
        self.received(reply, status, fields)
    }

    async fn invoke(&mut self, function: &str, payload: Value) -> Result<Value, DemoError> {
        self.invoke_shown(function, payload, &[]).await
    }

    async fn invoke_shown(
        &mut self,
        function: &str,
        payload: Value,
        fields: &[&str],
    ) -> Result<Value, DemoError> {
        self.sent(&format!("invoke {function}: {}", shown(&payload)))?;
        let path = format!("/2015-03-31/functions/{function}/invocations");
        let reply = self.send(Method::POST, &path, Caller::Nobody, Some(&payload)).await?;
        if let Some(error) = reply.headers.get("x-amz-function-error") {
            return Err(self.unexpected("X-Amz-Function-Error", "absent", &format!("{error:?}")));
        }
        self.received(reply, 200, fields)
    }

    async fn send(
        &self,
        method: Method,
        path: &str,
        caller: Caller<'_>,
        body: Option<&Value>,
    ) -> Result<HttpReply, DemoError> {
        let mut request = self.client.request(method, format!("{}{path}", self.base_url));
        if let Some(bearer) = caller.bearer() {
            request = request.bearer_auth(bearer);
        }
        if let Caller::Agent(id, _) = caller {
            request = request.header("X-Workspace-ID", id);
        }
        if let Some(body) = body {
            request = request.json(body);
        }
        let reply = async {
            let response = request.send().await?;
            let (status, headers) = (response.status(), response.headers().clone());
            Ok(HttpReply { status, headers, body: response.json().await? })
        };
        let step = self.step;
        reply.await.map_err(|source| DemoError::NoAnswer { step, source })
    }

    fn sent(&mut self, line: &str) -> Result<(), DemoError> {
        Ok(writeln!(self.out, "    > {line}")?)
    }

    /// Prints a reply, or only the given fields of it, and checks its status.
    fn received(&mut self, reply: HttpReply, status: u16, fields: &[&str]) -> Result<Value, DemoError> {
        let shown_body =
            if fields.is_empty() { shown(&reply.body) } else { shown(&only(&reply.body, fields)) };
        writeln!(self.out, "    < {} {shown_body}\n", reply.status.as_u16())?;
        if reply.status.as_u16() == status {
            Ok(reply.body)
        } else {
            Err(self.unexpected("the status", &status.to_string(), reply.status.as_str()))
        }
    }

    /// Checks that the answer has these fields.
    fn expect(&self, answer: &Value, expected: Value) -> Result<(), DemoError> {
        for (field, expected) in expected.as_object().unwrap_or(&Map::new()) {
            let found = answer.get(field).unwrap_or(&Value::Null);
            if found != expected {
                return Err(self.unexpected(&format!("`{field}`"), &shown(expected), &shown(found)));
            }
        }
        Ok(())
    }

    fn text(&self, answer: &Value, field: &str) -> Result<String, DemoError> {
        let text = answer.get(field).and_then(Value::as_str).map(str::to_owned);
        text.ok_or_else(|| self.unexpected(&format!("`{field}`"), "a string", "missing"))
    }

    fn unexpected(&self, what: &str, expected: &str, found: &str) -> DemoError {
        let [what, expected, found] = [what, expected, found].map(str::to_owned);
        DemoError::Unexpected { step: self.step, what, expected, found }
    }
}

/// These fields of an object, or of each object of an array.
fn only(body: &Value, fields: &[&str]) -> Value {
    if let Value::Array(values) = body {
        return values.iter().map(|value| only(value, fields)).collect();
    }
    let pick = |field: &&str| body.get(field).map(|value| ((*field).to_owned(), value.clone()));
    Value::Object(fields.iter().filter_map(pick).collect())
}

/// JSON with every token and hash cut to its beginning.
fn shown(value: &Value) -> String {
    hide_tokens(value).to_string()
}

fn hide_tokens(value: &Value) -> Value {
    match value {
        Value::String(text) => Value::String(shorten(text)),
        Value::Array(values) => Value::Array(values.iter().map(hide_tokens).collect()),
        Value::Object(fields) => {
            let hidden = fields.iter().map(|(field, value)| (field.clone(), hide_tokens(value)));
            Value::Object(hidden.collect())
        }
        Value::Null | Value::Bool(_) | Value::Number(_) => value.clone(),
    }
}

fn shorten(text: &str) -> String {
    match text.split_at_checked(TOKEN_PREFIX_LENGTH) {
        Some((prefix, rest)) if text.starts_with(TOKEN_MARK) && !rest.is_empty() => format!("{prefix}..."),
        Some((beginning, _)) if TokenHash::parse(text).is_some() => format!("{beginning}..."),
        _ => text.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn the_demo_succeeds_and_shows_no_token() {
        let mut out = Vec::new();
        run(&mut out).await.expect("every step succeeds");
        let text = String::from_utf8(out).unwrap();
        assert!(text.ends_with("All 26 steps succeeded.\n"), "{text}");
        assert!(text.contains("with wsr_") && text.contains("..."), "{text}");
        let longest = text.split(|c: char| !c.is_ascii_alphanumeric() && c != '_').map(str::len).max();
        assert!(longest < Some(32), "{text}");
    }

    #[test]
    fn a_failure_names_step_and_value() {
        let mut out = Vec::new();
        let stage = Stage { out: &mut out, client: reqwest::Client::new(), base_url: String::new(), step: 3 };
        let error = stage.expect(&json!({"epoch": 2}), json!({"epoch": 3})).unwrap_err().to_string();
        assert_eq!(error, "Step 3 failed: `epoch` should be 3, and is 2.");
    }
}

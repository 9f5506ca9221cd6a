//! The event files, in the order of one workspace's life.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;

use serde_json::{Value, json};
use tests::secrets;

use crate::Suite;
use crate::lambda::{Emulator, check_log_lines};

/// The SHA-256 of the admin token in the event files.
pub const ADMIN_TOKEN_SHA256: &str = "bf13572afeb56f7fce062fc3f66c0777fae1e9fd1fb4013d74c234c08bb2a0b8";
/// The tokens in the event files.
const KNOWN_SECRETS: [&str; 2] =
    ["throw-away-admin-token-of-the-event-files", "throw-away-agent-token-of-the-event-files"];
const ID: &str = "7c9e6679-7425-40de-944b-e07fc1f90ae7";
const EVENTS: &str = "local/events";
/// Files in that folder that are no events.
const NO_EVENTS: [&str; 2] = ["README.md", "env.json"];

/// Part of a function's log line about a failed connection.
const DURING_INIT: &str = "during init";

/// Part of a function's log line when the emulator has ended.
const EMULATOR_IS_GONE: &str = "the Lambda runtime API failed";

/// The expected answer. A JSON object here must be contained in the actual one; anything else must equal it.
enum Expected {
    Http(u16, Value),
    /// The same, and a token of the registry's format at this JSON pointer.
    HttpWithToken(u16, Value, &'static str),
    Direct(Value),
    FunctionError(&'static str),
}
use Expected::{Direct, FunctionError, Http, HttpWithToken};

struct Step(&'static str, &'static str, Expected);

fn steps() -> Vec<Step> {
    let refused = |code| json!({"code": code});
    let registered = |epoch: u64| json!({"status": "registered", "epoch": epoch});
    let revoked = |tokens: u64, epoch: u64| json!({"status": "revoked", "workspace_id": ID, "revoked": tokens, "epoch": epoch});
    let handed_over =
        |status: &str, epoch: u64| json!({"status": status, "workspace_id": ID, "epoch": epoch});
    let removed = json!({"status": "removed", "workspace_id": ID, "epoch": 13});
    let (remove, tokens) = ("admin-remove", "owner-tokens");
    let authorized = json!({"workspace_id": ID, "token_kind": "owner", "token_id": "sha256:1fad26ab83e5da7f",
        "epoch": 1});
    let (create, register, mint) = ("create-workspace", "register", "admin-mint-token");
    let (get, revoke, hand_over) = ("get-workspace", "admin-revoke", "admin-hand-over");
    vec![
        Step("create-workspace-unauthenticated", create, Http(401, refused("missing_token"))),
        Step("create-workspace", create, Http(201, json!({"id": ID, "status": "provisioning"}))),
        Step(
            "create-workspace-external",
            create,
            HttpWithToken(
                201,
                json!({"external": true, "status": "awaiting_agent"}),
                "/connection/auth_token",
            ),
        ),
        Step("register-malformed", register, Http(400, refused("invalid_json"))),
        Step("register-claim", register, Http(401, refused("missing_token"))),
        Step("register-refresh", register, Http(200, registered(1))),
        Step("register-base64", register, Http(200, registered(1))),
        Step("heartbeat", "heartbeat", Http(200, json!({"status": "ok", "epoch": 1}))),
        Step("get-workspace-state", get, Http(200, json!({"status": "online", "deleted": false}))),
        Step("discover", "discover", Http(200, json!({"id": ID, "status": "online", "epoch": 1}))),
        Step("peers", "discover", Http(200, json!([]))),
        Step("authorize", "authorize", Direct(json!({"isAuthorized": true, "context": authorized}))),
        // Of two, the external one's id is random.
        Step("admin-list", "admin-list", Http(200, json!({}))),
        Step("admin-mint-token", mint, HttpWithToken(201, json!({"workspace_id": ID}), "/auth_token")),
        Step(
            "get-workspace",
            get,
            Http(200, json!({"id": ID, "status": "online", "epoch": 2, "owner_epoch": 1})),
        ),
        Step("get-workspace-direct", get, Direct(json!({"id": ID, "epoch": 2}))),
        Step("owner-mint-token", tokens, HttpWithToken(201, json!({"workspace_id": ID}), "/auth_token")),
        Step("owner-end-token", tokens, Http(200, json!({"revoked": 0, "epoch": 4}))),
        Step(
            "owner-rotate",
            tokens,
            HttpWithToken(200, json!({"status": "rotation_pending", "epoch": 5}), "/auth_token"),
        ),
        Step("admin-end-token", revoke, Http(200, json!({"revoked": 0, "epoch": 6}))),
        Step("admin-revoke-direct-malformed", revoke, FunctionError("InvalidPayload")),
        Step("admin-revoke", revoke, Http(200, revoked(3, 7))),
        Step("admin-revoke-direct", revoke, Direct(revoked(0, 8))),
        Step("register-refresh", register, Http(401, refused("invalid_token"))),
        Step("authorize", "authorize", Direct(json!({"isAuthorized": false}))),
        Step("register-claim", register, HttpWithToken(200, registered(9), "/auth_token")),
        Step("admin-hand-over", hand_over, Http(200, handed_over("hand_over_pending", 10))),
        Step("admin-hand-over-cancel", hand_over, Http(200, handed_over("cancelled", 11))),
        Step("admin-hand-over-direct", hand_over, Direct(handed_over("hand_over_pending", 12))),
        Step(
            "get-workspace",
            get,
            Http(200, json!({"epoch": 12, "owner_epoch": 9, "registered_by": "owner"})),
        ),
        Step("admin-remove", remove, Http(200, removed.clone())),
        Step("admin-remove-direct", remove, Direct(removed)),
        Step("get-workspace-state", get, Http(404, json!({"code": "workspace_removed", "deleted": true}))),
    ]
}

pub async fn check(suite: &Suite) -> Result<(), String> {
    let steps = steps();
    every_event_is_used(&steps)?;
    every_route_has_an_event(suite, &steps)?;
    let mut emulators = BTreeMap::new();
    for function in &suite.template.functions {
        let variables = suite.variables(function, &suite.options.dynamodb_endpoint)?;
        let emulator = Emulator::start(suite, &function.name, &variables).await?;
        emulators.insert(function.name.clone(), emulator);
    }
    let mut secrets: Vec<String> = KNOWN_SECRETS.map(str::to_owned).into();
    let mut said = Vec::new();
    for Step(file, function, expected) in &steps {
        let emulator = emulators.get(*function).ok_or_else(|| format!("template.yaml has no {function}"))?;
        let answer = emulator.invoke(suite, read(file)?).await?;
        let shown =
            compare(&answer, expected).map_err(|what| format!("{file} on {function}: {what}: {answer}"))?;
        println!("ok: {function}: {file}");
        said.push(match &shown {
            Some(token) => answer.replacen(token.as_str(), "<shown this once>", 1),
            None => answer,
        });
        secrets.extend(shown);
    }
    let mut lines = 0;
    for (function, emulator) in emulators {
        let log = emulator.stop().await?;
        let count = check_log_lines(&log).map_err(|what| format!("{function}: {what}"))?;
        if count == 0 {
            return Err(format!("{function} has logged nothing"));
        }
        if let Some(line) = log.lines().find(|line| line.contains(DURING_INIT)) {
            return Err(format!("{function} was not made ready: {line}"));
        }
        // The emulator ends before the function, which may log an error about that.
        let is_error_of_a_call =
            |line: &&str| line.contains(r#""level":"ERROR""#) && !line.contains(EMULATOR_IS_GONE);
        if let Some(line) = log.lines().find(is_error_of_a_call) {
            return Err(format!("{function} has failed, where it was only to refuse: {line}"));
        }
        lines += count;
        said.push(log);
    }
    let said = said.join("\n");
    for secret in &secrets {
        if let Some(form) = secrets::find(&said, secret) {
            return Err(format!("a secret was shown or logged, as {form}"));
        }
    }
    leaves_nothing_behind(suite, &steps).await?;
    println!("ok: {lines} log lines, all JSON; none of {} secrets in them or in an answer", secrets.len());
    Ok(())
}

/// Checks that no warm-up left an item.
async fn leaves_nothing_behind(suite: &Suite, steps: &[Step]) -> Result<(), String> {
    let client = local::engine::client(&suite.options.dynamodb_endpoint);
    let found = client.scan().table_name(&suite.table).consistent_read(true).send().await;
    let found = found.map_err(|error| format!("the table cannot be read: {error:?}"))?;
    let is_presence = |key: &str| key.ends_with("#presence");
    let keys = found.items().iter().filter_map(|item| item.get("workspace_id")?.as_s().ok());
    let found = keys.filter(|key| !is_presence(key)).count();
    let created = steps.iter().filter(|Step(file, function, _)| {
        *function == "create-workspace" && *file != "create-workspace-unauthenticated"
    });
    let created = created.count();
    if found == created { Ok(()) } else { Err(format!("{found} items in the table, not {created}")) }
}

/// The token that the answer shows, when it is what was expected.
fn compare(answer: &str, expected: &Expected) -> Result<Option<String>, String> {
    let answer: Value = serde_json::from_str(answer).map_err(|_| "not JSON")?;
    let (part, body) = match expected {
        Direct(part) => (part.clone(), answer),
        FunctionError(kind) => (json!({"errorType": kind}), answer),
        Http(status, part) | HttpWithToken(status, part, _) => {
            if answer["statusCode"] != *status {
                return Err(format!("the status is not {status}"));
            }
            if answer["headers"]["cache-control"] != "no-store" {
                return Err("it may be cached".to_owned());
            }
            let challenge = &answer["headers"]["www-authenticate"];
            if (*status == 401) != challenge.is_string() {
                return Err("a 401, and only a 401, says how to authenticate".to_owned());
            }
            let text = answer["body"].as_str().unwrap_or_default();
            (part.clone(), serde_json::from_str(text).map_err(|_| "the body is not JSON")?)
        }
    };
    if !part.is_object() && part != body {
        return Err(format!("it is not {part}"));
    }
    for (member, value) in part.as_object().into_iter().flatten() {
        if body[member] != *value {
            return Err(format!("{member} is not {value}"));
        }
    }
    if body.get("code").is_some() && !(body["error"].is_string() && body["request_id"].is_string()) {
        return Err("an error without a sentence or a request id".to_owned());
    }
    let place = match expected {
        HttpWithToken(_, _, place) => *place,
        Http(..) | Direct(_) | FunctionError(_) => {
            return match body.get("auth_token") {
                None => Ok(None),
                Some(_) => Err("it shows a token".to_owned()),
            };
        }
    };
    let token = body.pointer(place).and_then(Value::as_str).unwrap_or_default();
    let is_ours = token.len() == 62 && token.starts_with("wsr_");
    if is_ours { Ok(Some(token.to_owned())) } else { Err(format!("no token at {place}")) }
}

fn read(file: &str) -> Result<Vec<u8>, String> {
    let path = Path::new(EVENTS).join(format!("{file}.json"));
    fs::read(&path).map_err(|error| format!("{}: {error}", path.display()))
}

fn every_event_is_used(steps: &[Step]) -> Result<(), String> {
    for entry in fs::read_dir(EVENTS).map_err(|error| format!("{EVENTS}: {error}"))? {
        let name = entry.map_err(|error| error.to_string())?.file_name().to_string_lossy().into_owned();
        let is_used = steps.iter().any(|Step(file, ..)| name == format!("{file}.json"));
        if !is_used && !NO_EVENTS.contains(&name.as_str()) {
            return Err(format!("{EVENTS}/{name} is sent to no function"));
        }
    }
    Ok(())
}

fn every_route_has_an_event(suite: &Suite, steps: &[Step]) -> Result<(), String> {
    let mut keys = Vec::new();
    for Step(file, function, _) in steps {
        let event: Value =
            serde_json::from_slice(&read(file)?).map_err(|error| format!("{file}: {error}"))?;
        keys.push((*function, event["routeKey"].as_str().unwrap_or_default().to_owned()));
    }
    for function in &suite.template.functions {
        for route in &function.routes {
            if !keys.contains(&(function.name.as_str(), route.key())) {
                return Err(format!("no event in {EVENTS} is one of {} {}", function.name, route.key()));
            }
        }
    }
    Ok(())
}

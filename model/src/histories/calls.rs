//! Calls over HTTP, requests to the store, and what both mean in the specification's terms.

use std::collections::HashMap;

use domain::token::{TokenHash, TokenId, TokenPrefix};
use serde_json::{Value, json};

use crate::spec::{Answer, By, First, Op, Scope, Why};
use crate::symbols::{CommandName, Credential, Place, Token};

/// The texts of an episode's tokens. Callers choose some of them. The others are learnt from answers and writes.
#[derive(Debug, Default)]
pub struct Texts {
    by_hash: HashMap<String, Token>,
    texts: HashMap<Token, String>,
    next: u16,
}

/// The first token that the registry generates in an episode. Callers choose those below.
const FIRST_LEARNT: u16 = 1_000;

impl Texts {
    /// The text of a token that a caller chose or an answer showed.
    pub fn text(&mut self, workspace: &str, token: Token) -> Option<String> {
        if token.0 < FIRST_LEARNT {
            let text = format!("a-token-that-a-caller-chose~{workspace}~{:04}", token.0);
            self.by_hash.insert(TokenHash::of(&text).as_str().to_owned(), token);
            self.texts.insert(token, text);
        }
        self.texts.get(&token).cloned()
    }

    pub fn hash(&mut self, workspace: &str, token: Token) -> String {
        let text = self.text(workspace, token);
        text.map_or_else(String::new, |text| TokenHash::of(&text).as_str().to_owned())
    }

    /// The token with this hash. An unknown hash becomes a new token.
    pub fn of_hash(&mut self, hash: &str) -> Token {
        if let Some(token) = self.by_hash.get(hash) {
            return *token;
        }
        let token = Token(FIRST_LEARNT + self.next);
        self.next += 1;
        self.by_hash.insert(hash.to_owned(), token);
        token
    }

    /// The token with this id.
    fn of_id(&self, id: &str) -> Option<Token> {
        let has_id = |text: &String| {
            let (hash, prefix) = (TokenHash::of(text), text.get(..12).and_then(TokenPrefix::parse));
            TokenId::of(&hash, prefix.as_ref()).as_str() == id
        };
        self.texts.iter().find(|(_, text)| has_id(text)).map(|(token, _)| *token)
    }

    fn of_text(&mut self, text: &str) -> Token {
        let token = self.of_hash(TokenHash::of(text).as_str());
        self.texts.insert(token, text.to_owned());
        token
    }

    /// All tokens whose text is known.
    pub fn known(&self) -> Vec<Token> {
        let mut known: Vec<_> = self.texts.keys().copied().collect();
        known.sort_unstable();
        known
    }
}

/// A request to the registry.
#[derive(Clone, Debug)]
pub struct Request {
    pub method: &'static str,
    pub path: String,
    /// The workspace that the caller belongs to.
    pub caller: Option<String>,
    pub bearer: Option<String>,
    pub body: Option<Value>,
}

/// The workspace's parent: a reader that may see it.
#[derive(Clone, Debug)]
pub struct Parent {
    pub id: String,
    pub token: String,
}

/// The request that makes this call.
pub fn request(op: &Op, workspace: &str, parent: &Parent, admin: &str, texts: &mut Texts) -> Request {
    let caller = matches!(op, Op::Discover).then(|| parent.id.clone());
    let (method, path, bearer, body) = parts(op, workspace, parent, admin, texts);
    Request { method, path, caller, bearer, body }
}

/// Method, path, bearer and body.
type Parts = (&'static str, String, Option<String>, Option<Value>);

fn parts(op: &Op, workspace: &str, parent: &Parent, admin: &str, texts: &mut Texts) -> Parts {
    let admin = Some(admin.to_owned());
    let at = |rest: &str| format!("/admin/workspaces/{workspace}/{rest}");
    match *op {
        Op::Create(first) => {
            let mut body = json!({"id": workspace, "name": "an episode", "parent_id": parent.id});
            if let First::Chosen(token) = first {
                body["auth_token_sha256"] = texts.hash(workspace, token).into();
            }
            ("POST", "/workspaces".to_owned(), admin, Some(body))
        }
        Op::Register { bearer, chosen, place } => {
            let card: Value = serde_json::from_str(&place.card()).unwrap();
            let mut body = json!({"id": workspace, "url": place.url(), "agent_card": card});
            if let Some(chosen) = chosen {
                body["auth_token_sha256"] = texts.hash(workspace, chosen).into();
            }
            let bearer = bearer.and_then(|bearer| presented(bearer, workspace, texts));
            ("POST", "/registry/register".to_owned(), bearer, Some(body))
        }
        Op::Mint { chosen, .. } => {
            let body = chosen.map(|chosen| json!({"auth_token_sha256": texts.hash(workspace, chosen)}));
            ("POST", at("tokens"), admin, body)
        }
        Op::Revoke { scope, successor, name, expected } => {
            let scope = match scope {
                Scope::All => "all",
                Scope::Owner => "owner",
                Scope::Api => "api",
            };
            let mut body = command(name, expected);
            body["scope"] = scope.into();
            if let Some(successor) = successor {
                body["successor_token_sha256"] = texts.hash(workspace, successor).into();
            }
            ("POST", at("revoke-auth-tokens"), admin, Some(body))
        }
        Op::HandOver { successor, name, expected } => {
            let mut body = command(name, expected);
            body["successor_token_sha256"] = texts.hash(workspace, successor).into();
            ("POST", at("hand-over"), admin, Some(body))
        }
        Op::Cancel { name, expected } => ("DELETE", at("hand-over"), admin, Some(command(name, expected))),
        Op::Remove { expected } => {
            let body = expected.map(|expected| json!({"expected_epoch": expected}));
            ("DELETE", format!("/workspaces/{workspace}"), admin, body)
        }
        Op::EndToken { token, name, expected } => {
            let path = at(&format!("tokens/{}", token_id(token, workspace, texts)));
            ("DELETE", path, admin, Some(command(name, expected)))
        }
        Op::OwnerEnds { bearer, token } => {
            let id = token_id(token, workspace, texts);
            (
                "DELETE",
                format!("/workspaces/{workspace}/tokens/{id}"),
                presented(bearer, workspace, texts),
                None,
            )
        }
        Op::Rotate { bearer, chosen } => {
            let body = chosen.map(|chosen| json!({"successor_token_sha256": texts.hash(workspace, chosen)}));
            ("POST", format!("/workspaces/{workspace}/rotate"), presented(bearer, workspace, texts), body)
        }
        Op::Show { bearer } => {
            let bearer = bearer.map_or(admin, |bearer| presented(bearer, workspace, texts));
            ("GET", format!("/workspaces/{workspace}"), bearer, None)
        }
        Op::Discover => ("GET", format!("/registry/discover/{workspace}"), Some(parent.token.clone()), None),
        Op::Beat { bearer } => {
            let (Credential::Token(sender) | Credential::HashOf(sender)) = bearer;
            let body = json!({"workspace_id": workspace, "current_task": task(sender)});
            ("POST", "/registry/heartbeat".to_owned(), presented(bearer, workspace, texts), Some(body))
        }
    }
}

/// A token's id, by which it is ended.
fn token_id(token: Token, workspace: &str, texts: &mut Texts) -> String {
    let text = texts.text(workspace, token).unwrap_or_default();
    let (hash, prefix) = (TokenHash::of(&text), text.get(..12).and_then(TokenPrefix::parse));
    TokenId::of(&hash, prefix.as_ref()).as_str().to_owned()
}

/// What a heartbeat with this token reports, so that it is recognised where it is shown.
fn task(sender: Token) -> String {
    format!("sent with {}", sender.0)
}

/// With which token this heartbeat was sent.
fn sender(task: &str) -> Option<Token> {
    task.strip_prefix("sent with ")?.parse().ok().map(Token)
}

fn presented(bearer: Credential, workspace: &str, texts: &mut Texts) -> Option<String> {
    match bearer {
        Credential::Token(token) => texts.text(workspace, token),
        Credential::HashOf(token) => Some(texts.hash(workspace, token)),
    }
}

fn command(name: CommandName, expected: Option<u64>) -> Value {
    let mut body = json!({"operation_id": name.text()});
    if let Some(expected) = expected {
        body["expected_epoch"] = expected.into();
    }
    body
}

/// What a response means. `Err` if the contract does not know it.
pub fn answer(op: &Op, status: u16, body: &[u8], texts: &mut Texts) -> Result<Answer, String> {
    let json: Value = serde_json::from_slice(body).unwrap_or(Value::Null);
    let unknown = || Err(format!("{status} {} as the answer to {op:?}", String::from_utf8_lossy(body)));
    if status >= 500 {
        // No fault of the network makes the registry itself fail.
        let is_for_agents = matches!(
            op,
            Op::Register { .. }
                | Op::Show { .. }
                | Op::Discover
                | Op::Beat { .. }
                | Op::OwnerEnds { .. }
                | Op::Rotate { .. }
        );
        let if_unavailable = if is_for_agents { 503 } else { 500 };
        return match json["code"].as_str() {
            Some("store_unavailable") if status == if_unavailable => Ok(Answer::Unavailable),
            Some("contended") if status == 503 => Ok(Answer::Contended),
            _ => unknown(),
        };
    }
    if status >= 400 {
        let why = match (status, json["code"].as_str().unwrap_or_default()) {
            (404, "workspace_not_found") => Why::NotFound,
            (409, "workspace_exists") => Why::Exists,
            (410, "workspace_removed") => Why::Removed,
            (401, "missing_token") => Why::MissingToken,
            (401, "invalid_token") => Why::InvalidToken,
            (403, "insufficient_scope") => Why::InsufficientScope,
            (409, "hash_in_use") => Why::HashInUse,
            (409, "token_limit_reached") => Why::TokenLimitReached,
            (409, "epoch_changed") => Why::EpochChanged,
            (409, "operation_id_reused") => Why::CommandIdReused,
            (409, "hand_over_pending") => Why::HandOverPending,
            _ => return unknown(),
        };
        return Ok(Answer::Refused(why));
    }
    let number = |name: &str| json[name].as_u64();
    let token = json["auth_token"].as_str().map(|text| texts.of_text(text));
    let said = match (op, status, json["status"].as_str()) {
        // A repeated create answers the workspace's current status.
        (Op::Create(_), 201, Some("provisioning" | "online")) => Some(Answer::Created { token }),
        (Op::Register { .. }, 200, Some("registered")) => {
            number("epoch").map(|epoch| Answer::Registered { epoch, token })
        }
        (Op::Mint { .. }, 201, None) => Some(Answer::Minted { token }),
        (Op::Revoke { .. }, 200, Some("revoked")) => {
            number("revoked").map(|ended| Answer::Revoked { ended: ended as usize, epoch: number("epoch") })
        }
        (Op::HandOver { .. }, 200, Some("hand_over_pending")) => {
            number("epoch").map(|epoch| Answer::Pending { epoch })
        }
        (Op::HandOver { .. }, 200, Some("hand_over_expired")) => {
            number("epoch").map(|epoch| Answer::Expired { epoch })
        }
        (Op::HandOver { .. }, 200, Some("handed_over")) => {
            number("epoch").map(|epoch| Answer::HandedOver { epoch })
        }
        (Op::Cancel { .. }, 200, Some("cancelled")) => {
            number("epoch").map(|epoch| Answer::Cancelled { epoch })
        }
        (Op::EndToken { .. } | Op::OwnerEnds { .. }, 200, Some("revoked")) => number("revoked")
            .zip(number("epoch"))
            .map(|(ended, epoch)| Answer::Ended { was_live: ended == 1, epoch }),
        (Op::Rotate { .. }, 200, Some("rotation_pending")) => {
            number("epoch").map(|epoch| Answer::Rotating { epoch, token })
        }
        (Op::Remove { .. }, 200, Some("removed")) => number("epoch").map(|epoch| Answer::Removed { epoch }),
        (Op::Show { .. }, 200, Some(_)) => number("epoch").map(|epoch| Answer::Shown {
            epoch,
            owner_epoch: number("owner_epoch"),
            place: json["url"].as_str().and_then(Place::of),
            by: match json["registered_by"].as_str() {
                Some("owner") => Some(By::Owner),
                Some("api") => Some(By::Api),
                _ => None,
            },
            tokens: json["tokens"].as_array().map_or(0, Vec::len),
            beat: json["heartbeat"]["current_task"].as_str().and_then(sender),
        }),
        (Op::Discover, 200, Some(_)) => number("epoch")
            .map(|epoch| Answer::Discovered { epoch, place: json["url"].as_str().and_then(Place::of) }),
        (Op::Beat { .. }, 200, Some("ok")) => number("epoch").map(|epoch| Answer::Beaten { epoch }),
        _ => None,
    };
    said.map_or_else(unknown, Ok)
}

/// A write to the store, in the specification's terms.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct StoreWrite {
    pub change: StoreChange,
    /// The epoch that the decision saw. Only a create has none.
    pub fence: Option<u64>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum StoreChange {
    /// A new workspace, with an owner token or sealed.
    Create(Option<Token>),
    /// A refresh by the owner or by an API token.
    Refresh(By, Place),
    /// A claim or a take-over: this token becomes the owner.
    Owner(Token, Place),
    Mint(Token),
    Command(Op),
    /// An owner ends an API token, or none.
    OwnerEnds(Option<Token>),
    /// An owner names its next token.
    Rotate(Token),
    /// The next token takes over by a heartbeat.
    TakeOver(Token),
    Remove,
}

impl StoreChange {
    /// Whether this call could make this write.
    pub fn may_be_of(self, op: &Op) -> bool {
        match (self, *op) {
            (Self::Create(_), Op::Create(_))
            | (Self::Mint(_), Op::Mint { .. })
            | (Self::OwnerEnds(_), Op::OwnerEnds { .. })
            | (Self::Rotate(_), Op::Rotate { .. })
            | (Self::TakeOver(_), Op::Beat { .. })
            | (Self::Remove, Op::Remove { .. }) => true,
            (Self::Refresh(_, written) | Self::Owner(_, written), Op::Register { place, .. }) => {
                written == place
            }
            (Self::Command(written), asked) => written.command() == asked.command(),
            _ => false,
        }
    }

    /// The token that it makes live, or to which an owner rotates.
    pub fn token(self) -> Option<Token> {
        match self {
            Self::Create(token) => token,
            Self::Owner(token, _) | Self::Mint(token) | Self::Rotate(token) | Self::TakeOver(token) => {
                Some(token)
            }
            Self::Refresh(..) | Self::Command(_) | Self::OwnerEnds(_) | Self::Remove => None,
        }
    }
}

/// What a request to the store would write to a workspace; `None` for a consistent read and for a heartbeat. `Err` if the registry never sends it.
pub fn store_write(action: &str, body: &Value, texts: &mut Texts) -> Result<Option<StoreWrite>, String> {
    let is_consistent = |request: &Value| request["ConsistentRead"] == true;
    let is_read = match action {
        "GetItem" => is_consistent(body),
        "BatchGetItem" => {
            body["RequestItems"].as_object().is_some_and(|tables| tables.values().all(is_consistent))
        }
        _ => false,
    };
    let is_presence =
        || body["Item"]["workspace_id"]["S"].as_str().is_some_and(|key| key.ends_with(PRESENCE));
    if is_read || (action == "PutItem" && is_presence()) {
        return Ok(None);
    }
    written(action, body, texts).map(Some).ok_or_else(|| format!("{action} {body} sent to the store"))
}

fn written(action: &str, body: &Value, texts: &mut Texts) -> Option<StoreWrite> {
    if action == "PutItem" {
        let hash = body["Item"]["owner_hash"]["S"].as_str()?;
        let token = (hash.len() == 64).then(|| texts.of_hash(hash));
        return Some(StoreWrite { change: StoreChange::Create(token), fence: None });
    }
    if action != "UpdateItem" || body["ConditionExpression"].as_str()? != FENCED {
        return None;
    }
    let values = &body["ExpressionAttributeValues"];
    let text = |name: &str| values[name]["S"].as_str();
    let fence = values[":seen"]["N"].as_str()?.parse().ok()?;
    let place = text(":url").and_then(Place::of);
    let change = if text(":status") == Some("removed") {
        StoreChange::Remove
    } else if let Some(hash) = text(":owner_hash") {
        let token = texts.of_hash(hash);
        place.map_or(StoreChange::TakeOver(token), |place| StoreChange::Owner(token, place))
    } else if let Some(by) = text(":registered_by") {
        let by = if by == "owner" { By::Owner } else { By::Api };
        StoreChange::Refresh(by, place?)
    } else if let Some(kind) = text(":last_op_kind") {
        let name = text(":last_op_id").and_then(CommandName::of)?;
        StoreChange::Command(command_of(kind, name, texts)?)
    } else if text(":successor_by") == Some("owner") {
        StoreChange::Rotate(texts.of_hash(text(":successor_hash")?))
    } else if let Some(hash) = body["ExpressionAttributeNames"]["#token"].as_str() {
        StoreChange::Mint(texts.of_hash(hash))
    } else {
        text(":revoked_at")?;
        let ended = body["ExpressionAttributeNames"]["#removed_0"].as_str();
        StoreChange::OwnerEnds(ended.map(|hash| texts.of_hash(hash)))
    };
    Some(StoreWrite { change, fence: Some(fence) })
}

/// The workspace that a request to the store is about.
pub fn workspace_of(body: &Value) -> Option<&str> {
    let first_key = || body["RequestItems"].as_object()?.values().next()?["Keys"].get(0);
    let item = [&body["Key"], &body["Item"]].into_iter().find(|item| item.is_object()).or_else(first_key)?;
    let key = item["workspace_id"]["S"].as_str()?;
    Some(key.strip_suffix(PRESENCE).unwrap_or(key))
}

/// What the key of a workspace's presence ends with.
const PRESENCE: &str = "#presence";

/// The condition of every write but a create.
pub const FENCED: &str = "attribute_exists(#workspace_id) AND #epoch = :seen";

fn command_of(kind: &str, name: CommandName, texts: &mut Texts) -> Option<Op> {
    if let Some(id) = kind.strip_prefix("end_token:") {
        return texts.of_id(id).map(|token| Op::EndToken { token, name, expected: None });
    }
    let parts: Vec<_> = kind.split(':').collect();
    Some(match parts[..] {
        ["cancel_hand_over"] => Op::Cancel { name, expected: None },
        ["hand_over", hash] => Op::HandOver { successor: texts.of_hash(hash), name, expected: None },
        ["revoke", scope, ref rest @ ..] => {
            let scope = match scope {
                "all" => Scope::All,
                "owner" => Scope::Owner,
                "api" => Scope::Api,
                _ => return None,
            };
            let successor = rest.first().map(|hash| texts.of_hash(hash));
            Op::Revoke { scope, successor, name, expected: None }
        }
        _ => return None,
    })
}

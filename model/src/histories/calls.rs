//! Calls over HTTP: how each is asked, and what its answer says in the specification's words.

use std::collections::HashMap;

use serde_json::{Value, json};
use shared::token::TokenHash;

use crate::spec::{Answer, By, First, Op, Scope, Why};
use crate::words::{Credential, Named, Place, Token};

/// The texts of an episode's tokens. Those that callers choose are known from the start, the others are learnt.
#[derive(Debug, Default)]
pub struct Texts {
    by_hash: HashMap<String, Token>,
    texts: HashMap<Token, String>,
    next: u16,
}

/// The first token that the registry makes in an episode. Those before it are the callers'.
const FIRST_LEARNT: u16 = 1_000;

impl Texts {
    /// The text of a token that a caller chose, or that has been shown.
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

    /// The token of this hash, a new one when it has not been seen before.
    pub fn of_hash(&mut self, hash: &str) -> Token {
        if let Some(token) = self.by_hash.get(hash) {
            return *token;
        }
        let token = Token(FIRST_LEARNT + self.next);
        self.next += 1;
        self.by_hash.insert(hash.to_owned(), token);
        token
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
    pub bearer: Option<String>,
    pub body: Option<Value>,
}

/// How a call is asked.
pub fn request(op: &Op, workspace: &str, admin: &str, texts: &mut Texts) -> Request {
    let admin = Some(admin.to_owned());
    let at = |rest: &str| format!("/admin/workspaces/{workspace}/{rest}");
    match *op {
        Op::Create(first) => {
            let mut body = json!({"id": workspace, "name": "of an episode"});
            if let First::Chosen(token) = first {
                body["auth_token_sha256"] = texts.hash(workspace, token).into();
            }
            Request { method: "POST", path: "/workspaces".to_owned(), bearer: admin, body: Some(body) }
        }
        Op::Register { bearer, chosen, place } => {
            let card: Value = serde_json::from_str(&place.card()).unwrap();
            let mut body = json!({"id": workspace, "url": place.url(), "agent_card": card});
            if let Some(chosen) = chosen {
                body["auth_token_sha256"] = texts.hash(workspace, chosen).into();
            }
            let bearer = bearer.and_then(|bearer| presented(bearer, workspace, texts));
            Request { method: "POST", path: "/registry/register".to_owned(), bearer, body: Some(body) }
        }
        Op::Mint { chosen } => {
            let body = chosen.map(|chosen| json!({"auth_token_sha256": texts.hash(workspace, chosen)}));
            Request { method: "POST", path: at("tokens"), bearer: admin, body }
        }
        Op::Revoke { scope, successor, name, expected } => {
            let scope = match scope {
                Scope::All => "all",
                Scope::Owner => "owner",
                Scope::Api => "api",
            };
            let mut body = operation(name, expected);
            body["scope"] = scope.into();
            if let Some(successor) = successor {
                body["successor_token_sha256"] = texts.hash(workspace, successor).into();
            }
            Request { method: "POST", path: at("revoke-auth-tokens"), bearer: admin, body: Some(body) }
        }
        Op::HandOver { successor, name, expected } => {
            let mut body = operation(name, expected);
            body["successor_token_sha256"] = texts.hash(workspace, successor).into();
            Request { method: "POST", path: at("hand-over"), bearer: admin, body: Some(body) }
        }
        Op::Cancel { name, expected } => {
            let body = Some(operation(name, expected));
            Request { method: "DELETE", path: at("hand-over"), bearer: admin, body }
        }
        Op::Show { bearer } => {
            let bearer = bearer.map_or(admin, |bearer| presented(bearer, workspace, texts));
            Request { method: "GET", path: format!("/workspaces/{workspace}"), bearer, body: None }
        }
    }
}

fn presented(bearer: Credential, workspace: &str, texts: &mut Texts) -> Option<String> {
    match bearer {
        Credential::Token(token) => texts.text(workspace, token),
        Credential::HashOf(token) => Some(texts.hash(workspace, token)),
    }
}

fn operation(name: Named, expected: Option<u64>) -> Value {
    let mut body = json!({"operation_id": name.text()});
    if let Some(expected) = expected {
        body["expected_epoch"] = expected.into();
    }
    body
}

/// What an answer says. `Err`: nothing that the contract knows.
pub fn answer(op: &Op, status: u16, body: &[u8], texts: &mut Texts) -> Result<Answer, String> {
    let json: Value = serde_json::from_slice(body).unwrap_or(Value::Null);
    let unknown = || Err(format!("{status} {} as the answer to {op:?}", String::from_utf8_lossy(body)));
    if status >= 500 {
        // No fault here makes the registry fail by itself.
        let expected = if matches!(op, Op::Register { .. }) { 503 } else { 500 };
        let is_known = status == expected && json["code"] == "store_unavailable";
        return if is_known { Ok(Answer::Unavailable) } else { unknown() };
    }
    if status >= 400 {
        let why = match (status, json["code"].as_str().unwrap_or_default()) {
            (404, "workspace_not_found") => Why::Unknown,
            (409, "workspace_exists") => Why::Exists,
            (410, "workspace_removed") => Why::Removed,
            (401, "missing_token") => Why::MissingToken,
            (401, "invalid_token") => Why::InvalidToken,
            (400, "invalid_request") => Why::InUse,
            (409, "token_limit_reached") => Why::TooManyTokens,
            (409, "epoch_changed") => Why::EpochChanged,
            (409, "operation_id_reused") => Why::NameReused,
            _ => return unknown(),
        };
        return Ok(Answer::Refused(why));
    }
    let number = |name: &str| json[name].as_u64();
    let token = json["auth_token"].as_str().map(|text| texts.of_text(text));
    let said = match (op, status, json["status"].as_str()) {
        // A repeat tells the workspace's status as it is by then.
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
        }),
        _ => None,
    };
    said.map_or_else(unknown, Ok)
}

/// A write to the store, in the specification's words: what it does, the token that it brings, and its fence.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Stray {
    pub deed: StrayDeed,
    /// The epoch that it was decided on; a refresh by the owner has none.
    pub fence: Option<u64>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum StrayDeed {
    /// A create, with a token or sealed.
    Create(Option<Token>),
    /// A refresh by the owner or by an API token.
    Refresh(Token, Place),
    /// A claim or a take-over: this token becomes the owner.
    Owner(Token, Place),
    Mint(Token),
    Operation(Op),
}

impl StrayDeed {
    /// Whether this is a write that this call might make.
    pub fn may_be_of(self, op: &Op) -> bool {
        match (self, *op) {
            (Self::Create(_), Op::Create(_)) | (Self::Mint(_), Op::Mint { .. }) => true,
            (Self::Refresh(_, written) | Self::Owner(_, written), Op::Register { place, .. }) => {
                written == place
            }
            (Self::Operation(written), asked) => written.operation() == asked.operation(),
            _ => false,
        }
    }

    /// The token that it makes live.
    pub fn token(self) -> Option<Token> {
        match self {
            Self::Create(token) => token,
            Self::Owner(token, _) | Self::Mint(token) => Some(token),
            Self::Refresh(..) | Self::Operation(_) => None,
        }
    }
}

/// What a request to the store would write; `None` for a consistent read. `Err`: nothing that the registry asks for.
pub fn stray(operation: &str, body: &Value, texts: &mut Texts) -> Result<Option<Stray>, String> {
    let is_read = operation == "GetItem" && body["ConsistentRead"] == true;
    if is_read {
        return Ok(None);
    }
    written(operation, body, texts).map(Some).ok_or_else(|| format!("{operation} {body} asked of the store"))
}

fn written(operation: &str, body: &Value, texts: &mut Texts) -> Option<Stray> {
    let values = &body["ExpressionAttributeValues"];
    let names = &body["ExpressionAttributeNames"];
    let text = |name: &str| values[name]["S"].as_str();
    let fence = values[":seen"]["N"].as_str().and_then(|fence| fence.parse().ok());
    let place = text(":url").and_then(Place::of);
    if operation == "PutItem" {
        let hash = body["Item"]["owner_hash"]["S"].as_str()?;
        let token = (hash.len() == 64).then(|| texts.of_hash(hash));
        return Some(Stray { deed: StrayDeed::Create(token), fence: None });
    }
    if operation != "UpdateItem" {
        return None;
    }
    let deed = if let Some(hash) = text(":presented").or(names["#presented"].as_str()) {
        StrayDeed::Refresh(texts.of_hash(hash), place?)
    } else if let Some(hash) = text(":owner_hash") {
        StrayDeed::Owner(texts.of_hash(hash), place?)
    } else if let Some(kind) = text(":last_op_kind") {
        let name = text(":last_op_id").and_then(Named::of)?;
        let parts: Vec<_> = kind.split(':').collect();
        let op = match parts[..] {
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
        };
        StrayDeed::Operation(op)
    } else {
        StrayDeed::Mint(texts.of_hash(names["#token"].as_str()?))
    };
    Some(Stray { deed, fence })
}

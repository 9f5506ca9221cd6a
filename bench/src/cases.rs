//! What is measured: each function's calls, with workspaces of several shapes, and the yardsticks'.

use domain::agent_card::AgentCard;
use domain::agent_url::AgentUrlPolicy;
use domain::id::{CommandId, WorkspaceId};
use domain::random::Random;
use domain::time::Timestamp;
use domain::token::{NewToken, TokenHash};
use domain::tree::Ancestors;
use domain::workspace::{ApiToken, Epoch, Owner, OwnerHash, Profile, RegisteredBy, Status, Workspace};
use serde_json::{Value, json};
use shared::table::item::{Item, to_item};

const CREATE: &str = include_str!("../../local/events/create-workspace.json");
const REGISTER: &str = include_str!("../../local/events/register-refresh.json");
const MINT: &str = include_str!("../../local/events/admin-mint-token.json");
const REVOKE: &str = include_str!("../../local/events/admin-revoke.json");
const AUTHORIZE: &str = include_str!("../../local/events/authorize.json");
const GET: &str = include_str!("../../local/events/get-workspace.json");

/// The SHA-256 of the admin token that is in the event files.
pub const ADMIN_TOKEN_SHA256: &str = "bf13572afeb56f7fce062fc3f66c0777fae1e9fd1fb4013d74c234c08bb2a0b8";
/// The executable that the others are measured against.
pub const FLOOR: &str = "floor";
/// What is usually written.
pub const STOCK: &str = "stock";

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Call {
    Floor,
    Stock,
    Create,
    Refresh,
    RefreshByApiToken,
    Claim,
    Mint,
    Revoke,
    HandOver,
    Heartbeat,
    State,
    Remove,
    Get,
    Discover,
    /// With so many siblings.
    Peers(usize),
    List,
    EndToken,
    OwnerMint,
    OwnerEnd,
    Rotate,
    Authorize,
}

impl Call {
    /// The floor first: the others are compared with it.
    const ALL: [Self; 23] = [
        Self::Floor,
        Self::Stock,
        // On every request to somebody else's API: it comes first.
        Self::Authorize,
        Self::Create,
        Self::Refresh,
        Self::RefreshByApiToken,
        Self::Claim,
        Self::Mint,
        Self::Revoke,
        Self::HandOver,
        Self::Heartbeat,
        Self::State,
        Self::Remove,
        Self::Get,
        Self::Discover,
        Self::Peers(1),
        Self::Peers(10),
        Self::Peers(100),
        Self::List,
        Self::EndToken,
        Self::OwnerMint,
        Self::OwnerEnd,
        Self::Rotate,
    ];
    /// The ones whose cost may grow with the item.
    const GROWING: [Self; 5] = [Self::Refresh, Self::Claim, Self::Mint, Self::Revoke, Self::Get];

    /// Whether it is what the others are compared with.
    pub fn is_yardstick(self) -> bool {
        matches!(self, Self::Floor | Self::Stock)
    }

    /// The crate's name, which is the executable's.
    pub fn function(self) -> &'static str {
        match self {
            Self::Floor => FLOOR,
            Self::Stock => STOCK,
            Self::Create => "create-workspace",
            Self::Refresh | Self::RefreshByApiToken | Self::Claim => "register",
            Self::Mint => "admin-mint-token",
            Self::Revoke | Self::EndToken => "admin-revoke",
            Self::HandOver => "admin-hand-over",
            Self::Heartbeat => "heartbeat",
            Self::Remove => "admin-remove",
            Self::State | Self::Get => "get-workspace",
            Self::Discover | Self::Peers(_) => "discover",
            Self::List => "admin-list",
            Self::Authorize => "authorize",
            Self::OwnerMint | Self::OwnerEnd | Self::Rotate => "owner-tokens",
        }
    }

    fn name(self) -> &'static str {
        match self {
            Self::Refresh => "register: refresh",
            Self::RefreshByApiToken => "register: by API token",
            Self::Claim => "register: claim",
            Self::State => "get-workspace: state",
            Self::Peers(1) => "discover: 1 peer",
            Self::Peers(10) => "discover: 10 peers",
            Self::Peers(_) => "discover: 100 peers",
            Self::EndToken => "admin-revoke: one token",
            Self::OwnerMint => "owner-tokens: mint",
            Self::OwnerEnd => "owner-tokens: end",
            Self::Rotate => "owner-tokens: rotate",
            Self::Floor
            | Self::Stock
            | Self::Create
            | Self::Mint
            | Self::Revoke
            | Self::HandOver
            | Self::Heartbeat
            | Self::Remove
            | Self::Get
            | Self::Discover
            | Self::Authorize
            | Self::List => self.function(),
        }
    }

    /// The requests to the store that guarantee G13 allows it.
    pub fn store_requests(self) -> usize {
        match self {
            Self::Floor
            | Self::Stock
            | Self::Authorize
            | Self::Create
            | Self::State
            | Self::Get
            | Self::Discover => 1,
            Self::Peers(peers) if peers > 50 => 5,
            Self::Peers(_) => 4,
            Self::Refresh
            | Self::RefreshByApiToken
            | Self::Claim
            | Self::Mint
            | Self::Revoke
            | Self::HandOver
            | Self::Heartbeat
            | Self::List
            | Self::EndToken
            | Self::OwnerMint
            | Self::OwnerEnd
            | Self::Rotate
            | Self::Remove => 2,
        }
    }

    fn status(self) -> u16 {
        match self {
            Self::Floor | Self::Stock | Self::Create | Self::Mint | Self::OwnerMint => 201,
            Self::Refresh
            | Self::RefreshByApiToken
            | Self::Claim
            | Self::Revoke
            | Self::HandOver
            | Self::Heartbeat
            | Self::State
            | Self::Remove
            | Self::Get
            | Self::Discover
            | Self::Peers(_)
            | Self::List
            | Self::EndToken
            | Self::OwnerEnd
            | Self::Authorize
            | Self::Rotate => 200,
        }
    }
}

/// A call on workspaces of one shape.
#[derive(Clone, Debug)]
pub struct Case {
    pub call: Call,
    pub api_tokens: usize,
    pub card_kib: usize,
}

/// What a process is sent, and what must be in the table before.
pub struct Script {
    pub items: Vec<Item>,
    pub events: Vec<Vec<u8>>,
}

impl Case {
    /// Each call of the functions that there are, on a workspace with a card of 1 KiB and without API tokens.
    pub fn usual(is_there: impl Fn(&str) -> bool) -> Vec<Self> {
        let calls = Call::ALL.into_iter().filter(|call| call.is_yardstick() || is_there(call.function()));
        calls.map(|call| Self { call, api_tokens: 0, card_kib: 1 }).collect()
    }

    /// How cost grows with the card and with the API tokens.
    pub fn growth() -> Vec<Self> {
        let mut cases = Vec::new();
        for call in Call::GROWING {
            // A mint needs room for one more.
            let most = if call == Call::Mint { 19 } else { 20 };
            for api_tokens in [0, most] {
                cases.extend([1, 8, 32].map(|card_kib| Self { call, api_tokens, card_kib }));
            }
        }
        cases
    }

    pub fn name(&self) -> String {
        self.call.name().to_owned()
    }

    /// So many calls, each of which does what the first did.
    pub fn script(&self, calls: usize) -> Script {
        let (mut items, mut events) = (Vec::new(), Vec::new());
        let mut subject = None;
        for _ in 0..calls {
            // Where a call leaves the workspace as it was but for time and epoch, one will do.
            let reuses = matches!(
                self.call,
                Call::Refresh
                    | Call::RefreshByApiToken
                    | Call::Heartbeat
                    | Call::State
                    | Call::Get
                    | Call::Discover
                    | Call::Peers(_)
                    | Call::List
                    | Call::Rotate
                    | Call::Authorize
                    | Call::OwnerEnd
                    | Call::EndToken
            );
            let subject = match &subject {
                Some(subject) if reuses => subject,
                _ => {
                    let new = self.subject();
                    items.extend(new.workspace.iter().chain(&new.family).map(to_item));
                    subject.insert(new)
                }
            };
            events.push(self.event(subject).to_string().into_bytes());
        }
        Script { items, events }
    }

    fn subject(&self) -> Subject {
        let id = WorkspaceId::generate(&Random::OS).unwrap();
        let token = NewToken::generate(&Random::OS).unwrap();
        let (hash, prefix) = (token.hash().clone(), Some(token.prefix().to_owned()));
        let now = Timestamp::now();
        let is_owner = !matches!(self.call, Call::Claim | Call::RefreshByApiToken);
        let owner = Owner {
            hash: OwnerHash::Token(hash.clone()),
            prefix: prefix.clone(),
            minted_at: now,
            epoch: Epoch(1),
        };
        let mut api_tokens = std::collections::BTreeMap::new();
        if self.call == Call::RefreshByApiToken {
            api_tokens.insert(hash, ApiToken { prefix, name: None, minted_at: now, expires: None });
        }
        while api_tokens.len() < self.api_tokens {
            let token = NewToken::generate(&Random::OS).unwrap();
            let minted = ApiToken {
                prefix: Some(token.prefix().to_owned()),
                name: None,
                minted_at: now,
                expires: None,
            };
            api_tokens.insert(token.hash().clone(), minted);
        }
        let has_item = !matches!(self.call, Call::Floor | Call::Stock | Call::Create);
        let workspace = |id: WorkspaceId| Workspace {
            id,
            status: Status::Online,
            profile: Profile {
                name: "Release notes".to_owned(),
                role: Some("writer".to_owned()),
                tier: Some(2),
                runtime: Some("container".to_owned()),
                external: false,
                compute: None,
            },
            ancestors: Ancestors::default(),
            url: AgentUrlPolicy::Public.check(Some("https://source.example.com/a2a")).unwrap(),
            agent_card: Some(AgentCard::parse(&card(self.card_kib)).unwrap()),
            created_at: now,
            created_op: CommandId::parse(&uuid::Uuid::new_v4().to_string()).unwrap(),
            registered_at: Some(now),
            registered_by: Some(RegisteredBy::Owner),
            revoked_at: None,
            epoch: Epoch(1),
            owner: is_owner.then(|| owner.clone()),
            previous_owner: None,
            api_tokens: api_tokens.clone(),
            successor: None,
            last_command: None,
        };
        // A parent, which owns the same token and discovers; the subject's siblings or children.
        let new = || workspace(WorkspaceId::generate(&Random::OS).unwrap());
        let parent = new();
        let below = |parent: &Workspace, child: Workspace| Workspace {
            ancestors: Ancestors::of_children(parent).unwrap(),
            ..child
        };
        let mut subject = has_item.then(|| workspace(id.clone()));
        let mut family = Vec::new();
        let has_parent = matches!(self.call, Call::Discover | Call::Peers(_));
        if let Some(own) = subject.as_mut().filter(|_| has_parent) {
            *own = below(&parent, own.clone());
        }
        if let Call::Peers(peers) = self.call {
            family.extend((1..peers).map(|_| below(&parent, new())));
        }
        if let (Call::List, Some(own)) = (self.call, &subject) {
            family.extend((0..LISTED).map(|_| below(own, new())));
        }
        let parent_id = parent.id.clone();
        family.extend(has_parent.then_some(parent));
        let bearer = format!("Bearer {}", token.reveal());
        Subject { id, parent_id, bearer, workspace: subject, family }
    }

    fn event(&self, subject: &Subject) -> Value {
        let id = subject.id.as_str();
        match self.call {
            // The same event as the create's: what API Gateway adds to a request is there for any function.
            Call::Floor | Call::Stock => {
                let mut event = read(CREATE);
                event["requestContext"]["requestId"] = id.into();
                event
            }
            Call::Create => {
                with_body(read(CREATE), &json!({"name": "Release notes", "id": id, "role": "writer"}))
            }
            Call::Refresh | Call::RefreshByApiToken => {
                let mut event = self.registration(id);
                event["headers"]["authorization"] = subject.bearer.as_str().into();
                event
            }
            Call::Claim => {
                let mut event = self.registration(id);
                event["headers"].as_object_mut().unwrap().remove("authorization");
                event
            }
            Call::Heartbeat => {
                let mut event = read(REGISTER);
                event["headers"]["authorization"] = subject.bearer.as_str().into();
                event["routeKey"] = "POST /registry/heartbeat".into();
                let report = json!({"workspace_id": id, "current_task": "writing", "active_tasks": 1,
                    "error_rate": 0.0, "sample_error": "", "uptime_seconds": 60});
                with_body(event, &report)
            }
            Call::State => {
                let mut event = of_workspace(read(GET), id);
                event["routeKey"] = "GET /workspaces/{id}/state".into();
                event["headers"]["authorization"] = subject.bearer.as_str().into();
                event
            }
            Call::Discover => {
                let mut event = routed(subject, "GET", "GET /registry/discover/{id}");
                event["headers"]["x-workspace-id"] = subject.parent_id.as_str().into();
                event
            }
            Call::Authorize => {
                let mut event = read(AUTHORIZE);
                event["pathParameters"]["workspace_id"] = id.into();
                event["headers"]["authorization"] = subject.bearer.as_str().into();
                event
            }
            Call::Peers(_) => routed(subject, "GET", "GET /registry/{id}/peers"),
            Call::List => {
                let mut event = of_workspace(read(GET), id);
                event["routeKey"] = "GET /workspaces".into();
                event["queryStringParameters"] = json!({"parent_id": id});
                event
            }
            Call::OwnerMint => {
                with_body(routed(subject, "POST", "POST /workspaces/{id}/tokens"), &json!({"name": "ci"}))
            }
            Call::OwnerEnd => {
                let mut event = routed(subject, "DELETE", "DELETE /workspaces/{id}/tokens/{token_id}");
                event["pathParameters"]["token_id"] = "wsr_00000000".into();
                event
            }
            Call::Rotate => routed(subject, "POST", "POST /workspaces/{id}/rotate"),
            Call::EndToken => {
                let mut event = of_workspace(read(REVOKE), id);
                event["routeKey"] = "DELETE /admin/workspaces/{id}/tokens/{token_id}".into();
                event["headers"]["idempotency-key"] = uuid::Uuid::new_v4().to_string().into();
                event["pathParameters"]["token_id"] = "wsr_00000000".into();
                event
            }
            Call::Mint => of_workspace(read(MINT), id),
            Call::Get => of_workspace(read(GET), id),
            Call::Revoke => {
                let mut event = of_workspace(read(REVOKE), id);
                event["headers"]["idempotency-key"] = uuid::Uuid::new_v4().to_string().into();
                event
            }
            Call::Remove => {
                let mut event = of_workspace(read(GET), id);
                event["routeKey"] = "DELETE /workspaces/{id}".into();
                event["requestContext"]["http"]["method"] = "DELETE".into();
                event
            }
            Call::HandOver => {
                let route = "POST /admin/workspaces/{id}/hand-over";
                let mut event = of_workspace(read(REVOKE), id);
                let path = format!("/admin/workspaces/{id}/hand-over");
                event["routeKey"] = route.into();
                event["requestContext"]["routeKey"] = route.into();
                event["rawPath"] = path.as_str().into();
                event["requestContext"]["http"]["path"] = path.into();
                event["headers"]["idempotency-key"] = uuid::Uuid::new_v4().to_string().into();
                with_body(event, &json!({"successor_token_sha256": TokenHash::of(id).as_str()}))
            }
        }
    }

    fn registration(&self, id: &str) -> Value {
        let card: Value = serde_json::from_str(&card(self.card_kib)).unwrap();
        with_body(
            read(REGISTER),
            &json!({"id": id, "url": "https://source.example.com/a2a", "agent_card": card}),
        )
    }

    /// An error when the answer is not the expected one: what is measured would be something else.
    pub fn check(&self, answer: &crate::runtime_api::Answer) -> Result<(), String> {
        let json: Value = serde_json::from_slice(&answer.body).unwrap_or_default();
        let is_authorized = self.call == Call::Authorize && json["isAuthorized"] == true;
        if answer.is_error || !(is_authorized || json["statusCode"] == self.call.status()) {
            return Err(format!(
                "{}: unexpected answer {}",
                self.name(),
                String::from_utf8_lossy(&answer.body)
            ));
        }
        Ok(())
    }
}

struct Subject {
    id: WorkspaceId,
    parent_id: WorkspaceId,
    bearer: String,
    workspace: Option<Workspace>,
    /// Other workspaces that there must be.
    family: Vec<Workspace>,
}

/// How many children a list shows.
const LISTED: usize = 10;

fn read(event: &str) -> Value {
    serde_json::from_str(event).unwrap()
}

fn with_body(mut event: Value, body: &Value) -> Value {
    let body = body.to_string();
    event["headers"]["content-length"] = body.len().to_string().into();
    event["body"] = body.into();
    event
}

/// A call by the subject's owner on this route.
fn routed(subject: &Subject, method: &str, route: &str) -> Value {
    let mut event = of_workspace(read(GET), subject.id.as_str());
    event["routeKey"] = route.into();
    event["requestContext"]["http"]["method"] = method.into();
    event["headers"]["authorization"] = subject.bearer.as_str().into();
    event
}

/// The event with another workspace's id in its path.
fn of_workspace(mut event: Value, id: &str) -> Value {
    let old = event["pathParameters"]["id"].as_str().unwrap().to_owned();
    let path = event["rawPath"].as_str().unwrap().replace(&old, id);
    event["requestContext"]["http"]["path"] = path.as_str().into();
    event["rawPath"] = path.into();
    event["pathParameters"]["id"] = id.into();
    event
}

/// An agent card of so many KiB of JSON text.
fn card(kib: usize) -> String {
    let card = |filling: &str| {
        json!({"name": "Release notes agent", "description": filling, "version": "1.4.0"}).to_string()
    };
    card(&"x".repeat(kib * 1024 - card("").len()))
}

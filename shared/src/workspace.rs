//! One workspace as a value: the whole of what the table holds about it.

use std::collections::BTreeMap;

use crate::id::WorkspaceId;
use crate::time::Now;
use crate::token::TokenHash;

/// How many API tokens one workspace may have.
pub const API_TOKEN_LIMIT: usize = 20;

/// Counts every write that changes who may do what. It fences: such a write is made on the condition that the
/// epoch is still the one it was decided on.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Epoch(pub u64);

impl Epoch {
    /// The epoch of a workspace that has just been created.
    pub const FIRST: Self = Self(1);

    /// The epoch that the next fenced write makes.
    pub fn next(self) -> Self {
        Self(self.0.saturating_add(1))
    }

    /// The epoch that the last fenced write was decided on.
    pub fn previous(self) -> Self {
        Self(self.0.saturating_sub(1))
    }
}

/// Where a workspace is in its life.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Status {
    /// Spawned by the platform, has not registered yet.
    Provisioning,
    /// Runs elsewhere and has not said where.
    AwaitingAgent,
    /// Has registered, or was created with its URL.
    Online,
    /// Removed for good. Nothing brings it back.
    Removed,
}

impl Status {
    /// All of them, for mapping and tests.
    pub const ALL: [Self; 4] = [Self::Provisioning, Self::AwaitingAgent, Self::Online, Self::Removed];

    /// The ones in which a workspace may register.
    pub const LIVE: [Self; 3] = [Self::Provisioning, Self::AwaitingAgent, Self::Online];

    /// As stored and shown.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Provisioning => "provisioning",
            Self::AwaitingAgent => "awaiting_agent",
            Self::Online => "online",
            Self::Removed => "removed",
        }
    }
}

/// The kind of bearer behind the last registration.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RegisteredBy {
    /// The owner: its own token, a claim or a take-over.
    Owner,
    /// An API token.
    Api,
}

impl RegisteredBy {
    /// As stored and shown.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Owner => "owner",
            Self::Api => "api",
        }
    }
}

/// What closes the door to bootstrap.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum OwnerHash {
    /// A live owner token.
    Token(TokenHash),
    /// No token at all: the random source failed while the first one was made. No bearer matches it.
    Sealed,
}

impl OwnerHash {
    /// The word that is stored when the door is sealed. No token hashes to it: it is not 64 hex digits.
    pub const SEALED: &str = "sealed";

    /// As stored.
    pub fn as_str(&self) -> &str {
        match self {
            Self::Token(hash) => hash.as_str(),
            Self::Sealed => Self::SEALED,
        }
    }

    /// The token's hash, `None` for a seal.
    pub fn token(&self) -> Option<&TokenHash> {
        match self {
            Self::Token(hash) => Some(hash),
            Self::Sealed => None,
        }
    }
}

/// The live owner.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Owner {
    /// The owner token's hash, or the seal.
    pub hash: OwnerHash,
    /// `wsr_` and the public id; `None` for a caller-chosen token and a seal.
    pub prefix: Option<String>,
    /// When it became the owner, RFC 3339.
    pub minted_at: String,
    /// The epoch that made it the owner.
    pub epoch: Epoch,
}

/// A caller's token: it may read and refresh, and never becomes the owner.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ApiToken {
    /// `wsr_` and the public id; `None` for a caller-chosen token.
    pub prefix: Option<String>,
    /// When it was minted, RFC 3339.
    pub minted_at: String,
}

/// The token that a hand-over named to take over, while the source still works.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Successor {
    /// The successor token's hash.
    pub hash: TokenHash,
    /// The second since the Unix epoch from which the hand-over is as if never made.
    pub expires: i64,
}

impl Successor {
    /// Whether the hand-over still stands.
    pub fn is_pending(&self, now: Now) -> bool {
        now.epoch_seconds() < self.expires
    }
}

/// The one administrative operation that the workspace remembers, so that repeating it has one effect. Its `Debug` shows
/// only the type's name: there may be a hash in it.
#[derive(Clone, PartialEq, Eq)]
pub struct LastOperation {
    /// The caller's operation id.
    pub id: String,
    /// What it did, for example `revoke:all`, with the hash of a successor that it named. Not to be shown.
    pub kind: String,
    /// The epoch that it made.
    pub epoch: Epoch,
}

impl std::fmt::Debug for LastOperation {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("LastOperation")
    }
}

/// The machine that a workspace was asked to run on.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Compute {
    /// For example `t4g.small`.
    pub instance_type: Option<String>,
    /// Size of the root volume in GB.
    pub volume_root_gb: Option<u64>,
}

/// What the creator said of the workspace. The registry keeps it and makes no decision on it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Profile {
    /// A name for people.
    pub name: String,
    /// What the agent does.
    pub role: Option<String>,
    /// A service tier.
    pub tier: Option<u64>,
    /// What the agent runs on.
    pub runtime: Option<String>,
    /// The workspace that this one belongs to.
    pub parent_id: Option<String>,
    /// Whether the platform has no hand in running it.
    pub external: bool,
    /// The machine it was asked to run on.
    pub compute: Option<Compute>,
}

/// One workspace: one item of the table.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Workspace {
    /// Its id, the table's partition key.
    pub id: WorkspaceId,
    /// Where it is in its life.
    pub status: Status,
    /// What its creator said of it.
    pub profile: Profile,
    /// Where the agent can be reached; `None` when it has no inbound endpoint or has not registered.
    pub url: Option<String>,
    /// The agent's card as JSON text, as it was sent.
    pub agent_card: Option<String>,
    /// RFC 3339.
    pub created_at: String,
    /// The request id of the call that created it, by which that call knows its own write again.
    pub created_op: String,
    /// When it last registered, RFC 3339.
    pub registered_at: Option<String>,
    /// The kind of bearer behind that registration.
    pub registered_by: Option<RegisteredBy>,
    /// When tokens were last revoked, RFC 3339.
    pub revoked_at: Option<String>,
    /// Counts the writes that changed who may do what.
    pub epoch: Epoch,
    /// The live owner. `None`: the door is open.
    pub owner: Option<Owner>,
    /// The token that was the owner before. It cannot be named again.
    pub previous_owner: Option<TokenHash>,
    /// Callers' tokens by their hash, at most [`API_TOKEN_LIMIT`].
    pub api_tokens: BTreeMap<TokenHash, ApiToken>,
    /// The hand-over, also when it has expired.
    pub successor: Option<Successor>,
    /// The last administrative operation.
    pub last_operation: Option<LastOperation>,
}

impl Workspace {
    /// A workspace at its first epoch, with its door open and no token. `created_at` is RFC 3339.
    pub fn new(
        id: WorkspaceId,
        status: Status,
        profile: Profile,
        created_at: String,
        created_op: String,
    ) -> Self {
        Self {
            id,
            status,
            profile,
            url: None,
            agent_card: None,
            created_at,
            created_op,
            registered_at: None,
            registered_by: None,
            revoked_at: None,
            epoch: Epoch::FIRST,
            owner: None,
            previous_owner: None,
            api_tokens: BTreeMap::new(),
            successor: None,
            last_operation: None,
        }
    }

    /// Whether this is the hash of the live owner token.
    pub fn is_owner(&self, hash: &TokenHash) -> bool {
        self.owner.as_ref().and_then(|owner| owner.hash.token()) == Some(hash)
    }

    /// Whether this is the hash of a live API token.
    pub fn is_api_token(&self, hash: &TokenHash) -> bool {
        self.api_tokens.contains_key(hash)
    }

    /// The hand-over that still stands, if any. An expired one is as if never made.
    pub fn pending_successor(&self, now: Now) -> Option<&Successor> {
        self.successor.as_ref().filter(|successor| successor.is_pending(now))
    }

    /// Whether this hash may read and refresh the workspace.
    pub fn is_live(&self, hash: &TokenHash) -> bool {
        self.is_owner(hash) || self.is_api_token(hash)
    }

    /// Whether this hash has a role, or had the owner's before: it is refused for any new one.
    pub fn has_role(&self, hash: &TokenHash, now: Now) -> bool {
        self.is_live(hash)
            || self.pending_successor(now).is_some_and(|successor| successor.hash == *hash)
            || self.previous_owner.as_ref() == Some(hash)
    }
}

//! One workspace as a value: everything that the table stores about it.

use std::collections::BTreeMap;

use crate::agent_card::AgentCard;
use crate::agent_url::AgentUrl;
use crate::id::{CommandId, WorkspaceId};
use crate::protocol::Refusal;
use crate::time::Timestamp;
use crate::token::{TokenHash, TokenId, TokenPrefix};
use crate::tree::Ancestors;

/// How many API tokens one workspace may have.
pub const API_TOKEN_LIMIT: usize = 20;

/// Counts the writes that changed who may do what. It is the fence: a write is made on the condition that the epoch is
/// still the one that the decision saw.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Epoch(pub u64);

impl Epoch {
    /// The epoch of a new workspace.
    pub const FIRST: Self = Self(1);

    /// The epoch after the next write that advances it.
    pub fn next(self) -> Self {
        Self(self.0.saturating_add(1))
    }

    /// The epoch before the last write that advanced it.
    pub fn previous(self) -> Self {
        Self(self.0.saturating_sub(1))
    }
}

/// What the table stores under a workspace id.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Stored {
    /// A workspace.
    Workspace(Box<Workspace>),
    /// A workspace that was removed for good. Nothing brings it back.
    Tombstone(Tombstone),
}

/// What stays of a removed workspace: enough that its id can never be used again.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Tombstone {
    /// The id, which stays taken.
    pub id: WorkspaceId,
    /// The epoch that the removal made.
    pub epoch: Epoch,
}

/// Where a workspace is in its life.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Status {
    /// Created for a container that the platform runs; has not registered yet.
    Provisioning,
    /// Created for an agent that runs elsewhere; has not registered yet.
    AwaitingAgent,
    /// Has registered, or was created with its URL.
    Online,
}

impl Status {
    /// All of them, for mapping and tests.
    pub const ALL: [Self; 3] = [Self::Provisioning, Self::AwaitingAgent, Self::Online];

    /// As stored and shown.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Provisioning => "provisioning",
            Self::AwaitingAgent => "awaiting_agent",
            Self::Online => "online",
        }
    }
}

/// Whose token made the last registration.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RegisteredBy {
    /// The owner's: a refresh, a claim or a take-over.
    Owner,
    /// An API token.
    Api,
}

impl RegisteredBy {
    /// All of them, for mapping and tests.
    pub const ALL: [Self; 2] = [Self::Owner, Self::Api];

    /// As stored and shown.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Owner => "owner",
            Self::Api => "api",
        }
    }
}

/// What closes the door.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum OwnerHash {
    /// The owner token's hash.
    Token(TokenHash),
    /// No token: the random source failed when the first one was to be generated. No bearer matches a seal.
    Sealed,
}

impl OwnerHash {
    /// What the table stores for a seal. No token has this hash: it is not 64 hex digits.
    pub const SEALED: &str = "sealed";

    /// As stored.
    pub fn as_str(&self) -> &str {
        match self {
            Self::Token(hash) => hash.as_str(),
            Self::Sealed => Self::SEALED,
        }
    }

    /// The token's hash; `None` for a seal.
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
    /// The token's prefix; `None` for a caller-chosen token and a seal.
    pub prefix: Option<TokenPrefix>,
    /// When it became the owner.
    pub minted_at: Timestamp,
    /// The epoch that made it the owner.
    pub epoch: Epoch,
}

/// A token for the workspace's callers. It may read the workspace and refresh its URL and card. It is never the owner.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ApiToken {
    /// The token's prefix; `None` for a caller-chosen token.
    pub prefix: Option<TokenPrefix>,
    /// A name for people.
    pub name: Option<TokenName>,
    /// When it was minted.
    pub minted_at: Timestamp,
    /// From this second on, the token is treated as if it had never been minted.
    pub expires: Option<Timestamp>,
}

impl ApiToken {
    /// Whether it has not expired.
    pub fn is_live(&self, now: Timestamp) -> bool {
        self.expires.is_none_or(|expires| now < expires)
    }
}

/// A token's name: 1 to 64 characters, none of them a control character.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TokenName(String);

impl TokenName {
    /// The grammar, in the words of an error message.
    pub const GRAMMAR: &str = "a string of 1 to 64 characters without control characters";

    /// The name, or `None` when it does not follow [`Self::GRAMMAR`].
    pub fn parse(name: &str) -> Option<Self> {
        let fits = (1..=64).contains(&name.chars().count()) && !name.chars().any(char::is_control);
        fits.then(|| Self(name.to_owned()))
    }

    /// As stored and shown.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

/// What a live token may do.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TokenKind {
    /// It owns the workspace.
    Owner,
    /// It is one of the workspace's API tokens.
    Api,
}

impl TokenKind {
    /// As shown.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Owner => "owner",
            Self::Api => "api",
        }
    }
}

/// A live token.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LiveToken {
    /// What it may do.
    pub kind: TokenKind,
    /// Its id.
    pub id: TokenId,
}

/// Who named a successor.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum NamedBy {
    /// An operator, by a hand-over or a revoke.
    Operator,
    /// The owner, which rotates its own token.
    Owner,
}

impl NamedBy {
    /// All of them, for mapping and tests.
    pub const ALL: [Self; 2] = [Self::Operator, Self::Owner];

    /// As stored.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Operator => "operator",
            Self::Owner => "owner",
        }
    }
}

/// The token that a hand-over named to be the next owner.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Successor {
    /// The successor token's hash.
    pub hash: TokenHash,
    /// The token's prefix; `None` for a caller-chosen token.
    pub prefix: Option<TokenPrefix>,
    /// Who named it.
    pub named_by: NamedBy,
    /// From this second on, the hand-over is treated as if it had never been made.
    pub expires: Timestamp,
}

impl Successor {
    /// Whether the hand-over has not expired.
    pub fn is_pending(&self, now: Timestamp) -> bool {
        now < self.expires
    }
}

/// Which tokens a revoke ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RevokeScope {
    /// The owner token, all API tokens and a pending hand-over.
    All,
    /// The owner token and a pending hand-over.
    Owner,
    /// All API tokens. The owner and a pending hand-over stay.
    Api,
}

impl RevokeScope {
    /// All of them, in the contract's order.
    pub const ALL: [Self; 3] = [Self::All, Self::Owner, Self::Api];

    /// As callers send it and as it is stored.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::All => "all",
            Self::Owner => "owner",
            Self::Api => "api",
        }
    }

    /// Whether the owner and a pending hand-over end.
    pub fn ends_owner(self) -> bool {
        match self {
            Self::All | Self::Owner => true,
            Self::Api => false,
        }
    }

    /// Whether the API tokens end.
    pub fn ends_api_tokens(self) -> bool {
        match self {
            Self::All | Self::Api => true,
            Self::Owner => false,
        }
    }
}

/// What an administrator's command did: everything that two commands with the same id could differ in.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum CommandKind {
    /// Ended tokens, and perhaps named a successor.
    Revoke {
        /// Which tokens ended.
        scope: RevokeScope,
        /// For whom the claim was reserved.
        successor: Option<TokenHash>,
    },
    /// Named a successor.
    HandOver {
        /// The successor.
        successor: TokenHash,
    },
    /// Ended a hand-over.
    CancelHandOver,
    /// Ended one token.
    EndToken {
        /// Which one.
        id: TokenId,
    },
}

/// The last command. The workspace remembers one, so that repeating it has one effect.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LastCommand {
    /// The caller's id for it.
    pub id: CommandId,
    /// What it did.
    pub kind: CommandKind,
    /// The epoch that it made.
    pub epoch: Epoch,
}

/// What an agent says about itself. Each registration replaces all of it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Registration {
    /// Where the agent can be reached; `None` without an inbound endpoint.
    pub url: Option<AgentUrl>,
    /// The agent's card.
    pub agent_card: AgentCard,
}

/// The machine that a workspace was asked to run on.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Compute {
    /// For example `t4g.small`.
    pub instance_type: Option<String>,
    /// Size of the root volume in GB.
    pub volume_root_gb: Option<u64>,
}

/// What the creator said about the workspace. No decision depends on it.
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
    /// Whether the agent runs outside the platform.
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
    /// What its creator said about it.
    pub profile: Profile,
    /// Where it is in the tree. It never changes.
    pub ancestors: Ancestors,
    /// Where the agent can be reached; `None` when it has no inbound endpoint or has not registered.
    pub url: Option<AgentUrl>,
    /// The agent's card; `None` before the first registration.
    pub agent_card: Option<AgentCard>,
    /// When it was created.
    pub created_at: Timestamp,
    /// The request id of the call that created it, by which that call recognises its own write.
    pub created_op: CommandId,
    /// When it last registered.
    pub registered_at: Option<Timestamp>,
    /// Whose token made that registration.
    pub registered_by: Option<RegisteredBy>,
    /// When tokens were last revoked.
    pub revoked_at: Option<Timestamp>,
    /// Counts the writes that changed who may do what.
    pub epoch: Epoch,
    /// The live owner. `None`: the door is open.
    pub owner: Option<Owner>,
    /// The hash of the owner token before this one. No caller may choose it again.
    pub previous_owner: Option<TokenHash>,
    /// API tokens by their hash, even those that have expired. At most [`API_TOKEN_LIMIT`] are live.
    pub api_tokens: BTreeMap<TokenHash, ApiToken>,
    /// The hand-over, even when it has expired.
    pub successor: Option<Successor>,
    /// The last command.
    pub last_command: Option<LastCommand>,
}

impl Workspace {
    /// A root workspace at its first epoch, with an open door and no token.
    pub fn new(
        id: WorkspaceId,
        status: Status,
        profile: Profile,
        created_at: Timestamp,
        created_op: CommandId,
    ) -> Self {
        Self {
            id,
            status,
            profile,
            ancestors: Ancestors::default(),
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
            last_command: None,
        }
    }

    /// The live owner token's hash; `None` with an open or sealed door.
    pub fn owner_token(&self) -> Option<&TokenHash> {
        self.owner.as_ref().and_then(|owner| owner.hash.token())
    }

    /// Whether this is the hash of the live owner token.
    pub fn is_owner(&self, hash: &TokenHash) -> bool {
        self.owner_token() == Some(hash)
    }

    /// The API tokens that have not expired.
    pub fn live_api_tokens(&self, now: Timestamp) -> impl Iterator<Item = (&TokenHash, &ApiToken)> {
        self.api_tokens.iter().filter(move |(_, token)| token.is_live(now))
    }

    /// Whether this is the hash of a live API token.
    pub fn is_api_token(&self, hash: &TokenHash, now: Timestamp) -> bool {
        self.api_tokens.get(hash).is_some_and(|token| token.is_live(now))
    }

    /// Whether this is the hash of a live token: one that may read the workspace and refresh it.
    pub fn is_live(&self, hash: &TokenHash, now: Timestamp) -> bool {
        self.is_owner(hash) || self.is_api_token(hash, now)
    }

    /// Checks that the bearer is the live owner's.
    ///
    /// # Errors
    /// [`Refusal::InsufficientScope`] for an API token's bearer, [`Refusal::InvalidToken`] for any other.
    pub fn require_owner(&self, bearer: &TokenHash, now: Timestamp) -> Result<&Owner, Refusal> {
        match &self.owner {
            Some(owner) if self.is_owner(bearer) => Ok(owner),
            Some(_) | None if self.is_api_token(bearer, now) => Err(Refusal::InsufficientScope),
            Some(_) | None => Err(Refusal::InvalidToken),
        }
    }

    /// The live token with this hash.
    pub fn live_token(&self, hash: &TokenHash, now: Timestamp) -> Option<LiveToken> {
        if let Some(owner) = self.owner.as_ref().filter(|_| self.is_owner(hash)) {
            return Some(LiveToken { kind: TokenKind::Owner, id: TokenId::of(hash, owner.prefix.as_ref()) });
        }
        let token = self.api_tokens.get(hash).filter(|token| token.is_live(now))?;
        Some(LiveToken { kind: TokenKind::Api, id: TokenId::of(hash, token.prefix.as_ref()) })
    }

    /// The successor, if the hand-over has not expired.
    pub fn pending_successor(&self, now: Timestamp) -> Option<&Successor> {
        self.successor.as_ref().filter(|successor| successor.is_pending(now))
    }

    /// Whether this is the hash of the pending successor.
    pub fn is_pending_successor(&self, hash: &TokenHash, now: Timestamp) -> bool {
        self.pending_successor(now).is_some_and(|successor| successor.hash == *hash)
    }

    /// Whether this hash is live, is the pending successor's, or was the previous owner's. No caller may choose it for a
    /// new token.
    pub fn is_known(&self, hash: &TokenHash, now: Timestamp) -> bool {
        self.is_live(hash, now)
            || self.is_pending_successor(hash, now)
            || self.previous_owner.as_ref() == Some(hash)
    }

    /// Whether the workspace holds exactly this registration.
    pub fn holds(&self, registration: &Registration) -> bool {
        self.url == registration.url && self.agent_card.as_ref() == Some(&registration.agent_card)
    }
}

//! The ownership guard: who may do what, decided by pure functions of (what the table holds, what is asked, the
//! time). They read nothing, write nothing and see no plaintext. Whatever they allow is then written on the
//! condition that the epoch is still the one that they saw.

use crate::id::OperationId;
use crate::time::Now;
use crate::token::TokenHash;
use crate::workspace::{API_TOKEN_LIMIT, Epoch, LastOperation, Status, Workspace};

/// What an agent says of itself. Each registration says all of it; nothing is merged.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Registration<'a> {
    /// Where the agent can be reached, `None` without an inbound endpoint.
    pub url: Option<&'a str>,
    /// The agent's card as JSON text.
    pub agent_card: &'a str,
}

/// A registration as it is decided on.
#[derive(Clone, Copy, Debug)]
pub struct RegisterRequest<'a> {
    /// The hash of the bearer that was presented.
    pub bearer: Option<&'a TokenHash>,
    /// The hash of a token that the caller made itself; it counts only without a bearer.
    pub chosen: Option<&'a TokenHash>,
    /// What is to be set.
    pub registration: Registration<'a>,
}

/// What becomes of a registration.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RegisterDecision {
    /// The owner says where it is now.
    Refresh,
    /// An API token says where the agent is now.
    RefreshByApiToken,
    /// No bearer and no owner (*bootstrap*): the caller becomes the owner.
    Claim,
    /// The successor that a hand-over named becomes the owner.
    TakeOver,
    /// All of it is so already: nothing is written.
    AlreadyDone {
        /// The workspace's epoch.
        epoch: Epoch,
    },
    /// Refused: nothing is written.
    Refused(Refusal),
}

/// Why a call is refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Refusal {
    /// There is no such workspace.
    Unknown,
    /// It was removed for good.
    Removed,
    /// The door is closed and no bearer was presented.
    MissingToken,
    /// The bearer is not live.
    InvalidToken,
    /// A claim's caller-chosen hash has or had a role.
    InvalidChosenToken,
    /// An administrator's caller-chosen hash has or had a role.
    HashInUse,
    /// The hash of the successor to be named has or had a role.
    SuccessorInUse,
    /// There are as many API tokens as one workspace may have.
    TokenLimitReached,
    /// The workspace is not at the epoch that the caller expected.
    EpochChanged,
    /// The operation id is the last one remembered, for another kind of operation or scope.
    OperationIdReused,
}

/// The ownership guard. While a workspace has a live owner, only the bearer of a live token may register it; with
/// none, the first caller claims it.
pub fn register(item: Option<&Workspace>, request: &RegisterRequest<'_>, now: Now) -> RegisterDecision {
    let Some(workspace) = item else { return RegisterDecision::Refused(Refusal::Unknown) };
    if workspace.status == Status::Removed {
        return RegisterDecision::Refused(Refusal::Removed);
    }
    let successor = workspace.pending_successor(now);
    match request.bearer {
        Some(bearer) if workspace.is_owner(bearer) => RegisterDecision::Refresh,
        Some(bearer) if workspace.is_api_token(bearer) => RegisterDecision::RefreshByApiToken,
        Some(bearer) if successor.is_some_and(|named| named.hash == *bearer) => RegisterDecision::TakeOver,
        // Also with the door open: a revoked source that keeps trying must not claim again.
        Some(_) => RegisterDecision::Refused(Refusal::InvalidToken),
        None if workspace.owner.is_some() || successor.is_some() => {
            // The repeat of a claim whose reply was lost. A hash alone changes nothing, so only the very same
            // registration counts.
            let is_repeat = request.chosen.is_some_and(|chosen| workspace.is_owner(chosen))
                && is_registered(workspace, &request.registration);
            if is_repeat {
                RegisterDecision::AlreadyDone { epoch: workspace.epoch }
            } else {
                RegisterDecision::Refused(Refusal::MissingToken)
            }
        }
        None if request.chosen.is_some_and(|chosen| workspace.has_role(chosen, now)) => {
            RegisterDecision::Refused(Refusal::InvalidChosenToken)
        }
        None => RegisterDecision::Claim,
    }
}

/// Whether the workspace holds exactly this registration.
pub fn is_registered(workspace: &Workspace, registration: &Registration<'_>) -> bool {
    workspace.url.as_deref() == registration.url
        && workspace.agent_card.as_deref() == Some(registration.agent_card)
}

/// What becomes of a request to mint an API token.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum MintDecision {
    /// One more API token.
    Mint,
    /// The caller-chosen hash is an API token already: nothing is written.
    AlreadyDone,
    /// Refused: nothing is written.
    Refused(Refusal),
}

/// Whether an administrator may add an API token. `chosen` is the hash of a token that the caller made itself.
pub fn mint(item: Option<&Workspace>, chosen: Option<&TokenHash>, now: Now) -> MintDecision {
    let Some(workspace) = item else { return MintDecision::Refused(Refusal::Unknown) };
    if workspace.status == Status::Removed {
        return MintDecision::Refused(Refusal::Removed);
    }
    match chosen {
        Some(hash) if workspace.is_api_token(hash) => MintDecision::AlreadyDone,
        Some(hash) if workspace.has_role(hash, now) => MintDecision::Refused(Refusal::HashInUse),
        _ if workspace.api_tokens.len() >= API_TOKEN_LIMIT => {
            MintDecision::Refused(Refusal::TokenLimitReached)
        }
        _ => MintDecision::Mint,
    }
}

/// Which tokens a revoke ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RevokeScope {
    /// The owner token, all API tokens and a hand-over.
    All,
    /// The owner token and a hand-over.
    Owner,
    /// All API tokens; owner and hand-over are left alone.
    Api,
}

impl RevokeScope {
    /// All of them, in the order in which the contract names them.
    pub const ALL: [Self; 3] = [Self::All, Self::Owner, Self::Api];

    /// The scope as callers name it.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::All => "all",
            Self::Owner => "owner",
            Self::Api => "api",
        }
    }

    /// Whether the owner and a hand-over end.
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

/// An administrator's operation that can be repeated: what all of them have in common.
#[derive(Clone, Copy, Debug)]
pub struct Operation<'a> {
    /// Names the operation, so that repeating it has one effect.
    pub id: &'a OperationId,
    /// The epoch that the caller believes the workspace is at.
    pub expected_epoch: Option<Epoch>,
}

/// A revoke as it is decided on.
#[derive(Clone, Copy, Debug)]
pub struct RevokeRequest<'a> {
    /// Which tokens end.
    pub scope: RevokeScope,
    /// The token for which alone the claim is then reserved; only with [`RevokeScope::All`].
    pub successor: Option<&'a TokenHash>,
    /// Its name and fence.
    pub operation: Operation<'a>,
}

impl RevokeRequest<'_> {
    /// What the workspace remembers besides the operation's name: all that another one of that name could differ in.
    pub fn kind(&self) -> String {
        let scope = self.scope.as_str();
        match self.successor {
            None => format!("revoke:{scope}"),
            Some(successor) => format!("revoke:{scope}:{}", successor.as_str()),
        }
    }
}

/// What becomes of a revoke.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RevokeDecision {
    /// End what is in scope. Also when nothing is live: the epoch moves, so that a claim that is already on its way
    /// cannot land after the answer.
    Revoke {
        /// How many tokens the write ends. A seal counts 0.
        ended: usize,
    },
    /// The operation is the one remembered: nothing is written.
    AlreadyDone {
        /// The epoch that the operation made.
        epoch: Epoch,
    },
    /// Refused: nothing is written.
    Refused(Refusal),
}

/// Whether an administrator's revoke is made, was made, or is refused.
pub fn revoke(item: Option<&Workspace>, request: &RevokeRequest<'_>, now: Now) -> RevokeDecision {
    let Some(workspace) = item else { return RevokeDecision::Refused(Refusal::Unknown) };
    if workspace.status == Status::Removed {
        return RevokeDecision::Refused(Refusal::Removed);
    }
    if let Some(last) = remembered(workspace, request.operation.id) {
        return if last.kind == request.kind() {
            RevokeDecision::AlreadyDone { epoch: last.epoch }
        } else {
            RevokeDecision::Refused(Refusal::OperationIdReused)
        };
    }
    if is_elsewhere(workspace, &request.operation) {
        return RevokeDecision::Refused(Refusal::EpochChanged);
    }
    if request.successor.is_some_and(|named| has_another_role(workspace, named, now)) {
        return RevokeDecision::Refused(Refusal::SuccessorInUse);
    }
    RevokeDecision::Revoke { ended: live_tokens(workspace, request.scope) }
}

/// What becomes of a hand-over.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum HandOverDecision {
    /// Name the successor. The owner keeps its token until the successor registers.
    HandOver,
    /// It was named before, and its hand-over stands: nothing is written.
    Pending {
        /// The epoch that the flip proof counts from.
        epoch: Epoch,
        /// The second since the Unix epoch at which it expires.
        expires: i64,
    },
    /// This very operation was made, and has expired without a take-over: nothing is written.
    Expired {
        /// The epoch that it made.
        epoch: Epoch,
        /// The second since the Unix epoch at which it expired; `None` when a claim has removed it since.
        expires: Option<i64>,
    },
    /// It owns the workspace already: nothing is written.
    HandedOver {
        /// The epoch that the flip proof counts from.
        epoch: Epoch,
    },
    /// Refused: nothing is written.
    Refused(Refusal),
}

/// Whether an administrator may name the successor.
pub fn hand_over(
    item: Option<&Workspace>,
    successor: &TokenHash,
    operation: &Operation<'_>,
    now: Now,
) -> HandOverDecision {
    let Some(workspace) = item else { return HandOverDecision::Refused(Refusal::Unknown) };
    if workspace.status == Status::Removed {
        return HandOverDecision::Refused(Refusal::Removed);
    }
    let last = remembered(workspace, operation.id);
    if last.is_some_and(|last| last.kind != hand_over_kind(successor)) {
        return HandOverDecision::Refused(Refusal::OperationIdReused);
    }
    let made = last.map(|last| last.epoch);
    if let Some(owner) = workspace.owner.as_ref().filter(|_| workspace.is_owner(successor)) {
        // The proof asks for an owner that is newer than this epoch.
        return HandOverDecision::HandedOver { epoch: made.unwrap_or(owner.epoch.previous()) };
    }
    let named = workspace.successor.as_ref().filter(|named| named.hash == *successor);
    match (named, made) {
        (Some(named), _) if named.is_pending(now) => {
            HandOverDecision::Pending { epoch: made.unwrap_or(workspace.epoch), expires: named.expires }
        }
        (_, Some(epoch)) => HandOverDecision::Expired { epoch, expires: named.map(|named| named.expires) },
        _ if is_elsewhere(workspace, operation) => HandOverDecision::Refused(Refusal::EpochChanged),
        _ if workspace.has_role(successor, now) => HandOverDecision::Refused(Refusal::SuccessorInUse),
        _ => HandOverDecision::HandOver,
    }
}

/// What becomes of the cancelling of a hand-over.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum CancelDecision {
    /// End the hand-over. Also when none is pending: the epoch moves, so that no take-over that was decided in time and
    /// no hand-over whose reply was lost can land after the answer.
    Cancel,
    /// The operation is the one remembered: nothing is written.
    AlreadyDone {
        /// The epoch that it made.
        epoch: Epoch,
    },
    /// Refused: nothing is written.
    Refused(Refusal),
}

/// Whether an administrator's cancelling of a hand-over is made, was made, or is refused.
pub fn cancel_hand_over(item: Option<&Workspace>, operation: &Operation<'_>) -> CancelDecision {
    let Some(workspace) = item else { return CancelDecision::Refused(Refusal::Unknown) };
    if workspace.status == Status::Removed {
        return CancelDecision::Refused(Refusal::Removed);
    }
    match remembered(workspace, operation.id) {
        Some(last) if last.kind == CANCEL => CancelDecision::AlreadyDone { epoch: last.epoch },
        Some(_) => CancelDecision::Refused(Refusal::OperationIdReused),
        None if is_elsewhere(workspace, operation) => CancelDecision::Refused(Refusal::EpochChanged),
        None => CancelDecision::Cancel,
    }
}

/// What the workspace remembers of a hand-over besides its name.
pub fn hand_over_kind(successor: &TokenHash) -> String {
    format!("hand_over:{}", successor.as_str())
}

/// What the workspace remembers of a hand-over's cancelling besides its name.
pub const CANCEL: &str = "cancel_hand_over";

/// The operation of this id, when it is the one that the workspace remembers.
pub fn remembered<'a>(workspace: &'a Workspace, id: &OperationId) -> Option<&'a LastOperation> {
    workspace.last_operation.as_ref().filter(|last| last.id == id.as_str())
}

/// Whether the caller expected another epoch.
fn is_elsewhere(workspace: &Workspace, operation: &Operation<'_>) -> bool {
    operation.expected_epoch.is_some_and(|expected| expected != workspace.epoch)
}

/// Whether this hash has a role besides that of the successor which is pending.
fn has_another_role(workspace: &Workspace, hash: &TokenHash, now: Now) -> bool {
    let is_pending = workspace.pending_successor(now).is_some_and(|named| named.hash == *hash);
    !is_pending && workspace.has_role(hash, now)
}

fn live_tokens(workspace: &Workspace, scope: RevokeScope) -> usize {
    let owner = workspace.owner.as_ref().and_then(|owner| owner.hash.token());
    let owners = if scope.ends_owner() { owner.iter().count() } else { 0 };
    let api_tokens = if scope.ends_api_tokens() { workspace.api_tokens.len() } else { 0 };
    owners.saturating_add(api_tokens)
}

#[cfg(test)]
mod tests;

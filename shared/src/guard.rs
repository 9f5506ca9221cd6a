//! The ownership guard: who may do what, decided by pure functions of (the workspace as the table holds it, what is
//! asked, the time). They read nothing, write nothing and see no plaintext. Whatever they allow is then written on the
//! condition that the epoch is still the one that they saw.
//!
//! When that condition fails, the write may have been made before: the SDK sends it again when its reply was lost, and
//! then meets its own work. The functions named `…_before` tell from the workspace that was found whether it was.

use crate::id::OperationId;
use crate::time::Now;
use crate::token::TokenHash;
use crate::workspace::{API_TOKEN_LIMIT, Epoch, LastOperation, Status, Successor, Workspace};

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

/// What becomes of a registration that is not refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RegisterDecision<'a> {
    /// The owner says where it is now.
    Refresh(&'a TokenHash),
    /// An API token says where the agent is now.
    RefreshByApiToken(&'a TokenHash),
    /// No bearer and no owner (*bootstrap*): the caller becomes the owner.
    Claim {
        /// With a token that it made itself.
        chosen: Option<&'a TokenHash>,
    },
    /// The successor that a hand-over named becomes the owner.
    TakeOver(&'a TokenHash),
    /// All of it is so already: nothing is written.
    AlreadyDone {
        /// The workspace's epoch.
        epoch: Epoch,
    },
}

/// Why a call is refused: nothing is written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Refusal {
    /// The workspace was removed for good.
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
    /// The operation id is the last one remembered, for another operation, scope or successor.
    OperationIdReused,
}

/// The ownership guard. While a workspace has a live owner, only the bearer of a live token may register it; with
/// none, the first caller claims it.
///
/// # Errors
/// The [`Refusal`].
pub fn register<'a>(
    workspace: &Workspace,
    request: &RegisterRequest<'a>,
    now: Now,
) -> Result<RegisterDecision<'a>, Refusal> {
    not_removed(workspace)?;
    let successor = workspace.pending_successor(now);
    match request.bearer {
        Some(bearer) if workspace.is_owner(bearer) => Ok(RegisterDecision::Refresh(bearer)),
        Some(bearer) if workspace.is_api_token(bearer) => Ok(RegisterDecision::RefreshByApiToken(bearer)),
        Some(bearer) if successor.is_some_and(|named| named.hash == *bearer) => {
            Ok(RegisterDecision::TakeOver(bearer))
        }
        // Also with the door open: a revoked source that keeps trying must not claim again.
        Some(_) => Err(Refusal::InvalidToken),
        None if workspace.owner.is_some() || successor.is_some() => {
            // The repeat of a claim whose reply was lost. A hash alone changes nothing, so only the very same
            // registration counts.
            let is_repeat = request.chosen.is_some_and(|chosen| workspace.is_owner(chosen))
                && is_registered(workspace, &request.registration);
            if is_repeat {
                Ok(RegisterDecision::AlreadyDone { epoch: workspace.epoch })
            } else {
                Err(Refusal::MissingToken)
            }
        }
        None if request.chosen.is_some_and(|chosen| workspace.has_role(chosen, now)) => {
            Err(Refusal::InvalidChosenToken)
        }
        None => Ok(RegisterDecision::Claim { chosen: request.chosen }),
    }
}

/// Whether the registration that was decided was made before. `made` is the token that was made for a claim.
pub fn registered_before(
    found: &Workspace,
    decision: &RegisterDecision<'_>,
    made: Option<&TokenHash>,
    registration: &Registration<'_>,
) -> bool {
    match decision {
        // To make it once more costs one write and changes nothing.
        RegisterDecision::Refresh(_)
        | RegisterDecision::RefreshByApiToken(_)
        | RegisterDecision::AlreadyDone { .. } => false,
        RegisterDecision::TakeOver(owner) | RegisterDecision::Claim { chosen: Some(owner) } => {
            found.is_owner(owner) && is_registered(found, registration)
        }
        // Nobody else knows this hash: where it is the owner's, this call's write made it so.
        RegisterDecision::Claim { chosen: None } => made.is_some_and(|made| found.is_owner(made)),
    }
}

/// Whether the workspace that was found under the id is the one that this call, or the caller's same call before,
/// created. `token` is the first token's hash.
pub fn created_before(found: &Workspace, asked: &Workspace, token: Option<&TokenHash>) -> bool {
    token.is_some_and(|token| found.is_live(token)) || found.created_op == asked.created_op
}

/// Whether a call may decide and write once more. A token that the caller chose is written once only: a second write of
/// the same hash could not be told from a first one that is still on its way.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Turn {
    /// When the workspace changes, the call decides on what was found.
    First,
    /// When it changes again, the call gives up.
    Last,
}

/// Whether the workspace holds exactly this registration.
fn is_registered(workspace: &Workspace, registration: &Registration<'_>) -> bool {
    workspace.url.as_deref() == registration.url
        && workspace.agent_card.as_deref() == Some(registration.agent_card)
}

/// What becomes of a request to mint an API token that is not refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum MintDecision {
    /// One more API token.
    Mint,
    /// The caller-chosen hash is an API token already: nothing is written.
    AlreadyDone,
}

/// Whether an administrator may add an API token. `chosen` is the hash of a token that the caller made itself.
///
/// # Errors
/// The [`Refusal`].
pub fn mint(workspace: &Workspace, chosen: Option<&TokenHash>, now: Now) -> Result<MintDecision, Refusal> {
    not_removed(workspace)?;
    match chosen {
        Some(hash) if workspace.is_api_token(hash) => Ok(MintDecision::AlreadyDone),
        Some(hash) if workspace.has_role(hash, now) => Err(Refusal::HashInUse),
        _ if workspace.api_tokens.len() >= API_TOKEN_LIMIT => Err(Refusal::TokenLimitReached),
        _ => Ok(MintDecision::Mint),
    }
}

/// Whether the mint of this token was made before.
pub fn minted_before(found: &Workspace, token: &TokenHash) -> bool {
    found.is_api_token(token)
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
#[derive(Clone, Debug)]
pub struct Operation {
    /// Names the operation, so that repeating it has one effect.
    pub id: OperationId,
    /// The epoch that the caller believes the workspace is at.
    pub expected_epoch: Option<Epoch>,
}

/// A revoke as it is decided on.
#[derive(Clone, Debug)]
pub struct RevokeRequest {
    /// Which tokens end.
    pub scope: RevokeScope,
    /// For whom alone the claim is then reserved; only with [`RevokeScope::All`].
    pub successor: Option<Successor>,
    /// Its name and fence.
    pub operation: Operation,
}

impl RevokeRequest {
    /// What the workspace remembers besides the operation's name: all that another one of that name could differ in.
    pub fn kind(&self) -> String {
        let scope = self.scope.as_str();
        match &self.successor {
            None => format!("revoke:{scope}"),
            Some(successor) => format!("revoke:{scope}:{}", successor.hash.as_str()),
        }
    }
}

/// What becomes of a revoke that is not refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RevokeDecision {
    /// End what is in scope. Also when nothing is live: the epoch moves, so that a claim that is already on its way
    /// cannot land after the answer.
    Revoke {
        /// How many tokens the write ends. A seal counts 0.
        ended: usize,
    },
    /// The operation is the one remembered: nothing is written.
    AlreadyDone(Revoked),
}

/// A revoke that was made.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Revoked {
    /// How many tokens this call's write ended.
    pub ended: usize,
    /// The epoch that the operation made.
    pub epoch: Epoch,
    /// Until when the claim is reserved for the successor that it named, in seconds since the Unix epoch. `None`
    /// without a successor, and once that has taken over or a claim has removed it.
    pub reserved_until: Option<i64>,
}

/// Whether an administrator's revoke is made, was made, or is refused.
///
/// # Errors
/// The [`Refusal`].
pub fn revoke(workspace: &Workspace, request: &RevokeRequest, now: Now) -> Result<RevokeDecision, Refusal> {
    not_removed(workspace)?;
    let successor = request.successor.as_ref().map(|named| &named.hash);
    if let Some(last) = remembered(workspace, &request.operation) {
        if last.kind != request.kind() {
            return Err(Refusal::OperationIdReused);
        }
        // The time that was asked for then, which may differ from the one asked for now.
        let reserved = workspace.successor.as_ref().filter(|stored| successor == Some(&stored.hash));
        let reserved_until = reserved.map(|stored| stored.expires);
        return Ok(RevokeDecision::AlreadyDone(Revoked { ended: 0, epoch: last.epoch, reserved_until }));
    }
    at_the_expected_epoch(workspace, &request.operation)?;
    if successor.is_some_and(|named| has_another_role(workspace, named, now)) {
        return Err(Refusal::SuccessorInUse);
    }
    Ok(RevokeDecision::Revoke { ended: live_tokens(workspace, request.scope) })
}

/// What the revoke came to, when it was made before. It was decided at the epoch `seen`, to end so many tokens.
///
/// # Errors
/// [`Refusal::EpochChanged`] when it was not.
pub fn revoked_before(
    found: &Workspace,
    request: &RevokeRequest,
    (seen, ended): (Epoch, usize),
    now: Now,
) -> Result<Revoked, Refusal> {
    match revoke(found, request, now) {
        // Another epoch is that of another call of the same name, which has told how many it ended.
        Ok(RevokeDecision::AlreadyDone(made)) if made.epoch == seen.next() => Ok(Revoked { ended, ..made }),
        Ok(RevokeDecision::AlreadyDone(made)) => Ok(made),
        Ok(RevokeDecision::Revoke { .. }) | Err(_) => Err(Refusal::EpochChanged),
    }
}

/// What becomes of a hand-over that is not refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum HandOverDecision {
    /// Name the successor. The owner keeps its token until the successor registers.
    HandOver,
    /// It was named before: nothing is written.
    AlreadyDone(HandOver),
}

/// How it stands with a hand-over that was made.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum HandOver {
    /// The successor may take over.
    Pending {
        /// The epoch that the flip proof counts from.
        epoch: Epoch,
        /// The second since the Unix epoch at which it expires.
        expires: i64,
    },
    /// It has expired without a take-over.
    Expired {
        /// The epoch that the operation made.
        epoch: Epoch,
        /// The second since the Unix epoch at which it expired; `None` when a claim has removed it since.
        expires: Option<i64>,
    },
    /// The successor owns the workspace.
    HandedOver {
        /// The epoch that the flip proof counts from.
        epoch: Epoch,
    },
}

/// Whether an administrator may name the successor.
///
/// # Errors
/// The [`Refusal`].
pub fn hand_over(
    workspace: &Workspace,
    successor: &TokenHash,
    operation: &Operation,
    now: Now,
) -> Result<HandOverDecision, Refusal> {
    not_removed(workspace)?;
    let last = remembered(workspace, operation);
    if last.is_some_and(|last| last.kind != hand_over_kind(successor)) {
        return Err(Refusal::OperationIdReused);
    }
    let made = last.map(|last| last.epoch);
    if let Some(owner) = workspace.owner.as_ref().filter(|_| workspace.is_owner(successor)) {
        // The proof asks for an owner that is newer than this epoch.
        let epoch = made.unwrap_or(owner.epoch.previous());
        return Ok(HandOverDecision::AlreadyDone(HandOver::HandedOver { epoch }));
    }
    let named = workspace.successor.as_ref().filter(|named| named.hash == *successor);
    match (named, made) {
        (Some(named), _) if named.is_pending(now) => {
            let epoch = made.unwrap_or(workspace.epoch);
            Ok(HandOverDecision::AlreadyDone(HandOver::Pending { epoch, expires: named.expires }))
        }
        (_, Some(epoch)) => {
            let expires = named.map(|named| named.expires);
            Ok(HandOverDecision::AlreadyDone(HandOver::Expired { epoch, expires }))
        }
        _ => {
            at_the_expected_epoch(workspace, operation)?;
            if workspace.has_role(successor, now) {
                return Err(Refusal::SuccessorInUse);
            }
            Ok(HandOverDecision::HandOver)
        }
    }
}

/// How it stands with the hand-over, when it was made before.
///
/// # Errors
/// [`Refusal::EpochChanged`] when it was not, and what [`hand_over`] refuses.
pub fn handed_over_before(
    found: &Workspace,
    successor: &TokenHash,
    operation: &Operation,
    now: Now,
) -> Result<HandOver, Refusal> {
    // The same successor may be pending by another operation.
    remembered(found, operation).ok_or(Refusal::EpochChanged)?;
    match hand_over(found, successor, operation, now)? {
        HandOverDecision::AlreadyDone(made) => Ok(made),
        HandOverDecision::HandOver => Err(Refusal::EpochChanged),
    }
}

/// What becomes of the cancelling of a hand-over that is not refused.
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
}

/// Whether an administrator's cancelling of a hand-over is made, was made, or is refused.
///
/// # Errors
/// The [`Refusal`].
pub fn cancel_hand_over(workspace: &Workspace, operation: &Operation) -> Result<CancelDecision, Refusal> {
    not_removed(workspace)?;
    match remembered(workspace, operation) {
        Some(last) if last.kind == CANCEL => Ok(CancelDecision::AlreadyDone { epoch: last.epoch }),
        Some(_) => Err(Refusal::OperationIdReused),
        None => at_the_expected_epoch(workspace, operation).map(|()| CancelDecision::Cancel),
    }
}

/// The epoch that the cancelling made, when it was made before.
///
/// # Errors
/// [`Refusal::EpochChanged`] when it was not.
pub fn cancelled_before(found: &Workspace, operation: &Operation) -> Result<Epoch, Refusal> {
    match cancel_hand_over(found, operation) {
        Ok(CancelDecision::AlreadyDone { epoch }) => Ok(epoch),
        Ok(CancelDecision::Cancel) | Err(_) => Err(Refusal::EpochChanged),
    }
}

/// What the workspace remembers of a hand-over besides its name.
pub(crate) fn hand_over_kind(successor: &TokenHash) -> String {
    format!("hand_over:{}", successor.as_str())
}

/// What the workspace remembers of a hand-over's cancelling besides its name.
pub(crate) const CANCEL: &str = "cancel_hand_over";

fn not_removed(workspace: &Workspace) -> Result<(), Refusal> {
    if workspace.status == Status::Removed { Err(Refusal::Removed) } else { Ok(()) }
}

/// The operation of this name, when it is the one that the workspace remembers.
fn remembered<'a>(workspace: &'a Workspace, operation: &Operation) -> Option<&'a LastOperation> {
    workspace.last_operation.as_ref().filter(|last| last.id == operation.id.as_str())
}

fn at_the_expected_epoch(workspace: &Workspace, operation: &Operation) -> Result<(), Refusal> {
    match operation.expected_epoch {
        Some(expected) if expected != workspace.epoch => Err(Refusal::EpochChanged),
        _ => Ok(()),
    }
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

//! What a write changes, as a value. A decision makes it; the table turns it into one UpdateItem.

use crate::id::CommandId;
use crate::time::Timestamp;
use crate::token::{TokenHash, TokenPrefix};
use crate::workspace::{
    ApiToken, CommandKind, Epoch, LastCommand, Owner, OwnerHash, RegisteredBy, Registration, Successor,
    Workspace,
};

/// One write to one workspace. It takes effect only if the epoch is still the one that the decision saw.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Write {
    seen: Epoch,
    epoch: Epoch,
    changes: Vec<Change>,
}

/// One change to a workspace.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Change {
    /// The agent's URL and card become these, and the workspace is online.
    Register {
        /// What the agent says about itself.
        registration: Registration,
        /// Whose token it presented.
        by: RegisteredBy,
        /// When.
        at: Timestamp,
    },
    /// This is the owner from now on.
    SetOwner(Owner),
    /// There is no owner any more: the door is open.
    ClearOwner,
    /// This token was the owner until now. No caller may choose it again.
    SetPreviousOwner(TokenHash),
    /// This token may take over.
    SetSuccessor(Successor),
    /// No hand-over is pending any more.
    ClearSuccessor,
    /// One more API token.
    AddApiToken(TokenHash, ApiToken),
    /// This API token ends, or is gone because it has expired.
    RemoveApiToken(TokenHash),
    /// No API token is live any more.
    ClearApiTokens,
    /// Tokens were revoked.
    SetRevokedAt(Timestamp),
    /// This is the last command.
    SetLastCommand(LastCommand),
    /// The workspace is removed for good. What stays is a tombstone: its id, name, parent and times.
    Remove,
}

impl Write {
    /// A write that changes who may do what. It advances the epoch, so that nothing else that was decided on the same
    /// state can land after it, however late it arrives.
    pub fn advancing(seen: &Workspace) -> Self {
        Self { seen: seen.epoch, epoch: seen.epoch.next(), changes: Vec::new() }
    }

    /// A write that changes nothing about who may do what. It leaves the epoch.
    pub fn keeping_epoch(seen: &Workspace) -> Self {
        Self { seen: seen.epoch, epoch: seen.epoch, changes: Vec::new() }
    }

    /// The epoch that the decision saw, on whose condition the write is made.
    pub fn seen(&self) -> Epoch {
        self.seen
    }

    /// The workspace's epoch after the write.
    pub fn epoch(&self) -> Epoch {
        self.epoch
    }

    /// What changes. No two changes touch the same attribute, or the same API token.
    pub fn changes(&self) -> &[Change] {
        &self.changes
    }

    /// Sets the agent's URL and card.
    pub fn register(mut self, registration: &Registration, by: RegisteredBy, at: Timestamp) -> Self {
        self.changes.push(Change::Register { registration: registration.clone(), by, at });
        self
    }

    /// Makes this token the owner. The owner before it ends, and so does a hand-over.
    pub fn new_owner(
        mut self,
        seen: &Workspace,
        hash: &TokenHash,
        prefix: Option<&TokenPrefix>,
        at: Timestamp,
    ) -> Self {
        let hash = OwnerHash::Token(hash.clone());
        let owner = Owner { hash, prefix: prefix.cloned(), minted_at: at, epoch: self.epoch };
        self.changes.push(Change::SetOwner(owner));
        self.remember_owner(seen).successor(None)
    }

    /// Ends the owner's token: the door is open, or reserved for the successor.
    pub fn no_owner(mut self, seen: &Workspace, successor: Option<&Successor>) -> Self {
        self.changes.push(Change::ClearOwner);
        self.remember_owner(seen).successor(successor)
    }

    /// Sets who may take over, or that nobody may.
    pub fn successor(mut self, successor: Option<&Successor>) -> Self {
        self.changes
            .push(successor.map_or(Change::ClearSuccessor, |named| Change::SetSuccessor(named.clone())));
        self
    }

    /// Adds an API token, and removes those that have expired.
    pub fn api_token(mut self, seen: &Workspace, hash: &TokenHash, token: ApiToken) -> Self {
        let is_expired = |(of, old): &(&TokenHash, &ApiToken)| !old.is_live(token.minted_at) && *of != hash;
        let expired = seen.api_tokens.iter().filter(is_expired);
        self.changes.extend(expired.map(|(hash, _)| Change::RemoveApiToken(hash.clone())));
        self.changes.push(Change::AddApiToken(hash.clone(), token));
        self
    }

    /// Ends these API tokens.
    pub fn no_api_token<'a>(mut self, hashes: impl IntoIterator<Item = &'a TokenHash>) -> Self {
        self.changes.extend(hashes.into_iter().cloned().map(Change::RemoveApiToken));
        self
    }

    /// Ends all API tokens.
    pub fn no_api_tokens(mut self) -> Self {
        self.changes.push(Change::ClearApiTokens);
        self
    }

    /// Notes when tokens were revoked.
    pub fn revoked_at(mut self, at: Timestamp) -> Self {
        self.changes.push(Change::SetRevokedAt(at));
        self
    }

    /// Remembers the command, so that repeating it has one effect.
    pub fn command(mut self, id: &CommandId, kind: CommandKind) -> Self {
        let last = LastCommand { id: id.clone(), kind, epoch: self.epoch };
        self.changes.push(Change::SetLastCommand(last));
        self
    }

    /// Removes the workspace for good: every token, hand-over, URL and card goes.
    pub fn remove(mut self) -> Self {
        self.changes.push(Change::Remove);
        self
    }

    /// A seal is no token: there is nothing to remember.
    fn remember_owner(mut self, seen: &Workspace) -> Self {
        self.changes.extend(seen.owner_token().cloned().map(Change::SetPreviousOwner));
        self
    }
}

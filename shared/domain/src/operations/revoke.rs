//! Revoke: ends all live tokens in a scope, so that a container that has none can claim the workspace again, or reserves
//! the claim for a named successor.

use crate::operations::command::Command;
use crate::protocol::{Decision, Operation, OperationError, Refusal, WhenOvertaken};
use crate::time::Timestamp;
use crate::token::TokenHash;
use crate::workspace::{CommandKind, Epoch, RevokeScope, Successor, Workspace};
use crate::write::Write;

/// A command to revoke.
#[derive(Debug)]
pub struct Revoke {
    /// Its id and expected epoch.
    pub command: Command,
    /// Which tokens end.
    pub scope: RevokeScope,
    /// The only one who may claim afterwards. Goes with [`RevokeScope::All`] alone.
    pub successor: Option<Successor>,
    /// The time of the call.
    pub now: Timestamp,
}

/// A revoke that took effect.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Revoked {
    /// How many tokens this call ended. A seal counts 0.
    pub ended: usize,
    /// The epoch that the command made; `None` when there is no such workspace.
    pub epoch: Option<Epoch>,
    /// Until when the claim is reserved for the successor. `None` without a successor, or after it took over or a claim
    /// removed it.
    pub reserved_until: Option<Timestamp>,
}

impl Operation for Revoke {
    type Answer = Revoked;

    /// Writes even when nothing is live: the epoch advances, so that a claim that is already on its way cannot land after
    /// the answer.
    fn decide(&self, workspace: &Workspace) -> Result<Decision<Revoked>, OperationError> {
        let successor = self.successor_hash();
        if let Some(last) = self.command.remembered(workspace) {
            if last.kind != self.kind() {
                return Err(Refusal::CommandIdReused.into());
            }
            // The stored expiry, which may differ from the one that this call asks for.
            let reserved = workspace.successor.as_ref().filter(|stored| successor == Some(&stored.hash));
            let reserved_until = reserved.map(|stored| stored.expires);
            return Ok(Decision::AlreadyDone(Revoked { ended: 0, epoch: Some(last.epoch), reserved_until }));
        }
        self.command.check_epoch(workspace)?;
        let is_used = |hash: &TokenHash| {
            workspace.is_known(hash, self.now) && !workspace.is_pending_successor(hash, self.now)
        };
        if successor.is_some_and(is_used) {
            return Err(Refusal::HashInUse.into());
        }
        let mut write = Write::advancing(workspace);
        let mut ended = 0_usize;
        if self.scope.ends_owner() {
            write = write.no_owner(workspace, self.successor.as_ref());
            ended = ended.saturating_add(workspace.owner_token().iter().count());
        }
        if self.scope.ends_api_tokens() {
            write = write.no_api_tokens();
            ended = ended.saturating_add(workspace.live_api_tokens(self.now).count());
        }
        let write = write.revoked_at(self.now).command(&self.command.id, self.kind());
        let reserved_until = self.successor.as_ref().map(|named| named.expires);
        let answer = Revoked { ended, epoch: Some(write.epoch()), reserved_until };
        Ok(Decision::Write(write, answer))
    }

    fn already_applied(&self, found: &Workspace, answer: Revoked) -> Option<Revoked> {
        match self.decide(found) {
            // At another epoch, another call of the same id made it, and has answered how many tokens it ended.
            Ok(Decision::AlreadyDone(made)) if made.epoch == answer.epoch => {
                Some(Revoked { ended: answer.ended, ..made })
            }
            Ok(Decision::AlreadyDone(made)) => Some(made),
            Ok(Decision::Write(..)) | Err(_) => None,
        }
    }

    fn when_overtaken(&self) -> WhenOvertaken {
        WhenOvertaken::GiveUp
    }

    /// A workspace that does not exist has no live token.
    fn when_absent(&self) -> Result<Revoked, OperationError> {
        Ok(Revoked { ended: 0, epoch: None, reserved_until: None })
    }
}

impl Revoke {
    fn successor_hash(&self) -> Option<&TokenHash> {
        self.successor.as_ref().map(|named| &named.hash)
    }

    fn kind(&self) -> CommandKind {
        CommandKind::Revoke { scope: self.scope, successor: self.successor_hash().cloned() }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fixtures::*;
    use crate::workspace::LastCommand;
    use crate::write::Change;

    fn revoke(scope: RevokeScope, id: &str, expected_epoch: Option<u64>) -> Revoke {
        Revoke { command: command(id, expected_epoch), scope, successor: None, now: now() }
    }

    fn naming(word: &str, id: &str) -> Revoke {
        Revoke { successor: Some(successor(word, NOW + 99)), ..revoke(RevokeScope::All, id, None) }
    }

    /// How many tokens a write ends, or the earlier result when there is nothing to write. Checks that the write fits.
    fn revoked(call: &Revoke, workspace: &Workspace) -> Result<Result<usize, Revoked>, Refusal> {
        let (write, answer) = decide(call, workspace)?;
        let Some(write) = write else { return Ok(Err(answer)) };
        let (epoch, reserved_until) =
            (Some(write.epoch()), call.successor.as_ref().map(|named| named.expires));
        assert_eq!(answer, Revoked { ended: answer.ended, epoch, reserved_until });
        assert_eq!(write.epoch(), workspace.epoch.next());
        let (owner, api) = (call.scope.ends_owner(), call.scope.ends_api_tokens());
        assert_eq!(changes(&write, &Change::ClearOwner), owner);
        let ended = workspace.owner_token().filter(|_| owner).cloned();
        assert!(ended.is_none_or(|hash| changes(&write, &Change::SetPreviousOwner(hash))), "{write:?}");
        let clears_successor = owner && call.successor.is_none();
        assert_eq!(changes(&write, &Change::ClearSuccessor), clears_successor);
        let named = call.successor.clone().map(Change::SetSuccessor);
        assert!(named.is_none_or(|change| changes(&write, &change)), "{write:?}");
        assert_eq!(changes(&write, &Change::ClearApiTokens), api);
        assert!(changes(&write, &Change::SetRevokedAt(now())));
        let last = LastCommand { id: call.command.id.clone(), kind: call.kind(), epoch: write.epoch() };
        assert!(changes(&write, &Change::SetLastCommand(last)));
        Ok(Ok(answer.ended))
    }

    /// What `op` answers when it is repeated: it made epoch 5.
    fn earlier(ended: usize, reserved_until: Option<i64>) -> Revoked {
        Revoked { ended, epoch: Some(Epoch(5)), reserved_until: reserved_until.map(at) }
    }

    #[test]
    fn the_revoke_table() {
        let decide = |workspace: &Workspace, scope, id, epoch| revoked(&revoke(scope, id, epoch), workspace);
        let (all, owner, api) = (RevokeScope::All, RevokeScope::Owner, RevokeScope::Api);
        assert_eq!(decide(&owned(), all, "op", Some(1)), Ok(Err(earlier(0, None))));
        assert_eq!(decide(&owned(), api, "op", None), Err(Refusal::CommandIdReused));
        assert_eq!(decide(&owned(), all, "new", Some(6)), Err(Refusal::EpochChanged));
        assert_eq!(decide(&owned(), all, "new", Some(7)), Ok(Ok(2)));
        assert_eq!(decide(&owned(), owner, "new", None), Ok(Ok(1)));
        assert_eq!(decide(&owned(), api, "new", None), Ok(Ok(1)));
        assert_eq!(decide(&open(), all, "new", None), Ok(Ok(1)));
        assert_eq!(decide(&open(), owner, "new", None), Ok(Ok(0)), "written all the same");
        assert_eq!(decide(&sealed(), owner, "new", None), Ok(Ok(0)), "a seal is no token");
        assert_eq!(decide(&pending(owned()), api, "new", None), Ok(Ok(1)));
    }

    #[test]
    fn the_table_of_a_revoke_with_a_successor() {
        let pending = pending(owned());
        let kind = naming("successor", "op").kind();
        assert_eq!(revoked(&naming("new", "new"), &owned()), Ok(Ok(2)));
        assert_eq!(revoked(&naming("successor", "new"), &pending), Ok(Ok(2)), "the pending one may stay");
        assert_eq!(revoked(&naming("another", "new"), &pending), Ok(Ok(2)));
        for word in ["owner", "api", "previous"] {
            assert_eq!(revoked(&naming(word, "new"), &owned()), Err(Refusal::HashInUse), "{word}");
        }
        assert_eq!(revoked(&naming("new", "op"), &owned()), Err(Refusal::CommandIdReused), "it named nobody");
        let stored = earlier(0, Some(NOW + 1));
        assert_eq!(revoked(&naming("successor", "op"), &after(pending, kind.clone())), Ok(Err(stored)));
        let gone = after(owned(), kind.clone());
        assert_eq!(revoked(&naming("successor", "op"), &gone), Ok(Err(earlier(0, None))));
        assert_eq!(revoked(&naming("another", "op"), &gone), Err(Refusal::CommandIdReused));
    }

    #[test]
    fn g6_a_revoke_recognises_its_own_write() {
        let recognised = |found: &Workspace, call: &Revoke, seen: u64| {
            // The same call, decided at this epoch with two live tokens.
            let answer = Revoked { ended: 2, epoch: Some(Epoch(seen).next()), reserved_until: None };
            call.already_applied(found, answer)
        };
        let (own, other) = (revoke(RevokeScope::All, "op", None), revoke(RevokeScope::All, "new", None));
        assert_eq!(recognised(&open(), &own, 4), Some(earlier(2, None)));
        assert_eq!(recognised(&open(), &own, 3), Some(earlier(0, None)), "another call of this id made it");
        assert_eq!(recognised(&open(), &other, 4), None);
        assert_eq!(recognised(&open(), &revoke(RevokeScope::Api, "op", None), 4), None, "another command");
        let named = naming("successor", "op");
        let reserved = after(pending(owned()), named.kind());
        assert_eq!(recognised(&reserved, &named, 4), Some(earlier(2, Some(NOW + 1))), "the stored expiry");
        let taken_over = after(owned(), named.kind());
        assert_eq!(
            recognised(&taken_over, &named, 4),
            Some(earlier(2, None)),
            "nothing is reserved any more"
        );
    }

    #[test]
    fn g5_a_revoke_of_nothing_ends_nothing() {
        let call = revoke(RevokeScope::All, "new", Some(3));
        assert_eq!(call.when_absent(), Ok(Revoked { ended: 0, epoch: None, reserved_until: None }));
        assert_eq!(call.when_overtaken(), WhenOvertaken::GiveUp);
    }
}

//! Hand over: names the token that may take over. The owner keeps its token until the successor registers.

use crate::operations::command::Command;
use crate::protocol::{Decision, Operation, OperationError, Refusal, WhenOvertaken};
use crate::time::Timestamp;
use crate::workspace::{CommandKind, Epoch, NamedBy, Successor, Workspace};
use crate::write::Write;

/// A command to hand over.
#[derive(Debug)]
pub struct HandOver {
    /// Its id and expected epoch.
    pub command: Command,
    /// Who may take over.
    pub successor: Successor,
    /// The time of the call.
    pub now: Timestamp,
}

/// State of a recorded hand-over.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum HandOverState {
    /// The successor may take over.
    Pending {
        /// The epoch that the flip proof counts from.
        epoch: Epoch,
        /// When it expires.
        expires: Timestamp,
    },
    /// It expired without a take-over.
    Expired {
        /// The epoch that the command made.
        epoch: Epoch,
        /// When it expired; `None` when a claim has removed it since.
        expires: Option<Timestamp>,
    },
    /// The successor owns the workspace.
    HandedOver {
        /// The epoch that the flip proof counts from.
        epoch: Epoch,
    },
}

impl Operation for HandOver {
    type Answer = HandOverState;

    fn decide(&self, workspace: &Workspace) -> Result<Decision<HandOverState>, OperationError> {
        let successor = &self.successor.hash;
        let last = self.command.remembered(workspace);
        if last.is_some_and(|last| last.kind != self.kind()) {
            return Err(Refusal::CommandIdReused.into());
        }
        let made = last.map(|last| last.epoch);
        if let Some(owner) = workspace.owner.as_ref().filter(|_| workspace.is_owner(successor)) {
            // The proof requires an owner that is newer than this epoch.
            let epoch = made.unwrap_or(owner.epoch.previous());
            return Ok(Decision::AlreadyDone(HandOverState::HandedOver { epoch }));
        }
        let named = workspace.successor.as_ref();
        let named = named.filter(|named| named.hash == *successor && named.named_by == NamedBy::Operator);
        match (named, made) {
            (Some(named), _) if named.is_pending(self.now) => {
                let epoch = made.unwrap_or(workspace.epoch);
                Ok(Decision::AlreadyDone(HandOverState::Pending { epoch, expires: named.expires }))
            }
            (_, Some(epoch)) => {
                let expires = named.map(|named| named.expires);
                Ok(Decision::AlreadyDone(HandOverState::Expired { epoch, expires }))
            }
            _ => self.name_successor(workspace),
        }
    }

    fn already_applied(&self, found: &Workspace, _answer: HandOverState) -> Option<HandOverState> {
        // The same successor may be pending because of another command.
        self.command.remembered(found)?;
        match self.decide(found) {
            Ok(Decision::AlreadyDone(state)) => Some(state),
            Ok(Decision::Write(..)) | Err(_) => None,
        }
    }

    fn when_overtaken(&self) -> WhenOvertaken {
        WhenOvertaken::GiveUp
    }
}

impl HandOver {
    fn name_successor(&self, workspace: &Workspace) -> Result<Decision<HandOverState>, OperationError> {
        self.command.check_epoch(workspace)?;
        if workspace.is_known(&self.successor.hash, self.now) {
            return Err(Refusal::HashInUse.into());
        }
        let write = Write::advancing(workspace).successor(Some(&self.successor));
        let write = write.command(&self.command.id, self.kind());
        let answer = HandOverState::Pending { epoch: write.epoch(), expires: self.successor.expires };
        Ok(Decision::Write(write, answer))
    }

    fn kind(&self) -> CommandKind {
        CommandKind::HandOver { successor: self.successor.hash.clone() }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fixtures::*;
    use crate::workspace::{LastCommand, OwnerHash};
    use crate::write::Change;

    fn hand_over(word: &str, id: &str, expected_epoch: Option<u64>) -> HandOver {
        HandOver { command: command(id, expected_epoch), successor: successor(word, NOW + 99), now: now() }
    }

    fn kind(word: &str) -> CommandKind {
        CommandKind::HandOver { successor: hash(word) }
    }

    /// `None` when a successor is named anew, or the earlier hand-over's state. Checks that the write fits.
    fn handed_over(call: &HandOver, workspace: &Workspace) -> Result<Option<HandOverState>, Refusal> {
        let (write, answer) = decide(call, workspace)?;
        let Some(write) = write else { return Ok(Some(answer)) };
        assert_eq!(answer, HandOverState::Pending { epoch: write.epoch(), expires: call.successor.expires });
        assert_eq!(write.epoch(), workspace.epoch.next());
        let last = LastCommand { id: call.command.id.clone(), kind: call.kind(), epoch: write.epoch() };
        let expected = [Change::SetSuccessor(call.successor.clone()), Change::SetLastCommand(last)];
        assert_eq!(write.changes(), expected, "the owner stays");
        Ok(None)
    }

    #[test]
    fn g14_the_hand_over_table() {
        use HandOverState::{Expired, HandedOver, Pending};
        let decide =
            |workspace: &Workspace, word, id, epoch| handed_over(&hand_over(word, id, epoch), workspace);
        let (pending, expired) = (pending(owned()), expired(owned()));
        for workspace in [&open(), &owned(), &sealed(), &pending, &expired] {
            assert_eq!(decide(workspace, "new", "new", None), Ok(None));
            assert_eq!(decide(workspace, "new", "new", Some(7)), Ok(None));
            assert_eq!(decide(workspace, "new", "new", Some(6)), Err(Refusal::EpochChanged));
            for word in ["api", "previous"] {
                assert_eq!(decide(workspace, word, "new", None), Err(Refusal::HashInUse));
            }
        }
        let expires = at(NOW + 1);
        let of_another = Pending { epoch: Epoch(7), expires };
        assert_eq!(decide(&pending, "successor", "new", None), Ok(Some(of_another)));
        assert_eq!(decide(&expired, "successor", "new", None), Ok(None), "as if never made");
        assert_eq!(decide(&owned(), "owner", "new", None), Ok(Some(HandedOver { epoch: Epoch(6) })));
        // The same command again, which expects an epoch that is long gone.
        let again =
            |workspace: Workspace, word| decide(&after(workspace, kind("successor")), word, "op", Some(1));
        let epoch = Epoch(5);
        assert_eq!(again(pending.clone(), "successor"), Ok(Some(Pending { epoch, expires })));
        assert_eq!(again(expired, "successor"), Ok(Some(Expired { epoch, expires: Some(now()) })));
        assert_eq!(again(owned(), "successor"), Ok(Some(Expired { epoch, expires: None })));
        let taken_over = owned_by(OwnerHash::Token(hash("successor")));
        assert_eq!(again(taken_over, "successor"), Ok(Some(HandedOver { epoch })));
        assert_eq!(again(pending.clone(), "another"), Err(Refusal::CommandIdReused));
        assert_eq!(decide(&pending, "successor", "op", None), Err(Refusal::CommandIdReused), "a revoke's id");
    }

    #[test]
    fn g6_a_hand_over_recognises_its_own_write() {
        let would_answer = HandOverState::Pending { epoch: Epoch(9), expires: at(NOW + 99) };
        let recognised =
            |found: &Workspace, id| hand_over("successor", id, None).already_applied(found, would_answer);
        let made = after(pending(owned()), kind("successor"));
        let state = HandOverState::Pending { epoch: Epoch(5), expires: at(NOW + 1) };
        assert_eq!(recognised(&made, "op"), Some(state), "the stored expiry");
        assert_eq!(recognised(&made, "new"), None, "the same successor, named by another command");
        assert_eq!(recognised(&owned(), "new"), None);
        assert_eq!(recognised(&owned(), "op"), None, "a revoke of that id");
        assert_eq!(hand_over("new", "new", None).when_overtaken(), WhenOvertaken::GiveUp);
    }
}

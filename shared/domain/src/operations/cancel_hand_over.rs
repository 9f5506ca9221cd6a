//! Cancel: ends a pending hand-over. The owner stays the owner.

use crate::operations::command::Command;
use crate::protocol::{Decision, Operation, OperationError, Refusal, WhenOvertaken};
use crate::workspace::{CommandKind, Epoch, Workspace};
use crate::write::Write;

/// A command to cancel a hand-over.
#[derive(Debug)]
pub struct CancelHandOver {
    /// Its id and expected epoch.
    pub command: Command,
}

/// No hand-over is pending.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Cancelled {
    /// The epoch that the command made.
    pub epoch: Epoch,
}

impl Operation for CancelHandOver {
    type Answer = Cancelled;

    /// Writes even when no hand-over is pending: the epoch advances, so that no hand-over and no take-over that is already
    /// on its way can land after the answer.
    fn decide(&self, workspace: &Workspace) -> Result<Decision<Cancelled>, OperationError> {
        match self.command.remembered(workspace) {
            Some(last) if last.kind == CommandKind::CancelHandOver => {
                Ok(Decision::AlreadyDone(Cancelled { epoch: last.epoch }))
            }
            Some(_) => Err(Refusal::CommandIdReused.into()),
            None => {
                self.command.check_epoch(workspace)?;
                let write = Write::advancing(workspace).successor(None);
                let write = write.command(&self.command.id, CommandKind::CancelHandOver);
                let answer = Cancelled { epoch: write.epoch() };
                Ok(Decision::Write(write, answer))
            }
        }
    }

    fn already_applied(&self, found: &Workspace, _answer: Cancelled) -> Option<Cancelled> {
        match self.decide(found) {
            Ok(Decision::AlreadyDone(made)) => Some(made),
            Ok(Decision::Write(..)) | Err(_) => None,
        }
    }

    fn when_overtaken(&self) -> WhenOvertaken {
        WhenOvertaken::GiveUp
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fixtures::*;
    use crate::workspace::LastCommand;
    use crate::write::Change;

    fn cancel(id: &str, expected_epoch: Option<u64>) -> CancelHandOver {
        CancelHandOver { command: command(id, expected_epoch) }
    }

    /// The epoch of an earlier cancel, or `None` when one is made now. Checks that the write fits.
    fn cancelled(
        workspace: &Workspace,
        id: &str,
        expected_epoch: Option<u64>,
    ) -> Result<Option<Epoch>, Refusal> {
        let call = cancel(id, expected_epoch);
        let (write, answer) = decide(&call, workspace)?;
        let Some(write) = write else { return Ok(Some(answer.epoch)) };
        assert_eq!((answer.epoch, write.epoch()), (write.epoch(), workspace.epoch.next()));
        let last =
            LastCommand { id: call.command.id, kind: CommandKind::CancelHandOver, epoch: write.epoch() };
        assert_eq!(write.changes(), [Change::ClearSuccessor, Change::SetLastCommand(last)]);
        Ok(None)
    }

    #[test]
    fn g15_the_cancel_table() {
        let pending = pending(owned());
        assert_eq!(cancelled(&pending, "new", Some(6)), Err(Refusal::EpochChanged));
        assert_eq!(cancelled(&pending, "new", Some(7)), Ok(None));
        assert_eq!(cancelled(&expired(owned()), "new", None), Ok(None), "a take-over may be on its way");
        assert_eq!(cancelled(&owned(), "new", None), Ok(None), "a hand-over may be on its way");
        assert_eq!(cancelled(&pending, "op", None), Err(Refusal::CommandIdReused));
        let repeated = after(owned(), CommandKind::CancelHandOver);
        assert_eq!(cancelled(&repeated, "op", Some(1)), Ok(Some(Epoch(5))));
    }

    #[test]
    fn g6_a_cancel_recognises_its_own_write() {
        let recognised =
            |found: &Workspace, id| cancel(id, None).already_applied(found, Cancelled { epoch: Epoch(9) });
        let found = after(owned(), CommandKind::CancelHandOver);
        assert_eq!(recognised(&found, "op"), Some(Cancelled { epoch: Epoch(5) }));
        assert_eq!(recognised(&found, "new"), None);
        assert_eq!(recognised(&pending(owned()), "op"), None, "a revoke of that id");
        assert_eq!(cancel("new", None).when_overtaken(), WhenOvertaken::GiveUp);
    }
}

//! Remove: ends a workspace for good. Its tombstone keeps the id taken, so that a late write can never bring it back.

use crate::protocol::{Decision, Operation, OperationError, Refusal, WhenOvertaken};
use crate::workspace::{Epoch, Tombstone, Workspace};
use crate::write::Write;

/// A command to remove a workspace. It needs no command id: a workspace is removed once.
#[derive(Clone, Copy, Debug)]
pub struct Remove {
    /// The epoch that the caller believes the workspace is at.
    pub expected_epoch: Option<Epoch>,
}

/// The workspace is removed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Removed {
    /// The epoch that the removal made.
    pub epoch: Epoch,
}

impl Operation for Remove {
    type Answer = Removed;

    fn decide(&self, workspace: &Workspace) -> Result<Decision<Removed>, OperationError> {
        if self.expected_epoch.is_some_and(|expected| expected != workspace.epoch) {
            return Err(Refusal::EpochChanged.into());
        }
        let write = Write::advancing(workspace).remove();
        let answer = Removed { epoch: write.epoch() };
        Ok(Decision::Write(write, answer))
    }

    /// A workspace that still exists was not removed.
    fn already_applied(&self, _found: &Workspace, _answer: Removed) -> Option<Removed> {
        None
    }

    /// A caller that expects no epoch wants the workspace removed whatever its state.
    fn when_overtaken(&self) -> WhenOvertaken {
        if self.expected_epoch.is_some() { WhenOvertaken::GiveUp } else { WhenOvertaken::TryAgain }
    }

    fn when_removed(&self, tombstone: &Tombstone) -> Result<Removed, OperationError> {
        Ok(Removed { epoch: tombstone.epoch })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fixtures::owned;
    use crate::protocol::{Step, start};
    use crate::workspace::Stored;

    fn stored() -> Stored {
        Stored::Workspace(Box::new(owned()))
    }

    fn tombstone(epoch: Epoch) -> Stored {
        Stored::Tombstone(Tombstone { id: owned().id, epoch })
    }

    #[test]
    fn g10_a_removal_is_one_write_and_repeats_as_itself() {
        let remove = Remove { expected_epoch: None };
        let Ok(Step::Write(attempt)) = start(&remove, Some(&stored())) else { panic!("no write") };
        let epoch = owned().epoch.next();
        assert_eq!((attempt.write().seen(), attempt.write().epoch()), (owned().epoch, epoch));
        // Its reply was lost, and the SDK's retry finds the tombstone.
        let retried = attempt.condition_failed(&remove, Some(&tombstone(epoch)));
        assert!(matches!(retried, Ok(Step::Done(Removed { epoch: found })) if found == epoch));
        let repeated = start(&Remove { expected_epoch: Some(Epoch(1)) }, Some(&tombstone(epoch)));
        assert!(matches!(repeated, Ok(Step::Done(Removed { epoch: found })) if found == epoch));
        assert!(matches!(start(&remove, None), Err(OperationError::Refused(Refusal::NotFound))));
    }

    #[test]
    fn a_removal_honours_the_expected_epoch() {
        let expecting = |epoch| Remove { expected_epoch: Some(epoch) };
        let refused = start(&expecting(owned().epoch.next()), Some(&stored()));
        assert!(matches!(refused, Err(OperationError::Refused(Refusal::EpochChanged))));
        let remove = expecting(owned().epoch);
        let Ok(Step::Write(attempt)) = start(&remove, Some(&stored())) else { panic!("no write") };
        let overtaken = attempt.condition_failed(&remove, Some(&stored()));
        assert!(matches!(overtaken, Err(OperationError::Refused(Refusal::EpochChanged))));
    }
}

//! The write protocol. Every write to an existing workspace follows it:
//!
//! 1. Read the workspace, consistently.
//! 2. Ask the operation, a pure function of what was read, what to do.
//! 3. Make at most one write, on the condition that the epoch is still the one that was read.
//! 4. If the condition fails, ask first: *did an earlier attempt of this call already write it?* The SDK retries a write
//!    whose reply was lost, and the retry then finds the epoch moved by its own first attempt.
//! 5. If it did not, somebody else changed the workspace. Where the operation allows it, decide once more on what was
//!    found and write once more. Otherwise the call ends. It never tries a third time.
//!
//! The steps are pure. [`start`] and [`Attempt::condition_failed`] take what the store answered and return the next
//! request or the outcome. `Store::run` drives them against DynamoDB; the model drives them in every order.

use crate::random::RandomUnavailable;
use crate::workspace::{Stored, Tombstone, Workspace};
use crate::write::Write;

/// Something that may change a workspace: what it decides, how it recognises its own write, and whether it may try again.
pub trait Operation {
    /// What a call that succeeds returns.
    type Answer;

    /// Decides, on the workspace as it was read. Pure, but for the tokens that it generates.
    ///
    /// # Errors
    /// [`OperationError`] when nothing is to be written.
    fn decide(&self, workspace: &Workspace) -> Result<Decision<Self::Answer>, OperationError>;

    /// After a failed condition: did an earlier attempt of this call already write it? `answer` is what the call would
    /// have answered. Returns the true answer if so.
    fn already_applied(&self, found: &Workspace, answer: Self::Answer) -> Option<Self::Answer>;

    /// What to do when somebody else changed the workspace during the call.
    fn when_overtaken(&self) -> WhenOvertaken;

    /// What to answer when there is no such workspace.
    ///
    /// # Errors
    /// [`Refusal::NotFound`] unless the operation says otherwise.
    fn when_absent(&self) -> Result<Self::Answer, OperationError> {
        Err(Refusal::NotFound.into())
    }

    /// What to answer when the workspace was removed.
    ///
    /// # Errors
    /// [`Refusal::Removed`] unless the operation says otherwise.
    fn when_removed(&self, _tombstone: &Tombstone) -> Result<Self::Answer, OperationError> {
        Err(Refusal::Removed.into())
    }
}

/// What an operation decides when it does not refuse.
#[derive(Debug)]
pub enum Decision<A> {
    /// Make this write, and answer this once it is made.
    Write(Write, A),
    /// The workspace is already as asked: write nothing, answer this.
    AlreadyDone(A),
}

/// What to do when somebody else changed the workspace between the read and the write.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum WhenOvertaken {
    /// Decide and write once more.
    TryAgain,
    /// Decide once more, but write nothing: a second write of the same caller-chosen token could not be told from a
    /// first one that is still on its way.
    DecideAgain,
    /// Give up with [`Refusal::EpochChanged`]: the administrator must look before deciding again.
    GiveUp,
}

/// Why an operation ends without an answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum OperationError {
    /// The rules forbid it. Nothing was written.
    #[error("refused: {0:?}")]
    Refused(Refusal),
    /// The workspace changed during every attempt. Nothing that this call wrote is in effect, and nothing will be. The caller may
    /// repeat.
    #[error("the workspace changed during the call")]
    Contended,
    /// No token could be generated. Nothing was written.
    #[error(transparent)]
    RandomUnavailable(#[from] RandomUnavailable),
}

impl From<Refusal> for OperationError {
    fn from(refusal: Refusal) -> Self {
        Self::Refused(refusal)
    }
}

/// Why the rules forbid an operation.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Refusal {
    /// There is no such workspace.
    NotFound,
    /// The workspace was removed for good.
    Removed,
    /// The door is closed and the caller presented no bearer.
    MissingToken,
    /// The bearer is not live.
    InvalidToken,
    /// The bearer is live, but may not do this.
    InsufficientScope,
    /// An operator's hand-over is pending, which an owner does not replace.
    HandOverPending,
    /// The bearer is the owner's, but only an operator may do this.
    OperatorOnly,
    /// The hash that the caller chose for a new token has or had a role in the workspace.
    HashInUse,
    /// The workspace has as many API tokens as it may have.
    TokenLimitReached,
    /// The workspace is not at the epoch that the caller expected, or changed during the call.
    EpochChanged,
    /// The command id is the last one's, and that command did something else.
    CommandIdReused,
}

/// What the call does next.
#[derive(Debug)]
pub enum Step<A> {
    /// Send this write.
    Write(Attempt<A>),
    /// Answer.
    Done(A),
}

/// A write that has been decided.
#[derive(Debug)]
pub struct Attempt<A> {
    write: Write,
    answer: A,
    is_last: bool,
}

/// Starts a call. `read` is what the store returned for the workspace's id.
///
/// # Errors
/// [`OperationError`] when the call ends here.
pub fn start<O: Operation>(operation: &O, read: Option<&Stored>) -> Result<Step<O::Answer>, OperationError> {
    decide(operation, read, false)
}

impl<A> Attempt<A> {
    /// The write to send.
    pub fn write(&self) -> &Write {
        &self.write
    }

    /// The answer, now that the store has made the write.
    pub fn succeeded(self) -> A {
        self.answer
    }

    /// Continues after the store found the condition false. `found` is the item that it returned.
    ///
    /// # Errors
    /// [`OperationError`] when the call ends here.
    pub fn condition_failed<O: Operation<Answer = A>>(
        self,
        operation: &O,
        found: Option<&Stored>,
    ) -> Result<Step<A>, OperationError> {
        match found {
            Some(Stored::Tombstone(tombstone)) => return operation.when_removed(tombstone).map(Step::Done),
            Some(Stored::Workspace(workspace)) => {
                if let Some(answer) = operation.already_applied(workspace, self.answer) {
                    return Ok(Step::Done(answer));
                }
            }
            None => {}
        }
        match (operation.when_overtaken(), self.is_last) {
            (WhenOvertaken::GiveUp, _) => Err(Refusal::EpochChanged.into()),
            (WhenOvertaken::TryAgain | WhenOvertaken::DecideAgain, true) => Err(OperationError::Contended),
            (WhenOvertaken::TryAgain, false) => decide(operation, found, true),
            (WhenOvertaken::DecideAgain, false) => match decide(operation, found, true)? {
                Step::Write(_) => Err(OperationError::Contended),
                Step::Done(answer) => Ok(Step::Done(answer)),
            },
        }
    }
}

fn decide<O: Operation>(
    operation: &O,
    stored: Option<&Stored>,
    is_last: bool,
) -> Result<Step<O::Answer>, OperationError> {
    match stored {
        None => operation.when_absent().map(Step::Done),
        Some(Stored::Tombstone(tombstone)) => operation.when_removed(tombstone).map(Step::Done),
        Some(Stored::Workspace(workspace)) => Ok(match operation.decide(workspace)? {
            Decision::Write(write, answer) => Step::Write(Attempt { write, answer, is_last }),
            Decision::AlreadyDone(answer) => Step::Done(answer),
        }),
    }
}

#[cfg(test)]
mod tests {
    use std::cell::Cell;

    use super::*;
    use crate::fixtures::{open, owned, stored};
    use crate::id::WorkspaceId;
    use crate::workspace::Epoch;

    /// An operation that answers the epoch its write makes. It writes until it has decided `refuses_after` times.
    struct Probe {
        when_overtaken: WhenOvertaken,
        /// The epoch at which it finds its own write.
        own: Option<Epoch>,
        refuses_after: usize,
        decided: Cell<usize>,
    }

    fn probe(when_overtaken: WhenOvertaken) -> Probe {
        Probe { when_overtaken, own: None, refuses_after: usize::MAX, decided: Cell::new(0) }
    }

    impl Operation for Probe {
        type Answer = Epoch;

        fn decide(&self, workspace: &Workspace) -> Result<Decision<Epoch>, OperationError> {
            if self.decided.get() >= self.refuses_after {
                return Err(Refusal::MissingToken.into());
            }
            self.decided.set(self.decided.get() + 1);
            let write = Write::advancing(workspace);
            let answer = write.epoch();
            Ok(Decision::Write(write, answer))
        }

        fn already_applied(&self, found: &Workspace, answer: Epoch) -> Option<Epoch> {
            (self.own == Some(found.epoch)).then_some(answer)
        }

        fn when_overtaken(&self) -> WhenOvertaken {
            self.when_overtaken
        }
    }

    /// The workspace at this epoch.
    fn at(epoch: u64) -> Stored {
        stored(Workspace { epoch: Epoch(epoch), ..open() })
    }

    fn tombstone() -> Stored {
        Stored::Tombstone(Tombstone { id: WorkspaceId::parse("w").unwrap(), epoch: Epoch(9) })
    }

    /// The write that comes next.
    fn attempt<A: std::fmt::Debug>(step: Result<Step<A>, OperationError>) -> Attempt<A> {
        match step {
            Ok(Step::Write(attempt)) => attempt,
            other => panic!("not a write: {other:?}"),
        }
    }

    /// How the call ends.
    fn end<A: std::fmt::Debug>(step: Result<Step<A>, OperationError>) -> Result<A, OperationError> {
        match step {
            Ok(Step::Done(answer)) => Ok(answer),
            Ok(Step::Write(attempt)) => panic!("writes instead: {attempt:?}"),
            Err(error) => Err(error),
        }
    }

    const EVERY: [WhenOvertaken; 3] =
        [WhenOvertaken::TryAgain, WhenOvertaken::DecideAgain, WhenOvertaken::GiveUp];

    #[test]
    fn a_write_is_fenced_by_what_was_read_and_answered_once_made() {
        for when_overtaken in EVERY {
            let first = attempt(start(&probe(when_overtaken), Some(&at(7))));
            assert_eq!((first.write().seen(), first.write().epoch()), (Epoch(7), Epoch(8)));
            assert_eq!(first.succeeded(), Epoch(8));
        }
    }

    #[test]
    fn g6_its_own_write_is_recognised_before_all_else() {
        for when_overtaken in EVERY {
            let call = Probe { own: Some(Epoch(9)), ..probe(when_overtaken) };
            let first = attempt(start(&call, Some(&at(7))));
            assert_eq!(end(first.condition_failed(&call, Some(&at(9)))), Ok(Epoch(8)), "{when_overtaken:?}");
            assert_eq!(call.decided.get(), 1);
        }
        // Also the second of two writes.
        let call = Probe { own: Some(Epoch(9)), ..probe(WhenOvertaken::TryAgain) };
        let first = attempt(start(&call, Some(&at(7))));
        let second = attempt(first.condition_failed(&call, Some(&at(8))));
        assert_eq!(end(second.condition_failed(&call, Some(&at(9)))), Ok(Epoch(9)));
    }

    #[test]
    fn a_call_writes_twice_at_most() {
        let call = probe(WhenOvertaken::TryAgain);
        let first = attempt(start(&call, Some(&at(7))));
        let second = attempt(first.condition_failed(&call, Some(&at(8))));
        assert_eq!(second.write().seen(), Epoch(8), "decided on what was found");
        assert_eq!(end(second.condition_failed(&call, Some(&at(9)))), Err(OperationError::Contended));
        assert_eq!(call.decided.get(), 2);
    }

    #[test]
    fn g4_a_chosen_token_is_never_written_twice() {
        let call = probe(WhenOvertaken::DecideAgain);
        let first = attempt(start(&call, Some(&at(7))));
        assert_eq!(end(first.condition_failed(&call, Some(&at(8)))), Err(OperationError::Contended));
        assert_eq!(call.decided.get(), 2);
        // What it decides without a write is told.
        let call = Probe { refuses_after: 1, ..probe(WhenOvertaken::DecideAgain) };
        let first = attempt(start(&call, Some(&at(7))));
        let refused = Err(Refusal::MissingToken.into());
        assert_eq!(end(first.condition_failed(&call, Some(&at(8)))), refused);
    }

    #[test]
    fn g6_an_overtaken_command_looks_again() {
        let call = probe(WhenOvertaken::GiveUp);
        for (found, refusal) in [
            (Some(at(8)), Refusal::EpochChanged),
            (None, Refusal::EpochChanged),
            (Some(tombstone()), Refusal::Removed),
        ] {
            let first = attempt(start(&call, Some(&at(7))));
            let ended = end(first.condition_failed(&call, found.as_ref()));
            assert_eq!(ended, Err(refusal.into()));
        }
        assert_eq!(call.decided.get(), 3, "never on what was found");
    }

    #[test]
    fn g10_what_is_absent_or_removed_is_not_decided_on() {
        for when_overtaken in EVERY {
            let call = probe(when_overtaken);
            assert_eq!(end(start(&call, None)), Err(Refusal::NotFound.into()));
            assert_eq!(end(start(&call, Some(&tombstone()))), Err(Refusal::Removed.into()));
            assert_eq!(call.decided.get(), 0);
        }
        for when_overtaken in [WhenOvertaken::TryAgain, WhenOvertaken::DecideAgain] {
            let call = probe(when_overtaken);
            for (found, refusal) in [(None, Refusal::NotFound), (Some(tombstone()), Refusal::Removed)] {
                let first = attempt(start(&call, Some(&at(7))));
                assert_eq!(end(first.condition_failed(&call, found.as_ref())), Err(refusal.into()));
            }
        }
    }

    #[test]
    fn a_refusal_ends_the_call_and_an_answer_needs_no_write() {
        let call = Probe { refuses_after: 0, ..probe(WhenOvertaken::TryAgain) };
        assert_eq!(end(start(&call, Some(&at(7)))), Err(Refusal::MissingToken.into()));

        struct Done;
        impl Operation for Done {
            type Answer = bool;
            fn decide(&self, workspace: &Workspace) -> Result<Decision<bool>, OperationError> {
                Ok(Decision::AlreadyDone(workspace.owner.is_some()))
            }
            fn already_applied(&self, _: &Workspace, answer: bool) -> Option<bool> {
                Some(answer)
            }
            fn when_overtaken(&self) -> WhenOvertaken {
                WhenOvertaken::GiveUp
            }
        }
        assert_eq!(end(start(&Done, Some(&stored(owned())))), Ok(true));
    }
}

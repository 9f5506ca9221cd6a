//! Heartbeat: an agent says that it is alive. It changes nothing, except that the token with which an owner rotates takes over.

use crate::protocol::{Decision, Operation, OperationError, WhenOvertaken};
use crate::time::Timestamp;
use crate::token::TokenHash;
use crate::workspace::{Epoch, NamedBy, Workspace};
use crate::write::Write;

/// A heartbeat.
#[derive(Debug)]
pub struct Heartbeat {
    /// The hash of the bearer that the caller presented.
    pub bearer: TokenHash,
    /// The time of the call.
    pub now: Timestamp,
}

/// A heartbeat that counts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Beat {
    /// The epoch that made the owner, with which the heartbeat is stamped.
    pub owner_epoch: Epoch,
    /// The workspace's epoch.
    pub epoch: Epoch,
    /// Whether the bearer has just become the owner.
    pub took_over: bool,
}

impl Operation for Heartbeat {
    type Answer = Beat;

    /// An operator's successor takes over by a registration alone: it is another container, with another URL.
    fn decide(&self, workspace: &Workspace) -> Result<Decision<Beat>, OperationError> {
        let successor = workspace.pending_successor(self.now);
        let next = successor.filter(|next| next.hash == self.bearer && next.named_by == NamedBy::Owner);
        if let Some(next) = next {
            let write = Write::advancing(workspace);
            let write = write.new_owner(workspace, &next.hash, next.prefix.as_ref(), self.now);
            let (owner_epoch, epoch) = (write.epoch(), write.epoch());
            return Ok(Decision::Write(write, Beat { owner_epoch, epoch, took_over: true }));
        }
        let owner_epoch = workspace.require_owner(&self.bearer, self.now)?.epoch;
        Ok(Decision::AlreadyDone(Beat { owner_epoch, epoch: workspace.epoch, took_over: false }))
    }

    /// Deciding again recognises the owner.
    fn already_applied(&self, _found: &Workspace, _answer: Beat) -> Option<Beat> {
        None
    }

    /// The function has one more write to make, and only so much time.
    fn when_overtaken(&self) -> WhenOvertaken {
        WhenOvertaken::DecideAgain
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fixtures::*;
    use crate::protocol::Refusal;
    use crate::workspace::Successor;

    fn beat(word: &str) -> Heartbeat {
        Heartbeat { bearer: hash(word), now: now() }
    }

    fn rotating() -> Workspace {
        Workspace {
            successor: Some(Successor { named_by: NamedBy::Owner, ..successor("next", NOW + 1) }),
            ..owned()
        }
    }

    #[test]
    fn g17_a_heartbeat_is_the_owners_alone() {
        let Workspace { epoch, owner, .. } = owned();
        let expected = Beat { owner_epoch: owner.unwrap().epoch, epoch, took_over: false };
        for workspace in [owned(), pending(owned()), rotating()] {
            assert_eq!(decide(&beat("owner"), &workspace), Ok((None, expected)));
            assert_eq!(decide(&beat("api"), &workspace), Err(Refusal::InsufficientScope));
        }
        for bearer in ["previous", "expired", "successor", "other"] {
            assert_eq!(decide(&beat(bearer), &pending(owned())), Err(Refusal::InvalidToken), "{bearer}");
            assert_eq!(decide(&beat(bearer), &open()), Err(Refusal::InvalidToken));
            assert_eq!(decide(&beat(bearer), &sealed()), Err(Refusal::InvalidToken));
        }
    }

    #[test]
    fn g22_the_next_token_takes_over_by_a_heartbeat() {
        let (write, answer) = decide(&beat("next"), &rotating()).unwrap();
        let write = write.unwrap();
        let epoch = owned().epoch.next();
        assert_eq!(answer, Beat { owner_epoch: epoch, epoch, took_over: true });
        assert_eq!(new_owner(&write).unwrap().hash.token(), Some(&hash("next")));
        let expired = Successor { named_by: NamedBy::Owner, ..successor("next", NOW) };
        let expired = Workspace { successor: Some(expired), ..owned() };
        assert_eq!(decide(&beat("next"), &expired), Err(Refusal::InvalidToken));
    }
}

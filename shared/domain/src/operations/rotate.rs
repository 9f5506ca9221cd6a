//! Rotate: an owner names its own next token. It is a hand-over to oneself: the old token lives until the next one is first used.

use crate::protocol::{Decision, Operation, OperationError, Refusal, WhenOvertaken};
use crate::random::Random;
use crate::time::Timestamp;
use crate::token::{IssuedToken, NewToken, TokenHash, TokenId};
use crate::workspace::{Epoch, NamedBy, Successor, Workspace};
use crate::write::Write;

/// For how long the next token may take over unless the caller says otherwise, in seconds.
pub const DEFAULT_EXPIRY_SECONDS: u32 = 600;

/// A request to rotate.
#[derive(Debug)]
pub struct Rotate {
    /// The hash of the bearer that the caller presented.
    pub bearer: TokenHash,
    /// The hash of a token that the caller generated itself.
    pub chosen: Option<TokenHash>,
    /// Until when the next token may take over.
    pub expires: Timestamp,
    /// The time of the call.
    pub now: Timestamp,
    /// Generates the next token unless the caller chose it.
    pub random: Random,
}

/// The next token may take over.
pub struct Rotating {
    /// The epoch that the call made.
    pub epoch: Epoch,
    /// The next token's id.
    pub id: TokenId,
    /// The token that this call generated.
    pub token: Option<NewToken>,
}

impl Operation for Rotate {
    type Answer = Rotating;

    /// The newest wish replaces the one before: a caller that got no answer asks again.
    fn decide(&self, workspace: &Workspace) -> Result<Decision<Rotating>, OperationError> {
        workspace.require_owner(&self.bearer, self.now)?;
        let pending = workspace.pending_successor(self.now);
        if pending.is_some_and(|pending| pending.named_by == NamedBy::Operator) {
            return Err(Refusal::HandOverPending.into());
        }
        let is_used = |hash: &TokenHash| {
            workspace.is_known(hash, self.now) && !workspace.is_pending_successor(hash, self.now)
        };
        let chosen = self.chosen.as_ref();
        if chosen.is_some_and(is_used) {
            return Err(Refusal::HashInUse.into());
        }
        let token = IssuedToken::new(chosen, &self.random)?;
        let (hash, prefix) = (token.hash().clone(), token.prefix().cloned());
        let id = TokenId::of(&hash, prefix.as_ref());
        let successor = Successor { hash, prefix, expires: self.expires, named_by: NamedBy::Owner };
        let write = Write::advancing(workspace).successor(Some(&successor));
        let answer = Rotating { epoch: write.epoch(), id, token: token.generated() };
        Ok(Decision::Write(write, answer))
    }

    fn already_applied(&self, found: &Workspace, answer: Rotating) -> Option<Rotating> {
        let hash = answer.token.as_ref().map(NewToken::hash).or(self.chosen.as_ref())?;
        let named = found.pending_successor(self.now)?;
        let is_own = named.hash == *hash && named.named_by == NamedBy::Owner && named.expires == self.expires;
        (is_own && found.is_owner(&self.bearer)).then_some(Rotating { epoch: found.epoch, ..answer })
    }

    fn when_overtaken(&self) -> WhenOvertaken {
        if self.chosen.is_some() { WhenOvertaken::DecideAgain } else { WhenOvertaken::TryAgain }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fixtures::*;
    use crate::write::Change;

    fn rotate(bearer: &str, chosen: Option<&str>) -> Rotate {
        let (bearer, chosen) = (hash(bearer), chosen.map(hash));
        Rotate { bearer, chosen, expires: at(NOW + 600), now: now(), random: Random::OS }
    }

    fn by_owner(word: &str) -> Successor {
        Successor { named_by: NamedBy::Owner, ..successor(word, NOW + 1) }
    }

    /// The successor that is named, unless the call is refused.
    fn named(call: &Rotate, workspace: &Workspace) -> Result<Successor, Refusal> {
        let (write, answer) = decide(call, workspace)?;
        let write = write.unwrap();
        assert_eq!((write.epoch(), answer.epoch), (workspace.epoch.next(), workspace.epoch.next()));
        let [Change::SetSuccessor(named)] = write.changes() else { panic!("{write:?}") };
        assert_eq!(answer.id, TokenId::of(&named.hash, named.prefix.as_ref()));
        assert_eq!(answer.token.as_ref().map(NewToken::prefix), named.prefix.as_ref());
        assert_eq!((named.expires, named.named_by), (call.expires, NamedBy::Owner));
        Ok(named.clone())
    }

    #[test]
    fn g22_an_owner_names_its_next_token() {
        assert_eq!(named(&rotate("owner", Some("new")), &owned()).unwrap().hash, hash("new"));
        assert!(named(&rotate("owner", None), &owned()).unwrap().prefix.is_some());
        let rotating = Workspace { successor: Some(by_owner("next")), ..owned() };
        for chosen in [None, Some("new"), Some("next")] {
            assert!(named(&rotate("owner", chosen), &rotating).is_ok(), "the newest wish counts");
        }
        for used in ["owner", "api", "previous"] {
            assert_eq!(named(&rotate("owner", Some(used)), &owned()), Err(Refusal::HashInUse), "{used}");
        }
        assert_eq!(named(&rotate("api", None), &owned()), Err(Refusal::InsufficientScope));
        for bearer in ["previous", "expired", "successor", "next", "other"] {
            assert_eq!(named(&rotate(bearer, None), &rotating), Err(Refusal::InvalidToken), "{bearer}");
        }
    }

    #[test]
    fn g22_an_owner_never_replaces_an_operator_s_hand_over() {
        for chosen in [None, Some("new"), Some("successor")] {
            let call = rotate("owner", chosen);
            assert_eq!(named(&call, &pending(owned())), Err(Refusal::HandOverPending));
        }
        assert!(named(&rotate("owner", None), &expired(owned())).is_ok());
    }

    #[test]
    fn g6_a_rotation_recognises_its_own_write() {
        let call = rotate("owner", Some("new"));
        let applied = |found: &Workspace| {
            let (_, answer) = decide(&call, &owned()).unwrap();
            call.already_applied(found, answer).is_some()
        };
        let own = Successor { expires: at(NOW + 600), ..by_owner("new") };
        let with = |successor| Workspace { successor: Some(successor), ..owned() };
        assert!(applied(&with(own.clone())));
        assert!(!applied(&owned()));
        assert!(!applied(&with(by_owner("new"))), "with another expiry");
        assert!(!applied(&with(Successor { named_by: NamedBy::Operator, ..own.clone() })));
        assert!(!applied(&Workspace { successor: Some(own), ..open() }), "the caller has ended since");
    }
}

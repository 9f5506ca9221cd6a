//! Register: the ownership guard. While a workspace has a live owner, only a bearer of a live token may set its URL and
//! card. With none, the first caller without a bearer claims it.

use crate::protocol::{Decision, Operation, OperationError, Refusal, WhenOvertaken};
use crate::random::Random;
use crate::time::Timestamp;
use crate::token::{IssuedToken, NewToken, TokenHash};
use crate::workspace::{Epoch, RegisteredBy, Registration, Workspace};
use crate::write::Write;

/// A registration.
#[derive(Debug)]
pub struct Register {
    /// The hash of the bearer that the caller presented.
    pub bearer: Option<TokenHash>,
    /// The hash of a token that the caller generated itself. It counts only without a bearer.
    pub chosen: Option<TokenHash>,
    /// What the agent says about itself.
    pub registration: Registration,
    /// The time of the call.
    pub now: Timestamp,
    /// Generates the token of a claim.
    pub random: Random,
}

/// A registration that took effect.
pub struct Registered {
    /// The workspace's epoch.
    pub epoch: Epoch,
    /// What it came to.
    pub kind: RegisteredAs,
    /// The token that this call generated.
    pub token: Option<NewToken>,
}

/// What a registration came to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RegisteredAs {
    /// The owner set its URL and card.
    Refresh,
    /// An API token set the URL and card.
    RefreshByApiToken,
    /// The caller became the owner of a workspace that had none.
    Claim,
    /// The successor that a hand-over named became the owner, and the owner before it ended.
    TakeOver,
    /// The same claim had already been made: nothing was written.
    AlreadyClaimed,
}

impl Operation for Register {
    type Answer = Registered;

    fn decide(&self, workspace: &Workspace) -> Result<Decision<Registered>, OperationError> {
        match &self.bearer {
            Some(bearer) => self.with_bearer(workspace, bearer),
            None => self.without_bearer(workspace),
        }
    }

    fn already_applied(&self, found: &Workspace, answer: Registered) -> Option<Registered> {
        let applied = match answer.kind {
            // Writing the same registration once more changes nothing.
            RegisteredAs::Refresh | RegisteredAs::RefreshByApiToken | RegisteredAs::AlreadyClaimed => false,
            RegisteredAs::TakeOver => self.is_owner_with_this_registration(found, self.bearer.as_ref()),
            RegisteredAs::Claim => match &answer.token {
                // Nobody else knows this hash: if it is the owner's, this call's write made it so.
                Some(token) => found.is_owner(token.hash()),
                None => self.is_owner_with_this_registration(found, self.chosen.as_ref()),
            },
        };
        applied.then_some(Registered { epoch: found.epoch, ..answer })
    }

    fn when_overtaken(&self) -> WhenOvertaken {
        match (&self.bearer, &self.chosen) {
            (None, Some(_)) => WhenOvertaken::DecideAgain,
            (Some(_), _) | (None, None) => WhenOvertaken::TryAgain,
        }
    }
}

impl Register {
    fn with_bearer(
        &self,
        workspace: &Workspace,
        bearer: &TokenHash,
    ) -> Result<Decision<Registered>, OperationError> {
        let (write, kind, by) = if workspace.is_owner(bearer) {
            (Write::keeping_epoch(workspace), RegisteredAs::Refresh, RegisteredBy::Owner)
        } else if workspace.is_api_token(bearer, self.now) {
            (Write::keeping_epoch(workspace), RegisteredAs::RefreshByApiToken, RegisteredBy::Api)
        } else if let Some(next) = workspace.pending_successor(self.now).filter(|next| next.hash == *bearer) {
            let write = Write::advancing(workspace);
            let write = write.new_owner(workspace, bearer, next.prefix.as_ref(), self.now);
            (write, RegisteredAs::TakeOver, RegisteredBy::Owner)
        } else {
            // Even with the door open: a revoked source that keeps trying must not claim again.
            return Err(Refusal::InvalidToken.into());
        };
        Ok(self.write(write, kind, by, None))
    }

    fn without_bearer(&self, workspace: &Workspace) -> Result<Decision<Registered>, OperationError> {
        let chosen = self.chosen.as_ref();
        if workspace.owner.is_some() || workspace.pending_successor(self.now).is_some() {
            // A claim whose reply was lost may come again. Knowing the hash alone changes nothing, so only the very same
            // registration counts.
            if self.is_owner_with_this_registration(workspace, chosen) {
                let kind = RegisteredAs::AlreadyClaimed;
                return Ok(Decision::AlreadyDone(Registered { epoch: workspace.epoch, kind, token: None }));
            }
            return Err(Refusal::MissingToken.into());
        }
        if chosen.is_some_and(|chosen| workspace.is_known(chosen, self.now)) {
            return Err(Refusal::HashInUse.into());
        }
        let token = IssuedToken::new(chosen, &self.random)?;
        let write = Write::advancing(workspace).new_owner(workspace, token.hash(), token.prefix(), self.now);
        Ok(self.write(write, RegisteredAs::Claim, RegisteredBy::Owner, token.generated()))
    }

    fn write(
        &self,
        write: Write,
        kind: RegisteredAs,
        by: RegisteredBy,
        token: Option<NewToken>,
    ) -> Decision<Registered> {
        let write = write.register(&self.registration, by, self.now);
        let answer = Registered { epoch: write.epoch(), kind, token };
        Decision::Write(write, answer)
    }

    fn is_owner_with_this_registration(&self, workspace: &Workspace, hash: Option<&TokenHash>) -> bool {
        hash.is_some_and(|hash| workspace.is_owner(hash)) && workspace.holds(&self.registration)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fixtures::*;
    use crate::workspace::OwnerHash;
    use crate::write::Change;

    /// Who presents what: a bearer or a caller-chosen hash, by the word that it is the hash of.
    #[derive(Clone, Copy, Debug)]
    enum By {
        Nothing,
        Bearer(&'static str),
        Chosen(&'static str),
        BearerAndChosen(&'static str, &'static str),
    }

    fn register(by: By, url: &str) -> Register {
        let (bearer, chosen) = match by {
            By::Nothing => (None, None),
            By::Bearer(word) => (Some(hash(word)), None),
            By::Chosen(word) => (None, Some(hash(word))),
            By::BearerAndChosen(bearer, chosen) => (Some(hash(bearer)), Some(hash(chosen))),
        };
        Register { bearer, chosen, registration: registration(url), now: now(), random: Random::OS }
    }

    /// What a registration comes to. Checks that the write fits.
    fn registered(workspace: &Workspace, by: By, url: &str) -> Result<RegisteredAs, Refusal> {
        use RegisteredAs::{AlreadyClaimed, Claim, Refresh, RefreshByApiToken, TakeOver};
        let call = register(by, url);
        let (write, answer) = decide(&call, workspace)?;
        let Some(write) = write else {
            assert_eq!((answer.kind, answer.epoch), (AlreadyClaimed, workspace.epoch));
            assert!(answer.token.is_none());
            return Ok(answer.kind);
        };
        assert_eq!(answer.epoch, write.epoch());
        let by = if answer.kind == RefreshByApiToken { RegisteredBy::Api } else { RegisteredBy::Owner };
        let set = Change::Register { registration: call.registration.clone(), by, at: now() };
        assert!(changes(&write, &set), "{write:?}");
        match answer.kind {
            Refresh | RefreshByApiToken => {
                assert_eq!((write.epoch(), write.changes().len()), (workspace.epoch, 1))
            }
            Claim | TakeOver => {
                let owner = new_owner(&write).unwrap();
                let generated = answer.token.as_ref();
                let chosen =
                    if answer.kind == TakeOver { call.bearer.as_ref() } else { call.chosen.as_ref() };
                assert_eq!(owner.hash.token(), chosen.or(generated.map(NewToken::hash)));
                assert_eq!(owner.prefix.as_ref(), generated.map(NewToken::prefix));
                assert_eq!(generated.is_some(), chosen.is_none());
                assert_eq!((owner.epoch, owner.minted_at), (write.epoch(), now()));
                assert_eq!(write.epoch(), workspace.epoch.next());
                assert!(changes(&write, &Change::ClearSuccessor), "{write:?}");
                if let Some(ended) = workspace.owner_token() {
                    assert!(changes(&write, &Change::SetPreviousOwner(ended.clone())), "{write:?}");
                }
            }
            AlreadyClaimed => panic!("a write that is already made: {write:?}"),
        }
        Ok(answer.kind)
    }

    #[test]
    fn the_register_table() {
        use Refusal::{HashInUse, InvalidToken, MissingToken};
        use RegisteredAs::{AlreadyClaimed, Claim, Refresh, RefreshByApiToken, TakeOver};
        let table = [
            (open(), By::Nothing, Ok(Claim)),
            (open(), By::Chosen("new"), Ok(Claim)),
            (open(), By::Chosen("api"), Err(HashInUse)),
            (open(), By::Chosen("previous"), Err(HashInUse)),
            (open(), By::Bearer("api"), Ok(RefreshByApiToken)),
            (open(), By::Bearer("previous"), Err(InvalidToken)),
            (open(), By::Bearer("unknown"), Err(InvalidToken)),
            (open(), By::BearerAndChosen("unknown", "new"), Err(InvalidToken)),
            (owned(), By::Nothing, Err(MissingToken)),
            (owned(), By::Chosen("new"), Err(MissingToken)),
            (owned(), By::Bearer("owner"), Ok(Refresh)),
            (owned(), By::BearerAndChosen("owner", "new"), Ok(Refresh)),
            (owned(), By::Bearer("api"), Ok(RefreshByApiToken)),
            (owned(), By::Bearer("previous"), Err(InvalidToken)),
            (sealed(), By::Nothing, Err(MissingToken)),
            (sealed(), By::Bearer("sealed"), Err(InvalidToken)),
            (sealed(), By::Chosen("sealed"), Err(MissingToken)),
            (sealed(), By::Bearer("api"), Ok(RefreshByApiToken)),
            (pending(open()), By::Nothing, Err(MissingToken)),
            (pending(open()), By::Chosen("new"), Err(MissingToken)),
            (pending(open()), By::Chosen("successor"), Err(MissingToken)),
            (pending(open()), By::Bearer("successor"), Ok(TakeOver)),
            (pending(owned()), By::Bearer("successor"), Ok(TakeOver)),
            (pending(sealed()), By::Bearer("successor"), Ok(TakeOver)),
            (pending(owned()), By::Bearer("owner"), Ok(Refresh)),
            (expired(owned()), By::Bearer("successor"), Err(InvalidToken)),
            (expired(open()), By::Nothing, Ok(Claim)),
            (expired(open()), By::Chosen("successor"), Ok(Claim)),
        ];
        for (workspace, by, expected) in table {
            assert_eq!(registered(&workspace, by, OTHER_URL), expected, "{by:?} of {workspace:?}");
        }
        for workspace in [owned(), pending(owned())] {
            assert_eq!(registered(&workspace, By::Chosen("owner"), STORED_URL), Ok(AlreadyClaimed));
        }
    }

    #[test]
    fn g11_a_hash_alone_changes_nothing() {
        let refused = Err(Refusal::MissingToken);
        assert_eq!(registered(&owned(), By::Chosen("owner"), OTHER_URL), refused);
        let other_card = Workspace { agent_card: Some(card("{}")), ..owned() };
        assert_eq!(registered(&other_card, By::Chosen("owner"), STORED_URL), refused);
        assert_eq!(registered(&owned(), By::Chosen("api"), STORED_URL), refused);
    }

    #[test]
    fn no_claim_is_made_without_randomness() {
        let call = Register { random: Random::UNAVAILABLE, ..register(By::Nothing, OTHER_URL) };
        let error = call.decide(&open()).err();
        assert_eq!(error, Some(OperationError::RandomUnavailable(crate::random::RandomUnavailable)));
        assert!(matches!(call.decide(&owned()), Err(OperationError::Refused(Refusal::MissingToken))));
        let chosen = Register { random: Random::UNAVAILABLE, ..register(By::Chosen("new"), OTHER_URL) };
        assert!(decide(&chosen, &open()).is_ok());
    }

    /// What the call answers when it decides on `seen` and its write then finds `found`.
    fn recognised(call: &Register, seen: &Workspace, found: &Workspace) -> Option<Registered> {
        let (write, answer) = decide(call, seen).unwrap();
        assert!(write.is_some());
        call.already_applied(found, answer)
    }

    fn owned_at(word: &str, epoch: u64, url: &str) -> Workspace {
        let Registration { url, agent_card } = registration(url);
        let owner = owned_by(OwnerHash::Token(hash(word)));
        Workspace { epoch: Epoch(epoch), url, agent_card: Some(agent_card), ..owner }
    }

    #[test]
    fn g6_a_registration_recognises_its_own_write() {
        let take_over = (By::Bearer("successor"), pending(owned()), "successor");
        let claim = (By::Chosen("new"), open(), "new");
        for (by, seen, own) in [take_over, claim] {
            let call = register(by, OTHER_URL);
            let made = recognised(&call, &seen, &owned_at(own, 9, OTHER_URL)).unwrap();
            assert_eq!(made.epoch, Epoch(9), "the workspace's epoch by now");
            let elsewhere = recognised(&call, &seen, &owned_at(own, 9, STORED_URL));
            assert!(elsewhere.is_none(), "{by:?}: another call of the same token");
            assert!(recognised(&call, &seen, &owned_at("other", 9, OTHER_URL)).is_none(), "{by:?}");
        }
        for (by, seen) in [(By::Bearer("owner"), owned()), (By::Bearer("api"), owned())] {
            let call = register(by, STORED_URL);
            assert!(recognised(&call, &seen, &owned()).is_none(), "{by:?} is simply written again");
        }
    }

    #[test]
    fn g6_a_claim_recognises_the_token_that_it_generated() {
        let call = register(By::Nothing, OTHER_URL);
        let (_, answer) = decide(&call, &open()).unwrap();
        let token = answer.token.as_ref().unwrap().hash().clone();
        let found = Workspace { epoch: Epoch(8), ..owned_by(OwnerHash::Token(token.clone())) };
        let made = call.already_applied(&found, answer).unwrap();
        assert_eq!(made.token.unwrap().hash(), &token, "registered elsewhere since, and still its own");
        let (_, answer) = decide(&call, &open()).unwrap();
        assert!(call.already_applied(&found, answer).is_none(), "another call's token");
    }

    #[test]
    fn a_call_that_names_its_own_token_writes_it_once() {
        let on_overtaken = |by| register(by, OTHER_URL).when_overtaken();
        assert_eq!(on_overtaken(By::Chosen("new")), WhenOvertaken::DecideAgain);
        for by in [By::Nothing, By::Bearer("owner"), By::BearerAndChosen("owner", "new")] {
            assert_eq!(on_overtaken(by), WhenOvertaken::TryAgain, "{by:?}");
        }
    }
}

//! Mint: adds an API token.

use crate::protocol::{Decision, Operation, OperationError, Refusal, WhenOvertaken};
use crate::random::Random;
use crate::time::Timestamp;
use crate::token::{IssuedToken, NewToken, TokenHash};
use crate::workspace::{API_TOKEN_LIMIT, Epoch, Workspace};
use crate::write::Write;

/// A request for one more API token.
#[derive(Debug)]
pub struct MintToken {
    /// The hash of a token that the caller generated itself.
    pub chosen: Option<TokenHash>,
    /// The time of the call.
    pub now: Timestamp,
    /// Generates the token unless the caller chose it.
    pub random: Random,
}

/// The workspace has the token.
pub struct Minted {
    /// The epoch after this call's write; `None` when nothing was written.
    pub epoch: Option<Epoch>,
    /// The token that this call generated.
    pub token: Option<NewToken>,
}

impl Operation for MintToken {
    type Answer = Minted;

    fn decide(&self, workspace: &Workspace) -> Result<Decision<Minted>, OperationError> {
        let chosen = self.chosen.as_ref();
        if chosen.is_some_and(|hash| workspace.is_api_token(hash)) {
            return Ok(Decision::AlreadyDone(Minted { epoch: None, token: None }));
        }
        if chosen.is_some_and(|hash| workspace.is_known(hash, self.now)) {
            return Err(Refusal::HashInUse.into());
        }
        if workspace.api_tokens.len() >= API_TOKEN_LIMIT {
            return Err(Refusal::TokenLimitReached.into());
        }
        let token = IssuedToken::new(chosen, &self.random)?;
        let write = Write::advancing(workspace).api_token(token.hash(), token.prefix(), self.now);
        let answer = Minted { epoch: Some(write.epoch()), token: token.generated() };
        Ok(Decision::Write(write, answer))
    }

    fn already_applied(&self, found: &Workspace, answer: Minted) -> Option<Minted> {
        let hash = answer.token.as_ref().map(NewToken::hash).or(self.chosen.as_ref());
        hash.is_some_and(|hash| found.is_api_token(hash)).then_some(answer)
    }

    fn when_overtaken(&self) -> WhenOvertaken {
        if self.chosen.is_some() { WhenOvertaken::DecideAgain } else { WhenOvertaken::TryAgain }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fixtures::*;
    use crate::workspace::ApiToken;
    use crate::write::Change;

    fn mint(chosen: Option<&str>) -> MintToken {
        MintToken { chosen: chosen.map(hash), now: now(), random: Random::OS }
    }

    /// Whether a token is added. Checks that the write fits.
    fn minted(workspace: &Workspace, chosen: Option<&str>) -> Result<bool, Refusal> {
        let (write, answer) = decide(&mint(chosen), workspace)?;
        let Some(write) = write else {
            assert!(answer.epoch.is_none() && answer.token.is_none());
            return Ok(false);
        };
        let generated = answer.token.as_ref();
        let added = generated.map_or_else(|| hash(chosen.unwrap()), |token| token.hash().clone());
        let token = ApiToken { prefix: generated.map(|token| token.prefix().clone()), minted_at: now() };
        assert_eq!(write.changes(), [Change::AddApiToken(added, token)]);
        assert_eq!((answer.epoch, write.epoch()), (Some(write.epoch()), workspace.epoch.next()));
        assert_eq!(generated.is_some(), chosen.is_none());
        Ok(true)
    }

    #[test]
    fn the_mint_table() {
        let pending = pending(owned());
        for workspace in [&open(), &owned(), &sealed(), &pending] {
            assert_eq!(minted(workspace, None), Ok(true));
            assert_eq!(minted(workspace, Some("new")), Ok(true));
            assert_eq!(minted(workspace, Some("api")), Ok(false));
            assert_eq!(minted(workspace, Some("previous")), Err(Refusal::HashInUse));
        }
        assert_eq!(minted(&owned(), Some("owner")), Err(Refusal::HashInUse));
        assert_eq!(minted(&pending, Some("successor")), Err(Refusal::HashInUse));
        assert_eq!(minted(&expired(owned()), Some("successor")), Ok(true));
    }

    #[test]
    fn a_workspace_has_at_most_20_api_tokens() {
        let mut workspace = owned();
        while workspace.api_tokens.len() < API_TOKEN_LIMIT {
            assert_eq!(minted(&workspace, None), Ok(true));
            let word = workspace.api_tokens.len().to_string();
            workspace.api_tokens.insert(hash(&word), ApiToken { prefix: None, minted_at: now() });
        }
        assert_eq!(workspace.api_tokens.len(), 20);
        assert_eq!(minted(&workspace, None), Err(Refusal::TokenLimitReached));
        assert_eq!(minted(&workspace, Some("new")), Err(Refusal::TokenLimitReached));
        assert_eq!(minted(&workspace, Some("api")), Ok(false));
    }

    #[test]
    fn no_token_is_minted_without_randomness() {
        let call = MintToken { random: Random::UNAVAILABLE, ..mint(None) };
        assert!(matches!(call.decide(&open()), Err(OperationError::RandomUnavailable(_))));
        let chosen = MintToken { random: Random::UNAVAILABLE, ..mint(Some("new")) };
        assert!(decide(&chosen, &open()).is_ok());
    }

    #[test]
    fn g6_a_mint_recognises_its_own_write() {
        let recognised = |chosen, found: &Workspace| {
            let call = mint(chosen);
            let (_, answer) = decide(&call, &open()).unwrap();
            call.already_applied(found, answer).is_some()
        };
        let with_new = Workspace {
            api_tokens: [(hash("new"), ApiToken { prefix: None, minted_at: now() })].into(),
            ..owned()
        };
        assert!(recognised(Some("new"), &with_new));
        assert!(!recognised(Some("new"), &owned()));
        assert!(!recognised(None, &with_new), "another call's token");
        let call = mint(None);
        let (_, answer) = decide(&call, &open()).unwrap();
        let token = answer.token.as_ref().unwrap().hash().clone();
        let made = ApiToken { prefix: None, minted_at: now() };
        let found = Workspace { api_tokens: [(token.clone(), made)].into(), ..open() };
        assert_eq!(call.already_applied(&found, answer).unwrap().token.unwrap().hash(), &token);
    }

    #[test]
    fn a_call_that_names_its_own_token_writes_it_once() {
        assert_eq!(mint(Some("new")).when_overtaken(), WhenOvertaken::DecideAgain);
        assert_eq!(mint(None).when_overtaken(), WhenOvertaken::TryAgain);
    }
}

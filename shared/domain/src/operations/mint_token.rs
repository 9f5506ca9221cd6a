//! Mint: adds an API token.

use crate::operations::caller::Caller;
use crate::protocol::{Decision, Operation, OperationError, Refusal, WhenOvertaken};
use crate::random::Random;
use crate::time::Timestamp;
use crate::token::{IssuedToken, NewToken, TokenHash, TokenId};
use crate::workspace::{API_TOKEN_LIMIT, ApiToken, Epoch, TokenName, Workspace};
use crate::write::Write;

/// A request for one more API token.
#[derive(Debug)]
pub struct MintToken {
    /// Who asks.
    pub caller: Caller,
    /// A name for people.
    pub name: Option<TokenName>,
    /// When the token expires.
    pub expires: Option<Timestamp>,
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
    /// The token's id.
    pub id: TokenId,
    /// When it expires. A token that was live before keeps its expiry.
    pub expires: Option<Timestamp>,
    /// The token that this call generated.
    pub token: Option<NewToken>,
}

impl Operation for MintToken {
    type Answer = Minted;

    fn decide(&self, workspace: &Workspace) -> Result<Decision<Minted>, OperationError> {
        self.caller.require_owner(workspace, self.now)?;
        let chosen = self.chosen.as_ref();
        let live = chosen.and_then(|hash| workspace.api_tokens.get_key_value(hash));
        if let Some((hash, live)) = live.filter(|(_, live)| live.is_live(self.now)) {
            let (id, expires) = (TokenId::of(hash, live.prefix.as_ref()), live.expires);
            return Ok(Decision::AlreadyDone(Minted { epoch: None, id, expires, token: None }));
        }
        if chosen.is_some_and(|hash| workspace.is_known(hash, self.now)) {
            return Err(Refusal::HashInUse.into());
        }
        if workspace.live_api_tokens(self.now).count() >= API_TOKEN_LIMIT {
            return Err(Refusal::TokenLimitReached.into());
        }
        let token = IssuedToken::new(chosen, &self.random)?;
        let (name, minted_at, expires) = (self.name.clone(), self.now, self.expires);
        let minted = ApiToken { prefix: token.prefix().cloned(), name, minted_at, expires };
        let write = Write::advancing(workspace).api_token(workspace, token.hash(), minted);
        let id = TokenId::of(token.hash(), token.prefix());
        let answer =
            Minted { epoch: Some(write.epoch()), id, expires: self.expires, token: token.generated() };
        Ok(Decision::Write(write, answer))
    }

    fn already_applied(&self, found: &Workspace, answer: Minted) -> Option<Minted> {
        let hash = answer.token.as_ref().map(NewToken::hash).or(self.chosen.as_ref());
        hash.is_some_and(|hash| found.is_api_token(hash, self.now)).then_some(answer)
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

    fn mint(chosen: Option<&str>) -> MintToken {
        let (chosen, now) = (chosen.map(hash), now());
        MintToken { caller: Caller::Operator, name: None, expires: None, chosen, now, random: Random::OS }
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
        let token = ApiToken { prefix: generated.map(|token| token.prefix().clone()), ..api_token() };
        assert_eq!(answer.id, TokenId::of(&added, token.prefix.as_ref()));
        assert_eq!(write.changes().last(), Some(&Change::AddApiToken(added, token)));
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
            workspace.api_tokens.insert(hash(&word), api_token());
        }
        assert_eq!(workspace.api_tokens.len(), 20);
        assert_eq!(minted(&workspace, None), Ok(true), "one has expired");
        workspace.api_tokens.insert(hash("expired"), api_token());
        assert_eq!(minted(&workspace, None), Err(Refusal::TokenLimitReached));
        assert_eq!(minted(&workspace, Some("new")), Err(Refusal::TokenLimitReached));
        assert_eq!(minted(&workspace, Some("api")), Ok(false));
    }

    #[test]
    fn an_expired_token_is_as_if_never_minted() {
        let (write, answer) = decide(&mint(Some("expired")), &owned()).unwrap();
        assert_eq!(write.unwrap().changes(), [Change::AddApiToken(hash("expired"), api_token())]);
        assert!(answer.epoch.is_some());
        let (write, _) = decide(&mint(Some("new")), &owned()).unwrap();
        let gone = Change::RemoveApiToken(hash("expired"));
        assert_eq!(write.unwrap().changes(), [gone, Change::AddApiToken(hash("new"), api_token())]);
    }

    #[test]
    fn g21_only_an_operator_and_the_owner_mint() {
        let by = |bearer: &str| MintToken { caller: Caller::Bearer(hash(bearer)), ..mint(None) };
        assert!(decide(&by("owner"), &owned()).is_ok());
        assert_eq!(decide(&by("api"), &owned()).err(), Some(Refusal::InsufficientScope));
        for bearer in ["expired", "previous", "successor", "other"] {
            assert_eq!(decide(&by(bearer), &pending(owned())).err(), Some(Refusal::InvalidToken), "{bearer}");
        }
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
        let with_new = Workspace { api_tokens: [(hash("new"), api_token())].into(), ..owned() };
        assert!(recognised(Some("new"), &with_new));
        assert!(!recognised(Some("new"), &owned()));
        assert!(!recognised(None, &with_new), "another call's token");
        let call = mint(None);
        let (_, answer) = decide(&call, &open()).unwrap();
        let token = answer.token.as_ref().unwrap().hash().clone();
        let found = Workspace { api_tokens: [(token.clone(), api_token())].into(), ..open() };
        assert_eq!(call.already_applied(&found, answer).unwrap().token.unwrap().hash(), &token);
    }

    #[test]
    fn a_call_that_names_its_own_token_writes_it_once() {
        assert_eq!(mint(Some("new")).when_overtaken(), WhenOvertaken::DecideAgain);
        assert_eq!(mint(None).when_overtaken(), WhenOvertaken::TryAgain);
    }
}

//! The ownership guard: who may do what, decided by pure functions of (what the table holds, what is asked, the
//! time). They read nothing, write nothing and see no plaintext. Whatever they allow is then written on the
//! condition that the epoch is still the one that they saw.

use crate::id::OperationId;
use crate::time::Now;
use crate::token::TokenHash;
use crate::workspace::{API_TOKEN_LIMIT, Epoch, LastOperation, Status, Workspace};

/// What an agent says of itself. Each registration says all of it; nothing is merged.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Registration<'a> {
    /// Where the agent can be reached, `None` without an inbound endpoint.
    pub url: Option<&'a str>,
    /// The agent's card as JSON text.
    pub agent_card: &'a str,
}

/// A registration as it is decided on.
#[derive(Clone, Copy, Debug)]
pub struct RegisterRequest<'a> {
    /// The hash of the bearer that was presented.
    pub bearer: Option<&'a TokenHash>,
    /// The hash of a token that the caller made itself; it counts only without a bearer.
    pub chosen: Option<&'a TokenHash>,
    /// What is to be set.
    pub registration: Registration<'a>,
}

/// What becomes of a registration.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RegisterDecision {
    /// The owner says where it is now.
    Refresh,
    /// An API token says where the agent is now.
    RefreshByApiToken,
    /// No bearer and no owner (*bootstrap*): the caller becomes the owner.
    Claim,
    /// The successor that a hand-over named becomes the owner.
    TakeOver,
    /// All of it is so already: nothing is written.
    AlreadyDone {
        /// The workspace's epoch.
        epoch: Epoch,
    },
    /// Refused: nothing is written.
    Refused(Refusal),
}

/// Why a call is refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Refusal {
    /// There is no such workspace.
    Unknown,
    /// It was removed for good.
    Removed,
    /// The door is closed and no bearer was presented.
    MissingToken,
    /// The bearer is not live.
    InvalidToken,
    /// A claim's caller-chosen hash has or had a role.
    InvalidChosenToken,
    /// An administrator's caller-chosen hash has or had a role.
    HashInUse,
    /// There are as many API tokens as one workspace may have.
    TokenLimitReached,
    /// The workspace is not at the epoch that the caller expected.
    EpochChanged,
    /// The operation id is the last one remembered, for another kind of operation or scope.
    OperationIdReused,
}

/// The ownership guard. While a workspace has a live owner, only the bearer of a live token may register it; with
/// none, the first caller claims it.
pub fn register(item: Option<&Workspace>, request: &RegisterRequest<'_>, now: Now) -> RegisterDecision {
    let Some(workspace) = item else { return RegisterDecision::Refused(Refusal::Unknown) };
    if workspace.status == Status::Removed {
        return RegisterDecision::Refused(Refusal::Removed);
    }
    let successor = workspace.pending_successor(now);
    match request.bearer {
        Some(bearer) if workspace.is_owner(bearer) => RegisterDecision::Refresh,
        Some(bearer) if workspace.is_api_token(bearer) => RegisterDecision::RefreshByApiToken,
        Some(bearer) if successor.is_some_and(|named| named.hash == *bearer) => RegisterDecision::TakeOver,
        // Also with the door open: a revoked source that keeps trying must not claim again.
        Some(_) => RegisterDecision::Refused(Refusal::InvalidToken),
        None if workspace.owner.is_some() || successor.is_some() => {
            // The repeat of a claim whose reply was lost. A hash alone changes nothing, so only the very same
            // registration counts.
            let is_repeat = request.chosen.is_some_and(|chosen| workspace.is_owner(chosen))
                && is_registered(workspace, &request.registration);
            if is_repeat {
                RegisterDecision::AlreadyDone { epoch: workspace.epoch }
            } else {
                RegisterDecision::Refused(Refusal::MissingToken)
            }
        }
        None if request.chosen.is_some_and(|chosen| workspace.has_role(chosen, now)) => {
            RegisterDecision::Refused(Refusal::InvalidChosenToken)
        }
        None => RegisterDecision::Claim,
    }
}

/// Whether the workspace holds exactly this registration.
pub fn is_registered(workspace: &Workspace, registration: &Registration<'_>) -> bool {
    workspace.url.as_deref() == registration.url
        && workspace.agent_card.as_deref() == Some(registration.agent_card)
}

/// What becomes of a request to mint an API token.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum MintDecision {
    /// One more API token.
    Mint,
    /// The caller-chosen hash is an API token already: nothing is written.
    AlreadyDone,
    /// Refused: nothing is written.
    Refused(Refusal),
}

/// Whether an administrator may add an API token. `chosen` is the hash of a token that the caller made itself.
pub fn mint(item: Option<&Workspace>, chosen: Option<&TokenHash>, now: Now) -> MintDecision {
    let Some(workspace) = item else { return MintDecision::Refused(Refusal::Unknown) };
    if workspace.status == Status::Removed {
        return MintDecision::Refused(Refusal::Removed);
    }
    match chosen {
        Some(hash) if workspace.is_api_token(hash) => MintDecision::AlreadyDone,
        Some(hash) if workspace.has_role(hash, now) => MintDecision::Refused(Refusal::HashInUse),
        _ if workspace.api_tokens.len() >= API_TOKEN_LIMIT => {
            MintDecision::Refused(Refusal::TokenLimitReached)
        }
        _ => MintDecision::Mint,
    }
}

/// Which tokens a revoke ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RevokeScope {
    /// The owner token, all API tokens and a hand-over.
    All,
    /// The owner token and a hand-over.
    Owner,
    /// All API tokens; owner and hand-over are left alone.
    Api,
}

impl RevokeScope {
    /// All of them, in the order in which the contract names them.
    pub const ALL: [Self; 3] = [Self::All, Self::Owner, Self::Api];

    /// The scope as callers name it.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::All => "all",
            Self::Owner => "owner",
            Self::Api => "api",
        }
    }

    /// The kind of operation that the workspace remembers.
    pub fn operation_kind(self) -> &'static str {
        match self {
            Self::All => "revoke:all",
            Self::Owner => "revoke:owner",
            Self::Api => "revoke:api",
        }
    }

    /// Whether the owner and a hand-over end.
    pub fn ends_owner(self) -> bool {
        match self {
            Self::All | Self::Owner => true,
            Self::Api => false,
        }
    }

    /// Whether the API tokens end.
    pub fn ends_api_tokens(self) -> bool {
        match self {
            Self::All | Self::Api => true,
            Self::Owner => false,
        }
    }
}

/// A revoke as it is decided on.
#[derive(Clone, Copy, Debug)]
pub struct RevokeRequest<'a> {
    /// Which tokens end.
    pub scope: RevokeScope,
    /// Names the operation, so that repeating it has one effect.
    pub operation_id: &'a OperationId,
    /// The epoch that the caller believes the workspace is at.
    pub expected_epoch: Option<Epoch>,
}

/// What becomes of a revoke.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RevokeDecision {
    /// End what is in scope. Also when nothing is live: the epoch moves, so that a claim that is already on its way
    /// cannot land after the answer.
    Revoke {
        /// How many tokens the write ends. A seal counts 0.
        ended: usize,
    },
    /// The operation is the one remembered: nothing is written.
    AlreadyDone {
        /// The epoch that the operation made.
        epoch: Epoch,
    },
    /// Refused: nothing is written.
    Refused(Refusal),
}

/// Whether an administrator's revoke is made, was made, or is refused.
pub fn revoke(item: Option<&Workspace>, request: &RevokeRequest<'_>) -> RevokeDecision {
    let Some(workspace) = item else { return RevokeDecision::Refused(Refusal::Unknown) };
    if workspace.status == Status::Removed {
        return RevokeDecision::Refused(Refusal::Removed);
    }
    if let Some(last) = remembered(workspace, request.operation_id) {
        return if last.kind == request.scope.operation_kind() {
            RevokeDecision::AlreadyDone { epoch: last.epoch }
        } else {
            RevokeDecision::Refused(Refusal::OperationIdReused)
        };
    }
    if request.expected_epoch.is_some_and(|expected| expected != workspace.epoch) {
        return RevokeDecision::Refused(Refusal::EpochChanged);
    }
    RevokeDecision::Revoke { ended: live_tokens(workspace, request.scope) }
}

/// The operation of this id, when it is the one that the workspace remembers.
pub fn remembered<'a>(workspace: &'a Workspace, id: &OperationId) -> Option<&'a LastOperation> {
    workspace.last_operation.as_ref().filter(|last| last.id == id.as_str())
}

fn live_tokens(workspace: &Workspace, scope: RevokeScope) -> usize {
    let owner = workspace.owner.as_ref().and_then(|owner| owner.hash.token());
    let owners = if scope.ends_owner() { owner.iter().count() } else { 0 };
    let api_tokens = if scope.ends_api_tokens() { workspace.api_tokens.len() } else { 0 };
    owners.saturating_add(api_tokens)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::id::WorkspaceId;
    use crate::workspace::{ApiToken, Owner, OwnerHash, Profile, Successor};

    const CARD: &str = r#"{"name":"agent"}"#;
    const NOW: i64 = 1_000;

    fn hash(of: &str) -> TokenHash {
        TokenHash::of(of)
    }

    fn now() -> Now {
        Now::from_epoch_seconds(NOW).unwrap()
    }

    fn open() -> Workspace {
        Workspace {
            id: WorkspaceId::parse("w").unwrap(),
            status: Status::Online,
            profile: Profile {
                name: "w".to_owned(),
                role: None,
                tier: None,
                runtime: None,
                parent_id: None,
                external: false,
                compute: None,
            },
            url: Some("https://a.example".to_owned()),
            agent_card: Some(CARD.to_owned()),
            created_at: String::new(),
            created_op: "r".to_owned(),
            registered_at: None,
            registered_by: None,
            revoked_at: None,
            epoch: Epoch(7),
            owner: None,
            previous_owner: Some(hash("previous")),
            api_tokens: [(hash("api"), ApiToken { prefix: None, minted_at: String::new() })].into(),
            successor: None,
            last_operation: Some(LastOperation {
                id: "op".to_owned(),
                kind: "revoke:all".to_owned(),
                epoch: Epoch(5),
            }),
        }
    }

    fn owned_by(owner: OwnerHash) -> Workspace {
        let owner = Owner { hash: owner, prefix: None, minted_at: String::new(), epoch: Epoch(7) };
        Workspace { owner: Some(owner), ..open() }
    }

    fn owned() -> Workspace {
        owned_by(OwnerHash::Token(hash("owner")))
    }

    fn sealed() -> Workspace {
        owned_by(OwnerHash::Sealed)
    }

    fn handed_over(workspace: Workspace, expires: i64) -> Workspace {
        Workspace { successor: Some(Successor { hash: hash("successor"), expires }), ..workspace }
    }

    fn removed() -> Workspace {
        Workspace { status: Status::Removed, ..owned() }
    }

    /// Who presents what: a bearer, or a caller-chosen hash, by the word that it is the hash of.
    #[derive(Clone, Copy, Debug)]
    enum By {
        Nothing,
        Bearer(&'static str),
        Chosen(&'static str),
        BearerAndChosen(&'static str, &'static str),
    }

    fn registered(item: Option<&Workspace>, by: By, url: &str) -> RegisterDecision {
        let (bearer, chosen) = match by {
            By::Nothing => (None, None),
            By::Bearer(word) => (Some(hash(word)), None),
            By::Chosen(word) => (None, Some(hash(word))),
            By::BearerAndChosen(bearer, chosen) => (Some(hash(bearer)), Some(hash(chosen))),
        };
        let registration = Registration { url: Some(url), agent_card: CARD };
        let request = RegisterRequest { bearer: bearer.as_ref(), chosen: chosen.as_ref(), registration };
        register(item, &request, now())
    }

    const STORED_URL: &str = "https://a.example";
    const OTHER_URL: &str = "https://b.example";

    #[test]
    fn the_register_table() {
        use Refusal::{InvalidChosenToken, InvalidToken, MissingToken};
        use RegisterDecision::{AlreadyDone, Claim, Refresh, RefreshByApiToken, Refused, TakeOver};
        let pending = |workspace| handed_over(workspace, NOW + 1);
        let expired = |workspace| handed_over(workspace, NOW);
        let table = [
            (open(), By::Nothing, Claim),
            (open(), By::Chosen("new"), Claim),
            (open(), By::Chosen("api"), Refused(InvalidChosenToken)),
            (open(), By::Chosen("previous"), Refused(InvalidChosenToken)),
            (open(), By::Bearer("api"), RefreshByApiToken),
            (open(), By::Bearer("previous"), Refused(InvalidToken)),
            (open(), By::Bearer("unknown"), Refused(InvalidToken)),
            (open(), By::BearerAndChosen("unknown", "new"), Refused(InvalidToken)),
            (owned(), By::Nothing, Refused(MissingToken)),
            (owned(), By::Chosen("new"), Refused(MissingToken)),
            (owned(), By::Bearer("owner"), Refresh),
            (owned(), By::BearerAndChosen("owner", "new"), Refresh),
            (owned(), By::Bearer("api"), RefreshByApiToken),
            (owned(), By::Bearer("previous"), Refused(InvalidToken)),
            (sealed(), By::Nothing, Refused(MissingToken)),
            (sealed(), By::Bearer("sealed"), Refused(InvalidToken)),
            (sealed(), By::Chosen("sealed"), Refused(MissingToken)),
            (sealed(), By::Bearer("api"), RefreshByApiToken),
            (pending(open()), By::Nothing, Refused(MissingToken)),
            (pending(open()), By::Chosen("new"), Refused(MissingToken)),
            (pending(open()), By::Chosen("successor"), Refused(MissingToken)),
            (pending(open()), By::Bearer("successor"), TakeOver),
            (pending(owned()), By::Bearer("successor"), TakeOver),
            (pending(owned()), By::Bearer("owner"), Refresh),
            (expired(owned()), By::Bearer("successor"), Refused(InvalidToken)),
            (expired(open()), By::Nothing, Claim),
            (expired(open()), By::Chosen("successor"), Claim),
            (removed(), By::Nothing, Refused(Refusal::Removed)),
            (removed(), By::Bearer("owner"), Refused(Refusal::Removed)),
        ];
        for (workspace, by, expected) in table {
            assert_eq!(registered(Some(&workspace), by, OTHER_URL), expected, "{by:?} of {workspace:?}");
        }
        assert_eq!(registered(None, By::Nothing, OTHER_URL), Refused(Refusal::Unknown));
        let repeat = AlreadyDone { epoch: Epoch(7) };
        assert_eq!(registered(Some(&owned()), By::Chosen("owner"), STORED_URL), repeat);
        assert_eq!(registered(Some(&pending(owned())), By::Chosen("owner"), STORED_URL), repeat);
    }

    #[test]
    fn g11_a_hash_alone_changes_nothing() {
        let other_url = registered(Some(&owned()), By::Chosen("owner"), OTHER_URL);
        assert_eq!(other_url, RegisterDecision::Refused(Refusal::MissingToken));
        let other_card = Workspace { agent_card: Some("{}".to_owned()), ..owned() };
        let other_card = registered(Some(&other_card), By::Chosen("owner"), STORED_URL);
        assert_eq!(other_card, RegisterDecision::Refused(Refusal::MissingToken));
        let of_an_api_token = registered(Some(&owned()), By::Chosen("api"), STORED_URL);
        assert_eq!(of_an_api_token, RegisterDecision::Refused(Refusal::MissingToken));
    }

    #[test]
    fn the_mint_table() {
        use MintDecision::{AlreadyDone, Mint, Refused};
        let chosen = |workspace: &Workspace, word| mint(Some(workspace), Some(&hash(word)), now());
        let pending = handed_over(owned(), NOW + 1);
        assert_eq!(mint(None, None, now()), Refused(Refusal::Unknown));
        assert_eq!(mint(Some(&removed()), None, now()), Refused(Refusal::Removed));
        for workspace in [&open(), &owned(), &sealed(), &pending] {
            assert_eq!(mint(Some(workspace), None, now()), Mint);
            assert_eq!(chosen(workspace, "new"), Mint);
            assert_eq!(chosen(workspace, "api"), AlreadyDone);
            assert_eq!(chosen(workspace, "previous"), Refused(Refusal::HashInUse));
        }
        assert_eq!(chosen(&owned(), "owner"), Refused(Refusal::HashInUse));
        assert_eq!(chosen(&pending, "successor"), Refused(Refusal::HashInUse));
        assert_eq!(chosen(&handed_over(owned(), NOW), "successor"), Mint);
    }

    #[test]
    fn a_workspace_has_at_most_20_api_tokens() {
        let mut workspace = owned();
        while workspace.api_tokens.len() < API_TOKEN_LIMIT {
            assert_eq!(mint(Some(&workspace), None, now()), MintDecision::Mint);
            let word = workspace.api_tokens.len().to_string();
            workspace.api_tokens.insert(hash(&word), ApiToken { prefix: None, minted_at: String::new() });
        }
        let full = MintDecision::Refused(Refusal::TokenLimitReached);
        assert_eq!(mint(Some(&workspace), None, now()), full);
        assert_eq!(mint(Some(&workspace), Some(&hash("new")), now()), full);
        assert_eq!(mint(Some(&workspace), Some(&hash("api")), now()), MintDecision::AlreadyDone);
    }

    #[test]
    fn the_revoke_table() {
        use RevokeDecision::{AlreadyDone, Refused, Revoke};
        let decide = |item: Option<&Workspace>, scope, id: &str, expected_epoch| {
            let operation_id = &OperationId::parse(id).unwrap();
            revoke(item, &RevokeRequest { scope, operation_id, expected_epoch })
        };
        let (all, owner, api) = (RevokeScope::All, RevokeScope::Owner, RevokeScope::Api);
        assert_eq!(decide(None, all, "new", Some(Epoch(1))), Refused(Refusal::Unknown));
        assert_eq!(decide(Some(&removed()), all, "op", None), Refused(Refusal::Removed));
        assert_eq!(decide(Some(&owned()), all, "op", Some(Epoch(1))), AlreadyDone { epoch: Epoch(5) });
        assert_eq!(decide(Some(&owned()), api, "op", None), Refused(Refusal::OperationIdReused));
        assert_eq!(decide(Some(&owned()), all, "new", Some(Epoch(6))), Refused(Refusal::EpochChanged));
        assert_eq!(decide(Some(&owned()), all, "new", Some(Epoch(7))), Revoke { ended: 2 });
        assert_eq!(decide(Some(&owned()), owner, "new", None), Revoke { ended: 1 });
        assert_eq!(decide(Some(&owned()), api, "new", None), Revoke { ended: 1 });
        assert_eq!(decide(Some(&open()), all, "new", None), Revoke { ended: 1 });
        assert_eq!(decide(Some(&open()), owner, "new", None), Revoke { ended: 0 });
        assert_eq!(decide(Some(&sealed()), owner, "new", None), Revoke { ended: 0 });
    }
}

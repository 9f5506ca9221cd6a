//! The guard's decisions as tables.

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
    let id = WorkspaceId::parse("w").unwrap();
    let profile = Profile { name: "w".to_owned(), ..Profile::default() };
    let last = LastOperation { id: "op".to_owned(), kind: "revoke:all".to_owned(), epoch: Epoch(5) };
    Workspace {
        url: Some(STORED_URL.to_owned()),
        agent_card: Some(CARD.to_owned()),
        epoch: Epoch(7),
        previous_owner: Some(hash("previous")),
        api_tokens: [(hash("api"), ApiToken { prefix: None, minted_at: String::new() })].into(),
        last_operation: Some(last),
        ..Workspace::new(id, Status::Online, profile, String::new(), "r".to_owned())
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
        let operation = Operation { id: &OperationId::parse(id).unwrap(), expected_epoch };
        revoke(item, &RevokeRequest { scope, successor: None, operation }, now())
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

#[test]
fn the_table_of_a_revoke_with_a_successor() {
    use RevokeDecision::{AlreadyDone, Refused, Revoke};
    let decide = |workspace: &Workspace, word, id: &str| {
        let operation = Operation { id: &OperationId::parse(id).unwrap(), expected_epoch: None };
        let successor = hash(word);
        let request = RevokeRequest { scope: RevokeScope::All, successor: Some(&successor), operation };
        revoke(Some(workspace), &request, now())
    };
    let made = |workspace: Workspace| Workspace {
        last_operation: Some(LastOperation {
            id: "op".to_owned(),
            kind: format!("revoke:all:{}", hash("successor").as_str()),
            epoch: Epoch(5),
        }),
        ..workspace
    };
    let pending = handed_over(owned(), NOW + 1);
    assert_eq!(decide(&owned(), "new", "new"), Revoke { ended: 2 });
    assert_eq!(decide(&pending, "successor", "new"), Revoke { ended: 2 }, "the one that is pending may stay");
    assert_eq!(decide(&pending, "another", "new"), Revoke { ended: 2 });
    for word in ["owner", "api", "previous"] {
        assert_eq!(decide(&owned(), word, "new"), Refused(Refusal::SuccessorInUse), "{word}");
    }
    assert_eq!(decide(&owned(), "new", "op"), Refused(Refusal::OperationIdReused), "was without a successor");
    assert_eq!(decide(&made(pending), "successor", "op"), AlreadyDone { epoch: Epoch(5) });
    assert_eq!(
        decide(&made(owned()), "successor", "op"),
        AlreadyDone { epoch: Epoch(5) },
        "it is gone since"
    );
    assert_eq!(decide(&made(owned()), "another", "op"), Refused(Refusal::OperationIdReused));
}

fn with_operation(workspace: Workspace, id: &str, kind: &str) -> Workspace {
    let last = LastOperation { id: id.to_owned(), kind: kind.to_owned(), epoch: Epoch(5) };
    Workspace { last_operation: Some(last), ..workspace }
}

#[test]
fn g14_the_hand_over_table() {
    use HandOverDecision::{Expired, HandOver, HandedOver, Pending, Refused};
    let decide = |item: Option<&Workspace>, word, id: &str, expected_epoch| {
        let operation = Operation { id: &OperationId::parse(id).unwrap(), expected_epoch };
        hand_over(item, &hash(word), &operation, now())
    };
    let decide_new = |workspace: &Workspace, word| decide(Some(workspace), word, "new", None);
    let decide_same = |workspace: Workspace, word| {
        let kind = hand_over_kind(&hash("successor"));
        decide(Some(&with_operation(workspace, "op", &kind)), word, "op", Some(Epoch(1)))
    };
    let taken_over = owned_by(OwnerHash::Token(hash("successor")));
    let (pending, expired) = (handed_over(owned(), NOW + 1), handed_over(owned(), NOW));
    assert_eq!(decide(None, "new", "new", None), Refused(Refusal::Unknown));
    assert_eq!(decide_new(&removed(), "new"), Refused(Refusal::Removed));
    for workspace in [&open(), &owned(), &sealed(), &pending, &expired] {
        assert_eq!(decide_new(workspace, "new"), HandOver);
        assert_eq!(decide(Some(workspace), "new", "new", Some(Epoch(7))), HandOver);
        let elsewhere = decide(Some(workspace), "new", "new", Some(Epoch(6)));
        assert_eq!(elsewhere, Refused(Refusal::EpochChanged));
        for word in ["api", "previous"] {
            assert_eq!(decide_new(workspace, word), Refused(Refusal::SuccessorInUse));
        }
    }
    assert_eq!(decide_new(&pending, "successor"), Pending { epoch: Epoch(7), expires: NOW + 1 });
    assert_eq!(decide_new(&expired, "successor"), HandOver, "as if never made");
    assert_eq!(decide_new(&owned(), "owner"), HandedOver { epoch: Epoch(6) });
    // The same operation again, with an epoch that is long gone.
    assert_eq!(decide_same(pending.clone(), "successor"), Pending { epoch: Epoch(5), expires: NOW + 1 });
    assert_eq!(decide_same(expired, "successor"), Expired { epoch: Epoch(5), expires: Some(NOW) });
    assert_eq!(decide_same(owned(), "successor"), Expired { epoch: Epoch(5), expires: None });
    assert_eq!(decide_same(taken_over, "successor"), HandedOver { epoch: Epoch(5) });
    assert_eq!(decide_same(pending.clone(), "another"), Refused(Refusal::OperationIdReused));
    assert_eq!(
        decide(Some(&pending), "successor", "op", None),
        Refused(Refusal::OperationIdReused),
        "a revoke"
    );
}

#[test]
fn g15_the_cancel_table() {
    use CancelDecision::{AlreadyDone, Cancel, Refused};
    let decide = |item: Option<&Workspace>, id: &str, expected_epoch| {
        let operation = Operation { id: &OperationId::parse(id).unwrap(), expected_epoch };
        cancel_hand_over(item, &operation)
    };
    let (pending, expired) = (handed_over(owned(), NOW + 1), handed_over(owned(), NOW));
    assert_eq!(decide(None, "new", None), Refused(Refusal::Unknown));
    assert_eq!(decide(Some(&removed()), "new", None), Refused(Refusal::Removed));
    assert_eq!(decide(Some(&pending), "new", Some(Epoch(6))), Refused(Refusal::EpochChanged));
    assert_eq!(decide(Some(&pending), "new", Some(Epoch(7))), Cancel);
    assert_eq!(decide(Some(&expired), "new", None), Cancel, "a take-over may be on its way");
    assert_eq!(decide(Some(&owned()), "new", None), Cancel, "a hand-over may be on its way");
    assert_eq!(decide(Some(&pending), "op", None), Refused(Refusal::OperationIdReused));
    let cancelled = with_operation(owned(), "op", CANCEL);
    assert_eq!(decide(Some(&cancelled), "op", Some(Epoch(1))), AlreadyDone { epoch: Epoch(5) });
}

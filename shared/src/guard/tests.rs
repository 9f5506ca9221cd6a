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

/// What becomes of a registration, without the hashes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Becomes {
    Refresh,
    RefreshByApiToken,
    Claim,
    TakeOver,
    AlreadyDone(Epoch),
    Refused(Refusal),
}

fn registered(workspace: &Workspace, by: By, url: &str) -> Becomes {
    let (bearer, chosen) = match by {
        By::Nothing => (None, None),
        By::Bearer(word) => (Some(hash(word)), None),
        By::Chosen(word) => (None, Some(hash(word))),
        By::BearerAndChosen(bearer, chosen) => (Some(hash(bearer)), Some(hash(chosen))),
    };
    let registration = Registration { url: Some(url), agent_card: CARD };
    let request = RegisterRequest { bearer: bearer.as_ref(), chosen: chosen.as_ref(), registration };
    let presented = bearer.as_ref();
    match register(workspace, &request, now()) {
        Ok(RegisterDecision::Refresh(owner)) if Some(owner) == presented => Becomes::Refresh,
        Ok(RegisterDecision::RefreshByApiToken(token)) if Some(token) == presented => {
            Becomes::RefreshByApiToken
        }
        Ok(RegisterDecision::TakeOver(successor)) if Some(successor) == presented => Becomes::TakeOver,
        Ok(RegisterDecision::Claim { chosen: by }) if by == chosen.as_ref() => Becomes::Claim,
        Ok(RegisterDecision::AlreadyDone { epoch }) => Becomes::AlreadyDone(epoch),
        Err(refusal) => Becomes::Refused(refusal),
        Ok(other) => panic!("decided on another token: {other:?}"),
    }
}

const STORED_URL: &str = "https://a.example";
const OTHER_URL: &str = "https://b.example";

#[test]
fn the_register_table() {
    use Becomes::{AlreadyDone, Claim, Refresh, RefreshByApiToken, Refused, TakeOver};
    use Refusal::{InvalidChosenToken, InvalidToken, MissingToken};
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
        assert_eq!(registered(&workspace, by, OTHER_URL), expected, "{by:?} of {workspace:?}");
    }
    let repeat = AlreadyDone(Epoch(7));
    assert_eq!(registered(&owned(), By::Chosen("owner"), STORED_URL), repeat);
    assert_eq!(registered(&pending(owned()), By::Chosen("owner"), STORED_URL), repeat);
}

#[test]
fn g11_a_hash_alone_changes_nothing() {
    let other_url = registered(&owned(), By::Chosen("owner"), OTHER_URL);
    assert_eq!(other_url, Becomes::Refused(Refusal::MissingToken));
    let other_card = Workspace { agent_card: Some("{}".to_owned()), ..owned() };
    let other_card = registered(&other_card, By::Chosen("owner"), STORED_URL);
    assert_eq!(other_card, Becomes::Refused(Refusal::MissingToken));
    let of_an_api_token = registered(&owned(), By::Chosen("api"), STORED_URL);
    assert_eq!(of_an_api_token, Becomes::Refused(Refusal::MissingToken));
}

#[test]
fn the_mint_table() {
    use MintDecision::{AlreadyDone, Mint};
    let chosen = |workspace: &Workspace, word| mint(workspace, Some(&hash(word)), now());
    let pending = handed_over(owned(), NOW + 1);
    assert_eq!(mint(&removed(), None, now()), Err(Refusal::Removed));
    for workspace in [&open(), &owned(), &sealed(), &pending] {
        assert_eq!(mint(workspace, None, now()), Ok(Mint));
        assert_eq!(chosen(workspace, "new"), Ok(Mint));
        assert_eq!(chosen(workspace, "api"), Ok(AlreadyDone));
        assert_eq!(chosen(workspace, "previous"), Err(Refusal::HashInUse));
    }
    assert_eq!(chosen(&owned(), "owner"), Err(Refusal::HashInUse));
    assert_eq!(chosen(&pending, "successor"), Err(Refusal::HashInUse));
    assert_eq!(chosen(&handed_over(owned(), NOW), "successor"), Ok(Mint));
}

#[test]
fn a_workspace_has_at_most_20_api_tokens() {
    let mut workspace = owned();
    while workspace.api_tokens.len() < API_TOKEN_LIMIT {
        assert_eq!(mint(&workspace, None, now()), Ok(MintDecision::Mint));
        let word = workspace.api_tokens.len().to_string();
        workspace.api_tokens.insert(hash(&word), ApiToken { prefix: None, minted_at: String::new() });
    }
    let full = Err(Refusal::TokenLimitReached);
    assert_eq!(mint(&workspace, None, now()), full);
    assert_eq!(mint(&workspace, Some(&hash("new")), now()), full);
    assert_eq!(mint(&workspace, Some(&hash("api")), now()), Ok(MintDecision::AlreadyDone));
}

/// What a revoke that was made by [`LastOperation`] came to.
fn revoked(ended: usize, reserved_until: Option<i64>) -> Revoked {
    Revoked { ended, epoch: Epoch(5), reserved_until }
}

#[test]
fn the_revoke_table() {
    use RevokeDecision::{AlreadyDone, Revoke};
    let decide = |workspace: &Workspace, scope, id: &str, expected_epoch| {
        let operation = Operation { id: OperationId::parse(id).unwrap(), expected_epoch };
        revoke(workspace, &RevokeRequest { scope, successor: None, operation }, now())
    };
    let (all, owner, api) = (RevokeScope::All, RevokeScope::Owner, RevokeScope::Api);
    assert_eq!(decide(&removed(), all, "op", None), Err(Refusal::Removed));
    assert_eq!(decide(&owned(), all, "op", Some(Epoch(1))), Ok(AlreadyDone(revoked(0, None))));
    assert_eq!(decide(&owned(), api, "op", None), Err(Refusal::OperationIdReused));
    assert_eq!(decide(&owned(), all, "new", Some(Epoch(6))), Err(Refusal::EpochChanged));
    assert_eq!(decide(&owned(), all, "new", Some(Epoch(7))), Ok(Revoke { ended: 2 }));
    assert_eq!(decide(&owned(), owner, "new", None), Ok(Revoke { ended: 1 }));
    assert_eq!(decide(&owned(), api, "new", None), Ok(Revoke { ended: 1 }));
    assert_eq!(decide(&open(), all, "new", None), Ok(Revoke { ended: 1 }));
    assert_eq!(decide(&open(), owner, "new", None), Ok(Revoke { ended: 0 }));
    assert_eq!(decide(&sealed(), owner, "new", None), Ok(Revoke { ended: 0 }));
}

#[test]
fn the_table_of_a_revoke_with_a_successor() {
    use RevokeDecision::{AlreadyDone, Revoke};
    let decide = |workspace: &Workspace, word, id: &str| {
        let operation = Operation { id: OperationId::parse(id).unwrap(), expected_epoch: None };
        let successor = Some(Successor { hash: hash(word), expires: NOW + 99 });
        revoke(workspace, &RevokeRequest { scope: RevokeScope::All, successor, operation }, now())
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
    assert_eq!(decide(&owned(), "new", "new"), Ok(Revoke { ended: 2 }));
    assert_eq!(
        decide(&pending, "successor", "new"),
        Ok(Revoke { ended: 2 }),
        "the one that is pending may stay"
    );
    assert_eq!(decide(&pending, "another", "new"), Ok(Revoke { ended: 2 }));
    for word in ["owner", "api", "previous"] {
        assert_eq!(decide(&owned(), word, "new"), Err(Refusal::SuccessorInUse), "{word}");
    }
    assert_eq!(decide(&owned(), "new", "op"), Err(Refusal::OperationIdReused), "was without a successor");
    assert_eq!(
        decide(&made(pending), "successor", "op"),
        Ok(AlreadyDone(revoked(0, Some(NOW + 1)))),
        "the time that was asked for then"
    );
    assert_eq!(
        decide(&made(owned()), "successor", "op"),
        Ok(AlreadyDone(revoked(0, None))),
        "it is gone since"
    );
    assert_eq!(decide(&made(owned()), "another", "op"), Err(Refusal::OperationIdReused));
}

fn with_operation(workspace: Workspace, id: &str, kind: &str) -> Workspace {
    let last = LastOperation { id: id.to_owned(), kind: kind.to_owned(), epoch: Epoch(5) };
    Workspace { last_operation: Some(last), ..workspace }
}

#[test]
fn g14_the_hand_over_table() {
    use HandOver::{Expired, HandedOver, Pending};
    let decide = |workspace: &Workspace, word, id: &str, expected_epoch| {
        let operation = Operation { id: OperationId::parse(id).unwrap(), expected_epoch };
        hand_over(workspace, &hash(word), &operation, now())
    };
    let decide_new = |workspace: &Workspace, word| decide(workspace, word, "new", None);
    let decide_same = |workspace: Workspace, word| {
        let kind = hand_over_kind(&hash("successor"));
        decide(&with_operation(workspace, "op", &kind), word, "op", Some(Epoch(1)))
    };
    let made = |state| Ok(HandOverDecision::AlreadyDone(state));
    let taken_over = owned_by(OwnerHash::Token(hash("successor")));
    let (pending, expired) = (handed_over(owned(), NOW + 1), handed_over(owned(), NOW));
    assert_eq!(decide_new(&removed(), "new"), Err(Refusal::Removed));
    for workspace in [&open(), &owned(), &sealed(), &pending, &expired] {
        assert_eq!(decide_new(workspace, "new"), Ok(HandOverDecision::HandOver));
        assert_eq!(decide(workspace, "new", "new", Some(Epoch(7))), Ok(HandOverDecision::HandOver));
        let elsewhere = decide(workspace, "new", "new", Some(Epoch(6)));
        assert_eq!(elsewhere, Err(Refusal::EpochChanged));
        for word in ["api", "previous"] {
            assert_eq!(decide_new(workspace, word), Err(Refusal::SuccessorInUse));
        }
    }
    assert_eq!(decide_new(&pending, "successor"), made(Pending { epoch: Epoch(7), expires: NOW + 1 }));
    assert_eq!(decide_new(&expired, "successor"), Ok(HandOverDecision::HandOver), "as if never made");
    assert_eq!(decide_new(&owned(), "owner"), made(HandedOver { epoch: Epoch(6) }));
    // The same operation again, with an epoch that is long gone.
    assert_eq!(
        decide_same(pending.clone(), "successor"),
        made(Pending { epoch: Epoch(5), expires: NOW + 1 })
    );
    assert_eq!(decide_same(expired, "successor"), made(Expired { epoch: Epoch(5), expires: Some(NOW) }));
    assert_eq!(decide_same(owned(), "successor"), made(Expired { epoch: Epoch(5), expires: None }));
    assert_eq!(decide_same(taken_over, "successor"), made(HandedOver { epoch: Epoch(5) }));
    assert_eq!(decide_same(pending.clone(), "another"), Err(Refusal::OperationIdReused));
    assert_eq!(decide(&pending, "successor", "op", None), Err(Refusal::OperationIdReused), "a revoke");
}

#[test]
fn g15_the_cancel_table() {
    use CancelDecision::{AlreadyDone, Cancel};
    let decide = |workspace: &Workspace, id: &str, expected_epoch| {
        let operation = Operation { id: OperationId::parse(id).unwrap(), expected_epoch };
        cancel_hand_over(workspace, &operation)
    };
    let (pending, expired) = (handed_over(owned(), NOW + 1), handed_over(owned(), NOW));
    assert_eq!(decide(&removed(), "new", None), Err(Refusal::Removed));
    assert_eq!(decide(&pending, "new", Some(Epoch(6))), Err(Refusal::EpochChanged));
    assert_eq!(decide(&pending, "new", Some(Epoch(7))), Ok(Cancel));
    assert_eq!(decide(&expired, "new", None), Ok(Cancel), "a take-over may be on its way");
    assert_eq!(decide(&owned(), "new", None), Ok(Cancel), "a hand-over may be on its way");
    assert_eq!(decide(&pending, "op", None), Err(Refusal::OperationIdReused));
    let cancelled = with_operation(owned(), "op", CANCEL);
    assert_eq!(decide(&cancelled, "op", Some(Epoch(1))), Ok(AlreadyDone { epoch: Epoch(5) }));
}

#[test]
fn g6_a_registration_knows_its_own_write_again() {
    let registration = Registration { url: Some(STORED_URL), agent_card: CARD };
    let elsewhere = Registration { url: Some(OTHER_URL), agent_card: CARD };
    let (owner, other, made) = (hash("owner"), hash("other"), hash("owner"));
    let before = |decision: &RegisterDecision<'_>, made: Option<&TokenHash>, registration| {
        registered_before(&owned(), decision, made, registration)
    };
    for decision in [RegisterDecision::TakeOver(&owner), RegisterDecision::Claim { chosen: Some(&owner) }] {
        assert!(before(&decision, None, &registration), "{decision:?}");
        assert!(!before(&decision, None, &elsewhere), "{decision:?}: another call of the same token");
    }
    for decision in [RegisterDecision::TakeOver(&other), RegisterDecision::Claim { chosen: Some(&other) }] {
        assert!(!before(&decision, None, &registration), "{decision:?}");
    }
    let claim = RegisterDecision::Claim { chosen: None };
    assert!(before(&claim, Some(&made), &elsewhere), "registered again since");
    assert!(!before(&claim, Some(&other), &registration));
    for refresh in [RegisterDecision::Refresh(&owner), RegisterDecision::RefreshByApiToken(&owner)] {
        assert!(!before(&refresh, None, &registration), "{refresh:?} is made once more");
    }
}

#[test]
fn g6_a_create_and_a_mint_know_their_own_write_again() {
    let asked = |created_op: &str| Workspace { created_op: created_op.to_owned(), ..open() };
    assert!(created_before(&owned(), &asked("another call"), Some(&hash("owner"))));
    assert!(created_before(&open(), &asked("another call"), Some(&hash("api"))));
    assert!(created_before(&sealed(), &asked("r"), None), "the same call");
    assert!(!created_before(&owned(), &asked("another call"), Some(&hash("new"))));
    assert!(!created_before(&owned(), &asked("another call"), Some(&hash("previous"))));
    assert!(!created_before(&sealed(), &asked("another call"), None));
    assert!(minted_before(&owned(), &hash("api")));
    assert!(!minted_before(&owned(), &hash("owner")));
}

#[test]
fn g6_an_operation_knows_its_own_write_again() {
    let operation = |id: &str| Operation { id: OperationId::parse(id).unwrap(), expected_epoch: None };
    let (own, other, successor) = (operation("op"), operation("new"), hash("successor"));
    let pending = handed_over(owned(), NOW + 1);
    let named = Some(Successor { hash: successor.clone(), expires: NOW + 99 });
    let revoke_of = |successor, operation: &Operation| RevokeRequest {
        scope: RevokeScope::All,
        successor,
        operation: operation.clone(),
    };

    // The remembered operation made epoch 5: it was decided at 4.
    let again = |found: &Workspace, request: &RevokeRequest, seen| {
        revoked_before(found, request, (Epoch(seen), 2), now())
    };
    assert_eq!(again(&open(), &revoke_of(None, &own), 4), Ok(revoked(2, None)));
    assert_eq!(again(&open(), &revoke_of(None, &own), 3), Ok(revoked(0, None)), "another call made it");
    assert_eq!(again(&open(), &revoke_of(None, &other), 4), Err(Refusal::EpochChanged));
    assert_eq!(again(&removed(), &revoke_of(None, &own), 4), Err(Refusal::EpochChanged));
    let kind = revoke_of(named.clone(), &own).kind();
    let with_successor = with_operation(pending.clone(), "op", &kind);
    let reserved = revoked(2, Some(NOW + 1));
    assert_eq!(again(&with_successor, &revoke_of(named.clone(), &own), 4), Ok(reserved), "what is stored");
    let taken_over = with_operation(owned(), "op", &kind);
    assert_eq!(again(&taken_over, &revoke_of(named, &own), 4), Ok(revoked(2, None)), "nothing is reserved");

    let again =
        |found: &Workspace, operation: &Operation| handed_over_before(found, &successor, operation, now());
    let made = with_operation(pending.clone(), "op", &hand_over_kind(&successor));
    let state = HandOver::Pending { epoch: Epoch(5), expires: NOW + 1 };
    assert_eq!(again(&made, &own), Ok(state));
    assert_eq!(again(&made, &other), Err(Refusal::EpochChanged), "the same successor, named by another call");
    assert_eq!(again(&owned(), &other), Err(Refusal::EpochChanged));

    let cancelled = with_operation(owned(), "op", CANCEL);
    assert_eq!(cancelled_before(&cancelled, &own), Ok(Epoch(5)));
    assert_eq!(cancelled_before(&cancelled, &other), Err(Refusal::EpochChanged));
    assert_eq!(cancelled_before(&pending, &own), Err(Refusal::EpochChanged), "a revoke of that name");
}

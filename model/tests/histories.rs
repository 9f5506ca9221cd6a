//! Short runs of the recorded histories on the embedded engine: they hold, and a missing fence is noticed. The longer
//! ones, on DynamoDB Local, are made by the command `histories`. And histories written by hand that are not right.

use std::time::Duration;

use model::histories::calls::{Stray, StrayDeed};
use model::histories::record::{Deed, History, Verdict};
use model::histories::run::{Plan, run, run_to_a_violation};
use model::spec::{Answer, By, First, Op, Scope, Why};
use model::words::{Named, Place, Token};

fn on_the_embedded_engine(seed: u64, seconds: u64, sabotage: u64) -> Plan {
    let time = Duration::from_secs(seconds);
    Plan { seed, time, clients: 8, side_by_side: 8, percent: 15, sabotage, endpoint: None }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn histories_under_faults_are_linearizable() {
    let outcome = run(&on_the_embedded_engine(4, 5, 0)).await;
    assert!(outcome.calls > 0 && outcome.strays > 0, "{outcome:?}");
    assert_eq!((outcome.violations.as_slice(), outcome.undecided), (&[][..], 0));
}

/// The time is for a busy machine: the first few workspaces show it.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_missing_fence_is_noticed() {
    let outcome = run_to_a_violation(&on_the_embedded_engine(5, 120, 2)).await;
    assert!(!outcome.violations.is_empty(), "{outcome:?}");
}

const MADE: Token = Token(1_000);
const CREATE: Op = Op::Create(First::Chosen(Token::SOURCE));
const CLAIM: Op = Op::Register { bearer: None, chosen: None, place: Place::TARGET };

fn revoke(name: u16) -> Op {
    Op::Revoke { scope: Scope::All, successor: None, name: Named(name), expected: None }
}

/// Calls one after the other.
fn calls(history: &mut History, calls: &[(Op, Answer)]) {
    for (op, said) in calls {
        let call = history.begin(Deed::Call(*op), None);
        history.end(call, *said);
    }
}

/// A write that nobody heard of.
fn stray(history: &mut History, deed: StrayDeed, fence: Option<u64>) {
    history.begin(Deed::Stray(Stray { deed, fence }), None);
}

/// A workspace of the source's, which a revoke has opened: two epochs.
fn opened() -> History {
    let mut history = History::default();
    calls(
        &mut history,
        &[
            (CREATE, Answer::Created { token: None }),
            (revoke(0), Answer::Revoked { ended: 1, epoch: Some(2) }),
        ],
    );
    history
}

fn is_right(mut history: History) -> bool {
    history.doubt();
    history.judge() == Verdict::Linearizable && history.strange.is_empty()
}

/// An agent claims and hears nothing; its write lands before or after a revoke that has been answered.
fn unheard_claim(epoch_of_the_revoke: u64, epoch_of_the_owner: u64) -> History {
    let mut history = opened();
    let call = history.begin(Deed::Call(CLAIM), None);
    stray(&mut history, StrayDeed::Owner(MADE, Place::TARGET), Some(2));
    history.cut(call);
    let ended = usize::from(epoch_of_the_owner < epoch_of_the_revoke);
    let shown = |owner_epoch, tokens| Answer::Shown {
        epoch: 4,
        owner_epoch,
        place: Some(Place::TARGET),
        by: Some(By::Owner),
        tokens,
    };
    let shown = if ended == 1 { shown(None, 0) } else { shown(Some(epoch_of_the_owner), 1) };
    let revoked = Answer::Revoked { ended, epoch: Some(epoch_of_the_revoke) };
    calls(&mut history, &[(revoke(1), revoked), (Op::Show { bearer: None }, shown)]);
    history
}

#[test]
fn g3_an_unheard_claim_does_not_outlive_a_revoke() {
    assert!(is_right(unheard_claim(4, 3)));
    assert!(!is_right(unheard_claim(3, 4)));
}

/// A revoke whose first write has landed is told that the epoch changed; another one may have come after it.
fn refused_revoke(comes_another: bool) -> History {
    let mut history = opened();
    let call = history.begin(Deed::Call(revoke(1)), None);
    stray(&mut history, StrayDeed::Operation(revoke(1)), Some(2));
    if comes_another {
        calls(&mut history, &[(revoke(2), Answer::Revoked { ended: 0, epoch: Some(4) })]);
    }
    history.end(call, Answer::Refused(Why::EpochChanged));
    calls(
        &mut history,
        &[(revoke(3), Answer::Revoked { ended: 0, epoch: Some(4 + u64::from(comes_another)) })],
    );
    history
}

#[test]
fn g6_a_revoke_is_not_refused_for_its_own_write() {
    assert!(is_right(refused_revoke(true)));
    assert!(!is_right(refused_revoke(false)));
}

#[test]
fn g6_a_create_is_not_repeated_once_its_token_has_ended() {
    let mut history = opened();
    calls(&mut history, &[(CREATE, Answer::Created { token: None })]);
    assert!(!is_right(history));
}

/// An API token refreshes, unheard, with a fence or without.
fn unheard_refresh(fence: Option<u64>) -> History {
    let mut history = opened();
    let shown = Answer::Shown {
        epoch: 3,
        owner_epoch: None,
        place: Some(Place::CALLER),
        by: Some(By::Api),
        tokens: 1,
    };
    calls(&mut history, &[(Op::Mint { chosen: None }, Answer::Minted { token: Some(MADE) })]);
    stray(&mut history, StrayDeed::Refresh(MADE, Place::CALLER), fence);
    calls(&mut history, &[(Op::Show { bearer: None }, shown)]);
    history
}

#[test]
fn an_api_tokens_refresh_has_a_fence() {
    assert!(is_right(unheard_refresh(Some(3))));
    assert!(!is_right(unheard_refresh(None)));
}

#[test]
fn g8_a_token_is_shown_once() {
    let mut history = opened();
    let minted = (Op::Mint { chosen: None }, Answer::Minted { token: Some(MADE) });
    calls(&mut history, &[minted]);
    assert!(history.strange.is_empty());
    calls(&mut history, &[minted]);
    assert!(!history.strange.is_empty());
}

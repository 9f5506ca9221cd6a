//! Short recorded histories on the embedded engine: they are linearizable, and a missing fence is noticed. The command
//! `histories` records longer ones on DynamoDB Local. Besides, histories written by hand, right and wrong.

use std::time::Duration;

use model::histories::calls::{StoreChange, StoreWrite};
use model::histories::record::{History, Recorded, Verdict};
use model::histories::run::{Plan, run, run_to_a_violation};
use model::spec::{Answer, By, First, Op, Scope, Why};
use model::symbols::{CommandName, Credential, Place, Token};

fn on_the_embedded_engine(seed: u64, seconds: u64, sabotage: u64) -> Plan {
    let time = Duration::from_secs(seconds);
    Plan { seed, time, clients: 8, side_by_side: 8, percent: 15, sabotage, endpoint: None }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn histories_under_faults_are_linearizable() {
    let outcome = run(&on_the_embedded_engine(4, 5, 0)).await;
    assert!(outcome.calls > 0 && outcome.unconfirmed > 0, "{outcome:?}");
    assert_eq!((outcome.violations.as_slice(), outcome.undecided), (&[][..], 0));
}

/// The time is for a busy machine. The first few workspaces show it.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_missing_fence_is_noticed() {
    let outcome = run_to_a_violation(&on_the_embedded_engine(5, 120, 2)).await;
    assert!(!outcome.violations.is_empty(), "{outcome:?}");
}

const MADE: Token = Token(1_000);
const CREATE: Op = Op::Create(First::Chosen(Token::SOURCE));
const CLAIM: Op = Op::Register { bearer: None, chosen: None, place: Place::TARGET };

fn revoke(name: u16) -> Op {
    Op::Revoke { scope: Scope::All, successor: None, name: CommandName(name), expected: None }
}

/// Calls one after the other.
fn calls(history: &mut History, calls: &[(Op, Answer)]) {
    for (op, said) in calls {
        let call = history.begin(Recorded::Call(*op), None);
        history.end(call, *said);
    }
}

/// A write whose reply was lost.
fn unconfirmed(history: &mut History, change: StoreChange, fence: u64) {
    history.begin(Recorded::Write(StoreWrite { change, fence: Some(fence) }), None);
}

/// A workspace that the source owned until a revoke opened it, at epoch 2.
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
    history.withdraw_doubtful();
    history.judge() == Verdict::Linearizable && history.unexpected.is_empty()
}

/// An agent claims and gets no answer. Its write takes effect before or after a revoke that was answered.
fn unanswered_claim(epoch_of_the_revoke: u64, epoch_of_the_owner: u64) -> History {
    let mut history = opened();
    let call = history.begin(Recorded::Call(CLAIM), None);
    unconfirmed(&mut history, StoreChange::Owner(MADE, Place::TARGET), 2);
    history.cut(call);
    let ended = usize::from(epoch_of_the_owner < epoch_of_the_revoke);
    let shown = |owner_epoch, tokens| Answer::Shown {
        epoch: 4,
        owner_epoch,
        place: Some(Place::TARGET),
        by: Some(By::Owner),
        tokens,
        beat: None,
    };
    let shown = if ended == 1 { shown(None, 0) } else { shown(Some(epoch_of_the_owner), 1) };
    let revoked = Answer::Revoked { ended, epoch: Some(epoch_of_the_revoke) };
    calls(&mut history, &[(revoke(1), revoked), (Op::Show { bearer: None }, shown)]);
    history
}

#[test]
fn g3_an_unanswered_claim_does_not_outlive_a_revoke() {
    assert!(is_right(unanswered_claim(4, 3)));
    assert!(!is_right(unanswered_claim(3, 4)));
}

/// The first write of a revoke takes effect, and the revoke answers that the epoch changed. Another revoke may come between.
fn refused_revoke(comes_another: bool) -> History {
    let mut history = opened();
    let call = history.begin(Recorded::Call(revoke(1)), None);
    unconfirmed(&mut history, StoreChange::Command(revoke(1)), 2);
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

/// An API token's refresh, decided at epoch 3, is not seen after a revoke has made epoch 4, and then it is.
fn late_refresh(fence: u64) -> History {
    let mut history = opened();
    let shown = |place| Answer::Shown {
        epoch: 4,
        owner_epoch: None,
        place,
        by: place.map(|_| By::Api),
        tokens: 0,
        beat: None,
    };
    calls(&mut history, &[(Op::Mint { chosen: None, expires: false }, Answer::Minted { token: Some(MADE) })]);
    unconfirmed(&mut history, StoreChange::Refresh(By::Api, Place::CALLER), fence);
    let read = Op::Show { bearer: None };
    calls(
        &mut history,
        &[
            (revoke(1), Answer::Revoked { ended: 1, epoch: Some(4) }),
            (read, shown(None)),
            (read, shown(Some(Place::CALLER))),
        ],
    );
    history
}

#[test]
fn g3_a_late_refresh_does_not_outlive_a_revoke() {
    assert!(!is_right(late_refresh(3)));
    assert!(is_right(late_refresh(4)), "decided after the revoke");
}

/// A mint gives up. Its write may have met a later epoch, or not.
fn contended_mint(fence: u64) -> History {
    let mut history = opened();
    let mint = Op::Mint { chosen: Some(Token::CALLER), expires: false };
    let call = history.begin(Recorded::Call(mint), None);
    let write = Recorded::Write(StoreWrite { change: StoreChange::Mint(Token::CALLER), fence: Some(fence) });
    let write = history.begin(write, None);
    history.confirm(write);
    history.end(call, Answer::Contended);
    let shown = Answer::Shown { epoch: 2, owner_epoch: None, place: None, by: None, tokens: 0, beat: None };
    calls(&mut history, &[(Op::Show { bearer: None }, shown)]);
    history
}

#[test]
fn g6_a_call_gives_up_only_if_the_workspace_changed() {
    assert!(is_right(contended_mint(1)));
    assert!(!is_right(contended_mint(2)));
}

#[test]
fn g8_a_token_is_shown_once() {
    let mut history = opened();
    let minted = (Op::Mint { chosen: None, expires: false }, Answer::Minted { token: Some(MADE) });
    calls(&mut history, &[minted]);
    assert!(history.unexpected.is_empty());
    calls(&mut history, &[minted]);
    assert!(!history.unexpected.is_empty());
}

/// The target takes over from the source, and everybody is told.
fn taken_over() -> History {
    let mut history = History::default();
    let hand_over = Op::HandOver { successor: Token::TARGET, name: CommandName(1), expected: None };
    let bearer = |token| Some(Credential::Token(token));
    let source = Op::Register { bearer: bearer(Token::SOURCE), chosen: None, place: Place::SOURCE };
    let target = Op::Register { bearer: bearer(Token::TARGET), chosen: None, place: Place::TARGET };
    calls(
        &mut history,
        &[
            (CREATE, Answer::Created { token: None }),
            (source, Answer::Registered { epoch: 1, token: None }),
            (hand_over, Answer::Pending { epoch: 2 }),
            (target, Answer::Registered { epoch: 3, token: None }),
        ],
    );
    history
}

#[test]
fn g18_an_address_from_before_a_take_over_is_noticed() {
    let discovered = |epoch, place| {
        let mut history = taken_over();
        calls(&mut history, &[(Op::Discover, Answer::Discovered { epoch, place: Some(place) })]);
        is_right(history)
    };
    assert!(discovered(3, Place::TARGET));
    assert!(!discovered(3, Place::SOURCE));
    assert!(!discovered(2, Place::SOURCE));
}

#[test]
fn g17_a_former_owner_s_heartbeat_is_noticed() {
    let shown = |beat| {
        let mut history = taken_over();
        let (place, by) = (Some(Place::TARGET), Some(By::Owner));
        let shown = Answer::Shown { epoch: 3, owner_epoch: Some(3), place, by, tokens: 1, beat };
        calls(&mut history, &[(Op::Show { bearer: None }, shown)]);
        is_right(history)
    };
    assert!(shown(None) && shown(Some(Token::TARGET)));
    assert!(!shown(Some(Token::SOURCE)));
    let beaten = |token| {
        let mut history = taken_over();
        let op = Op::Beat { bearer: Credential::Token(token) };
        calls(&mut history, &[(op, Answer::Beaten { epoch: 3 })]);
        is_right(history)
    };
    assert!(beaten(Token::TARGET) && !beaten(Token::SOURCE));
}

//! An episode's history, and whether it is linearizable.

use std::collections::HashSet;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use stateright::semantics::{ConsistencyTester, LinearizabilityTester, SequentialSpec};

use super::calls::{StoreChange, StoreWrite, Texts};
use crate::spec::{Answer, First, Op, Spec, Why};
use crate::symbols::{Credential, Time, Token};

/// What happened to one workspace, in order.
#[derive(Debug, Default)]
pub struct History {
    events: Vec<Event>,
    calls: Vec<Call>,
    /// What no order of the calls explains: answers that the contract does not know, tokens shown twice, and requests to
    /// the store that the registry never sends.
    pub unexpected: Vec<String>,
}

#[derive(Clone, Copy, Debug)]
enum Event {
    Begin(usize),
    End(usize),
}

#[derive(Clone, Debug)]
struct Call {
    what: Recorded,
    begin: Instant,
    end: Option<Instant>,
    answer: Option<Answer>,
    /// For a write: its function has received the reply.
    is_confirmed: bool,
    /// The SDK's id of a write, which its retries share.
    invocation: Option<String>,
}

/// What a history records.
#[derive(Clone, Copy, Debug)]
pub enum Recorded {
    /// A call that reached the registry.
    Call(Op),
    /// A write to the store. While it is not confirmed, its function may not know that it took effect.
    Write(StoreWrite),
}

/// An episode, shared by everybody who records in it.
#[derive(Debug, Default)]
pub struct Episode {
    pub history: Mutex<History>,
    pub texts: Mutex<Texts>,
}

impl Call {
    /// Whether the answer says anything about the workspace. An unknown outcome does not.
    fn says_something(&self) -> bool {
        !matches!(self.answer, None | Some(Answer::Unavailable))
    }

    fn is_call(&self) -> bool {
        matches!(self.what, Recorded::Call(_))
    }

    /// The write, if this call could have sent it: it began while the call ran, and it fits.
    fn as_write_of(&self, call: &Self) -> Option<StoreWrite> {
        let (Recorded::Write(write), Recorded::Call(op)) = (self.what, call.what) else { return None };
        let is_meanwhile = call.begin <= self.begin && call.end.is_none_or(|end| self.begin <= end);
        (is_meanwhile && write.change.may_be_of(&op)).then_some(write)
    }
}

impl History {
    /// Nobody waits for this call any more.
    pub fn cut(&mut self, number: usize) {
        self.calls[number].end.get_or_insert_with(Instant::now);
    }

    /// `invocation` is the SDK's id of a write. A write that the SDK sends again was not confirmed.
    pub fn begin(&mut self, what: Recorded, invocation: Option<String>) -> usize {
        let number = self.calls.len();
        if invocation.is_some() {
            for call in self.calls.iter_mut().filter(|call| call.invocation == invocation) {
                call.is_confirmed = false;
            }
        }
        self.calls.push(Call {
            what,
            begin: Instant::now(),
            end: None,
            answer: None,
            is_confirmed: false,
            invocation,
        });
        self.events.push(Event::Begin(number));
        number
    }

    pub fn end(&mut self, number: usize, answer: Answer) {
        if let Some(token) = answer.token()
            && self.answers().any(|told| told.token() == Some(token))
        {
            self.unexpected.push(format!("{token:?} is shown a second time, in answer {number}"));
        }
        self.calls[number].end = Some(Instant::now());
        self.calls[number].answer = Some(answer);
        self.events.push(Event::End(number));
    }

    /// The write's reply was passed back. Its function knows the outcome, unless the SDK has sent the write again since.
    pub fn confirm(&mut self, number: usize) {
        let invocation = self.calls[number].invocation.clone();
        let is_last = self.calls[number + 1..].iter().all(|later| later.invocation != invocation);
        self.calls[number].is_confirmed = is_last;
    }

    /// Withdraws what cannot be sure. If a call's outcome is unknown, each write that it could have sent may be the one
    /// whose reply its function did not receive.
    pub fn withdraw_doubtful(&mut self) {
        let doubtful: Vec<_> = self
            .calls
            .iter()
            .filter(|call| matches!(call.answer, None | Some(Answer::Unavailable)))
            .filter_map(|call| if let Recorded::Call(op) = call.what { Some((op, call.begin)) } else { None })
            .collect();
        for write in &mut self.calls {
            let Recorded::Write(sent) = write.what else { continue };
            let may_be_of = |(op, begin): &(Op, Instant)| *begin <= write.begin && sent.change.may_be_of(op);
            write.is_confirmed &= !doubtful.iter().any(may_be_of);
        }
    }

    /// How many calls there are.
    pub fn calls(&self) -> usize {
        self.calls.iter().filter(|call| call.is_call()).count()
    }

    /// How many writes are unconfirmed.
    pub fn unconfirmed(&self) -> usize {
        self.calls.iter().filter(|call| !call.is_call() && !call.is_confirmed).count()
    }

    /// How many calls ran while another one did.
    pub fn overlapping(&self) -> usize {
        let calls: Vec<_> = self.calls.iter().filter(|call| call.is_call()).collect();
        let meets = |one: &Call, other: &Call| {
            other.end.is_none_or(|end| one.begin < end) && one.end.is_none_or(|end| other.begin < end)
        };
        let is_overlapped = |(number, call): &(usize, &&Call)| {
            calls.iter().enumerate().any(|(other, another)| other != *number && meets(call, another))
        };
        calls.iter().enumerate().filter(is_overlapped).count()
    }

    /// All answers.
    pub fn answers(&self) -> impl Iterator<Item = Answer> + '_ {
        self.calls.iter().filter_map(|call| call.answer)
    }

    /// Whether some order of the calls agrees with their times and the specification.
    pub fn judge(&self) -> Verdict {
        // The search tries the calls in the order of their answers first, then the unconfirmed writes. A call without an
        // answer has no part of its own: what it did is among those writes.
        let ended = self.events.iter().filter_map(|event| match event {
            Event::End(number) => Some(*number),
            Event::Begin(_) => None,
        });
        let mut order: Vec<_> = ended.filter(|number| self.calls[*number].says_something()).collect();
        let is_unconfirmed = |call: &Call| !call.is_call() && !call.is_confirmed;
        order.extend((0..self.calls.len()).filter(|number| is_unconfirmed(&self.calls[*number])));
        let rank = |number: usize| order.iter().position(|ranked| *ranked == number);
        let search = Arc::new(Search {
            calls: self.ranked(&order),
            been: Mutex::default(),
            farthest: Mutex::default(),
            end: Instant::now() + LONGEST_SEARCH,
            gave_up: AtomicBool::new(false),
        });
        let mut tester = LinearizabilityTester::new(Judge {
            spec: Spec::absent(),
            issued: Vec::new(),
            done: Vec::new(),
            search: Arc::clone(&search),
        });
        for event in &self.events {
            match *event {
                Event::Begin(number) => {
                    let Some(rank) = rank(number) else { continue };
                    tester.on_invoke(rank, rank).unwrap();
                }
                Event::End(number) => {
                    let Some(rank) = rank(number) else { continue };
                    tester.on_return(rank, ()).unwrap();
                }
            }
        }
        // An unconfirmed write may take effect at any time, or after all calls, where nobody sees it.
        for (rank, number) in order.iter().enumerate() {
            if !self.calls[*number].is_call() {
                tester.on_return(rank, ()).unwrap();
            }
        }
        if tester.is_consistent() {
            return Verdict::Linearizable;
        }
        if search.gave_up.load(Ordering::Relaxed) {
            return Verdict::Undecided;
        }
        let farthest = search.farthest.lock().unwrap();
        let explained = farthest.as_ref().map_or_else(String::new, |(done, spec, _)| {
            let left = (0..order.len()).filter(|rank| !done.contains(rank)).map(|rank| order[rank]);
            format!("unexplained: {:?} where there is {spec:?}", left.collect::<Vec<_>>())
        });
        Verdict::NotLinearizable { explained }
    }

    /// The calls by rank, each with those that had ended when it began.
    fn ranked(&self, order: &[usize]) -> Vec<Ranked> {
        let at = |wanted: fn(&Event) -> Option<usize>, number: usize| {
            self.events.iter().position(|event| wanted(event) == Some(number))
        };
        let begin = |event: &Event| if let Event::Begin(number) = event { Some(*number) } else { None };
        let end = |event: &Event| if let Event::End(number) = event { Some(*number) } else { None };
        let times: Vec<_> = order.iter().map(|number| (at(begin, *number), at(end, *number))).collect();
        let ranked = order.iter().zip(&times).map(|(number, (began, _))| {
            let call = &self.calls[*number];
            let is_before = |(_, ended): &(Option<usize>, Option<usize>)| ended.is_some() && ended < began;
            let before = times.iter().enumerate().filter(|(_, times)| is_before(times)).map(|(rank, _)| rank);
            let what = match (call.what, call.answer) {
                (Recorded::Write(write), _) => What::Lands(write),
                (Recorded::Call(op), said) => {
                    let own = self.calls.iter().filter_map(|write| write.as_write_of(call)).collect();
                    What::Says { op, said: said.unwrap(), own }
                }
            };
            Ranked { what, before: before.collect() }
        });
        ranked.collect()
    }

    /// The history, to read.
    pub fn describe(&self) -> String {
        let mut lines = String::new();
        for event in &self.events {
            let line = match *event {
                Event::Begin(number) => {
                    let call = &self.calls[number];
                    if call.is_confirmed {
                        continue;
                    }
                    format!("{number:>4} begins {:?}\n", call.what)
                }
                Event::End(number) => format!("{number:>4} ends   {:?}\n", self.calls[number].answer),
            };
            lines.push_str(&line);
        }
        lines
    }
}

/// The result of the search for an order.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Verdict {
    Linearizable,
    /// No order explains the history. `explained` says how far the best one came.
    NotLinearizable {
        explained: String,
    },
    /// The search took longer than [`LONGEST_SEARCH`].
    Undecided,
}

/// When the search gives up.
pub const LONGEST_SEARCH: Duration = Duration::from_secs(30);

/// The search for an order. The tester tries all orders. Three rules keep it from trying what cannot help.
///
/// - If two orders of the same calls lead to the same state, only the first is continued: it did not lead to the end
///   (Lowe, Testing for Linearizability, 2016).
/// - A call that may come next, with a right answer that never changes anything, comes next. Later it could only be wrong.
/// - An unconfirmed write comes when it changes something, or after all answers are explained.
#[derive(Debug)]
struct Search {
    /// By rank.
    calls: Vec<Ranked>,
    been: Mutex<HashSet<Been>>,
    /// The longest order so far, and the state after it: where to look if no order explains all calls.
    farthest: Mutex<Option<Been>>,
    end: Instant,
    gave_up: AtomicBool,
}

/// The calls that are done, the state after them, and the tokens that have been live.
type Been = (Vec<usize>, Spec, Vec<Token>);

/// A call or an unconfirmed write, as the search sees it.
#[derive(Debug)]
struct Ranked {
    what: What,
    /// The ranks of those that come before it in every order.
    before: Vec<usize>,
}

#[derive(Debug)]
enum What {
    /// A call answers.
    Says {
        op: Op,
        said: Answer,
        /// The writes that may be its own.
        own: Vec<StoreWrite>,
    },
    /// An unconfirmed write reaches the store.
    Lands(StoreWrite),
}

/// The specification, as the linearizability tester calls it.
#[derive(Clone, Debug)]
struct Judge {
    spec: Spec,
    /// The tokens that have been live.
    issued: Vec<Token>,
    /// The ranks of the calls in order so far.
    done: Vec<usize>,
    search: Arc<Search>,
}

impl What {
    fn is_write(&self) -> bool {
        matches!(self, Self::Lands(_))
    }

    /// Whether a call with this answer has changed nothing.
    fn never_changes_anything(&self) -> bool {
        let Self::Says { said, .. } = self else { return false };
        matches!(
            said,
            Answer::Refused(_)
                | Answer::Contended
                | Answer::Shown { .. }
                | Answer::Discovered { .. }
                | Answer::HandedOver { .. }
                | Answer::Expired { .. }
        )
    }
}

/// The tester sees ranks only. The calls and answers behind them are in the [`Search`].
impl SequentialSpec for Judge {
    type Op = usize;
    type Ret = ();

    fn invoke(&mut self, _: &usize) {}

    fn is_valid_step(&mut self, rank: &usize, (): &()) -> bool {
        if Instant::now() > self.search.end {
            self.search.gave_up.store(true, Ordering::Relaxed);
            return false;
        }
        if let Some(first) = self.next_without_effect()
            && first != *rank
        {
            return false;
        }
        let before = self.clone();
        if !self.takes(*rank) {
            return false;
        }
        let is_write = self.search.calls[*rank].what.is_write();
        if is_write && self.is_same_as(&before) && !self.all_answers_are_explained() {
            return false;
        }
        let place = self.done.binary_search(rank).unwrap_or_else(|place| place);
        self.done.insert(place, *rank);
        let been = (self.done.clone(), self.spec.clone(), self.issued.clone());
        let mut farthest = self.search.farthest.lock().unwrap();
        if farthest.as_ref().is_none_or(|(done, ..)| done.len() < self.done.len()) {
            *farthest = Some(been.clone());
        }
        self.search.been.lock().unwrap().insert(been)
    }
}

/// The token that the specification generates where the answer shows none.
const UNKNOWN: Token = Token(u16::MAX);

impl Judge {
    /// Whether this may happen now. If so, it happens.
    fn takes(&mut self, rank: usize) -> bool {
        let search = Arc::clone(&self.search);
        match &search.calls[rank].what {
            What::Says { op, said, own } => self.says(op, *said, own),
            What::Lands(write) => {
                self.land(write);
                true
            }
        }
    }

    fn is_done(&self, rank: usize) -> bool {
        self.done.binary_search(&rank).is_ok()
    }

    fn is_same_as(&self, before: &Self) -> bool {
        self.spec == before.spec && self.issued == before.issued
    }

    fn all_answers_are_explained(&self) -> bool {
        let mut calls = self.search.calls.iter().enumerate();
        calls.all(|(rank, call)| call.what.is_write() || self.is_done(rank))
    }

    /// The first call that may come next with a right answer that changes nothing.
    fn next_without_effect(&self) -> Option<usize> {
        let has_no_effect = |rank: usize, call: &Ranked| {
            let may_come = !self.is_done(rank)
                && call.what.never_changes_anything()
                && call.before.iter().all(|b| self.is_done(*b));
            let mut next = self.clone();
            may_come && next.takes(rank) && next.is_same_as(self)
        };
        self.search
            .calls
            .iter()
            .enumerate()
            .find(|(rank, call)| has_no_effect(*rank, call))
            .map(|(rank, _)| rank)
    }

    /// Whether the call may answer this now. If so, it takes effect.
    fn says(&mut self, op: &Op, said: Answer, own: &[StoreWrite]) -> bool {
        let shown = said.token();
        let mut next = self.clone();
        // A token that the registry generates is new.
        let is_new = shown.is_none_or(|token| !self.issued.contains(&token));
        if is_new && next.perform(op, shown.unwrap_or(UNKNOWN)).allows(said) {
            *self = next;
            return true;
        }
        self.has_landed(op, said, own) || self.is_overtaken(op, said, own)
    }

    fn perform(&mut self, op: &Op, fresh: Token) -> Answer {
        let answer = self.spec.perform(op, Time::Early, fresh);
        for token in self.spec.owner().into_iter().chain(self.spec.api.iter().copied()) {
            if let Err(place) = self.issued.binary_search(&token) {
                self.issued.insert(place, token);
            }
        }
        answer
    }

    /// Whether the call's own unconfirmed write took effect before, and the answer fits the state now.
    fn has_landed(&self, op: &Op, said: Answer, own: &[StoreWrite]) -> bool {
        let chosen = match *op {
            Op::Create(First::Chosen(token)) | Op::Rotate { chosen: Some(token), .. } => Some(token),
            _ => None,
        };
        let brought = said.token().or(chosen);
        if !own.iter().any(|write| write.change.token() == brought) {
            return false;
        }
        match said {
            Answer::Registered { epoch, token: Some(token) } => {
                self.spec.owner() == Some(token) && self.spec.epoch == epoch
            }
            Answer::Minted { token: Some(token) } => self.spec.api.contains(&token),
            Answer::Rotating { epoch, .. } => {
                self.spec.successor.map(|next| next.token) == brought && self.spec.epoch == epoch
            }
            Answer::Ended { was_live: true, epoch } => {
                matches!(*op, Op::OwnerEnds { token, .. } if !self.spec.is_live(token, Time::Early))
                    && self.spec.epoch == epoch
            }
            Answer::Created { .. } => brought.is_some_and(|token| self.issued.contains(&token)),
            _ => false,
        }
    }

    /// Whether the call may give up: its write met a later epoch. A command must not have taken effect itself.
    fn is_overtaken(&self, op: &Op, said: Answer, own: &[StoreWrite]) -> bool {
        let gives_up_at_once = op.command().is_some() || op.expected().is_some();
        let may_give_up = if gives_up_at_once {
            said == Answer::Refused(Why::EpochChanged) && !self.spec.has_made(op)
        } else {
            said == Answer::Contended
        };
        may_give_up
            && own.iter().filter_map(|write| write.fence).min().is_some_and(|fence| fence < self.spec.epoch)
    }

    /// A write reaches the store, and takes effect if its fence holds.
    fn land(&mut self, write: &StoreWrite) {
        if write.fence.is_some_and(|fence| fence != self.spec.epoch) {
            return;
        }
        match write.change {
            StoreChange::Create(token) => {
                let first = token.map_or(First::None, First::Chosen);
                self.perform(&Op::Create(first), UNKNOWN);
            }
            // Whoever could refresh at the epoch of the fence still can.
            StoreChange::Refresh(by, place) => self.spec.refresh(place, by),
            StoreChange::Owner(token, place) => {
                let takes_over = self.spec.pending(Time::Early) == Some(token);
                let bearer = takes_over.then_some(Credential::Token(token));
                let chosen = (!takes_over).then_some(token);
                self.perform(&Op::Register { bearer, chosen, place }, UNKNOWN);
            }
            StoreChange::Mint(token) => {
                self.perform(&Op::Mint { chosen: Some(token), expires: false }, UNKNOWN);
            }
            StoreChange::Command(op) => {
                self.perform(&op, UNKNOWN);
            }
            // Whoever owned the workspace at the epoch of the fence still does.
            StoreChange::OwnerEnds(token) => {
                let Some(bearer) = self.spec.owner().map(Credential::Token) else { return };
                self.perform(&Op::OwnerEnds { bearer, token: token.unwrap_or(UNKNOWN) }, UNKNOWN);
            }
            StoreChange::Rotate(token) => {
                let Some(bearer) = self.spec.owner().map(Credential::Token) else { return };
                self.perform(&Op::Rotate { bearer, chosen: Some(token) }, UNKNOWN);
            }
            StoreChange::TakeOver(token) => {
                self.perform(&Op::Beat { bearer: Credential::Token(token) }, UNKNOWN);
            }
            StoreChange::Remove => {
                self.perform(&Op::Remove { expected: None }, UNKNOWN);
            }
        }
    }
}

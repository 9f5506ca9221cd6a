//! What an episode's history is, and whether it is right.

use std::collections::HashSet;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use stateright::semantics::{ConsistencyTester, LinearizabilityTester, SequentialSpec};

use super::calls::{Stray, StrayDeed, Texts};
use crate::spec::{Answer, First, Op, Spec, Why};
use crate::words::{Credential, Time, Token};

/// What happened to one workspace, in the order in which it did.
#[derive(Debug, Default)]
pub struct History {
    events: Vec<Event>,
    calls: Vec<Call>,
    /// What no order of the calls could excuse: answers that the contract does not know, or that show another call's
    /// token; requests to the store that the registry does not make.
    pub strange: Vec<String>,
}

#[derive(Clone, Copy, Debug)]
enum Event {
    Begin(usize),
    End(usize),
}

#[derive(Clone, Debug)]
struct Call {
    deed: Deed,
    begin: Instant,
    end: Option<Instant>,
    answer: Option<Answer>,
    /// A write whose function did hear how it ended.
    is_heard: bool,
    /// The SDK's own name for a write, which its retries share.
    invocation: Option<String>,
}

/// What may change the workspace.
#[derive(Clone, Copy, Debug)]
pub enum Deed {
    /// A call that reached the registry.
    Call(Op),
    /// A write that may have been made without its function knowing.
    Stray(Stray),
}

/// An episode as everybody who writes in it sees it.
#[derive(Debug, Default)]
pub struct Episode {
    pub history: Mutex<History>,
    pub texts: Mutex<Texts>,
}

impl Call {
    /// Whoever cannot say says so at any time; what it may have written is a stray.
    fn says_something(&self) -> bool {
        !matches!(self.answer, None | Some(Answer::Unavailable))
    }

    fn is_call(&self) -> bool {
        matches!(self.deed, Deed::Call(_))
    }

    /// What it writes, if it was begun while a call was under way and that call might have asked for it.
    fn as_write_of(&self, call: &Self) -> Option<Stray> {
        let (Deed::Stray(stray), Deed::Call(op)) = (self.deed, call.deed) else { return None };
        let is_meanwhile = call.begin <= self.begin && call.end.is_none_or(|end| self.begin <= end);
        (is_meanwhile && stray.deed.may_be_of(&op)).then_some(stray)
    }
}

impl History {
    /// Nobody will hear how this call ended.
    pub fn cut(&mut self, number: usize) {
        self.calls[number].end.get_or_insert_with(Instant::now);
    }

    /// `invocation` is the SDK's name for a write. A write that it makes again was not heard the first time.
    pub fn begin(&mut self, deed: Deed, invocation: Option<String>) -> usize {
        let number = self.calls.len();
        if invocation.is_some() {
            for call in self.calls.iter_mut().filter(|call| call.invocation == invocation) {
                call.is_heard = false;
            }
        }
        self.calls.push(Call {
            deed,
            begin: Instant::now(),
            end: None,
            answer: None,
            is_heard: false,
            invocation,
        });
        self.events.push(Event::Begin(number));
        number
    }

    pub fn end(&mut self, number: usize, answer: Answer) {
        if let Some(token) = answer.token()
            && self.answers().any(|told| told.token() == Some(token))
        {
            self.strange.push(format!("{token:?} is shown a second time, in the answer {number}"));
        }
        self.calls[number].end = Some(Instant::now());
        self.calls[number].answer = Some(answer);
        self.events.push(Event::End(number));
    }

    /// The reply was given back: unless something says otherwise, the write's function knows how it ended, and it is no
    /// stray.
    pub fn heard(&mut self, number: usize) {
        let invocation = self.calls[number].invocation.clone();
        let is_last = self.calls[number + 1..].iter().all(|later| later.invocation != invocation);
        self.calls[number].is_heard = is_last;
    }

    /// Where a function could not say how its call ended, or nobody heard what it said, each write that the call may have made may be the
    /// one of which it did not hear.
    pub fn doubt(&mut self) {
        let doubtful: Vec<_> = self
            .calls
            .iter()
            .filter(|call| matches!(call.answer, None | Some(Answer::Unavailable)))
            .filter_map(|call| if let Deed::Call(op) = call.deed { Some((op, call.begin)) } else { None })
            .collect();
        for write in &mut self.calls {
            let Deed::Stray(stray) = write.deed else { continue };
            let may_be_of = |(op, begin): &(Op, Instant)| *begin <= write.begin && stray.deed.may_be_of(op);
            write.is_heard &= !doubtful.iter().any(may_be_of);
        }
    }

    /// How many calls there are, strays apart.
    pub fn calls(&self) -> usize {
        self.calls.iter().filter(|call| call.is_call()).count()
    }

    /// How many writes may have been made without their function knowing.
    pub fn strays(&self) -> usize {
        self.calls.iter().filter(|call| !call.is_call() && !call.is_heard).count()
    }

    /// How many calls were under way while another one was.
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

    /// How often each kind of answer was given.
    pub fn answers(&self) -> impl Iterator<Item = Answer> + '_ {
        self.calls.iter().filter_map(|call| call.answer)
    }

    /// Whether some order of the calls agrees with their times and with the specification.
    pub fn judge(&self) -> Verdict {
        // Who is tried first: the calls in the order of their answers, then the strays. What a call did that was never
        // answered is among those.
        let ended = self.events.iter().filter_map(|event| match event {
            Event::End(number) => Some(*number),
            Event::Begin(_) => None,
        });
        let mut order: Vec<_> = ended.filter(|number| self.calls[*number].says_something()).collect();
        let is_stray = |call: &Call| !call.is_call() && !call.is_heard;
        order.extend((0..self.calls.len()).filter(|number| is_stray(&self.calls[*number])));
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
        // A stray may take effect at any time, the very end included, where nobody sees it any more.
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

    /// The calls by their ranks, each with those that had ended when it began.
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
            let what = match (call.deed, call.answer) {
                (Deed::Stray(stray), _) => What::Lands(stray),
                (Deed::Call(op), said) => {
                    let own = self.calls.iter().filter_map(|write| write.as_write_of(call)).collect();
                    What::Says { op, said: said.unwrap(), own }
                }
            };
            Ranked { what, before: before.collect() }
        });
        ranked.collect()
    }

    /// The history for a person.
    pub fn describe(&self) -> String {
        let mut lines = String::new();
        for event in &self.events {
            let line = match *event {
                Event::Begin(number) => {
                    let call = &self.calls[number];
                    if call.is_heard {
                        continue;
                    }
                    format!("{number:>4} begins {:?}\n", call.deed)
                }
                Event::End(number) => format!("{number:>4} ends   {:?}\n", self.calls[number].answer),
            };
            lines.push_str(&line);
        }
        lines
    }
}

/// What became of the search for an order.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Verdict {
    Linearizable,
    /// No order explains the history; how far the best one went.
    NotLinearizable {
        explained: String,
    },
    /// None was found in [`LONGEST_SEARCH`].
    Undecided,
}

/// How long an order is looked for.
pub const LONGEST_SEARCH: Duration = Duration::from_secs(30);

/// The search for an order. The tester tries them all; three rules keep it from trying what cannot help.
///
/// - Where two ways lead to the same state with the same calls done, the second is not gone again: the first did not lead
///   to the end (Lowe, Testing for Linearizability, 2016).
/// - A call that may come next, and whose answer is right and is one that never changes anything, comes next: later it
///   could only be wrong.
/// - What nobody has heard of comes when it changes something, or when all answers have been explained.
#[derive(Debug)]
struct Search {
    /// By rank.
    calls: Vec<Ranked>,
    been: Mutex<HashSet<Been>>,
    /// The most calls that could be put in order, and what was so then: where to look when there is no order for all.
    farthest: Mutex<Option<Been>>,
    end: Instant,
    gave_up: AtomicBool,
}

/// The calls that are done, and what is so then.
type Been = (Vec<usize>, Spec, Vec<Token>);

/// A call, or a stray, as the search sees it.
#[derive(Debug)]
struct Ranked {
    what: What,
    /// The ranks of those that come before it in any order.
    before: Vec<usize>,
}

#[derive(Debug)]
enum What {
    /// A call is answered.
    Says {
        op: Op,
        said: Answer,
        /// The writes that may be its own.
        own: Vec<Stray>,
    },
    /// A stray lands.
    Lands(Stray),
}

/// The specification as the linearizability tester asks it.
#[derive(Clone, Debug)]
struct Judge {
    spec: Spec,
    /// The tokens that have had a role.
    issued: Vec<Token>,
    /// The calls that have been put in order so far, by their ranks.
    done: Vec<usize>,
    search: Arc<Search>,
}

impl What {
    fn is_stray(&self) -> bool {
        matches!(self, Self::Lands(_))
    }

    /// Whether nothing that comes to this has changed anything.
    fn never_changes_anything(&self) -> bool {
        let Self::Says { said, .. } = self else { return false };
        matches!(
            said,
            Answer::Refused(_) | Answer::Shown { .. } | Answer::HandedOver { .. } | Answer::Expired { .. }
        )
    }
}

/// The tester is told ranks; what is behind them, the answer included, stands in the [`Search`].
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
        let is_stray = self.search.calls[*rank].what.is_stray();
        if is_stray && self.is_same_as(&before) && !self.all_answers_are_explained() {
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

/// The token that the specification makes where the answer shows none.
const NOBODYS: Token = Token(u16::MAX);

impl Judge {
    /// Whether this may happen now; lets it happen.
    fn takes(&mut self, rank: usize) -> bool {
        let search = Arc::clone(&self.search);
        match &search.calls[rank].what {
            What::Says { op, said, own } => self.says(op, *said, own),
            What::Lands(stray) => {
                self.land(stray);
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
        calls.all(|(rank, call)| call.what.is_stray() || self.is_done(rank))
    }

    /// The first call that may come next, with an answer that is right now and changes nothing.
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

    /// Whether the call may be answered so now; does what it does.
    fn says(&mut self, op: &Op, said: Answer, own: &[Stray]) -> bool {
        let shown = said.token();
        let mut next = self.clone();
        // A token that the registry makes is new, and it is shown to this call alone.
        let is_new = shown.is_none_or(|token| !self.issued.contains(&token));
        if is_new && next.perform(op, shown.unwrap_or(NOBODYS)).allows(said) {
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

    /// Whether the call found that its own write had landed before, as a stray, and says what is so now.
    fn has_landed(&self, op: &Op, said: Answer, own: &[Stray]) -> bool {
        let chosen = match *op {
            Op::Create(First::Chosen(token)) => Some(token),
            _ => None,
        };
        let brought = said.token().or(chosen);
        if !own.iter().any(|write| write.deed.token() == brought) {
            return false;
        }
        match said {
            Answer::Registered { epoch, token: Some(token) } => {
                self.spec.owner() == Some(token) && self.spec.epoch == epoch
            }
            Answer::Minted { token: Some(token) } => self.spec.api.contains(&token),
            Answer::Created { .. } => brought.is_some_and(|token| self.issued.contains(&token)),
            _ => false,
        }
    }

    /// Whether an operator's call may be asked to look again: its write met another epoch, and was not made before. Of the
    /// writes that may be its own one is.
    fn is_overtaken(&self, op: &Op, said: Answer, own: &[Stray]) -> bool {
        said == Answer::Refused(Why::EpochChanged)
            && !self.spec.has_made(op)
            && own.iter().filter_map(|write| write.fence).min().is_some_and(|fence| fence < self.spec.epoch)
    }

    /// A write lands, when its fence lets it.
    fn land(&mut self, stray: &Stray) {
        if stray.fence.is_some_and(|fence| fence != self.spec.epoch) {
            return;
        }
        match stray.deed {
            StrayDeed::Create(token) => {
                let first = token.map_or(First::None, First::Chosen);
                self.perform(&Op::Create(first), NOBODYS);
            }
            StrayDeed::Refresh(token, place) => {
                // The owner's has no fence and is made on the owner alone; an API token's is fenced, and on that token.
                let is_met = match stray.fence {
                    None => self.spec.owner() == Some(token),
                    Some(_) => self.spec.api.contains(&token),
                };
                if is_met {
                    let bearer = Some(Credential::Token(token));
                    self.perform(&Op::Register { bearer, chosen: None, place }, NOBODYS);
                }
            }
            StrayDeed::Owner(token, place) => {
                let takes_over = self.spec.pending(Time::Early) == Some(token);
                let bearer = takes_over.then_some(Credential::Token(token));
                let chosen = (!takes_over).then_some(token);
                self.perform(&Op::Register { bearer, chosen, place }, NOBODYS);
            }
            StrayDeed::Mint(token) => {
                self.perform(&Op::Mint { chosen: Some(token) }, NOBODYS);
            }
            StrayDeed::Operation(op) => {
                self.perform(&op, NOBODYS);
            }
        }
    }
}

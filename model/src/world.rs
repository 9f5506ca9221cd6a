//! The model: clients, the functions that serve them, the network to the store, and faults.
//!
//! A step is one request to the store, or one fault. What a function does between two requests happens within a step: nobody
//! else can see it. Two faults make all others:
//!
//! | fault | and then | is the same as |
//! | --- | --- | --- |
//! | a copy of a write stays in the network | it lands before the call's own write | a lost reply and the SDK's retry |
//! | | it lands after the call's own write | a write that is delivered twice |
//! | | it lands after the call's answer | a write that is delivered late |
//! | a client stops waiting | its call goes on | a lost answer, a client's crash and restart, a duplicated request |
//! | | its call begins only later | a request that is delivered late |
//! | | its call stops for good | a function that is killed half-way, a store that fails for good |
//!
//! The model leaves out steps that only rule something out. A copy is never lost: it may just never land. A call never
//! fails: it may just never go on. And a copy whose fence can never hold again is dropped.

use std::fmt;

use stateright::{Model, Property};

use crate::audit::{self, Effect, Guarantee, Overtaken, Past};
use crate::flows::{Flows, Kind, Next, Request, Write};
use crate::mutant::Mutant;
use crate::scenario::{Ask, Scenario, Who};
use crate::spec::{Answer, By, Op};
use crate::symbols::{Credential, Place, Time, Token};
use crate::table::{ItemId, TABLE};

/// A scenario to check.
pub struct World {
    pub scenario: Scenario,
    flows: Flows,
    mutant: Option<Mutant>,
    /// The guarantees to check, as bits.
    watched: u32,
    /// The number of each client's first call.
    first_call: Vec<u8>,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct State {
    items: Vec<ItemId>,
    clock: Time,
    faults_left: u8,
    clients: Vec<ClientState>,
    calls: Vec<Call>,
    network: Vec<Late>,
    past: Vec<Past>,
    /// The guarantees that are broken, as bits.
    broken: u32,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash)]
struct ClientState {
    step: u8,
    tries: u8,
    /// The call that it waits for.
    waits_for: Option<u8>,
    /// The token that it has: from the start, or from an answer.
    token: Option<Token>,
    /// The epoch in the last answer, from which the flip proof counts.
    epoch: u64,
    /// The steps that succeeded, as bits.
    succeeded: u8,
}

/// A call that a function is working on.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
struct Call {
    number: u8,
    workspace: u8,
    op: Op,
    now: Time,
    client: u8,
    /// What it writes next; `None` before its read.
    write: Option<Write>,
    overtaken: Overtaken,
    revived: bool,
}

/// A copy of a write in the network.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
struct Late {
    number: u8,
    workspace: u8,
    op: Op,
    now: Time,
    write: Write,
    overtaken: Overtaken,
    revived: bool,
    settled: bool,
}

/// One step.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Action {
    /// A client makes its next call, and the call makes its first request.
    Begin(u8),
    /// Fault: a client makes a call that starts with a write. A copy of the write stays in the network; the write itself
    /// follows.
    BeginAndLeaveCopy(u8),
    /// A call makes its read.
    Read(u8),
    /// A call makes its write.
    Write(u8),
    /// Fault: a copy of a call's write stays in the network.
    LeaveCopy(u8),
    /// Fault: a client stops waiting for its call.
    GiveUp(u8),
    /// A copy lands.
    Land(u8),
    /// The early hand-overs expire.
    Tick,
    /// A client reads, and the flip proof holds.
    Prove(u8),
}

impl Call {
    fn request(&self) -> Request {
        Request { call: self.number, workspace: self.workspace, op: self.op, now: self.now }
    }
}

impl World {
    pub fn new(scenario: Scenario) -> Self {
        Self::with(scenario, None, Guarantee::ALL.iter().fold(0, |all, guarantee| all | guarantee.bit()))
    }

    /// The same with a mistake, checked for this guarantee alone.
    pub fn mutated(scenario: Scenario, mutant: Mutant, guarantee: Guarantee) -> Self {
        Self::with(scenario, Some(mutant), guarantee.bit())
    }

    fn with(scenario: Scenario, mutant: Option<Mutant>, watched: u32) -> Self {
        let flows = Flows::new(mutant);
        let mut first_call = vec![0];
        for client in &scenario.clients {
            let calls: u8 = client.steps.iter().map(|step| step.tries).sum();
            first_call.push(first_call.last().unwrap() + calls);
        }
        Self { scenario, flows, mutant, watched, first_call }
    }

    /// The tokens that the registry generates for a client.
    fn generated_for(&self, client: usize) -> u64 {
        (self.first_call[client]..self.first_call[client + 1]).fold(0, |all, call| {
            all | Token::generated(call, false).bit() | Token::generated(call, true).bit()
        })
    }

    fn next_ask(&self, state: &State, client: usize) -> Option<Ask> {
        let step = usize::from(state.clients[client].step);
        self.scenario.clients[client].steps.get(step).map(|step| step.ask)
    }

    fn workspace_of(&self, client: usize) -> usize {
        self.scenario.clients[client].workspace
    }

    /// A client's next call, before its first request.
    fn call_of(&self, state: &State, client: usize) -> Option<Call> {
        let own = &state.clients[client];
        let op = match self.next_ask(state, client)? {
            Ask::Prove(_) => return None,
            Ask::Op(op) => op,
            Ask::Register { who, place } => {
                let (bearer, chosen) = match who {
                    Who::Nobody => (None, None),
                    Who::Choosing(token) => (None, Some(token)),
                    Who::Bearer(credential) => (Some(credential), None),
                    Who::WithItsToken => (own.token.map(Credential::Token), None),
                };
                Op::Register { bearer, chosen, place }
            }
        };
        let before: u8 =
            self.scenario.clients[client].steps[..usize::from(own.step)].iter().map(|step| step.tries).sum();
        Some(Call {
            number: self.first_call[client] + before + own.tries,
            workspace: u8::try_from(self.workspace_of(client)).unwrap(),
            op,
            now: state.clock,
            client: u8::try_from(client).unwrap(),
            write: None,
            overtaken: Overtaken::default(),
            revived: false,
        })
    }

    /// Ends a try of the client's step: with success, or with one try less.
    fn step_on(&self, state: &mut State, client: usize, succeeded: bool) {
        let tries = self.scenario.clients[client].steps[usize::from(state.clients[client].step)].tries;
        let own = &mut state.clients[client];
        own.waits_for = None;
        own.tries += 1;
        if succeeded {
            own.succeeded |= 1 << own.step;
        }
        if succeeded || own.tries >= tries {
            own.step += 1;
            own.tries = 0;
        }
    }

    /// Takes a call to its next request or its answer. `seen` is what its last request returned.
    fn go_on(&self, state: &mut State, mut call: Call, seen: ItemId, next: Next) {
        match next {
            Next::Write(write) => {
                // A second write of the same token revives it if it ended since the first write.
                call.revived &= call.write.and_then(|before| before.token) == write.token;
                call.overtaken = Overtaken::default();
                call.write = Some(write);
                state.calls.push(call);
                state.calls.sort_unstable();
            }
            Next::Answer(said) => self.answer(state, &call, seen, None, said),
        }
    }

    /// Answers a call. `seen` is what it saw last. `met` is what its write was made on, if it was made.
    fn answer(&self, state: &mut State, call: &Call, seen: ItemId, met: Option<ItemId>, said: Answer) {
        let past = &mut state.past[usize::from(call.workspace)];
        let met = met.map(|met| TABLE.entry(met));
        let seen = TABLE.entry(seen);
        state.broken |= audit::answer(past, call.request(), call.write, &seen, met.as_deref(), said);
        // Answered without a write: what was decided until now must not land any more, as after a write.
        if let Answer::Revoked { epoch: Some(epoch), .. }
        | Answer::Cancelled { epoch }
        | Answer::Ended { epoch, .. } = said
            && call.op.command().is_some()
            && !audit::was_made(past, call.op, epoch)
        {
            let by_cancel = matches!(said, Answer::Cancelled { .. });
            let by_revoke = !by_cancel;
            for_each_pending(state, usize::from(call.workspace), |write, overtaken, _| {
                overtaken.by_revoke |= by_revoke && write.seen <= epoch;
                overtaken.by_cancel |= by_cancel && write.seen <= epoch;
            });
        }
        if said != Answer::Unavailable {
            for late in state.network.iter_mut().filter(|late| late.number == call.number) {
                late.settled = true;
            }
            state.network.sort_unstable();
        }
        let client = usize::from(call.client);
        if state.clients[client].waits_for != Some(call.number) {
            return;
        }
        let own = &mut state.clients[client];
        match said {
            // The proof counts from these. It does not count from a cancel: the target may have taken over before it.
            Answer::Revoked { epoch: Some(epoch), .. }
            | Answer::Pending { epoch }
            | Answer::HandedOver { epoch } => own.epoch = epoch,
            _ => {}
        }
        own.token = said.token().or(own.token);
        self.step_on(state, client, said.is_success());
    }

    /// A write reaches the store. Returns the new item, or `None` if the condition is false.
    #[allow(clippy::too_many_arguments, reason = "a write and all that is known about it")]
    fn land(
        &self,
        state: &mut State,
        request: Request,
        write: Write,
        overtaken: Overtaken,
        revived: bool,
        settled: bool,
    ) -> Option<ItemId> {
        let workspace = usize::from(request.workspace);
        let before = state.items[workspace];
        let after = TABLE.apply(workspace, before, write.id)?;
        state.items[workspace] = after;
        let (was, is) = (TABLE.entry(before), TABLE.entry(after));
        let effect = Effect {
            request,
            write,
            before: &was,
            after: &is,
            overtaken,
            revived,
            settled,
            clock: state.clock,
        };
        state.broken |= audit::effect(&mut state.past[workspace], &effect);
        let accepted = self.flows.accepted_as_owner(after) & state.past[workspace].issued;
        if accepted.count_ones() > 1 {
            state.broken |= Guarantee::G1.bit();
        }
        let gone = was.live & !is.live;
        let now_overtaken = Overtaken {
            by_revoke: matches!(write.kind, Kind::Revoke | Kind::EndToken),
            by_cancel: write.kind == Kind::Cancel,
        };
        for_each_pending(state, workspace, |write, overtaken, revived| {
            overtaken.by_revoke |= now_overtaken.by_revoke;
            overtaken.by_cancel |= now_overtaken.by_cancel;
            *revived |= write.token.is_some_and(|token| gone & token.bit() != 0);
        });
        // Epochs never go back (the specification checks that). A write that was fenced by an earlier epoch and fails now
        // fails for ever.
        let epoch = is.spec().epoch;
        state.network.retain(|late| {
            let is_fenced = late.write.kind != Kind::Create;
            let has_passed = usize::from(late.workspace) == workspace && is_fenced && late.write.seen < epoch;
            !has_passed || TABLE.apply(workspace, after, late.write.id).is_some()
        });
        state.calls.sort_unstable();
        state.network.sort_unstable();
        Some(after)
    }

    fn proof_holds(&self, state: &State, client: usize, place: Place) -> bool {
        let entry = TABLE.entry(state.items[self.workspace_of(client)]);
        let mut spec = entry.spec().clone();
        let mut after = state.clients[client].epoch;
        let mut expected = place;
        match self.mutant {
            Some(Mutant::ProofWithoutEpoch) => after = 0,
            Some(Mutant::ProofWithoutOwner) => spec.by = Some(By::Owner),
            Some(Mutant::ProofWithoutUrl) => expected = spec.place.unwrap_or(place),
            _ => {}
        }
        spec.proves_flip(after, expected)
    }

    /// A client has seen the flip proof, and retires the source.
    fn prove(&self, state: &mut State, client: usize) {
        let workspace = self.workspace_of(client);
        let entry = TABLE.entry(state.items[workspace]);
        let source =
            Token::SOURCE.bit() | self.scenario.source.map_or(0, |source| self.generated_for(source));
        let target =
            Token::TARGET.bit() | self.scenario.target.map_or(0, |target| self.generated_for(target));
        let owned = entry.spec().owner().is_some_and(|owner| target & owner.bit() != 0);
        if !owned || entry.live & source != 0 {
            state.broken |= Guarantee::Flip.bit();
        }
        let past = &mut state.past[workspace];
        past.retired |= source & past.issued;
        self.step_on(state, client, true);
    }

    fn goal_is_reached(&self, state: &State) -> bool {
        self.scenario.goal.iter().all(|(client, step)| state.clients[*client].succeeded >> step & 1 != 0)
    }
}

/// A copy of a call's write stays in the network.
fn leave_copy(state: &mut State, index: usize) -> Option<()> {
    state.faults_left -= 1;
    let Call { number, workspace, op, now, write, overtaken, revived, .. } = state.calls[index].clone();
    state.network.push(Late {
        number,
        workspace,
        op,
        now,
        write: write?,
        overtaken,
        revived,
        settled: false,
    });
    state.network.sort_unstable();
    Some(())
}

/// Updates the record of every write to a workspace that was decided and has not landed.
fn for_each_pending(
    state: &mut State,
    workspace: usize,
    mut record: impl FnMut(&Write, &mut Overtaken, &mut bool),
) {
    for call in state.calls.iter_mut().filter(|call| usize::from(call.workspace) == workspace) {
        if let Some(write) = call.write {
            record(&write, &mut call.overtaken, &mut call.revived);
        }
    }
    for late in state.network.iter_mut().filter(|late| usize::from(late.workspace) == workspace) {
        record(&late.write, &mut late.overtaken, &mut late.revived);
    }
    state.calls.sort_unstable();
    state.network.sort_unstable();
}

impl Model for World {
    type State = State;
    type Action = Action;

    fn init_states(&self) -> Vec<State> {
        let client = ClientState { step: 0, tries: 0, waits_for: None, token: None, epoch: 0, succeeded: 0 };
        let clients = self.scenario.clients.iter().map(|asks| ClientState {
            token: asks.token,
            epoch: asks.told,
            ..client.clone()
        });
        let past = |item: &ItemId| {
            let entry = TABLE.entry(*item);
            let spec = entry.spec();
            let issued = audit::issued(spec);
            // A token that is known and not live ended before the model begins.
            let named = spec.successor.map_or(0, |named| named.token.bit());
            let ended = issued & !entry.live & !named;
            Past { issued, ended, revoked: ended, successor_named: spec.epoch.min(1), ..Past::default() }
        };
        vec![State {
            items: self.scenario.items.clone(),
            clock: Time::Early,
            faults_left: self.scenario.faults,
            clients: clients.collect(),
            calls: Vec::new(),
            network: Vec::new(),
            past: self.scenario.items.iter().map(past).collect(),
            broken: 0,
        }]
    }

    fn actions(&self, state: &State, actions: &mut Vec<Action>) {
        if state.broken & self.watched != 0
            || state.items.iter().any(|item| TABLE.entry(*item).spec.is_none())
        {
            return;
        }
        for (number, client) in (0..).zip(&state.clients) {
            let index = usize::from(number);
            match self.next_ask(state, index) {
                None => {}
                Some(Ask::Prove(place)) => {
                    let told = client.epoch > 0;
                    actions.extend(
                        (told && self.proof_holds(state, index, place)).then_some(Action::Prove(number)),
                    );
                }
                Some(_) => {
                    if client.waits_for.is_none() {
                        actions.push(Action::Begin(number));
                    }
                    if state.faults_left > 0 {
                        actions.push(Action::GiveUp(number));
                        let call = self.call_of(state, index);
                        let writes = call.is_some_and(|call| Flows::starts_with_a_write(&call.op));
                        if writes && client.waits_for.is_none() && !self.scenario.ticks {
                            actions.push(Action::BeginAndLeaveCopy(number));
                        }
                    }
                }
            }
        }
        for (index, call) in (0..).zip(&state.calls) {
            if call.write.is_none() {
                actions.push(Action::Read(index));
                continue;
            }
            actions.push(Action::Write(index));
            if state.faults_left > 0 {
                actions.push(Action::LeaveCopy(index));
            }
        }
        for (index, late) in (0..).zip(&state.network) {
            // A copy that would change nothing now may still change something later.
            let item = state.items[usize::from(late.workspace)];
            if TABLE
                .apply(usize::from(late.workspace), item, late.write.id)
                .is_some_and(|after| after != item)
            {
                actions.push(Action::Land(index));
            }
        }
        if self.scenario.ticks && state.clock == Time::Early {
            actions.push(Action::Tick);
        }
    }

    fn next_state(&self, last: &State, action: Action) -> Option<State> {
        let mut state = last.clone();
        match action {
            Action::Begin(client) => {
                let call = self.call_of(&state, usize::from(client))?;
                let number = call.number;
                state.clients[usize::from(client)].waits_for = Some(number);
                let writes = Flows::starts_with_a_write(&call.op);
                match (self.scenario.ticks, writes) {
                    // Where time passes, it may pass between a call's look at the clock and its read.
                    (true, false) => {
                        state.calls.push(call);
                        state.calls.sort_unstable();
                    }
                    (_, false) | (true, true) => self.start(&mut state, call),
                    (false, true) => {
                        self.start(&mut state, call);
                        let index = state.calls.iter().position(|call| call.number == number)?;
                        self.write(&mut state, index)?;
                    }
                }
            }
            Action::BeginAndLeaveCopy(client) => {
                let call = self.call_of(&state, usize::from(client))?;
                let number = call.number;
                state.clients[usize::from(client)].waits_for = Some(number);
                self.start(&mut state, call);
                let index = state.calls.iter().position(|call| call.number == number)?;
                leave_copy(&mut state, index)?;
            }
            Action::Read(index) => {
                let call = state.calls.remove(usize::from(index));
                self.start(&mut state, call);
            }
            Action::Write(index) => self.write(&mut state, usize::from(index))?,
            Action::LeaveCopy(index) => leave_copy(&mut state, usize::from(index))?,
            Action::GiveUp(client) => {
                state.faults_left -= 1;
                let client = usize::from(client);
                if state.clients[client].waits_for.is_none() {
                    state.calls.push(self.call_of(&state, client)?);
                    state.calls.sort_unstable();
                }
                self.step_on(&mut state, client, false);
            }
            Action::Land(index) => {
                let late = state.network.remove(usize::from(index));
                let Late { number, workspace, op, now, write, overtaken, revived, settled } = late;
                let request = Request { call: number, workspace, op, now };
                self.land(&mut state, request, write, overtaken, revived, settled)?;
            }
            Action::Tick => state.clock = Time::Late,
            Action::Prove(client) => self.prove(&mut state, usize::from(client)),
        }
        Some(state)
    }

    fn properties(&self) -> Vec<Property<Self>> {
        let mut properties = always();
        properties.retain(|(guarantee, _)| self.watched & guarantee.bit() != 0);
        let mut properties: Vec<_> = properties.into_iter().map(|(_, property)| property).collect();
        if !self.scenario.goal.is_empty() && self.mutant.is_none() {
            properties
                .push(Property::sometimes(GOAL, |world: &Self, state: &State| world.goal_is_reached(state)));
            properties.push(Property::sometimes(GOAL_UNDER_FAULTS, |world: &Self, state: &State| {
                world.goal_is_reached(state) && state.faults_left == 0
            }));
        }
        properties
    }
}

/// Some run reaches the scenario's goal.
pub const GOAL: &str = "the goal can be reached";
/// Some run reaches it after all faults.
pub const GOAL_UNDER_FAULTS: &str = "the goal can be reached under all faults";

/// One property for each guarantee. A property's condition is a plain function, so each guarantee needs one of its own.
fn always() -> Vec<(Guarantee, Property<World>)> {
    macro_rules! properties {
        ($($guarantee:ident),*) => {
            vec![$((
                Guarantee::$guarantee,
                Property::always(Guarantee::$guarantee.title(), |_: &World, state: &State| {
                    state.broken & Guarantee::$guarantee.bit() == 0
                }),
            )),*]
        };
    }
    properties!(G1, G2, G3, G4, G5, G6, G9, G10, G11, G14, G15, G16, G21, G22, Flip, Spec)
}

impl World {
    /// A call makes its write.
    fn write(&self, state: &mut State, index: usize) -> Option<()> {
        let call = state.calls.remove(index);
        let write = call.write?;
        let found = state.items[usize::from(call.workspace)];
        let request = call.request();
        match self.land(state, request, write, call.overtaken, call.revived, false) {
            Some(new) => {
                self.answer(state, &call, new, Some(found), write.answer);
            }
            None => {
                let next = self.flows.condition_failed(request, write, found);
                self.go_on(state, call, found, next);
            }
        }
        Some(())
    }

    fn start(&self, state: &mut State, call: Call) {
        let item = state.items[usize::from(call.workspace)];
        let next = self.flows.start(call.request(), item);
        self.go_on(state, call, item, next);
    }
}

/// The state as a counterexample shows it.
impl fmt::Display for State {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for item in &self.items {
            let entry = TABLE.entry(*item);
            let spec = entry.spec();
            write!(
                f,
                "[{:?}, epoch {}, {:?}, previous {:?}, api {:?}, successor {:?}, at {:?} by {:?}] ",
                spec.life,
                spec.epoch,
                spec.door,
                spec.previous,
                spec.api,
                spec.successor,
                spec.place,
                spec.by
            )?;
        }
        Ok(())
    }
}

//! The functions, one store request at a time. What `functions/*/src/lib.rs` does between two requests is done here by
//! the same calls of the same shared code, [`shared::guard`] and [`shared::schema::Update`]; only the requests themselves
//! are the model's, so that it can put them into any order.

use std::collections::HashMap;
use std::sync::RwLock;

use shared::guard::{
    self, CancelDecision, HandOver, HandOverDecision, MintDecision, Operation, Refusal, RegisterDecision,
    RegisterRequest, Registration, RevokeDecision, RevokeRequest, RevokeScope,
};
use shared::schema::{self, Update};
use shared::workspace::{Epoch, Owner, OwnerHash, Profile, Status, Successor, Workspace};

use crate::mutant::Mutant;
use crate::spec::{Answer, First, Op, Scope, Why};
use crate::table::{ItemId, Sent, TABLE, WriteId};
use crate::words::{Credential, Named, Place, Time, Token, workspace_id};

/// What a call does next.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Next {
    Answer(Answer),
    Write(Write),
}

/// A write that a call is about to make, or has left in the network.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Write {
    pub id: WriteId,
    pub kind: Kind,
    pub turn: Turn,
    /// The token that it would make live.
    pub token: Option<Token>,
    /// The epoch that it was decided on.
    pub seen: u64,
    /// How many tokens it would end.
    pub ends: u8,
    /// The epoch that is told once it is made; `None`: the one in the store's answer.
    pub makes: Option<u64>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Kind {
    Create,
    Refresh,
    ApiRefresh,
    Claim,
    TakeOver,
    Mint,
    Revoke,
    HandOver,
    Cancel,
}

impl Kind {
    /// Whether it changes nothing about who may do what.
    pub fn is_refresh(self) -> bool {
        matches!(self, Self::Refresh | Self::ApiRefresh)
    }
}

/// Which of its writes a call is at.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Turn {
    /// The refresh that a registration with a bearer starts with.
    Refresh,
    First,
    Last,
}

/// A call as the functions see it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Asked {
    /// Its number, by which the tokens are named that the registry makes for it.
    pub call: u8,
    pub workspace: u8,
    pub op: Op,
    /// The time that it has read.
    pub now: Time,
}

type Step = (Asked, ItemId, Option<Write>);

/// The functions, with or without a mistake.
#[derive(Default)]
pub struct Flows {
    mutant: Option<Mutant>,
    steps: RwLock<HashMap<Step, Next>>,
}

impl Flows {
    pub fn new(mutant: Option<Mutant>) -> Self {
        Self { mutant, steps: RwLock::default() }
    }

    /// Whether the call's first request is a write, without a read before it.
    pub fn starts_with_a_write(op: &Op) -> bool {
        matches!(op, Op::Create(_) | Op::Register { bearer: Some(_), .. })
    }

    /// What the call does first. `item` is what its read gives; a call that starts with a write does not look at it.
    pub fn start(&self, asked: Asked, item: ItemId) -> Next {
        self.remember((asked, item, None), || match asked.op {
            Op::Create(first) => self.create(&asked, first),
            Op::Register { bearer: Some(bearer), place, .. } => {
                self.refresh(&asked, bearer, place, Turn::Refresh)
            }
            _ => self.decide(&asked, item, Turn::First),
        })
    }

    /// What the call does after a write whose condition failed, and that found this item.
    pub fn after_failed(&self, asked: Asked, found: ItemId, write: Write) -> Next {
        self.remember((asked, found, Some(write)), || {
            let entry = TABLE.entry(found);
            match asked.op {
                Op::Create(_) => Next::Answer(self.create_failed(&asked, entry.workspace.as_ref())),
                Op::Register { .. } => self.register_failed(&asked, found, entry.workspace.as_ref(), write),
                Op::Mint { .. } => {
                    let is_mine =
                        |found: &Workspace| guard::minted_before(found, write.token.unwrap().hash());
                    if entry.workspace.as_ref().is_some_and(is_mine) && !self.forgets_its_own(&asked.op) {
                        return Next::Answer(Answer::Minted { token: shown(asked.op, write) });
                    }
                    self.once_more(&asked, found, write.turn)
                }
                _ => Next::Answer(self.operation_failed(&asked, found, write)),
            }
        })
    }

    /// What the call answers after a write that was made and gave this item.
    pub fn after_made(&self, asked: Asked, new: ItemId, write: Write) -> Answer {
        let entry = TABLE.entry(new);
        let in_the_answer = || schema::epoch_of(&entry.item).ok().map(|epoch| epoch.0);
        let Some(mut epoch) = write.makes.or_else(in_the_answer) else { return Answer::Unavailable };
        if self.is(Mutant::ClaimTellsTheSeenEpoch) && write.kind == Kind::Claim {
            epoch = write.seen;
        }
        match write.kind {
            Kind::Create => Answer::Created { token: shown(asked.op, write) },
            Kind::Refresh | Kind::ApiRefresh | Kind::TakeOver => Answer::Registered { epoch, token: None },
            Kind::Claim => Answer::Registered { epoch, token: shown(asked.op, write) },
            Kind::Mint => Answer::Minted { token: shown(asked.op, write) },
            Kind::Revoke => Answer::Revoked { ended: usize::from(write.ends), epoch: Some(epoch) },
            Kind::HandOver => Answer::Pending { epoch },
            Kind::Cancel => Answer::Cancelled { epoch },
        }
    }

    /// The token's hash, as the refresh of this bearer would present it: for the question who is the owner.
    pub fn refresh_write(&self, bearer: Credential) -> WriteId {
        let op = Op::Register { bearer: Some(bearer), chosen: None, place: Place::SOURCE };
        let asked = Asked { call: 0, workspace: 0, op, now: Time::Early };
        let Next::Write(write) = self.refresh(&asked, bearer, Place::SOURCE, Turn::Refresh) else {
            panic!("a refresh is a write");
        };
        write.id
    }

    fn remember(&self, step: Step, next: impl FnOnce() -> Next) -> Next {
        if let Some(next) = self.steps.read().unwrap().get(&step) {
            return *next;
        }
        let next = next();
        self.steps.write().unwrap().insert(step, next);
        next
    }

    fn is(&self, mutant: Mutant) -> bool {
        self.mutant == Some(mutant)
    }

    fn forgets_its_own(&self, op: &Op) -> bool {
        self.mutant.is_some_and(|mutant| mutant.forgets_its_own(op))
    }

    /// Whether a write that names a caller's token is not made on this turn.
    fn is_not_again(&self, turn: Turn) -> bool {
        turn == Turn::Last && !self.is(Mutant::ChosenTwice)
    }

    fn send(&self, asked: &Asked, update: &Update, kind: Kind, turn: Turn) -> Write {
        let change = self
            .mutant
            .map(|mutant| move |sent: &mut Sent| mutant.rewrites(&asked.op, kind == Kind::Refresh, sent));
        let id = TABLE.update(update, change);
        Write { id, kind, turn, token: None, seen: 0, ends: 0, makes: update.epoch().map(|epoch| epoch.0) }
    }

    /// `admin-*` and `register` from their decision on.
    fn decide(&self, asked: &Asked, item: ItemId, turn: Turn) -> Next {
        let entry = TABLE.entry(item);
        let there = !entry.item.is_empty();
        if there && entry.workspace.is_none() {
            return Next::Answer(Answer::Unavailable);
        }
        let actual = entry.workspace.as_ref();
        let mut seen = entry.workspace.clone();
        if let (Some(seen), Some(mutant)) = (&mut seen, self.mutant) {
            mutant.blinds(&asked.op, asked.now.now(), seen);
        }
        let (Some(seen), Some(actual)) = (seen, actual) else {
            return match asked.op {
                Op::Revoke { .. } if self.is(Mutant::RevokeCreates) => {
                    self.send_revoke(asked, &blank(usize::from(asked.workspace)), 0)
                }
                Op::Revoke { .. } => Next::Answer(Answer::Revoked { ended: 0, epoch: None }),
                _ => Next::Answer(Answer::Refused(Why::Unknown)),
            };
        };
        let next = match asked.op {
            Op::Register { bearer, chosen, place } => {
                self.register(asked, (&seen, actual), bearer, chosen, place, turn)
            }
            Op::Mint { chosen } => self.mint(asked, (&seen, actual), chosen, turn),
            Op::Revoke { .. } => self.revoke(asked, (&seen, actual)),
            Op::HandOver { .. } => self.hand_over(asked, (&seen, actual)),
            Op::Cancel { .. } => self.cancel(asked, (&seen, actual)),
            Op::Create(_) | Op::Show { .. } => panic!("these decide nothing"),
        };
        next.unwrap_or_else(|refusal| Next::Answer(refused(refusal)))
    }

    fn once_more(&self, asked: &Asked, found: ItemId, turn: Turn) -> Next {
        match turn {
            Turn::Refresh => self.decide(asked, found, Turn::First),
            Turn::First => self.decide(asked, found, Turn::Last),
            Turn::Last => Next::Answer(Answer::Unavailable),
        }
    }

    fn refresh(&self, asked: &Asked, bearer: Credential, place: Place, turn: Turn) -> Next {
        let (url, card) = (place.url(), place.card());
        let registration = Registration { url: Some(&url), agent_card: &card };
        let presented = self.presented(bearer);
        let update = Update::refresh(&presented, &registration, asked.now.now());
        Next::Write(self.send(asked, &update, Kind::Refresh, turn))
    }

    fn presented(&self, bearer: Credential) -> shared::token::TokenHash {
        match bearer {
            Credential::HashOf(token) if self.is(Mutant::HashAuthenticates) => token.hash().clone(),
            bearer => bearer.hash(),
        }
    }

    /// `register`: `attempt`. The decision is on what a mutant lets it see, the write on what is there.
    fn register(
        &self,
        asked: &Asked,
        (seen, actual): (&Workspace, &Workspace),
        bearer: Option<Credential>,
        chosen: Option<Token>,
        place: Place,
        turn: Turn,
    ) -> Result<Next, Refusal> {
        let now = asked.now.now();
        let (url, card) = (place.url(), place.card());
        let registration = Registration { url: Some(&url), agent_card: &card };
        let bearer_hash = bearer.map(|bearer| self.presented(bearer));
        let chosen = if bearer.is_none() { chosen } else { None };
        let mut request =
            RegisterRequest { bearer: bearer_hash.as_ref(), chosen: chosen.map(Token::hash), registration };
        let mut decision = guard::register(seen, &request, now);
        if self.is(Mutant::BearerIgnored) && decision == Err(Refusal::InvalidToken) {
            request.bearer = None;
            decision = guard::register(seen, &request, now);
        }
        let (update, kind, token) = match decision? {
            RegisterDecision::AlreadyDone { epoch } => {
                return Ok(Next::Answer(Answer::Registered { epoch: epoch.0, token: None }));
            }
            RegisterDecision::Refresh(_) => return Ok(self.refresh(asked, bearer.unwrap(), place, turn)),
            RegisterDecision::RefreshByApiToken(presented) => {
                let update = Update::refresh_by_api_token(actual, presented, &registration, now);
                (update, Kind::ApiRefresh, None)
            }
            RegisterDecision::TakeOver(successor) => {
                let update = Update::take_over(actual, successor, &registration, now);
                (update, Kind::TakeOver, Some(Token::of(successor)))
            }
            RegisterDecision::Claim { .. } => match chosen {
                Some(_) if self.is_not_again(turn) => return Ok(Next::Answer(Answer::Unavailable)),
                Some(chosen) => {
                    let update = Update::claim(actual, chosen.hash(), None, &registration, now);
                    (update, Kind::Claim, Some(chosen))
                }
                None => {
                    let token = self.fresh(asked, turn);
                    let update = Update::claim(actual, token.hash(), Some(PREFIX), &registration, now);
                    (update, Kind::Claim, Some(token))
                }
            },
        };
        Ok(Next::Write(Write { token, seen: actual.epoch.0, ..self.send(asked, &update, kind, turn) }))
    }

    /// Was it mine? If not, once more.
    fn register_failed(
        &self,
        asked: &Asked,
        found: ItemId,
        workspace: Option<&Workspace>,
        write: Write,
    ) -> Next {
        let Op::Register { bearer, chosen, place } = asked.op else { panic!("only registrations come here") };
        let (url, card) = (place.url(), place.card());
        let registration = Registration { url: Some(&url), agent_card: &card };
        let token = write.token.map(Token::hash);
        let presented = bearer.map(|bearer| self.presented(bearer));
        let chosen = if bearer.is_none() { chosen.map(Token::hash) } else { None };
        let is_mine = |found: &Workspace| {
            let decision = match write.kind {
                Kind::TakeOver => RegisterDecision::TakeOver(token.unwrap()),
                Kind::Claim => RegisterDecision::Claim { chosen },
                Kind::ApiRefresh => RegisterDecision::RefreshByApiToken(presented.as_ref().unwrap()),
                _ => RegisterDecision::Refresh(presented.as_ref().unwrap()),
            };
            guard::registered_before(found, &decision, token, &registration)
        };
        let mine = workspace.filter(|found| is_mine(found) && !self.forgets_its_own(&asked.op));
        if let Some(found) = mine {
            return Next::Answer(Answer::Registered { epoch: found.epoch.0, token: shown(asked.op, write) });
        }
        self.once_more(asked, found, write.turn)
    }

    /// `admin-mint-token`: `attempt`.
    fn mint(
        &self,
        asked: &Asked,
        (seen, actual): (&Workspace, &Workspace),
        chosen: Option<Token>,
        turn: Turn,
    ) -> Result<Next, Refusal> {
        let now = asked.now.now();
        match guard::mint(seen, chosen.map(Token::hash), now)? {
            MintDecision::AlreadyDone => return Ok(Next::Answer(Answer::Minted { token: None })),
            MintDecision::Mint => {}
        }
        if chosen.is_some() && self.is_not_again(turn) {
            return Ok(Next::Answer(Answer::Unavailable));
        }
        let token = chosen.unwrap_or_else(|| self.fresh(asked, turn));
        let prefix = if chosen.is_none() { Some(PREFIX) } else { None };
        let update = Update::mint(actual, token.hash(), prefix, now);
        let write = self.send(asked, &update, Kind::Mint, turn);
        Ok(Next::Write(Write { token: Some(token), seen: actual.epoch.0, ..write }))
    }

    /// `admin-revoke`: `revoke`.
    fn revoke(&self, asked: &Asked, (seen, actual): (&Workspace, &Workspace)) -> Result<Next, Refusal> {
        let ended = match guard::revoke(seen, &self.revoke_request(asked), asked.now.now())? {
            RevokeDecision::Revoke { ended } => ended,
            RevokeDecision::AlreadyDone(made) => {
                return Ok(Next::Answer(Answer::Revoked { ended: made.ended, epoch: Some(made.epoch.0) }));
            }
        };
        if ended == 0 && actual.successor.is_none() && self.is(Mutant::RevokeOnlyTheLiving) {
            return Ok(Next::Answer(Answer::Revoked { ended: 0, epoch: Some(actual.epoch.0) }));
        }
        Ok(self.send_revoke(asked, actual, ended))
    }

    fn send_revoke(&self, asked: &Asked, seen: &Workspace, ended: usize) -> Next {
        let update = Update::revoke(seen, &self.revoke_request(asked), asked.now.now());
        let write = self.send(asked, &update, Kind::Revoke, Turn::Last);
        Next::Write(Write { seen: seen.epoch.0, ends: u8::try_from(ended).unwrap(), ..write })
    }

    fn revoke_request(&self, asked: &Asked) -> RevokeRequest {
        let Op::Revoke { scope, successor, name, expected } = asked.op else {
            panic!("only revokes come here")
        };
        let scope = match scope {
            Scope::All => RevokeScope::All,
            Scope::Owner => RevokeScope::Owner,
            Scope::Api => RevokeScope::Api,
        };
        let successor = successor.map(|token| named(token, asked.now));
        RevokeRequest { scope, successor, operation: self.operation(name, expected) }
    }

    /// `admin-hand-over`: `hand_over`.
    fn hand_over(&self, asked: &Asked, (seen, actual): (&Workspace, &Workspace)) -> Result<Next, Refusal> {
        let Op::HandOver { successor, name, expected } = asked.op else {
            panic!("only hand-overs come here")
        };
        let operation = self.operation(name, expected);
        let decision = guard::hand_over(seen, successor.hash(), &operation, asked.now.now())?;
        if let HandOverDecision::AlreadyDone(made) = decision {
            return Ok(Next::Answer(as_made(made)));
        }
        let update = Update::hand_over(actual, &named(successor, asked.now), &operation.id);
        let write = self.send(asked, &update, Kind::HandOver, Turn::Last);
        Ok(Next::Write(Write { seen: actual.epoch.0, ..write }))
    }

    /// `admin-hand-over`: `cancel`.
    fn cancel(&self, asked: &Asked, (seen, actual): (&Workspace, &Workspace)) -> Result<Next, Refusal> {
        let Op::Cancel { name, expected } = asked.op else { panic!("only cancellings come here") };
        let operation = self.operation(name, expected);
        if let CancelDecision::AlreadyDone { epoch } = guard::cancel_hand_over(seen, &operation)? {
            return Ok(Next::Answer(Answer::Cancelled { epoch: epoch.0 }));
        }
        let spares = self.is(Mutant::CancelOnlyThePending) || self.is(Mutant::ExpiredNotCancelled);
        if seen.successor.is_none() && spares {
            return Ok(Next::Answer(Answer::Cancelled { epoch: seen.epoch.0 }));
        }
        let update = Update::cancel_hand_over(actual, &operation.id);
        let write = self.send(asked, &update, Kind::Cancel, Turn::Last);
        Ok(Next::Write(Write { seen: actual.epoch.0, ..write }))
    }

    fn operation(&self, name: Named, expected: Option<u64>) -> Operation {
        Operation { id: name.id(), expected_epoch: self.expected(expected) }
    }

    fn expected(&self, epoch: Option<u64>) -> Option<Epoch> {
        epoch.filter(|_| !self.is(Mutant::ExpectedEpochIgnored)).map(Epoch)
    }

    /// An administrator's write whose condition failed: made before, or not.
    fn operation_failed(&self, asked: &Asked, found: ItemId, write: Write) -> Answer {
        if self.forgets_its_own(&asked.op) {
            return Answer::Refused(Why::EpochChanged);
        }
        let entry = TABLE.entry(found);
        let Some(found) = entry.workspace.as_ref() else { return Answer::Refused(Why::EpochChanged) };
        let now = asked.now.now();
        let answer = match asked.op {
            Op::Revoke { .. } => {
                let decided = (Epoch(write.seen), usize::from(write.ends));
                guard::revoked_before(found, &self.revoke_request(asked), decided, now).map(|made| {
                    let ended = if self.is(Mutant::RepeatCounts) { decided.1 } else { made.ended };
                    Answer::Revoked { ended, epoch: Some(made.epoch.0) }
                })
            }
            Op::HandOver { successor, name, expected } => {
                let operation = self.operation(name, expected);
                guard::handed_over_before(found, successor.hash(), &operation, now).map(as_made)
            }
            Op::Cancel { name, expected } => {
                let operation = self.operation(name, expected);
                guard::cancelled_before(found, &operation).map(|epoch| Answer::Cancelled { epoch: epoch.0 })
            }
            _ => panic!("not an operation"),
        };
        answer.unwrap_or_else(refused)
    }

    /// `create-workspace`.
    fn create(&self, asked: &Asked, first: First) -> Next {
        let token = match first {
            First::Made => Some(self.fresh(asked, Turn::First)),
            First::Chosen(token) => Some(token),
            First::None => None,
        };
        let workspace = created(usize::from(asked.workspace), asked.call, token);
        let condition = if self.is(Mutant::CreateOverwrites) { None } else { Some(schema::NOT_THERE) };
        let id = TABLE.put(schema::to_item(&workspace), condition);
        Next::Write(Write { id, kind: Kind::Create, turn: Turn::Last, token, seen: 0, ends: 0, makes: None })
    }

    /// `create-workspace`, when the id is taken.
    fn create_failed(&self, asked: &Asked, found: Option<&Workspace>) -> Answer {
        let Op::Create(first) = asked.op else { panic!("only creates come here") };
        let Some(found) = found else { return Answer::Unavailable };
        let (token, shown) = match first {
            First::Made => (Some(self.fresh(asked, Turn::First)), Some(self.fresh(asked, Turn::First))),
            First::Chosen(token) => (Some(token), None),
            First::None => (None, None),
        };
        let own = created(usize::from(asked.workspace), asked.call, token);
        let takes_any = first == First::None && self.is(Mutant::SealedCreateTakesAny);
        let is_mine = guard::created_before(found, &own, token.map(Token::hash)) || takes_any;
        if is_mine && !self.forgets_its_own(&asked.op) {
            Answer::Created { token: shown }
        } else {
            Answer::Refused(Why::Exists)
        }
    }

    fn fresh(&self, asked: &Asked, turn: Turn) -> Token {
        Token::made(asked.call, turn == Turn::Last && !self.is(Mutant::SameTokenTwice))
    }
}

/// A prefix that a token of the registry's could have.
const PREFIX: &str = "wsr_00000000";

/// The token that the answer shows: one that the registry made.
fn shown(op: Op, write: Write) -> Option<Token> {
    let chosen = match op {
        Op::Create(first) => first != First::Made,
        Op::Register { bearer, chosen, .. } => {
            bearer.is_some() && write.kind == Kind::TakeOver || chosen.is_some()
        }
        Op::Mint { chosen } => chosen.is_some(),
        _ => true,
    };
    write.token.filter(|_| !chosen)
}

/// The successor with the expiry that a call of this time gives it.
fn named(successor: Token, now: Time) -> Successor {
    Successor { hash: successor.hash().clone(), expires: now.expiry() }
}

fn as_made(made: HandOver) -> Answer {
    match made {
        HandOver::Pending { epoch, .. } => Answer::Pending { epoch: epoch.0 },
        HandOver::Expired { epoch, .. } => Answer::Expired { epoch: epoch.0 },
        HandOver::HandedOver { epoch } => Answer::HandedOver { epoch: epoch.0 },
    }
}

fn refused(refusal: Refusal) -> Answer {
    Answer::Refused(match refusal {
        Refusal::Removed => Why::Removed,
        Refusal::MissingToken => Why::MissingToken,
        Refusal::InvalidToken | Refusal::InvalidChosenToken => Why::InvalidToken,
        Refusal::HashInUse | Refusal::SuccessorInUse => Why::InUse,
        Refusal::TokenLimitReached => Why::TooManyTokens,
        Refusal::EpochChanged => Why::EpochChanged,
        Refusal::OperationIdReused => Why::NameReused,
    })
}

/// What an item that was created in this call remembers of it.
pub fn created_op(call: u8) -> String {
    format!("create in call {call}")
}

/// A spawned workspace as `create-workspace` makes it: sealed without a token.
fn created(workspace: usize, call: u8, token: Option<Token>) -> Workspace {
    let (hash, prefix) = match token {
        Some(token) if token.is_made_by_the_registry() => {
            (OwnerHash::Token(token.hash().clone()), Some(PREFIX.to_owned()))
        }
        Some(token) => (OwnerHash::Token(token.hash().clone()), None),
        None => (OwnerHash::Sealed, None),
    };
    let owner = Owner { hash, prefix, minted_at: "a time".to_owned(), epoch: Epoch::FIRST };
    Workspace { created_op: created_op(call), owner: Some(owner), ..blank(workspace) }
}

/// A workspace with its door open and nothing known of it.
pub fn blank(workspace: usize) -> Workspace {
    let profile = Profile { name: "a workspace".to_owned(), ..Profile::default() };
    let (at, by) = ("a time".to_owned(), "before the model".to_owned());
    Workspace::new(workspace_id(workspace), Status::Provisioning, profile, at, by)
}

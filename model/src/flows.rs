//! What each call does between two requests to the store. A call builds a shipped operation ([`domain::operations`]), and
//! the shipped write protocol ([`domain::protocol`]) drives it. The model chooses only what the store returns and when.

use std::collections::HashMap;
use std::sync::RwLock;
use std::sync::atomic::{AtomicUsize, Ordering};

use domain::id::CommandId;
use domain::operations::caller::Caller;
use domain::operations::cancel_hand_over::{CancelHandOver, Cancelled};
use domain::operations::command::Command;
use domain::operations::create::{self, FirstTokenRole};
use domain::operations::end_token::{EndToken, EndTokenCaller, Ended};
use domain::operations::hand_over::{HandOver, HandOverState};
use domain::operations::heartbeat::{Beat, Heartbeat};
use domain::operations::mint_token::{MintToken, Minted};
use domain::operations::register::{Register, Registered, RegisteredAs};
use domain::operations::remove::{Remove, Removed};
use domain::operations::revoke::{Revoke, Revoked};
use domain::operations::rotate::{Rotate, Rotating};
use domain::protocol::{self, Decision, Operation, OperationError, Refusal, Step};
use domain::random::Random;
use domain::token::{IssuedToken, NewToken, TokenHash, TokenId};
use domain::workspace::{
    Epoch, NamedBy, OwnerHash, Profile, RegisteredBy, RevokeScope, Status, Stored, Successor, Workspace,
};
use domain::write::{self, Change};
use shared::table::item;
use shared::table::update::{IF_ABSENT, Update};

use crate::mutant::{Mutable, Mutant, Mutated};
use crate::spec::{Answer, First, Op, Scope, Why};
use crate::symbols::{CommandName, Credential, Place, Time, Token, workspace_id};
use crate::table::{ItemId, Sent, TABLE, WriteId};

/// What a call does next.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Next {
    Answer(Answer),
    Write(Write),
}

/// A write that a call is about to send, or that is still in the network.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Write {
    pub id: WriteId,
    pub kind: Kind,
    /// Whether it is the call's second write.
    is_second: bool,
    /// The token that it would make live, or to which an owner would rotate.
    pub token: Option<Token>,
    /// The epoch that the decision saw; 0 for a create.
    pub seen: u64,
    /// What the call answers once the write is made.
    pub answer: Answer,
}

impl Write {
    /// How many tokens it would end.
    pub fn ends(&self) -> usize {
        match self.answer {
            Answer::Revoked { ended, .. } => ended,
            Answer::Ended { was_live, .. } => usize::from(was_live),
            _ => 0,
        }
    }
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
    Remove,
    EndToken,
    Rotate,
}

impl Kind {
    /// Whether it changes nothing about who may do what.
    pub fn is_refresh(self) -> bool {
        matches!(self, Self::Refresh | Self::ApiRefresh)
    }
}

/// A call as a function receives it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Request {
    /// The call's number. It also names the tokens that the registry generates for the call.
    pub call: u8,
    pub workspace: u8,
    pub op: Op,
    /// The time that the function has read.
    pub now: Time,
}

/// The items that a call has seen: the one it read, then the one that its failed write met.
type Seen = Vec<ItemId>;

/// Where a call is: its last write, and the item that it has just seen.
type Position = (Request, Option<Write>, ItemId);

/// The functions, with or without a mistake.
#[derive(Default)]
pub struct Flows {
    mutant: Option<Mutant>,
    /// What comes next.
    steps: RwLock<HashMap<Position, Next>>,
    /// What led to each write. The same items lead to the same write, so the call can be repeated from there.
    origins: RwLock<HashMap<(Request, Write), Seen>>,
    owners: RwLock<HashMap<ItemId, u64>>,
}

impl Flows {
    pub fn new(mutant: Option<Mutant>) -> Self {
        Self { mutant, ..Self::default() }
    }

    /// Whether the call's first request is a write. Every other call reads first.
    pub fn starts_with_a_write(op: &Op) -> bool {
        matches!(op, Op::Create(_))
    }

    /// What the call does first. `item` is what it reads; a create ignores it.
    pub fn start(&self, request: Request, item: ItemId) -> Next {
        self.next(request, None, item)
    }

    /// What the call does after the store found the condition of its write false, and returned this item.
    pub fn condition_failed(&self, request: Request, write: Write, found: ItemId) -> Next {
        self.next(request, Some(write), found)
    }

    /// The tokens that the shipped decision accepts as the owner of this item, as bits.
    pub fn accepted_as_owner(&self, item: ItemId) -> u64 {
        if let Some(accepted) = self.owners.read().unwrap().get(&item) {
            return *accepted;
        }
        let is_accepted = |token: &Token| {
            let bearer = Some(Credential::Token(*token));
            let op = Op::Register { bearer, chosen: None, place: Place::SOURCE };
            let request = Request { call: 0, workspace: 0, op, now: Time::Early };
            let Some(Stored::Workspace(workspace)) = self.read(&request, item) else { return false };
            let register = self.register(&request, bearer, None, Place::SOURCE);
            let decision = match self.mutant {
                None => register.decide(&workspace),
                Some(mutant) => Mutated { shipped: register, mutant, request }.decide(&workspace),
            };
            matches!(decision, Ok(Decision::Write(_, made)) if made.kind == RegisteredAs::Refresh)
        };
        let accepted = Token::held().filter(is_accepted).fold(0, |all, token| all | token.bit());
        self.owners.write().unwrap().insert(item, accepted);
        accepted
    }

    fn next(&self, request: Request, write: Option<Write>, item: ItemId) -> Next {
        let position = (request, write, item);
        if let Some(next) = self.steps.read().unwrap().get(&position) {
            return *next;
        }
        let mut seen = match write {
            None => Seen::new(),
            Some(write) => self.origins.read().unwrap()[&(request, write)].clone(),
        };
        seen.push(item);
        let next = self.run(&request, &seen);
        if let Next::Write(write) = next {
            self.origins.write().unwrap().entry((request, write)).or_insert(seen);
        }
        self.steps.write().unwrap().insert(position, next);
        next
    }

    /// Runs the call on what it has seen so far.
    fn run(&self, request: &Request, seen: &[ItemId]) -> Next {
        let now = request.now.timestamp();
        let successor = |token: Token| successor(token, request.now);
        match request.op {
            Op::Create(first) => self.create(request, first, seen),
            Op::Register { bearer, chosen, place } => {
                self.drive(request, self.register(request, bearer, chosen, place), seen)
            }
            Op::Mint { chosen, expires } => {
                let expires = expires.then(|| request.now.expiry());
                let chosen = chosen.map(|token| token.hash().clone());
                let (caller, random) = (Caller::Operator, self.random(request.call));
                self.drive(request, MintToken { caller, name: None, expires, chosen, now, random }, seen)
            }
            Op::Revoke { scope, successor: named, name, expected } => {
                let scope = match scope {
                    Scope::All => RevokeScope::All,
                    Scope::Owner => RevokeScope::Owner,
                    Scope::Api => RevokeScope::Api,
                };
                let command = self.command(name, expected);
                self.drive(request, Revoke { command, scope, successor: named.map(successor), now }, seen)
            }
            Op::HandOver { successor: named, name, expected } => {
                let command = self.command(name, expected);
                self.drive(request, HandOver { command, successor: successor(named), now }, seen)
            }
            Op::Cancel { name, expected } => {
                self.drive(request, CancelHandOver { command: self.command(name, expected) }, seen)
            }
            Op::Remove { expected } => {
                self.drive(request, Remove { expected_epoch: self.expected(expected) }, seen)
            }
            Op::EndToken { token, name, expected } => {
                let caller = EndTokenCaller::Operator(self.command(name, expected));
                self.drive(request, EndToken { caller, id: TokenId::of(token.hash(), None), now }, seen)
            }
            Op::OwnerEnds { bearer, token } => {
                let caller = EndTokenCaller::Bearer(self.presented(bearer));
                self.drive(request, EndToken { caller, id: TokenId::of(token.hash(), None), now }, seen)
            }
            Op::Rotate { bearer, chosen } => {
                let (bearer, chosen) = (self.presented(bearer), chosen.map(|token| token.hash().clone()));
                let (expires, random) = (request.now.expiry(), self.random(request.call));
                self.drive(request, Rotate { bearer, chosen, expires, now, random }, seen)
            }
            Op::Beat { bearer } => {
                self.drive(request, Heartbeat { bearer: self.presented(bearer), now }, seen)
            }
            Op::Show { .. } | Op::Discover => panic!("no scenario reads"),
        }
    }

    fn register(
        &self,
        request: &Request,
        bearer: Option<Credential>,
        chosen: Option<Token>,
        place: Place,
    ) -> Register {
        Register {
            bearer: bearer.map(|bearer| self.presented(bearer)),
            chosen: chosen.map(|token| token.hash().clone()),
            registration: place.registration(),
            now: request.now.timestamp(),
            random: self.random(request.call),
        }
    }

    fn presented(&self, bearer: Credential) -> TokenHash {
        match bearer {
            Credential::HashOf(token) if self.is(Mutant::HashAuthenticates) => token.hash().clone(),
            bearer => bearer.hash(),
        }
    }

    fn command(&self, name: CommandName, expected: Option<u64>) -> Command {
        Command { id: name.id(), expected_epoch: self.expected(expected) }
    }

    fn expected(&self, epoch: Option<u64>) -> Option<Epoch> {
        epoch.filter(|_| !self.is(Mutant::ExpectedEpochIgnored)).map(Epoch)
    }

    /// Generates the call's first token, then its second. A token takes two buffers.
    fn random(&self, call: u8) -> Random {
        let repeats = self.is(Mutant::SameTokenTwice);
        let fills = AtomicUsize::new(0);
        Random::from_fn(move |buffer| {
            let is_second = fills.fetch_add(1, Ordering::Relaxed) >= 2;
            buffer.fill(Token::generated(call, is_second && !repeats).random_byte());
            Ok(())
        })
    }

    /// Lets the shipped protocol drive the operation.
    fn drive<O: Mutable>(&self, request: &Request, operation: O, seen: &[ItemId]) -> Next
    where
        O::Answer: ToAnswer,
    {
        let seen: Vec<_> = seen.iter().map(|item| self.read(request, *item)).collect();
        let step = match self.mutant {
            None => steps(&operation, &seen),
            Some(mutant) => steps(&Mutated { shipped: operation, mutant, request: *request }, &seen),
        };
        match step {
            Ok(Step::Done(answer)) => Next::Answer(answer.to_answer()),
            Ok(Step::Write(attempt)) => {
                let write = attempt.write().clone();
                Next::Write(self.send(request, &write, attempt.succeeded().to_answer(), seen.len() > 1))
            }
            Err(error) => Next::Answer(refused(error)),
        }
    }

    /// What the shipped code reads in this item.
    fn read(&self, request: &Request, item: ItemId) -> Option<Stored> {
        let entry = TABLE.entry(item);
        match self.mutant {
            Some(mutant) => mutant.read(request, &entry),
            None => entry.stored.clone(),
        }
    }

    fn send(&self, request: &Request, write: &write::Write, answer: Answer, is_second: bool) -> Write {
        let (kind, token) = (self.kind(&request.op, write), new_token(write));
        let change = self.mutant.map(|mutant| move |sent: &mut Sent| mutant.change_update(kind, sent));
        let id = TABLE.update(&Update::from(write), change);
        Write { id, kind, is_second, token, seen: write.seen().0, answer }
    }

    fn kind(&self, op: &Op, write: &write::Write) -> Kind {
        match *op {
            Op::Mint { .. } => Kind::Mint,
            Op::Revoke { .. } => Kind::Revoke,
            Op::HandOver { .. } => Kind::HandOver,
            Op::Cancel { .. } => Kind::Cancel,
            Op::Remove { .. } => Kind::Remove,
            Op::EndToken { .. } | Op::OwnerEnds { .. } => Kind::EndToken,
            Op::Rotate { .. } => Kind::Rotate,
            Op::Beat { .. } => Kind::TakeOver,
            Op::Register { bearer, .. } => {
                let bearer = bearer.map(|bearer| self.presented(bearer));
                let is_by_api =
                    |change: &Change| matches!(change, Change::Register { by: RegisteredBy::Api, .. });
                match new_owner(write) {
                    Some(owner) if bearer.as_ref() == Some(owner) => Kind::TakeOver,
                    Some(_) => Kind::Claim,
                    None if write.changes().iter().any(is_by_api) => Kind::ApiRefresh,
                    None => Kind::Refresh,
                }
            }
            Op::Create(_) | Op::Show { .. } | Op::Discover => panic!("no update comes of {op:?}"),
        }
    }

    /// A create, as `create-workspace` makes it. Its write comes before its first read.
    fn create(&self, request: &Request, first: First, seen: &[ItemId]) -> Next {
        let (chosen, random) = match first {
            First::Generated => (None, self.random(request.call)),
            First::Chosen(token) => (Some(token.hash()), Random::UNAVAILABLE),
            First::None => (None, Random::UNAVAILABLE),
        };
        let mut workspace =
            Workspace { created_op: created_op(request.call), ..blank(usize::from(request.workspace)) };
        let issued = create::install_first_token(&mut workspace, FirstTokenRole::Owner, chosen, &random);
        let issued = issued.ok().flatten();
        let hash = issued.as_ref().map(|token| token.hash().clone());
        let token = issued.and_then(IssuedToken::generated).as_ref().map(token_of);
        let answer = Answer::Created { token };
        let [_, found] = seen else {
            let condition = if self.is(Mutant::CreateOverwrites) { None } else { Some(IF_ABSENT) };
            let id = TABLE.put(item::to_item(&workspace), condition);
            let token = hash.as_ref().map(Token::of);
            return Next::Write(Write { id, kind: Kind::Create, is_second: false, token, seen: 0, answer });
        };
        let is_own = match self.read(request, *found) {
            Some(Stored::Workspace(found)) => create::already_created(&found, &workspace, hash.as_ref()),
            Some(Stored::Tombstone(_)) | None => false,
        };
        let is_own = match self.mutant {
            Some(Mutant::CreateNotRecognised) => false,
            Some(Mutant::SealedCreateTakesAny) => is_own || hash.is_none(),
            _ => is_own,
        };
        Next::Answer(if is_own { answer } else { Answer::Refused(Why::Exists) })
    }

    fn is(&self, mutant: Mutant) -> bool {
        self.mutant == Some(mutant)
    }
}

/// Runs the shipped protocol up to the last of these items: the first was read, each other was met by a failed write.
fn steps<O: Operation>(operation: &O, seen: &[Option<Stored>]) -> Result<Step<O::Answer>, OperationError> {
    let (read, found) = seen.split_first().expect("every call but a create reads first");
    let mut step = protocol::start(operation, read.as_ref())?;
    for found in found {
        let Step::Write(attempt) = step else { panic!("a call goes on after its answer") };
        step = attempt.condition_failed(operation, found.as_ref())?;
    }
    Ok(step)
}

/// A shipped answer in the specification's terms.
pub trait ToAnswer {
    fn to_answer(&self) -> Answer;
}

impl ToAnswer for Registered {
    fn to_answer(&self) -> Answer {
        Answer::Registered { epoch: self.epoch.0, token: self.token.as_ref().map(token_of) }
    }
}

impl ToAnswer for Minted {
    fn to_answer(&self) -> Answer {
        Answer::Minted { token: self.token.as_ref().map(token_of) }
    }
}

impl ToAnswer for Revoked {
    fn to_answer(&self) -> Answer {
        Answer::Revoked { ended: self.ended, epoch: self.epoch.map(|epoch| epoch.0) }
    }
}

impl ToAnswer for HandOverState {
    fn to_answer(&self) -> Answer {
        match *self {
            Self::Pending { epoch, .. } => Answer::Pending { epoch: epoch.0 },
            Self::Expired { epoch, .. } => Answer::Expired { epoch: epoch.0 },
            Self::HandedOver { epoch } => Answer::HandedOver { epoch: epoch.0 },
        }
    }
}

impl ToAnswer for Cancelled {
    fn to_answer(&self) -> Answer {
        Answer::Cancelled { epoch: self.epoch.0 }
    }
}

impl ToAnswer for Removed {
    fn to_answer(&self) -> Answer {
        Answer::Removed { epoch: self.epoch.0 }
    }
}

impl ToAnswer for Ended {
    fn to_answer(&self) -> Answer {
        Answer::Ended { was_live: self.was_live, epoch: self.epoch.0 }
    }
}

impl ToAnswer for Rotating {
    fn to_answer(&self) -> Answer {
        Answer::Rotating { epoch: self.epoch.0, token: self.token.as_ref().map(token_of) }
    }
}

impl ToAnswer for Beat {
    fn to_answer(&self) -> Answer {
        Answer::Beaten { epoch: self.epoch.0 }
    }
}

fn refused(error: OperationError) -> Answer {
    let refusal = match error {
        OperationError::Refused(refusal) => refusal,
        OperationError::Contended => return Answer::Contended,
        OperationError::RandomUnavailable(_) => return Answer::Unavailable,
    };
    Answer::Refused(match refusal {
        Refusal::InsufficientScope | Refusal::OperatorOnly => Why::InsufficientScope,
        Refusal::HandOverPending => Why::HandOverPending,
        Refusal::NotFound => Why::NotFound,
        Refusal::Removed => Why::Removed,
        Refusal::MissingToken => Why::MissingToken,
        Refusal::InvalidToken => Why::InvalidToken,
        Refusal::HashInUse => Why::HashInUse,
        Refusal::TokenLimitReached => Why::TokenLimitReached,
        Refusal::EpochChanged => Why::EpochChanged,
        Refusal::CommandIdReused => Why::CommandIdReused,
    })
}

fn token_of(token: &NewToken) -> Token {
    Token::of(token.hash())
}

fn new_owner(write: &write::Write) -> Option<&TokenHash> {
    write.changes().iter().find_map(|change| match change {
        Change::SetOwner(owner) => match &owner.hash {
            OwnerHash::Token(hash) => Some(hash),
            OwnerHash::Sealed => None,
        },
        _ => None,
    })
}

/// The token that a write makes live, or to which an owner rotates.
fn new_token(write: &write::Write) -> Option<Token> {
    let other = write.changes().iter().find_map(|change| match change {
        Change::AddApiToken(hash, _) => Some(hash),
        Change::SetSuccessor(next) if next.named_by == NamedBy::Owner => Some(&next.hash),
        _ => None,
    });
    new_owner(write).or(other).map(Token::of)
}

/// The id by which a create recognises its own item.
pub fn created_op(call: u8) -> CommandId {
    CommandId::parse(&format!("create-in-call-{call}")).unwrap()
}

/// A successor that an operator names at this time.
pub fn successor(token: Token, now: Time) -> Successor {
    let (hash, expires) = (token.hash().clone(), now.expiry());
    Successor { hash, prefix: None, named_by: NamedBy::Operator, expires }
}

/// A new workspace with an open door.
pub fn blank(workspace: usize) -> Workspace {
    let profile = Profile { name: "a workspace".to_owned(), ..Profile::default() };
    let (created_at, created_op) = (Time::Early.timestamp(), CommandId::parse("before-the-model").unwrap());
    Workspace::new(workspace_id(workspace), Status::Provisioning, profile, created_at, created_op)
}

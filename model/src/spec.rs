//! The sequential specification: what the registry promises when calls come one after the other. It is written from the
//! words of `docs/design.md` and `docs/api.md` and shares no code with the functions: not their decision, not their
//! types, not their expressions. The model checks every step of the shipped code against it, and the recorded histories
//! are checked against it as well.

use std::collections::BTreeSet;

use crate::words::{Credential, Named, Place, Time, Token};

/// How many API tokens a workspace may have.
const API_TOKENS: usize = 20;

/// One workspace.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Spec {
    pub life: Life,
    /// Counts the writes that changed who may do what.
    pub epoch: u64,
    pub door: Door,
    /// The owner before this one, which cannot be named again.
    pub previous: Option<Token>,
    pub api: BTreeSet<Token>,
    pub successor: Option<Successor>,
    /// What the last registration said.
    pub place: Option<Place>,
    /// Who said it.
    pub by: Option<By>,
    pub remembered: Option<Remembered>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Life {
    Absent,
    Live,
    Removed,
}

/// Who keeps the door closed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Door {
    Open,
    Sealed,
    /// The owner, and the epoch that made it so.
    Owned(Token, u64),
}

/// The token that is to take over.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Successor {
    pub token: Token,
    /// When it was named: a hand-over made early has expired late.
    pub named: Time,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum By {
    Owner,
    Api,
}

/// The last operation of an administrator's.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Remembered {
    pub name: Named,
    pub what: Deed,
    pub epoch: u64,
    /// How many tokens it ended. No item says so, and what is read in one has `None` here.
    pub ended: Option<usize>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Deed {
    Revoke(Scope, Option<Token>),
    HandOver(Token),
    Cancel,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Scope {
    All,
    Owner,
    Api,
}

/// A call.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Op {
    Create(First),
    Register {
        bearer: Option<Credential>,
        chosen: Option<Token>,
        place: Place,
    },
    Mint {
        chosen: Option<Token>,
    },
    Revoke {
        scope: Scope,
        successor: Option<Token>,
        name: Named,
        expected: Option<u64>,
    },
    HandOver {
        successor: Token,
        name: Named,
        expected: Option<u64>,
    },
    Cancel {
        name: Named,
        expected: Option<u64>,
    },
    /// By the administrator, or by a bearer of the workspace's.
    Show {
        bearer: Option<Credential>,
    },
}

impl Op {
    /// The administrator's operation that this is: its name, and what is remembered of it.
    pub fn operation(&self) -> Option<(Named, Deed)> {
        match *self {
            Self::Revoke { scope, successor, name, .. } => Some((name, Deed::Revoke(scope, successor))),
            Self::HandOver { successor, name, .. } => Some((name, Deed::HandOver(successor))),
            Self::Cancel { name, .. } => Some((name, Deed::Cancel)),
            _ => None,
        }
    }

    /// The epoch that its caller expects.
    pub fn expected(&self) -> Option<u64> {
        match *self {
            Self::Revoke { expected, .. }
            | Self::HandOver { expected, .. }
            | Self::Cancel { expected, .. } => expected,
            _ => None,
        }
    }
}

/// A new workspace's first token.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum First {
    /// The registry makes the owner's token.
    Made,
    /// The caller chose the owner's token.
    Chosen(Token),
    /// No token could be made.
    None,
}

/// What a call is answered with.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Answer {
    Created {
        token: Option<Token>,
    },
    Registered {
        epoch: u64,
        token: Option<Token>,
    },
    Minted {
        token: Option<Token>,
    },
    /// Without an epoch: there is no such workspace.
    Revoked {
        ended: usize,
        epoch: Option<u64>,
    },
    /// Only the specification says this: the revoke was made before, and ended so many tokens then.
    RevokedBefore {
        ended: Option<usize>,
        epoch: u64,
    },
    Pending {
        epoch: u64,
    },
    Expired {
        epoch: u64,
    },
    HandedOver {
        epoch: u64,
    },
    Cancelled {
        epoch: u64,
    },
    Shown {
        epoch: u64,
        owner_epoch: Option<u64>,
        place: Option<Place>,
        by: Option<By>,
        tokens: usize,
    },
    Refused(Why),
    /// The registry could not say. It may have done what was asked, or may yet.
    Unavailable,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Why {
    Unknown,
    Exists,
    Removed,
    MissingToken,
    InvalidToken,
    InUse,
    TooManyTokens,
    EpochChanged,
    NameReused,
}

impl Answer {
    /// Whether the caller got what it asked for.
    pub fn is_success(self) -> bool {
        !matches!(self, Self::Refused(_) | Self::Unavailable | Self::Expired { .. })
    }

    /// The token that it shows.
    pub fn token(self) -> Option<Token> {
        match self {
            Self::Created { token } | Self::Registered { token, .. } | Self::Minted { token } => token,
            _ => None,
        }
    }

    /// Whether a caller may be told this where the specification says `self`. A repeated revoke says 0, or what it
    /// ended at first.
    pub fn allows(self, said: Self) -> bool {
        match (self, said) {
            (Self::RevokedBefore { ended, epoch }, Self::Revoked { ended: told, epoch: Some(at) }) => {
                epoch == at && (told == 0 || ended.is_none_or(|ended| ended == told))
            }
            _ => self == said,
        }
    }
}

impl Spec {
    /// There is no such workspace.
    pub fn absent() -> Self {
        Self {
            life: Life::Absent,
            epoch: 0,
            door: Door::Open,
            previous: None,
            api: BTreeSet::new(),
            successor: None,
            place: None,
            by: None,
            remembered: None,
        }
    }

    /// The owner.
    pub fn owner(&self) -> Option<Token> {
        match self.door {
            Door::Owned(token, _) => Some(token),
            Door::Open | Door::Sealed => None,
        }
    }

    /// The successor whose hand-over has not expired.
    pub fn pending(&self, now: Time) -> Option<Token> {
        let pending =
            self.successor.filter(|successor| !(successor.named == Time::Early && now == Time::Late));
        pending.map(|successor| successor.token)
    }

    /// Whether a bearer of this token may read and refresh.
    pub fn is_live(&self, token: Token) -> bool {
        self.owner() == Some(token) || self.api.contains(&token)
    }

    /// Whether this is the operation that is remembered.
    pub fn has_made(&self, op: &Op) -> bool {
        let remembered = self.remembered.map(|made| (made.name, made.what));
        remembered.is_some() && remembered == op.operation()
    }

    /// The same without what no item says.
    pub fn as_in_an_item(mut self) -> Self {
        if let Some(made) = &mut self.remembered {
            made.ended = None;
        }
        self
    }

    /// The flip proof: who was told epoch `after` may retire the source when this holds.
    pub fn proves_flip(&self, after: u64, expected: Place) -> bool {
        matches!(self.door, Door::Owned(_, since) if since > after)
            && self.by == Some(By::Owner)
            && self.place == Some(expected)
    }

    /// One call, at a time, with the token that the registry would make for it.
    pub fn perform(&mut self, op: &Op, now: Time, fresh: Token) -> Answer {
        match *op {
            Op::Create(first) => self.create(first, fresh),
            Op::Revoke { .. } if self.life == Life::Absent => Answer::Revoked { ended: 0, epoch: None },
            // To whom has no right to look, a workspace that is not there looks like somebody else's.
            Op::Show { bearer: Some(bearer) } if !self.accepts(bearer) => Answer::Refused(Why::InvalidToken),
            _ if self.life == Life::Absent => Answer::Refused(Why::Unknown),
            _ if self.life == Life::Removed => Answer::Refused(Why::Removed),
            Op::Register { bearer: Some(bearer), place, .. } => self.register_as(bearer, place, now),
            Op::Register { bearer: None, chosen, place } => {
                self.register_as_nobody(chosen, place, now, fresh)
            }
            Op::Mint { chosen } => self.mint(chosen, now, fresh),
            Op::Revoke { scope, successor, name, expected } => {
                self.revoke(scope, successor, name, expected, now)
            }
            Op::HandOver { successor, name, expected } => self.hand_over(successor, name, expected, now),
            Op::Cancel { name, expected } => self.cancel(name, expected),
            Op::Show { .. } => self.show(),
        }
    }

    /// Workspace and token appear together. A repeat of the same create, while its token is live, changes nothing.
    fn create(&mut self, first: First, fresh: Token) -> Answer {
        if self.life != Life::Absent {
            return match first {
                First::Chosen(token) if self.is_live(token) => Answer::Created { token: None },
                _ => Answer::Refused(Why::Exists),
            };
        }
        self.life = Life::Live;
        self.epoch = 1;
        let (door, shown) = match first {
            First::Made => (Door::Owned(fresh, 1), Some(fresh)),
            First::Chosen(token) => (Door::Owned(token, 1), None),
            First::None => (Door::Sealed, None),
        };
        self.door = door;
        Answer::Created { token: shown }
    }

    /// A bearer is never ignored.
    fn register_as(&mut self, bearer: Credential, place: Place, now: Time) -> Answer {
        let Credential::Token(token) = bearer else { return Answer::Refused(Why::InvalidToken) };
        if self.owner() == Some(token) {
            self.put(place, By::Owner);
        } else if self.api.contains(&token) {
            self.put(place, By::Api);
        } else if self.pending(now) == Some(token) {
            self.epoch += 1;
            self.previous = self.owner().or(self.previous);
            self.door = Door::Owned(token, self.epoch);
            self.successor = None;
            self.put(place, By::Owner);
        } else {
            return Answer::Refused(Why::InvalidToken);
        }
        Answer::Registered { epoch: self.epoch, token: None }
    }

    fn register_as_nobody(&mut self, chosen: Option<Token>, place: Place, now: Time, fresh: Token) -> Answer {
        if self.door != Door::Open || self.pending(now).is_some() {
            let repeats = chosen.is_some() && chosen == self.owner() && self.place == Some(place);
            return if repeats {
                Answer::Registered { epoch: self.epoch, token: None }
            } else {
                Answer::Refused(Why::MissingToken)
            };
        }
        if chosen.is_some_and(|chosen| self.has_or_had_a_role(chosen, now)) {
            return Answer::Refused(Why::InvalidToken);
        }
        self.epoch += 1;
        self.door = Door::Owned(chosen.unwrap_or(fresh), self.epoch);
        self.successor = None;
        self.put(place, By::Owner);
        Answer::Registered { epoch: self.epoch, token: chosen.is_none().then_some(fresh) }
    }

    fn mint(&mut self, chosen: Option<Token>, now: Time, fresh: Token) -> Answer {
        match chosen {
            Some(token) if self.api.contains(&token) => return Answer::Minted { token: None },
            Some(token) if self.has_or_had_a_role(token, now) => return Answer::Refused(Why::InUse),
            _ if self.api.len() >= API_TOKENS => return Answer::Refused(Why::TooManyTokens),
            _ => {}
        }
        self.epoch += 1;
        self.api.insert(chosen.unwrap_or(fresh));
        Answer::Minted { token: chosen.is_none().then_some(fresh) }
    }

    fn revoke(
        &mut self,
        scope: Scope,
        successor: Option<Token>,
        name: Named,
        expected: Option<u64>,
        now: Time,
    ) -> Answer {
        let what = Deed::Revoke(scope, successor);
        if let Some(made) = self.remembered.filter(|made| made.name == name) {
            return if made.what == what {
                Answer::RevokedBefore { ended: made.ended, epoch: made.epoch }
            } else {
                Answer::Refused(Why::NameReused)
            };
        }
        if expected.is_some_and(|expected| expected != self.epoch) {
            return Answer::Refused(Why::EpochChanged);
        }
        if successor
            .is_some_and(|named| self.pending(now) != Some(named) && self.has_or_had_a_role(named, now))
        {
            return Answer::Refused(Why::InUse);
        }
        self.epoch += 1;
        let mut ended = 0;
        if scope != Scope::Api {
            ended += usize::from(self.owner().is_some());
            self.previous = self.owner().or(self.previous);
            self.door = Door::Open;
            self.successor = successor.map(|token| Successor { token, named: now });
        }
        if scope != Scope::Owner {
            ended += self.api.len();
            self.api.clear();
        }
        self.remembered = Some(Remembered { name, what, epoch: self.epoch, ended: Some(ended) });
        Answer::Revoked { ended, epoch: Some(self.epoch) }
    }

    fn hand_over(&mut self, successor: Token, name: Named, expected: Option<u64>, now: Time) -> Answer {
        let what = Deed::HandOver(successor);
        let repeated = self.remembered.filter(|made| made.name == name);
        if repeated.is_some_and(|made| made.what != what) {
            return Answer::Refused(Why::NameReused);
        }
        if let Door::Owned(owner, since) = self.door
            && owner == successor
        {
            return Answer::HandedOver { epoch: repeated.map_or(since - 1, |made| made.epoch) };
        }
        if self.pending(now) == Some(successor) {
            return Answer::Pending { epoch: repeated.map_or(self.epoch, |made| made.epoch) };
        }
        if let Some(made) = repeated {
            return Answer::Expired { epoch: made.epoch };
        }
        if expected.is_some_and(|expected| expected != self.epoch) {
            return Answer::Refused(Why::EpochChanged);
        }
        if self.has_or_had_a_role(successor, now) {
            return Answer::Refused(Why::InUse);
        }
        self.epoch += 1;
        self.successor = Some(Successor { token: successor, named: now });
        self.remembered = Some(Remembered { name, what, epoch: self.epoch, ended: None });
        Answer::Pending { epoch: self.epoch }
    }

    /// Also when none is pending: a take-over that was decided in time, or a hand-over, may be on its way.
    fn cancel(&mut self, name: Named, expected: Option<u64>) -> Answer {
        if let Some(made) = self.remembered.filter(|made| made.name == name) {
            return if made.what == Deed::Cancel {
                Answer::Cancelled { epoch: made.epoch }
            } else {
                Answer::Refused(Why::NameReused)
            };
        }
        if expected.is_some_and(|expected| expected != self.epoch) {
            return Answer::Refused(Why::EpochChanged);
        }
        self.epoch += 1;
        self.successor = None;
        self.remembered = Some(Remembered { name, what: Deed::Cancel, epoch: self.epoch, ended: None });
        Answer::Cancelled { epoch: self.epoch }
    }

    fn show(&self) -> Answer {
        let owner_epoch = match self.door {
            Door::Owned(_, since) => Some(since),
            Door::Sealed => Some(1),
            Door::Open => None,
        };
        let tokens = usize::from(self.owner().is_some()) + self.api.len();
        Answer::Shown { epoch: self.epoch, owner_epoch, place: self.place, by: self.by, tokens }
    }

    /// Whether a bearer of this may read: a hash is no token.
    fn accepts(&self, bearer: Credential) -> bool {
        matches!(bearer, Credential::Token(token) if self.is_live(token))
    }

    fn put(&mut self, place: Place, by: By) {
        self.place = Some(place);
        self.by = Some(by);
    }

    /// A hash plays one role, and the previous owner's none again.
    fn has_or_had_a_role(&self, token: Token, now: Time) -> bool {
        self.is_live(token) || self.pending(now) == Some(token) || self.previous == Some(token)
    }
}

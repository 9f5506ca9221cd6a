//! The sequential specification: what the registry promises when calls come one after the other. It is written from
//! `docs/design.md` and `docs/api.md` and shares no code with the registry: no decision, no type, no expression. The model
//! checks every step of the shipped code against it, and the recorded histories are checked against it too.

use std::collections::BTreeSet;

use crate::symbols::{CommandName, Credential, Place, Time, Token};

/// The most API tokens that a workspace may have.
const API_TOKENS: usize = 20;

/// One workspace.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Spec {
    pub life: Life,
    /// Counts the writes that changed who may do what.
    pub epoch: u64,
    pub door: Door,
    /// The owner before this one. No caller may choose it again.
    pub previous: Option<Token>,
    /// The API tokens that are stored. Those that have expired are as if never minted.
    pub api: BTreeSet<Token>,
    /// Those of them that expire between the two times.
    pub expiring: BTreeSet<Token>,
    pub successor: Option<Successor>,
    /// What the last registration said.
    pub place: Option<Place>,
    /// Whose token made it.
    pub by: Option<By>,
    pub last_command: Option<LastCommand>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Life {
    Absent,
    Live,
    Removed,
}

/// Whether a caller without a bearer may claim the workspace.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Door {
    Open,
    Sealed,
    /// The owner, and the epoch that made it the owner.
    Owned(Token, u64),
}

/// The token that may take over.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Successor {
    pub token: Token,
    /// When it was named. A hand-over made early has expired late.
    pub named: Time,
    pub by: NamedBy,
}

/// Who named a successor.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum NamedBy {
    Operator,
    /// The owner, which rotates its token.
    Owner,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum By {
    Owner,
    Api,
}

/// The last command of an administrator. The workspace remembers one.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct LastCommand {
    pub name: CommandName,
    pub kind: CommandKind,
    /// The epoch that it made.
    pub epoch: u64,
    /// How many tokens it ended. `None` if read from an item, which does not store it.
    pub ended: Option<usize>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum CommandKind {
    Revoke(Scope, Option<Token>),
    HandOver(Token),
    Cancel,
    EndToken(Token),
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Scope {
    All,
    Owner,
    Api,
}

/// What a caller asks for.
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
        /// Whether the token expires, if it is minted early.
        expires: bool,
    },
    Revoke {
        scope: Scope,
        successor: Option<Token>,
        name: CommandName,
        expected: Option<u64>,
    },
    HandOver {
        successor: Token,
        name: CommandName,
        expected: Option<u64>,
    },
    Cancel {
        name: CommandName,
        expected: Option<u64>,
    },
    Remove {
        expected: Option<u64>,
    },
    /// An operator ends one token.
    EndToken {
        token: Token,
        name: CommandName,
        expected: Option<u64>,
    },
    /// An owner ends an API token.
    OwnerEnds {
        bearer: Credential,
        token: Token,
    },
    /// An owner names its own next token.
    Rotate {
        bearer: Credential,
        chosen: Option<Token>,
    },
    /// By the administrator, or with a token of the workspace.
    Show {
        bearer: Option<Credential>,
    },
    /// By a workspace that may see this one.
    Discover,
    Beat {
        bearer: Credential,
    },
}

impl Op {
    /// The name and kind of an administrator's command.
    pub fn command(&self) -> Option<(CommandName, CommandKind)> {
        match *self {
            Self::Revoke { scope, successor, name, .. } => {
                Some((name, CommandKind::Revoke(scope, successor)))
            }
            Self::HandOver { successor, name, .. } => Some((name, CommandKind::HandOver(successor))),
            Self::Cancel { name, .. } => Some((name, CommandKind::Cancel)),
            Self::EndToken { token, name, .. } => Some((name, CommandKind::EndToken(token))),
            _ => None,
        }
    }

    /// The epoch that the caller expects.
    pub fn expected(&self) -> Option<u64> {
        match *self {
            Self::Revoke { expected, .. }
            | Self::HandOver { expected, .. }
            | Self::Cancel { expected, .. }
            | Self::EndToken { expected, .. }
            | Self::Remove { expected } => expected,
            _ => None,
        }
    }
}

/// A new workspace's first token.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum First {
    /// The registry generates the owner's token.
    Generated,
    /// The caller chose the owner's token.
    Chosen(Token),
    /// No token could be generated.
    None,
}

/// What a call answers.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
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
    /// `epoch` is `None` if there is no such workspace.
    Revoked {
        ended: usize,
        epoch: Option<u64>,
    },
    /// Only the specification answers this: the revoke was made before, and ended this many tokens then.
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
    Removed {
        epoch: u64,
    },
    /// Whether the call ended the token.
    Ended {
        was_live: bool,
        epoch: u64,
    },
    /// Only the specification answers this: the operator's command was made before, and ended this many tokens then.
    EndedBefore {
        ended: Option<usize>,
        epoch: u64,
    },
    Rotating {
        epoch: u64,
        token: Option<Token>,
    },
    Shown {
        epoch: u64,
        owner_epoch: Option<u64>,
        place: Option<Place>,
        by: Option<By>,
        tokens: usize,
        /// Whose heartbeat. The specification says whose it would be: the owner's.
        beat: Option<Token>,
    },
    Discovered {
        epoch: u64,
        place: Option<Place>,
    },
    Beaten {
        epoch: u64,
    },
    Refused(Why),
    /// The workspace changed during every attempt. Nothing that the call wrote is in effect, and nothing will be.
    Contended,
    /// The outcome is unknown. The registry may have done what was asked, or may yet.
    Unavailable,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Why {
    NotFound,
    Exists,
    Removed,
    MissingToken,
    InvalidToken,
    InsufficientScope,
    HandOverPending,
    HashInUse,
    TokenLimitReached,
    EpochChanged,
    CommandIdReused,
}

impl Answer {
    /// Whether the caller got what it asked for.
    pub fn is_success(self) -> bool {
        !matches!(self, Self::Refused(_) | Self::Contended | Self::Unavailable | Self::Expired { .. })
    }

    /// The token that it shows.
    pub fn token(self) -> Option<Token> {
        match self {
            Self::Created { token }
            | Self::Registered { token, .. }
            | Self::Rotating { token, .. }
            | Self::Minted { token } => token,
            _ => None,
        }
    }

    /// Whether the registry may answer `said` where the specification answers `self`. A repeated revoke answers 0, or how
    /// many tokens it ended the first time. A heartbeat is shown only if the owner sent it.
    pub fn allows(self, said: Self) -> bool {
        match (self, said) {
            (Self::RevokedBefore { ended, epoch }, Self::Revoked { ended: told, epoch: Some(at) }) => {
                epoch == at && (told == 0 || ended.is_none_or(|ended| ended == told))
            }
            (Self::EndedBefore { ended, epoch }, Self::Ended { was_live, epoch: at }) => {
                epoch == at && (!was_live || ended.is_none_or(|ended| ended == 1))
            }
            (Self::Shown { beat, .. }, Self::Shown { beat: told, .. }) => {
                (told.is_none() || told == beat) && self.without_beat() == said.without_beat()
            }
            _ => self == said,
        }
    }

    fn without_beat(mut self) -> Self {
        if let Self::Shown { beat, .. } = &mut self {
            *beat = None;
        }
        self
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
            expiring: BTreeSet::new(),
            successor: None,
            place: None,
            by: None,
            last_command: None,
        }
    }

    /// The owner.
    pub fn owner(&self) -> Option<Token> {
        match self.door {
            Door::Owned(token, _) => Some(token),
            Door::Open | Door::Sealed => None,
        }
    }

    /// The successor, if its hand-over has not expired.
    pub fn pending(&self, now: Time) -> Option<Token> {
        let pending =
            self.successor.filter(|successor| !(successor.named == Time::Early && now == Time::Late));
        pending.map(|successor| successor.token)
    }

    /// Whether a bearer of this token may read and refresh.
    pub fn is_live(&self, token: Token, now: Time) -> bool {
        self.owner() == Some(token) || self.is_api_token(token, now)
    }

    /// Whether this is an API token that has not expired.
    fn is_api_token(&self, token: Token, now: Time) -> bool {
        self.api.contains(&token) && !self.has_expired(token, now)
    }

    fn has_expired(&self, token: Token, now: Time) -> bool {
        now == Time::Late && self.expiring.contains(&token)
    }

    /// How many API tokens have not expired.
    pub fn api_tokens(&self, now: Time) -> usize {
        self.api.iter().filter(|token| !self.has_expired(**token, now)).count()
    }

    /// Whether this is the last command.
    pub fn has_made(&self, op: &Op) -> bool {
        let last = self.last_command.map(|made| (made.name, made.kind));
        last.is_some() && last == op.command()
    }

    /// The same without what an item does not store.
    pub fn as_stored(mut self) -> Self {
        if let Some(made) = &mut self.last_command {
            made.ended = None;
        }
        self
    }

    /// The flip proof. Whoever was answered epoch `after` may retire the source once it holds.
    pub fn proves_flip(&self, after: u64, expected: Place) -> bool {
        matches!(self.door, Door::Owned(_, since) if since > after)
            && self.by == Some(By::Owner)
            && self.place == Some(expected)
    }

    /// Makes one call at this time. `fresh` is the token that the registry would generate for it.
    pub fn perform(&mut self, op: &Op, now: Time, fresh: Token) -> Answer {
        match *op {
            Op::Create(first) => self.create(first, fresh),
            Op::Revoke { .. } if self.life == Life::Absent => Answer::Revoked { ended: 0, epoch: None },
            // A caller who may not read cannot tell an absent workspace from somebody else's.
            Op::Show { bearer: Some(bearer) } if !self.accepts(bearer, now) => {
                Answer::Refused(Why::InvalidToken)
            }
            // To others, a removed workspace looks like an absent one.
            Op::Discover if self.life != Life::Live => Answer::Refused(Why::NotFound),
            _ if self.life == Life::Absent => Answer::Refused(Why::NotFound),
            Op::Remove { .. } if self.life == Life::Removed => Answer::Removed { epoch: self.epoch },
            _ if self.life == Life::Removed => Answer::Refused(Why::Removed),
            Op::Register { bearer: Some(bearer), place, .. } => self.register_with(bearer, place, now),
            Op::Register { bearer: None, chosen, place } => {
                self.register_without_bearer(chosen, place, now, fresh)
            }
            Op::Mint { chosen, expires } => self.mint(chosen, expires, now, fresh),
            Op::Revoke { scope, successor, name, expected } => {
                self.revoke(scope, successor, name, expected, now)
            }
            Op::HandOver { successor, name, expected } => self.hand_over(successor, name, expected, now),
            Op::Cancel { name, expected } => self.cancel(name, expected),
            Op::Remove { expected } => self.remove(expected),
            Op::Show { .. } => self.show(now),
            Op::Discover => Answer::Discovered { epoch: self.epoch, place: self.place },
            Op::Beat { bearer } => self.beat(bearer, now),
            Op::EndToken { token, name, expected } => self.end_token(token, name, expected, now),
            Op::OwnerEnds { bearer, token } => self.owner_ends(bearer, token, now),
            Op::Rotate { bearer, chosen } => self.rotate(bearer, chosen, now, fresh),
        }
    }

    /// Workspace and token appear together. Repeating the create while its token is live changes nothing.
    fn create(&mut self, first: First, fresh: Token) -> Answer {
        if self.life != Life::Absent {
            return match first {
                First::Chosen(token) if self.is_live(token, Time::Early) => Answer::Created { token: None },
                _ => Answer::Refused(Why::Exists),
            };
        }
        self.life = Life::Live;
        self.epoch = 1;
        let (door, shown) = match first {
            First::Generated => (Door::Owned(fresh, 1), Some(fresh)),
            First::Chosen(token) => (Door::Owned(token, 1), None),
            First::None => (Door::Sealed, None),
        };
        self.door = door;
        Answer::Created { token: shown }
    }

    /// A bearer that is not live is refused, even with the door open.
    fn register_with(&mut self, bearer: Credential, place: Place, now: Time) -> Answer {
        let Credential::Token(token) = bearer else { return Answer::Refused(Why::InvalidToken) };
        if self.owner() == Some(token) {
            self.refresh(place, By::Owner);
        } else if self.is_api_token(token, now) {
            self.refresh(place, By::Api);
        } else if self.pending(now) == Some(token) {
            self.take_over(token);
            self.refresh(place, By::Owner);
        } else {
            return Answer::Refused(Why::InvalidToken);
        }
        Answer::Registered { epoch: self.epoch, token: None }
    }

    fn register_without_bearer(
        &mut self,
        chosen: Option<Token>,
        place: Place,
        now: Time,
        fresh: Token,
    ) -> Answer {
        if self.door != Door::Open || self.pending(now).is_some() {
            let repeats = chosen.is_some() && chosen == self.owner() && self.place == Some(place);
            return if repeats {
                Answer::Registered { epoch: self.epoch, token: None }
            } else {
                Answer::Refused(Why::MissingToken)
            };
        }
        if chosen.is_some_and(|chosen| self.is_known(chosen, now)) {
            return Answer::Refused(Why::HashInUse);
        }
        self.epoch += 1;
        self.door = Door::Owned(chosen.unwrap_or(fresh), self.epoch);
        self.successor = None;
        self.refresh(place, By::Owner);
        Answer::Registered { epoch: self.epoch, token: chosen.is_none().then_some(fresh) }
    }

    /// Removes the tokens that have expired.
    fn mint(&mut self, chosen: Option<Token>, expires: bool, now: Time, fresh: Token) -> Answer {
        match chosen {
            Some(token) if self.is_api_token(token, now) => return Answer::Minted { token: None },
            Some(token) if self.is_known(token, now) => return Answer::Refused(Why::HashInUse),
            _ if self.api_tokens(now) >= API_TOKENS => return Answer::Refused(Why::TokenLimitReached),
            _ => {}
        }
        self.epoch += 1;
        if now == Time::Late {
            for expired in std::mem::take(&mut self.expiring) {
                self.api.remove(&expired);
            }
        }
        let token = chosen.unwrap_or(fresh);
        self.api.insert(token);
        if expires && now == Time::Early {
            self.expiring.insert(token);
        }
        Answer::Minted { token: chosen.is_none().then_some(fresh) }
    }

    fn revoke(
        &mut self,
        scope: Scope,
        successor: Option<Token>,
        name: CommandName,
        expected: Option<u64>,
        now: Time,
    ) -> Answer {
        let kind = CommandKind::Revoke(scope, successor);
        if let Some(made) = self.last_command.filter(|made| made.name == name) {
            return if made.kind == kind {
                Answer::RevokedBefore { ended: made.ended, epoch: made.epoch }
            } else {
                Answer::Refused(Why::CommandIdReused)
            };
        }
        if expected.is_some_and(|expected| expected != self.epoch) {
            return Answer::Refused(Why::EpochChanged);
        }
        if successor.is_some_and(|named| self.pending(now) != Some(named) && self.is_known(named, now)) {
            return Answer::Refused(Why::HashInUse);
        }
        self.epoch += 1;
        let mut ended = 0;
        if scope != Scope::Api {
            ended += usize::from(self.owner().is_some());
            self.previous = self.owner().or(self.previous);
            self.door = Door::Open;
            self.successor = successor.map(|token| Successor { token, named: now, by: NamedBy::Operator });
        }
        if scope != Scope::Owner {
            ended += self.api_tokens(now);
            self.api.clear();
            self.expiring.clear();
        }
        self.last_command = Some(LastCommand { name, kind, epoch: self.epoch, ended: Some(ended) });
        Answer::Revoked { ended, epoch: Some(self.epoch) }
    }

    fn hand_over(&mut self, successor: Token, name: CommandName, expected: Option<u64>, now: Time) -> Answer {
        let kind = CommandKind::HandOver(successor);
        let repeated = self.last_command.filter(|made| made.name == name);
        if repeated.is_some_and(|made| made.kind != kind) {
            return Answer::Refused(Why::CommandIdReused);
        }
        if let Door::Owned(owner, since) = self.door
            && owner == successor
        {
            return Answer::HandedOver { epoch: repeated.map_or(since - 1, |made| made.epoch) };
        }
        let is_operators = self.successor.is_some_and(|named| named.by == NamedBy::Operator);
        if self.pending(now) == Some(successor) && is_operators {
            return Answer::Pending { epoch: repeated.map_or(self.epoch, |made| made.epoch) };
        }
        if let Some(made) = repeated {
            return Answer::Expired { epoch: made.epoch };
        }
        if expected.is_some_and(|expected| expected != self.epoch) {
            return Answer::Refused(Why::EpochChanged);
        }
        if self.is_known(successor, now) {
            return Answer::Refused(Why::HashInUse);
        }
        self.epoch += 1;
        self.successor = Some(Successor { token: successor, named: now, by: NamedBy::Operator });
        self.last_command = Some(LastCommand { name, kind, epoch: self.epoch, ended: None });
        Answer::Pending { epoch: self.epoch }
    }

    /// Takes effect even if no hand-over is pending: a hand-over or a take-over may be on its way.
    fn cancel(&mut self, name: CommandName, expected: Option<u64>) -> Answer {
        if let Some(made) = self.last_command.filter(|made| made.name == name) {
            return if made.kind == CommandKind::Cancel {
                Answer::Cancelled { epoch: made.epoch }
            } else {
                Answer::Refused(Why::CommandIdReused)
            };
        }
        if expected.is_some_and(|expected| expected != self.epoch) {
            return Answer::Refused(Why::EpochChanged);
        }
        self.epoch += 1;
        self.successor = None;
        self.last_command =
            Some(LastCommand { name, kind: CommandKind::Cancel, epoch: self.epoch, ended: None });
        Answer::Cancelled { epoch: self.epoch }
    }

    /// Nothing stays but a tombstone, and nothing brings the workspace back.
    fn remove(&mut self, expected: Option<u64>) -> Answer {
        if expected.is_some_and(|expected| expected != self.epoch) {
            return Answer::Refused(Why::EpochChanged);
        }
        let epoch = self.epoch + 1;
        *self = Self { life: Life::Removed, epoch, ..Self::absent() };
        Answer::Removed { epoch }
    }

    fn show(&self, now: Time) -> Answer {
        let owner_epoch = match self.door {
            Door::Owned(_, since) => Some(since),
            Door::Sealed => Some(1),
            Door::Open => None,
        };
        let tokens = usize::from(self.owner().is_some()) + self.api_tokens(now);
        let (epoch, place, by, beat) = (self.epoch, self.place, self.by, self.owner());
        Answer::Shown { epoch, owner_epoch, place, by, tokens, beat }
    }

    fn take_over(&mut self, token: Token) {
        self.epoch += 1;
        self.previous = self.owner().or(self.previous);
        self.door = Door::Owned(token, self.epoch);
        self.successor = None;
    }

    /// Only the owner's heartbeat counts, and that of the token to which an owner rotates: it then takes over.
    fn beat(&mut self, bearer: Credential, now: Time) -> Answer {
        if let Credential::Token(token) = bearer
            && self.pending(now) == Some(token)
            && self.successor.is_some_and(|named| named.by == NamedBy::Owner)
        {
            self.take_over(token);
        }
        match self.why_not_owner(bearer, now) {
            Some(why) => Answer::Refused(why),
            None => Answer::Beaten { epoch: self.epoch },
        }
    }

    /// Why this bearer may not do what only the owner may.
    fn why_not_owner(&self, bearer: Credential, now: Time) -> Option<Why> {
        match bearer {
            Credential::Token(token) if self.owner() == Some(token) => None,
            Credential::Token(token) if self.is_api_token(token, now) => Some(Why::InsufficientScope),
            Credential::Token(_) | Credential::HashOf(_) => Some(Why::InvalidToken),
        }
    }

    /// Ending the owner's token opens the door, as a revoke of the owner does.
    fn end_token(&mut self, token: Token, name: CommandName, expected: Option<u64>, now: Time) -> Answer {
        let kind = CommandKind::EndToken(token);
        if let Some(made) = self.last_command.filter(|made| made.name == name) {
            return if made.kind == kind {
                Answer::EndedBefore { ended: made.ended, epoch: made.epoch }
            } else {
                Answer::Refused(Why::CommandIdReused)
            };
        }
        if expected.is_some_and(|expected| expected != self.epoch) {
            return Answer::Refused(Why::EpochChanged);
        }
        self.epoch += 1;
        let was_live = self.is_live(token, now);
        let was_pending = self.pending(now) == Some(token);
        if self.owner() == Some(token) {
            self.previous = Some(token);
            self.door = Door::Open;
            self.successor = None;
        } else if was_pending {
            self.successor = None;
        }
        let was_live = was_live || was_pending;
        self.end_api_token(token, now);
        let ended = Some(usize::from(was_live));
        self.last_command = Some(LastCommand { name, kind, epoch: self.epoch, ended });
        Answer::Ended { was_live, epoch: self.epoch }
    }

    /// The operator's last command stays remembered.
    fn owner_ends(&mut self, bearer: Credential, token: Token, now: Time) -> Answer {
        if let Some(why) = self.why_not_owner(bearer, now) {
            return Answer::Refused(why);
        }
        if self.owner() == Some(token) {
            return Answer::Refused(Why::InsufficientScope);
        }
        self.epoch += 1;
        let is_own = self.successor.is_some_and(|named| named.by == NamedBy::Owner);
        let was_pending = is_own && self.pending(now) == Some(token);
        if was_pending {
            self.successor = None;
        }
        Answer::Ended { was_live: self.end_api_token(token, now) || was_pending, epoch: self.epoch }
    }

    /// Returns whether it was live.
    fn end_api_token(&mut self, token: Token, now: Time) -> bool {
        let is_live = self.is_api_token(token, now);
        if is_live {
            self.api.remove(&token);
            self.expiring.remove(&token);
        }
        is_live
    }

    /// An owner's newest wish counts, but an operator's hand-over stays.
    fn rotate(&mut self, bearer: Credential, chosen: Option<Token>, now: Time, fresh: Token) -> Answer {
        if let Some(why) = self.why_not_owner(bearer, now) {
            return Answer::Refused(why);
        }
        let pending = self.pending(now);
        if pending.is_some() && self.successor.is_some_and(|named| named.by == NamedBy::Operator) {
            return Answer::Refused(Why::HandOverPending);
        }
        if chosen.is_some_and(|token| pending != Some(token) && self.is_known(token, now)) {
            return Answer::Refused(Why::HashInUse);
        }
        self.epoch += 1;
        let token = chosen.unwrap_or(fresh);
        self.successor = Some(Successor { token, named: now, by: NamedBy::Owner });
        Answer::Rotating { epoch: self.epoch, token: chosen.is_none().then_some(fresh) }
    }

    /// Whether this credential may read. A hash is no token.
    fn accepts(&self, bearer: Credential, now: Time) -> bool {
        matches!(bearer, Credential::Token(token) if self.is_live(token, now))
    }

    /// Sets what the last registration said.
    pub fn refresh(&mut self, place: Place, by: By) {
        self.place = Some(place);
        self.by = Some(by);
    }

    /// A token that is live, is the pending successor or was the previous owner cannot be chosen.
    fn is_known(&self, token: Token, now: Time) -> bool {
        self.is_live(token, now) || self.pending(now) == Some(token) || self.previous == Some(token)
    }
}

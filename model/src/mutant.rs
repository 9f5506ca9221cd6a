//! Mutants: the registry with one mistake. Each stands between the shipped code and the model. Each must lead to a
//! counterexample, or the model would miss that mistake.

use aws_sdk_dynamodb::types::AttributeValue;
use domain::operations::cancel_hand_over::{CancelHandOver, Cancelled};
use domain::operations::command::Command;
use domain::operations::end_token::{EndToken, EndTokenCaller, Ended};
use domain::operations::hand_over::HandOver;
use domain::operations::heartbeat::Heartbeat;
use domain::operations::mint_token::MintToken;
use domain::operations::register::{Register, Registered, RegisteredAs};
use domain::operations::remove::Remove;
use domain::operations::revoke::{Revoke, Revoked};
use domain::operations::rotate::Rotate;
use domain::protocol::{Decision, Operation, OperationError, Refusal, WhenOvertaken};
use domain::time::Timestamp;
use domain::workspace::{NamedBy, Owner, OwnerHash, Status, Stored, Tombstone, Workspace};
use shared::table::item::{self, REMOVED, attribute};

use crate::flows::{Kind, Request, blank};
use crate::spec::Op;
use crate::symbols::{CommandName, Token};
use crate::table::{Entry, Sent};

macro_rules! mutants {
    ($($(#[$doc:meta])* $mutant:ident,)*) => {
        /// A mistake.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
        pub enum Mutant {
            $($(#[$doc])* $mutant,)*
        }

        impl Mutant {
            pub const ALL: &[Self] = &[$(Self::$mutant,)*];
        }
    };
}

mutants! {
    /// No write has a fence.
    NoFence,
    /// No write advances the epoch.
    EpochStands,
    /// An owner's refresh has no fence.
    OwnerRefreshUnfenced,
    /// An API token's refresh has no fence.
    ApiRefreshUnfenced,
    /// A refresh advances the epoch.
    RefreshAdvances,
    /// A refresh does not compare its bearer with the owner.
    RefreshByAnybody,
    /// A claim does not see the owner.
    ClaimOverTheOwner,
    /// A claim does not see a hand-over.
    ClaimOverAHandOver,
    /// A claim treats a sealed door as open.
    SealIsOpen,
    /// A bearer that is not live is ignored if the door is open.
    BearerIgnored,
    /// A claim may choose the previous owner's hash.
    PreviousOwnerReturns,
    /// A hand-over may name the previous owner's hash.
    PreviousOwnerSucceeds,
    /// A mint may choose the owner's hash.
    OwnerMintedAgain,
    /// A mint does not count the API tokens.
    NoLimit,
    /// The second write of a claim uses the token of the first.
    SameTokenTwice,
    /// A claim does not recognise its own write.
    ClaimNotRecognised,
    /// A mint does not recognise its own write.
    MintNotRecognised,
    /// A create does not recognise its own write.
    CreateNotRecognised,
    /// A revoke does not recognise its own write.
    RevokeNotRecognised,
    /// A hand-over does not recognise its own write.
    HandOverNotRecognised,
    /// A cancel does not recognise its own write.
    CancelNotRecognised,
    /// Every call takes whatever it meets for its own write.
    AnyWriteIsOwn,
    /// A call that names a caller's token writes a second time.
    ChosenTwice,
    /// A command that was overtaken writes a second time.
    CommandTriesAgain,
    /// A claim answers the epoch that its decision saw.
    ClaimAnswersTheSeenEpoch,
    /// A revoke that another call has made answers how many tokens it would have ended itself.
    RepeatCounts,
    /// A take-over leaves the source's token alive, as an API token.
    SourceLivesOn,
    /// A hand-over ends the owner.
    HandOverEndsTheOwner,
    /// A cancel of an expired hand-over writes nothing.
    ExpiredNotCancelled,
    /// A cancel writes nothing if no hand-over is recorded.
    CancelOnlyThePending,
    /// A cancel does not advance the epoch.
    CancelKeepsTheEpoch,
    /// A revoke leaves a pending hand-over.
    RevokeSparesTheSuccessor,
    /// A revoke of a workspace without live tokens writes nothing.
    RevokeOnlyTheLive,
    /// A revoke does not store the hash of the owner that it ends.
    RevokeForgetsTheOwner,
    /// A revoke does not require that the workspace exists.
    RevokeCreates,
    /// A command does not look at the last command: a repeat is made again.
    RepeatedAgain,
    /// A command does not compare the epoch that its caller expects.
    ExpectedEpochIgnored,
    /// A create does not require that the id is free.
    CreateOverwrites,
    /// A create without a token takes whatever it meets for its own.
    SealedCreateTakesAny,
    /// A removal does not advance the epoch.
    RemoveKeepsTheEpoch,
    /// A removal leaves the status, and so no tombstone.
    RemoveLeavesTheStatus,
    /// A removal of a removed workspace is refused.
    RemoveNotRecognised,
    /// A removed workspace is treated like any other.
    RemovedIsLive,
    /// The text of a hash counts as the token.
    HashAuthenticates,
    /// A rotation does not compare its bearer with the owner.
    RotateByAnybody,
    /// A rotation does not see an operator's hand-over.
    RotateOverAHandOver,
    /// An operator's successor takes over by a heartbeat.
    BeatTakesOver,
    /// An operator's end of a token does not recognise its own write.
    EndNotRecognised,
    /// An operator's end of a token that is not live writes nothing.
    EndOnlyTheLive,
    /// Any live token may end the owner's.
    LiveEndsTheOwner,
    /// A refresh does not look at an API token's expiry.
    ExpiredIsLive,
    /// A mint takes an expired token for a live one.
    ExpiredIsMinted,
    /// The flip proof does not compare the owner's epoch.
    ProofWithoutEpoch,
    /// The flip proof does not ask who registered.
    ProofWithoutOwner,
    /// The flip proof does not compare the URL.
    ProofWithoutUrl,
}

/// A shipped operation with a mistake.
pub struct Mutated<O> {
    pub shipped: O,
    pub mutant: Mutant,
    pub request: Request,
}

/// A shipped operation that mutants change. By default they change only what it sees.
pub trait Mutable: Operation {
    fn decide_mutated(
        &self,
        _mutant: Mutant,
        seen: &Workspace,
    ) -> Result<Decision<Self::Answer>, OperationError> {
        self.decide(seen)
    }

    fn already_applied_mutated(
        &self,
        _mutant: Mutant,
        found: &Workspace,
        answer: Self::Answer,
    ) -> Option<Self::Answer> {
        self.already_applied(found, answer)
    }
}

impl<O: Mutable> Operation for Mutated<O> {
    type Answer = O::Answer;

    fn decide(&self, workspace: &Workspace) -> Result<Decision<O::Answer>, OperationError> {
        let mut seen = workspace.clone();
        self.mutant.hide(&self.request, &mut seen);
        self.shipped.decide_mutated(self.mutant, &seen)
    }

    fn already_applied(&self, found: &Workspace, answer: O::Answer) -> Option<O::Answer> {
        match (self.mutant, self.request.op) {
            (Mutant::AnyWriteIsOwn, _) => Some(answer),
            (Mutant::ClaimNotRecognised, Op::Register { .. })
            | (Mutant::MintNotRecognised, Op::Mint { .. })
            | (Mutant::RevokeNotRecognised, Op::Revoke { .. })
            | (Mutant::HandOverNotRecognised, Op::HandOver { .. })
            | (Mutant::EndNotRecognised, Op::EndToken { .. })
            | (Mutant::CancelNotRecognised, Op::Cancel { .. }) => None,
            _ => self.shipped.already_applied_mutated(self.mutant, found, answer),
        }
    }

    fn when_overtaken(&self) -> WhenOvertaken {
        match (self.mutant, self.shipped.when_overtaken()) {
            (Mutant::ChosenTwice, WhenOvertaken::DecideAgain)
            | (Mutant::CommandTriesAgain, WhenOvertaken::GiveUp) => WhenOvertaken::TryAgain,
            (_, shipped) => shipped,
        }
    }

    fn when_absent(&self) -> Result<O::Answer, OperationError> {
        self.shipped.when_absent()
    }

    fn when_removed(&self, tombstone: &Tombstone) -> Result<O::Answer, OperationError> {
        match (self.mutant, self.request.op) {
            (Mutant::RemoveNotRecognised, Op::Remove { .. }) => Err(Refusal::Removed.into()),
            _ => self.shipped.when_removed(tombstone),
        }
    }
}

impl Mutable for Register {
    fn decide_mutated(
        &self,
        mutant: Mutant,
        seen: &Workspace,
    ) -> Result<Decision<Registered>, OperationError> {
        match (mutant, self.decide(seen)) {
            (Mutant::BearerIgnored, Err(OperationError::Refused(Refusal::InvalidToken))) => {
                let Self { chosen, registration, now, random, .. } = self;
                let (chosen, registration) = (chosen.clone(), registration.clone());
                Self { bearer: None, chosen, registration, now: *now, random: random.clone() }.decide(seen)
            }
            (Mutant::ClaimAnswersTheSeenEpoch, Ok(Decision::Write(write, answer)))
                if answer.kind == RegisteredAs::Claim =>
            {
                let answer = Registered { epoch: seen.epoch, ..answer };
                Ok(Decision::Write(write, answer))
            }
            (_, shipped) => shipped,
        }
    }
}

impl Mutable for MintToken {}

impl Mutable for Revoke {
    fn decide_mutated(&self, mutant: Mutant, seen: &Workspace) -> Result<Decision<Revoked>, OperationError> {
        match (mutant, self.decide(seen)) {
            (Mutant::RevokeOnlyTheLive, Ok(Decision::Write(_, answer)))
                if answer.ended == 0 && seen.successor.is_none() =>
            {
                Ok(Decision::AlreadyDone(Revoked { epoch: Some(seen.epoch), ..answer }))
            }
            (_, shipped) => shipped,
        }
    }

    fn already_applied_mutated(&self, mutant: Mutant, found: &Workspace, answer: Revoked) -> Option<Revoked> {
        let made = self.already_applied(found, answer)?;
        Some(if mutant == Mutant::RepeatCounts { Revoked { ended: answer.ended, ..made } } else { made })
    }
}

impl Mutable for HandOver {}

impl Mutable for Rotate {}

impl Mutable for Heartbeat {}

impl Mutable for EndToken {
    fn decide_mutated(&self, mutant: Mutant, seen: &Workspace) -> Result<Decision<Ended>, OperationError> {
        match (mutant, self.decide(seen)) {
            (Mutant::EndOnlyTheLive, Ok(Decision::Write(_, answer))) if !answer.was_live => {
                Ok(Decision::AlreadyDone(Ended { epoch: seen.epoch, ..answer }))
            }
            (
                Mutant::LiveEndsTheOwner,
                Err(OperationError::Refused(Refusal::InsufficientScope | Refusal::OperatorOnly)),
            ) => {
                let caller =
                    EndTokenCaller::Operator(Command { id: CommandName(5).id(), expected_epoch: None });
                Self { caller, id: self.id.clone(), now: self.now }.decide(seen)
            }
            (_, shipped) => shipped,
        }
    }
}

impl Mutable for Remove {}

impl Mutable for CancelHandOver {
    fn decide_mutated(
        &self,
        mutant: Mutant,
        seen: &Workspace,
    ) -> Result<Decision<Cancelled>, OperationError> {
        let skips = matches!(mutant, Mutant::CancelOnlyThePending | Mutant::ExpiredNotCancelled);
        match self.decide(seen) {
            Ok(Decision::Write(..)) if skips && seen.successor.is_none() => {
                Ok(Decision::AlreadyDone(Cancelled { epoch: seen.epoch }))
            }
            shipped => shipped,
        }
    }
}

impl Mutant {
    /// What the functions read in this item.
    pub fn read(self, request: &Request, entry: &Entry) -> Option<Stored> {
        match (self, &entry.stored, request.op) {
            (Self::RemovedIsLive, Some(Stored::Tombstone(_)), _) => {
                let mut item = entry.item.clone();
                let live = AttributeValue::S(Status::Online.as_str().to_owned());
                let removed = item.insert(attribute::STATUS.to_owned(), live);
                assert_eq!(removed, Some(AttributeValue::S(REMOVED.to_owned())));
                item::from_item(&item).ok()
            }
            (Self::RevokeCreates, None, Op::Revoke { .. }) => {
                Some(Stored::Workspace(Box::new(blank(usize::from(request.workspace)))))
            }
            (_, stored, _) => stored.clone(),
        }
    }

    /// Hides from the decision what the mistake overlooks.
    fn hide(self, request: &Request, seen: &mut Workspace) {
        let now = request.now.timestamp();
        match (self, request.op) {
            (Self::RefreshByAnybody, Op::Register { bearer: Some(bearer), .. }) => {
                let (hash, minted_at) = (OwnerHash::Token(bearer.hash()), Timestamp::UNIX_EPOCH);
                seen.owner = Some(Owner { hash, prefix: None, minted_at, epoch: seen.epoch });
            }
            (Self::ClaimOverTheOwner, Op::Register { bearer: None, .. }) => seen.owner = None,
            (Self::ClaimOverAHandOver, Op::Register { bearer: None, .. }) => seen.successor = None,
            (Self::SealIsOpen, Op::Register { bearer: None, .. }) => {
                seen.owner = seen.owner.take().filter(|owner| owner.hash.token().is_some());
            }
            (Self::PreviousOwnerReturns, Op::Register { bearer: None, .. })
            | (Self::PreviousOwnerSucceeds, Op::HandOver { .. }) => seen.previous_owner = None,
            (Self::OwnerMintedAgain, Op::Mint { .. }) => seen.owner = None,
            (Self::ExpiredIsLive, Op::Register { .. }) | (Self::ExpiredIsMinted, Op::Mint { .. }) => {
                seen.api_tokens.values_mut().for_each(|token| token.expires = None);
            }
            (Self::RotateByAnybody, Op::Rotate { bearer, .. }) => {
                let (hash, minted_at) = (OwnerHash::Token(bearer.hash()), Timestamp::UNIX_EPOCH);
                seen.owner = Some(Owner { hash, prefix: None, minted_at, epoch: seen.epoch });
            }
            (Self::RotateOverAHandOver, Op::Rotate { .. }) => seen.successor = None,
            (Self::BeatTakesOver, Op::Beat { .. }) => {
                if let Some(successor) = &mut seen.successor {
                    successor.named_by = NamedBy::Owner;
                }
            }
            (Self::NoLimit, Op::Mint { .. }) => seen.api_tokens.clear(),
            (Self::ExpiredNotCancelled, Op::Cancel { .. }) => {
                seen.successor = seen.successor.take().filter(|successor| successor.is_pending(now));
            }
            (Self::RepeatedAgain, op) if op.command().is_some() => seen.last_command = None,
            _ => {}
        }
    }

    /// Changes the request that is sent.
    pub fn change_update(self, kind: Kind, sent: &mut Sent) {
        let unfenced = match self {
            Self::NoFence => true,
            Self::OwnerRefreshUnfenced => kind == Kind::Refresh,
            Self::ApiRefreshUnfenced => kind == Kind::ApiRefresh,
            _ => false,
        };
        if unfenced {
            cut(&mut sent.condition, " AND #epoch = :seen");
        }
        match self {
            Self::EpochStands => cut(&mut sent.expression, "#epoch = :epoch, "),
            Self::CancelKeepsTheEpoch if kind == Kind::Cancel => {
                cut(&mut sent.expression, "#epoch = :epoch, ");
            }
            Self::RemoveKeepsTheEpoch if kind == Kind::Remove => {
                cut(&mut sent.expression, "#epoch = :epoch, ");
            }
            Self::RemoveLeavesTheStatus if kind == Kind::Remove => {
                sent.expression = sent.expression.replace(", #status = :status REMOVE", " REMOVE");
            }
            Self::RefreshAdvances if kind.is_refresh() => {
                sent.expression = sent.expression.replacen("SET ", "SET #epoch = #epoch + :one, ", 1);
                sent.values.insert(":one".to_owned(), AttributeValue::N("1".to_owned()));
            }
            Self::RevokeCreates if kind == Kind::Revoke => sent.condition.clear(),
            Self::RevokeSparesTheSuccessor if kind == Kind::Revoke => {
                cut(
                    &mut sent.expression,
                    ", #successor_hash, #successor_prefix, #successor_by, #successor_expires",
                );
            }
            Self::RevokeForgetsTheOwner if kind == Kind::Revoke => {
                cut(&mut sent.expression, PREVIOUS_OWNER);
            }
            Self::HandOverEndsTheOwner if kind == Kind::HandOver => {
                let ended = [
                    attribute::OWNER_HASH,
                    attribute::OWNER_PREFIX,
                    attribute::OWNER_MINTED_AT,
                    attribute::OWNER_EPOCH,
                ];
                sent.expression.push_str(&format!(", #{}", ended.join(", #")));
                sent.names.extend(ended.map(|ended| (format!("#{ended}"), ended.to_owned())));
            }
            Self::SourceLivesOn if kind == Kind::TakeOver && sent.expression.contains(PREVIOUS_OWNER) => {
                sent.expression = sent.expression.replacen("SET ", "SET #api_tokens.#kept = :kept, ", 1);
                let names = [
                    ("#api_tokens", attribute::API_TOKENS.to_owned()),
                    ("#kept", Token::SOURCE.hash().as_str().to_owned()),
                ];
                sent.names.extend(names.map(|(alias, name)| (alias.to_owned(), name)));
                let minted_at = AttributeValue::S(Timestamp::UNIX_EPOCH.rfc3339());
                let token = [(attribute::MINTED_AT.to_owned(), minted_at)].into();
                sent.values.insert(":kept".to_owned(), AttributeValue::M(token));
            }
            _ => {}
        }
    }
}

/// How an update stores the hash of the owner that it ends.
const PREVIOUS_OWNER: &str = "#previous_owner_hash = :previous_owner_hash, ";

fn cut(text: &mut String, part: &str) {
    *text = text.replace(part, "");
}

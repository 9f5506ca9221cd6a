//! Mutants: the registry with one thing wrong in it. Each is put in between the shipped code and the model, and each must
//! give a counterexample, or the model would not have noticed the mistake.

use aws_sdk_dynamodb::types::AttributeValue;
use shared::schema::attribute;
use shared::time::Now;
use shared::workspace::{Status, Workspace};

use crate::spec::Op;
use crate::table::Sent;
use crate::words::Token;

/// A mistake.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Mutant {
    /// The fence is left out: no write depends on the epoch that it was decided on.
    NoFence,
    /// Fenced writes do not move the epoch.
    EpochStands,
    /// The refresh does not compare the presented hash with the owner's.
    RefreshByAnybody,
    /// The refresh does not ask for a live status.
    RefreshOfTheRemoved,
    /// An API token's refresh asks neither for the epoch nor for the token.
    ApiRefreshUnconditioned,
    /// The claim is decided as if there were no owner.
    ClaimOverTheOwner,
    /// The claim is decided as if there were no hand-over.
    ClaimOverAHandOver,
    /// A sealed door counts as open.
    SealIsOpen,
    /// A bearer that is not live is ignored when the door is open.
    BearerIgnored,
    /// A claim may name the previous owner's hash.
    PreviousOwnerReturns,
    /// A hand-over may name the previous owner's hash.
    PreviousOwnerSucceeds,
    /// A mint may name the owner's hash.
    OwnerMintedAgain,
    /// The limit of API tokens is not looked at.
    NoLimit,
    /// The second write of a claim uses the token of the first.
    SameTokenTwice,
    /// A claim whose condition failed is not looked for in the item.
    ClaimNotRecognised,
    /// The same for a mint.
    MintNotRecognised,
    /// The same for a create.
    CreateNotRecognised,
    /// The same for a revoke.
    RevokeNotRecognised,
    /// The same for a hand-over.
    HandOverNotRecognised,
    /// The same for the cancelling of a hand-over.
    CancelNotRecognised,
    /// A call that names a caller's token writes a second time.
    ChosenTwice,
    /// A claim tells the epoch that it was decided on.
    ClaimTellsTheSeenEpoch,
    /// A revoke that finds itself made by another call tells how many tokens it would have ended.
    RepeatCounts,
    /// A take-over leaves the source's token alive, as an API token.
    SourceLivesOn,
    /// A hand-over ends the owner.
    HandOverEndsTheOwner,
    /// The cancelling of a hand-over that has expired writes nothing.
    ExpiredNotCancelled,
    /// A cancel writes nothing when nothing is pending.
    CancelOnlyThePending,
    /// The cancelling of a hand-over does not move the epoch.
    CancelMovesNothing,
    /// A revoke leaves a pending hand-over alone.
    RevokeSparesTheSuccessor,
    /// A revoke of a workspace without live tokens writes nothing.
    RevokeOnlyTheLiving,
    /// A revoke does not keep the hash of the owner that it ends.
    RevokeForgetsTheOwner,
    /// A revoke does not ask whether the workspace is there.
    RevokeCreates,
    /// The operation's id is not looked for: a repeat is made again.
    RepeatedAgain,
    /// The epoch that a revoke's caller expects is not looked at.
    ExpectedEpochIgnored,
    /// A create does not ask whether the id is taken.
    CreateOverwrites,
    /// A create for which no token could be made takes whatever is there for its own.
    SealedCreateTakesAny,
    /// A removed workspace is decided on like any other.
    RemovedIsLive,
    /// A bearer that is the text of a hash counts as the token.
    HashAuthenticates,
    /// The flip proof does not ask for a newer owner.
    ProofWithoutEpoch,
    /// The flip proof does not ask who registered.
    ProofWithoutOwner,
    /// The flip proof does not ask for the URL.
    ProofWithoutUrl,
}

impl Mutant {
    pub const ALL: [Self; 41] = [
        Self::NoFence,
        Self::EpochStands,
        Self::RefreshByAnybody,
        Self::RefreshOfTheRemoved,
        Self::ApiRefreshUnconditioned,
        Self::ClaimOverTheOwner,
        Self::ClaimOverAHandOver,
        Self::SealIsOpen,
        Self::BearerIgnored,
        Self::PreviousOwnerReturns,
        Self::PreviousOwnerSucceeds,
        Self::OwnerMintedAgain,
        Self::NoLimit,
        Self::SameTokenTwice,
        Self::ClaimNotRecognised,
        Self::MintNotRecognised,
        Self::CreateNotRecognised,
        Self::RevokeNotRecognised,
        Self::HandOverNotRecognised,
        Self::CancelNotRecognised,
        Self::ChosenTwice,
        Self::ClaimTellsTheSeenEpoch,
        Self::RepeatCounts,
        Self::SourceLivesOn,
        Self::HandOverEndsTheOwner,
        Self::ExpiredNotCancelled,
        Self::CancelOnlyThePending,
        Self::CancelMovesNothing,
        Self::RevokeSparesTheSuccessor,
        Self::RevokeOnlyTheLiving,
        Self::RevokeForgetsTheOwner,
        Self::RevokeCreates,
        Self::RepeatedAgain,
        Self::ExpectedEpochIgnored,
        Self::CreateOverwrites,
        Self::SealedCreateTakesAny,
        Self::RemovedIsLive,
        Self::HashAuthenticates,
        Self::ProofWithoutEpoch,
        Self::ProofWithoutOwner,
        Self::ProofWithoutUrl,
    ];

    /// The workspace as the decision sees it.
    pub fn blinds(self, op: &Op, now: Now, seen: &mut Workspace) {
        match (self, *op) {
            (Self::RemovedIsLive, _) if seen.status == Status::Removed => seen.status = Status::Online,
            (Self::ClaimOverTheOwner, Op::Register { bearer: None, .. }) => seen.owner = None,
            (Self::ClaimOverAHandOver, Op::Register { bearer: None, .. }) => seen.successor = None,
            (Self::SealIsOpen, Op::Register { bearer: None, .. }) => {
                seen.owner = seen.owner.take().filter(|owner| owner.hash.token().is_some());
            }
            (Self::PreviousOwnerReturns, Op::Register { bearer: None, .. })
            | (Self::PreviousOwnerSucceeds, Op::HandOver { .. }) => seen.previous_owner = None,
            (Self::OwnerMintedAgain, Op::Mint { .. }) => seen.owner = None,
            (Self::NoLimit, Op::Mint { .. }) => seen.api_tokens.clear(),
            (Self::ExpiredNotCancelled, Op::Cancel { .. }) => {
                seen.successor = seen.successor.take().filter(|successor| successor.is_pending(now));
            }
            (Self::RepeatedAgain, Op::Revoke { .. } | Op::HandOver { .. } | Op::Cancel { .. }) => {
                seen.last_operation = None;
            }
            _ => {}
        }
    }

    /// Whether a call of this kind does not know its own write again.
    pub fn forgets_its_own(self, op: &Op) -> bool {
        matches!(
            (self, op),
            (Self::ClaimNotRecognised, Op::Register { .. })
                | (Self::MintNotRecognised, Op::Mint { .. })
                | (Self::CreateNotRecognised, Op::Create(_))
                | (Self::RevokeNotRecognised, Op::Revoke { .. })
                | (Self::HandOverNotRecognised, Op::HandOver { .. })
                | (Self::CancelNotRecognised, Op::Cancel { .. })
        )
    }

    /// The write as it is sent.
    pub fn rewrites(self, op: &Op, is_refresh: bool, sent: &mut Sent) {
        let is_api_refresh = sent.condition.contains("api_tokens");
        let is_revoke = matches!(op, Op::Revoke { .. });
        match self {
            Self::NoFence => cut(&mut sent.condition, " AND epoch = :seen"),
            Self::EpochStands => cut(&mut sent.expression, "epoch = epoch + :one, "),
            Self::CancelMovesNothing if matches!(op, Op::Cancel { .. }) => {
                cut(&mut sent.expression, "epoch = epoch + :one, ");
            }
            Self::RefreshByAnybody if is_refresh => cut(&mut sent.condition, " AND owner_hash = :presented"),
            Self::RefreshOfTheRemoved if is_refresh => {
                cut(&mut sent.condition, "#status IN (:s0, :s1, :s2) AND ");
            }
            Self::ApiRefreshUnconditioned if is_api_refresh => {
                cut(&mut sent.condition, " AND epoch = :seen");
                cut(&mut sent.condition, " AND attribute_exists(api_tokens.#presented)");
            }
            Self::RevokeCreates if is_revoke => {
                sent.condition.clear();
                sent.expression = sent.expression.replace("epoch + :one", ":one");
            }
            Self::RevokeSparesTheSuccessor if is_revoke => {
                cut(&mut sent.expression, ", successor_hash, successor_expires");
                cut(&mut sent.expression, " REMOVE successor_hash, successor_expires");
            }
            Self::RevokeForgetsTheOwner if is_revoke => {
                cut(&mut sent.expression, "previous_owner_hash = :previous_owner_hash, ");
            }
            Self::HandOverEndsTheOwner if matches!(op, Op::HandOver { .. }) => {
                let ended = [attribute::OWNER_HASH, attribute::OWNER_EPOCH, attribute::OWNER_MINTED_AT];
                sent.expression.push_str(&format!(" REMOVE {}", ended.join(", ")));
            }
            Self::SourceLivesOn if !is_revoke && sent.expression.contains("previous_owner_hash") => {
                sent.expression = sent.expression.replace("SET ", "SET api_tokens.#kept = :kept, ");
                sent.names.insert("#kept".to_owned(), Token::SOURCE.hash().as_str().to_owned());
                let minted_at = (attribute::MINTED_AT.to_owned(), AttributeValue::S("a time".to_owned()));
                sent.values.insert(":kept".to_owned(), AttributeValue::M([minted_at].into()));
            }
            _ => {}
        }
    }
}

fn cut(text: &mut String, part: &str) {
    *text = text.replace(part, "");
}

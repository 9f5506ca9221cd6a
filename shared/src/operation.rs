//! What the administrators' operations have in common: a name, so that a repeat has one effect, an epoch to be at, and a
//! successor.

use crate::error::Error;
use crate::fields::Fields;
use crate::guard::Operation;
use crate::id::OperationId;
use crate::time::Now;
use crate::token::TokenHash;
use crate::workspace::Epoch;

/// The largest epoch that JSON numbers carry exactly in every language (RFC 8259, section 6).
const MAX_EPOCH: u64 = (1 << 53) - 1;

/// For how long a hand-over stands unless the caller says otherwise, in seconds.
const DEFAULT_EXPIRY: u64 = 3_600;

/// The fields that name an operation, to be listed with a function's own.
pub const OPERATION_FIELDS: [&str; 2] = ["operation_id", "expected_epoch"];
/// The fields that name a successor, to be listed with a function's own.
pub const SUCCESSOR_FIELDS: [&str; 2] = ["successor_token_sha256", "expires_in_seconds"];

/// An operation's name and fence as a caller sent them, with Lambda's request id in the place of a name that was left out.
#[derive(Clone, Debug)]
pub struct NamedOperation {
    id: OperationId,
    expected_epoch: Option<Epoch>,
}

impl NamedOperation {
    /// Reads `operation_id` and `expected_epoch`. `key` is the `Idempotency-Key` header of an HTTP request.
    ///
    /// # Errors
    /// [`Error::InvalidRequest`] when one does not fit, or when both the header and the field name the operation and they
    /// differ.
    pub fn read(fields: &Fields<'_>, key: Option<OperationId>, request_id: &str) -> Result<Self, Error> {
        let id = fields.parsed_text("operation_id", OperationId::GRAMMAR, OperationId::parse)?;
        if key.is_some() && id.is_some() && key != id {
            let message = "`operation_id` and the `Idempotency-Key` header differ: send one of them.";
            return Err(Error::invalid("operation_id", message));
        }
        let id = id.or(key).or_else(|| OperationId::parse(request_id));
        let id = id.ok_or_else(|| Error::Internal { cause: "Lambda gave no request id".to_owned() })?;
        Ok(Self { id, expected_epoch: fields.integer("expected_epoch", 1..=MAX_EPOCH)?.map(Epoch) })
    }

    /// The operation as it is decided on.
    pub fn as_decided(&self) -> Operation<'_> {
        Operation { id: &self.id, expected_epoch: self.expected_epoch }
    }
}

/// The token that is to take over, and until when.
#[derive(Clone, Debug)]
pub struct NamedSuccessor {
    /// The token's hash.
    pub hash: TokenHash,
    /// The second since the Unix epoch from which the hand-over is as if never made.
    pub expires: i64,
}

impl NamedSuccessor {
    /// Reads `successor_token_sha256` and `expires_in_seconds` (60 to 86,400, by default 3,600).
    ///
    /// # Errors
    /// [`Error::InvalidRequest`] when one does not fit.
    pub fn read(fields: &Fields<'_>, now: Now) -> Result<Option<Self>, Error> {
        let hash = fields.parsed_text("successor_token_sha256", TokenHash::GRAMMAR, TokenHash::parse)?;
        let seconds = fields.integer("expires_in_seconds", 60..=86_400)?.unwrap_or(DEFAULT_EXPIRY);
        let expires = now.epoch_seconds().saturating_add_unsigned(seconds);
        Ok(hash.map(|hash| Self { hash, expires }))
    }
}

/// A moment of the Unix epoch as the contract shows it, RFC 3339.
pub fn expires_at(expires: i64) -> Option<String> {
    Now::from_epoch_seconds(expires).map(Now::rfc3339)
}

//! What the administrators' operations have in common: a name, so that a repeat has one effect, an epoch to be at, and a
//! successor.

use crate::error::Error;
use crate::fields::Fields;
use crate::guard::Operation;
use crate::id::OperationId;
use crate::time::Now;
use crate::workspace::{Epoch, Successor};

/// The largest epoch that JSON numbers carry exactly in every language (RFC 8259, section 6).
const MAX_EPOCH: u64 = (1 << 53) - 1;

/// For how long a hand-over stands unless the caller says otherwise, in seconds.
const DEFAULT_EXPIRY: u64 = 3_600;

/// The fields that name an operation, to be listed with a function's own.
pub const OPERATION_FIELDS: [&str; 2] = ["operation_id", "expected_epoch"];
/// The fields that name a successor, to be listed with a function's own.
pub const SUCCESSOR_FIELDS: [&str; 2] = ["successor_token_sha256", "expires_in_seconds"];

/// Reads an operation's name and fence: `operation_id` and `expected_epoch`. `key` is the `Idempotency-Key` header of an
/// HTTP request; Lambda's request id stands in the place of a name that was left out.
///
/// # Errors
/// [`Error::InvalidRequest`] when one does not fit, or when both the header and the field name the operation and they
/// differ.
pub fn read_operation(
    fields: &Fields<'_>,
    key: Option<OperationId>,
    request_id: &str,
) -> Result<Operation, Error> {
    let id = fields.parsed_text("operation_id", OperationId::GRAMMAR, OperationId::parse)?;
    if key.is_some() && id.is_some() && key != id {
        let message = "`operation_id` and the `Idempotency-Key` header differ: send one of them.";
        return Err(Error::invalid("operation_id", message));
    }
    let id = id.or(key).or_else(|| OperationId::parse(request_id));
    let id = id.ok_or_else(|| Error::Internal { cause: "Lambda gave no request id".to_owned() })?;
    Ok(Operation { id, expected_epoch: fields.integer("expected_epoch", 1..=MAX_EPOCH)?.map(Epoch) })
}

/// Reads the token that is to take over, and until when: `successor_token_sha256` and `expires_in_seconds` (60 to 86,400,
/// by default 3,600).
///
/// # Errors
/// [`Error::InvalidRequest`] when one does not fit, or when there is an expiry and nobody to take over.
pub fn read_successor(fields: &Fields<'_>, now: Now) -> Result<Option<Successor>, Error> {
    let hash = fields.token_hash("successor_token_sha256")?;
    let seconds = fields.integer("expires_in_seconds", 60..=86_400)?;
    if hash.is_none() && seconds.is_some() {
        let message = "`successor_token_sha256` is required with `expires_in_seconds`.";
        return Err(Error::invalid("successor_token_sha256", message));
    }
    let expires = now.epoch_seconds().saturating_add_unsigned(seconds.unwrap_or(DEFAULT_EXPIRY));
    Ok(hash.map(|hash| Successor { hash, expires }))
}

/// A moment of the Unix epoch as the contract shows it, RFC 3339.
pub fn expires_at(expires: i64) -> Option<String> {
    Now::from_epoch_seconds(expires).map(Now::rfc3339)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::token::TokenHash;

    const REQUEST_ID: &str = "8476a536-e9f4-11e8-9739-2dfe598c3fcd";

    fn named(body: &str, key: Option<&str>) -> Result<(String, Option<u64>), Error> {
        let key = key.map(|key| OperationId::parse(key).unwrap());
        let Operation { id, expected_epoch } =
            read_operation(&Fields::parse(body).unwrap(), key, REQUEST_ID)?;
        Ok((id.as_str().to_owned(), expected_epoch.map(|epoch| epoch.0)))
    }

    fn field_of<T>(result: Result<T, Error>) -> String {
        match result.err() {
            Some(Error::InvalidRequest { field, .. }) => field,
            other => panic!("not a refused field: {other:?}"),
        }
    }

    #[test]
    fn an_operation_is_named_by_field_header_or_request() {
        assert_eq!(named("{}", None).unwrap(), (REQUEST_ID.to_owned(), None));
        assert_eq!(named("{}", Some("key")).unwrap().0, "key");
        assert_eq!(named(r#"{"operation_id": "op"}"#, None).unwrap().0, "op");
        assert_eq!(named(r#"{"operation_id": "op"}"#, Some("op")).unwrap().0, "op");
        assert_eq!(field_of(named(r#"{"operation_id": "op"}"#, Some("key"))), "operation_id");
        assert_eq!(field_of(named(r#"{"operation_id": "o p"}"#, None)), "operation_id");
        let unnamed = read_operation(&Fields::parse("{}").unwrap(), None, "");
        assert!(matches!(unnamed, Err(Error::Internal { .. })), "there is always a request id");
    }

    #[test]
    fn an_epoch_is_one_that_every_json_parser_reads_exactly() {
        let expected = |number: u64| named(&format!(r#"{{"expected_epoch": {number}}}"#), None);
        for epoch in [1, 9_007_199_254_740_991] {
            assert_eq!(expected(epoch).unwrap().1, Some(epoch));
        }
        for epoch in [0, 9_007_199_254_740_992] {
            assert_eq!(field_of(expected(epoch)), "expected_epoch");
        }
    }

    #[test]
    fn a_successor_has_an_hour_unless_the_caller_says_otherwise() {
        let now = Now::from_epoch_seconds(1_000_000).unwrap();
        let hash = TokenHash::of("successor");
        let read = |more: &str| {
            let body = format!(r#"{{"successor_token_sha256": "{}"{more}}}"#, hash.as_str());
            read_successor(&Fields::parse(&body).unwrap(), now)
        };
        let successor = read("").unwrap().unwrap();
        assert!(successor.hash == hash);
        assert_eq!(successor.expires, 1_003_600);
        for seconds in [60, 86_400] {
            let successor = read(&format!(r#", "expires_in_seconds": {seconds}"#)).unwrap().unwrap();
            assert_eq!(successor.expires, 1_000_000 + seconds);
        }
        for seconds in [59, 86_401] {
            let refused = read(&format!(r#", "expires_in_seconds": {seconds}"#));
            assert_eq!(field_of(refused), "expires_in_seconds");
        }
        assert!(read_successor(&Fields::parse("{}").unwrap(), now).unwrap().is_none());
        for nobody in ["", r#", "successor_token_sha256": null"#] {
            let body = format!(r#"{{"expires_in_seconds": 60{nobody}}}"#);
            let refused = read_successor(&Fields::parse(&body).unwrap(), now);
            assert_eq!(field_of(refused), "successor_token_sha256");
        }
    }

    /// The year -9999 and the year 9999: a clock that is off makes no call fail.
    #[test]
    fn a_clock_that_is_far_off_does_no_harm() {
        let body = format!(r#"{{"successor_token_sha256": "{}"}}"#, TokenHash::of("successor").as_str());
        for seconds in [-377_705_116_800, 0, 253_402_300_799] {
            let now = Now::from_epoch_seconds(seconds).unwrap();
            let successor = read_successor(&Fields::parse(&body).unwrap(), now).unwrap().unwrap();
            assert_eq!(successor.expires, seconds + 3_600);
            assert!(!now.rfc3339().is_empty());
        }
        assert_eq!(expires_at(1_772_366_400).as_deref(), Some("2026-03-01T12:00:00.000Z"));
        assert_eq!(expires_at(253_402_300_800), None, "past the year 9999 there is no such time to show");
    }
}

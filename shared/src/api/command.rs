//! The fields that administrators' commands have in common: their id, the epoch that the caller expects, and a successor.

use domain::id::CommandId;
use domain::operations::command::{Command, DEFAULT_EXPIRY_SECONDS};
use domain::time::Timestamp;
use domain::workspace::{Epoch, NamedBy, Successor};

use crate::api::call::CallContext;
use crate::api::error::Error;
use crate::api::fields::Fields;

/// The largest epoch that JSON numbers carry exactly in every language (RFC 8259, section 6).
const MAX_EPOCH: u64 = (1 << 53) - 1;

/// Reads `operation_id` and `expected_epoch`. Over HTTP the `Idempotency-Key` header may stand in for `operation_id`; without
/// either, Lambda's request id does.
///
/// # Errors
/// [`Error::InvalidRequest`] when a field has a wrong value, or the header and the field differ.
pub fn read_command(fields: &Fields<'_>, context: &CallContext) -> Result<Command, Error> {
    let key = context.idempotency_key.clone();
    let id = fields.parsed_text("operation_id", CommandId::GRAMMAR, CommandId::parse)?;
    if key.is_some() && id.is_some() && key != id {
        let message = "`operation_id` and the `Idempotency-Key` header differ. Send one of them.";
        return Err(Error::invalid("operation_id", message));
    }
    let id = match id.or(key) {
        Some(id) => id,
        None => request_id(&context.request_id)?,
    };
    Ok(Command { id, expected_epoch: read_expected_epoch(fields)? })
}

/// Reads `expected_epoch`.
///
/// # Errors
/// [`Error::InvalidRequest`] when it is not an epoch.
pub fn read_expected_epoch(fields: &Fields<'_>) -> Result<Option<Epoch>, Error> {
    Ok(fields.integer("expected_epoch", 1..=MAX_EPOCH)?.map(Epoch))
}

/// Lambda's request id as the id of the call.
///
/// # Errors
/// [`Error::Internal`] when Lambda gave none: two calls without an id would be taken for the same.
pub fn request_id(request_id: &str) -> Result<CommandId, Error> {
    let missing = || Error::Internal { cause: "Lambda gave no request id".to_owned() };
    CommandId::parse(request_id).ok_or_else(missing)
}

/// Reads `successor_token_sha256` and `expires_in_seconds` (60 to 86,400, by default 3,600).
///
/// # Errors
/// [`Error::InvalidRequest`] when a field has a wrong value, or there is an expiry and no successor.
pub fn read_successor(fields: &Fields<'_>, now: Timestamp) -> Result<Option<Successor>, Error> {
    let hash = fields.token_hash("successor_token_sha256")?;
    let seconds = fields.integer("expires_in_seconds", 60..=86_400)?;
    if hash.is_none() && seconds.is_some() {
        let message = "`successor_token_sha256` is required with `expires_in_seconds`.";
        return Err(Error::invalid("successor_token_sha256", message));
    }
    let seconds = seconds.and_then(|seconds| u32::try_from(seconds).ok()).unwrap_or(DEFAULT_EXPIRY_SECONDS);
    let expires = now.plus_seconds(seconds);
    Ok(hash.map(|hash| Successor { hash, prefix: None, named_by: NamedBy::Operator, expires }))
}

/// Reads `successor_token_sha256`, which is required here, and `expires_in_seconds`.
///
/// # Errors
/// [`Error::InvalidRequest`] when a field is missing or has a wrong value.
pub fn read_required_successor(fields: &Fields<'_>, now: Timestamp) -> Result<Successor, Error> {
    read_successor(fields, now)?.ok_or_else(|| fields.missing("successor_token_sha256"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use domain::token::TokenHash;

    const REQUEST_ID: &str = "8476a536-e9f4-11e8-9739-2dfe598c3fcd";

    fn context(key: Option<&str>, request_id: &str) -> CallContext {
        CallContext {
            token_id: None,
            request_id: request_id.to_owned(),
            idempotency_key: key.map(|key| CommandId::parse(key).unwrap()),
            method: None,
            now: Timestamp::UNIX_EPOCH,
        }
    }

    fn named(body: &str, key: Option<&str>) -> Result<(String, Option<u64>), Error> {
        let Command { id, expected_epoch } =
            read_command(&Fields::parse(body).unwrap(), &context(key, REQUEST_ID))?;
        Ok((id.as_str().to_owned(), expected_epoch.map(|epoch| epoch.0)))
    }

    fn field_of<T>(result: Result<T, Error>) -> String {
        match result.err() {
            Some(Error::InvalidRequest { field, .. }) => field,
            other => panic!("not a refused field: {other:?}"),
        }
    }

    #[test]
    fn a_command_is_named_by_field_header_or_request() {
        assert_eq!(named("{}", None).unwrap(), (REQUEST_ID.to_owned(), None));
        assert_eq!(named("{}", Some("key")).unwrap().0, "key");
        assert_eq!(named(r#"{"operation_id": "op"}"#, None).unwrap().0, "op");
        assert_eq!(named(r#"{"operation_id": "op"}"#, Some("op")).unwrap().0, "op");
        assert_eq!(field_of(named(r#"{"operation_id": "op"}"#, Some("key"))), "operation_id");
        assert_eq!(field_of(named(r#"{"operation_id": "o p"}"#, None)), "operation_id");
        let unnamed = read_command(&Fields::parse("{}").unwrap(), &context(None, ""));
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
        let now = Timestamp::from_epoch_seconds(1_000_000).unwrap();
        let hash = TokenHash::of("successor");
        let read = |more: &str| {
            let body = format!(r#"{{"successor_token_sha256": "{}"{more}}}"#, hash.as_str());
            read_successor(&Fields::parse(&body).unwrap(), now)
        };
        let successor = read("").unwrap().unwrap();
        assert!(successor.hash == hash);
        assert_eq!(successor.expires.epoch_seconds(), 1_003_600);
        for seconds in [60, 86_400] {
            let successor = read(&format!(r#", "expires_in_seconds": {seconds}"#)).unwrap().unwrap();
            assert_eq!(successor.expires.epoch_seconds(), 1_000_000 + seconds);
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
}

//! The fields of a JSON body or payload. Each is read as the type that the contract gives it, so that an error can name the
//! field and say what to change without repeating what was sent.

use std::cell::RefCell;
use std::collections::{BTreeSet, HashMap};
use std::ops::RangeInclusive;

use domain::agent_card::AgentCard;
use domain::agent_url::{AgentUrl, AgentUrlPolicy};
use domain::id::WorkspaceId;
use domain::token::TokenHash;
use serde::Deserialize;
use serde_json::value::RawValue;

use crate::api::error::Error;

/// RFC 8259, section 2.
const JSON_WHITESPACE: [char; 4] = [' ', '\t', '\n', '\r'];
/// RFC 8259, section 8.1: a parser may ignore a byte order mark. Some shells send one.
const BYTE_ORDER_MARK: char = '\u{feff}';

/// The fields of one JSON object. `null` is treated as absent. Remembers which fields were read, so that a caller can refuse
/// all others.
pub struct Fields<'a> {
    path: &'static str,
    fields: HashMap<String, &'a RawValue>,
    read: RefCell<BTreeSet<&'static str>>,
}

impl<'a> Fields<'a> {
    /// Reads a JSON object.
    ///
    /// # Errors
    /// [`Error::InvalidJson`] when the text is anything else.
    pub fn parse(text: &'a str) -> Result<Self, Error> {
        let text = text.strip_prefix(BYTE_ORDER_MARK).unwrap_or(text);
        let fields =
            serde_json::from_str(text).map_err(|_| match serde_json::from_str::<&RawValue>(text) {
                Ok(value) if !value.get().starts_with('{') => {
                    Error::InvalidJson("The body must be a JSON object.")
                }
                // Object keys may contain lone surrogates, which Rust strings cannot represent.
                _ => Error::InvalidJson("The body must be JSON in UTF-8: it could not be parsed."),
            })?;
        Ok(Self::of("", fields))
    }

    /// Reads a JSON object. An empty text is treated as an empty object.
    ///
    /// # Errors
    /// [`Error::InvalidJson`] when the text is anything else.
    pub fn parse_optional(text: &'a str) -> Result<Self, Error> {
        let is_empty = text.trim_start_matches(BYTE_ORDER_MARK).trim_matches(JSON_WHITESPACE).is_empty();
        Self::parse(if is_empty { "{}" } else { text })
    }

    /// Checks that the object has no field but those that were read.
    ///
    /// # Errors
    /// [`Error::InvalidRequest`], which lists the known fields and not the unknown one.
    pub fn refuse_others(&self) -> Result<(), Error> {
        let read = self.read.borrow();
        if self.fields.keys().all(|field| read.contains(field.as_str())) {
            return Ok(());
        }
        let known = read.iter().map(|field| format!("`{field}`")).collect::<Vec<_>>().join(", ");
        Err(Error::invalid("payload", format!("The payload may have these fields and no other: {known}.")))
    }

    fn of(path: &'static str, fields: HashMap<String, &'a RawValue>) -> Self {
        Self { path, fields, read: RefCell::default() }
    }

    /// A string with a length in characters.
    ///
    /// # Errors
    /// [`Error::InvalidRequest`] when it has another type or length.
    pub fn text(&self, field: &'static str, length: RangeInclusive<usize>) -> Result<Option<String>, Error> {
        let expected = match length.start() {
            0 => format!("a string of at most {} characters", length.end()),
            least => format!("a string of {least} to {} characters", length.end()),
        };
        self.parsed(field, &expected, |text: String| length.contains(&text.chars().count()).then_some(text))
    }

    /// A string that `parse` accepts. `expected` completes the sentence "`field` must be …".
    ///
    /// # Errors
    /// [`Error::InvalidRequest`] when it is anything else.
    pub fn parsed_text<T>(
        &self,
        field: &'static str,
        expected: &str,
        parse: impl FnOnce(&str) -> Option<T>,
    ) -> Result<Option<T>, Error> {
        self.parsed(field, expected, |text: String| parse(&text))
    }

    /// A whole number.
    ///
    /// # Errors
    /// [`Error::InvalidRequest`] when it is anything else, or out of range.
    pub fn integer(&self, field: &'static str, range: RangeInclusive<u64>) -> Result<Option<u64>, Error> {
        let expected = format!("an integer from {} to {}", range.start(), range.end());
        self.parsed(field, &expected, |number: u64| range.contains(&number).then_some(number))
    }

    /// A number from 0 to 1.
    ///
    /// # Errors
    /// [`Error::InvalidRequest`] when it is anything else.
    pub fn fraction(&self, field: &'static str) -> Result<Option<f64>, Error> {
        let fits = |number: f64| (0.0..=1.0).contains(&number).then_some(number);
        self.parsed(field, "a number from 0 to 1", fits)
    }

    /// `true` or `false`; `false` when absent.
    ///
    /// # Errors
    /// [`Error::InvalidRequest`] when it is anything else.
    pub fn flag(&self, field: &'static str) -> Result<bool, Error> {
        Ok(self.parsed(field, "`true` or `false`", Some)?.unwrap_or_default())
    }

    /// A nested object.
    ///
    /// # Errors
    /// [`Error::InvalidRequest`] when it is anything else.
    pub fn object(&self, field: &'static str) -> Result<Option<Fields<'a>>, Error> {
        let Some(value) = self.value(field) else { return Ok(None) };
        let fields = serde_json::from_str(value.get())
            .map_err(|_| self.invalid(field, "an object with valid fields"))?;
        Ok(Some(Self::of(field, fields)))
    }

    /// The agent's card: `agent_card`, required.
    ///
    /// # Errors
    /// [`Error::InvalidRequest`] or [`Error::PayloadTooLarge`] when it is absent or not a card.
    pub fn agent_card(&self) -> Result<AgentCard, Error> {
        let card = self.value("agent_card").ok_or_else(|| self.missing("agent_card"))?;
        Ok(AgentCard::parse(card.get())?)
    }

    /// A workspace id.
    ///
    /// # Errors
    /// [`Error::InvalidRequest`] when it does not follow the grammar.
    pub fn workspace_id(&self, field: &'static str) -> Result<Option<WorkspaceId>, Error> {
        self.parsed_text(field, WorkspaceId::GRAMMAR, WorkspaceId::parse)
    }

    /// A required workspace id.
    ///
    /// # Errors
    /// [`Error::InvalidRequest`] when it is absent or does not follow the grammar.
    pub fn required_workspace_id(&self, field: &'static str) -> Result<WorkspaceId, Error> {
        self.workspace_id(field)?.ok_or_else(|| self.missing(field))
    }

    /// The hash of a caller-chosen token: `auth_token_sha256`.
    ///
    /// # Errors
    /// [`Error::InvalidRequest`] when it is not a token's hash.
    pub fn chosen_token(&self) -> Result<Option<TokenHash>, Error> {
        self.token_hash("auth_token_sha256")
    }

    /// The hash of a token.
    ///
    /// # Errors
    /// [`Error::InvalidRequest`] when it is not a hash, or the empty string's, which a script sends when its variable is not
    /// set.
    pub fn token_hash(&self, field: &'static str) -> Result<Option<TokenHash>, Error> {
        let hash = self.parsed_text(field, TokenHash::GRAMMAR, TokenHash::parse)?;
        if hash.as_ref().is_some_and(TokenHash::is_of_empty_text) {
            return Err(self.invalid(field, "the SHA-256 of a token, not of an empty string"));
        }
        Ok(hash)
    }

    /// The URL that an agent advertises: `url`. `None` without an inbound endpoint.
    ///
    /// # Errors
    /// [`Error::InvalidRequest`] when the policy does not allow it.
    pub fn agent_url(&self, policy: AgentUrlPolicy) -> Result<Option<AgentUrl>, Error> {
        let url = self.parsed_text("url", "a string", |url| Some(url.to_owned()))?;
        Ok(policy.check(url.as_deref())?)
    }

    /// The error for a required field that is absent.
    pub fn missing(&self, field: &str) -> Error {
        let name = self.name(field);
        Error::invalid(&name, format!("`{name}` is required."))
    }

    fn parsed<J: Deserialize<'a>, T>(
        &self,
        field: &'static str,
        expected: &str,
        parse: impl FnOnce(J) -> Option<T>,
    ) -> Result<Option<T>, Error> {
        let Some(value) = self.value(field) else { return Ok(None) };
        let parsed = serde_json::from_str(value.get()).ok().and_then(parse);
        parsed.map(Some).ok_or_else(|| self.invalid(field, expected))
    }

    fn value(&self, field: &'static str) -> Option<&'a RawValue> {
        self.read.borrow_mut().insert(field);
        self.fields.get(field).copied().filter(|value| value.get() != "null")
    }

    fn invalid(&self, field: &str, expected: &str) -> Error {
        let name = self.name(field);
        Error::invalid(&name, format!("`{name}` must be {expected}."))
    }

    fn name(&self, field: &str) -> String {
        if self.path.is_empty() { field.to_owned() } else { format!("{}.{field}", self.path) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn refused<T>(result: Result<T, Error>) -> (String, String) {
        let Some(Error::InvalidRequest { field, message }) = result.err() else {
            panic!("not a refused field")
        };
        (field, message)
    }

    #[test]
    fn only_an_object_in_json_is_read() {
        let said = |text| match Fields::parse(text) {
            Err(Error::InvalidJson(said)) => said,
            _ => panic!("not refused: {text}"),
        };
        for text in ["[]", "null", "\"x\"", "1"] {
            assert!(said(text).contains("a JSON object"), "{text}");
        }
        for text in ["", "{", "{}{}", "[}", "{\"\\ud800\":1}", "{'a':1}"] {
            assert!(said(text).contains("could not be parsed"), "{text}");
        }
        assert!(Fields::parse(" {} \n").is_ok());
        assert!(Fields::parse_optional(" \n").is_ok());
        assert!(Fields::parse_optional("[]").is_err());
        assert!(Fields::parse_optional("\u{a0}").is_err());
    }

    #[test]
    fn lengths_are_counted_in_characters() {
        let fields = Fields::parse(r#"{"a": "ééé", "b": "", "c": null, "d": "\ud800"}"#).unwrap();
        assert_eq!(fields.text("a", 1..=3).unwrap().unwrap(), "ééé");
        assert_eq!(refused(fields.text("a", 1..=2)).1, "`a` must be a string of 1 to 2 characters.");
        assert_eq!(refused(fields.text("b", 1..=2)).0, "b");
        assert_eq!(fields.text("b", 0..=2).unwrap().unwrap(), "");
        assert!(fields.text("c", 1..=2).unwrap().is_none());
        assert_eq!(refused(fields.text("d", 0..=9)).0, "d");
        assert!(fields.text("e", 1..=2).unwrap().is_none());
    }

    #[test]
    fn a_number_is_whole_and_in_range() {
        for text in ["-1", "1.0", "256", "1e2", "\"1\"", "true", "[]", "99999999999999999999"] {
            let body = format!(r#"{{"a": {text}}}"#);
            let refused = refused(Fields::parse(&body).unwrap().integer("a", 0..=255));
            assert_eq!(refused.1, "`a` must be an integer from 0 to 255.", "{text}");
        }
        assert_eq!(Fields::parse(r#"{"a": 255}"#).unwrap().integer("a", 0..=255).unwrap(), Some(255));
    }

    #[test]
    fn each_kind_of_field_is_read() {
        let hash = TokenHash::of("abc");
        let body = format!(
            r#"{{"word": "one", "yes": true, "no": false, "id": "w-1", "auth_token_sha256": "{}", "null": null}}"#,
            hash.as_str()
        );
        let fields = Fields::parse(&body).unwrap();
        let is_one = |text: &str| (text == "one").then_some(1);
        assert_eq!(fields.parsed_text("word", "`one`", is_one).unwrap(), Some(1));
        assert_eq!(refused(fields.parsed_text("id", "`one`", is_one)).1, "`id` must be `one`.");
        assert_eq!(fields.parsed_text("null", "`one`", is_one).unwrap(), None);
        assert_eq!(
            ["yes", "no", "null", "none"].map(|field| fields.flag(field).unwrap()),
            [true, false, false, false]
        );
        assert_eq!(refused(fields.flag("word")).1, "`word` must be `true` or `false`.");
        assert_eq!(fields.workspace_id("id").unwrap(), WorkspaceId::parse("w-1"));
        assert_eq!(fields.workspace_id("null").unwrap(), None);
        assert_eq!(refused(fields.workspace_id("yes")).0, "yes");
        assert_eq!(refused(fields.required_workspace_id("null")).1, "`null` is required.");
        assert!(fields.chosen_token().unwrap() == Some(hash));
        assert!(Fields::parse("{}").unwrap().chosen_token().unwrap().is_none());
        for hash in ["x", TokenHash::of("").as_str()] {
            let body = format!(r#"{{"auth_token_sha256": "{hash}"}}"#);
            assert_eq!(refused(Fields::parse(&body).unwrap().chosen_token()).0, "auth_token_sha256");
        }
    }

    #[test]
    fn an_agent_s_url_follows_the_policy() {
        let read = |body: &str| Fields::parse(body).unwrap().agent_url(AgentUrlPolicy::Public);
        let url = "https://a.example/";
        assert_eq!(
            read(&format!(r#"{{"url": "{url}"}}"#)).unwrap().as_ref().map(AgentUrl::as_str),
            Some(url)
        );
        for none in ["{}", r#"{"url": null}"#, r#"{"url": "remote://no-inbound"}"#] {
            assert_eq!(read(none).unwrap(), None, "{none}");
        }
        for body in [r#"{"url": 1}"#, r#"{"url": "http://127.0.0.1"}"#, r#"{"url": ""}"#] {
            assert_eq!(refused(read(body)).0, "url", "{body}");
        }
    }

    #[test]
    fn a_field_within_is_named_by_its_path() {
        let fields = Fields::parse(r#"{"compute": {"volume_root_gb": "x"}, "other": 1}"#).unwrap();
        let compute = fields.object("compute").unwrap().unwrap();
        assert_eq!(refused(compute.integer("volume_root_gb", 1..=9)).0, "compute.volume_root_gb");
        assert_eq!(refused(fields.object("other")).0, "other");
    }

    #[test]
    fn a_card_is_required_and_checked() {
        let card = |body: &str| Fields::parse(body).unwrap().agent_card();
        assert_eq!(card(r#"{"agent_card": {"a": 1} }"#).unwrap().as_str(), r#"{"a": 1}"#);
        for body in ["{}", r#"{"agent_card": null}"#, r#"{"agent_card": []}"#] {
            assert_eq!(refused(card(body)).0, "agent_card", "{body}");
        }
    }

    #[test]
    fn a_byte_order_mark_is_ignored() {
        assert!(Fields::parse("\u{feff}{}").is_ok());
        assert!(Fields::parse_optional("\u{feff}").is_ok());
        assert!(Fields::parse("\u{feff}\u{feff}{}").is_err());
    }

    #[test]
    fn an_unknown_field_is_refused_and_not_repeated() {
        let fields = Fields::parse(r#"{"a": 1, "hunter2": 2}"#).unwrap();
        let _read = fields.integer("a", 0..=9);
        let (field, message) = refused(fields.refuse_others());
        assert_eq!((field.as_str(), message.contains("hunter2")), ("payload", false));
        let _read = fields.integer("hunter2", 0..=9);
        assert!(fields.refuse_others().is_ok());
    }
}

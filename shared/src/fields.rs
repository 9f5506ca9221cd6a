//! The fields of a JSON body or payload. Each is read as what the contract says, so that an error can name the field
//! and say what to change without repeating what was sent.

use std::collections::HashMap;
use std::ops::RangeInclusive;

use serde::Deserialize;
use serde_json::value::RawValue;

use crate::agent_url::AgentUrlPolicy;
use crate::error::Error;
use crate::id::WorkspaceId;
use crate::token::TokenHash;

/// RFC 8259, section 2.
const JSON_WHITESPACE: [char; 4] = [' ', '\t', '\n', '\r'];

/// The fields of one JSON object. A field that is `null` counts as left out.
pub struct Fields<'a> {
    path: &'static str,
    fields: HashMap<String, &'a RawValue>,
}

impl<'a> Fields<'a> {
    /// Reads a JSON object.
    ///
    /// # Errors
    /// [`Error::InvalidJson`] when the text is anything else.
    pub fn parse(text: &'a str) -> Result<Self, Error> {
        let fields =
            serde_json::from_str(text).map_err(|_| match serde_json::from_str::<&RawValue>(text) {
                Ok(value) if !value.get().starts_with('{') => {
                    Error::InvalidJson("The body must be a JSON object.")
                }
                // Keys too may hold what no string can: lone surrogates.
                _ => Error::InvalidJson("The body must be JSON in UTF-8: it could not be parsed."),
            })?;
        Ok(Self { path: "", fields })
    }

    /// The same for a body that may be left out.
    ///
    /// # Errors
    /// [`Error::InvalidJson`] when there is a text and it is no JSON object.
    pub fn parse_optional(text: &'a str) -> Result<Self, Error> {
        if text.trim_matches(JSON_WHITESPACE).is_empty() { Self::parse("{}") } else { Self::parse(text) }
    }

    /// Checks that there is no field but these.
    ///
    /// # Errors
    /// [`Error::InvalidRequest`], which lists the known fields and not the unknown one.
    pub fn only(&self, known: &[&str]) -> Result<(), Error> {
        if self.fields.keys().all(|field| known.contains(&field.as_str())) {
            return Ok(());
        }
        let known = known.iter().map(|field| format!("`{field}`")).collect::<Vec<_>>().join(", ");
        Err(Error::invalid("payload", format!("The payload may hold these fields and no other: {known}.")))
    }

    /// A string of so many characters.
    ///
    /// # Errors
    /// [`Error::InvalidRequest`] when it is there and does not fit.
    pub fn text(&self, field: &str, length: RangeInclusive<usize>) -> Result<Option<String>, Error> {
        let expected = match length.start() {
            0 => format!("a string of at most {} characters", length.end()),
            least => format!("a string of {least} to {} characters", length.end()),
        };
        self.parsed(field, &expected, |text: String| length.contains(&text.chars().count()).then_some(text))
    }

    /// A string that `parse` understands. `expected` completes the sentence "… must be …".
    ///
    /// # Errors
    /// [`Error::InvalidRequest`] when it is there and does not fit.
    pub fn parsed_text<T>(
        &self,
        field: &str,
        expected: &str,
        parse: impl FnOnce(&str) -> Option<T>,
    ) -> Result<Option<T>, Error> {
        self.parsed(field, expected, |text: String| parse(&text))
    }

    /// A whole number.
    ///
    /// # Errors
    /// [`Error::InvalidRequest`] when it is there and does not fit.
    pub fn integer(&self, field: &str, range: RangeInclusive<u64>) -> Result<Option<u64>, Error> {
        let expected = format!("an integer from {} to {}", range.start(), range.end());
        self.parsed(field, &expected, |number: u64| range.contains(&number).then_some(number))
    }

    /// `true` or `false`; `false` when it is left out.
    ///
    /// # Errors
    /// [`Error::InvalidRequest`] when it is anything else.
    pub fn flag(&self, field: &str) -> Result<bool, Error> {
        Ok(self.parsed(field, "`true` or `false`", Some)?.unwrap_or_default())
    }

    /// An object within, of which `path` is the name in errors.
    ///
    /// # Errors
    /// [`Error::InvalidRequest`] when it is there and no object.
    pub fn object(&self, field: &'static str) -> Result<Option<Fields<'a>>, Error> {
        let Some(value) = self.value(field) else { return Ok(None) };
        let fields = serde_json::from_str(value.get())
            .map_err(|_| self.invalid(field, "an object with valid fields"))?;
        Ok(Some(Fields { path: field, fields }))
    }

    /// An object kept as the JSON text that was sent. Its strings, numbers and depth (at most 127) are checked, so that
    /// whoever reads it later can parse it.
    ///
    /// # Errors
    /// [`Error::InvalidRequest`] when it is there and no such object.
    pub fn json_object(&self, field: &str) -> Result<Option<&'a str>, Error> {
        let Some(value) = self.value(field) else { return Ok(None) };
        let parsed: Result<serde_json::Map<String, serde_json::Value>, _> = serde_json::from_str(value.get());
        match parsed {
            Ok(_) => Ok(Some(value.get())),
            Err(_) => Err(self.invalid(
                field,
                "a JSON object, at most 127 levels deep, of Unicode strings and of numbers that fit a double",
            )),
        }
    }

    /// A workspace id.
    ///
    /// # Errors
    /// [`Error::InvalidRequest`] when it is there and does not follow the grammar.
    pub fn workspace_id(&self, field: &str) -> Result<Option<WorkspaceId>, Error> {
        self.parsed_text(field, WorkspaceId::GRAMMAR, WorkspaceId::parse)
    }

    /// A workspace id that must be there.
    ///
    /// # Errors
    /// [`Error::InvalidRequest`] when it is not, or does not follow the grammar.
    pub fn required_workspace_id(&self, field: &str) -> Result<WorkspaceId, Error> {
        self.workspace_id(field)?.ok_or_else(|| self.missing(field))
    }

    /// The hash of a caller-chosen token: `auth_token_sha256`.
    ///
    /// # Errors
    /// [`Error::InvalidRequest`] when it is there and no such hash.
    pub fn chosen_token(&self) -> Result<Option<TokenHash>, Error> {
        self.token_hash("auth_token_sha256")
    }

    /// The hash of a token.
    ///
    /// # Errors
    /// [`Error::InvalidRequest`] when it is there and is no hash, or the one that a script sends whose variable is not set.
    pub fn token_hash(&self, field: &str) -> Result<Option<TokenHash>, Error> {
        let hash = self.parsed_text(field, TokenHash::GRAMMAR, TokenHash::parse)?;
        if hash.as_ref().is_some_and(TokenHash::is_of_nothing) {
            return Err(
                self.invalid(field, "the SHA-256 of a token: what was sent is that of the empty text")
            );
        }
        Ok(hash)
    }

    /// The URL that an agent says it can be reached at: `url`. `None` without an inbound endpoint.
    ///
    /// # Errors
    /// [`Error::InvalidRequest`] when it is there and the policy does not allow it.
    pub fn agent_url(&self, policy: AgentUrlPolicy) -> Result<Option<String>, Error> {
        let url = self.parsed_text("url", "a string", |url| Some(url.to_owned()))?;
        let url = policy.check(url.as_deref()).map_err(|error| Error::invalid("url", error.to_string()))?;
        Ok(url.map(str::to_owned))
    }

    /// The error of a field that must be there.
    pub fn missing(&self, field: &str) -> Error {
        let name = self.name(field);
        Error::invalid(&name, format!("`{name}` is required."))
    }

    fn parsed<J: Deserialize<'a>, T>(
        &self,
        field: &str,
        expected: &str,
        parse: impl FnOnce(J) -> Option<T>,
    ) -> Result<Option<T>, Error> {
        let Some(value) = self.value(field) else { return Ok(None) };
        let parsed = serde_json::from_str(value.get()).ok().and_then(parse);
        parsed.map(Some).ok_or_else(|| self.invalid(field, expected))
    }

    fn value(&self, field: &str) -> Option<&'a RawValue> {
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
        assert_eq!(read(&format!(r#"{{"url": "{url}"}}"#)).unwrap().as_deref(), Some(url));
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
    fn an_object_is_kept_as_sent() {
        let text = r#"{ "n": 1.0000000000000000000000001, "a":{"b" : [1]}}"#;
        let body = format!(r#"{{"card": {text} }}"#);
        assert_eq!(Fields::parse(&body).unwrap().json_object("card").unwrap(), Some(text));
        let deep = |levels| format!(r#"{{"card": {{"a": {}{}}}}}"#, "[".repeat(levels), "]".repeat(levels));
        assert!(Fields::parse(&deep(126)).unwrap().json_object("card").is_ok());
        for body in [deep(127), r#"{"card": []}"#.into(), r#"{"card": {"a": "\ud800"}}"#.into()] {
            assert_eq!(refused(Fields::parse(&body).unwrap().json_object("card")).0, "card");
        }
    }

    #[test]
    fn an_unknown_field_is_not_repeated() {
        let fields = Fields::parse(r#"{"a": 1, "hunter2": 2}"#).unwrap();
        let (field, message) = refused(fields.only(&["a", "b"]));
        assert_eq!((field.as_str(), message.contains("hunter2")), ("payload", false));
        assert!(fields.only(&["a", "hunter2"]).is_ok());
    }
}

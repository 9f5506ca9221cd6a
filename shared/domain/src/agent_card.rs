//! The card in which an agent describes itself: a JSON object, kept as the text that was sent. A DynamoDB map would limit
//! its depth to 32 levels and its numbers to 38 digits.

use serde_json::{Map, Value};

/// The largest card, in bytes of JSON text.
pub const MAX_BYTES: usize = 32 * 1024;
/// The deepest card, in levels of objects and arrays. Answers nest it deeper, and common parsers stop at 64.
pub const MAX_DEPTH: usize = 60;

/// An agent's card: JSON text of an object. Only the checks below make one.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AgentCard(String);

/// Why a card is refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum AgentCardError {
    /// Longer than [`MAX_BYTES`].
    #[error("`agent_card` must be at most 32 KiB of JSON text.")]
    TooLarge,
    /// Not an object, or something in it that common parsers cannot read.
    #[error(
        "`agent_card` must be a JSON object, at most {MAX_DEPTH} levels deep, of Unicode strings and of numbers that fit a double."
    )]
    Malformed,
}

impl AgentCard {
    /// Checks the card that an agent sent: its size, depth, strings and numbers, so that every reader can parse it.
    ///
    /// # Errors
    /// [`AgentCardError`] says what to change.
    pub fn parse(text: &str) -> Result<Self, AgentCardError> {
        if text.len() > MAX_BYTES {
            return Err(AgentCardError::TooLarge);
        }
        let card: Map<String, Value> = serde_json::from_str(text).map_err(|_| AgentCardError::Malformed)?;
        let depth = card.values().map(depth).max().unwrap_or_default().saturating_add(1);
        if depth > MAX_DEPTH { Err(AgentCardError::Malformed) } else { Ok(Self(text.to_owned())) }
    }

    /// A card as the table stores it. It was checked before it was written, so this does not parse it again.
    pub fn from_stored(text: String) -> Self {
        Self(text)
    }

    /// The card as it was sent.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// The card's text.
    pub fn into_string(self) -> String {
        self.0
    }
}

/// The recursion ends: the parser refuses more than 127 levels.
fn depth(value: &Value) -> usize {
    let deepest = match value {
        Value::Array(values) => values.iter().map(depth).max(),
        Value::Object(values) => values.values().map(depth).max(),
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => return 0,
    };
    deepest.unwrap_or_default().saturating_add(1)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_card_stays_as_it_was_sent() {
        let text = r#"{ "n": 1.0000000000000000000000001, "a":{"b" : [1]}}"#;
        assert_eq!(AgentCard::parse(text).unwrap().as_str(), text);
    }

    #[test]
    fn the_depth_counts_objects_and_arrays() {
        let arrays = |levels| format!(r#"{{"a": {}{}}}"#, "[".repeat(levels), "]".repeat(levels));
        let objects = |levels| format!("{}1{}", r#"{"a":"#.repeat(levels), "}".repeat(levels));
        for deepest in [arrays(MAX_DEPTH - 1), objects(MAX_DEPTH)] {
            assert!(AgentCard::parse(&deepest).is_ok(), "{deepest}");
        }
        for too_deep in [arrays(MAX_DEPTH), objects(MAX_DEPTH + 1), arrays(10_000)] {
            assert_eq!(AgentCard::parse(&too_deep), Err(AgentCardError::Malformed));
        }
    }

    #[test]
    fn each_fault_has_its_name() {
        for text in ["", "[]", "null", "{", r#"{"a": "\ud800"}"#, r#"{"a": 1e999}"#] {
            assert_eq!(AgentCard::parse(text), Err(AgentCardError::Malformed), "{text}");
        }
        let card = |length: usize| format!(r#"{{"a":"{}"}}"#, "x".repeat(length - 8));
        assert!(AgentCard::parse(&card(MAX_BYTES)).is_ok());
        assert_eq!(AgentCard::parse(&card(MAX_BYTES + 1)), Err(AgentCardError::TooLarge));
    }
}

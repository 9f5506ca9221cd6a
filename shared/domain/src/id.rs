//! Ids that callers choose. Each type checks its grammar when it is made.

use std::fmt;

use crate::random::{Random, RandomUnavailable};

/// Names a workspace: 1 to 64 of `[A-Za-z0-9_-]`, the first one alphanumeric. Safe in a URL path, a shell
/// word and a log line.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct WorkspaceId(String);

impl WorkspaceId {
    /// The grammar, in the words of an error message.
    pub const GRAMMAR: &str =
        "1 to 64 letters, digits, `_` or `-` (all ASCII), the first one a letter or a digit";

    /// The id, or `None` when it does not follow [`Self::GRAMMAR`].
    pub fn parse(id: &str) -> Option<Self> {
        let fits = id.len() <= 64
            && id.starts_with(|first: char| first.is_ascii_alphanumeric())
            && id.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'_' || byte == b'-');
        fits.then(|| Self(id.to_owned()))
    }

    /// A new UUID v4 (RFC 9562).
    ///
    /// # Errors
    /// [`RandomUnavailable`] when the random source fails.
    pub fn generate(random: &Random) -> Result<Self, RandomUnavailable> {
        let mut bytes = [0; 16];
        random.fill(&mut bytes)?;
        Ok(Self(uuid::Builder::from_random_bytes(bytes).into_uuid().to_string()))
    }

    /// The id as it is stored and shown.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for WorkspaceId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// Names one administrator's command (`operation_id` in the contract), so that repeating it has one effect: 1 to 128
/// visible ASCII characters.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CommandId(String);

impl CommandId {
    /// The grammar, in the words of an error message.
    pub const GRAMMAR: &str = "1 to 128 visible ASCII characters";

    /// The id, or `None` when it does not follow [`Self::GRAMMAR`].
    pub fn parse(id: &str) -> Option<Self> {
        let fits = (1..=128).contains(&id.len()) && id.bytes().all(|byte| byte.is_ascii_graphic());
        fits.then(|| Self(id.to_owned()))
    }

    /// The id as it is stored.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_workspace_id_is_short_and_safe_in_paths_and_shells() {
        let longest = "a".repeat(64);
        for id in ["a", "7", "a-b_c", "0f7c9a52-4b1e-4c57-9f6e-1f0b8a3f2d11", &longest] {
            assert_eq!(WorkspaceId::parse(id).expect(id).as_str(), id);
        }
        let too_long = "a".repeat(65);
        for id in ["", " ", "-a", "_a", "a b", "a/b", "a.b", "a\n", "é", "a\0", "%41", &too_long] {
            assert!(WorkspaceId::parse(id).is_none(), "{id:?}");
        }
    }

    #[test]
    fn a_generated_id_is_a_uuid_v4() {
        let id = WorkspaceId::generate(&Random::OS).unwrap();
        let uuid = uuid::Uuid::parse_str(id.as_str()).unwrap();
        assert_eq!(uuid.get_version_num(), 4);
        assert_eq!(WorkspaceId::parse(id.as_str()), Some(id));
        assert!(WorkspaceId::generate(&Random::UNAVAILABLE).is_err());
    }

    #[test]
    fn a_command_id_is_visible_ascii() {
        let longest = "!".repeat(128);
        for id in ["a", "~", "arn:aws:states:eu-west-1:1:execution:x:y", &longest] {
            assert_eq!(CommandId::parse(id).expect(id).as_str(), id);
        }
        let too_long = "a".repeat(129);
        for id in ["", " ", "a b", "é", "a\n", "\u{7f}", &too_long] {
            assert!(CommandId::parse(id).is_none(), "{id:?}");
        }
    }
}

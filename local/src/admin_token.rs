//! The operator's credential in plaintext, which only a local run has: the functions are given its SHA-256.

use domain::token::{Bearer, TokenHash};
use secrecy::{ExposeSecret, SecretString};
use uuid::Uuid;

/// An admin token. It has no `Debug`, `Display` or `Serialize`: its text is had only by [`Self::expose`].
pub struct AdminToken(SecretString);

/// The text cannot be an admin token. The text is not in here.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("The admin token must be 32 to 256 visible ASCII characters and must not begin with `wsr_`.")]
pub struct InvalidAdminToken;

impl AdminToken {
    /// A new token: 244 random bits of the operating system.
    pub fn generate() -> Self {
        let random = [Uuid::new_v4(), Uuid::new_v4()].map(|part| part.simple().to_string()).concat();
        Self(format!("admin_{random}").into())
    }

    /// A token of the operator's own.
    ///
    /// # Errors
    /// [`InvalidAdminToken`] when no request could present it, or when it would look like a workspace's token.
    pub fn parse(text: &str) -> Result<Self, InvalidAdminToken> {
        let fits = Bearer::parse(text).is_ok() && !text.starts_with("wsr_");
        if fits { Ok(Self(text.into())) } else { Err(InvalidAdminToken) }
    }

    /// The token's text.
    pub fn expose(&self) -> &str {
        self.0.expose_secret()
    }

    /// The lower-case hex SHA-256, which a deployment is configured with.
    pub fn sha256(&self) -> String {
        TokenHash::of(self.expose()).as_str().to_owned()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use shared::api::admin::AdminAuth;

    #[test]
    fn a_generated_token_is_accepted_by_its_digest() {
        let token = AdminToken::generate();
        let auth = AdminAuth::parse(&token.sha256()).expect("a digest");
        assert!(auth.accepts(&Bearer::parse(token.expose()).expect("a bearer")));
        assert!(AdminToken::parse(token.expose()).is_ok());
        assert_ne!(token.expose(), AdminToken::generate().expose());
    }

    #[test]
    fn only_what_a_request_can_present_is_a_token() {
        assert!(AdminToken::parse(&"a".repeat(32)).is_ok());
        assert!(AdminToken::parse(&"~".repeat(256)).is_ok());
        for text in [&"a".repeat(31), &"a".repeat(257), &" ".repeat(40), &"é".repeat(40), &"wsr_".repeat(10)]
        {
            assert_eq!(AdminToken::parse(text).err(), Some(InvalidAdminToken));
        }
    }
}

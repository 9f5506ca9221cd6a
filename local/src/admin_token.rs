//! The admin token in plain text. Only the local registry has it. The functions get its SHA-256.

use domain::token::{Bearer, TokenHash};
use secrecy::{ExposeSecret, SecretString};
use uuid::Uuid;

/// An admin token. It has no `Debug`, `Display` or `Serialize`: only [`Self::expose`] gives its text.
pub struct AdminToken(SecretString);

/// The text is not a valid admin token. The error does not contain it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("The admin token must be 32 to 256 visible ASCII characters and must not begin with `wsr_`.")]
pub struct InvalidAdminToken;

impl AdminToken {
    /// A new token with 244 random bits.
    pub fn generate() -> Self {
        let random = [Uuid::new_v4(), Uuid::new_v4()].map(|part| part.simple().to_string()).concat();
        Self(format!("admin_{random}").into())
    }

    /// A token that the operator chose.
    ///
    /// # Errors
    /// [`InvalidAdminToken`] if a request cannot carry it, or if it looks like a workspace's token.
    pub fn parse(text: &str) -> Result<Self, InvalidAdminToken> {
        let fits = Bearer::parse(text).is_ok() && !text.starts_with("wsr_");
        if fits { Ok(Self(text.into())) } else { Err(InvalidAdminToken) }
    }

    /// The token's text.
    pub fn expose(&self) -> &str {
        self.0.expose_secret()
    }

    /// Its SHA-256 in lower-case hex, as a deployment's parameter takes it.
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
    fn only_what_a_request_can_carry_is_a_token() {
        assert!(AdminToken::parse(&"a".repeat(32)).is_ok());
        assert!(AdminToken::parse(&"~".repeat(256)).is_ok());
        for text in [&"a".repeat(31), &"a".repeat(257), &" ".repeat(40), &"é".repeat(40), &"wsr_".repeat(10)]
        {
            assert_eq!(AdminToken::parse(text).err(), Some(InvalidAdminToken));
        }
    }
}

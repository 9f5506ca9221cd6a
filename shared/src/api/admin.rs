//! The admin token. The registry knows only its SHA-256.

use subtle::{Choice, ConstantTimeEq};

use domain::token::{Bearer, TokenHash};

/// The digests of the admin tokens that are accepted: one, or two while the token is being rotated. Its `Debug` shows
/// only the type's name.
#[derive(Clone)]
pub struct AdminAuth {
    digests: Vec<TokenHash>,
}

impl AdminAuth {
    /// One or two SHA-256 digests as 64 hex digits each, separated by a comma. `None` when it is anything else.
    pub fn parse(text: &str) -> Option<Self> {
        let parse = |digest: &str| TokenHash::parse(&digest.trim().to_ascii_lowercase());
        let digests: Option<Vec<_>> = text.split(',').map(parse).collect();
        digests.filter(|digests| digests.len() <= 2).map(|digests| Self { digests })
    }

    /// Whether this is an admin token. Digests are compared, all of them, each in constant time.
    pub fn accepts(&self, bearer: &Bearer) -> bool {
        let presented = bearer.hash();
        let is = |digest: &TokenHash| presented.as_str().as_bytes().ct_eq(digest.as_str().as_bytes());
        self.digests.iter().fold(Choice::from(0), |any, digest| any | is(digest)).into()
    }
}

impl std::fmt::Debug for AdminAuth {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("AdminAuth")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const TOKEN: &str = "an-admin-token-of-some-32-characters";

    fn digest_of(token: &str) -> String {
        TokenHash::of(token).as_str().to_owned()
    }

    #[test]
    fn g12_accepts_only_the_configured_tokens() {
        let other = "another-admin-token-of-32-characters";
        let one = AdminAuth::parse(&digest_of(TOKEN)).unwrap();
        assert!(one.accepts(&Bearer::parse(TOKEN).unwrap()));
        assert!(!one.accepts(&Bearer::parse(other).unwrap()));
        assert!(!one.accepts(&Bearer::parse(&digest_of(TOKEN)).unwrap()), "a hash is no token");
        let both = AdminAuth::parse(&format!("{}, {}", digest_of(other), digest_of(TOKEN).to_uppercase()));
        let both = both.unwrap();
        assert!(both.accepts(&Bearer::parse(TOKEN).unwrap()));
        assert!(both.accepts(&Bearer::parse(other).unwrap()));
        let twice = AdminAuth::parse(&format!("{0},{0}", digest_of(TOKEN))).unwrap();
        assert!(twice.accepts(&Bearer::parse(TOKEN).unwrap()));
        assert_eq!(format!("{both:?}"), "AdminAuth");
    }

    #[test]
    fn g12_refuses_anything_but_one_or_two_digests() {
        let digest = digest_of(TOKEN);
        let short = digest.split_at(1).1;
        let sign = format!("+{short}");
        let three = [digest.as_str(); 3].join(",");
        for text in ["", ",", TOKEN, short, &sign, &format!("{digest},"), &three, &format!("{digest}0")] {
            assert!(AdminAuth::parse(text).is_none(), "{text}");
        }
    }
}

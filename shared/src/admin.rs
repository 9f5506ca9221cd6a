//! The operator's credential. The service knows only its SHA-256.

use subtle::ConstantTimeEq;

use crate::token::Bearer;

/// The digests of the admin tokens that are accepted: one, or two while the token is being rotated. Its `Debug` shows
/// only the type's name.
#[derive(Clone)]
pub struct AdminAuth {
    digests: Vec<[u8; 32]>,
}

impl AdminAuth {
    /// One or two SHA-256 digests as 64 hex digits each, separated by a comma. `None` when it is anything else.
    pub fn parse(text: &str) -> Option<Self> {
        let digests: Option<Vec<_>> = text.split(',').map(|digest| sha256_from_hex(digest.trim())).collect();
        digests.filter(|digests| digests.len() <= 2).map(|digests| Self { digests })
    }

    /// Whether this is an admin token. Digests are compared, all of them, each in constant time.
    pub fn accepts(&self, bearer: &Bearer) -> bool {
        let presented = bearer.sha256();
        let any =
            self.digests.iter().fold(subtle::Choice::from(0), |any, digest| any | presented.ct_eq(digest));
        any.into()
    }
}

impl std::fmt::Debug for AdminAuth {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("AdminAuth")
    }
}

fn sha256_from_hex(text: &str) -> Option<[u8; 32]> {
    let mut digest = [0; 32];
    if text.len() != 64 {
        return None;
    }
    for (byte, pair) in digest.iter_mut().zip(text.as_bytes().chunks_exact(2)) {
        let pair = std::str::from_utf8(pair).ok()?;
        // `from_str_radix` alone would also take a sign.
        if !pair.bytes().all(|digit| digit.is_ascii_hexdigit()) {
            return None;
        }
        *byte = u8::from_str_radix(pair, 16).ok()?;
    }
    Some(digest)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::token::hex;
    use sha2::{Digest, Sha256};

    const TOKEN: &str = "an-admin-token-of-some-32-characters";

    fn digest_of(token: &str) -> String {
        hex(&Sha256::digest(token))
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

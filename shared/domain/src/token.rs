//! Bearer tokens (RFC 6750): generated once, shown once, stored as a hash.
//!
//! A token that the registry generates is `wsr_` + 8 base62 characters (the public id) + `_` + 43 base62 characters
//! (256 random bits) + 6 base62 characters (the CRC-32 of everything before). The checksum lets the registry refuse a
//! mistyped or truncated token without reading the table, and lets secret scanners recognise a leaked one. The mark and
//! the public id together are the *prefix*: the only part that is ever stored, shown again or logged.

use secrecy::{ExposeSecret, SecretString};
use sha2::{Digest, Sha256};

use crate::random::{Random, RandomUnavailable};

/// What every token that the registry generates starts with. It never changes: secret scanners search for it, clients
/// recognise their tokens by it, and tokens in use start with it for as long as they live.
pub const MARK: &str = "wsr_";
const PUBLIC_ID_LENGTH: usize = 8;
const SECRET_LENGTH: usize = 43;
const CHECKSUM_LENGTH: usize = 6;
const PREFIX_LENGTH: usize = MARK.len() + PUBLIC_ID_LENGTH;
const TOKEN_LENGTH: usize = PREFIX_LENGTH + 1 + SECRET_LENGTH + CHECKSUM_LENGTH;
const BASE62: &[u8; 62] = b"0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz";

/// A token that the registry has just generated. It has no `Debug`, `Display`, `Clone` or `Serialize`: only
/// [`Self::reveal`], which consumes it, gives its text away.
pub struct NewToken {
    text: SecretString,
    prefix: TokenPrefix,
    hash: TokenHash,
}

impl NewToken {
    /// A token of 256 random bits.
    ///
    /// # Errors
    /// [`RandomUnavailable`] when the random source fails.
    pub fn generate(random: &Random) -> Result<Self, RandomUnavailable> {
        let mut public_id = [0; 6];
        let mut secret = [0; 32];
        random.fill(&mut public_id)?;
        random.fill(&mut secret)?;
        Ok(Self::from_bytes(public_id, secret))
    }

    fn from_bytes(public_id: [u8; 6], secret: [u8; 32]) -> Self {
        let prefix = format!("{MARK}{}", base62(&public_id, PUBLIC_ID_LENGTH));
        let mut text = format!("{prefix}_{}", base62(&secret, SECRET_LENGTH));
        text.push_str(&checksum(&text));
        Self { hash: TokenHash::of(&text), text: text.into(), prefix: TokenPrefix(prefix) }
    }

    /// May be stored, shown and logged.
    pub fn prefix(&self) -> &TokenPrefix {
        &self.prefix
    }

    /// What the table stores.
    pub fn hash(&self) -> &TokenHash {
        &self.hash
    }

    /// The token's text, for the one response that shows it.
    pub fn reveal(self) -> String {
        self.text.expose_secret().to_owned()
    }
}

/// A token that a call adds to a workspace.
pub enum IssuedToken {
    /// The registry generated it, and shows it once.
    Generated(NewToken),
    /// The caller generated it and sent its hash.
    Chosen(TokenHash),
}

impl IssuedToken {
    /// The token that the caller chose, or else a new one.
    ///
    /// # Errors
    /// [`RandomUnavailable`] when one must be generated and the random source fails.
    pub fn new(chosen: Option<&TokenHash>, random: &Random) -> Result<Self, RandomUnavailable> {
        match chosen {
            Some(hash) => Ok(Self::Chosen(hash.clone())),
            None => NewToken::generate(random).map(Self::Generated),
        }
    }

    /// What the table stores.
    pub fn hash(&self) -> &TokenHash {
        match self {
            Self::Generated(token) => token.hash(),
            Self::Chosen(hash) => hash,
        }
    }

    /// The prefix of a generated token.
    pub fn prefix(&self) -> Option<&TokenPrefix> {
        match self {
            Self::Generated(token) => Some(token.prefix()),
            Self::Chosen(_) => None,
        }
    }

    /// The generated token, for the response that shows it.
    pub fn generated(self) -> Option<NewToken> {
        match self {
            Self::Generated(token) => Some(token),
            Self::Chosen(_) => None,
        }
    }
}

/// `wsr_` and the public id of a token that the registry generated. It identifies the token and authenticates nobody.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct TokenPrefix(String);

impl TokenPrefix {
    /// A prefix as the table stores it; `None` when it is not one.
    pub fn parse(text: &str) -> Option<Self> {
        let public_id = text.strip_prefix(MARK)?;
        let fits = public_id.len() == PUBLIC_ID_LENGTH && is_base62(public_id);
        fits.then(|| Self(text.to_owned()))
    }

    /// The prefix as it is stored and shown.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

/// Names a token in answers, paths and logs: the prefix of a token that the registry generated; for a caller-chosen one
/// `sha256:` and the first 16 hex digits of its hash. It authenticates nobody.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct TokenId(String);

impl TokenId {
    /// The grammar, in the words of an error message.
    pub const GRAMMAR: &str =
        "a token id as get-workspace shows it: `wsr_` and 8 characters, or `sha256:` and 16 hex digits";
    const OF_CHOSEN: &str = "sha256:";
    const HASH_DIGITS: usize = 16;

    /// The id of the token with this hash. A token that the registry generated has a prefix.
    pub fn of(hash: &TokenHash, prefix: Option<&TokenPrefix>) -> Self {
        match prefix {
            Some(prefix) => Self(prefix.as_str().to_owned()),
            None => {
                let digits = hash.as_str().chars().take(Self::HASH_DIGITS);
                Self(Self::OF_CHOSEN.chars().chain(digits).collect())
            }
        }
    }

    /// An id that a caller sent; `None` when it does not follow [`Self::GRAMMAR`].
    pub fn parse(text: &str) -> Option<Self> {
        let is_of_chosen = || {
            text.strip_prefix(Self::OF_CHOSEN).is_some_and(|digits| {
                digits.len() == Self::HASH_DIGITS
                    && digits.bytes().all(|byte| matches!(byte, b'0'..=b'9' | b'a'..=b'f'))
            })
        };
        (TokenPrefix::parse(text).is_some() || is_of_chosen()).then(|| Self(text.to_owned()))
    }

    /// The id as it is shown.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

/// A bearer token that a caller presented. It has no `Debug`, `Display`, `Clone` or `Serialize`, and gives away nothing
/// but its hash.
pub struct Bearer(SecretString);

impl Bearer {
    /// Checks the token's form.
    ///
    /// # Errors
    /// [`MalformedBearer`]: no workspace's token and no admin token has this form.
    pub fn parse(text: &str) -> Result<Self, MalformedBearer> {
        if !(32..=256).contains(&text.len()) {
            return Err(MalformedBearer::Length);
        }
        if !text.bytes().all(|byte| byte.is_ascii_graphic()) {
            return Err(MalformedBearer::Alphabet);
        }
        if text.starts_with(MARK) {
            check_format(text)?;
        }
        Ok(Self(text.into()))
    }

    /// The SHA-256 of the whole token.
    pub fn hash(&self) -> TokenHash {
        TokenHash::of(self.0.expose_secret())
    }

    /// The prefix, which may be logged; `None` unless the token has the registry's format.
    pub fn prefix(&self) -> Option<TokenPrefix> {
        self.0.expose_secret().get(..PREFIX_LENGTH).and_then(TokenPrefix::parse)
    }
}

/// Why a presented token is refused without reading the table.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum MalformedBearer {
    /// Shorter than 32 or longer than 256 characters.
    #[error("the bearer's length is not 32 to 256")]
    Length,
    /// A character that is not visible ASCII.
    #[error("the bearer has a character that is not visible ASCII")]
    Alphabet,
    /// Starts with `wsr_` and does not follow the format.
    #[error("the bearer starts with `wsr_` and does not follow the token format")]
    Format,
    /// Starts with `wsr_` and its checksum does not match: mistyped, cut or made up.
    #[error("the bearer's checksum does not match")]
    Checksum,
}

fn check_format(text: &str) -> Result<(), MalformedBearer> {
    let rest = text.strip_prefix(MARK).ok_or(MalformedBearer::Format)?;
    let (public_id, secret) = rest.split_at_checked(PUBLIC_ID_LENGTH).ok_or(MalformedBearer::Format)?;
    let secret = secret.strip_prefix('_').ok_or(MalformedBearer::Format)?;
    if text.len() != TOKEN_LENGTH || !is_base62(public_id) || !is_base62(secret) {
        return Err(MalformedBearer::Format);
    }
    let (checked, found) =
        text.split_at_checked(TOKEN_LENGTH - CHECKSUM_LENGTH).ok_or(MalformedBearer::Format)?;
    // Compared as text: six base62 digits can also spell numbers that no CRC-32 has.
    if checksum(checked) == found { Ok(()) } else { Err(MalformedBearer::Checksum) }
}

fn is_base62(text: &str) -> bool {
    text.bytes().all(|byte| byte.is_ascii_alphanumeric())
}

/// The lower-case hex SHA-256 of a token, the only form in which the registry stores one. 256 random bits need neither
/// salt nor a slow hash. A hash authenticates nobody, but is not meant for logs or answers either: it has no `Display` or
/// `Serialize`, and its `Debug` shows only the type's name.
#[derive(Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct TokenHash(String);

impl TokenHash {
    /// The grammar, in the words of an error message.
    pub const GRAMMAR: &str = "a SHA-256 as 64 lower-case hex digits";

    /// The hash of a token's text.
    pub fn of(token: &str) -> Self {
        Self(hex::encode(Sha256::digest(token)))
    }

    /// A hash that a caller sent or the table stores; `None` when it is not 64 lower-case hex digits.
    pub fn parse(text: &str) -> Option<Self> {
        let fits = text.len() == 64 && text.bytes().all(|byte| matches!(byte, b'0'..=b'9' | b'a'..=b'f'));
        fits.then(|| Self(text.to_owned()))
    }

    /// The hash as it is stored.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// Whether this is the SHA-256 of the empty string, which a script sends when its variable is not set.
    pub fn is_of_empty_text(&self) -> bool {
        self.0 == "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"
    }
}

impl std::fmt::Debug for TokenHash {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("TokenHash")
    }
}

fn checksum(text: &str) -> String {
    base62(&crc32fast::hash(text.as_bytes()).to_be_bytes(), CHECKSUM_LENGTH)
}

/// The last `width` base62 digits of a big-endian number, padded with zeros.
fn base62(number: &[u8], width: usize) -> String {
    // Long division, four bytes at a time. A remainder below 62 makes a quotient that fits.
    let mut number: Vec<u32> = number.rchunks(4).rev().map(big_endian).collect();
    let mut digits = Vec::with_capacity(width);
    for _ in 0..width {
        let mut remainder = 0_u64;
        for word in &mut number {
            let dividend = (remainder << 32) | u64::from(*word);
            *word = u32::try_from(dividend / 62).unwrap_or_default();
            remainder = dividend % 62;
        }
        let digit = usize::try_from(remainder).ok().and_then(|digit| BASE62.get(digit));
        digits.push(digit.copied().unwrap_or_default());
    }
    digits.iter().rev().copied().map(char::from).collect()
}

fn big_endian(bytes: &[u8]) -> u32 {
    bytes.iter().fold(0, |number, byte| (number << 8) | u32::from(*byte))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Computed independently of this crate, with Python's `zlib.crc32` and integers of any size.
    const PINNED: &str = "wsr_002KCVG7_003aUlTJC7tjlCTQj2uNU3MFagCXG9LRKRcwGkBIDlf0MVCBj";

    fn pinned() -> NewToken {
        let mut secret = [0; 32];
        for (position, byte) in secret.iter_mut().enumerate() {
            *byte = u8::try_from(position).unwrap();
        }
        NewToken::from_bytes([0, 0, 0x7f, 1, 2, 3], secret)
    }

    #[test]
    fn a_token_id_names_any_token() {
        let token = NewToken::generate(&Random::OS).unwrap();
        let id = TokenId::of(token.hash(), Some(token.prefix()));
        assert_eq!(id.as_str(), token.prefix().as_str());
        let chosen = TokenId::of(&TokenHash::of("x"), None);
        assert_eq!(chosen.as_str(), "sha256:2d711642b726b044");
        for id in [id, chosen] {
            assert_eq!(TokenId::parse(id.as_str()), Some(id));
        }
        let hash = TokenHash::of("x");
        for text in
            ["", "wsr_", "sha256:", "sha256:2d711642b726b04", "sha256:2D711642B726B044", hash.as_str()]
        {
            assert_eq!(TokenId::parse(text), None, "{text}");
        }
    }

    #[test]
    fn the_format_is_pinned() {
        let token = pinned();
        assert_eq!(token.prefix().as_str(), PINNED.split_at(12).0);
        let hash = token.hash().clone();
        let text = token.reveal();
        assert_eq!(text, PINNED);
        let bearer = Bearer::parse(&text).unwrap();
        assert!(bearer.hash() == hash);
        assert_eq!(bearer.prefix(), TokenPrefix::parse(PINNED.split_at(12).0));
        assert_eq!(Bearer::parse(&"a".repeat(62)).unwrap().prefix(), None);
    }

    #[test]
    fn every_generated_token_parses_and_is_new() {
        let mut seen = std::collections::HashSet::new();
        for _ in 0..1_000 {
            let token = NewToken::generate(&Random::OS).unwrap();
            let hash = token.hash().clone();
            let text = token.reveal();
            assert_eq!(text.len(), 62);
            assert!(Bearer::parse(&text).unwrap().hash() == hash);
            assert!(seen.insert(text));
        }
    }

    /// Tokens in use, secret scanners' patterns and clients depend on the mark. It must never change, and no other kind
    /// of token may start with it or be a start of it: a bearer is told apart by its mark alone.
    #[test]
    fn the_mark_is_for_ever_and_shadows_no_other() {
        assert_eq!(MARK, "wsr_");
        let hashes_and_words =
            [TokenHash::of("x").as_str().to_owned(), "sealed".to_owned(), "sha256:".to_owned()];
        for other in hashes_and_words {
            assert!(!other.starts_with(MARK) && !MARK.starts_with(&other), "{other}");
        }
    }

    #[test]
    fn a_prefix_is_the_mark_and_eight_base62_characters() {
        assert_eq!(TokenPrefix::parse("wsr_002KCVG7").unwrap().as_str(), "wsr_002KCVG7");
        for text in
            ["", "wsr_", "wsr_002KCVG", "wsr_002KCVG78", "wsr_002KCV-7", "WSR_002KCVG7", "xyz_002KCVG7"]
        {
            assert!(TokenPrefix::parse(text).is_none(), "{text}");
        }
    }

    #[test]
    fn the_extremes_of_the_secret_fit_the_width() {
        for bytes in [[0; 32], [0xff; 32]] {
            assert!(Bearer::parse(&NewToken::from_bytes([0xff; 6], bytes).reveal()).is_ok());
        }
    }

    #[test]
    fn any_changed_character_is_refused() {
        for position in MARK.len()..PINNED.len() {
            for replacement in (0x21..0x7f).map(char::from) {
                let mut changed: Vec<char> = PINNED.chars().collect();
                if changed[position] == replacement {
                    continue;
                }
                changed[position] = replacement;
                let changed: String = changed.into_iter().collect();
                assert!(Bearer::parse(&changed).is_err(), "{changed}");
            }
        }
    }

    #[test]
    fn each_fault_of_a_bearer_has_its_name() {
        let refused = |text: &str| Bearer::parse(text).err();
        assert_eq!(refused(""), Some(MalformedBearer::Length));
        assert_eq!(refused(&"a".repeat(31)), Some(MalformedBearer::Length));
        assert_eq!(refused(&"a".repeat(32)), None);
        assert_eq!(refused(&"a".repeat(256)), None);
        assert_eq!(refused(&"a".repeat(257)), Some(MalformedBearer::Length));
        assert_eq!(refused(&format!("{} ", "a".repeat(40))), Some(MalformedBearer::Alphabet));
        assert_eq!(refused(&"é".repeat(20)), Some(MalformedBearer::Alphabet));
        assert_eq!(refused(PINNED.split_at(61).0), Some(MalformedBearer::Format));
        assert_eq!(refused(&format!("{PINNED}0")), Some(MalformedBearer::Format));
        assert_eq!(refused(&PINNED.replace("7_0", "700")), Some(MalformedBearer::Format));
        assert_eq!(refused(&PINNED.replace("CBj", "CBk")), Some(MalformedBearer::Checksum));
    }

    /// The checksum is no secret: what else is wrong must be seen behind one that is right.
    #[test]
    fn a_right_checksum_saves_no_wrong_character() {
        for (wrong, checked) in [
            ("public id", format!("wsr_0000000-_{}", "0".repeat(43))),
            ("separator", format!("wsr_00000000-{}", "0".repeat(43))),
            ("secret", format!("wsr_00000000_{}-", "0".repeat(42))),
        ] {
            let text = format!("{checked}{}", checksum(&checked));
            assert_eq!(Bearer::parse(&text).err(), Some(MalformedBearer::Format), "{wrong}");
        }
    }

    #[test]
    fn no_token_is_made_without_randomness() {
        assert!(NewToken::generate(&Random::UNAVAILABLE).is_err());
    }

    #[test]
    fn a_hash_is_64_lower_case_hex_digits() {
        let hash = TokenHash::of("abc");
        // FIPS 180-4's example.
        assert_eq!(hash.as_str(), "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad");
        assert!(TokenHash::parse(hash.as_str()) == Some(hash.clone()));
        assert_eq!(format!("{hash:?}"), "TokenHash");
        assert!(TokenHash::of("").is_of_empty_text() && !hash.is_of_empty_text());
        for text in ["", "sealed", hash.as_str().split_at(1).1, &hash.as_str().to_uppercase()] {
            assert!(TokenHash::parse(text).is_none(), "{text}");
        }
    }
}

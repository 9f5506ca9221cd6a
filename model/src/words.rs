//! The few words that the model is made of: tokens, places, operations and times, as small symbols that can be hashed
//! and compared. Each stands for a text that the shipped code sees: a real SHA-256, a real URL, a real operation id.

use std::fmt;
use std::sync::LazyLock;

use shared::id::{OperationId, WorkspaceId};
use shared::time::Now;
use shared::token::TokenHash;

/// A bearer token. The first sixteen have names, the next are those that the registry makes, one for each write that a
/// call may come to, and from 64 on they only fill a workspace up.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Token(pub u16);

impl Token {
    pub const SOURCE: Self = Self(0);
    pub const TARGET: Self = Self(1);
    pub const RIVAL: Self = Self(2);
    pub const CALLER: Self = Self(3);
    pub const FOREIGN: Self = Self(4);
    const NAMES: [&'static str; 5] = ["source", "target", "rival", "caller", "foreign"];
    const FIRST_MADE: u16 = 16;
    const FIRST_FILLER: u16 = 64;

    /// The token that the registry makes for this call's first or second write.
    pub fn made(call: u8, second: bool) -> Self {
        let token = Self::FIRST_MADE + u16::from(call) * 2 + u16::from(second);
        assert!(token < Self::FIRST_FILLER, "a scenario has at most 24 calls");
        Self(token)
    }

    pub fn filler(number: u16) -> Self {
        Self(Self::FIRST_FILLER + number)
    }

    pub fn is_made_by_the_registry(self) -> bool {
        (Self::FIRST_MADE..Self::FIRST_FILLER).contains(&self.0)
    }

    /// A set of tokens with this one alone. Fillers are left out: nobody holds them.
    pub fn bit(self) -> u64 {
        if self.0 < Self::FIRST_FILLER { 1 << self.0 } else { 0 }
    }

    /// What the shipped code sees of it.
    pub fn hash(self) -> &'static TokenHash {
        &HASHES[usize::from(self.0)]
    }

    /// The token of this hash.
    pub fn of(hash: &TokenHash) -> Self {
        let position = HASHES.iter().position(|known| known == hash);
        Self(u16::try_from(position.expect("every hash in the model is one of its tokens'")).unwrap())
    }

    fn text(self) -> String {
        format!("{self:?}")
    }
}

static HASHES: LazyLock<Vec<TokenHash>> =
    LazyLock::new(|| (0..96).map(|token| TokenHash::of(&Token(token).text())).collect());

impl fmt::Debug for Token {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0 {
            named if usize::from(named) < Self::NAMES.len() => {
                write!(f, "{}'s token", Self::NAMES[usize::from(named)])
            }
            made if self.is_made_by_the_registry() => {
                let (call, second) = ((made - Self::FIRST_MADE) / 2, (made - Self::FIRST_MADE) % 2 == 1);
                write!(f, "token made in call {call}{}", if second { " at its second write" } else { "" })
            }
            other => write!(f, "token {other}"),
        }
    }
}

/// What a caller presents as its bearer.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Credential {
    /// The token.
    Token(Token),
    /// The text of the token's hash, which somebody read in the table.
    HashOf(Token),
}

impl Credential {
    /// What the shipped code sees: the hash of what was presented.
    pub fn hash(self) -> TokenHash {
        match self {
            Self::Token(token) => token.hash().clone(),
            Self::HashOf(token) => TokenHash::of(token.hash().as_str()),
        }
    }
}

/// What a registration says: a URL and a card.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Place(pub u16);

impl Place {
    pub const SOURCE: Self = Self(0);
    pub const TARGET: Self = Self(1);
    pub const RIVAL: Self = Self(2);
    pub const CALLER: Self = Self(3);

    pub fn url(self) -> String {
        format!("https://place-{}.example", self.0)
    }

    pub fn card(self) -> String {
        format!(r#"{{"at":{}}}"#, self.0)
    }

    /// The place of this URL.
    pub fn of(url: &str) -> Option<Self> {
        let number = url.strip_prefix("https://place-")?.strip_suffix(".example")?;
        number.parse().ok().map(Self)
    }
}

/// The name of an administrator's operation.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Named(pub u16);

impl Named {
    pub fn id(self) -> OperationId {
        OperationId::parse(&self.text()).unwrap()
    }

    pub fn text(self) -> String {
        format!("operation-{}", self.0)
    }

    pub fn of(text: &str) -> Option<Self> {
        text.strip_prefix("operation-")?.parse().ok().map(Self)
    }
}

/// The only two times that make a difference: before and after the moment at which hand-overs that were made early expire.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Time {
    Early,
    Late,
}

impl Time {
    /// How long a hand-over stands, in seconds.
    const EXPIRY: i64 = 3_600;

    pub fn now(self) -> Now {
        Now::from_epoch_seconds(self.seconds()).unwrap()
    }

    /// When a hand-over made at this time expires.
    pub fn expiry(self) -> i64 {
        self.seconds() + Self::EXPIRY
    }

    /// The time at which a hand-over was made that expires then.
    pub fn of_expiry(seconds: i64) -> Self {
        if seconds == Self::Early.expiry() { Self::Early } else { Self::Late }
    }

    fn seconds(self) -> i64 {
        match self {
            Self::Early => 1_000,
            Self::Late => 10_000,
        }
    }
}

/// The workspace of the model; a second one is there where a scenario needs it.
pub fn workspace_id(number: usize) -> WorkspaceId {
    WorkspaceId::parse(&format!("workspace-{number}")).unwrap()
}

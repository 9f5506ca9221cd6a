//! The source of random bytes: the operating system's, passed as a value so that its failure can be tried out.

use rand::TryRng;
use rand::rngs::SysRng;

/// Fills buffers with random bytes.
#[derive(Clone, Copy, Debug)]
pub struct Random(fn(&mut [u8]) -> Result<(), RandomUnavailable>);

/// The random source gave no bytes. Nothing may be made from what is in the buffer.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the random source is not available")]
pub struct RandomUnavailable;

impl Random {
    /// The operating system's generator (`getrandom(2)` on Linux): what every deployed function uses.
    pub const OS: Self = Self(|buffer| SysRng.try_fill_bytes(buffer).map_err(|_| RandomUnavailable));

    /// A source that always fails, to show what the registry does then.
    pub const UNAVAILABLE: Self = Self(|_| Err(RandomUnavailable));

    /// A source of the caller's own.
    pub const fn from_fn(fill: fn(&mut [u8]) -> Result<(), RandomUnavailable>) -> Self {
        Self(fill)
    }

    /// Fills the whole buffer.
    ///
    /// # Errors
    /// [`RandomUnavailable`]: the buffer's content is then of no use.
    pub fn fill(self, buffer: &mut [u8]) -> Result<(), RandomUnavailable> {
        (self.0)(buffer)
    }
}

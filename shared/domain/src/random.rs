//! The source of random bytes, passed as a value so that tests can make it fail or repeat itself.

use std::fmt;
use std::sync::Arc;

use rand::TryRng;
use rand::rngs::SysRng;

/// Fills buffers with random bytes.
#[derive(Clone)]
pub struct Random(Source);

type Fill = dyn Fn(&mut [u8]) -> Result<(), RandomUnavailable> + Send + Sync;

#[derive(Clone)]
enum Source {
    Os,
    Unavailable,
    Custom(Arc<Fill>),
}

/// The random source gave no bytes. The buffer's content must not be used.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the random source is not available")]
pub struct RandomUnavailable;

impl Random {
    /// The operating system's generator (`getrandom(2)` on Linux), which every deployed function uses.
    pub const OS: Self = Self(Source::Os);

    /// A source that always fails.
    pub const UNAVAILABLE: Self = Self(Source::Unavailable);

    /// A source of the caller's own.
    pub fn from_fn(
        fill: impl Fn(&mut [u8]) -> Result<(), RandomUnavailable> + Send + Sync + 'static,
    ) -> Self {
        Self(Source::Custom(Arc::new(fill)))
    }

    /// Fills the whole buffer.
    ///
    /// # Errors
    /// [`RandomUnavailable`]: the buffer's content must not be used.
    pub fn fill(&self, buffer: &mut [u8]) -> Result<(), RandomUnavailable> {
        match &self.0 {
            Source::Os => SysRng.try_fill_bytes(buffer).map_err(|_| RandomUnavailable),
            Source::Unavailable => Err(RandomUnavailable),
            Source::Custom(fill) => fill(buffer),
        }
    }
}

impl fmt::Debug for Random {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Random")
    }
}

//! Reads a request's body, with a limit on its size and on the time it takes.

use std::time::Duration;

use bytes::Bytes;
use http_body_util::{BodyExt, LengthLimitError, Limited};
use hyper::body::Body;

/// How long the whole body may take to arrive.
const TIMEOUT: Duration = Duration::from_secs(30);

/// Why a body could not be read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum BodyError {
    /// It has more bytes than allowed.
    TooLarge,
    /// It did not arrive in time.
    Timeout,
    /// The connection broke, or the body is not valid HTTP.
    Broken,
}

/// The body, of at most `limit` bytes.
///
/// # Errors
/// [`BodyError`] if it is too large, too slow or broken.
pub async fn read<B>(body: B, limit: usize) -> Result<Bytes, BodyError>
where
    B: Body<Error: Into<Box<dyn std::error::Error + Send + Sync>>>,
{
    if body.size_hint().lower() > u64::try_from(limit).unwrap_or(u64::MAX) {
        return Err(BodyError::TooLarge);
    }
    let read = tokio::time::timeout(TIMEOUT, Limited::new(body, limit).collect());
    match read.await.map_err(|_| BodyError::Timeout)? {
        Ok(body) => Ok(body.to_bytes()),
        Err(error) if error.is::<LengthLimitError>() => Err(BodyError::TooLarge),
        Err(_) => Err(BodyError::Broken),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use http_body_util::Full;
    use hyper::body::Frame;
    use std::convert::Infallible;
    use std::pin::Pin;
    use std::task::{Context, Poll};

    /// A body without an end or a declared length.
    struct Endless;

    impl Body for Endless {
        type Data = Bytes;
        type Error = Infallible;

        fn poll_frame(
            self: Pin<&mut Self>,
            _: &mut Context<'_>,
        ) -> Poll<Option<Result<Frame<Bytes>, Infallible>>> {
            Poll::Ready(Some(Ok(Frame::data(Bytes::from_static(b"again")))))
        }
    }

    #[tokio::test]
    async fn a_body_is_read_up_to_its_limit() {
        assert_eq!(read(Full::new(Bytes::from_static(b"12345")), 5).await.unwrap(), "12345");
        assert_eq!(read(Full::new(Bytes::from_static(b"123456")), 5).await, Err(BodyError::TooLarge));
        assert_eq!(read(Endless, 1_000).await, Err(BodyError::TooLarge));
    }
}

//! Reading a request's body: bounded in size and in time.

use std::time::Duration;

use bytes::Bytes;
use http_body_util::{BodyExt, LengthLimitError, Limited};
use hyper::body::Body;

/// For the whole body, from its first byte to its last.
const TIMEOUT: Duration = Duration::from_secs(30);

/// Why there is no body.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum BodyError {
    /// More bytes than allowed.
    TooLarge,
    /// The client takes too long.
    Timeout,
    /// The connection broke, or what came was not HTTP.
    Broken,
}

/// The body, of at most `limit` bytes.
///
/// # Errors
/// [`BodyError`] when it is larger, slower or broken.
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

    /// A body that never ends, nor says how long it is.
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

//! Reads a client's body whole, up to a size and a time.

use std::time::Duration;

use bytes::Bytes;
use http::HeaderMap;
use http_body_util::BodyExt as _;
use hyper::body::Body;
use tokenweir_llm::Pieces;

use crate::encoding::{Coding, DecodeError, decode};

/// A body must be here in this time, which for the default limit of 16 MiB is about 2 Mbit/s.
const TIMEOUT: Duration = Duration::from_mins(1);
/// Where larger bodies are allowed, all have more time: as long as the largest takes at this many bytes a second.
const BYTES_PER_SECOND: usize = 256 * 1024;

/// Why there is no body.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum BodyError {
    /// Answer 413.
    #[error("the request body is larger than {limit} bytes")]
    TooLarge {
        /// The bound.
        limit: usize,
    },
    /// Answer 408.
    #[error("the request body did not arrive within {seconds} seconds")]
    Timeout {
        /// How long it was waited for.
        seconds: u64,
    },
    /// Answer 415.
    #[error("the request body has a content-encoding that is not known; write gzip, zstd or deflate, or none")]
    UnknownCoding,
    /// Answer 400.
    #[error("the request body cannot be decompressed; content-encoding says {}", .0.name())]
    Damaged(Coding),
    /// Answer 400, if there is anybody left to read it.
    #[error("the request body broke off")]
    BrokenOff,
}

/// Reads a body of at most `limit` bytes, as it comes and as it is once decompressed.
pub async fn read<B>(body: B, headers: &HeaderMap, limit: usize) -> Result<Pieces, BodyError>
where
    B: Body<Data = Bytes> + Unpin,
{
    // Known before the body is waited for.
    let coding = Coding::of(headers).map_err(|_| BodyError::UnknownCoding)?;
    let pieces = receive(body, limit).await?;
    let Some(coding) = coding else {
        return Ok(pieces);
    };
    let decoded = decode(coding, &pieces.to_bytes(), limit).await;
    decoded.map(Pieces::from).map_err(|error| match error {
        DecodeError::TooLarge => BodyError::TooLarge { limit },
        DecodeError::Malformed => BodyError::Damaged(coding),
    })
}

async fn receive<B>(body: B, limit: usize) -> Result<Pieces, BodyError>
where
    B: Body<Data = Bytes> + Unpin,
{
    let wait = patience(limit);
    let seconds = wait.as_secs();
    tokio::time::timeout(wait, collect(body, limit))
        .await
        .unwrap_or(Err(BodyError::Timeout { seconds }))
}

fn patience(limit: usize) -> Duration {
    let largest = u64::try_from(limit / BYTES_PER_SECOND).unwrap_or(u64::MAX);
    TIMEOUT.max(Duration::from_secs(largest))
}

async fn collect<B>(mut body: B, limit: usize) -> Result<Pieces, BodyError>
where
    B: Body<Data = Bytes> + Unpin,
{
    let too_large = BodyError::TooLarge { limit };
    let announced = usize::try_from(body.size_hint().lower()).unwrap_or(usize::MAX);
    if announced > limit {
        return Err(too_large);
    }
    let mut pieces = Pieces::default();
    while !body.is_end_stream() {
        let Some(frame) = body.frame().await else { break };
        let Ok(data) = frame.map_err(|_| BodyError::BrokenOff)?.into_data() else {
            continue;
        };
        if pieces.len() + data.len() > limit {
            return Err(too_large);
        }
        pieces.push(data);
    }
    Ok(pieces)
}

#[cfg(test)]
mod tests {
    use futures::stream;
    use http_body_util::{Full, StreamBody};
    use hyper::body::Frame;

    use super::*;

    type Piece = Result<Frame<Bytes>, std::io::Error>;

    fn pieces(pieces: &[&'static str]) -> impl Body<Data = Bytes, Error = std::io::Error> + Unpin {
        let frames: Vec<Piece> = pieces
            .iter()
            .map(|p| Ok(Frame::data(Bytes::from_static(p.as_bytes()))))
            .collect();
        StreamBody::new(stream::iter(frames))
    }

    #[tokio::test]
    async fn a_body_in_one_or_many_pieces_is_read_whole() {
        assert_eq!(
            receive(Full::new(Bytes::from_static(b"abc")), 3)
                .await
                .unwrap()
                .to_bytes(),
            "abc"
        );
        assert_eq!(
            receive(pieces(&["a", "", "bc", "d"]), 10).await.unwrap().to_bytes(),
            "abcd"
        );
        assert_eq!(receive(pieces(&[]), 10).await.unwrap().to_bytes(), "");
    }

    #[tokio::test]
    async fn a_body_beyond_the_limit_is_refused_whether_announced_or_not() {
        let too_large = BodyError::TooLarge { limit: 3 };
        let announced = Full::new(Bytes::from_static(b"abcd"));
        assert_eq!(receive(announced, 3).await.unwrap_err(), too_large);
        assert_eq!(receive(pieces(&["ab", "cd"]), 3).await.unwrap_err(), too_large);
    }

    #[tokio::test(start_paused = true)]
    async fn a_body_that_does_not_come_is_not_waited_for_forever() {
        let body = StreamBody::new(stream::pending::<Piece>());
        assert_eq!(receive(body, 10).await.unwrap_err(), BodyError::Timeout { seconds: 60 });
        let body = StreamBody::new(stream::pending::<Piece>());
        let large = 64 * 1024 * 1024;
        assert_eq!(
            receive(body, large).await.unwrap_err(),
            BodyError::Timeout { seconds: 256 }
        );
    }

    #[tokio::test]
    async fn a_body_that_breaks_off_is_an_error() {
        let frames: Vec<Piece> = vec![
            Ok(Frame::data(Bytes::from_static(b"a"))),
            Err(std::io::Error::other("gone")),
        ];
        assert_eq!(
            receive(StreamBody::new(stream::iter(frames)), 10).await.unwrap_err(),
            BodyError::BrokenOff
        );
    }
}

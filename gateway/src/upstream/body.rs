//! The body of a request on its way to a provider.

use std::convert::Infallible;
use std::pin::Pin;
use std::task::{Context, Poll};

use bytes::Bytes;
use hyper::body::{Body, Frame, SizeHint};
use tokenweir_llm::Pieces;

/// A body that is all here, in one or more pieces, which are written together.
#[derive(Debug)]
pub struct RequestBody {
    pieces: <Pieces as IntoIterator>::IntoIter,
    left: usize,
}

impl From<Pieces> for RequestBody {
    fn from(pieces: Pieces) -> Self {
        Self {
            left: pieces.len(),
            pieces: pieces.into_iter(),
        }
    }
}

impl Body for RequestBody {
    type Data = Bytes;
    type Error = Infallible;

    fn poll_frame(mut self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, Infallible>>> {
        // An empty body has an empty piece, which is no frame.
        let piece = self.pieces.find(|piece| !piece.is_empty());
        self.left -= piece.as_ref().map_or(0, Bytes::len);
        Poll::Ready(piece.map(|piece| Ok(Frame::data(piece))))
    }

    fn is_end_stream(&self) -> bool {
        self.left == 0
    }

    fn size_hint(&self) -> SizeHint {
        SizeHint::with_exact(self.left as u64)
    }
}

#[cfg(test)]
mod tests {
    use http_body_util::BodyExt;

    use super::*;

    #[tokio::test]
    async fn the_pieces_come_in_order_and_the_end_is_known_with_the_last() {
        let mut pieces = Pieces::from(Bytes::from_static(b"ab"));
        pieces.push(Bytes::from_static(b"c"));
        let mut body = RequestBody::from(pieces);
        assert_eq!((body.size_hint().exact(), body.is_end_stream()), (Some(3), false));
        assert_eq!(body.frame().await.unwrap().unwrap().into_data().unwrap(), "ab");
        assert!(!body.is_end_stream());
        assert_eq!(body.frame().await.unwrap().unwrap().into_data().unwrap(), "c");
        assert!(body.is_end_stream() && body.frame().await.is_none());
        let empty = RequestBody::from(Pieces::default());
        assert!(empty.is_end_stream() && empty.collect().await.unwrap().to_bytes().is_empty());
    }
}

//! Answers that providers compress, though they are asked not to.

use bytes::Bytes;
use http::{HeaderMap, header};

use crate::encoding::{Coding, decode};

/// What such an answer may grow to.
const DECODED_BYTES: usize = 16 * 1024 * 1024;

/// Whether a body comes as it is.
pub(super) fn is_plain(headers: &HeaderMap) -> bool {
    // The usual answer has no such header at all.
    !headers.contains_key(header::CONTENT_ENCODING) || Coding::of(headers) == Ok(None)
}

/// Makes a compressed answer plain, so that its usage and its errors can be read; the client gets it in the coding of its
/// own choice. `None` if it cannot be read.
pub(super) async fn undo(headers: &mut HeaderMap, body: Bytes) -> Option<Bytes> {
    let coding = Coding::of(headers).ok()??;
    let plain = decode(coding, &body, DECODED_BYTES).await.ok()?;
    headers.remove(header::CONTENT_ENCODING);
    headers.remove(header::CONTENT_LENGTH);
    Some(plain)
}

//! The id under which client, gateway and provider speak of one request.

use http::{HeaderMap, HeaderValue};
use rand::RngCore as _;

use super::headers::X_REQUEST_ID;

/// Longest id of a client that is taken over.
const MAX_LEN: usize = 128;
/// What an id made here begins with.
const PREFIX: &[u8] = b"req_";
/// Random bytes in it: enough that two are never the same.
const RANDOM: usize = 16;

/// The client's id if it is sane (up to 128 visible ASCII characters), else a new one.
///
/// An id goes into logs and headers, so that one with blanks or control characters could pretend to be more than an id.
pub fn request_id(headers: &HeaderMap) -> HeaderValue {
    match headers.get(X_REQUEST_ID) {
        Some(id) if is_sane(id.as_bytes()) => id.clone(),
        _ => generate(),
    }
}

fn is_sane(id: &[u8]) -> bool {
    (1..=MAX_LEN).contains(&id.len()) && id.iter().all(u8::is_ascii_graphic)
}

fn generate() -> HeaderValue {
    const HEX: &[u8; 16] = b"0123456789abcdef";
    let mut random = [0; RANDOM];
    rand::rng().fill_bytes(&mut random);
    let mut id = [0; PREFIX.len() + 2 * RANDOM];
    let (prefix, digits) = id.split_at_mut(PREFIX.len());
    prefix.copy_from_slice(PREFIX);
    for (pair, byte) in digits.chunks_exact_mut(2).zip(random) {
        pair[0] = HEX[usize::from(byte >> 4)];
        pair[1] = HEX[usize::from(byte & 0xf)];
    }
    // Letters, digits and an underscore always make a header.
    HeaderValue::from_bytes(&id).unwrap_or_else(|_| HeaderValue::from_static("req_"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn with(id: &[u8]) -> HeaderValue {
        request_id(&HeaderMap::from_iter([(
            X_REQUEST_ID,
            HeaderValue::from_bytes(id).unwrap(),
        )]))
    }

    #[test]
    fn a_sane_id_of_the_client_is_kept_and_others_are_replaced() {
        assert_eq!(with(b"abc-123"), "abc-123");
        for bad in [&b""[..], b"with blank", b"\xc3\xa9", &[b'x'; 129]] {
            assert!(with(bad).to_str().unwrap().starts_with("req_"), "{bad:?}");
        }
    }

    #[test]
    fn new_ids_differ() {
        let (a, b) = (request_id(&HeaderMap::new()), request_id(&HeaderMap::new()));
        assert_ne!(a, b);
        assert_eq!(a.len(), 36);
    }
}

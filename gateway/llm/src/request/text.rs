//! Whether a body is text in UTF-8, as JSON must be.

use simdutf8::compat::from_utf8;

use super::RequestError;
use super::pieces::Pieces;

/// Bytes of the longest character.
const LONGEST: usize = 4;

/// A character that stands in more than one piece.
#[derive(Default)]
struct Split {
    bytes: [u8; LONGEST],
    len: usize,
    /// Where it begins in the body.
    at: usize,
}

impl Split {
    /// Takes the next byte; false if the bytes so far are no character and none begins with them.
    fn push(&mut self, byte: u8) -> bool {
        self.bytes[self.len] = byte;
        self.len += 1;
        match std::str::from_utf8(&self.bytes[..self.len]) {
            Ok(_) => self.len = 0,
            Err(error) if error.error_len().is_some() => return false,
            Err(_) => {}
        }
        true
    }
}

/// An error that names the first byte with which no character begins. One pass over the pieces, which may be cut within a
/// character.
pub(super) fn check(body: &Pieces) -> Result<(), RequestError> {
    let mut split = Split::default();
    let mut base = 0;
    for piece in body.iter() {
        let mut rest = &piece[..];
        while split.len > 0
            && let Some((byte, behind)) = rest.split_first()
        {
            if !split.push(*byte) {
                return Err(RequestError::NotUtf8 { offset: split.at });
            }
            rest = behind;
        }
        if let Err(error) = from_utf8(rest) {
            let at = base + piece.len() - rest.len() + error.valid_up_to();
            if error.error_len().is_some() {
                return Err(RequestError::NotUtf8 { offset: at });
            }
            // Fewer bytes than a character has, so that all of them are taken.
            split.at = at;
            for byte in &rest[error.valid_up_to()..] {
                split.push(*byte);
            }
        }
        base += piece.len();
    }
    if split.len > 0 {
        return Err(RequestError::NotUtf8 { offset: split.at });
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use bytes::Bytes;
    use proptest::prelude::*;

    use super::*;

    fn offset(pieces: &[&[u8]]) -> Option<usize> {
        let mut body = Pieces::default();
        for piece in pieces {
            body.push(Bytes::copy_from_slice(piece));
        }
        match check(&body) {
            Ok(()) => None,
            Err(RequestError::NotUtf8 { offset }) => Some(offset),
            Err(other) => panic!("{other}"),
        }
    }

    #[test]
    fn a_character_may_stand_in_as_many_pieces_as_it_has_bytes() {
        let text = "aü€😀";
        let bytes: Vec<&[u8]> = text.as_bytes().chunks(1).collect();
        assert_eq!(offset(&bytes), None);
        assert_eq!(offset(&bytes[..bytes.len() - 1]), Some(6), "the last one is cut");
        assert_eq!(offset(&[b"a\xe2", b"\x82", b"x"]), Some(1));
        assert_eq!(offset(&[b"a\xf0\x9f", b"\x98\x80\xff"]), Some(5));
        assert_eq!(offset(&[]), None);
    }

    /// Text with some bytes that are none.
    fn bytes() -> impl Strategy<Value = Vec<u8>> {
        let text = "[a-z\"ü€😀\u{10ffff}]{0,40}".prop_map(String::into_bytes);
        let none = prop::collection::vec(any::<u8>(), 0..3);
        prop::collection::vec(prop_oneof![4 => text, 1 => none], 0..5).prop_map(|parts| parts.concat())
    }

    proptest! {
        #[test]
        fn pieces_are_judged_like_the_whole(body in bytes(), cuts in prop::collection::vec(1_usize..9, 0..40)) {
            let mut pieces = Vec::new();
            let mut rest = &body[..];
            for cut in cuts {
                let (piece, behind) = rest.split_at(cut.min(rest.len()));
                pieces.push(piece);
                rest = behind;
            }
            pieces.push(rest);
            let whole = std::str::from_utf8(&body).err().map(|error| error.valid_up_to());
            prop_assert_eq!(offset(&pieces), whole);
        }
    }
}

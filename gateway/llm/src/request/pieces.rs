//! A body in the pieces in which it came.

use std::borrow::Cow;
use std::ops::Range;

use bytes::{Bytes, BytesMut};

/// Bodies up to this size are put together when they change: copying so much costs less than writing several pieces.
const COPIED: usize = 16 * 1024;

/// So many pieces are kept apart whatever their size,
const MANY: usize = 64;
/// and more only if they have so many bytes on average.
const SMALL: usize = 256;

/// Bytes in one or more pieces, in order. Cloning shares them; a large body is changed without copying it.
#[derive(Debug, Clone, Default)]
pub struct Pieces {
    first: Bytes,
    more: Vec<Bytes>,
    len: usize,
}

impl From<Bytes> for Pieces {
    fn from(bytes: Bytes) -> Self {
        Self {
            len: bytes.len(),
            first: bytes,
            more: Vec::new(),
        }
    }
}

impl Pieces {
    /// Appends a piece.
    pub fn push(&mut self, piece: Bytes) {
        self.len += piece.len();
        if self.first.is_empty() {
            self.first = piece;
        } else if !piece.is_empty() {
            self.more.push(piece);
            // A body that drips in must not cost more memory for its pieces than for its bytes.
            if self.more.len() > MANY + self.len / SMALL {
                self.first = self.to_bytes();
                self.more = Vec::new();
            }
        }
    }

    /// Bytes in all.
    pub const fn len(&self) -> usize {
        self.len
    }

    /// Whether there is not a single byte.
    pub const fn is_empty(&self) -> bool {
        self.len == 0
    }

    /// The pieces. Only an empty body has an empty one.
    pub fn iter(&self) -> impl Iterator<Item = &Bytes> {
        std::iter::once(&self.first).chain(&self.more)
    }

    /// All of it in one piece; copied if it has more than one.
    pub fn to_bytes(&self) -> Bytes {
        if self.more.is_empty() {
            return self.first.clone();
        }
        let mut all = BytesMut::with_capacity(self.len);
        for piece in self.iter() {
            all.extend_from_slice(piece);
        }
        all.freeze()
    }

    /// A part of it, copied only if it stands in more than one piece. What lies beyond the end is left out.
    pub(super) fn get(&self, range: Range<usize>) -> Cow<'_, [u8]> {
        let mut parts = self.parts(range);
        let first = parts.next().map_or(&[][..], |(piece, range)| &piece[range]);
        let Some((piece, range)) = parts.next() else {
            return Cow::Borrowed(first);
        };
        let mut all = first.to_vec();
        all.extend_from_slice(&piece[range]);
        for (piece, range) in parts {
            all.extend_from_slice(&piece[range]);
        }
        Cow::Owned(all)
    }

    /// The pieces that a range touches, each with the range in it. None of these is empty.
    fn parts(&self, range: Range<usize>) -> impl Iterator<Item = (&Bytes, Range<usize>)> {
        let mut base = 0;
        self.iter().filter_map(move |piece| {
            let start = range.start.max(base) - base;
            let end = range.end.saturating_sub(base).min(piece.len());
            base += piece.len();
            (start < end).then_some((piece, start..end))
        })
    }

    /// The same with ranges replaced, which are in order and do not overlap.
    pub(super) fn replace(&self, replacements: &[(Range<usize>, Cow<'static, [u8]>)]) -> Self {
        if replacements.is_empty() {
            return self.clone();
        }
        let added: usize = replacements.iter().map(|(_, bytes)| bytes.len()).sum();
        if self.len + added <= COPIED {
            return self.copied(replacements, added);
        }
        let mut out = Self::default();
        let mut at = 0;
        for (range, bytes) in replacements {
            for (piece, part) in self.parts(at..range.start) {
                out.push(piece.slice(part));
            }
            out.push(match bytes {
                Cow::Borrowed(bytes) => Bytes::from_static(bytes),
                Cow::Owned(bytes) => Bytes::copy_from_slice(bytes),
            });
            at = range.end;
        }
        for (piece, part) in self.parts(at..self.len) {
            out.push(piece.slice(part));
        }
        out
    }

    fn copied(&self, replacements: &[(Range<usize>, Cow<'static, [u8]>)], added: usize) -> Self {
        let mut all = BytesMut::with_capacity(self.len + added);
        let mut at = 0;
        for (range, bytes) in replacements {
            for (piece, part) in self.parts(at..range.start) {
                all.extend_from_slice(&piece[part]);
            }
            all.extend_from_slice(bytes);
            at = range.end;
        }
        for (piece, part) in self.parts(at..self.len) {
            all.extend_from_slice(&piece[part]);
        }
        all.freeze().into()
    }
}

impl IntoIterator for Pieces {
    type Item = Bytes;
    type IntoIter = std::iter::Chain<std::iter::Once<Bytes>, std::vec::IntoIter<Bytes>>;

    fn into_iter(self) -> Self::IntoIter {
        std::iter::once(self.first).chain(self.more)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn pieces(parts: &[&str]) -> Pieces {
        let mut pieces = Pieces::default();
        for part in parts {
            pieces.push(Bytes::copy_from_slice(part.as_bytes()));
        }
        pieces
    }

    #[test]
    fn a_range_is_borrowed_from_one_piece_and_copied_from_several() {
        let body = pieces(&["abc", "", "def", "g"]);
        assert_eq!(body.len(), 7);
        assert!(matches!(body.get(3..6), Cow::Borrowed(b"def")));
        assert_eq!(&*body.get(2..7), b"cdefg");
        assert_eq!(&*body.get(5..99), b"fg");
        assert_eq!(&*body.get(9..12), b"");
        assert_eq!(body.to_bytes(), "abcdefg");
        assert!(Pieces::default().is_empty());
    }

    #[test]
    fn replacing_gives_the_same_bytes_with_and_without_copying() {
        let long = "x".repeat(COPIED);
        for (parts, filler) in [
            (vec!["0123", "4567", "89"], ""),
            (vec!["0123", "4567", "89", &long], &*long),
        ] {
            let body = pieces(&parts);
            let replaced = body.replace(&[
                (1..1, Cow::Borrowed(b"<in>")),
                (3..6, Cow::Owned(b"<over>".to_vec())),
                (10..10, Cow::Borrowed(b"<behind>")),
            ]);
            let expected = format!("0<in>12<over>6789<behind>{filler}");
            assert_eq!(replaced.to_bytes(), expected);
            assert_eq!(replaced.len(), expected.len());
            let all: Vec<u8> = replaced.into_iter().flatten().collect();
            assert_eq!(all, expected.as_bytes());
            assert_eq!(body.replace(&[]).to_bytes(), body.to_bytes());
        }
    }

    #[test]
    fn a_body_that_drips_in_is_put_together() {
        let mut body = Pieces::default();
        for n in 0..100_000_u32 {
            body.push(Bytes::copy_from_slice(&[b'a' + (n % 26) as u8]));
            assert!(body.more.len() <= MANY + body.len() / SMALL);
        }
        assert_eq!(body.len(), 100_000);
        assert!(body.to_bytes().starts_with(b"abcdefghijklmnopqrstuvwxyzabc"));
    }

    #[test]
    fn a_large_body_is_changed_in_place_of_being_copied() {
        let body = pieces(&[&"x".repeat(COPIED)]);
        let replaced = body.replace(&[(5..6, Cow::Borrowed(b"y"))]);
        let last = replaced.iter().last().unwrap();
        let original = body.iter().next().unwrap();
        assert_eq!(last.as_ptr(), original[6..].as_ptr());
    }
}

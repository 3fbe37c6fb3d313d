//! Content codings: requests that come compressed, answers that may go compressed, and providers that compress unasked.

mod accept;
mod decode;
mod encode;

use http::{HeaderMap, HeaderValue, header};

pub use accept::accepted;
pub use decode::{DecodeError, decode};
pub use encode::{Encoder, encode};

/// Work on a body pauses after this many bytes, so that the worker's other requests go on.
const STEP_BYTES: usize = 64 * 1024;

/// A way in which a body is compressed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Coding {
    /// `gzip`, or `x-gzip`.
    Gzip,
    /// `deflate`: zlib's format. Bodies are read in it and never written.
    Deflate,
    /// `zstd`.
    Zstd,
}

/// A body comes in a coding that is not known, or in several.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct UnknownCoding;

impl Coding {
    /// The codings in which requests may come, as the value of a header.
    pub const READABLE: HeaderValue = HeaderValue::from_static("zstd, gzip, deflate");

    /// The name in headers.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Gzip => "gzip",
            Self::Deflate => "deflate",
            Self::Zstd => "zstd",
        }
    }

    fn of_name(name: &[u8]) -> Option<Self> {
        if name.eq_ignore_ascii_case(b"gzip") || name.eq_ignore_ascii_case(b"x-gzip") {
            Some(Self::Gzip)
        } else if name.eq_ignore_ascii_case(b"zstd") {
            Some(Self::Zstd)
        } else if name.eq_ignore_ascii_case(b"deflate") {
            Some(Self::Deflate)
        } else {
            None
        }
    }

    /// The coding of a body, by its headers; `None`: it is as it is. Bodies in several codings, one over the other, serve
    /// nobody but those who want them to be large.
    pub fn of(headers: &HeaderMap) -> Result<Option<Self>, UnknownCoding> {
        let mut found = None;
        for value in headers.get_all(header::CONTENT_ENCODING) {
            for name in value.as_bytes().split(|byte| *byte == b',') {
                let name = name.trim_ascii();
                if name.is_empty() || name.eq_ignore_ascii_case(b"identity") {
                    continue;
                }
                let coding = Self::of_name(name).ok_or(UnknownCoding)?;
                if found.replace(coding).is_some() {
                    return Err(UnknownCoding);
                }
            }
        }
        Ok(found)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn coding(values: &[&'static str]) -> Result<Option<Coding>, UnknownCoding> {
        let headers = values
            .iter()
            .map(|value| (header::CONTENT_ENCODING, HeaderValue::from_static(value)));
        Coding::of(&headers.collect())
    }

    #[test]
    fn a_body_has_one_coding_at_most() {
        assert_eq!(coding(&[]), Ok(None));
        assert_eq!(coding(&["identity"]), Ok(None));
        assert_eq!(coding(&["GZip"]), Ok(Some(Coding::Gzip)));
        assert_eq!(coding(&["x-gzip, identity"]), Ok(Some(Coding::Gzip)));
        assert_eq!(coding(&["zstd"]), Ok(Some(Coding::Zstd)));
        assert_eq!(coding(&["deflate"]), Ok(Some(Coding::Deflate)));
        for wrong in [&["br"][..], &["gzip, gzip"], &["gzip", "zstd"], &["gzip;q=1"]] {
            assert_eq!(coding(wrong), Err(UnknownCoding), "{wrong:?}");
        }
    }
}

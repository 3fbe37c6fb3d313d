//! Amazon's event-stream framing, `application/vnd.amazon.eventstream`: messages of headers and a payload, each with
//! checksums over its lengths and over all of it.
//!
//! Only what is read here is decoded: headers whose values are strings. The others are stepped over.

use bytes::{Buf as _, BufMut as _, Bytes, BytesMut};

/// Two lengths and their checksum.
const PRELUDE: usize = 12;
/// The prelude and the checksum at the end.
const FRAME: usize = PRELUDE + 4;
/// The type of a header's value that is a string.
const TEXT: u8 = 7;
/// The largest message that Amazon's own clients take is 16 MiB of payload and 128 KiB of headers.
const LARGEST: usize = 16 * 1024 * 1024 + 128 * 1024 + FRAME;

/// Why a stream cannot be read further.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum FrameError {
    /// A length is one that no message has.
    #[error("an event of the stream says a length that cannot be")]
    Length,
    /// A checksum is not that of the bytes.
    #[error("an event of the stream is damaged")]
    Checksum,
    /// The headers do not fill their place.
    #[error("an event of the stream has headers that cannot be read")]
    Headers,
}

/// One message.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Message {
    headers: Bytes,
    /// What it carries.
    pub payload: Bytes,
}

impl Message {
    /// The value of a header, if it is a string.
    pub fn header(&self, name: &str) -> Option<&str> {
        let mut rest: &[u8] = &self.headers;
        while !rest.is_empty() {
            let (found, value, after) = split_header(rest)?;
            if found == name.as_bytes() {
                return match value {
                    Value::Text(text) => std::str::from_utf8(text).ok(),
                    Value::Other => None,
                };
            }
            rest = after;
        }
        None
    }
}

/// Writes a message whose headers are strings, as servers of this wire do. Headers that are longer than the wire allows
/// are cut.
pub fn encode(headers: &[(&str, &str)], payload: &[u8]) -> Bytes {
    let mut encoded = BytesMut::new();
    for (name, value) in headers {
        let name = &name.as_bytes()[..name.len().min(usize::from(u8::MAX))];
        let value = &value.as_bytes()[..value.len().min(usize::from(u16::MAX))];
        encoded.put_u8(u8::try_from(name.len()).unwrap_or(u8::MAX));
        encoded.extend_from_slice(name);
        encoded.put_u8(TEXT);
        encoded.put_u16(u16::try_from(value.len()).unwrap_or(u16::MAX));
        encoded.extend_from_slice(value);
    }
    let total = FRAME + encoded.len() + payload.len();
    let mut out = BytesMut::with_capacity(total);
    out.put_u32(u32::try_from(total).unwrap_or(u32::MAX));
    out.put_u32(u32::try_from(encoded.len()).unwrap_or(u32::MAX));
    out.put_u32(crc32fast::hash(&out));
    out.extend_from_slice(&encoded);
    out.extend_from_slice(payload);
    out.put_u32(crc32fast::hash(&out));
    out.freeze()
}

enum Value<'a> {
    Text(&'a [u8]),
    Other,
}

/// The first header: name, value, and what follows.
fn split_header(headers: &[u8]) -> Option<(&[u8], Value<'_>, &[u8])> {
    let (&length, rest) = headers.split_first()?;
    let (name, rest) = rest.split_at_checked(length.into())?;
    let (&kind, rest) = rest.split_first()?;
    let fixed = match kind {
        0 | 1 => 0,
        2 => 1,
        3 => 2,
        4 => 4,
        5 | 8 => 8,
        9 => 16,
        6 | TEXT => {
            let (length, rest) = rest.split_first_chunk::<2>()?;
            let (value, rest) = rest.split_at_checked(u16::from_be_bytes(*length).into())?;
            let value = if kind == TEXT { Value::Text(value) } else { Value::Other };
            return Some((name, value, rest));
        }
        _ => return None,
    };
    let (_, rest) = rest.split_at_checked(fixed)?;
    Some((name, Value::Other, rest))
}

/// Cuts a byte stream into messages.
#[derive(Debug, Default)]
pub struct Decoder {
    held: BytesMut,
    failed: Option<FrameError>,
}

impl Decoder {
    /// Adds input. After an error it is dropped, so that a hostile stream holds no memory.
    pub fn push(&mut self, piece: &[u8]) {
        if self.failed.is_none() {
            self.held.extend_from_slice(piece);
        }
    }

    /// The next whole message, or `None` when more input is needed. After an error it only repeats that error.
    pub fn next_message(&mut self) -> Result<Option<Message>, FrameError> {
        if let Some(error) = self.failed {
            return Err(error);
        }
        self.decode().inspect_err(|&error| {
            self.failed = Some(error);
            self.held = BytesMut::new();
        })
    }

    /// Whether input is left that is no whole message.
    pub fn is_cut(&self) -> bool {
        !self.held.is_empty()
    }

    fn decode(&mut self) -> Result<Option<Message>, FrameError> {
        let Some(prelude) = self.held.first_chunk::<PRELUDE>() else {
            return Ok(None);
        };
        let mut fields = prelude.as_slice();
        let total = fields.get_u32() as usize;
        let headers = fields.get_u32() as usize;
        if crc32fast::hash(&prelude[..8]) != fields.get_u32() {
            return Err(FrameError::Checksum);
        }
        if total > LARGEST || headers.checked_add(FRAME).is_none_or(|least| least > total) {
            return Err(FrameError::Length);
        }
        if self.held.len() < total {
            return Ok(None);
        }
        let mut frame = self.held.split_to(total).freeze();
        let mut checksum = frame.split_off(total - 4);
        if crc32fast::hash(&frame) != checksum.get_u32() {
            return Err(FrameError::Checksum);
        }
        frame.advance(PRELUDE);
        let payload = frame.split_off(headers);
        let mut rest: &[u8] = &frame;
        while !rest.is_empty() {
            (_, _, rest) = split_header(rest).ok_or(FrameError::Headers)?;
        }
        Ok(Some(Message {
            headers: frame,
            payload,
        }))
    }
}

//! One event: what it says, and the bytes it came in.

use bytes::{BufMut, Bytes, BytesMut};
use memchr::memchr2;

/// One block of a stream, up to and with its blank line.
///
/// A block without a `data` line (a comment, a stray blank line) is an event too, with no data, so that a relay passes
/// it on.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Event {
    raw: Bytes,
    data: Option<Bytes>,
    name: Option<Bytes>,
}

impl Event {
    /// Reads the fields of a whole block.
    pub(super) fn parse(raw: Bytes, first_of_stream: bool) -> Self {
        let mut event = Self {
            data: None,
            name: None,
            raw,
        };
        let mut several: Option<BytesMut> = None;
        let mut at = usize::from(first_of_stream && event.raw.starts_with(b"\xEF\xBB\xBF")) * 3;
        while at < event.raw.len() {
            let rest = &event.raw[at..];
            let length = memchr2(b'\n', b'\r', rest).unwrap_or(rest.len());
            let line = &rest[..length];
            if let Some(value) = field(line, b"data") {
                let value = event.raw.slice_ref(value);
                match (&mut several, &event.data) {
                    (Some(lines), _) => {
                        lines.put_u8(b'\n');
                        lines.extend_from_slice(&value);
                    }
                    (None, Some(first)) => {
                        let mut lines = BytesMut::with_capacity(event.raw.len());
                        lines.extend_from_slice(first);
                        lines.put_u8(b'\n');
                        lines.extend_from_slice(&value);
                        several = Some(lines);
                    }
                    (None, None) => event.data = Some(value),
                }
            } else if let Some(value) = field(line, b"event") {
                event.name = Some(event.raw.slice_ref(value));
            }
            // CRLF counts as two ends here; the empty line between them has no field and changes nothing.
            at += length + 1;
        }
        if let Some(lines) = several {
            event.data = Some(lines.freeze());
        }
        event
    }

    /// The exact bytes, blank line included.
    pub const fn raw(&self) -> &Bytes {
        &self.raw
    }

    /// The exact bytes, for sending on.
    pub fn into_raw(self) -> Bytes {
        self.raw
    }

    /// The value of `data`, lines joined by a line feed. `None` when there is no such field.
    pub const fn data(&self) -> Option<&Bytes> {
        self.data.as_ref()
    }

    /// The value of `event`. `None` when there is no such field.
    pub const fn name(&self) -> Option<&Bytes> {
        self.name.as_ref()
    }
}

/// The value of a line if it is this field: all behind the colon, less one leading space.
fn field<'a>(line: &'a [u8], name: &[u8]) -> Option<&'a [u8]> {
    let rest = line.strip_prefix(name)?;
    match rest {
        [] => Some(rest),
        [b':', b' ', value @ ..] | [b':', value @ ..] => Some(value),
        _ => None,
    }
}

/// Writes an event: an optional name, the data (one `data` line for each of its lines), a blank line.
pub fn encode(name: Option<&str>, data: &[u8]) -> Bytes {
    let mut out = BytesMut::with_capacity(data.len() + name.map_or(0, |name| name.len() + 8) + 8);
    if let Some(name) = name {
        out.extend_from_slice(b"event: ");
        out.extend_from_slice(name.as_bytes());
        out.put_u8(b'\n');
    }
    let mut rest = data;
    loop {
        out.extend_from_slice(b"data: ");
        let Some(end) = memchr2(b'\n', b'\r', rest) else {
            out.extend_from_slice(rest);
            break;
        };
        out.extend_from_slice(&rest[..end]);
        out.put_u8(b'\n');
        let crlf = rest[end..].starts_with(b"\r\n");
        rest = &rest[end + 1 + usize::from(crlf)..];
    }
    out.extend_from_slice(b"\n\n");
    out.freeze()
}

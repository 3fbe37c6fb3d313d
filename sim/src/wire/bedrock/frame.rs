//! Messages of `application/vnd.amazon.eventstream`: lengths, headers and payload, guarded by CRCs.

use bytes::{BufMut, Bytes, BytesMut};

/// The type of a header whose value is a text.
const TEXT: u8 = 7;

/// A message of an event.
pub(super) fn event(name: &str, payload: &[u8]) -> Bytes {
    message(":event-type", name, "event", payload)
}

/// A message of an error.
pub(super) fn exception(name: &str, payload: &[u8]) -> Bytes {
    message(":exception-type", name, "exception", payload)
}

fn message(key: &str, name: &str, kind: &str, payload: &[u8]) -> Bytes {
    let mut head = BytesMut::new();
    for (name, value) in [
        (key, name),
        (":content-type", "application/json"),
        (":message-type", kind),
    ] {
        // Names and values are those of this module and its callers, so their lengths fit.
        head.put_u8(u8::try_from(name.len()).unwrap_or(u8::MAX));
        head.put_slice(name.as_bytes());
        head.put_u8(TEXT);
        head.put_u16(u16::try_from(value.len()).unwrap_or(u16::MAX));
        head.put_slice(value.as_bytes());
    }
    // Prelude, its CRC, headers, payload, and the CRC of all.
    let total = 12 + head.len() + payload.len() + 4;
    let mut out = BytesMut::with_capacity(total);
    out.put_u32(u32::try_from(total).unwrap_or(u32::MAX));
    out.put_u32(u32::try_from(head.len()).unwrap_or(u32::MAX));
    out.put_u32(crc32fast::hash(&out));
    out.put_slice(&head);
    out.put_slice(payload);
    out.put_u32(crc32fast::hash(&out));
    out.freeze()
}

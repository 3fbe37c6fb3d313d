//! Splices edits into a body.

use std::borrow::Cow;
use std::ops::Range;

use bytes::{Bytes, BytesMut};

use super::{Edits, OptionsAt, Peek};

/// A replacement of a range (empty for an insertion) by bytes.
type Splice<'a> = (Range<usize>, Cow<'a, [u8]>);

pub(super) fn apply(peek: &Peek, edits: &Edits<'_>) -> Bytes {
    let mut splices = [model(peek, edits), usage(peek, edits)];
    // Two splices never overlap: one is the value of `model`, the other lies in or before `stream_options`.
    splices.sort_by_key(|splice| splice.as_ref().map_or(usize::MAX, |(range, _)| range.start));
    let added: usize = splices.iter().flatten().map(|(_, bytes)| bytes.len()).sum();
    if splices.iter().all(Option::is_none) {
        return peek.body.clone();
    }
    let mut out = BytesMut::with_capacity(peek.body.len() + added);
    let mut copied = 0;
    for (range, bytes) in splices.into_iter().flatten() {
        out.extend_from_slice(&peek.body[copied..range.start]);
        out.extend_from_slice(&bytes);
        copied = range.end;
    }
    out.extend_from_slice(&peek.body[copied..]);
    out.freeze()
}

fn model<'a>(peek: &Peek, edits: &Edits<'a>) -> Option<Splice<'a>> {
    let name = edits.model.filter(|name| **name != *peek.model)?;
    let plain = name.bytes().all(|byte| byte >= 0x20 && byte != b'"' && byte != b'\\');
    let value = if plain {
        format!("\"{name}\"")
    } else {
        serde_json::Value::from(name).to_string()
    };
    Some((peek.model_at.clone(), Cow::Owned(value.into_bytes())))
}

fn usage(peek: &Peek, edits: &Edits<'_>) -> Option<Splice<'static>> {
    if !edits.include_usage || peek.include_usage == Some(true) {
        return None;
    }
    let (range, bytes): (_, &'static [u8]) = match &peek.options_at {
        // The body has at least `model`, so a comma is always right.
        OptionsAt::Absent => (peek.inside..peek.inside, br#""stream_options":{"include_usage":true},"#),
        OptionsAt::Null(range) => (range.clone(), br#"{"include_usage":true}"#),
        OptionsAt::Object { inside, empty: true } => (*inside..*inside, br#""include_usage":true"#),
        OptionsAt::Object { inside, empty: false } => (*inside..*inside, br#""include_usage":true,"#),
        OptionsAt::Field(range) => (range.clone(), b"true"),
    };
    Some((range, Cow::Borrowed(bytes)))
}

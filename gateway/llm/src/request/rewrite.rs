//! Splices edits into a body.

use std::borrow::Cow;
use std::ops::Range;

use super::pieces::Pieces;
use super::{Edits, OptionsAt, Peek};

/// A replacement of a range (empty for an insertion) by bytes.
type Splice = (Range<usize>, Cow<'static, [u8]>);

pub(super) fn apply(peek: &Peek, edits: &Edits<'_>) -> Pieces {
    // Two splices never overlap: one is the value of `model`, the other lies in or before `stream_options`.
    match (model(peek, edits), usage(peek, edits)) {
        (None, None) => peek.body.clone(),
        (Some(splice), None) | (None, Some(splice)) => peek.body.replace(&[splice]),
        (Some(one), Some(other)) if one.0.start < other.0.start => peek.body.replace(&[one, other]),
        (Some(one), Some(other)) => peek.body.replace(&[other, one]),
    }
}

fn model(peek: &Peek, edits: &Edits<'_>) -> Option<Splice> {
    let name = edits.model.filter(|name| **name != *peek.model)?;
    let plain = name.bytes().all(|byte| byte >= 0x20 && byte != b'"' && byte != b'\\');
    let value = if plain {
        format!("\"{name}\"")
    } else {
        serde_json::Value::from(name).to_string()
    };
    Some((peek.model_at.clone(), Cow::Owned(value.into_bytes())))
}

fn usage(peek: &Peek, edits: &Edits<'_>) -> Option<Splice> {
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

//! JSON as dialects need it: objects of which some fields are taken and the others kept as they were written.
//!
//! Each level of a body is read by itself, with the values below it left raw. So nothing recurses into foreign JSON,
//! and the cost is the size of the body times the depth that a dialect knows, which is a small constant.

mod fields;
mod view;

use serde::Serialize;

pub(crate) use fields::{Fields, invalid, list, text};
pub(crate) use view::View;

use crate::conversation::Json;

/// Writes a value.
pub(crate) fn encode(value: &impl Serialize) -> Vec<u8> {
    // What dialects write are strings, numbers and raw JSON in structs, which always serialise.
    serde_json::to_vec(value).unwrap_or_default()
}

/// JSON that is known to be well formed, as raw JSON; `None` if it is not.
pub(crate) fn raw(text: &str) -> Option<Json> {
    serde_json::from_str::<&serde_json::value::RawValue>(text)
        .ok()
        .map(ToOwned::to_owned)
}

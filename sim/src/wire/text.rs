//! JSON strings.

use std::borrow::Cow;

/// A text within the quotes of a JSON string.
pub(super) fn escaped(text: &str) -> Cow<'_, str> {
    if text.bytes().all(|byte| byte >= 0x20 && !matches!(byte, b'"' | b'\\')) {
        return Cow::Borrowed(text);
    }
    let quoted = quoted(text);
    // Quotes are one byte each.
    Cow::Owned(quoted.get(1..quoted.len() - 1).unwrap_or_default().to_owned())
}

/// A text as a JSON string, quotes included.
pub(super) fn quoted(text: &str) -> String {
    serde_json::Value::from(text).to_string()
}

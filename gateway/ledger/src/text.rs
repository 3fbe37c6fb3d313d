//! Text of a row, bounded and without what a database refuses.

use std::fmt;
use std::sync::Arc;

use serde::de::{self, Visitor};
use serde::{Deserialize, Deserializer, Serialize, Serializer};

/// Bytes that a text of a row may have. The longest name that Kubernetes allows is 253 bytes, a namespace before it 63.
pub const MAX_TEXT_BYTES: usize = 320;

/// A text of at most [`MAX_TEXT_BYTES`] bytes without control characters.
///
/// Some texts of a row come from clients, and a NUL, which PostgreSQL refuses in text, must not keep a row out of the
/// ledger: control characters become U+FFFD, and what is too long is cut at the end of a character. Clones share the
/// text.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Text(Arc<str>);

impl Text {
    /// The text, cleaned and cut where it has to be.
    pub fn new(text: &str) -> Self {
        let clean = text.len() <= MAX_TEXT_BYTES && !text.contains(char::is_control);
        Self(if clean { text.into() } else { cleaned(text).into() })
    }

    /// The text, or `None` where there is none.
    pub fn some(text: &str) -> Option<Self> {
        (!text.is_empty()).then(|| Self::new(text))
    }

    /// The text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

fn cleaned(text: &str) -> String {
    let mut clean = String::with_capacity(MAX_TEXT_BYTES);
    for character in text.chars() {
        let character = if character.is_control() {
            char::REPLACEMENT_CHARACTER
        } else {
            character
        };
        if clean.len() + character.len_utf8() > MAX_TEXT_BYTES {
            break;
        }
        clean.push(character);
    }
    clean
}

impl From<&str> for Text {
    fn from(text: &str) -> Self {
        Self::new(text)
    }
}

impl fmt::Debug for Text {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(&*self.0, f)
    }
}

impl fmt::Display for Text {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl Serialize for Text {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(&self.0)
    }
}

impl<'de> Deserialize<'de> for Text {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_str(AnyText)
    }
}

struct AnyText;

impl Visitor<'_> for AnyText {
    type Value = Text;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a text")
    }

    fn visit_str<E: de::Error>(self, text: &str) -> Result<Text, E> {
        Ok(Text::new(text))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn control_characters_are_replaced_and_long_texts_cut_at_a_character() {
        assert_eq!(Text::new("a\0b\nc\u{85}").as_str(), "a\u{fffd}b\u{fffd}c\u{fffd}");
        let long = Text::new(&"ä".repeat(MAX_TEXT_BYTES));
        assert_eq!(long.as_str(), "ä".repeat(MAX_TEXT_BYTES / 2));
        assert_eq!(
            Text::new(&format!("x{}", "ä".repeat(200))).as_str().len(),
            MAX_TEXT_BYTES - 1
        );
    }

    #[test]
    fn an_empty_text_is_none() {
        assert_eq!(Text::some(""), None);
        assert_eq!(Text::some("a"), Some(Text::new("a")));
    }
}

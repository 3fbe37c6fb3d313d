//! The fields of a request that a gateway always looks at.

use std::borrow::Cow;
use std::fmt;
use std::ops::Range;

use serde::Deserialize;
use serde::de::{Deserializer, IgnoredAny, MapAccess, Visitor};
use serde_json::value::RawValue;

use super::find::{Lost, find};
use super::pieces::Pieces;
use super::scan::Fields;
use super::{RequestError, wrong};

/// Top-level fields that a gateway looks at, in the order of [`NAMES`].
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Field {
    Model,
    Messages,
    Input,
    Stream,
    StreamOptions,
    MaxTokens,
    MaxCompletionTokens,
    MaxOutputTokens,
    N,
}

const NAMES: [&str; 9] = [
    "model",
    "messages",
    "input",
    "stream",
    "stream_options",
    "max_tokens",
    "max_completion_tokens",
    "max_output_tokens",
    "n",
];

/// Where the wanted fields of a request stand.
#[derive(Debug)]
pub(super) struct TopLevel {
    fields: Fields<[Option<Range<usize>>; NAMES.len()]>,
}

impl TopLevel {
    pub(super) fn find(body: &Pieces) -> Result<Self, RequestError> {
        let fields = find(body, &NAMES).map_err(|why| match why {
            Lost::Unreadable(why) => why,
            Lost::Twice(field) => RequestError::Duplicate { field: NAMES[field] },
        })?;
        Ok(Self { fields })
    }

    /// Just behind the opening brace of the body.
    pub(super) const fn inside(&self) -> usize {
        self.fields.inside
    }

    /// Where the value of a field stands.
    pub(super) fn at(&self, field: Field) -> Option<Range<usize>> {
        self.fields.values[field as usize].clone()
    }

    /// The value of a field as it was written. An error if it is not UTF-8, which JSON must be.
    pub(super) fn text<'a>(&self, field: Field, body: &'a Pieces) -> Result<Option<Cow<'a, str>>, RequestError> {
        let Some(range) = self.at(field) else {
            return Ok(None);
        };
        let not_text = |_| wrong(NAMES[field as usize], "text in UTF-8");
        match body.get(range) {
            Cow::Borrowed(bytes) => std::str::from_utf8(bytes)
                .map(|text| Some(text.into()))
                .map_err(not_text),
            Cow::Owned(bytes) => String::from_utf8(bytes)
                .map(|text| Some(text.into()))
                .map_err(|error| not_text(error.utf8_error())),
        }
    }

    /// The first byte of a field's value, which tells its type.
    pub(super) fn first_byte(&self, field: Field, body: &Pieces) -> Option<u8> {
        let at = self.at(field)?.start;
        body.get(at..at + 1).first().copied()
    }
}

/// The value of `stream_options`.
pub(super) struct Options<'a> {
    pub(super) include_usage: Option<&'a RawValue>,
    /// The object has no entries at all.
    pub(super) empty: bool,
    duplicate: bool,
}

#[derive(Deserialize)]
#[serde(field_identifier, rename_all = "snake_case")]
enum OptionKey {
    IncludeUsage,
    #[serde(other)]
    Other,
}

impl<'a> Options<'a> {
    pub(super) fn parse(text: &'a str) -> Result<Self, RequestError> {
        let options: Self = serde_json::from_str(text).map_err(|_| wrong("stream_options", "an object"))?;
        if options.duplicate {
            return Err(RequestError::Duplicate {
                field: "stream_options.include_usage",
            });
        }
        Ok(options)
    }
}

impl<'de: 'a, 'a> Deserialize<'de> for Options<'a> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Object;
        impl<'de> Visitor<'de> for Object {
            type Value = Options<'de>;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a JSON object")
            }

            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Self::Value, A::Error> {
                let mut options = Options {
                    include_usage: None,
                    empty: true,
                    duplicate: false,
                };
                while let Some(key) = map.next_key::<OptionKey>()? {
                    options.empty = false;
                    match key {
                        OptionKey::IncludeUsage => {
                            let value = map.next_value::<&RawValue>()?;
                            options.duplicate |= options.include_usage.replace(value).is_some();
                        }
                        OptionKey::Other => {
                            map.next_value::<IgnoredAny>()?;
                        }
                    }
                }
                Ok(options)
            }
        }
        deserializer.deserialize_map(Object)
    }
}

/// Where a part stands in the text it was borrowed from.
pub(super) fn position(whole: &[u8], part: &str) -> Range<usize> {
    let start = part.as_ptr().addr().saturating_sub(whole.as_ptr().addr());
    start..start + part.len()
}

/// A JSON string, unescaped; `None` for another type.
pub(super) fn string(text: &str) -> Option<Cow<'_, str>> {
    #[derive(Deserialize)]
    struct Text<'a>(#[serde(borrow)] Cow<'a, str>);
    serde_json::from_str::<Text<'_>>(text).ok().map(|text| text.0)
}

/// A boolean that may be absent or null.
pub(super) fn boolean(text: Option<&str>, field: &'static str) -> Result<Option<bool>, RequestError> {
    match text {
        None | Some("null") => Ok(None),
        Some("true") => Ok(Some(true)),
        Some("false") => Ok(Some(false)),
        Some(_) => Err(wrong(field, "a boolean")),
    }
}

/// A count that may be absent or null.
pub(super) fn count(text: Option<&str>, field: &'static str) -> Result<Option<u64>, RequestError> {
    match text {
        None | Some("null") => Ok(None),
        Some(text) => text
            .parse()
            .map(Some)
            .map_err(|_| wrong(field, "an integer that is not negative")),
    }
}

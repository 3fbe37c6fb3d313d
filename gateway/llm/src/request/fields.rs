//! Reads the wanted fields of an object as raw JSON in one pass, and skips the others without recursion.

use std::borrow::Cow;
use std::fmt;
use std::ops::Range;

use serde::Deserialize;
use serde::de::{Deserializer, IgnoredAny, MapAccess, Visitor};
use serde_json::value::RawValue;

use super::{RequestError, wrong};

/// Top-level fields of a request, raw, and the first one given twice.
#[derive(Default)]
pub(super) struct TopLevel<'a> {
    pub(super) model: Option<&'a RawValue>,
    pub(super) messages: Option<&'a RawValue>,
    pub(super) input: Option<&'a RawValue>,
    pub(super) stream: Option<&'a RawValue>,
    pub(super) stream_options: Option<&'a RawValue>,
    pub(super) max_tokens: Option<&'a RawValue>,
    pub(super) max_completion_tokens: Option<&'a RawValue>,
    pub(super) max_output_tokens: Option<&'a RawValue>,
    pub(super) n: Option<&'a RawValue>,
    duplicate: Option<&'static str>,
}

/// Keys are matched after JSON unescaping, so `"mod\u0065l"` is `model` here as it is for the provider.
#[derive(Clone, Copy, Deserialize)]
#[serde(field_identifier, rename_all = "snake_case")]
enum TopKey {
    Model,
    Messages,
    Input,
    Stream,
    StreamOptions,
    MaxTokens,
    MaxCompletionTokens,
    MaxOutputTokens,
    N,
    #[serde(other)]
    Other,
}

impl<'a> TopLevel<'a> {
    pub(super) fn parse(body: &'a [u8]) -> Result<Self, RequestError> {
        let top: Self = serde_json::from_slice(body).map_err(|error| {
            // The visitor below raises no errors of its own, so a data error can only be "not a map".
            if error.is_data() {
                RequestError::NotAnObject
            } else {
                RequestError::NotJson {
                    line: error.line(),
                    column: error.column(),
                }
            }
        })?;
        match top.duplicate {
            Some(field) => Err(RequestError::Duplicate { field }),
            None => Ok(top),
        }
    }

    fn slot(&mut self, key: TopKey) -> Option<(&mut Option<&'a RawValue>, &'static str)> {
        Some(match key {
            TopKey::Model => (&mut self.model, "model"),
            TopKey::Messages => (&mut self.messages, "messages"),
            TopKey::Input => (&mut self.input, "input"),
            TopKey::Stream => (&mut self.stream, "stream"),
            TopKey::StreamOptions => (&mut self.stream_options, "stream_options"),
            TopKey::MaxTokens => (&mut self.max_tokens, "max_tokens"),
            TopKey::MaxCompletionTokens => (&mut self.max_completion_tokens, "max_completion_tokens"),
            TopKey::MaxOutputTokens => (&mut self.max_output_tokens, "max_output_tokens"),
            TopKey::N => (&mut self.n, "n"),
            TopKey::Other => return None,
        })
    }
}

impl<'de: 'a, 'a> Deserialize<'de> for TopLevel<'a> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Top;
        impl<'de> Visitor<'de> for Top {
            type Value = TopLevel<'de>;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a JSON object")
            }

            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Self::Value, A::Error> {
                let mut top = TopLevel::default();
                while let Some(key) = map.next_key::<TopKey>()? {
                    let Some((slot, name)) = top.slot(key) else {
                        map.next_value::<IgnoredAny>()?;
                        continue;
                    };
                    let twice = slot.replace(map.next_value::<&RawValue>()?).is_some();
                    if twice && top.duplicate.is_none() {
                        top.duplicate = Some(name);
                    }
                }
                Ok(top)
            }
        }
        deserializer.deserialize_map(Top)
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
    pub(super) fn parse(raw: &'a RawValue) -> Result<Self, RequestError> {
        let options: Self = serde_json::from_str(raw.get()).map_err(|_| wrong("stream_options", "an object"))?;
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

/// Where a raw value stands in the body it was borrowed from.
pub(super) fn position(body: &[u8], raw: &RawValue) -> Range<usize> {
    let start = raw.get().as_ptr().addr().saturating_sub(body.as_ptr().addr());
    start..start + raw.get().len()
}

/// A JSON string, unescaped; `None` for another type.
pub(super) fn string(raw: &RawValue) -> Option<Cow<'_, str>> {
    #[derive(Deserialize)]
    struct Text<'a>(#[serde(borrow)] Cow<'a, str>);
    serde_json::from_str::<Text<'_>>(raw.get()).ok().map(|text| text.0)
}

/// A boolean that may be absent or null.
pub(super) fn boolean(raw: Option<&RawValue>, field: &'static str) -> Result<Option<bool>, RequestError> {
    match raw.map(RawValue::get) {
        None | Some("null") => Ok(None),
        Some("true") => Ok(Some(true)),
        Some("false") => Ok(Some(false)),
        Some(_) => Err(wrong(field, "a boolean")),
    }
}

/// A count that may be absent or null.
pub(super) fn count(raw: Option<&RawValue>, field: &'static str) -> Result<Option<u64>, RequestError> {
    match raw.map(RawValue::get) {
        None | Some("null") => Ok(None),
        Some(text) => text
            .parse()
            .map(Some)
            .map_err(|_| wrong(field, "an integer that is not negative")),
    }
}

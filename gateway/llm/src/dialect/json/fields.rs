//! Objects of requests: strict, and aware of where they stand, so that an error and an extra can name it.

use std::borrow::Cow;
use std::fmt;

use serde::Deserialize;
use serde::de::{Deserializer, MapAccess, Visitor};
use serde_json::value::RawValue;

use crate::RequestError;
use crate::conversation::Extra;

/// Most extras of a request. Each is one that some provider could refuse by name, and those are named up to a far smaller
/// number; without a bound, a body of small fields would take many times its size.
const MOST_EXTRAS: usize = 4096;

/// The fields of an object. What was taken is gone; what is left at the end is what the dialect does not know.
#[derive(Debug)]
pub(crate) struct Fields<'a> {
    at: String,
    /// `None` stands for a field that was taken; so nothing moves, however many there are.
    left: Vec<(Cow<'a, str>, Option<&'a RawValue>)>,
}

struct Entries<'a>(Vec<(Cow<'a, str>, &'a RawValue)>);

#[derive(Deserialize)]
struct Text<'a>(#[serde(borrow)] Cow<'a, str>);

impl<'de: 'a, 'a> Deserialize<'de> for Entries<'a> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Object;
        impl<'de> Visitor<'de> for Object {
            type Value = Entries<'de>;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a JSON object")
            }

            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Self::Value, A::Error> {
                let mut entries = Vec::new();
                while let Some((Text(key), value)) = map.next_entry::<Text<'de>, &'de RawValue>()? {
                    entries.push((key, value));
                }
                Ok(Entries(entries))
            }
        }
        deserializer.deserialize_map(Object)
    }
}

/// Reads the entries of an object, or tells how it is none.
pub(super) fn entries(json: &[u8]) -> Result<Vec<(Cow<'_, str>, &RawValue)>, serde_json::Error> {
    serde_json::from_slice::<Entries<'_>>(json).map(|entries| entries.0)
}

impl<'a> Fields<'a> {
    /// The body of a request.
    pub(crate) fn of_body(body: &'a [u8]) -> Result<Self, RequestError> {
        let all = entries(body).map_err(|error| RequestError::of_parser(&error))?;
        Ok(Self::new(String::new(), all))
    }

    /// An object inside of a request, which stands at `at`.
    pub(crate) fn of(raw: &'a RawValue, at: impl Into<String>) -> Result<Self, RequestError> {
        let at = at.into();
        match entries(raw.get().as_bytes()) {
            Ok(all) => Ok(Self::new(at, all)),
            Err(_) => Err(invalid(at, "an object")),
        }
    }

    fn new(at: String, all: Vec<(Cow<'a, str>, &'a RawValue)>) -> Self {
        let left = all.into_iter().map(|(key, value)| (key, Some(value))).collect();
        Self { at, left }
    }

    /// Where the object stands; empty for the body.
    pub(crate) fn at(&self) -> &str {
        &self.at
    }

    /// Where one of its fields stands.
    pub(crate) fn place(&self, key: &str) -> String {
        if self.at.is_empty() {
            key.to_owned()
        } else {
            format!("{}.{key}", self.at)
        }
    }

    /// The mistake in one of its fields.
    pub(crate) fn wrong(&self, key: &str, expected: &'static str) -> RequestError {
        invalid(self.place(key), expected)
    }

    /// Takes a field. Null counts as absent. One that is given twice is refused, as client, gateway and provider could
    /// read it differently.
    pub(crate) fn take(&mut self, key: &str) -> Result<Option<&'a RawValue>, RequestError> {
        let mut found = self.left.iter_mut().filter(|(name, _)| name == key);
        let value = found.next().and_then(|(_, value)| value.take());
        if found.next().is_some() {
            return Err(self.wrong(key, "it once, not twice"));
        }
        Ok(value.filter(|value| value.get() != "null"))
    }

    /// Takes a field that must be there.
    pub(crate) fn require(&mut self, key: &str) -> Result<&'a RawValue, RequestError> {
        self.take(key)?
            .ok_or_else(|| self.wrong(key, "a value, as it is required"))
    }

    /// Takes a string.
    pub(crate) fn string(&mut self, key: &str) -> Result<Option<String>, RequestError> {
        match self.take(key)? {
            None => Ok(None),
            Some(raw) => text(raw).map(Some).ok_or_else(|| self.wrong(key, "a string")),
        }
    }

    /// Takes a string that must be there.
    pub(crate) fn required_string(&mut self, key: &str) -> Result<String, RequestError> {
        self.string(key)?
            .ok_or_else(|| self.wrong(key, "a value, as it is required"))
    }

    /// Takes a boolean.
    pub(crate) fn boolean(&mut self, key: &str) -> Result<Option<bool>, RequestError> {
        match self.take(key)?.map(RawValue::get) {
            None => Ok(None),
            Some("true") => Ok(Some(true)),
            Some("false") => Ok(Some(false)),
            Some(_) => Err(self.wrong(key, "a boolean")),
        }
    }

    /// Takes a count.
    pub(crate) fn count(&mut self, key: &str) -> Result<Option<u64>, RequestError> {
        match self.take(key)? {
            None => Ok(None),
            Some(raw) => (raw.get().parse().map(Some)).map_err(|_| self.wrong(key, "an integer that is not negative")),
        }
    }

    /// Takes an integer.
    pub(crate) fn integer(&mut self, key: &str) -> Result<Option<i64>, RequestError> {
        match self.take(key)? {
            None => Ok(None),
            Some(raw) => (raw.get().parse().map(Some)).map_err(|_| self.wrong(key, "an integer")),
        }
    }

    /// Takes a number.
    pub(crate) fn number(&mut self, key: &str) -> Result<Option<f64>, RequestError> {
        match self.take(key)? {
            None => Ok(None),
            // The parser of `serde_json` is off by one in the last place of some, which a client could see.
            Some(raw) => (raw.get().parse().ok())
                .filter(|number: &f64| number.is_finite())
                .map(Some)
                .ok_or_else(|| self.wrong(key, "a number")),
        }
    }

    /// Takes an object.
    pub(crate) fn object(&mut self, key: &str) -> Result<Option<Self>, RequestError> {
        match self.take(key)? {
            None => Ok(None),
            Some(raw) => Self::of(raw, self.place(key)).map(Some),
        }
    }

    /// Takes a list.
    pub(crate) fn list(&mut self, key: &str) -> Result<Option<Vec<&'a RawValue>>, RequestError> {
        match self.take(key)? {
            None => Ok(None),
            Some(raw) => list(raw).map(Some).ok_or_else(|| self.wrong(key, "an array")),
        }
    }

    /// Takes a field if it can be made use of, and leaves it otherwise.
    pub(crate) fn take_if<T>(
        &mut self,
        key: &str,
        read: impl FnOnce(&'a RawValue) -> Option<T>,
    ) -> Result<Option<T>, RequestError> {
        let found = self.left.iter().find(|(name, _)| name == key);
        let value = found.and_then(|(_, value)| *value).and_then(read);
        if value.is_some() {
            self.take(key)?;
        }
        Ok(value)
    }

    /// Drops fields that say nothing, by their name and their JSON.
    pub(crate) fn discard(&mut self, says_nothing: impl Fn(&str, &str) -> bool) {
        self.left
            .retain(|(key, value)| value.is_some_and(|value| !says_nothing(key, value.get())));
    }

    /// Hands out what was not taken, apart from nulls, until there are 4,096 extras.
    pub(crate) fn rest(self, extras: &mut Vec<Extra>) {
        let at = self.at;
        let room = MOST_EXTRAS.saturating_sub(extras.len());
        extras.extend(
            (self.left.into_iter())
                .filter_map(|(key, value)| Some((key, value?)))
                .filter(|(_, value)| value.get() != "null")
                .take(room)
                .map(|(key, value)| Extra {
                    field: if at.is_empty() {
                        key.into()
                    } else {
                        format!("{at}.{key}").into()
                    },
                    value: value.to_owned(),
                }),
        );
    }
}

/// A mistake in a request.
pub(crate) fn invalid(at: impl Into<Box<str>>, expected: &'static str) -> RequestError {
    RequestError::Malformed {
        at: at.into(),
        expected,
    }
}

/// A string; `None` for another type.
pub(crate) fn text(raw: &RawValue) -> Option<String> {
    if !raw.get().starts_with('"') {
        return None;
    }
    serde_json::from_str::<Text<'_>>(raw.get())
        .ok()
        .map(|text| text.0.into_owned())
}

/// A list; `None` for another type.
pub(crate) fn list(raw: &RawValue) -> Option<Vec<&RawValue>> {
    serde_json::from_str(raw.get()).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn body(json: &str) -> Fields<'_> {
        Fields::of_body(json.as_bytes()).unwrap()
    }

    #[test]
    fn what_is_not_taken_is_handed_out_with_its_place_and_its_bytes() {
        let mut top = body(r#"{"a":1,"b":{"c":1.50,"d":null,"\u0065":[ 1 ]},"f":null}"#);
        assert_eq!(top.count("a").unwrap(), Some(1));
        let inner = top.object("b").unwrap().unwrap();
        let mut extras = Vec::new();
        inner.rest(&mut extras);
        top.rest(&mut extras);
        let shown: Vec<_> = extras.iter().map(|extra| (&*extra.field, extra.value.get())).collect();
        assert_eq!(shown, [("b.c", "1.50"), ("b.e", "[ 1 ]")]);
    }

    #[test]
    fn mistakes_name_their_place() {
        let mut top = body(r#"{"a":"x","b":{"c":"x"},"d":1,"d":2}"#);
        let mut inner = top.object("b").unwrap().unwrap();
        for (error, expected) in [
            (
                top.count("a").unwrap_err(),
                "invalid value for 'a': expected an integer that is not negative",
            ),
            (
                inner.boolean("c").unwrap_err(),
                "invalid value for 'b.c': expected a boolean",
            ),
            (
                inner.require("x").unwrap_err(),
                "invalid value for 'b.x': expected a value, as it is required",
            ),
            (
                top.take("d").unwrap_err(),
                "invalid value for 'd': expected it once, not twice",
            ),
        ] {
            assert_eq!(error.to_string(), expected);
        }
        assert_eq!(Fields::of_body(b"[]").unwrap_err(), RequestError::NotAnObject);
        assert!(matches!(
            Fields::of_body(b"{").unwrap_err(),
            RequestError::NotJson { .. }
        ));
    }

    #[test]
    fn nesting_costs_no_stack() {
        let deep = format!(r#"{{"a":{}{}}}"#, "[".repeat(200_000), "]".repeat(200_000));
        let mut extras = Vec::new();
        body(&deep).rest(&mut extras);
        assert_eq!(extras.len(), 1);
    }
}

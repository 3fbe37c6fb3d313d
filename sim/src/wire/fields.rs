//! Strict reading of JSON objects: each field is taken by name, and what nobody took can be refused.

use std::borrow::Cow;

use serde::de::{Deserialize, Deserializer, MapAccess, Visitor};
use serde_json::value::RawValue;

/// What is wrong with a request, and where.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Mistake {
    /// Such as `messages[2].content`, in the way of the wire; empty for the whole body.
    pub(super) at: String,
    pub(super) why: String,
}

impl Mistake {
    pub(super) fn new(at: impl Into<String>, why: impl Into<String>) -> Self {
        Self {
            at: at.into(),
            why: why.into(),
        }
    }
}

/// How a wire writes the place of a value.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Places {
    /// `messages[2].content`
    Brackets,
    /// `messages.2.content`
    Dots,
}

/// A JSON object whose fields are taken one by one. A field that is null counts as absent.
pub(super) struct Fields<'a> {
    pub(super) at: String,
    places: Places,
    entries: Vec<(Cow<'a, str>, &'a RawValue)>,
}

/// A value and where it stands.
pub(super) struct Item<'a> {
    pub(super) at: String,
    places: Places,
    pub(super) raw: &'a RawValue,
}

impl<'a> Fields<'a> {
    /// Reads a whole body.
    pub(super) fn body(body: &'a [u8], places: Places) -> Result<Self, Mistake> {
        let raw: &RawValue = serde_json::from_slice(body)
            .map_err(|error| Mistake::new("", format!("We could not parse the JSON body of your request: {error}")))?;
        Self::read(String::new(), raw, places)
    }

    fn read(at: String, raw: &'a RawValue, places: Places) -> Result<Self, Mistake> {
        match serde_json::from_str::<Entries<'a>>(raw.get()) {
            Ok(Entries(entries)) => Ok(Self { at, places, entries }),
            Err(_) => Err(Mistake::new(at, "expected an object")),
        }
    }

    /// The place of a field.
    pub(super) fn place(&self, name: &str) -> String {
        if self.at.is_empty() {
            name.to_owned()
        } else {
            format!("{}.{name}", self.at)
        }
    }

    /// Takes a field as it was written.
    pub(super) fn raw(&mut self, name: &str) -> Option<&'a RawValue> {
        let at = self.entries.iter().rposition(|(key, _)| key == name)?;
        let (_, raw) = self.entries.swap_remove(at);
        (raw.get() != "null").then_some(raw)
    }

    /// The value of a field, which stays.
    pub(super) fn peek(&self, name: &str) -> Option<serde_json::Value> {
        let (_, raw) = self.entries.iter().rfind(|(key, _)| key == name)?;
        serde_json::from_str(raw.get())
            .ok()
            .filter(|value: &serde_json::Value| !value.is_null())
    }

    /// Takes a field with its place.
    pub(super) fn item(&mut self, name: &str) -> Option<Item<'a>> {
        let raw = self.raw(name)?;
        Some(Item {
            at: self.place(name),
            places: self.places,
            raw,
        })
    }

    /// Takes a field that may be absent.
    pub(super) fn optional<T: Deserialize<'a>>(&mut self, name: &str) -> Result<Option<T>, Mistake> {
        self.item(name).map(|item| item.parse()).transpose()
    }

    /// Takes a field that must be there.
    pub(super) fn required<T: Deserialize<'a>>(&mut self, name: &str) -> Result<T, Mistake> {
        self.optional(name)?.ok_or_else(|| self.missing(name))
    }

    /// Takes an object.
    pub(super) fn object(&mut self, name: &str) -> Result<Option<Self>, Mistake> {
        self.item(name).map(|item| item.fields()).transpose()
    }

    /// Takes a list; absent is empty.
    pub(super) fn list(&mut self, name: &str) -> Result<Vec<Item<'a>>, Mistake> {
        self.item(name).map_or_else(|| Ok(Vec::new()), |item| item.list())
    }

    /// Takes all fields.
    pub(super) fn items(&mut self) -> Vec<Item<'a>> {
        let entries = std::mem::take(&mut self.entries);
        let items = entries.into_iter().map(|(name, raw)| Item {
            at: self.place(&name),
            places: self.places,
            raw,
        });
        items.collect()
    }

    pub(super) fn missing(&self, name: &str) -> Mistake {
        Mistake::new(self.place(name), "Field required")
    }

    /// Takes fields that mean nothing here.
    pub(super) fn ignore(&mut self, names: &[&str]) {
        self.entries.retain(|(key, _)| !names.contains(&&**key));
    }

    /// Refuses what nobody took.
    pub(super) fn finish(self) -> Result<(), Mistake> {
        match self.entries.first() {
            Some((name, _)) => Err(Mistake::new(self.place(name), "Extra inputs are not permitted")),
            None => Ok(()),
        }
    }
}

impl<'a> Item<'a> {
    pub(super) fn fields(&self) -> Result<Fields<'a>, Mistake> {
        Fields::read(self.at.clone(), self.raw, self.places)
    }

    pub(super) fn list(&self) -> Result<Vec<Self>, Mistake> {
        let values: Vec<&'a RawValue> =
            serde_json::from_str(self.raw.get()).map_err(|_| self.mistake("expected a list"))?;
        let items = values.into_iter().enumerate().map(|(number, raw)| Self {
            at: match self.places {
                Places::Brackets => format!("{}[{number}]", self.at),
                Places::Dots => format!("{}.{number}", self.at),
            },
            places: self.places,
            raw,
        });
        Ok(items.collect())
    }

    pub(super) fn parse<T: Deserialize<'a>>(&self) -> Result<T, Mistake> {
        serde_json::from_str(self.raw.get()).map_err(|error| self.mistake(without_place(&error)))
    }

    /// The text, if it is one.
    pub(super) fn text(&self) -> Option<Cow<'a, str>> {
        if !self.raw.get().starts_with('"') {
            return None;
        }
        serde_json::from_str::<Text<'a>>(self.raw.get()).ok().map(|text| text.0)
    }

    pub(super) fn mistake(&self, why: impl Into<String>) -> Mistake {
        Mistake::new(self.at.clone(), why)
    }
}

/// The reason without line and column, which would be those within the one value.
fn without_place(error: &serde_json::Error) -> String {
    let text = error.to_string();
    text.split_once(" at line ")
        .map_or(text.clone(), |(why, _)| why.to_owned())
}

#[derive(serde::Deserialize)]
struct Text<'a>(#[serde(borrow)] Cow<'a, str>);

struct Entries<'a>(Vec<(Cow<'a, str>, &'a RawValue)>);

impl<'de> Deserialize<'de> for Entries<'de> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Collect;
        impl<'de> Visitor<'de> for Collect {
            type Value = Entries<'de>;

            fn expecting(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                f.write_str("an object")
            }

            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Self::Value, A::Error> {
                let mut entries = Vec::new();
                while let Some((Text(key), value)) = map.next_entry::<Text<'de>, &'de RawValue>()? {
                    entries.push((key, value));
                }
                Ok(Entries(entries))
            }
        }
        deserializer.deserialize_map(Collect)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn fields_are_taken_once_and_the_rest_is_refused() {
        let body = br#"{"a": 1, "b": {"c": [true, "x"]}, "n": null, "\u0064": 2}"#;
        let mut fields = Fields::body(body, Places::Brackets).unwrap();
        assert_eq!(fields.required::<u64>("a").unwrap(), 1);
        assert_eq!(fields.required::<u64>("a").unwrap_err().at, "a");
        assert_eq!(fields.optional::<u64>("n").unwrap(), None);
        let mut inner = fields.object("b").unwrap().unwrap();
        let list = inner.list("c").unwrap();
        assert_eq!((list[1].at.as_str(), list[1].text().unwrap()), ("b.c[1]", "x".into()));
        assert_eq!(list[0].parse::<u64>().unwrap_err().at, "b.c[0]");
        inner.finish().unwrap();
        assert_eq!(fields.finish().unwrap_err().at, "d");
        for wrong in [&b"[]"[..], b"{", b"{\"a\":1}x", b"\xff"] {
            assert!(Fields::body(wrong, Places::Dots).is_err());
        }
    }
}

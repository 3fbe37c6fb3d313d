//! Objects of answers: lenient. A provider's odd field must not hide the others.

use std::borrow::Cow;

use serde_json::value::RawValue;

use super::fields::{entries, list, text};

/// An object of which fields are looked up. A field of another type than the asked one counts as absent, and of one
/// that is given twice the last counts.
#[derive(Debug)]
pub(crate) struct View<'a>(Vec<(Cow<'a, str>, &'a RawValue)>);

impl<'a> View<'a> {
    /// An object; `None` for anything else.
    pub(crate) fn parse(json: &'a [u8]) -> Option<Self> {
        entries(json).ok().map(Self)
    }

    /// The same of a value.
    pub(crate) fn of(raw: &'a RawValue) -> Option<Self> {
        Self::parse(raw.get().as_bytes())
    }

    /// A field; null counts as absent.
    pub(crate) fn raw(&self, key: &str) -> Option<&'a RawValue> {
        (self.0.iter().rev().find(|(name, _)| name == key))
            .map(|(_, value)| *value)
            .filter(|value| value.get() != "null")
    }

    /// Whether a field is named at all, if only as null.
    pub(crate) fn names(&self, key: &str) -> bool {
        self.0.iter().any(|(name, _)| name == key)
    }

    /// A string.
    pub(crate) fn text(&self, key: &str) -> Option<String> {
        self.raw(key).and_then(text)
    }

    /// A string that is not empty.
    pub(crate) fn filled(&self, key: &str) -> Option<String> {
        self.text(key).filter(|text| !text.is_empty())
    }

    /// A count.
    pub(crate) fn count(&self, key: &str) -> Option<u64> {
        self.raw(key)?.get().parse().ok()
    }

    /// An object.
    pub(crate) fn view(&self, key: &str) -> Option<Self> {
        self.raw(key).and_then(Self::of)
    }

    /// A list; empty for anything else.
    pub(crate) fn list(&self, key: &str) -> Vec<&'a RawValue> {
        self.raw(key).and_then(list).unwrap_or_default()
    }

    /// The objects of a list.
    pub(crate) fn views(&self, key: &str) -> impl Iterator<Item = Self> + use<'a> {
        self.list(key).into_iter().filter_map(Self::of)
    }
}

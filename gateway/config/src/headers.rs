//! What a route changes about headers: the part of a [`Snapshot`](crate::Snapshot) that says it.

use serde::{Deserialize, Serialize};

/// Changes of headers. All names are in lower case, and none stands twice.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct HeaderChanges {
    /// Headers that get this value in the place of all that they have.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub set: Vec<HeaderLine>,
    /// Headers that get this value beside those that they have.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub add: Vec<HeaderLine>,
    /// Headers that are taken out.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub remove: Vec<String>,
}

/// A header with its value.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct HeaderLine {
    /// Its name.
    pub name: String,
    /// Its value.
    pub value: String,
}

impl HeaderChanges {
    /// Whether nothing changes.
    pub fn is_none(&self) -> bool {
        *self == Self::default()
    }
}

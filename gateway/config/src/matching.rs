//! Which requests for its model a route takes: the part of a [`Snapshot`](crate::Snapshot) that says it.

use serde::{Deserialize, Serialize};

/// Requests for which all of these conditions hold. Never without any.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct RouteMatch {
    /// Its turn among all entries for the same model, whichever routes they are of: the first that fits is the one.
    pub rank: u32,
    /// Conditions on headers.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub headers: Vec<HeaderCondition>,
    /// Conditions on fields of the body.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub body: Vec<FieldCondition>,
}

/// One of a header's values passes a test.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct HeaderCondition {
    /// Its name in lower case.
    pub name: String,
    /// The test.
    pub test: ValueTest,
}

/// A field of the body passes a test.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct FieldCondition {
    /// Names of fields joined by dots.
    pub path: String,
    /// The test.
    pub test: ValueTest,
}

/// What a value must be.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum ValueTest {
    /// Anything that is there.
    Present,
    /// Exactly this.
    Exact(String),
    /// All of it fits this regular expression.
    Pattern(String),
}

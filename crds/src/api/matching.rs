//! Which requests for its model a route takes.

use kube::KubeSchema;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::rules;

/// Requests that a route takes: those for which everything in here holds.
#[derive(KubeSchema, Serialize, Deserialize, Clone, Debug, Default, PartialEq, Eq)]
#[x_kube(validation = rules::rule(
    "has(self.headers) && self.headers.size() > 0 || has(self.body) && self.body.size() > 0",
    "an entry without conditions (%s) would take every request; leave match out for that",
    &["has(self.headers) || has(self.body) ? 'its lists are empty' : 'neither headers nor body is given'"],
))]
#[serde(rename_all = "camelCase")]
pub struct RouteMatch {
    /// What the headers of a request must be.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 16))]
    #[x_kube(merge_strategy = ListMerge::Atomic)]
    pub headers: Vec<HeaderMatch>,

    /// What fields of its JSON body must be.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 8))]
    #[x_kube(merge_strategy = ListMerge::Atomic)]
    pub body: Vec<BodyMatch>,
}

/// What a header of a request must be. One that stands there several times needs one value that fits.
#[derive(KubeSchema, Serialize, Deserialize, Clone, Debug, PartialEq, Eq)]
#[x_kube(validation = rules::value_of_match())]
#[serde(rename_all = "camelCase")]
pub struct HeaderMatch {
    /// Name of the header, in any case.
    #[schemars(length(min = 1, max = 128))]
    #[x_kube(
        validation = rules::header_name(),
        validation = rules::header_of_no_credential("choose one that says something about the request"),
        validation = rules::rule(
            "self.lowerAscii() != 'host'",
            "HTTP/2 has no header '%s'; choose one that clients send with any protocol",
            &["self"],
        )
    )]
    pub name: String,

    /// How `value` is compared.
    #[serde(default, rename = "type")]
    pub match_type: MatchType,

    /// What is compared; not for `Present`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 4096))]
    pub value: Option<String>,
}

/// What a field of a request's JSON body must be. `null` is the same as no field.
#[derive(KubeSchema, Serialize, Deserialize, Clone, Debug, PartialEq, Eq)]
#[x_kube(validation = rules::value_of_match())]
#[serde(rename_all = "camelCase")]
pub struct BodyMatch {
    /// The field as the client wrote it, with dots into objects: `user`, `reasoning_effort`, `metadata.team`. Lists are
    /// not looked into.
    #[schemars(length(min = 1, max = 128))]
    #[x_kube(validation = rules::rule(
        r"self.matches('^[A-Za-z0-9_-]+(\\.[A-Za-z0-9_-]+){0,3}$')",
        "'%s' is not the path of a field; write up to four names joined by dots, such as metadata.team",
        &["self"],
    ))]
    pub path: String,

    /// How `value` is compared: with a string's characters, a number as it is written, or `true` and `false`.
    #[serde(default, rename = "type")]
    pub match_type: MatchType,

    /// What is compared; not for `Present`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 4096))]
    pub value: Option<String>,
}

/// How values are compared. Those longer than 4,096 bytes are `Present` and nothing else.
#[derive(JsonSchema, Serialize, Deserialize, Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum MatchType {
    /// They are the same, in the same case.
    #[default]
    Exact,
    /// The whole value fits a regular expression of RE2's kind, without look-around and back-references.
    RegularExpression,
    /// Any value will do.
    Present,
}

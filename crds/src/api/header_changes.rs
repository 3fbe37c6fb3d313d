//! What a route changes about headers.

use kube::KubeSchema;
use serde::{Deserialize, Serialize};

use crate::rules;

/// Changes of headers, each named once and in any case.
#[derive(KubeSchema, Serialize, Deserialize, Clone, Debug, Default, PartialEq, Eq)]
#[x_kube(validation = rules::headers_changed_once())]
#[serde(rename_all = "camelCase")]
pub struct HeaderChanges {
    /// Headers that get this value in the place of all that they have.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 16))]
    #[x_kube(merge_strategy = ListMerge::Map(vec!["name".into()]))]
    pub set: Vec<HeaderLine>,

    /// Headers that get this value beside those that they have.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 16))]
    #[x_kube(merge_strategy = ListMerge::Map(vec!["name".into()]))]
    pub add: Vec<HeaderLine>,

    /// Headers that are taken out.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 16), inner(length(min = 1, max = 128)))]
    #[x_kube(
        merge_strategy = ListMerge::Set,
        validation = rules::rule(
            "self.all(h, h.matches('^[A-Za-z0-9_-]+$'))",
            "%s are not names of headers; use letters, digits, '-' and '_'",
            &["self.filter(h, !h.matches('^[A-Za-z0-9_-]+$'))"],
        )
    )]
    pub remove: Vec<String>,
}

/// A header with its value.
#[derive(KubeSchema, Serialize, Deserialize, Clone, Debug, PartialEq, Eq)]
#[serde(rename_all = "camelCase")]
pub struct HeaderLine {
    /// Name of the header, in any case.
    #[schemars(length(min = 1, max = 128))]
    #[x_kube(validation = rules::header_name())]
    pub name: String,

    /// Its value. Not for secrets: it stands in clear in the object.
    #[schemars(length(min = 1, max = 1024))]
    #[x_kube(validation = rules::header_value())]
    pub value: String,
}

//! The aggregated form: groups with all their resources in one document.

use serde_json::{Value, json};

use super::accept::Form;
use super::groups::{GROUPS, described_resources, list_kind};
use crate::metrics_api::metric::NAMES;
use crate::target::GroupVersion;

/// All groups.
pub fn all_groups(form: Form) -> Value {
    let items: Vec<Value> = GROUPS
        .into_iter()
        .map(|group| {
            let versions = GroupVersion::ALL.into_iter().filter(|version| version.group() == group);
            let versions: Vec<Value> = versions.map(version).collect();
            json!({"metadata": {"name": group, "creationTimestamp": null}, "versions": versions})
        })
        .collect();
    list(form, &items)
}

/// No groups: the legacy API is not served.
pub fn empty(form: Form) -> Value {
    list(form, &[])
}

fn list(form: Form, items: &[Value]) -> Value {
    json!({"kind": "APIGroupDiscoveryList", "apiVersion": form.api_version(), "metadata": {}, "items": items})
}

fn version(version: GroupVersion) -> Value {
    let resources: Vec<Value> = match version {
        GroupVersion::Custom(_) => described_resources()
            .iter()
            .map(|name| described(version, name))
            .collect(),
        GroupVersion::External => NAMES.map(|(metric, _)| resource(version, metric)).into(),
    };
    json!({"version": version.version(), "resources": resources, "freshness": "Current"})
}

/// A resource that custom metrics describe, with a subresource for each metric. The resource itself is not served here,
/// which an empty response kind says; without the field old clients crash.
fn described(version: GroupVersion, name: &str) -> Value {
    let subresources = NAMES
        .map(|(metric, _)| json!({"subresource": metric, "responseKind": response_kind(version), "verbs": ["get"]}));
    json!({
        "resource": name,
        "responseKind": {"group": "", "version": "", "kind": ""},
        "scope": "Namespaced",
        "singularResource": "",
        "verbs": [],
        "subresources": subresources,
    })
}

fn resource(version: GroupVersion, name: &str) -> Value {
    json!({
        "resource": name,
        "responseKind": response_kind(version),
        "scope": "Namespaced",
        "singularResource": "",
        "verbs": ["get"],
    })
}

fn response_kind(version: GroupVersion) -> Value {
    json!({"group": version.group(), "version": version.version(), "kind": list_kind(version)})
}

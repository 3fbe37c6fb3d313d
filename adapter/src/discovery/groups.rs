//! The plain forms: groups, versions, resources.

use k8s_openapi::apimachinery::pkg::apis::meta::v1::{
    APIGroup, APIGroupList, APIResource, APIResourceList, GroupVersionForDiscovery,
};
use serde_json::Value;

use crate::metrics_api::answer::{CUSTOM_GROUP, EXTERNAL_GROUP};
use crate::metrics_api::metric::NAMES;
use crate::metrics_api::objects::ObjectKind;
use crate::target::GroupVersion;

/// The groups that are served.
pub const GROUPS: [&str; 2] = [CUSTOM_GROUP, EXTERNAL_GROUP];

/// The kind of a version's answers.
pub fn list_kind(version: GroupVersion) -> &'static str {
    match version {
        GroupVersion::Custom(_) => "MetricValueList",
        GroupVersion::External => "ExternalMetricValueList",
    }
}

/// The resources that custom metrics describe.
pub fn described_resources() -> Vec<String> {
    std::iter::once("pods".to_owned())
        .chain(ObjectKind::ALL.map(ObjectKind::resource))
        .collect()
}

/// `/apis`.
pub fn group_list() -> Result<Value, serde_json::Error> {
    serde_json::to_value(APIGroupList {
        groups: GROUPS.map(api_group).into(),
    })
}

/// `/apis/GROUP`.
pub fn group(group: &str) -> Result<Value, serde_json::Error> {
    serde_json::to_value(api_group(group))
}

/// `/apis/GROUP/VERSION`.
pub fn resource_list(version: GroupVersion) -> Result<Value, serde_json::Error> {
    let names = match version {
        GroupVersion::Custom(_) => described_resources()
            .iter()
            .flat_map(|resource| NAMES.map(|(metric, _)| format!("{resource}/{metric}")))
            .collect(),
        GroupVersion::External => NAMES.map(|(metric, _)| metric.to_owned()).to_vec(),
    };
    let resource = |name| APIResource {
        name,
        namespaced: true,
        kind: list_kind(version).into(),
        verbs: vec!["get".into()],
        ..APIResource::default()
    };
    serde_json::to_value(APIResourceList {
        group_version: version.path(),
        resources: names.into_iter().map(resource).collect(),
    })
}

fn api_group(group: &str) -> APIGroup {
    let versions: Vec<GroupVersionForDiscovery> = GroupVersion::ALL
        .into_iter()
        .filter(|version| version.group() == group)
        .map(|version| GroupVersionForDiscovery {
            group_version: version.path(),
            version: version.version().to_owned(),
        })
        .collect();
    APIGroup {
        name: group.to_owned(),
        preferred_version: versions.first().cloned(),
        versions,
        ..APIGroup::default()
    }
}

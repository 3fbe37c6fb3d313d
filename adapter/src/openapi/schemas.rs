//! Schemas of the answers.

use serde_json::{Map, Value, json};

use crate::discovery::list_kind;
use crate::metrics_api::answer::CustomVersion;
use crate::target::GroupVersion;

/// Name of the schema of a version's answers.
pub fn list_schema_name(version: GroupVersion) -> String {
    format!("{}.{}", package(version), list_kind(version))
}

/// The schemas of a version. `references` is what references to schemas begin with.
pub fn schemas(version: GroupVersion, references: &str) -> Map<String, Value> {
    let item = format!("{}.{}", package(version), item_kind(version));
    let list = json!({
        "description": "A list of values of a metric.",
        "type": "object",
        "required": ["items"],
        "properties": {
            "apiVersion": text("Version of this object's schema."),
            "kind": text("What this object is."),
            "metadata": {"type": "object", "description": "Metadata of the list."},
            "items": {
                "description": "The values.",
                "type": "array",
                "items": {"$ref": format!("{references}{item}")},
            },
        },
        "x-kubernetes-group-version-kind": [
            {"group": version.group(), "version": version.version(), "kind": list_kind(version)},
        ],
    });
    let (required, properties) = item_properties(version);
    let item_schema = json!({
        "description": "A value of a metric.",
        "type": "object",
        "required": required,
        "properties": properties,
    });
    Map::from_iter([(list_schema_name(version), list), (item, item_schema)])
}

fn package(version: GroupVersion) -> String {
    let package = match version {
        GroupVersion::Custom(_) => "custom_metrics",
        GroupVersion::External => "external_metrics",
    };
    format!("io.k8s.metrics.pkg.apis.{package}.{}", version.version())
}

fn item_kind(version: GroupVersion) -> &'static str {
    match version {
        GroupVersion::Custom(_) => "MetricValue",
        GroupVersion::External => "ExternalMetricValue",
    }
}

fn item_properties(version: GroupVersion) -> (Vec<&'static str>, Value) {
    let time = json!({"description": "When the value was measured.", "type": "string", "format": "date-time"});
    let value = text("The value, as a Kubernetes quantity.");
    let window = json!({"description": "Seconds that the value covers.", "type": "integer", "format": "int64"});
    let selector = json!({"description": "The selector of the metric, as asked.", "type": "object"});
    let object = json!({
        "description": "What the value describes.",
        "type": "object",
        "properties": {
            "apiVersion": text("API version of the object."),
            "kind": text("Kind of the object."),
            "name": text("Name of the object."),
            "namespace": text("Namespace of the object."),
        },
    });
    match version {
        GroupVersion::Custom(CustomVersion::V1Beta1) => (
            vec!["describedObject", "metricName", "timestamp", "value", "selector"],
            json!({
                "describedObject": object,
                "metricName": text("Name of the metric."),
                "timestamp": time,
                "window": window,
                "value": value,
                "selector": selector,
            }),
        ),
        GroupVersion::Custom(CustomVersion::V1Beta2) => (
            vec!["describedObject", "metric", "timestamp", "value"],
            json!({
                "describedObject": object,
                "metric": {
                    "description": "The metric.",
                    "type": "object",
                    "required": ["name"],
                    "properties": {"name": text("Name of the metric."), "selector": selector},
                },
                "timestamp": time,
                "windowSeconds": window,
                "value": value,
            }),
        ),
        GroupVersion::External => (
            vec!["metricName", "metricLabels", "timestamp", "value"],
            json!({
                "metricName": text("Name of the metric."),
                "metricLabels": {
                    "description": "The labels that were asked for.",
                    "type": "object",
                    "additionalProperties": {"type": "string"},
                },
                "timestamp": time,
                "window": window,
                "value": value,
            }),
        ),
    }
}

fn text(description: &str) -> Value {
    json!({"description": description, "type": "string"})
}

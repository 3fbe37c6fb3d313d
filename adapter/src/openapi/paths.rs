//! Paths and their parameters.

use serde_json::{Map, Value, json};

use super::schemas::list_schema_name;
use crate::discovery::described_resources;
use crate::metrics_api::metric::NAMES;
use crate::target::GroupVersion;

/// Where OpenAPI 2 and 3 differ.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Dialect {
    /// OpenAPI 2.
    V2,
    /// OpenAPI 3.
    V3,
}

impl Dialect {
    /// What references to schemas begin with.
    pub fn reference_prefix(self) -> &'static str {
        match self {
            Self::V2 => "#/definitions/",
            Self::V3 => "#/components/schemas/",
        }
    }

    fn parameter(self, place: &str, name: &str, description: &str) -> Value {
        let mut parameter = json!({"in": place, "name": name, "description": description});
        match self {
            Self::V2 => {
                parameter["type"] = json!("string");
                parameter["uniqueItems"] = json!(true);
            }
            Self::V3 => parameter["schema"] = json!({"type": "string", "uniqueItems": true}),
        }
        if place == "path" {
            parameter["required"] = json!(true);
        }
        parameter
    }

    fn answer(self, reference: &Value) -> Value {
        match self {
            Self::V2 => json!({"description": "OK", "schema": reference}),
            Self::V3 => json!({"description": "OK", "content": {"application/json": {"schema": reference}}}),
        }
    }
}

/// The paths of a version.
pub fn paths(version: GroupVersion, dialect: Dialect) -> Map<String, Value> {
    let base = format!("/apis/{}", version.path());
    let mut paths = Map::new();
    let metrics = NAMES.map(|(metric, _)| metric);
    match version {
        GroupVersion::Custom(_) => {
            for resource in described_resources() {
                for metric in metrics {
                    let path = format!("{base}/namespaces/{{namespace}}/{resource}/{{name}}/{metric}");
                    paths.insert(path, operation(version, dialect, Some(&resource), metric));
                }
            }
        }
        GroupVersion::External => {
            for metric in metrics {
                let path = format!("{base}/namespaces/{{namespace}}/{metric}");
                paths.insert(path, operation(version, dialect, None, metric));
            }
        }
    }
    paths
}

fn operation(version: GroupVersion, dialect: Dialect, resource: Option<&str>, metric: &str) -> Value {
    let mut parameters = vec![dialect.parameter("path", "namespace", "namespace of what is measured")];
    if resource.is_some() {
        parameters.push(dialect.parameter(
            "path",
            "name",
            "name of the object, or * for all that labelSelector selects",
        ));
        parameters.push(dialect.parameter("query", "labelSelector", "selects objects by their labels"));
        parameters.push(dialect.parameter(
            "query",
            "metricLabelSelector",
            "chooses window, quantile, scope and age",
        ));
    } else {
        parameters.push(dialect.parameter("query", "labelSelector", "chooses window, quantile, scope and age"));
    }
    let reference = json!({"$ref": format!("{}{}", dialect.reference_prefix(), list_schema_name(version))});
    let mut get = json!({
        "description": format!("read the metric {metric}"),
        "operationId": operation_id(version, resource, metric),
        "parameters": parameters,
        "responses": {"200": dialect.answer(&reference)},
        "tags": [version.path().replace(['.', '/'], "_")],
    });
    if dialect == Dialect::V2 {
        get["produces"] = json!(["application/json"]);
        get["schemes"] = json!(["https"]);
    }
    json!({ "get": get })
}

fn operation_id(version: GroupVersion, resource: Option<&str>, metric: &str) -> String {
    let words = [
        version.group(),
        version.version(),
        resource.unwrap_or("external"),
        metric,
    ]
    .join("_");
    format!("read_{}", words.replace('.', "_"))
}

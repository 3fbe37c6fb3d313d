//! A small OpenAPI description of what is served, so that `kubectl explain` and the aggregated document of the API server
//! know it. Types of Kubernetes itself are written out in place: under their own names they would clash with the API
//! server's.

mod paths;
mod schemas;

use serde_json::{Map, Value, json};

use crate::target::GroupVersion;

/// The whole of it as OpenAPI 2.
pub fn v2() -> Value {
    let (mut all_paths, mut definitions) = (Map::new(), Map::new());
    for version in GroupVersion::ALL {
        all_paths.extend(paths::paths(version, paths::Dialect::V2));
        definitions.extend(schemas::schemas(version, paths::Dialect::V2.reference_prefix()));
    }
    json!({"swagger": "2.0", "info": info(), "paths": all_paths, "definitions": definitions})
}

/// One version as OpenAPI 3.
pub fn v3(version: GroupVersion) -> Value {
    json!({
        "openapi": "3.0.0",
        "info": info(),
        "paths": paths::paths(version, paths::Dialect::V3),
        "components": {"schemas": schemas::schemas(version, paths::Dialect::V3.reference_prefix())},
    })
}

/// The index of the OpenAPI 3 documents. The hash in each address lets clients cache it for ever.
pub fn v3_index<'a>(hash: impl Fn(GroupVersion) -> &'a str) -> Value {
    let mut index = Map::new();
    for version in GroupVersion::ALL {
        let path = version.path();
        let url = format!("/openapi/v3/apis/{path}?hash={}", hash(version));
        index.insert(format!("apis/{path}"), json!({"serverRelativeURL": url}));
    }
    json!({ "paths": index })
}

fn info() -> Value {
    json!({"title": "Tokenweir metrics", "version": concat!("v", env!("CARGO_PKG_VERSION"))})
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Every `$ref` in a document.
    fn references(value: &Value, found: &mut Vec<String>) {
        match value {
            Value::Object(object) => {
                for (key, value) in object {
                    match value {
                        Value::String(target) if key == "$ref" => found.push(target.clone()),
                        value => references(value, found),
                    }
                }
            }
            Value::Array(values) => values.iter().for_each(|value| references(value, found)),
            _ => {}
        }
    }

    fn assert_references_resolve(document: &Value) {
        let mut found = Vec::new();
        references(document, &mut found);
        assert!(!found.is_empty());
        for reference in found {
            let pointer = reference.strip_prefix('#').unwrap();
            assert!(document.pointer(pointer).is_some(), "{reference}");
        }
    }

    #[test]
    fn every_reference_leads_to_a_schema() {
        assert_references_resolve(&v2());
        for version in GroupVersion::ALL {
            assert_references_resolve(&v3(version));
        }
    }

    #[test]
    fn operations_have_names_of_their_own() {
        let document = v2();
        let paths = document["paths"].as_object().unwrap();
        let mut ids: Vec<&str> = paths
            .values()
            .map(|path| path["get"]["operationId"].as_str().unwrap())
            .collect();
        ids.sort_unstable();
        let count = ids.len();
        ids.dedup();
        assert_eq!(ids.len(), count);
    }

    #[test]
    fn the_description_of_external_metrics_is_as_published() {
        insta::assert_json_snapshot!("external_v3", v3(GroupVersion::External));
    }
}

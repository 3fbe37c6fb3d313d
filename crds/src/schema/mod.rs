//! The definitions of the kinds as they are installed, and their verdict on objects.
//!
//! What `kube` derives is brought into the form that serves users best:
//!
//! - An explicit null means "absent": without `nullable` the API server drops it and applies the default, instead of
//!   refusing a null in an enum.
//! - Number formats are those that the API server knows.
//! - Descriptions are one paragraph; those of embedded Kubernetes types are cut to their first sentence.

mod check;
mod path;
mod validate;

use k8s_openapi::apiextensions_apiserver::pkg::apis::apiextensions::v1::CustomResourceDefinition;
use kube::CustomResourceExt;
use serde_json::{Map, Value};

pub(crate) use check::closest;
pub use path::{Path, Step};
pub use validate::{Mistake, Schemas};

use crate::api::{LLMGateway, ModelProvider, ModelRoute, ScalingPolicy, Tenant};

/// Longest description of a field that comes from an embedded Kubernetes type, in bytes.
const EMBEDDED_DESCRIPTION: usize = 200;

/// Why a definition could not be made. Depends on the code alone; a test makes them all.
#[derive(Debug, thiserror::Error)]
pub enum SchemaError {
    /// A definition does not go through JSON.
    #[error("the definition of a kind is not valid: {0}")]
    Json(#[from] serde_json::Error),
    /// A definition has no schema.
    #[error("the definition of {0} has no schema")]
    NoSchema(String),
}

/// The definitions of all kinds, in the order in which a reader meets them.
pub fn definitions() -> Result<Vec<CustomResourceDefinition>, SchemaError> {
    [
        LLMGateway::crd(),
        ModelProvider::crd(),
        ModelRoute::crd(),
        Tenant::crd(),
        ScalingPolicy::crd(),
    ]
    .into_iter()
    .map(finish)
    .collect()
}

/// The schema of a definition's only version, as JSON.
pub fn open_api_schema(definition: &CustomResourceDefinition) -> Result<Value, SchemaError> {
    let schema = definition
        .spec
        .versions
        .first()
        .and_then(|version| version.schema.as_ref());
    let schema = schema.and_then(|schema| schema.open_api_v3_schema.as_ref());
    let schema = schema.ok_or_else(|| SchemaError::NoSchema(definition.spec.names.kind.clone()))?;
    Ok(serde_json::to_value(schema)?)
}

fn finish(definition: CustomResourceDefinition) -> Result<CustomResourceDefinition, SchemaError> {
    let mut definition = serde_json::to_value(definition)?;
    if let Some(schema) = definition.pointer_mut("/spec/versions/0/schema/openAPIV3Schema") {
        finish_node(schema);
        if let Some(root) = schema.as_object_mut() {
            root.remove("title");
        }
    }
    Ok(serde_json::from_value(definition)?)
}

/// Brings one node of a schema, and all below it, into form.
fn finish_node(node: &mut Value) {
    let Some(node) = node.as_object_mut() else {
        return;
    };
    node.remove("nullable");
    number_format(node);
    if let Some(Value::String(description)) = node.get_mut("description") {
        *description = first_paragraph(description);
    }
    for keyword in ["properties", "patternProperties"] {
        if let Some(children) = node.get_mut(keyword).and_then(Value::as_object_mut) {
            children.values_mut().for_each(finish_node);
        }
    }
    for keyword in ["items", "additionalProperties"] {
        if let Some(child) = node.get_mut(keyword) {
            finish_node(child);
        }
    }
}

fn number_format(node: &mut Map<String, Value>) {
    let known = match node.get("format").and_then(Value::as_str) {
        Some("uint8" | "uint16") => "int32",
        // A u32 does not fit into an int32.
        Some("uint32" | "uint64") => "int64",
        _ => return,
    };
    node.insert("format".to_owned(), Value::from(known));
}

fn first_paragraph(description: &str) -> String {
    let paragraph: Vec<&str> = description
        .lines()
        .take_while(|line| !line.trim().is_empty())
        .map(str::trim)
        .collect();
    let paragraph = paragraph.join(" ");
    match paragraph.find(". ") {
        Some(end) if paragraph.len() > EMBEDDED_DESCRIPTION => paragraph[..=end].to_owned(),
        _ => paragraph,
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn a_node_loses_null_and_foreign_formats() {
        let mut node = json!({
            "type": "object",
            "description": "One.\nTwo.\n\nThree.",
            "properties": {"port": {"type": "integer", "format": "uint16", "nullable": true}},
        });
        finish_node(&mut node);
        assert_eq!(
            node,
            json!({
                "type": "object",
                "description": "One. Two.",
                "properties": {"port": {"type": "integer", "format": "int32"}},
            })
        );
    }

    #[test]
    fn a_property_named_like_a_keyword_survives() {
        let mut node = json!({"properties": {"nullable": {"type": "boolean"}, "format": {"type": "string"}}});
        let before = node.clone();
        finish_node(&mut node);
        assert_eq!(node, before);
    }
}

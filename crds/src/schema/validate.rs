//! The verdict of the API server on one object, without an API server.

use std::collections::BTreeMap;
use std::fmt;

use kube::core::cel::{CompiledSchema, Validator, apply_defaults, compile_schema};
use serde_json::{Value, json};

use super::{Path, SchemaError, check, definitions, open_api_schema};

/// A mistake in an object.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Mistake {
    /// The field at fault.
    pub path: Path,
    /// What is wrong, what was given, and what would be right.
    pub message: String,
    /// The CEL rule that was broken; none for a mistake of structure.
    pub rule: Option<String>,
}

impl fmt::Display for Mistake {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.path, self.message)
    }
}

/// The schemas of all kinds, prepared. Making them takes some milliseconds; keep them.
pub struct Schemas {
    by_kind: BTreeMap<String, (Value, CompiledSchema)>,
    validator: Validator,
}

impl fmt::Debug for Schemas {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_set().entries(self.kinds()).finish()
    }
}

impl Schemas {
    /// Prepares the schemas.
    pub fn new() -> Result<Self, SchemaError> {
        let mut by_kind = BTreeMap::new();
        for definition in definitions()? {
            let mut schema = open_api_schema(&definition)?;
            if let Some(root) = schema.get_mut("properties").and_then(Value::as_object_mut) {
                // The API server checks these by itself; rules read the name.
                root.insert("apiVersion".to_owned(), json!({"type": "string"}));
                root.insert("kind".to_owned(), json!({"type": "string"}));
                root.insert("metadata".to_owned(), json!({"type": "object"}));
            }
            let compiled = compile_schema(&schema);
            by_kind.insert(definition.spec.names.kind, (schema, compiled));
        }
        Ok(Self {
            by_kind,
            validator: Validator::new(),
        })
    }

    /// Names of the kinds.
    pub fn kinds(&self) -> impl Iterator<Item = &str> {
        self.by_kind.keys().map(String::as_str)
    }

    /// Checks an object as the API server would, unknown fields included, and puts in the defaults.
    ///
    /// As there, rules are looked at only once the structure is right. Fields that are null must have been left out before.
    /// Returns nothing if the kind is not one of ours.
    pub fn validate(&self, kind: &str, object: &Value) -> Option<Result<Value, Vec<Mistake>>> {
        let (schema, compiled) = self.by_kind.get(kind)?;
        let mistakes = check::check(schema, object);
        if !mistakes.is_empty() {
            return Some(Err(mistakes));
        }
        let object = apply_defaults(schema, object);
        let Err(errors) = self.validator.validate_compiled(compiled, &object, None) else {
            return Some(Ok(object));
        };
        let mistakes = errors.into_iter().map(|error| Mistake {
            // Rules on the whole object are about its name, the only thing outside of spec and status that they can read.
            path: Path::parse(if error.field_path.is_empty() {
                "metadata.name"
            } else {
                &error.field_path
            }),
            message: error.message,
            rule: Some(error.rule),
        });
        Some(Err(mistakes.collect()))
    }
}

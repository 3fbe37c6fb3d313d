//! Google's own schemas, which are a part of OpenAPI's: what they have no word for is refused.

use super::super::fields::{Item, Mistake};
use super::request::refuse_unknown;

const WORDS: &[&str] = &[
    "title",
    "description",
    "nullable",
    "format",
    "enum",
    "maxItems",
    "minItems",
    "required",
    "minProperties",
    "maxProperties",
    "minLength",
    "maxLength",
    "pattern",
    "example",
    "propertyOrdering",
    "default",
    "minimum",
    "maximum",
];
const TYPES: [&str; 7] = ["STRING", "NUMBER", "INTEGER", "BOOLEAN", "ARRAY", "OBJECT", "NULL"];

/// Deeper schemas are refused, as Google refuses what is nested too deeply.
const MAX_DEPTH: usize = 32;

/// Whether a schema has only words that Google knows.
pub(super) fn check(schema: &Item<'_>) -> Result<(), Mistake> {
    at_depth(schema, 0)
}

fn at_depth(item: &Item<'_>, depth: usize) -> Result<(), Mistake> {
    if depth > MAX_DEPTH {
        return Err(item.mistake("the schema is nested too deeply"));
    }
    let mut schema = item.fields()?;
    let kind: Option<String> = schema.optional("type")?;
    if kind
        .as_ref()
        .is_some_and(|kind| !TYPES.contains(&kind.to_ascii_uppercase().as_str()))
    {
        return Err(Mistake::new(
            schema.place("type"),
            "Invalid value for the type of a schema",
        ));
    }
    let is_array = kind.is_some_and(|kind| kind.eq_ignore_ascii_case("array"));
    match schema.item("items") {
        Some(items) => at_depth(&items, depth + 1)?,
        None if is_array => return Err(Mistake::new(schema.place("items"), "missing field.")),
        None => {}
    }
    for option in schema.list("anyOf")? {
        at_depth(&option, depth + 1)?;
    }
    if let Some(mut properties) = schema.object("properties")? {
        for property in properties.items() {
            at_depth(&property, depth + 1)?;
        }
    }
    schema.ignore(WORDS);
    refuse_unknown(schema)
}

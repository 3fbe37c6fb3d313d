//! A value that a JSON schema allows: required properties only, and always the same for the same seed.

use serde_json::{Map, Value, json};

use super::words::Words;
use crate::behaviour::hash;

/// Deeper than any schema that a provider takes.
const MAX_DEPTH: usize = 32;
/// Longest array or text that a schema can ask for here.
const MAX_LENGTH: u64 = 64;

/// A value for a schema. What the schema leaves open gets words.
pub(super) fn of(schema: &Value, seed: u64) -> Value {
    Instance { root: schema }.value(schema, seed, 0)
}

struct Instance<'a> {
    root: &'a Value,
}

impl Instance<'_> {
    fn value(&self, schema: &Value, seed: u64, depth: usize) -> Value {
        if depth > MAX_DEPTH {
            return Value::Null;
        }
        if let Some(reference) = schema.get("$ref").and_then(Value::as_str) {
            let target = reference
                .strip_prefix('#')
                .and_then(|pointer| self.root.pointer(pointer));
            return target.map_or(Value::Null, |target| self.value(target, seed, depth + 1));
        }
        if let Some(value) = schema.get("const") {
            return value.clone();
        }
        if let Some(values) = list(schema, "enum") {
            let at = usize::try_from(seed % values.len() as u64).unwrap_or(0);
            return values[at].clone();
        }
        for key in ["anyOf", "oneOf"] {
            if let Some(first) = list(schema, key).and_then(|options| options.first()) {
                return self.value(first, seed, depth + 1);
            }
        }
        if let Some(parts) = list(schema, "allOf") {
            return self.all_of(parts, seed, depth);
        }
        match kind(schema).as_str() {
            "string" => string(schema, seed).into(),
            "integer" => integer(schema, seed).into(),
            "number" => json!(number(schema, seed)),
            "boolean" => seed.is_multiple_of(2).into(),
            "array" => {
                let length = schema
                    .get("minItems")
                    .and_then(Value::as_u64)
                    .unwrap_or(1)
                    .min(MAX_LENGTH);
                let items = schema.get("items").unwrap_or(&Value::Null);
                (0..length)
                    .map(|at| self.value(items, hash(seed, &at.to_le_bytes()), depth + 1))
                    .collect()
            }
            "object" => self.object(schema, seed, depth),
            _ => Value::Null,
        }
    }

    fn object(&self, schema: &Value, seed: u64, depth: usize) -> Value {
        let required = list(schema, "required").map_or(&[][..], Vec::as_slice);
        let mut object = Map::new();
        for name in required.iter().filter_map(Value::as_str) {
            let property = schema.get("properties").and_then(|all| all.get(name));
            let property = property.unwrap_or(&Value::Null);
            object.insert(
                name.to_owned(),
                self.value(property, hash(seed, name.as_bytes()), depth + 1),
            );
        }
        object.into()
    }

    fn all_of(&self, parts: &[Value], seed: u64, depth: usize) -> Value {
        let mut merged = Map::new();
        for part in parts {
            if let Value::Object(object) = self.value(part, seed, depth + 1) {
                merged.extend(object);
            }
        }
        merged.into()
    }
}

/// A list with at least one element.
fn list<'a>(schema: &'a Value, key: &str) -> Option<&'a Vec<Value>> {
    schema
        .get(key)
        .and_then(Value::as_array)
        .filter(|list| !list.is_empty())
}

/// The type in lower case, as JSON schema has it; Gemini writes upper case. A list of types stands for its first.
fn kind(schema: &Value) -> String {
    let named = match schema.get("type") {
        Some(Value::Array(types)) => types.iter().find(|name| *name != "null").and_then(Value::as_str),
        other => other.and_then(Value::as_str),
    };
    match named {
        Some(name) => name.to_ascii_lowercase(),
        None if schema.get("properties").is_some() => "object".into(),
        None if schema.get("items").is_some() => "array".into(),
        None => "string".into(),
    }
}

fn string(schema: &Value, seed: u64) -> String {
    match schema.get("format").and_then(Value::as_str) {
        Some("date-time") => return "2026-01-02T03:04:05Z".into(),
        Some("date") => return "2026-01-02".into(),
        Some("time") => return "03:04:05Z".into(),
        Some("email") => return "someone@example.com".into(),
        Some("uri") => return "https://example.com/".into(),
        Some("uuid") => return "00000000-0000-4000-8000-000000000000".into(),
        _ => {}
    }
    let bound = |key| schema.get(key).and_then(Value::as_u64);
    let least = bound("minLength").unwrap_or(0).min(MAX_LENGTH);
    let most = bound("maxLength").unwrap_or(u64::MAX);
    let mut words = Words::new(seed);
    let mut text = String::new();
    while text.is_empty() || (text.len() as u64) < least {
        let (space, word) = words.next();
        text.push_str(space);
        text.push_str(word);
    }
    text.truncate(usize::try_from(most).unwrap_or(usize::MAX));
    text
}

fn integer(schema: &Value, seed: u64) -> i64 {
    let bound = |key| schema.get(key).and_then(Value::as_i64);
    let least = bound("minimum").or_else(|| bound("exclusiveMinimum").map(|least| least.saturating_add(1)));
    let most = bound("maximum").or_else(|| bound("exclusiveMaximum").map(|most| most.saturating_sub(1)));
    // Below 100, so that it fits any integer.
    let drawn = i64::try_from(seed % 100).unwrap_or(0);
    match (least, most) {
        (Some(least), _) if drawn < least => least,
        (_, Some(most)) if drawn > most => most,
        _ => drawn,
    }
}

fn number(schema: &Value, seed: u64) -> f64 {
    let bound = |key| schema.get(key).and_then(Value::as_f64);
    let drawn = (seed % 1000) as f64 / 10.0;
    match (bound("minimum"), bound("maximum")) {
        (Some(least), _) if drawn < least => least,
        (_, Some(most)) if drawn > most => most,
        _ => drawn,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn instances_have_what_is_required_and_stay_within_bounds() {
        let schema = json!({
            "type": "object",
            "properties": {
                "city": {"type": "string", "minLength": 12},
                "unit": {"enum": ["c", "f"]},
                "days": {"type": "integer", "minimum": 200},
                "tags": {"type": "array", "minItems": 2, "items": {"type": ["null", "boolean"]}},
                "place": {"$ref": "#/$defs/place"},
                "optional": {"type": "string"},
            },
            "required": ["city", "unit", "days", "tags", "place"],
            "$defs": {"place": {"properties": {"at": {"anyOf": [{"const": 7}, {"type": "null"}]}}, "required": ["at"]}},
        });
        let value = of(&schema, 3);
        assert_eq!(value, of(&schema, 3));
        assert!(value["city"].as_str().unwrap().len() >= 12);
        assert!(["c", "f"].contains(&value["unit"].as_str().unwrap()));
        assert_eq!(value["days"], 200);
        assert_eq!(value["tags"].as_array().unwrap().len(), 2);
        assert!(value["tags"][0].is_boolean());
        assert_eq!(value["place"], json!({"at": 7}));
        assert!(value.get("optional").is_none());
    }

    #[test]
    fn a_schema_that_holds_itself_ends() {
        let schema = json!({"type": "object", "properties": {"next": {"$ref": "#"}}, "required": ["next"]});
        assert!(of(&schema, 1)["next"].is_object());
    }
}

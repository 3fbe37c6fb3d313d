//! The structural part of a schema: what the API server checks before it looks at rules.
//!
//! Covers the keywords that the definitions use; a test keeps it so.

use regex::Regex;
use serde_json::{Map, Value};

use super::{Mistake, Path};

/// Every way in which a value differs from its schema. Unknown fields are mistakes.
pub(super) fn check(schema: &Value, value: &Value) -> Vec<Mistake> {
    let mut mistakes = Vec::new();
    node(schema, value, &Path::default(), &mut mistakes);
    mistakes
}

fn node(schema: &Value, value: &Value, path: &Path, mistakes: &mut Vec<Mistake>) {
    let mut say = |message: String| {
        mistakes.push(mistake(path.clone(), message));
    };
    if let Some(message) = wrong_type(schema, value) {
        say(message);
        return;
    }
    if let Some(allowed) = schema.get("enum").and_then(Value::as_array)
        && !allowed.contains(value)
    {
        let names: Vec<String> = allowed.iter().map(plain).collect();
        let hint = closest(&plain(value), names.iter().map(String::as_str));
        say(format!("{value} is not one of {}{hint}", names.join(", ")));
        return;
    }
    match value {
        Value::Object(object) => fields(schema, object, path, mistakes),
        Value::Array(items) => list(schema, items, path, mistakes),
        Value::String(text) => string(schema, text, &mut say),
        Value::Number(_) => number(schema, value, &mut say),
        Value::Null | Value::Bool(_) => {}
    }
}

fn mistake(path: Path, message: String) -> Mistake {
    Mistake {
        path,
        message,
        rule: None,
    }
}

fn wrong_type(schema: &Value, value: &Value) -> Option<String> {
    if schema.get("x-kubernetes-int-or-string") == Some(&Value::Bool(true)) {
        let fits = value.is_string() || value.is_i64() || value.is_u64();
        return (!fits).then(|| format!("{} is neither a whole number nor a string", shown(value)));
    }
    let expected = schema.get("type").and_then(Value::as_str)?;
    let (fits, name) = match expected {
        "object" => (value.is_object(), "an object"),
        "array" => (value.is_array(), "a list"),
        "string" => (value.is_string(), "a string"),
        "integer" => (value.is_i64() || value.is_u64(), "a whole number"),
        "number" => (value.is_number(), "a number"),
        "boolean" => (value.is_boolean(), "true or false"),
        _ => return None,
    };
    let quotes = if expected == "string" && (value.is_number() || value.is_boolean()) {
        format!("; put it in quotes: \"{value}\"")
    } else {
        String::new()
    };
    (!fits).then(|| format!("{} is not {name}{quotes}", shown(value)))
}

fn fields(schema: &Value, object: &Map<String, Value>, path: &Path, mistakes: &mut Vec<Mistake>) {
    let none = Map::new();
    let properties = schema.get("properties").and_then(Value::as_object).unwrap_or(&none);
    let additional = schema.get("additionalProperties");
    for (key, value) in object {
        let child = path.key(key);
        match properties.get(key).or(additional) {
            Some(schema) => node(schema, value, &child, mistakes),
            // The root's metadata has no properties in a definition.
            None if properties.is_empty() => {}
            None => mistakes.push(mistake(
                child,
                format!(
                    "unknown field {key:?}{}; known are {}",
                    closest(key, properties.keys().map(String::as_str)),
                    properties.keys().map(String::as_str).collect::<Vec<_>>().join(", ")
                ),
            )),
        }
    }
    for name in schema
        .get("required")
        .and_then(Value::as_array)
        .into_iter()
        .flatten()
        .filter_map(Value::as_str)
    {
        if !object.contains_key(name) {
            mistakes.push(mistake(path.key(name), format!("the field {name:?} is missing")));
        }
    }
    let count = object.len();
    bound(
        schema,
        "maxProperties",
        |most| count as u64 > most,
        |most| {
            mistakes.push(mistake(
                path.clone(),
                format!("{count} entries are more than the {most} allowed"),
            ));
        },
    );
}

fn list(schema: &Value, items: &[Value], path: &Path, mistakes: &mut Vec<Mistake>) {
    let count = items.len();
    bound(
        schema,
        "minItems",
        |least| (count as u64) < least,
        |least| {
            mistakes.push(mistake(
                path.clone(),
                format!("the list has {count} entries; it needs at least {least}"),
            ));
        },
    );
    bound(
        schema,
        "maxItems",
        |most| count as u64 > most,
        |most| {
            mistakes.push(mistake(
                path.clone(),
                format!("the list has {count} entries; at most {most} are allowed"),
            ));
        },
    );
    if let Some(schema) = schema.get("items") {
        for (index, item) in items.iter().enumerate() {
            node(schema, item, &path.index(index), mistakes);
        }
    }
    match schema.get("x-kubernetes-list-type").and_then(Value::as_str) {
        Some("set") => duplicates(items.iter().map(|item| Some(item.clone())), path, "", mistakes),
        Some("map") => {
            let keys = schema
                .get("x-kubernetes-list-map-keys")
                .and_then(Value::as_array)
                .cloned()
                .unwrap_or_default();
            let names: Vec<String> = keys.iter().map(plain).collect();
            let identity = |item: &Value| {
                names
                    .iter()
                    .map(|name| item.get(name).cloned())
                    .collect::<Option<Value>>()
            };
            duplicates(items.iter().map(identity), path, &names.join(", "), mistakes);
        }
        _ => {}
    }
}

fn duplicates(items: impl Iterator<Item = Option<Value>>, path: &Path, keys: &str, mistakes: &mut Vec<Mistake>) {
    let mut seen: Vec<Value> = Vec::new();
    for (index, item) in items.enumerate() {
        let Some(item) = item else { continue };
        if seen.contains(&item) {
            let item = item.as_array().map_or_else(
                || plain(&item),
                |parts| parts.iter().map(plain).collect::<Vec<_>>().join(", "),
            );
            let what = if keys.is_empty() {
                item
            } else {
                format!("{keys} {item}")
            };
            mistakes.push(mistake(path.index(index), format!("{what} stands twice in the list")));
        } else {
            seen.push(item);
        }
    }
}

fn string(schema: &Value, text: &str, say: &mut impl FnMut(String)) {
    let length = text.chars().count();
    bound(
        schema,
        "minLength",
        |least| (length as u64) < least,
        |least| {
            say(match length {
                0 => "the value is empty".to_owned(),
                _ => format!("{text:?} is shorter than {least} characters"),
            });
        },
    );
    bound(
        schema,
        "maxLength",
        |most| length as u64 > most,
        |most| {
            say(format!("the value has {length} characters; at most {most} are allowed"));
        },
    );
    if let Some(pattern) = schema.get("pattern").and_then(Value::as_str)
        && Regex::new(pattern).is_ok_and(|regex| !regex.is_match(text))
    {
        say(format!("{text:?} does not have the form {pattern}"));
    }
    if schema.get("format").and_then(Value::as_str) == Some("date-time") && text.parse::<jiff::Timestamp>().is_err() {
        say(format!(
            "{text:?} is not a time; write for example 2027-01-31T00:00:00Z"
        ));
    }
}

fn number(schema: &Value, value: &Value, say: &mut impl FnMut(String)) {
    let Some(number) = value.as_f64() else { return };
    if let Some(least) = schema.get("minimum").and_then(Value::as_f64)
        && number < least
    {
        say(format!("{value} is too small; at least {least} is allowed"));
    }
    if let Some(most) = schema.get("maximum").and_then(Value::as_f64)
        && number > most
    {
        say(format!("{value} is too large; at most {most} is allowed"));
    }
}

fn bound(schema: &Value, keyword: &str, broken: impl Fn(u64) -> bool, mut say: impl FnMut(u64)) {
    if let Some(limit) = schema.get(keyword).and_then(Value::as_u64)
        && broken(limit)
    {
        say(limit);
    }
}

/// A value without the quotes of JSON.
fn plain(value: &Value) -> String {
    value.as_str().map_or_else(|| value.to_string(), str::to_owned)
}

/// A value for a message; objects and lists are named, not shown.
fn shown(value: &Value) -> String {
    match value {
        Value::Object(_) => "an object".to_owned(),
        Value::Array(_) => "a list".to_owned(),
        other => other.to_string(),
    }
}

/// "; did you mean "x"?" if one of the names is close.
pub(crate) fn closest<'a>(given: &str, names: impl Iterator<Item = &'a str>) -> String {
    /// Below it, two names have little in common (Jaro-Winkler, 0 to 1).
    const CLOSE: f64 = 0.8;
    let given = given.to_lowercase();
    let best = names
        .map(|name| (strsim::jaro_winkler(&given, &name.to_lowercase()), name))
        .filter(|(similarity, _)| *similarity >= CLOSE)
        .max_by(|a, b| a.0.total_cmp(&b.0));
    best.map_or_else(String::new, |(_, name)| format!("; did you mean {name:?}?"))
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use serde_json::json;

    use super::*;
    use crate::schema::{definitions, open_api_schema};

    fn messages(schema: &Value, value: &Value) -> Vec<String> {
        check(schema, value)
            .into_iter()
            .map(|m| format!("{}: {}", m.path, m.message))
            .collect()
    }

    #[test]
    fn each_kind_of_mistake_is_found_and_named() {
        let schema = json!({
            "type": "object",
            "required": ["name", "list"],
            "properties": {
                "name": {"type": "string", "minLength": 1, "maxLength": 3},
                "port": {"type": "integer", "minimum": 1, "maximum": 9},
                "mode": {"type": "string", "enum": ["Fast", "Slow"]},
                "share": {"x-kubernetes-int-or-string": true},
                "when": {"type": "string", "format": "date-time"},
                "set": {"type": "array", "items": {"type": "string"}, "x-kubernetes-list-type": "set", "maxItems": 3},
                "list": {
                    "type": "array", "minItems": 1, "x-kubernetes-list-type": "map", "x-kubernetes-list-map-keys": ["id"],
                    "items": {"type": "object", "properties": {"id": {"type": "integer"}}},
                },
                "labels": {"type": "object", "additionalProperties": {"type": "string"}, "maxProperties": 1},
            },
        });
        let good = json!({"name": "a", "port": 9, "mode": "Fast", "share": "1", "when": "2026-01-01T00:00:00Z",
            "set": ["a", "b"], "list": [{"id": 1}, {"id": 2}], "labels": {"x": "y"}});
        assert_eq!(messages(&schema, &good), Vec::<String>::new());
        let bad = json!({"name": "", "port": 10, "mode": "fast", "share": 0.5, "when": "tomorrow", "nmae": 1,
            "set": ["a", "a"], "list": [{"id": 1}, {"id": 1}], "labels": {"x": 1, "y": "z"}});
        assert_eq!(
            messages(&schema, &bad),
            [
                "labels.x: 1 is not a string; put it in quotes: \"1\"",
                "labels: 2 entries are more than the 1 allowed",
                "list[1]: id 1 stands twice in the list",
                "mode: \"fast\" is not one of Fast, Slow; did you mean \"Fast\"?",
                "name: the value is empty",
                "nmae: unknown field \"nmae\"; did you mean \"name\"?; known are labels, list, mode, name, port, set, share, when",
                "port: 10 is too large; at most 9 is allowed",
                "set[1]: a stands twice in the list",
                "share: 0.5 is neither a whole number nor a string",
                "when: \"tomorrow\" is not a time; write for example 2027-01-31T00:00:00Z",
            ]
        );
        assert_eq!(
            messages(&schema, &json!({"name": "long", "port": "1", "list": []})),
            [
                "list: the list has 0 entries; it needs at least 1",
                "name: the value has 4 characters; at most 3 are allowed",
                "port: \"1\" is not a whole number",
            ]
        );
        assert_eq!(
            messages(&schema, &json!({})),
            [
                "name: the field \"name\" is missing",
                "list: the field \"list\" is missing"
            ]
        );
    }

    #[test]
    fn the_definitions_use_no_keyword_that_is_not_checked() {
        const KNOWN: &[&str] = &[
            "additionalProperties",
            "default",
            "description",
            "enum",
            "format",
            "items",
            "maxItems",
            "maxLength",
            "maxProperties",
            "maximum",
            "minItems",
            "minLength",
            "minimum",
            "pattern",
            "properties",
            "required",
            "type",
            "x-kubernetes-int-or-string",
            "x-kubernetes-list-map-keys",
            "x-kubernetes-list-type",
            "x-kubernetes-validations",
        ];
        fn collect(node: &Value, found: &mut BTreeSet<String>) {
            let Some(node) = node.as_object() else { return };
            found.extend(node.keys().cloned());
            for child in node
                .get("properties")
                .and_then(Value::as_object)
                .into_iter()
                .flat_map(Map::values)
            {
                collect(child, found);
            }
            for keyword in ["items", "additionalProperties"] {
                node.get(keyword).into_iter().for_each(|child| collect(child, found));
            }
        }
        let mut found = BTreeSet::new();
        for definition in definitions().unwrap() {
            collect(&open_api_schema(&definition).unwrap(), &mut found);
        }
        found.retain(|keyword| !KNOWN.contains(&keyword.as_str()));
        assert_eq!(found, BTreeSet::new());
    }
}

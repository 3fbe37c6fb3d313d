//! JSON schemas, with what Anthropic wants in them.

use std::borrow::Cow;

use serde_json::value::RawValue;

use crate::conversation::{Json, JsonSchema};
use crate::dialect::json::{View, raw};

/// The schema of a function's arguments. The dialect demands one, with its type; other dialects leave out what goes
/// without saying, as arguments are always an object.
pub(in crate::dialect) fn of_arguments(given: Option<&RawValue>) -> Option<Cow<'_, RawValue>> {
    let Some(given) = given.filter(|given| given.get() != "null") else {
        return raw(r#"{"type":"object"}"#).map(Cow::Owned);
    };
    match View::of(given) {
        Some(view) if !view.names("type") => in_front(given, &[("type", "object")]).map(Cow::Owned),
        // With its type it is complete; what is no object or no type at all, Anthropic tells the client about.
        _ => Some(Cow::Borrowed(given)),
    }
}

/// The schema of an answer. What a client says about it beside it is said in it, where it has no such words of its own.
pub(super) fn of_answer(given: &JsonSchema) -> Option<Cow<'_, RawValue>> {
    let view = View::of(&given.schema);
    let said: Vec<(&str, &str)> = [("title", &given.name), ("description", &given.description)]
        .into_iter()
        .filter_map(|(key, value)| Some((key, value.as_deref()?)))
        .filter(|(key, _)| view.as_ref().is_some_and(|view| !view.names(key)))
        .collect();
    if said.is_empty() {
        return Some(Cow::Borrowed(&*given.schema));
    }
    in_front(&given.schema, &said).map(Cow::Owned)
}

/// The object with more entries in front of its own.
fn in_front(object: &RawValue, entries: &[(&str, &str)]) -> Option<Json> {
    let own = object.get().strip_prefix('{')?.trim_start();
    let mut text = String::from("{");
    for (key, value) in entries {
        text.push_str(&serde_json::to_string(key).ok()?);
        text.push(':');
        text.push_str(&serde_json::to_string(value).ok()?);
        text.push(',');
    }
    if own == "}" {
        text.pop();
    }
    text.push_str(own);
    raw(&text)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn arguments(given: Option<&str>) -> String {
        let given = given.and_then(raw);
        of_arguments(given.as_deref()).unwrap().get().to_owned()
    }

    #[test]
    fn arguments_are_always_an_object() {
        assert_eq!(arguments(None), r#"{"type":"object"}"#);
        assert_eq!(arguments(Some("null")), r#"{"type":"object"}"#);
        assert_eq!(arguments(Some("{ }")), r#"{"type":"object"}"#);
        assert_eq!(
            arguments(Some(r#"{ "properties":{}}"#)),
            r#"{"type":"object","properties":{}}"#
        );
        assert_eq!(arguments(Some(r#"{ "type" : "object" }"#)), r#"{ "type" : "object" }"#);
        assert_eq!(arguments(Some("[]")), "[]");
        let null = r#"{"type":null}"#;
        assert_eq!(arguments(Some(null)), null, "no name is given twice");
    }

    #[test]
    fn what_is_said_about_an_answer_is_said_in_its_schema() {
        let answer = |schema: &str, name: &str, description: Option<&str>| {
            let schema = JsonSchema {
                name: Some(name.to_owned()),
                description: description.map(ToOwned::to_owned),
                schema: raw(schema).unwrap(),
                strict: None,
            };
            of_answer(&schema).unwrap().get().to_owned()
        };
        assert_eq!(
            answer(r#"{"type":"object"}"#, "a", Some("b\"")),
            r#"{"title":"a","description":"b\"","type":"object"}"#
        );
        assert_eq!(answer(r#"{"title":"x"}"#, "a", None), r#"{"title":"x"}"#);
        assert_eq!(answer(r#"{"title":null}"#, "a", None), r#"{"title":null}"#);
        assert_eq!(answer("true", "a", None), "true");
    }
}

//! Laws of counts, over texts that nobody would write.

use proptest::prelude::*;
use serde_json::{Value, json};
use tokenweir_tokens::{at_most, count, count_text};

use crate::{loaded, request};

/// Texts of many kinds: words, one giant word, blanks, emoji, control characters.
fn text() -> BoxedStrategy<String> {
    prop_oneof![
        "[a-z ,.]{0,80}",
        "[A-Za-z0-9+/=]{0,120}",
        "\\PC{0,40}",
        "[ \t\n\r]{0,60}",
        "(\u{1F600}|\u{1F468}\u{200D}\u{1F469}|é|漢|\u{0}|\u{7}|<\\|endoftext\\|>){0,20}",
        any::<String>(),
    ]
    .boxed()
}

fn message() -> BoxedStrategy<Value> {
    let plain = (
        prop::sample::select(vec!["system", "user", "assistant", "developer"]),
        text(),
        prop::option::of("[a-z]{1,8}"),
    )
        .prop_map(|(role, content, name)| {
            let mut message = json!({"role": role, "content": content});
            if let Some(name) = name {
                message["name"] = json!(name);
            }
            message
        });
    let call = (text(), text(), text()).prop_map(|(name, arguments, _)| {
        json!({"role": "assistant", "content": null, "tool_calls": [
            {"id": "c", "type": "function", "function": {"name": name, "arguments": arguments}}
        ]})
    });
    let image = (any::<bool>(), text()).prop_map(|(low, text)| {
        json!({"role": "user", "content": [
            {"type": "text", "text": text},
            {"type": "image_url", "image_url": {"url": "https://example.com/a.png", "detail": if low { "low" } else { "auto" }}},
        ]})
    });
    prop_oneof![4 => plain, 1 => call, 1 => image].boxed()
}

fn tool() -> BoxedStrategy<Value> {
    let property = (text(), prop::option::of(prop::collection::vec(text(), 0..4))).prop_map(|(description, values)| {
        let mut property = json!({"type": "string", "description": description});
        if let Some(values) = values {
            property["enum"] = json!(values);
        }
        property
    });
    let properties = prop::collection::hash_map(
        "[a-z]{1,6}",
        prop_oneof![3 => property, 1 => Just(json!({})), 1 => Just(json!({"type": "array", "items": {}}))],
        0..4,
    );
    ("[a-z]{1,9}", text(), properties)
        .prop_map(|(name, description, properties)| {
            json!({"type": "function", "function": {
                "name": name, "description": description,
                "parameters": {"type": "object", "properties": properties},
            }})
        })
        .boxed()
}

proptest! {
    #[test]
    fn a_token_has_at_least_one_byte(text in text()) {
        loaded();
        let bytes = u64::try_from(text.len()).unwrap();
        for model in ["gpt-4", "gpt-4o", "llama-3"] {
            prop_assert!(count_text(&text, model).tokens <= bytes, "{model}");
        }
    }

    #[test]
    fn no_count_is_above_the_bound(
        messages in prop::collection::vec(message(), 1..5), tools in prop::collection::vec(tool(), 0..3),
        model in prop::sample::select(vec!["gpt-4", "gpt-4o", "gpt-4o-mini", "gpt-4.1-mini", "gpt-5", "llama-3", "claude-opus-5"]),
    ) {
        loaded();
        let mut body = json!({"model": model, "messages": messages});
        if !tools.is_empty() {
            body["tools"] = json!(tools);
        }
        let read = request(&body);
        let bytes = u64::try_from(body.to_string().len()).unwrap();
        let bound = at_most(&read, model, bytes).unwrap();
        let counted = count(&read, model);
        prop_assert!(counted.tokens <= bound, "{counted:?} {bound}");
    }
}

#[test]
fn what_the_provider_fetches_has_no_bound() {
    let file = json!({"model": "gpt-4o", "messages": [{"role": "user", "content": [
        {"type": "file", "file": {"file_id": "file-1"}},
    ]}]});
    assert_eq!(at_most(&request(&file), "gpt-4o", 100), None);
}

/// Not a measurement: it would not end within the test run if counting were quadratic.
#[test]
fn hostile_texts_are_counted_in_linear_time() {
    loaded();
    let size = 1 << 18;
    for text in [
        " ".repeat(size),
        "a".repeat(size),
        "é".repeat(size / 2),
        "\n \t".repeat(size / 3),
        "!?".repeat(size / 2),
    ] {
        for model in ["gpt-4", "gpt-4o"] {
            assert!(count_text(&text, model).tokens > 0);
        }
    }
}

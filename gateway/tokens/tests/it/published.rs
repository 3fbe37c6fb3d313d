//! Against counts that OpenAI publishes.

use serde_json::{Value, json};
use tokenweir_tokens::{Counted, Encoding, count, count_text};

use crate::{loaded, request};

fn of(model: &str, messages: &Value, tools: Option<&Value>) -> Counted {
    loaded();
    let mut body = json!({"model": model, "messages": messages});
    if let Some(tools) = tools {
        body["tools"] = tools.clone();
    }
    count(&request(&body), model)
}

/// The conversation of the cookbook's page "How to count tokens with tiktoken".
fn conversation() -> Value {
    json!([
        {"role": "system", "content": "You are a helpful, pattern-following assistant that translates corporate jargon into plain English."},
        {"role": "system", "name": "example_user", "content": "New synergies will help drive top-line growth."},
        {"role": "system", "name": "example_assistant", "content": "Things working well together will increase revenue."},
        {"role": "system", "name": "example_user", "content": "Let's circle back when we have more bandwidth to touch base on opportunities for increased leverage."},
        {"role": "system", "name": "example_assistant", "content": "Let's talk later when we're less busy about how to do better."},
        {"role": "user", "content": "This late pivot means we don't have time to boil the ocean for the client deliverable."},
    ])
}

fn weather() -> (Value, Value) {
    let messages = json!([
        {"role": "system", "content": "You are a helpful assistant that can answer to questions about the weather."},
        {"role": "user", "content": "What's the weather like in San Francisco?"},
    ]);
    let tools = json!([{"type": "function", "function": {
        "name": "get_current_weather",
        "description": "Get the current weather in a given location",
        "parameters": {"type": "object", "properties": {
            "location": {"type": "string", "description": "The city and state, e.g. San Francisco, CA"},
            "unit": {"type": "string", "description": "The unit of temperature to return", "enum": ["celsius", "fahrenheit"]},
        }, "required": ["location"]},
    }}]);
    (messages, tools)
}

#[test]
fn conversations_have_the_counts_of_openais_own_api() {
    for (model, tokens, encoding) in [
        ("gpt-3.5-turbo", 129, Encoding::Cl100k),
        ("gpt-4-0613", 129, Encoding::Cl100k),
        ("gpt-4", 129, Encoding::Cl100k),
        ("gpt-4o", 124, Encoding::O200k),
        ("gpt-4o-mini", 124, Encoding::O200k),
    ] {
        let expected = Counted {
            tokens,
            exact: true,
            encoding: Some(encoding),
        };
        assert_eq!(of(model, &conversation(), None), expected, "{model}");
    }
}

#[test]
fn functions_have_the_counts_of_openais_own_api() {
    let (messages, tools) = weather();
    for (model, tokens) in [
        ("gpt-3.5-turbo", 105),
        ("gpt-4", 105),
        ("gpt-4o", 101),
        ("gpt-4o-mini", 101),
    ] {
        let counted = of(model, &messages, Some(&tools));
        assert_eq!((counted.tokens, counted.exact), (tokens, true), "{model}");
    }
}

#[test]
fn what_is_not_published_is_not_called_exact() {
    let (messages, tools) = weather();
    let newer = of("gpt-5", &conversation(), None);
    assert_eq!((newer.exact, newer.encoding), (false, Some(Encoding::O200k)));
    let mut nested = tools;
    nested[0]["function"]["parameters"]["properties"]["days"] = json!({"type": "array", "items": {"type": "integer"}});
    assert!(!of("gpt-4o", &messages, Some(&nested)).exact);
    let image = json!([{"role": "user", "content": [
        {"type": "text", "text": "What is this?"},
        {"type": "image_url", "image_url": {"url": "https://example.com/a.png", "detail": "low"}},
    ]}]);
    let seen = of("gpt-4o", &image, None);
    assert!(!seen.exact && seen.tokens > 85, "{seen:?}");
    let other = of("llama-3", &conversation(), None);
    assert_eq!((other.exact, other.encoding), (false, None));
}

#[test]
fn texts_have_the_tokens_of_the_cookbook() {
    loaded();
    for (text, cl100k, o200k) in [
        ("tiktoken is great!", 6, 6),
        ("antidisestablishmentarianism", 6, 6),
        ("2 + 2 = 4", 7, 7),
        ("お誕生日おめでとう", 9, 8),
        ("", 0, 0),
    ] {
        assert_eq!(count_text(text, "gpt-4").tokens, cl100k, "{text}");
        assert_eq!(count_text(text, "gpt-4o").tokens, o200k, "{text}");
    }
}

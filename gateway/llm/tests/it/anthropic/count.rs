//! The count of a request's tokens.

use serde_json::{Value, json};
use tokenweir_llm::dialect::{ClientDialect, Messages};
use tokenweir_llm::tokens::{estimate, estimate_input};

use super::value;

fn count(body: &Value) -> u64 {
    estimate_input(&Messages::read_count_request(body.to_string().as_bytes()).unwrap())
}

#[test]
fn a_count_needs_no_limit_on_tokens_and_an_answer_does() {
    let body = json!({"model": "m", "messages": [{"role": "user", "content": "hello"}]});
    assert_eq!(count(&body), 5);
    assert!(Messages::read_request(body.to_string().as_bytes()).is_err());
    assert_eq!(value(&Messages::write_count(5)), json!({"input_tokens": 5}));
}

#[test]
fn everything_that_the_model_reads_counts() {
    let base = json!({"model": "claude-opus-4-5", "messages": [{"role": "user", "content": "hello"}]});
    let grown = |key: &str, field: Value| {
        let mut body = base.clone();
        body[key] = field;
        count(&body) - count(&base)
    };
    let text = "The quick brown fox jumps over the lazy dog.";
    assert_eq!(grown("system", json!(text)), estimate(text) + 4);
    assert!(
        grown(
            "tools",
            json!([{"name": "f", "description": text, "input_schema": {"type": "object"}}])
        ) > estimate(text)
    );
    let content = |block: Value| {
        grown(
            "messages",
            json!([{"role": "user", "content": [{"type": "text", "text": "hello"}, block]}]),
        )
    };
    assert_eq!(
        content(json!({"type": "tool_result", "tool_use_id": "a", "content": text})),
        estimate(text) + 4
    );
    assert_eq!(
        content(json!({"type": "tool_use", "id": "a", "name": "f", "input": {"a": 1}})),
        4 + estimate("f") + estimate(r#"{"a":1}"#)
    );
    assert_eq!(
        content(json!({"type": "document", "source": {"type": "text", "media_type": "text/plain", "data": text}})),
        estimate(text)
    );
    let url = json!({"type": "image", "source": {"type": "url", "url": "https://example.com/a.png"}});
    assert_eq!(content(url), 1568);
}

#[test]
fn the_size_of_an_image_is_read_from_its_first_bytes() {
    // 256 x 128 pixels.
    let png = "iVBORw0KGgoAAAANSUhEUgAAAQAAAACACAYAAADktbcK";
    let body = |model: &str| {
        json!({"model": model, "messages": [{"role": "user", "content": [
            {"type": "image", "source": {"type": "base64", "media_type": "image/png", "data": png}}]}]})
    };
    assert_eq!(count(&body("claude-opus-4-8")), 10 * 5 + 4);
    assert_eq!(count(&body("gpt-5")), 10 * 5 + 4);
}

//! Anthropic Messages in front of Chat Completions, by feature: what is asked, and what comes back.

use serde_json::{Value, json};
use tokenweir_llm::conversation::Unsupported;
use tokenweir_llm::dialect::{ChatFlavor, Client, Target, Wire};
use tokenweir_llm::translate::Translation;

use super::{translated_answer, translated_stream, value};

fn asked_of(chat: ChatFlavor, fields: &Value) -> Result<Value, Unsupported> {
    let mut body =
        json!({"model": "assistant", "max_tokens": 4000, "messages": [{"role": "user", "content": "Hello"}]});
    body.as_object_mut()
        .unwrap()
        .extend(fields.as_object().unwrap().clone());
    let request = tokenweir_llm::translate::read_request(Client::Messages, body.to_string().as_bytes()).unwrap();
    let translation = Translation::new(Client::Messages, Wire::ChatCompletions).unwrap();
    let target = Target {
        model: "gpt-5",
        chat,
        ..Target::default()
    };
    translation.request(&request, &target, false).map(|body| value(&body))
}

fn asked(fields: &Value) -> Result<Value, Unsupported> {
    asked_of(ChatFlavor::OpenAi, fields)
}

/// What a provider of Chat Completions answers, as the client of Messages reads it.
fn answered(choice: &Value, usage: &Value) -> Value {
    let body = json!({
        "id": "chatcmpl-1", "object": "chat.completion", "created": 1, "model": "gpt-5", "choices": [choice],
        "usage": usage,
    });
    translated_answer(Client::Messages, Wire::ChatCompletions, &body)
}

fn message(message: &Value, finish: &str) -> Value {
    let choice = json!({"index": 0, "message": message, "finish_reason": finish});
    answered(
        &choice,
        &json!({"prompt_tokens": 10, "completion_tokens": 20, "total_tokens": 30}),
    )
}

#[test]
fn tools_parallel_calls_and_their_results() {
    let body = asked(&json!({
        "system": [{"type": "text", "text": "Be brief.", "cache_control": {"type": "ephemeral"}}],
        "messages": [
            {"role": "user", "content": "Weather in Paris and Rome?"},
            {"role": "assistant", "content": [
                {"type": "text", "text": "I look."},
                {"type": "tool_use", "id": "toolu_1", "name": "get_weather", "input": {"city": "Paris"}},
                {"type": "tool_use", "id": "toolu_2", "name": "get_weather", "input": {"city": "Rome"}},
            ]},
            {"role": "user", "content": [
                {"type": "tool_result", "tool_use_id": "toolu_1", "content": "15 C"},
                {"type": "tool_result", "tool_use_id": "toolu_2", "is_error": true, "content": [
                    {"type": "text", "text": "no such city"},
                    {"type": "image", "source": {"type": "url", "url": "https://example.com/map.png"}},
                ]},
                {"type": "text", "text": "And?"},
            ]},
        ],
        "tools": [{"name": "get_weather", "description": "Weather of a city",
            "input_schema": {"type": "object", "properties": {"city": {"type": "string"}}}}],
        "tool_choice": {"type": "any", "disable_parallel_tool_use": true},
    }));
    insta::assert_json_snapshot!(body.unwrap());
    let answer = message(
        &json!({"role": "assistant", "content": "I look.", "tool_calls": [
            {"id": "call_1", "type": "function", "function": {"name": "get_weather", "arguments": "{\"city\":\"Paris\"}"}},
            {"id": "call_2", "type": "function", "function": {"name": "get_weather", "arguments": ""}},
        ]}),
        "tool_calls",
    );
    insta::assert_json_snapshot!(answer);
}

#[test]
fn images_and_documents() {
    let body = asked(&json!({"messages": [{"role": "user", "content": [
        {"type": "image", "source": {"type": "base64", "media_type": "image/png", "data": "iVBORw0KGgo="}},
        {"type": "image", "source": {"type": "url", "url": "https://example.com/a.png"}},
        {"type": "document", "title": "a.pdf", "source": {"type": "base64", "media_type": "application/pdf", "data": "JVBERi0="}},
        {"type": "document", "source": {"type": "text", "media_type": "text/plain", "data": "The grass is green."}},
    ]}]}));
    insta::assert_json_snapshot!(body.unwrap()["messages"]);
}

#[test]
fn thoughts_and_effort() {
    let body = asked(&json!({
        "messages": [
            {"role": "user", "content": "Is it?"},
            {"role": "assistant", "content": [
                {"type": "thinking", "thinking": "Let me see.", "signature": "EqQBCg=="},
                {"type": "text", "text": "Yes."},
            ]},
            {"role": "user", "content": "Sure?"},
        ],
        "thinking": {"type": "adaptive", "display": "summarized"},
        "output_config": {"effort": "high"},
    }))
    .unwrap();
    insta::assert_json_snapshot!(json!([
        body["reasoning_effort"],
        body["max_completion_tokens"],
        body["messages"]
    ]));
    let answer = message(
        &json!({"role": "assistant", "reasoning_content": "Let me see.", "content": "Yes."}),
        "stop",
    );
    insta::assert_json_snapshot!(answer["content"]);
}

#[test]
fn structured_output() {
    let schema = json!({"type": "object", "properties": {"a": {"type": "string"}}, "required": ["a"],
                        "additionalProperties": false});
    let body = asked(&json!({"output_config": {"format": {"type": "json_schema", "schema": schema}}}));
    insta::assert_json_snapshot!(body.unwrap()["response_format"]);
}

#[test]
fn the_rest() {
    let fields = json!({
        "stop_sequences": ["END"], "temperature": 0.5, "top_p": 0.9, "metadata": {"user_id": "u-1"},
        "service_tier": "auto", "stream": true,
    });
    let body = asked(&fields).unwrap();
    insta::assert_json_snapshot!(body);
    let only_anthropic = json!({
        "top_k": 5, "container": "c", "tools": [{"type": "web_search_20250305", "name": "web_search"}],
        "messages": [{"role": "user", "content": [
            {"type": "search_result", "source": "s", "title": "t", "content": []},
            {"type": "text", "text": "a"},
        ]}],
    });
    insta::assert_debug_snapshot!(asked(&only_anthropic).unwrap_err().fields);
    assert!(asked_of(ChatFlavor::Compatible, &json!({"top_k": 5})).is_ok());
}

#[test]
fn every_reason_of_an_end() {
    let shown: Vec<String> = ["stop", "length", "tool_calls", "content_filter"]
        .map(|reason| {
            let answer = message(&json!({"role": "assistant", "content": "a"}), reason);
            format!("{reason}: {}", answer["stop_reason"])
        })
        .to_vec();
    insta::assert_snapshot!(shown.join("\n"));
    let refused = message(&json!({"role": "assistant", "content": null, "refusal": "No."}), "stop");
    assert_eq!(
        (&refused["stop_reason"], &refused["content"]),
        (&json!("refusal"), &json!([{"type": "text", "text": "No."}]))
    );
}

#[test]
fn counts_with_the_cache_beside_the_input() {
    let choice = json!({"index": 0, "message": {"role": "assistant", "content": "a"}, "finish_reason": "stop"});
    let usage = json!({
        "prompt_tokens": 100, "completion_tokens": 20, "total_tokens": 120,
        "prompt_tokens_details": {"cached_tokens": 60}, "completion_tokens_details": {"reasoning_tokens": 0},
    });
    insta::assert_json_snapshot!(answered(&choice, &usage)["usage"]);
}

#[test]
fn sources_of_the_web() {
    let answer = message(
        &json!({"role": "assistant", "content": "Sunny.", "annotations": [{"type": "url_citation", "url_citation": {
            "url": "https://example.com", "title": "Weather", "start_index": 0, "end_index": 6}}]}),
        "stop",
    );
    insta::assert_json_snapshot!(answer["content"]);
}

fn chunks(chunks: &[Value]) -> String {
    use std::fmt::Write;
    let mut text = String::new();
    for chunk in chunks {
        write!(text, "data: {chunk}\n\n").unwrap();
    }
    text + "data: [DONE]\n\n"
}

fn chunk(delta: &Value, finish: &Value) -> Value {
    json!({"id": "chatcmpl-1", "object": "chat.completion.chunk", "created": 1, "model": "gpt-5",
           "choices": [{"index": 0, "delta": delta, "finish_reason": finish}]})
}

#[test]
fn a_stream_with_thoughts_text_and_parallel_calls() {
    let call = |index: u8, id: &str, name: &str, arguments: &str| json!({"tool_calls": [{"index": index, "id": id, "type": "function", "function": {"name": name, "arguments": arguments}}]});
    let more =
        |index: u8, arguments: &str| json!({"tool_calls": [{"index": index, "function": {"arguments": arguments}}]});
    let null = Value::Null;
    let sent = chunks(&[
        chunk(&json!({"role": "assistant", "content": ""}), &null),
        chunk(&json!({"reasoning_content": "Hm."}), &null),
        chunk(&json!({"content": "I look."}), &null),
        chunk(&call(0, "call_1", "f", ""), &null),
        chunk(&more(0, "{\"a\":"), &null),
        chunk(&call(1, "call_2", "g", "{}"), &null),
        chunk(&more(0, "1}"), &null),
        chunk(&json!({}), &json!("tool_calls")),
        json!({"id": "chatcmpl-1", "object": "chat.completion.chunk", "created": 1, "model": "gpt-5", "choices": [],
               "usage": {"prompt_tokens": 100, "completion_tokens": 20, "total_tokens": 120,
                         "prompt_tokens_details": {"cached_tokens": 60}}}),
    ]);
    let ask = json!({"model": "m", "max_tokens": 10, "messages": [{"role": "user", "content": "hello world"}], "stream": true});
    insta::assert_snapshot!(translated_stream(Client::Messages, Wire::ChatCompletions, &ask, &sent));
}

#[test]
fn a_stream_that_breaks_in_its_middle() {
    let ask = json!({"model": "m", "max_tokens": 10, "messages": [], "stream": true});
    let sent = format!(
        "data: {}\n\n",
        chunk(&json!({"role": "assistant", "content": "Hel"}), &Value::Null)
    );
    insta::assert_snapshot!(translated_stream(Client::Messages, Wire::ChatCompletions, &ask, &sent));
}

#[test]
fn errors_in_the_dialect_of_the_client() {
    let translation = Translation::new(Client::Messages, Wire::ChatCompletions).unwrap();
    let shown: Vec<String> = [
        (400, json!({"error": {"message": "This model's maximum context length is 8192 tokens.", "type": "invalid_request_error", "param": "messages", "code": "context_length_exceeded"}})),
        (404, json!({"error": {"message": "The model does not exist", "type": "invalid_request_error", "param": null, "code": "model_not_found"}})),
        (429, json!({"error": {"message": "slow down", "type": "requests", "param": null, "code": "rate_limit_exceeded"}})),
        (503, json!({"error": {"message": "overloaded", "type": "server_error", "param": null, "code": null}})),
    ]
    .map(|(status, body)| {
        let (error, body) = translation.error(status, body.to_string().as_bytes());
        format!("{} {}", error.kind.status(), String::from_utf8(body).unwrap())
    })
    .to_vec();
    insta::assert_snapshot!(shown.join("\n"));
}

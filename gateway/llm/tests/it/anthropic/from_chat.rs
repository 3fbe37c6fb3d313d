//! Chat Completions in front of Anthropic, by feature: what is asked, and what comes back.

use serde_json::{Value, json};
use tokenweir_llm::conversation::Unsupported;
use tokenweir_llm::dialect::{Client, Target, Wire};
use tokenweir_llm::translate::Translation;

use super::{sse, translated_answer, translated_stream, value};

const MODEL: &str = "claude-opus-4-8";

fn asked(fields: &Value) -> Result<Value, Unsupported> {
    let mut body =
        json!({"model": "assistant", "max_tokens": 4000, "messages": [{"role": "user", "content": "Hello"}]});
    body.as_object_mut()
        .unwrap()
        .extend(fields.as_object().unwrap().clone());
    let request = tokenweir_llm::translate::read_request(Client::ChatCompletions, body.to_string().as_bytes()).unwrap();
    let translation = Translation::new(Client::ChatCompletions, Wire::Messages).unwrap();
    let target = Target {
        model: MODEL,
        ..Target::default()
    };
    translation.request(&request, &target, false).map(|body| value(&body))
}

/// What Anthropic answers, as the client of Chat Completions reads it.
fn answered(fields: &Value) -> Value {
    let mut body = json!({
        "id": "msg_01", "type": "message", "role": "assistant", "model": MODEL, "content": [],
        "stop_reason": "end_turn", "stop_sequence": null, "usage": {"input_tokens": 10, "output_tokens": 20},
    });
    body.as_object_mut()
        .unwrap()
        .extend(fields.as_object().unwrap().clone());
    translated_answer(Client::ChatCompletions, Wire::Messages, &body)
}

#[test]
fn tools_parallel_calls_and_their_results() {
    let body = asked(&json!({
        "messages": [
            {"role": "system", "content": "Be brief."},
            {"role": "user", "content": "Weather in Paris and Rome?"},
            {"role": "assistant", "content": null, "tool_calls": [
                {"id": "call_1", "type": "function", "function": {"name": "get_weather", "arguments": "{\"city\":\"Paris\"}"}},
                {"id": "call_2", "type": "function", "function": {"name": "get_weather", "arguments": "{\"city\":\"Rome\"}"}},
            ]},
            {"role": "tool", "tool_call_id": "call_1", "content": "15 C"},
            {"role": "tool", "tool_call_id": "call_2", "content": [{"type": "text", "text": "22 C"}]},
            {"role": "user", "content": "And?"},
        ],
        "tools": [{"type": "function", "function": {"name": "get_weather", "description": "Weather of a city",
            "strict": true, "parameters": {"type": "object", "properties": {"city": {"type": "string"}}}}}],
        "tool_choice": {"type": "function", "function": {"name": "get_weather"}},
        "parallel_tool_calls": false,
    }));
    insta::assert_json_snapshot!(body.unwrap());
    insta::assert_json_snapshot!(answered(&json!({
        "stop_reason": "tool_use",
        "content": [
            {"type": "text", "text": "I look."},
            {"type": "tool_use", "id": "toolu_1", "name": "get_weather", "input": {"city": "Paris"}},
            {"type": "tool_use", "id": "toolu_2", "name": "get_weather", "input": {}},
        ],
    })));
}

#[test]
fn images_and_files() {
    let body = asked(&json!({"messages": [{"role": "user", "content": [
        {"type": "text", "text": "What is this?"},
        {"type": "image_url", "image_url": {"url": "data:image/png;base64,iVBORw0KGgo="}},
        {"type": "image_url", "image_url": {"url": "https://example.com/a.png", "detail": "auto"}},
        {"type": "file", "file": {"filename": "a.pdf", "file_data": "data:application/pdf;base64,JVBERi0="}},
    ]}]}));
    insta::assert_json_snapshot!(body.unwrap()["messages"]);
}

#[test]
fn thoughts_with_their_proofs_there_and_back() {
    let answer = answered(&json!({"content": [
        {"type": "thinking", "thinking": "Let me see.", "signature": "EqQBCg=="},
        {"type": "redacted_thinking", "data": "EmwKAhgB"},
        {"type": "text", "text": "Yes."},
    ]}));
    insta::assert_json_snapshot!(answer);
    let body = asked(&json!({
        "messages": [
            {"role": "user", "content": "Is it?"},
            answer["choices"][0]["message"],
            {"role": "user", "content": "Sure?"},
        ],
        "reasoning_effort": "high",
    }))
    .unwrap();
    insta::assert_json_snapshot!(json!([body["thinking"], body["output_config"], body["messages"][1]]));
}

#[test]
fn structured_output() {
    let schema = json!({"type": "object", "properties": {"a": {"type": "string"}}, "required": ["a"],
                        "additionalProperties": false});
    let body = asked(&json!({"response_format": {"type": "json_schema",
        "json_schema": {"name": "letter", "schema": schema, "strict": true}}}));
    insta::assert_json_snapshot!(body.unwrap()["output_config"]);
    let error = asked(&json!({"response_format": {"type": "json_object"}})).unwrap_err();
    insta::assert_snapshot!(error.to_string(), @"'response_format' is not supported by the provider of this model, which speaks Anthropic Messages; leave it out, or set dropUnsupported on the route");
}

#[test]
fn what_the_model_does_not_take_is_named_by_the_clients_own_fields() {
    let error = asked(&json!({
        "messages": [
            {"role": "user", "name": "ann", "content": [{"type": "input_audio", "input_audio": {"data": "AAAA", "format": "wav"}}]},
            {"role": "assistant", "content": "a"},
        ],
        "n": 2, "seed": 1, "temperature": 0.2, "logprobs": true, "presence_penalty": 1, "logit_bias": {"5": 1},
        "stop": ["\n"],
    }))
    .unwrap_err();
    insta::assert_debug_snapshot!(error.fields);
}

#[test]
fn every_reason_of_an_end() {
    let shown: Vec<String> = [
        "end_turn",
        "max_tokens",
        "stop_sequence",
        "tool_use",
        "pause_turn",
        "refusal",
        "model_context_window_exceeded",
    ]
    .map(|reason| {
        let answer = answered(&json!({"stop_reason": reason, "content": [{"type": "text", "text": "a"}]}));
        format!("{reason}: {}", answer["choices"][0]["finish_reason"])
    })
    .to_vec();
    insta::assert_snapshot!(shown.join("\n"));
}

#[test]
fn counts_with_the_cache_inside_of_the_prompt() {
    let answer = answered(&json!({"usage": {
        "input_tokens": 10, "cache_read_input_tokens": 70, "cache_creation_input_tokens": 20, "output_tokens": 30,
        "output_tokens_details": {"thinking_tokens": 12},
    }}));
    insta::assert_json_snapshot!(answer["usage"]);
}

#[test]
fn sources_of_the_web() {
    let answer = answered(&json!({"content": [{"type": "text", "text": "Sunny.", "citations": [
        {"type": "web_search_result_location", "url": "https://example.com", "title": "Weather", "encrypted_index": "E",
         "cited_text": "sun"},
        {"type": "char_location", "document_index": 0, "document_title": "d", "cited_text": "c", "start_char_index": 0,
         "end_char_index": 1},
    ]}]}));
    insta::assert_json_snapshot!(answer["choices"][0]["message"]);
}

#[test]
fn a_stream_with_thoughts_text_and_parallel_calls() {
    let sent = sse(&[
        (
            "message_start",
            json!({"type": "message_start", "message": {"id": "msg_01", "model": MODEL,
            "usage": {"input_tokens": 10, "cache_read_input_tokens": 5, "output_tokens": 1}}}),
        ),
        ("ping", json!({"type": "ping"})),
        (
            "content_block_start",
            json!({"type": "content_block_start", "index": 0, "content_block": {"type": "thinking", "thinking": "", "signature": ""}}),
        ),
        (
            "content_block_delta",
            json!({"type": "content_block_delta", "index": 0, "delta": {"type": "thinking_delta", "thinking": "Hm."}}),
        ),
        (
            "content_block_delta",
            json!({"type": "content_block_delta", "index": 0, "delta": {"type": "signature_delta", "signature": "EqQB"}}),
        ),
        ("content_block_stop", json!({"type": "content_block_stop", "index": 0})),
        (
            "content_block_start",
            json!({"type": "content_block_start", "index": 1, "content_block": {"type": "text", "text": ""}}),
        ),
        (
            "content_block_delta",
            json!({"type": "content_block_delta", "index": 1, "delta": {"type": "text_delta", "text": "I look."}}),
        ),
        ("content_block_stop", json!({"type": "content_block_stop", "index": 1})),
        (
            "content_block_start",
            json!({"type": "content_block_start", "index": 2, "content_block": {"type": "tool_use", "id": "toolu_1", "name": "f", "input": {}}}),
        ),
        (
            "content_block_delta",
            json!({"type": "content_block_delta", "index": 2, "delta": {"type": "input_json_delta", "partial_json": "{\"a\":1}"}}),
        ),
        ("content_block_stop", json!({"type": "content_block_stop", "index": 2})),
        (
            "content_block_start",
            json!({"type": "content_block_start", "index": 3, "content_block": {"type": "tool_use", "id": "toolu_2", "name": "g", "input": {}}}),
        ),
        ("content_block_stop", json!({"type": "content_block_stop", "index": 3})),
        (
            "message_delta",
            json!({"type": "message_delta", "delta": {"stop_reason": "tool_use"}, "usage": {"output_tokens": 30}}),
        ),
        ("message_stop", json!({"type": "message_stop"})),
    ]);
    let ask = json!({"model": "m", "messages": [], "stream": true, "stream_options": {"include_usage": true}});
    insta::assert_snapshot!(translated_stream(Client::ChatCompletions, Wire::Messages, &ask, &sent));
}

#[test]
fn a_stream_that_breaks_in_its_middle() {
    let ask = json!({"model": "m", "messages": [], "stream": true});
    let start = sse(&[
        (
            "message_start",
            json!({"type": "message_start", "message": {"id": "msg_01", "model": MODEL}}),
        ),
        (
            "error",
            json!({"type": "error", "error": {"type": "overloaded_error", "message": "Overloaded"}}),
        ),
    ]);
    insta::assert_snapshot!(translated_stream(Client::ChatCompletions, Wire::Messages, &ask, &start));
}

#[test]
fn errors_in_the_dialect_of_the_client() {
    let translation = Translation::new(Client::ChatCompletions, Wire::Messages).unwrap();
    let shown: Vec<String> = [
        (400, "invalid_request_error", "prompt is too long: 9 > 8"),
        (429, "rate_limit_error", "slow down"),
        (529, "overloaded_error", "Overloaded"),
    ]
    .map(|(status, kind, message)| {
        let body = json!({"type": "error", "error": {"type": kind, "message": message}});
        let (error, body) = translation.error(status, body.to_string().as_bytes());
        format!("{} {}", error.kind.status(), String::from_utf8(body).unwrap())
    })
    .to_vec();
    insta::assert_snapshot!(shown.join("\n"));
}

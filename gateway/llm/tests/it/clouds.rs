//! Chat Completions and Messages in front of Google's and Amazon's models, there and back.

use std::sync::Arc;

use proptest::prelude::*;
use tokenweir_llm::dialect::converse::eventstream::encode;
use tokenweir_llm::dialect::{Client, Context, Target, Wire};
use tokenweir_llm::translate::{Translation, read_request};

use crate::wires::cut;

const REQUEST: &str = r#"{
  "model": "assistant",
  "messages": [
    {"role": "developer", "content": "Be brief."},
    {"role": "user", "content": [
      {"type": "text", "text": "What is the weather where this was taken?"},
      {"type": "image_url", "image_url": {"url": "data:image/png;base64,aGk="}}
    ]},
    {"role": "assistant", "content": null, "tool_calls": [
      {"id": "call_1", "type": "function", "function": {"name": "get_weather", "arguments": "{\"city\":\"Paris\"}"},
       "extra_content": {"google": {"thought_signature": "c2ln"}}},
      {"id": "call_2", "type": "function", "function": {"name": "get_weather", "arguments": "{\"city\":\"Rome\"}"}}
    ]},
    {"role": "tool", "tool_call_id": "call_1", "content": "15 C"},
    {"role": "tool", "tool_call_id": "call_2", "content": "22 C"}
  ],
  "tools": [{"type": "function", "function": {"name": "get_weather", "description": "Weather of a city",
    "parameters": {"type": "object", "properties": {"city": {"type": "string"}}, "required": ["city"]}}}],
  "tool_choice": "auto",
  "max_completion_tokens": 4096,
  "temperature": 1,
  "reasoning_effort": "low",
  "stream": true,
  "stream_options": {"include_usage": true}
}"#;

fn context() -> Context {
    let request = read_request(Client::ChatCompletions, REQUEST.as_bytes()).unwrap();
    Context {
        id: "req-1".into(),
        now_unix: 1_700_000_000,
        request: Arc::new(request),
    }
}

fn written(wire: Wire, model: &str) -> serde_json::Value {
    let translation = Translation::new(Client::ChatCompletions, wire).unwrap();
    let target = Target {
        model,
        ..Target::default()
    };
    let body = translation.request(&context().request, &target, false).unwrap();
    serde_json::from_slice(&body).unwrap()
}

fn answered(wire: Wire, body: &str) -> serde_json::Value {
    let translation = Translation::new(Client::ChatCompletions, wire).unwrap();
    let (body, _) = translation.answer(body.as_bytes(), &context()).unwrap();
    serde_json::from_slice(&body).unwrap()
}

fn streamed(wire: Wire, pieces: &[&[u8]]) -> String {
    let translation = Translation::new(Client::ChatCompletions, wire).unwrap();
    let mut stream = translation.stream(context());
    let mut out = Vec::new();
    for piece in pieces {
        stream.push(piece, &mut out);
    }
    stream.finish(&mut out);
    String::from_utf8(out).unwrap()
}

#[test]
fn a_request_goes_to_gemini() {
    insta::assert_json_snapshot!(written(Wire::Gemini, "gemini-3-flash"));
}

#[test]
fn a_request_goes_to_bedrock() {
    insta::assert_json_snapshot!(written(Wire::Converse, "anthropic.claude-sonnet-4-5-20250929-v1:0"));
}

const OF_GEMINI: &str = r#"{"candidates":[{"content":{"parts":[{"text":"Two cities.","thought":true},
  {"functionCall":{"id":"fc1","name":"get_weather","args":{"city":"Paris"}},"thoughtSignature":"c2ln"}]},"finishReason":"STOP"}],
  "usageMetadata":{"promptTokenCount":20,"candidatesTokenCount":12,"thoughtsTokenCount":30,"totalTokenCount":62},
  "modelVersion":"gemini-3-flash","responseId":"r1"}"#;

const OF_BEDROCK: &str = r#"{"output":{"message":{"role":"assistant","content":[
  {"reasoningContent":{"reasoningText":{"text":"Hm.","signature":"c2ln"}}},{"text":"15 C and 22 C."}]}},"stopReason":"end_turn",
  "usage":{"inputTokens":10,"outputTokens":20,"totalTokens":1030,"cacheReadInputTokens":1000}}"#;

#[test]
fn an_answer_of_gemini_comes_back() {
    insta::assert_json_snapshot!(answered(Wire::Gemini, OF_GEMINI));
}

#[test]
fn an_answer_of_bedrock_comes_back() {
    insta::assert_json_snapshot!(answered(Wire::Converse, OF_BEDROCK));
}

const GEMINI_STREAM: &str = concat!(
    "data: {\"candidates\":[{\"content\":{\"parts\":[{\"text\":\"Two cities.\",\"thought\":true}]}}],",
    "\"modelVersion\":\"gemini-3-flash\",\"responseId\":\"r1\"}\r\n\r\n",
    "data: {\"candidates\":[{\"content\":{\"parts\":[{\"text\":\"15 C in \"}]}}]}\r\n\r\n",
    "data: {\"candidates\":[{\"content\":{\"parts\":[{\"text\":\"Paris\",\"thoughtSignature\":\"ZW5k\"}]},\"finishReason\":\"STOP\"}],",
    "\"usageMetadata\":{\"promptTokenCount\":20,\"candidatesTokenCount\":6,\"thoughtsTokenCount\":3,\"totalTokenCount\":29}}\r\n\r\n",
);

fn bedrock_stream() -> Vec<u8> {
    [
        ("messageStart", r#"{"role":"assistant"}"#),
        (
            "contentBlockDelta",
            r#"{"contentBlockIndex":0,"delta":{"text":"Let me"}}"#,
        ),
        (
            "contentBlockDelta",
            r#"{"contentBlockIndex":0,"delta":{"text":" look."}}"#,
        ),
        ("contentBlockStop", r#"{"contentBlockIndex":0}"#),
        (
            "contentBlockStart",
            r#"{"contentBlockIndex":1,"start":{"toolUse":{"toolUseId":"tooluse_1","name":"get_weather"}}}"#,
        ),
        (
            "contentBlockDelta",
            r#"{"contentBlockIndex":1,"delta":{"toolUse":{"input":"{\"city\":\"Paris\"}"}}}"#,
        ),
        ("contentBlockStop", r#"{"contentBlockIndex":1}"#),
        ("messageStop", r#"{"stopReason":"tool_use"}"#),
        (
            "metadata",
            r#"{"usage":{"inputTokens":10,"outputTokens":20,"totalTokens":30}}"#,
        ),
    ]
    .iter()
    .flat_map(|(name, payload)| encode(&[(":message-type", "event"), (":event-type", name)], payload.as_bytes()))
    .collect()
}

#[test]
fn a_stream_of_gemini_comes_back() {
    insta::assert_snapshot!(streamed(Wire::Gemini, &[GEMINI_STREAM.as_bytes()]));
}

#[test]
fn a_stream_of_bedrock_comes_back() {
    insta::assert_snapshot!(streamed(Wire::Converse, &[&bedrock_stream()]));
}

/// A turn of an Anthropic client with thinking, a cache mark and a result; the id of the call carries Gemini's proof.
fn message_request(id: &str, thinking: &str) -> String {
    serde_json::json!({
        "model": "assistant",
        "max_tokens": 4096,
        "system": [{"type": "text", "text": "Be brief.", "cache_control": {"type": "ephemeral"}}],
        "messages": [
            {"role": "user", "content": "Weather in Paris?"},
            {"role": "assistant", "content": [
                {"type": "thinking", "thinking": "Hm.", "signature": thinking},
                {"type": "tool_use", "id": id, "name": "get_weather", "input": {"city": "Paris"}},
            ]},
            {"role": "user", "content": [
                {"type": "text", "text": "Here it is."},
                {"type": "tool_result", "tool_use_id": id, "content": [{"type": "text", "text": "15 C"}], "is_error": false},
            ]},
        ],
        "tools": [{"name": "get_weather", "input_schema": {"type": "object"}}],
        "thinking": {"type": "enabled", "budget_tokens": 2048},
    })
    .to_string()
}

fn of_messages(wire: Wire, model: &str, body: &str) -> serde_json::Value {
    let request = read_request(Client::Messages, body.as_bytes()).unwrap();
    let translation = Translation::new(Client::Messages, wire).unwrap();
    let target = Target {
        model,
        ..Target::default()
    };
    serde_json::from_slice(&translation.request(&request, &target, false).unwrap()).unwrap()
}

#[test]
fn a_client_of_anthropic_goes_to_bedrock_with_caches_thoughts_and_results() {
    let body = message_request("toolu_1", "EqQBCgIYAhIM");
    insta::assert_json_snapshot!(of_messages(
        Wire::Converse,
        "eu.anthropic.claude-sonnet-4-5-20250929-v1:0",
        &body
    ));
}

#[test]
fn a_client_of_anthropic_gives_geminis_proof_back_in_the_id_of_the_call() {
    let translation = Translation::new(Client::Messages, Wire::Gemini).unwrap();
    let request = read_request(
        Client::Messages,
        br#"{"model":"assistant","max_tokens":9,"messages":[{"role":"user","content":"hi"}]}"#,
    )
    .unwrap();
    let context = Context {
        id: "req-1".into(),
        now_unix: 1_700_000_000,
        request: Arc::new(request),
    };
    let (answer, _) = translation.answer(OF_GEMINI.as_bytes(), &context).unwrap();
    let answer: serde_json::Value = serde_json::from_slice(&answer).unwrap();
    let call = answer["content"]
        .as_array()
        .unwrap()
        .iter()
        .find(|block| block["type"] == "tool_use")
        .unwrap();
    let body = message_request(call["id"].as_str().unwrap(), "EqQBCgIYAhIM");
    let written = of_messages(Wire::Gemini, "gemini-3-flash", &body);
    insta::assert_json_snapshot!(written);
    let text = written.to_string();
    assert!(text.contains("c2ln") && !text.contains("EqQBCgIYAhIM"), "{text}");
}

#[test]
fn errors_come_back_in_openais_form() {
    let error = |wire, status, body: &str| {
        let translation = Translation::new(Client::ChatCompletions, wire).unwrap();
        let (_, body) = translation.error(status, body.as_bytes());
        serde_json::from_slice::<serde_json::Value>(&body).unwrap()["error"]["message"].clone()
    };
    let google = r#"{"error":{"code":429,"message":"Quota exceeded.","status":"RESOURCE_EXHAUSTED"}}"#;
    assert_eq!(error(Wire::Gemini, 429, google), "Quota exceeded.");
    assert_eq!(error(Wire::Converse, 400, r#"{"message":"Bad model."}"#), "Bad model.");
}

proptest! {
    #[test]
    fn streams_cut_anywhere_read_the_same(at in prop::collection::vec(any::<usize>(), 0..12)) {
        let bedrock = bedrock_stream();
        for (wire, bytes) in [(Wire::Gemini, GEMINI_STREAM.as_bytes()), (Wire::Converse, &bedrock)] {
            let whole = streamed(wire, &[bytes]);
            let text = |stream: &str| stream.matches("\"content\":\"").count();
            let cut_up = streamed(wire, &cut(bytes, at.clone()));
            prop_assert_eq!(text(&cut_up), text(&whole));
            prop_assert_eq!(cut_up, whole);
        }
    }
}

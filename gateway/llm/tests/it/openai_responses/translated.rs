//! In front of a server that speaks Chat Completions.

use proptest::prelude::*;
use serde_json::Value;
use tokenweir_llm::dialect::{ChatFlavor, Client, Target, Wire};
use tokenweir_llm::translate::Translation;

use super::{context, json, read};
use crate::wires::cut;

const TARGET: Target<'static> = Target {
    model: "llama",
    max_tokens: None,
    chat: ChatFlavor::Compatible,
};

const REQUEST: &str = r#"{"model":"assistant","instructions":"Be terse.","max_output_tokens":100,"stream":true,"store":false,
    "include":["reasoning.encrypted_content"],"reasoning":{"effort":"low","summary":"auto"},"parallel_tool_calls":true,
    "tool_choice":"auto","text":{"format":{"type":"json_object"},"verbosity":"low"},"prompt_cache_key":"k","metadata":{"a":"b"},
    "tools":[{"type":"function","name":"weather","description":"d","strict":false,"parameters":{"type":"object"}}],
    "input":[{"role":"user","content":[{"type":"input_text","text":"Weather here?"},{"type":"input_image","image_url":"https://a.example/b.png","detail":"low"}]},
        {"type":"reasoning","id":"rs_1","summary":[{"type":"summary_text","text":"Two calls."}],"encrypted_content":null},
        {"type":"function_call","id":"fc_1","call_id":"call_1","name":"weather","arguments":"{\"city\":\"Paris\"}"},
        {"type":"function_call","id":"fc_2","call_id":"call_2","name":"weather","arguments":"{\"city\":\"Rome\"}"},
        {"type":"function_call_output","call_id":"call_1","output":"rain"},
        {"type":"function_call_output","call_id":"call_2","output":"sun"}]}"#;

/// A stream of a server that thinks in clear and calls two functions.
const STREAM: &str = concat!(
    "data: {\"id\":\"chatcmpl-1\",\"created\":1,\"model\":\"llama\",\"choices\":[{\"index\":0,\"delta\":{\"role\":\"assistant\",\"content\":\"\"}}]}\n\n",
    "data: {\"id\":\"chatcmpl-1\",\"choices\":[{\"index\":0,\"delta\":{\"reasoning_content\":\"Zwei Städte.\"}}]}\n\n",
    "data: {\"id\":\"chatcmpl-1\",\"choices\":[{\"index\":0,\"delta\":{\"content\":\"Ich \"}}]}\r\n\r\n",
    ": a comment\n\n",
    "data: {\"id\":\"chatcmpl-1\",\"choices\":[{\"index\":0,\"delta\":{\"content\":\"sehe.\"}}]}\n\n",
    "data: {\"id\":\"chatcmpl-1\",\"choices\":[{\"index\":0,\"delta\":{\"tool_calls\":[{\"index\":0,\"id\":\"call_1\",\"function\":{\"name\":\"weather\",\"arguments\":\"\"}}]}}]}\n\n",
    "data: {\"id\":\"chatcmpl-1\",\"choices\":[{\"index\":0,\"delta\":{\"tool_calls\":[{\"index\":0,\"function\":{\"arguments\":\"{\\\"city\\\":\\\"Köln\\\"}\"}}]}}]}\n\n",
    "data: {\"id\":\"chatcmpl-1\",\"choices\":[{\"index\":0,\"delta\":{\"tool_calls\":[{\"index\":1,\"id\":\"call_2\",\"function\":{\"name\":\"weather\",\"arguments\":\"{\\\"city\\\":\\\"Rom\\\"}\"}}]}}]}\n\n",
    "data: {\"id\":\"chatcmpl-1\",\"choices\":[{\"index\":0,\"delta\":{},\"finish_reason\":\"tool_calls\"}]}\n\n",
    "data: {\"id\":\"chatcmpl-1\",\"choices\":[],\"usage\":{\"prompt_tokens\":9,\"completion_tokens\":5,\"total_tokens\":14}}\n\n",
    "data: [DONE]\n\n",
);

fn translation() -> Translation {
    Translation::new(Client::Responses, Wire::ChatCompletions).unwrap()
}

/// The stream in these pieces, as the client reads it.
fn streamed(pieces: &[&[u8]]) -> String {
    let mut stream = translation().stream(context(REQUEST));
    let mut out = Vec::new();
    for piece in pieces {
        stream.push(piece, &mut out);
    }
    stream.finish(&mut out);
    String::from_utf8(out).unwrap()
}

#[test]
fn a_request_is_written_as_a_chat() {
    let body = translation().request(&read(REQUEST), &TARGET, false).unwrap();
    insta::assert_json_snapshot!(json(&body));
}

#[test]
fn what_a_chat_cannot_say_is_named_and_may_be_dropped() {
    let request = read(
        r#"{"model":"m","store":true,"previous_response_id":"resp_1","truncation":"auto","tools":[{"type":"web_search"}],
        "input":[{"type":"item_reference","id":"msg_1"},{"role":"user","content":"x"}]}"#,
    );
    let refused = translation().request(&request, &TARGET, false).unwrap_err();
    let named = ["input[0]", "tools[0]", "store", "previous_response_id", "truncation"];
    let mut fields: Vec<&str> = refused.fields.iter().map(|field| &**field).collect();
    fields.sort_unstable();
    let mut expected = named;
    expected.sort_unstable();
    assert_eq!(fields, expected);
    let dropped = json(&translation().request(&request, &TARGET, true).unwrap());
    assert_eq!(dropped["messages"].as_array().map(Vec::len), Some(1));
}

#[test]
fn an_answer_of_a_chat_is_a_response() {
    let body = br#"{"id":"chatcmpl-1","created":1,"model":"llama","choices":[{"index":0,"finish_reason":"length","message":
        {"role":"assistant","reasoning_content":"Hm.","content":"Hello"}}],"usage":{"prompt_tokens":9,"completion_tokens":5,"total_tokens":14}}"#;
    let (body, usage) = translation().answer(body, &context(REQUEST)).unwrap();
    assert_eq!(usage.completion_tokens, Some(5));
    let written = json(&body);
    assert_eq!(
        (&written["status"], &written["incomplete_details"]["reason"]),
        (&"incomplete".into(), &"max_output_tokens".into())
    );
    insta::assert_json_snapshot!(written["output"]);
}

/// What a wire writes when a client goes on after an answer.
fn next_turn(wire: Wire, answer: &str) -> Value {
    let translation = Translation::new(Client::Responses, wire).unwrap();
    let (body, _) = translation.answer(answer.as_bytes(), &context(REQUEST)).unwrap();
    let mut input = vec![serde_json::json!({"role": "user", "content": "Weather?"})];
    input.extend(json(&body)["output"].as_array().cloned().unwrap());
    let calls: Vec<Value> = (input.iter())
        .filter(|item| item["type"] == "function_call")
        .map(|call| serde_json::json!({"type": "function_call_output", "call_id": call["call_id"], "output": "rain"}))
        .collect();
    input.extend(calls);
    let request = serde_json::json!({"model": "m", "input": input}).to_string();
    json(&translation.request(&read(&request), &TARGET, false).unwrap())
}

#[test]
fn the_proof_behind_a_call_comes_back_to_gemini() {
    let next = next_turn(
        Wire::Gemini,
        r#"{"candidates":[{"content":{"role":"model","parts":[{"text":"Hm.","thought":true},
        {"functionCall":{"id":"fc1","name":"weather","args":{"city":"Paris"}},"thoughtSignature":"Y2FsbA=="},
        {"functionCall":{"id":"fc2","name":"weather","args":{"city":"Rome"}}}]},"finishReason":"STOP"}]}"#,
    );
    insta::assert_json_snapshot!(next["contents"]);
}

#[test]
fn signed_and_redacted_thoughts_come_back_to_bedrock() {
    let next = next_turn(
        Wire::Converse,
        r#"{"output":{"message":{"role":"assistant","content":[
        {"reasoningContent":{"reasoningText":{"text":"Hm.","signature":"c2ln"}}},
        {"reasoningContent":{"redactedContent":"EmwK"}},{"text":"I look."},
        {"toolUse":{"toolUseId":"t1","name":"weather","input":{"city":"Paris"}}}]}},
        "stopReason":"tool_use","usage":{"inputTokens":1,"outputTokens":2,"totalTokens":3}}"#,
    );
    insta::assert_json_snapshot!(next["messages"]);
}

#[test]
fn a_stream_of_a_chat_is_one_of_a_response() {
    let told = streamed(&[STREAM.as_bytes()]);
    let events = super::streamed::read(told.as_bytes());
    let lines: Vec<String> = events
        .iter()
        .map(|event| {
            let of = |key: &str| event.get(key).map(Value::to_string).unwrap_or_default();
            format!(
                "{} {}{}",
                event["type"].as_str().unwrap(),
                of("output_index"),
                of("delta")
            )
        })
        .collect();
    insta::assert_snapshot!(lines.join("\n"));
    let last = &events[events.len() - 1]["response"];
    assert_eq!(
        (&last["usage"]["total_tokens"], &last["metadata"]["a"]),
        (&14.into(), &"b".into())
    );
}

#[test]
fn a_stream_that_breaks_off_fails_in_the_dialect_of_the_client() {
    let whole = STREAM.as_bytes();
    let told = streamed(&[&whole[..600]]);
    let events = super::streamed::read(told.as_bytes());
    let kinds: Vec<_> = events.iter().map(|event| event["type"].as_str().unwrap()).collect();
    assert_eq!(&kinds[kinds.len() - 2..], ["error", "response.failed"]);
}

proptest! {
    #[test]
    fn a_stream_cut_anywhere_gives_the_same_bytes(at in prop::collection::vec(any::<usize>(), 0..12)) {
        let whole = streamed(&[STREAM.as_bytes()]);
        prop_assert_eq!(streamed(&cut(STREAM.as_bytes(), at)), whole);
    }
}

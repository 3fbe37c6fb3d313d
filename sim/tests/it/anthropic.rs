//! Anthropic Messages: tools, thoughts with their proofs, the prompt cache, and what is refused.

use http::{Method, StatusCode};
use serde_json::{Value, json};

use crate::client::{Headers, Reply, post, send, start};

const VERSION: Headers<'_> = &[("anthropic-version", "2023-06-01")];
const MESSAGES: &str = "/v1/messages";

fn ask(text: &str, more: Value) -> Value {
    let mut body = json!({"model": "c", "max_tokens": 4096, "messages": [{"role": "user", "content": text}]});
    let Value::Object(more) = more else {
        panic!("more fields come as an object, not as {more}")
    };
    for (key, value) in more {
        body[key] = value;
    }
    body
}

fn tool(name: &str) -> Value {
    let schema = json!({"type": "object", "properties": {"city": {"type": "string"}}, "required": ["city"]});
    json!({"name": name, "input_schema": schema})
}

/// The blocks of a streamed answer, put together as clients do.
fn joined(reply: &Reply) -> Vec<Value> {
    let mut blocks: Vec<Value> = Vec::new();
    let mut partial = String::new();
    for event in reply.chunks() {
        let index = usize::try_from(event["index"].as_u64().unwrap_or(0)).unwrap();
        match event["type"].as_str().unwrap() {
            "content_block_start" => {
                assert_eq!(index, blocks.len());
                blocks.push(event["content_block"].clone());
                partial.clear();
            }
            "content_block_delta" => {
                let delta = &event["delta"];
                let (field, more) = match delta["type"].as_str().unwrap() {
                    "text_delta" => ("text", &delta["text"]),
                    "thinking_delta" => ("thinking", &delta["thinking"]),
                    "signature_delta" => ("signature", &delta["signature"]),
                    "input_json_delta" => {
                        partial.push_str(delta["partial_json"].as_str().unwrap());
                        continue;
                    }
                    other => panic!("{other}"),
                };
                blocks[index][field] =
                    format!("{}{}", blocks[index][field].as_str().unwrap(), more.as_str().unwrap()).into();
            }
            "content_block_stop" if blocks[index]["type"] == "tool_use" => {
                blocks[index]["input"] = serde_json::from_str(&partial).unwrap();
            }
            _ => {}
        }
    }
    blocks
}

#[tokio::test]
async fn tools_are_called_and_streams_say_what_whole_answers_say() {
    let sim = start(|_| ());
    let body = ask("[[sim:calls=2;tokens=3]]", json!({"tools": [tool("a"), tool("b")]}));
    let whole = post(&sim, MESSAGES, VERSION, body.clone()).await.json();
    assert_eq!(whole["stop_reason"], "tool_use");
    let kinds: Vec<&str> = whole["content"]
        .as_array()
        .unwrap()
        .iter()
        .map(|b| b["type"].as_str().unwrap())
        .collect();
    assert_eq!(kinds, ["text", "tool_use", "tool_use"]);
    assert!(whole["content"][1]["id"].as_str().unwrap().starts_with("toolu_"));
    assert!(whole["content"][2]["input"]["city"].is_string());
    let mut streamed = body.clone();
    streamed["stream"] = json!(true);
    let reply = post(&sim, MESSAGES, VERSION, streamed).await;
    assert_eq!(Value::from(joined(&reply)), whole["content"]);
    let end = reply
        .chunks()
        .into_iter()
        .find(|event| event["type"] == "message_delta")
        .unwrap();
    assert_eq!(end["delta"]["stop_reason"], "tool_use");
    assert_eq!(end["usage"], whole["usage"]);
    for (choice, calls) in [
        (json!({"type": "any"}), 1),
        (json!({"type": "tool", "name": "b"}), 1),
        (json!({"type": "none"}), 0),
        (json!({"type": "auto", "disable_parallel_tool_use": true}), 1),
    ] {
        let text = if calls == 1 && choice["type"] != "auto" {
            "x"
        } else {
            "[[sim:calls=2]]"
        };
        let body = ask(text, json!({"tools": [tool("a"), tool("b")], "tool_choice": choice}));
        let answer = post(&sim, MESSAGES, VERSION, body).await.json();
        let found = answer["content"]
            .as_array()
            .unwrap()
            .iter()
            .filter(|b| b["type"] == "tool_use")
            .count();
        assert_eq!(found, calls, "{choice}");
    }
}

#[tokio::test]
async fn thoughts_carry_a_proof_that_must_come_back_unchanged() {
    let sim = start(|_| ());
    let thinking = json!({"type": "enabled", "budget_tokens": 1024});
    let body = ask(
        "[[sim:calls=1;thinking=6;redacted]]",
        json!({"thinking": thinking, "tools": [tool("a")]}),
    );
    let answer = post(&sim, MESSAGES, VERSION, body.clone()).await.json();
    let content = answer["content"].clone();
    assert_eq!(content[0]["type"], "redacted_thinking");
    assert_eq!(content[1]["type"], "thinking");
    let mut streamed = body.clone();
    streamed["stream"] = json!(true);
    assert_eq!(
        Value::from(joined(&post(&sim, MESSAGES, VERSION, streamed).await)),
        content
    );

    let result = json!({"role": "user", "content": [
        {"type": "tool_result", "tool_use_id": content[2]["id"], "content": "sunny"}]});
    let back = |content: Value| {
        let mut next = body.clone();
        let messages = next["messages"].as_array_mut().unwrap();
        messages.push(json!({"role": "assistant", "content": content}));
        messages.push(result.clone());
        next
    };
    assert_eq!(
        post(&sim, MESSAGES, VERSION, back(content.clone())).await.status,
        StatusCode::OK
    );
    for (at, field) in [(1, "thinking"), (1, "signature"), (0, "data")] {
        let mut changed = content.clone();
        changed[at][field] = "other".into();
        let refused = post(&sim, MESSAGES, VERSION, back(changed)).await;
        assert_eq!(refused.status, StatusCode::BAD_REQUEST);
        assert!(
            refused.json()["error"]["message"].as_str().unwrap().contains("Invalid"),
            "{field}"
        );
    }
    let lost = post(&sim, MESSAGES, VERSION, back(json!([content[2]]))).await.json();
    assert!(
        lost["error"]["message"]
            .as_str()
            .unwrap()
            .contains("Expected `thinking`"),
        "{lost}"
    );
}

#[tokio::test]
async fn marked_prefixes_are_written_to_the_cache_and_read_from_it() {
    let sim = start(|_| ());
    let long = "word ".repeat(2000);
    let system = json!([{"type": "text", "text": long, "cache_control": {"type": "ephemeral"}}]);
    let usage = async |text: &str, system: &Value| {
        let answer = post(&sim, MESSAGES, VERSION, ask(text, json!({"system": system})))
            .await
            .json();
        let usage = answer["usage"].clone();
        ["input_tokens", "cache_creation_input_tokens", "cache_read_input_tokens"]
            .map(|name| usage[name].as_u64().unwrap())
    };
    let plain = usage("hi", &json!([{"type": "text", "text": long}])).await;
    assert_eq!((plain[1], plain[2]), (0, 0));
    let [first, written, read] = usage("hi", &system).await;
    assert!(written >= 2000 && read == 0);
    assert_eq!(first + written, plain[0], "input excludes what was written");
    assert_eq!(usage("hi", &system).await, [first, 0, written]);
}

#[tokio::test]
async fn tokens_are_counted_without_an_answer() {
    let sim = start(|_| ());
    let mut body = ask("hi", json!({"system": "be kind"}));
    body.as_object_mut().unwrap().remove("max_tokens");
    let counted = post(&sim, "/v1/messages/count_tokens", VERSION, body).await.json();
    let answer = post(&sim, MESSAGES, VERSION, ask("hi", json!({"system": "be kind"})))
        .await
        .json();
    assert_eq!(counted, json!({"input_tokens": answer["usage"]["input_tokens"]}));
}

#[tokio::test]
async fn structured_output_and_stops_are_as_asked() {
    let sim = start(|_| ());
    let schema = json!({"type": "object", "properties": {"a": {"type": "integer"}}, "required": ["a"], "additionalProperties": false});
    let body = ask(
        "x",
        json!({"output_config": {"format": {"type": "json_schema", "schema": schema}}}),
    );
    let answer = post(&sim, MESSAGES, VERSION, body).await.json();
    let value: Value = serde_json::from_str(answer["content"][0]["text"].as_str().unwrap()).unwrap();
    assert!(value["a"].is_i64());
    let stopped = ask("[[sim:say=a STOP b]]", json!({"stop_sequences": ["STOP"]}));
    let stopped = post(&sim, MESSAGES, VERSION, stopped).await.json();
    assert_eq!(stopped["stop_reason"], "stop_sequence");
    assert_eq!(stopped["stop_sequence"], "STOP");
    assert_eq!(stopped["content"][0]["text"], "a ");
}

#[tokio::test]
async fn models_and_limits_come_in_anthropics_form() {
    let sim = start(|behaviour| behaviour.models = vec!["c".into(), "d".into()]);
    let list = send(&sim, Method::GET, "/v1/models", VERSION, "").await.json();
    assert_eq!(
        (list["data"][1]["id"].clone(), list["last_id"].clone()),
        (json!("d"), json!("d"))
    );
    let headers = [VERSION[0], ("x-sim-fault", "limit;requests=1;window=60000")];
    let first = post(&sim, MESSAGES, &headers, ask("x", json!({}))).await;
    assert_eq!(first.headers["anthropic-ratelimit-requests-remaining"], "0");
    assert!(first.headers.contains_key("request-id"));
    let second = post(&sim, MESSAGES, &headers, ask("x", json!({}))).await;
    assert_eq!(second.status, StatusCode::TOO_MANY_REQUESTS);
    assert_eq!(second.headers["retry-after"], "60");
    assert_eq!(second.json()["error"]["type"], "rate_limit_error");
}

#[tokio::test]
async fn what_anthropic_refuses_is_refused() {
    let sim = start(|_| ());
    let user = json!({"role": "user", "content": "hi"});
    let call =
        |id: &str| json!({"role": "assistant", "content": [{"type": "tool_use", "id": id, "name": "a", "input": {}}]});
    let result = |id: &str| json!({"type": "tool_result", "tool_use_id": id, "content": "x"});
    let results = |content: Value| json!({"role": "user", "content": content});
    let text = json!({"type": "text", "text": "x"});
    let mark = json!({"type": "text", "text": "x", "cache_control": {"type": "ephemeral"}});
    for (more, part) in [
        (json!({"surprise": 1}), "surprise: Extra inputs are not permitted"),
        (json!({"n": 1}), "n: Extra inputs"),
        (json!({"messages": []}), "at least one message"),
        (
            json!({"messages": [{"role": "assistant", "content": "x"}]}),
            "first message must use",
        ),
        (
            json!({"messages": [{"role": "system", "content": "x"}]}),
            "Unexpected role",
        ),
        (
            json!({"messages": [{"role": "user", "content": ""}]}),
            "non-empty content",
        ),
        (
            json!({"messages": [results(json!([{"type": "text", "text": ""}]))]}),
            "text content blocks must be non-empty",
        ),
        (
            json!({"messages": [user, call("x")]}),
            "were found without `tool_result`",
        ),
        (
            json!({"messages": [user, call("x"), user]}),
            "were found without `tool_result`",
        ),
        (
            json!({"messages": [user, call("x"), results(json!([text, result("x")]))]}),
            "must come before",
        ),
        (
            json!({"messages": [results(json!([result("x")]))]}),
            "unexpected `tool_use_id`",
        ),
        (
            json!({"messages": [user, call("x"), results(json!([result("x")])), call("x")]}),
            "must be unique",
        ),
        (
            json!({"messages": [user, {"role": "assistant", "content": "ends with "}]}),
            "trailing whitespace",
        ),
        (
            json!({"messages": [results(json!([{"type": "thinking", "thinking": "x", "signature": "y"}]))]}),
            "not allowed in `user`",
        ),
        (
            json!({"messages": [results(json!([{"type": "image", "source": {"type": "base64", "media_type": "image/bmp", "data": "AAAA"}}]))]}),
            "media_type",
        ),
        (
            json!({"messages": [results(json!([mark, mark, mark, mark, mark]))]}),
            "A maximum of 4 blocks",
        ),
        (json!({"temperature": 1.5}), "temperature"),
        (json!({"max_tokens": 0}), "max_tokens"),
        (json!({"tool_choice": {"type": "auto"}}), "tool_choice"),
        (
            json!({"tools": [{"name": "a", "input_schema": {}}]}),
            "input_schema.type",
        ),
        (json!({"tools": [tool("a"), tool("a")]}), "must be unique"),
        (json!({"thinking": {"type": "enabled", "budget_tokens": 5}}), "1024"),
        (
            json!({"thinking": {"type": "enabled", "budget_tokens": 4096}}),
            "must be greater than",
        ),
        (
            json!({"thinking": {"type": "adaptive"}, "temperature": 0.5}),
            "`temperature` may only be set to 1",
        ),
        (
            json!({"thinking": {"type": "adaptive"}, "tools": [tool("a")], "tool_choice": {"type": "any"}}),
            "forces tool use",
        ),
        (json!({"stop_sequences": [" "]}), "non-whitespace"),
    ] {
        let reply = post(&sim, MESSAGES, VERSION, ask("hi", more.clone())).await;
        assert_eq!(reply.status, StatusCode::BAD_REQUEST, "{more}");
        let error = reply.json();
        assert_eq!(error["error"]["type"], "invalid_request_error");
        assert!(
            error["error"]["message"].as_str().unwrap().contains(part),
            "{more}: {error}"
        );
    }
}

#[tokio::test]
async fn betas_bring_fields_of_their_own() {
    let sim = start(|_| ());
    let headers = [VERSION[0], ("anthropic-beta", "something-2026-01-01")];
    let reply = post(&sim, MESSAGES, &headers, ask("hi", json!({"surprise": 1}))).await;
    assert_eq!(reply.status, StatusCode::OK);
}

#[tokio::test]
async fn turns_of_one_role_are_one_turn() {
    let sim = start(|_| ());
    let user = json!({"role": "user", "content": "hi"});
    let call = json!({"role": "assistant", "content": [{"type": "tool_use", "id": "x", "name": "a", "input": {}}]});
    let result = json!({"role": "user", "content": [{"type": "tool_result", "tool_use_id": "x"}]});
    let messages = json!({"messages": [user, user, call, result, user]});
    assert_eq!(
        post(&sim, MESSAGES, VERSION, ask("hi", messages)).await.status,
        StatusCode::OK
    );
}

//! OpenAI's Responses.

use http::StatusCode;
use serde_json::{Value, json};

use crate::client::{Reply, post, start};

const RESPONSES: &str = "/v1/responses";

fn ask(input: impl Into<Value>, more: Value) -> Value {
    let mut body = json!({"model": "m", "input": input.into()});
    let Value::Object(more) = more else {
        panic!("more fields come as an object, not as {more}")
    };
    for (key, value) in more {
        body[key] = value;
    }
    body
}

fn tool() -> Value {
    let schema = json!({"type": "object", "properties": {"city": {"type": "string"}}, "required": ["city"]});
    json!({"type": "function", "name": "get_weather", "parameters": schema})
}

/// Follows a stream as clients do, and gives back the response at its end.
fn followed(reply: &Reply) -> Value {
    let events = reply.chunks();
    let mut items: Vec<Value> = Vec::new();
    let mut said = String::new();
    for (number, event) in events.iter().enumerate() {
        assert_eq!(event["sequence_number"], number, "{event}");
        let index = usize::try_from(event["output_index"].as_u64().unwrap_or(0)).unwrap();
        match event["type"].as_str().unwrap() {
            "response.output_item.added" => {
                assert_eq!(index, items.len());
                items.push(event["item"].clone());
                said.clear();
            }
            "response.output_item.done" => {
                assert_eq!(items[index]["id"], event["item"]["id"]);
                items[index] = event["item"].clone();
            }
            name if name.rsplit('.').next() == Some("delta") => {
                assert_eq!(event["item_id"], items[index]["id"]);
                said.push_str(event["delta"].as_str().unwrap());
            }
            "response.output_text.done" | "response.reasoning_summary_text.done" => assert_eq!(event["text"], said),
            "response.refusal.done" => assert_eq!(event["refusal"], said),
            "response.function_call_arguments.done" => assert_eq!(event["arguments"], said),
            _ => {}
        }
    }
    assert_eq!(events[0]["type"], "response.created");
    assert_eq!(events[1]["type"], "response.in_progress");
    let last = events.last().unwrap();
    assert_eq!(
        last["type"],
        format!("response.{}", last["response"]["status"].as_str().unwrap())
    );
    assert_eq!(last["response"]["output"], Value::from(items));
    last["response"].clone()
}

#[tokio::test]
async fn streams_tell_step_by_step_what_whole_answers_tell() {
    let sim = start(|_| ());
    for (input, more) in [
        ("hello", json!({})),
        ("[[sim:calls=2;tokens=3]]", json!({"tools": [tool()]})),
        ("[[sim:refuse]]", json!({})),
        (
            "think",
            json!({"reasoning": {"effort": "high", "summary": "auto"}, "include": ["reasoning.encrypted_content"]}),
        ),
        ("think", json!({"reasoning": {"effort": "low"}})),
        ("cut", json!({"max_output_tokens": 16})),
    ] {
        let body = ask(json!(input), more);
        let whole = post(&sim, RESPONSES, &[], body.clone()).await.json();
        let mut streamed = body;
        streamed["stream"] = json!(true);
        assert_eq!(followed(&post(&sim, RESPONSES, &[], streamed).await), whole, "{input}");
    }
}

#[tokio::test]
async fn answers_have_their_items_and_repeat_the_request() {
    let sim = start(|_| ());
    let tools = json!({"tools": [tool()], "tool_choice": "required", "instructions": "be kind", "temperature": 0.5});
    let called = post(&sim, RESPONSES, &[], ask(json!("x"), tools)).await.json();
    let call = &called["output"][0];
    assert_eq!(
        (call["type"].clone(), call["name"].clone()),
        (json!("function_call"), json!("get_weather"))
    );
    assert!(call["call_id"].as_str().unwrap().starts_with("call_"));
    assert_eq!(called["instructions"], "be kind");
    assert_eq!(called["temperature"], 0.5);
    assert_eq!(called["tools"][0], tool());
    let cut = post(
        &sim,
        RESPONSES,
        &[],
        ask(json!("[[sim:tokens=40]]"), json!({"max_output_tokens": 16})),
    )
    .await
    .json();
    assert_eq!(cut["status"], "incomplete");
    assert_eq!(cut["incomplete_details"]["reason"], "max_output_tokens");
    assert_eq!(cut["usage"]["output_tokens"], 16);
    let format = json!({"type": "json_schema", "name": "a", "schema": {"type": "object", "properties": {"a": {"const": 1}}, "required": ["a"]}});
    let formed = post(
        &sim,
        RESPONSES,
        &[],
        ask(json!("x"), json!({"text": {"format": format}})),
    )
    .await
    .json();
    assert_eq!(formed["output"][0]["content"][0]["text"], "{\"a\":1}");
}

#[tokio::test]
async fn what_refers_to_nothing_is_refused() {
    let sim = start(|behaviour| behaviour.strict = true);
    let call = json!({"type": "function_call", "call_id": "a", "name": "f", "arguments": "{}"});
    let output = |id: &str| json!({"type": "function_call_output", "call_id": id, "output": "x"});
    let thought = json!({"type": "reasoning", "summary": [], "encrypted_content": "other"});
    for (input, more, part) in [
        (json!([call]), json!({}), "No tool output found"),
        (json!([output("b")]), json!({}), "No tool call found"),
        (json!([call, output("b")]), json!({}), "No tool call found"),
        (json!([thought]), json!({}), "could not be verified"),
        (json!([{"type": "item_reference", "id": "x"}]), json!({}), "no state"),
        (
            json!([{"role": "user", "content": [{"type": "output_text", "text": "x"}]}]),
            json!({}),
            "Invalid value",
        ),
        (json!([{"role": "robot", "content": "x"}]), json!({}), "Invalid value"),
        (json!("x"), json!({"previous_response_id": "resp_1"}), "no state"),
        (json!("x"), json!({"max_output_tokens": 3}), ">= 16"),
        (json!("x"), json!({"messages": []}), "Extra inputs"),
        (
            json!("x"),
            json!({"tools": [{"type": "function", "function": {"name": "a"}}]}),
            "Field required",
        ),
    ] {
        let reply = post(&sim, RESPONSES, &[], ask(input.clone(), more.clone())).await;
        assert_eq!(reply.status, StatusCode::BAD_REQUEST, "{input} {more}");
        let error = reply.json();
        assert!(
            error["error"]["message"].as_str().unwrap().contains(part),
            "{input} {more}: {error}"
        );
    }
    let reasoning = json!({"reasoning": {"effort": "high"}, "include": ["reasoning.encrypted_content"]});
    let answer = post(&sim, RESPONSES, &[], ask(json!("x"), reasoning)).await.json();
    let back = json!([{"role": "user", "content": "x"}, answer["output"][0], call, output("a")]);
    assert_eq!(
        post(&sim, RESPONSES, &[], ask(back, json!({}))).await.status,
        StatusCode::OK
    );
}

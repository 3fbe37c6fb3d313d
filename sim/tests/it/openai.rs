//! Chat completions beyond plain text: tools, structured output, reasoning, probabilities, caches, images.

use http::StatusCode;
use serde_json::{Value, json};

use crate::client::{CHAT, Reply, chat, post, start};

/// What a streamed answer says when its deltas are put together.
pub fn joined(reply: &Reply) -> Value {
    let mut message = json!({"content": "", "refusal": "", "reasoning_content": "", "tool_calls": []});
    for chunk in reply.chunks() {
        let delta = &chunk["choices"][0]["delta"];
        for field in ["content", "refusal", "reasoning_content"] {
            let more = delta[field].as_str().unwrap_or_default();
            message[field] = format!("{}{more}", message[field].as_str().unwrap()).into();
        }
        for call in delta["tool_calls"].as_array().into_iter().flatten() {
            let index = usize::try_from(call["index"].as_u64().unwrap()).unwrap();
            let calls = message["tool_calls"].as_array_mut().unwrap();
            if call.get("id").is_some() {
                assert_eq!(index, calls.len(), "calls begin in order");
                calls.push(json!({"id": call["id"], "name": call["function"]["name"], "arguments": ""}));
            }
            let arguments = format!(
                "{}{}",
                calls[index]["arguments"].as_str().unwrap(),
                call["function"]["arguments"].as_str().unwrap()
            );
            calls[index]["arguments"] = arguments.into();
        }
        if let Some(reason) = chunk["choices"][0]["finish_reason"].as_str() {
            message["finish"] = reason.into();
        }
    }
    message
}

pub fn weather() -> Value {
    let city = json!({"type": "string"});
    let unit = json!({"enum": ["celsius", "fahrenheit"]});
    json!({"type": "function", "function": {"name": "get_weather", "parameters": {
        "type": "object", "properties": {"city": city, "unit": unit, "days": {"type": "integer"}}, "required": ["city", "unit"],
    }}})
}

fn clock() -> Value {
    json!({"type": "function", "function": {"name": "get_time"}})
}

fn ask(text: &str, more: Value) -> Value {
    let mut body = chat(more);
    body["messages"] = json!([{"role": "user", "content": text}]);
    body
}

#[tokio::test]
async fn tools_are_called_when_they_must_be_and_streams_say_the_same() {
    let sim = start(|_| ());
    let body = |choice: Value| {
        ask(
            "Weather?",
            json!({"tools": [weather(), clock()], "tool_choice": choice}),
        )
    };
    let whole = post(&sim, CHAT, &[], body(json!("required"))).await.json();
    let choice = &whole["choices"][0];
    assert_eq!(choice["finish_reason"], "tool_calls");
    assert_eq!(choice["message"]["content"], Value::Null);
    let call = &choice["message"]["tool_calls"][0];
    assert!(call["id"].as_str().unwrap().starts_with("call_"));
    assert_eq!(call["function"]["name"], "get_weather");
    let arguments: Value = serde_json::from_str(call["function"]["arguments"].as_str().unwrap()).unwrap();
    assert!(
        arguments["city"].is_string() && arguments.get("days").is_none(),
        "{arguments}"
    );
    assert!(["celsius", "fahrenheit"].contains(&arguments["unit"].as_str().unwrap()));

    let mut streamed = body(json!("required"));
    streamed["stream"] = json!(true);
    let reply = post(&sim, CHAT, &[], streamed).await;
    assert_eq!(reply.chunks()[0]["choices"][0]["delta"]["content"], Value::Null);
    let joined = joined(&reply);
    assert_eq!(joined["finish"], "tool_calls");
    assert_eq!(joined["tool_calls"][0]["id"], call["id"]);
    assert_eq!(joined["tool_calls"][0]["arguments"], call["function"]["arguments"]);
    assert!(reply.chunks().len() > 4, "arguments come in pieces");

    let named = json!({"type": "function", "function": {"name": "get_time"}});
    let named = post(&sim, CHAT, &[], body(named)).await.json();
    assert_eq!(
        named["choices"][0]["message"]["tool_calls"][0]["function"]["name"],
        "get_time"
    );
    assert_eq!(
        named["choices"][0]["message"]["tool_calls"][0]["function"]["arguments"],
        "{}"
    );
    for choice in [json!("auto"), json!("none")] {
        let text = post(&sim, CHAT, &[], body(choice)).await.json();
        assert_eq!(text["choices"][0]["finish_reason"], "stop");
    }
}

#[tokio::test]
async fn directives_ask_for_parallel_calls_refusals_and_words() {
    let sim = start(|_| ());
    let tools = json!([weather(), clock()]);
    let body = ask("[[sim:calls=3;tokens=2]]", json!({"tools": tools, "stream": true}));
    let calls = joined(&post(&sim, CHAT, &[], body).await);
    let names: Vec<&str> = calls["tool_calls"]
        .as_array()
        .unwrap()
        .iter()
        .map(|call| call["name"].as_str().unwrap())
        .collect();
    assert_eq!(names, ["get_weather", "get_time", "get_weather"]);
    assert_ne!(calls["tool_calls"][0]["id"], calls["tool_calls"][2]["id"]);
    assert_eq!(calls["content"].as_str().unwrap().split(' ').count(), 2);
    let single = ask("[[sim:calls=3]]", json!({"tools": tools, "parallel_tool_calls": false}));
    let single = post(&sim, CHAT, &[], single).await.json();
    assert_eq!(
        single["choices"][0]["message"]["tool_calls"].as_array().unwrap().len(),
        1
    );

    let refused = post(&sim, CHAT, &[], ask("[[sim:refuse]]", json!({}))).await.json();
    assert_eq!(refused["choices"][0]["message"]["content"], Value::Null);
    assert!(refused["choices"][0]["message"]["refusal"].is_string());
    let said = post(
        &sim,
        CHAT,
        &[],
        ask("[[sim:say=one two END three]]", json!({"stop": ["END"]})),
    )
    .await
    .json();
    assert_eq!(said["choices"][0]["message"]["content"], "one two ");
    assert_eq!(said["choices"][0]["finish_reason"], "stop");
    let filtered = post(&sim, CHAT, &[], ask("[[sim:filter]]", json!({}))).await.json();
    assert_eq!(filtered["choices"][0]["finish_reason"], "content_filter");
    let wrong = post(&sim, CHAT, &[], ask("[[sim:dance]]", json!({}))).await;
    assert_eq!(wrong.status, StatusCode::BAD_REQUEST);
}

#[tokio::test]
async fn structured_output_follows_its_schema() {
    let sim = start(|_| ());
    let schema = json!({
        "type": "object", "additionalProperties": false, "required": ["name", "age"],
        "properties": {"name": {"type": "string"}, "age": {"type": "integer", "minimum": 200}},
    });
    let format = json!({"type": "json_schema", "json_schema": {"name": "person", "strict": true, "schema": schema}});
    for stream in [false, true] {
        let body = chat(json!({"response_format": format, "stream": stream}));
        let reply = post(&sim, CHAT, &[], body).await;
        let text = if stream {
            joined(&reply)["content"].clone()
        } else {
            reply.json()["choices"][0]["message"]["content"].clone()
        };
        let value: Value = serde_json::from_str(text.as_str().unwrap()).unwrap();
        assert!(value["name"].is_string());
        assert_eq!(value["age"], 200);
    }
    let object = ask("json please", json!({"response_format": {"type": "json_object"}}));
    let object = post(&sim, CHAT, &[], object).await.json();
    let text = object["choices"][0]["message"]["content"].as_str().unwrap();
    assert!(serde_json::from_str::<Value>(text).unwrap().is_object());
}

#[tokio::test]
async fn reasoning_is_shown_and_counted() {
    let sim = start(|_| ());
    let whole = post(&sim, CHAT, &[], chat(json!({"reasoning_effort": "high"})))
        .await
        .json();
    let thought = whole["choices"][0]["message"]["reasoning_content"].as_str().unwrap();
    let thoughts = thought.split(' ').count() as u64;
    assert_eq!(
        whole["usage"]["completion_tokens_details"]["reasoning_tokens"],
        thoughts
    );
    let text = whole["choices"][0]["message"]["content"]
        .as_str()
        .unwrap()
        .split(' ')
        .count() as u64;
    assert_eq!(whole["usage"]["completion_tokens"], thoughts + text);
    let streamed = joined(
        &post(
            &sim,
            CHAT,
            &[],
            chat(json!({"reasoning_effort": "high", "stream": true})),
        )
        .await,
    );
    assert_eq!(streamed["reasoning_content"], thought);
    let none = post(&sim, CHAT, &[], chat(json!({"reasoning_effort": "none"})))
        .await
        .json();
    assert!(none["choices"][0]["message"].get("reasoning_content").is_none());
    let told = post(&sim, CHAT, &[], ask("[[sim:thinking=5]]", json!({}))).await.json();
    assert_eq!(told["usage"]["completion_tokens_details"]["reasoning_tokens"], 5);
}

#[tokio::test]
async fn probabilities_belong_to_their_tokens() {
    let sim = start(|_| ());
    let whole = post(
        &sim,
        CHAT,
        &[],
        chat(json!({"logprobs": true, "top_logprobs": 2, "max_tokens": 4})),
    )
    .await
    .json();
    let told = whole["choices"][0]["logprobs"]["content"].as_array().unwrap();
    let tokens: String = told.iter().map(|entry| entry["token"].as_str().unwrap()).collect();
    assert_eq!(whole["choices"][0]["message"]["content"], tokens);
    assert_eq!(told[0]["top_logprobs"].as_array().unwrap().len(), 2);
    let body = chat(json!({"logprobs": true, "max_tokens": 4, "stream": true}));
    let streamed: Vec<Value> = post(&sim, CHAT, &[], body)
        .await
        .chunks()
        .iter()
        .filter_map(|chunk| {
            chunk["choices"][0]["logprobs"]["content"][0]["token"]
                .as_str()
                .map(Into::into)
        })
        .collect();
    let whole: Vec<Value> = told.iter().map(|entry| entry["token"].clone()).collect();
    assert_eq!(streamed, whole);
}

#[tokio::test]
async fn a_long_prefix_that_came_before_is_cached() {
    let sim = start(|_| ());
    let long = "word ".repeat(3000);
    let body = |last: &str| {
        chat(json!({"messages": [{"role": "system", "content": long}, {"role": "user", "content": last}]}))
    };
    let cached = async |last: &str| {
        let usage = post(&sim, CHAT, &[], body(last)).await.json()["usage"].clone();
        usage["prompt_tokens_details"]["cached_tokens"].as_u64().unwrap()
    };
    assert_eq!(cached("one").await, 0);
    let again = cached("two").await;
    assert!(again >= 2900 && again.is_multiple_of(128), "{again}");
    sim.clear_requests();
    assert_eq!(cached("three").await, 0);
    let short = post(&sim, CHAT, &[], chat(json!({}))).await;
    assert_eq!(post(&sim, CHAT, &[], chat(json!({}))).await.body, short.body);
}

#[tokio::test]
async fn images_count_by_a_fixed_rule() {
    let sim = start(|_| ());
    let image = |detail: &str| {
        let url = json!({"url": "data:image/png;base64,AAAA", "detail": detail});
        chat(
            json!({"messages": [{"role": "user", "content": [{"type": "text", "text": "hi"}, {"type": "image_url", "image_url": url}]}]}),
        )
    };
    for (detail, tokens) in [("low", 85), ("high", 765), ("auto", 765)] {
        let usage = post(&sim, CHAT, &[], image(detail)).await.json()["usage"].clone();
        assert_eq!(usage["prompt_tokens"], 1 + 4 + 3 + tokens, "{detail}");
    }
}

#[tokio::test]
async fn what_openai_refuses_is_refused() {
    let sim = start(|behaviour| behaviour.strict = true);
    let call = json!({"role": "assistant", "tool_calls": [
        {"id": "a", "type": "function", "function": {"name": "f", "arguments": "{}"}}]});
    let result = |id: &str| json!({"role": "tool", "tool_call_id": id, "content": "x"});
    let user = json!({"role": "user", "content": "hi"});
    for (more, at) in [
        (json!({"surprise": 1}), "surprise"),
        (json!({"messages": []}), "messages"),
        (
            json!({"messages": [{"role": "robot", "content": "x"}]}),
            "messages[0].role",
        ),
        (json!({"messages": [{"role": "user"}]}), "messages[0].content"),
        (json!({"messages": [{"role": "assistant"}]}), "messages[0].content"),
        (json!({"messages": [user, call]}), "messages"),
        (json!({"messages": [user, call, user]}), "messages[2]"),
        (json!({"messages": [user, call, result("b")]}), "messages[2]"),
        (json!({"messages": [user, result("a")]}), "messages[1]"),
        (
            json!({"messages": [user, call, result("a"), result("a")]}),
            "messages[3]",
        ),
        (
            json!({"messages": [{"role": "system", "content": [{"type": "image_url"}]}]}),
            "messages[0].content[0].type",
        ),
        (json!({"temperature": 2.5}), "temperature"),
        (json!({"max_tokens": 1, "max_completion_tokens": 1}), "max_tokens"),
        (json!({"tool_choice": "auto"}), "tool_choice"),
        (json!({"parallel_tool_calls": false}), "parallel_tool_calls"),
        (
            json!({"tools": [clock()], "tool_choice": {"type": "function", "function": {"name": "x"}}}),
            "tool_choice",
        ),
        (
            json!({"tools": [{"type": "function", "function": {"name": "a b"}}]}),
            "tools[0].function.name",
        ),
        (json!({"stream_options": {"include_usage": true}}), "stream_options"),
        (json!({"top_logprobs": 2}), "top_logprobs"),
        (json!({"response_format": {"type": "json_object"}}), "messages"),
        (
            json!({"response_format": {"type": "json_schema", "json_schema": {"name": "x", "strict": true, "schema": {}}}}),
            "response_format.json_schema.schema",
        ),
        (json!({"stop": ["a", "b", "c", "d", "e"]}), "stop"),
        (json!({"reasoning_effort": "wild"}), "reasoning_effort"),
    ] {
        let reply = post(&sim, CHAT, &[], chat(more.clone())).await;
        assert_eq!(reply.status, StatusCode::BAD_REQUEST, "{more}");
        assert_eq!(reply.json()["error"]["param"], at, "{more}: {}", reply.json());
    }
    let turns = json!({"messages": [user, call, result("a"), {"role": "user", "content": "go on"}]});
    assert_eq!(post(&sim, CHAT, &[], chat(turns)).await.status, StatusCode::OK);
}

#[tokio::test]
async fn azure_has_its_own_paths_keys_filters_and_errors() {
    let sim = tokenweir_sim::Sim::start(tokenweir_sim::SimConfig {
        api_keys: vec!["secret".into()],
        ..Default::default()
    })
    .unwrap();
    let key = [("api-key", "secret")];
    let deployment = "/openai/deployments/gpt%204/chat/completions?api-version=2024-10-21";
    let mut body = chat(json!({}));
    body.as_object_mut().unwrap().remove("model");
    let whole = post(&sim, deployment, &key, body.clone()).await;
    assert_eq!(whole.json()["model"], "gpt 4");
    assert!(whole.json()["choices"][0]["content_filter_results"].is_object());
    body["stream"] = json!(true);
    let chunks = post(&sim, deployment, &key, body.clone()).await.chunks();
    assert_eq!(chunks[0]["choices"], json!([]));
    assert!(chunks[0]["prompt_filter_results"].is_array());
    assert_eq!(
        post(&sim, "/openai/v1/chat/completions", &key, chat(json!({})))
            .await
            .status,
        StatusCode::OK
    );
    let unversioned = post(&sim, "/openai/deployments/gpt/chat/completions", &key, body.clone()).await;
    assert_eq!(
        (unversioned.status, unversioned.json()["error"]["code"].clone()),
        (StatusCode::NOT_FOUND, "DeploymentNotFound".into())
    );
    let keyless = post(&sim, deployment, &[], body).await;
    assert_eq!(
        (keyless.status, keyless.json()["error"]["code"].clone()),
        (StatusCode::UNAUTHORIZED, "401".into())
    );
    let filtered = post(&sim, deployment, &key, ask("[[sim:filter]]", json!({}))).await;
    assert_eq!(filtered.status, StatusCode::BAD_REQUEST);
    assert_eq!(filtered.json()["error"]["code"], "content_filter");
    assert!(filtered.json()["error"]["innererror"]["content_filter_result"].is_object());
}

//! Amazon Bedrock.

use std::time::SystemTime;

use aws_credential_types::Credentials;
use aws_sigv4::http_request::{SignableBody, SignableRequest, SigningSettings, sign};
use aws_sigv4::sign::v4::SigningParams;
use aws_smithy_eventstream::frame::{DecodedFrame, MessageFrameDecoder};
use aws_smithy_runtime_api::client::identity::Identity;
use aws_smithy_types::event_stream::Message;
use http::StatusCode;
use serde_json::{Value, json};
use tokenweir_sim::{AwsKeys, Sim, SimConfig};

use crate::client::{Reply, post, start};

const CONVERSE: &str = "/model/m/converse";
const STREAM: &str = "/model/m/converse-stream";

fn ask(text: &str, more: Value) -> Value {
    let mut body = json!({"messages": [{"role": "user", "content": [{"text": text}]}]});
    let Value::Object(more) = more else {
        panic!("more fields come as an object, not as {more}")
    };
    for (key, value) in more {
        body[key] = value;
    }
    body
}

fn tools() -> Value {
    let schema = json!({"type": "object", "properties": {"city": {"type": "string"}}, "required": ["city"]});
    json!({"toolConfig": {"tools": [{"toolSpec": {"name": "weather", "inputSchema": {"json": schema}}}]}})
}

fn header(message: &Message, name: &str) -> Option<String> {
    let found = message.headers().iter().find(|header| header.name().as_str() == name)?;
    Some(found.value().as_string().unwrap().as_str().to_owned())
}

/// The messages of a stream, read by Amazon's own decoder: names and payloads.
fn messages(reply: &Reply) -> Vec<(String, Value)> {
    let mut decoder = MessageFrameDecoder::new();
    let mut rest = reply.body.clone();
    let mut found = Vec::new();
    while let DecodedFrame::Complete(message) = decoder.decode_frame(&mut rest).unwrap() {
        let name = header(&message, ":event-type").or_else(|| header(&message, ":exception-type"));
        found.push((name.unwrap(), serde_json::from_slice(message.payload()).unwrap()));
    }
    assert!(rest.is_empty());
    found
}

/// The blocks of a streamed answer, put together as clients do.
fn joined(messages: &[(String, Value)]) -> Vec<Value> {
    let mut blocks: Vec<Value> = Vec::new();
    for (name, data) in messages {
        let index = usize::try_from(data["contentBlockIndex"].as_u64().unwrap_or(0)).unwrap();
        match name.as_str() {
            "contentBlockStart" => {
                blocks.push(data["start"].clone());
                blocks[index]["toolUse"]["input"] = "".into();
            }
            "contentBlockDelta" => {
                if index == blocks.len() {
                    blocks.push(json!({}));
                }
                let (block, delta) = (&mut blocks[index], &data["delta"]);
                let append = |to: &mut Value, more: &Value| {
                    *to = format!("{}{}", to.as_str().unwrap_or_default(), more.as_str().unwrap()).into();
                };
                if delta["text"].is_string() {
                    append(&mut block["text"], &delta["text"]);
                } else if delta["toolUse"].is_object() {
                    append(&mut block["toolUse"]["input"], &delta["toolUse"]["input"]);
                } else if delta["reasoningContent"]["redactedContent"].is_string() {
                    *block = delta.clone();
                } else {
                    for (field, more) in delta["reasoningContent"].as_object().unwrap() {
                        append(&mut block["reasoningContent"]["reasoningText"][field], more);
                    }
                }
            }
            "contentBlockStop" if blocks[index]["toolUse"].is_object() => {
                let input = blocks[index]["toolUse"]["input"].as_str().unwrap().to_owned();
                blocks[index]["toolUse"]["input"] = serde_json::from_str(&input).unwrap();
            }
            _ => {}
        }
    }
    blocks
}

#[tokio::test]
async fn streams_say_what_whole_answers_say() {
    let sim = start(|_| ());
    let thinking = json!({"thinking": {"type": "enabled", "budget_tokens": 1024}});
    let mut more = tools();
    more["additionalModelRequestFields"] = thinking;
    let body = ask("[[sim:calls=2;tokens=3;thinking=4;redacted]]", more);
    let whole = post(&sim, CONVERSE, &[], body.clone()).await.json();
    assert_eq!(whole["stopReason"], "tool_use");
    let reply = post(&sim, STREAM, &[], body.clone()).await;
    assert_eq!(reply.headers["content-type"], "application/vnd.amazon.eventstream");
    let messages = messages(&reply);
    assert_eq!(messages[0].0, "messageStart");
    assert_eq!(Value::from(joined(&messages)), whole["output"]["message"]["content"]);
    let (stop, metadata) = (&messages[messages.len() - 2], &messages[messages.len() - 1]);
    assert_eq!(
        (stop.0.as_str(), &stop.1["stopReason"]),
        ("messageStop", &whole["stopReason"])
    );
    assert_eq!(
        (metadata.0.as_str(), &metadata.1["usage"]),
        ("metadata", &whole["usage"])
    );

    let id = whole["output"]["message"]["content"][3]["toolUse"]["toolUseId"].clone();
    let other = whole["output"]["message"]["content"][4]["toolUse"]["toolUseId"].clone();
    let result = |id: &Value| json!({"toolResult": {"toolUseId": id, "content": [{"text": "sunny"}]}});
    let mut back = body;
    let turns = back["messages"].as_array_mut().unwrap();
    turns.push(whole["output"]["message"].clone());
    turns.push(json!({"role": "user", "content": [result(&id), result(&other)]}));
    assert_eq!(post(&sim, CONVERSE, &[], back.clone()).await.status, StatusCode::OK);
    back["messages"][1]["content"][1]["reasoningContent"]["reasoningText"]["text"] = "changed".into();
    assert_eq!(post(&sim, CONVERSE, &[], back).await.status, StatusCode::BAD_REQUEST);
}

#[tokio::test]
async fn errors_are_exceptions_in_heads_and_in_streams() {
    let sim = start(|_| ());
    let limited = post(&sim, CONVERSE, &[("x-sim-fault", "429")], ask("x", json!({}))).await;
    assert_eq!(limited.headers["x-amzn-errortype"], "ThrottlingException");
    assert!(limited.json()["message"].is_string());
    let broken = post(&sim, STREAM, &[("x-sim-fault", "error;after=2")], ask("x", json!({}))).await;
    assert_eq!(messages(&broken).last().unwrap().0, "modelStreamErrorException");
    let damaged = post(
        &sim,
        STREAM,
        &[("x-sim-fault", "malformed;after=2")],
        ask("x", json!({})),
    )
    .await;
    let (mut decoder, mut rest) = (MessageFrameDecoder::new(), damaged.body.clone());
    let failed = std::iter::repeat_with(|| decoder.decode_frame(&mut rest))
        .take(10)
        .any(|frame| frame.is_err());
    assert!(failed, "the guard of a message does not fit");
}

#[tokio::test]
async fn what_amazon_refuses_is_refused() {
    let sim = start(|_| ());
    let user = json!({"role": "user", "content": [{"text": "x"}]});
    let call =
        json!({"role": "assistant", "content": [{"toolUse": {"toolUseId": "a", "name": "weather", "input": {}}}]});
    let result = json!({"role": "user", "content": [{"toolResult": {"toolUseId": "b", "content": []}}]});
    let with = |mut more: Value, messages: Value| {
        more["messages"] = messages;
        more
    };
    for (more, part) in [
        (json!({"max_tokens": 3}), "Extra inputs"),
        (json!({"inferenceConfig": {"max_tokens": 3}}), "Extra inputs"),
        (json!({"messages": []}), "length greater than"),
        (
            json!({"messages": [{"role": "assistant", "content": [{"text": "x"}]}]}),
            "must start with a user message",
        ),
        (json!({"messages": [user, user]}), "must alternate"),
        (
            json!({"messages": [{"role": "system", "content": [{"text": "x"}]}]}),
            "enum value set",
        ),
        (
            json!({"messages": [{"role": "user", "content": [{"text": " "}]}]}),
            "is blank",
        ),
        (json!({"messages": [{"role": "user", "content": []}]}), "is empty"),
        (json!({"messages": [user, call, user]}), "Expected toolResult"),
        (with(tools(), json!([user, call, user])), "Expected toolResult blocks"),
        (
            with(tools(), json!([user, call, result])),
            "exceeds the number of toolUse",
        ),
        (with(tools(), json!([user, call])), "Expected toolResult blocks"),
        (json!({"toolConfig": {"tools": []}}), "length greater than"),
        (json!({"inferenceConfig": {"temperature": 2}}), "from 0 to 1"),
        (
            json!({"messages": [{"role": "user", "content": [{"image": {"format": "png", "source": {"bytes": "no base64"}}}]}]}),
            "decode base64",
        ),
        (
            json!({"messages": [{"role": "user", "content": [{"document": {"format": "pdf", "name": "a.pdf", "source": {"bytes": "AAAA"}}}]}]}),
            "document file name",
        ),
    ] {
        let reply = post(&sim, CONVERSE, &[], ask("x", more.clone())).await;
        assert_eq!(reply.status, StatusCode::BAD_REQUEST, "{more}");
        assert_eq!(reply.headers["x-amzn-errortype"], "ValidationException");
        assert!(
            reply.json()["message"].as_str().unwrap().contains(part),
            "{more}: {}",
            reply.json()
        );
    }
    let answered = json!({"role": "user", "content": [{"toolResult": {"toolUseId": "a", "content": [{"json": {}}]}}]});
    let untooled = post(
        &sim,
        CONVERSE,
        &[],
        ask("x", json!({"messages": [user, call, answered]})),
    )
    .await
    .json();
    assert!(
        untooled["message"]
            .as_str()
            .unwrap()
            .contains("toolConfig field must be defined")
    );
}

#[tokio::test]
async fn embeddings_come_in_titans_and_coheres_forms() {
    let sim = start(|_| ());
    let titan = json!({"inputText": "hello", "dimensions": 256});
    let titan = post(&sim, "/model/amazon.titan-embed-text-v2%3A0/invoke", &[], titan)
        .await
        .json();
    assert_eq!(titan["embedding"].as_array().unwrap().len(), 256);
    assert_eq!(titan["inputTextTokenCount"], 1);
    let cohere = "/model/cohere.embed-english-v3/invoke";
    let body = json!({"texts": ["a", "b"], "input_type": "search_query"});
    let plain = post(&sim, cohere, &[], body.clone()).await.json();
    assert_eq!(
        (
            plain["response_type"].clone(),
            plain["embeddings"].as_array().unwrap().len()
        ),
        (json!("embeddings_floats"), 2)
    );
    let mut typed = body;
    typed["embedding_types"] = json!(["float"]);
    let typed = post(&sim, cohere, &[], typed).await.json();
    assert_eq!(typed["embeddings"]["float"], plain["embeddings"]);
    assert_eq!(
        post(&sim, cohere, &[], json!({"texts": ["a"]})).await.status,
        StatusCode::BAD_REQUEST
    );
}

/// The headers of a signature, made by Amazon's own signer.
fn signed(url: &str, body: &str, secret: &str, time: SystemTime) -> Vec<(String, String)> {
    let identity: Identity = Credentials::new("AKID", secret, Some("session".into()), None, "test").into();
    let params = SigningParams::builder()
        .identity(&identity)
        .region("us-east-1")
        .name("bedrock")
        .time(time)
        .settings(SigningSettings::default())
        .build()
        .unwrap()
        .into();
    let request = SignableRequest::new("POST", url, std::iter::empty(), SignableBody::Bytes(body.as_bytes())).unwrap();
    let (instructions, _) = sign(request, &params).unwrap().into_parts();
    instructions
        .headers()
        .map(|(name, value)| (name.to_owned(), value.to_owned()))
        .collect()
}

#[tokio::test]
async fn signatures_must_fit_where_the_key_is_known() {
    let sim = Sim::start(SimConfig {
        aws: Some(AwsKeys {
            access_key_id: "AKID".into(),
            secret_access_key: "secret".into(),
            session_token: Some("session".into()),
        }),
        ..SimConfig::default()
    })
    .unwrap();
    let path = "/model/anthropic.claude-v2%3A1/converse";
    let body = ask("x", json!({}));
    let try_with = async |headers: &[(String, String)], body: &Value| {
        let headers: Vec<(&str, &str)> = headers
            .iter()
            .map(|(name, value)| (name.as_str(), value.as_str()))
            .collect();
        post(&sim, path, &headers, body.clone()).await.status
    };
    let url = format!("{}{path}", sim.url());
    let now = SystemTime::now();
    let right = signed(&url, &body.to_string(), "secret", now);
    assert_eq!(try_with(&right, &body).await, StatusCode::OK);
    assert_eq!(
        try_with(&right, &ask("changed", json!({}))).await,
        StatusCode::FORBIDDEN
    );
    let wrong = signed(&url, &body.to_string(), "other", now);
    assert_eq!(try_with(&wrong, &body).await, StatusCode::FORBIDDEN);
    let old = signed(
        &url,
        &body.to_string(),
        "secret",
        now - std::time::Duration::from_hours(1),
    );
    assert_eq!(try_with(&old, &body).await, StatusCode::FORBIDDEN);
    assert_eq!(try_with(&[], &body).await, StatusCode::FORBIDDEN);
    let mut tokenless = right;
    tokenless.retain(|(name, _)| name != "x-amz-security-token");
    assert_eq!(try_with(&tokenless, &body).await, StatusCode::FORBIDDEN);
}

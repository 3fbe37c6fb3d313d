use base64::Engine;
use http::{Method, StatusCode};
use serde_json::{Value, json};
use tokenweir_llm::tokens::estimate;

use crate::client::{CHAT, Reply, chat, post, send, start};

fn streamed_text(reply: &Reply) -> String {
    let chunks = reply.chunks();
    let parts = chunks
        .iter()
        .filter_map(|chunk| chunk["choices"][0]["delta"]["content"].as_str());
    parts.collect()
}

#[tokio::test]
async fn the_same_request_gets_the_same_bytes_from_any_simulator_with_the_seed() {
    let (one, other) = (start(|_| ()), start(|_| ()));
    let seeded = start(|behaviour| behaviour.seed = 1);
    for body in [chat(json!({})), chat(json!({"stream": true})), chat(json!({"n": 3}))] {
        let first = post(&one, CHAT, &[], body.clone()).await;
        assert_eq!(first.status, StatusCode::OK);
        assert_eq!(first.body, post(&one, CHAT, &[], body.clone()).await.body);
        assert_eq!(first.body, post(&other, CHAT, &[], body.clone()).await.body);
        assert_ne!(first.body, post(&seeded, CHAT, &[], body.clone()).await.body);
    }
    let plain = post(&one, CHAT, &[], chat(json!({}))).await.json();
    let seed = post(&one, CHAT, &[], chat(json!({"seed": 5}))).await.json();
    assert_ne!(plain["id"], seed["id"]);
}

#[tokio::test]
async fn a_stream_says_what_the_whole_answer_says_and_usage_counts_it() {
    let sim = start(|_| ());
    let whole = post(&sim, CHAT, &[], chat(json!({}))).await.json();
    let stream = post(
        &sim,
        CHAT,
        &[],
        chat(json!({"stream": true, "stream_options": {"include_usage": true}})),
    )
    .await;
    assert_eq!(stream.headers["content-type"], "text/event-stream; charset=utf-8");
    let text = whole["choices"][0]["message"]["content"].as_str().unwrap();
    assert_eq!(streamed_text(&stream), text);
    let tokens = estimate(text);
    assert!((16..=48).contains(&tokens), "{tokens}");
    assert_eq!(whole["usage"]["completion_tokens"], tokens);
    assert_eq!(whole["usage"]["prompt_tokens"], 9);
    assert_eq!(whole["usage"]["total_tokens"], 9 + tokens);
    assert_eq!(whole["choices"][0]["finish_reason"], "stop");
    let chunks = stream.chunks();
    assert_eq!(chunks.first().unwrap()["choices"][0]["delta"]["role"], "assistant");
    let usage_only = chunks.last().unwrap();
    assert_eq!(usage_only["choices"], json!([]));
    assert_eq!(usage_only["usage"], whole["usage"]);
    assert_eq!(chunks.len() as u64, 1 + tokens + 2);
    assert_eq!(&stream.events().last().unwrap().data().unwrap()[..], b"[DONE]");
}

#[tokio::test]
async fn the_usage_chunk_comes_only_when_asked_for() {
    let sim = start(|_| ());
    for options in [json!(null), json!({}), json!({"include_usage": false})] {
        let reply = post(
            &sim,
            CHAT,
            &[],
            chat(json!({"stream": true, "stream_options": options})),
        )
        .await;
        assert!(reply.chunks().iter().all(|chunk| chunk.get("usage").is_none()));
    }
}

#[tokio::test]
async fn limits_cut_the_answer_and_choices_multiply_it() {
    let sim = start(|_| ());
    let cut = post(&sim, CHAT, &[], chat(json!({"max_tokens": 5, "n": 2})))
        .await
        .json();
    assert_eq!(cut["usage"]["completion_tokens"], 10);
    assert_eq!(cut["choices"][1]["finish_reason"], "length");
    assert_ne!(cut["choices"][0]["message"], cut["choices"][1]["message"]);
    let exact = chat(json!({"max_completion_tokens": 100, "ignore_eos": true}));
    assert_eq!(
        post(&sim, CHAT, &[], exact).await.json()["usage"]["completion_tokens"],
        100
    );
    let streamed = post(&sim, CHAT, &[], chat(json!({"max_tokens": 2, "n": 2, "stream": true}))).await;
    let ends: Vec<Value> = streamed
        .chunks()
        .iter()
        .map(|chunk| chunk["choices"][0]["finish_reason"].clone())
        .collect();
    assert_eq!(ends.iter().filter(|end| *end == "length").count(), 2);
}

#[tokio::test]
async fn text_completions_answer_in_their_own_form() {
    let sim = start(|_| ());
    let body = json!({"model": "m", "prompt": "hello world", "max_tokens": 3});
    let whole = post(&sim, "/v1/completions", &[], body.clone()).await.json();
    assert_eq!(whole["object"], "text_completion");
    assert_eq!(whole["usage"]["prompt_tokens"], 2);
    let mut stream = body;
    stream["stream"] = json!(true);
    let chunks = post(&sim, "/v1/completions", &[], stream).await.chunks();
    let text: String = chunks
        .iter()
        .filter_map(|chunk| chunk["choices"][0]["text"].as_str())
        .collect();
    assert_eq!(whole["choices"][0]["text"], text);
}

#[tokio::test]
async fn embeddings_are_unit_vectors_of_the_dimensions_asked_for_in_both_encodings() {
    let sim = start(|_| ());
    let ask = |more: Value| {
        let mut body = json!({"model": "m", "input": ["hello world", "goodbye"]});
        for (key, value) in more.as_object().unwrap() {
            body[key] = value.clone();
        }
        post(&sim, "/v1/embeddings", &[], body)
    };
    let floats = ask(json!({"dimensions": 7})).await.json();
    assert_eq!(floats["usage"], json!({"prompt_tokens": 3, "total_tokens": 3}));
    let packed = ask(json!({"dimensions": 7, "encoding_format": "base64"})).await.json();
    for index in 0..2 {
        let vector: Vec<f32> = serde_json::from_value(floats["data"][index]["embedding"].clone()).unwrap();
        assert_eq!(vector.len(), 7);
        let length: f32 = vector.iter().map(|x| x * x).sum();
        assert!((length - 1.0).abs() < 1e-4, "{length}");
        let bytes = base64::engine::general_purpose::STANDARD
            .decode(packed["data"][index]["embedding"].as_str().unwrap())
            .unwrap();
        let unpacked: Vec<f32> = bytes
            .chunks(4)
            .map(|four| f32::from_le_bytes(four.try_into().unwrap()))
            .collect();
        assert_eq!(unpacked, vector);
    }
    let usual = ask(json!({})).await.json();
    assert_eq!(usual["data"][0]["embedding"].as_array().unwrap().len(), 256);
    assert_eq!(ask(json!({"dimensions": 0})).await.status, StatusCode::BAD_REQUEST);
}

#[tokio::test]
async fn anthropic_streams_keep_the_documented_order_and_real_counts() {
    let sim = start(|_| ());
    let version: crate::client::Headers<'_> = &[("anthropic-version", "2023-06-01")];
    let body =
        json!({"model": "c", "max_tokens": 4, "system": "be kind", "messages": [{"role": "user", "content": "hi"}]});
    let whole = post(&sim, "/v1/messages", version, body.clone()).await.json();
    assert_eq!(whole["usage"]["input_tokens"], 1 + 4 + 3 + 2);
    assert_eq!(whole["usage"]["output_tokens"], 4);
    assert_eq!(whole["stop_reason"], "max_tokens");
    let mut stream = body;
    stream["stream"] = json!(true);
    let reply = post(&sim, "/v1/messages", version, stream).await;
    let names: Vec<String> = reply
        .events()
        .iter()
        .map(|event| String::from_utf8(event.name().unwrap().to_vec()).unwrap())
        .collect();
    let delta = "content_block_delta";
    assert_eq!(
        names,
        [
            "message_start",
            "content_block_start",
            "ping",
            delta,
            delta,
            delta,
            delta,
            "content_block_stop",
            "message_delta",
            "message_stop"
        ]
    );
    let chunks = reply.chunks();
    assert_eq!(chunks[0]["message"]["usage"]["input_tokens"], 10);
    assert_eq!(chunks[8]["usage"]["output_tokens"], 4);
    let text: String = chunks
        .iter()
        .filter_map(|chunk| chunk["delta"]["text"].as_str())
        .collect();
    assert_eq!(whole["content"][0]["text"], text);
}

#[tokio::test]
async fn mistakes_get_the_error_objects_of_their_dialect() {
    let sim = start(|behaviour| behaviour.models = vec!["m".into()]);
    for (path, headers, body, status, pointer, expected) in [
        (CHAT, None, json!({"model": "m"}), 400, "/error/param", "messages"),
        (
            CHAT,
            None,
            chat(json!({"model": "other"})),
            404,
            "/error/code",
            "model_not_found",
        ),
        (CHAT, None, chat(json!({"n": 0})), 400, "/error/param", "n"),
        ("/v1/nothing", None, json!({}), 404, "/error/code", "unknown_url"),
        (
            "/v1/messages",
            None,
            json!({}),
            400,
            "/error/type",
            "invalid_request_error",
        ),
        (
            "/v1/messages",
            Some("2023-06-01"),
            json!({"model": "m"}),
            400,
            "/error/message",
            "max_tokens: Field required",
        ),
    ] {
        let headers: Vec<(&str, &str)> = headers
            .into_iter()
            .map(|version| ("anthropic-version", version))
            .collect();
        let reply = post(&sim, path, &headers, body).await;
        assert_eq!(reply.status, status, "{path}");
        assert_eq!(reply.json().pointer(pointer).unwrap(), expected, "{path}");
    }
    assert_eq!(
        send(&sim, Method::GET, CHAT, &[], "").await.status,
        StatusCode::METHOD_NOT_ALLOWED
    );
    assert_eq!(
        send(&sim, Method::POST, CHAT, &[], "{").await.status,
        StatusCode::BAD_REQUEST
    );
}

#[tokio::test]
async fn models_are_listed_and_shown() {
    let sim = start(|behaviour| behaviour.models = vec!["a".into(), "b".into()]);
    let list = send(&sim, Method::GET, "/v1/models", &[], "").await.json();
    assert_eq!(list["data"][1]["id"], "b");
    assert_eq!(send(&sim, Method::GET, "/v1/models/a", &[], "").await.json()["id"], "a");
    assert_eq!(
        send(&sim, Method::GET, "/v1/models/c", &[], "").await.status,
        StatusCode::NOT_FOUND
    );
}

#[tokio::test]
async fn damaged_requests_are_refused_or_served_and_never_break_the_connection() {
    let sim = start(|_| ());
    let version = [("anthropic-version", "2023-06-01")];
    let body =
        chat(json!({"max_tokens": 2, "n": 2, "input": ["a", [1, 2]], "prompt": ["b"], "dimensions": 3, "system": "s"}));
    let body = body.to_string().into_bytes();
    for path in [CHAT, "/v1/completions", "/v1/embeddings", "/v1/messages"] {
        for at in 0..body.len() {
            for with in [b'"', b'{', b'-', b'9', 0xFF] {
                let mut damaged = body.clone();
                damaged[at] = with;
                let reply = send(&sim, Method::POST, path, &version, damaged).await;
                assert!(
                    matches!(reply.status.as_u16(), 200 | 400),
                    "{} at {at} of {path}",
                    reply.status
                );
            }
        }
    }
}

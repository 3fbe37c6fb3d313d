//! Streams: byte for byte, never held back, and honest when they break.

use std::sync::atomic::Ordering;
use std::time::Duration;

use http_body_util::BodyExt as _;
use hyper::body::Incoming;
use serde_json::{Value, json};
use tokenweir_sim::RequestOutcome;

use super::harness::{Gateway, chat, events, read, sim, sim_with, streamed, until};
use super::script::Script;

/// The next piece of a body, as text.
async fn piece(body: &mut Incoming) -> String {
    let frame = tokio::time::timeout(Duration::from_secs(20), body.frame())
        .await
        .expect("a piece in time");
    String::from_utf8(frame.unwrap().unwrap().into_data().unwrap().to_vec()).unwrap()
}

fn chunk(content: &str) -> String {
    let chunk = json!({"object": "chat.completion.chunk", "choices": [{"index": 0, "delta": {"content": content}}]});
    format!("data: {chunk}\n\n")
}

#[tokio::test]
async fn a_stream_ends_with_done_and_hides_the_usage_that_the_client_did_not_ask_for() {
    let sim = sim();
    let gateway = Gateway::start(&sim.url());
    let answer = gateway.chat(&streamed("any")).await;
    assert_eq!(answer.header("content-type"), Some("text/event-stream; charset=utf-8"));
    let events = events(answer.text());
    assert_eq!(events.last().map(String::as_str), Some("[DONE]"));
    for event in &events[..events.len() - 1] {
        let json: Value = serde_json::from_str(event).unwrap();
        assert!(
            json["usage"].is_null() && json["choices"].as_array().unwrap().len() == 1,
            "{event}"
        );
    }
    assert_eq!(sim.requests()[0].body["stream_options"], json!({"include_usage": true}));
    until("the request was counted", || gateway.ended(200) == 1).await;
    let counted = gateway.counted("chat").unwrap();
    assert_eq!(counted.output_tokens, 8);
    assert!(counted.input_tokens > 0);
}

#[tokio::test]
async fn the_usage_chunk_comes_when_the_client_asks_for_it() {
    let sim = sim();
    let gateway = Gateway::start(&sim.url());
    for (options, expected) in [
        (json!({"include_usage": true}), true),
        (json!({"include_usage": false}), false),
        (json!({"include_obfuscation": false}), false),
        (Value::Null, false),
    ] {
        let mut request = streamed("any");
        request["stream_options"] = options.clone();
        let answer = gateway.chat(&request).await;
        let with_usage = events(answer.text())
            .iter()
            .filter_map(|event| serde_json::from_str::<Value>(event).ok())
            .filter(|json| json["choices"] == json!([]) && json["usage"]["completion_tokens"] == 8)
            .count();
        assert_eq!(with_usage, usize::from(expected), "{options}");
    }
    until("all were counted", || gateway.ended(200) == 4).await;
    assert_eq!(gateway.counted("chat").unwrap().output_tokens, 4 * 8);
}

#[tokio::test]
async fn bytes_of_a_stream_pass_unchanged_however_they_are_cut() {
    let stream = "\u{feff}: a comment\r\n\r\nevent: odd\r\ndata: {\"choices\":[{\"delta\":{\"content\":\"gr\u{fc}n \u{1f980}\"}}],\r\n\
                  data: \"unknown\": 1.0e0}\r\n\r\nid: 7\nretry: 10\ndata: not json\n\n\rdata: {\"choices\":[{\"delta\":{},\"finish_reason\":\"stop\"}]}\r\rdata:[DONE]\n\n";
    for size in [1, 2, 3, 7, 1000] {
        let provider = Script::start().await;
        let gateway = Gateway::start(&provider.url());
        provider.begin_stream();
        for piece in stream.as_bytes().chunks(size) {
            provider.chunk(piece);
        }
        provider.end_chunks();
        assert_eq!(
            gateway.chat(&streamed("any")).await.text(),
            stream,
            "in pieces of {size}"
        );
    }
}

#[tokio::test]
async fn each_event_arrives_before_the_next_one_is_sent() {
    let provider = Script::start().await;
    let gateway = Gateway::start(&provider.url());
    provider.begin_stream();
    provider.chunk(chunk("one"));
    let mut body = gateway
        .begin(gateway.request("/v1/chat/completions", &streamed("any")))
        .await
        .into_body();
    assert_eq!(piece(&mut body).await, chunk("one"));
    for text in ["two", "three"] {
        provider.chunk(chunk(text));
        assert_eq!(piece(&mut body).await, chunk(text));
    }
    provider.chunk("data: [DONE]\n\n");
    assert_eq!(piece(&mut body).await, "data: [DONE]\n\n");
    provider.end_chunks();
    assert!(body.frame().await.is_none());
}

#[tokio::test]
async fn a_client_that_leaves_cancels_the_request_at_the_provider() {
    let sim = sim_with(|b| b.latency = "fixed;first=0;token=50".parse().unwrap());
    let gateway = Gateway::start(&sim.url());
    let mut request = streamed("any");
    request["max_tokens"] = json!(1000);
    let mut body = gateway
        .begin(gateway.request("/v1/chat/completions", &request))
        .await
        .into_body();
    piece(&mut body).await;
    drop(body);
    until("the provider sees it", || {
        sim.requests()[0].outcome == RequestOutcome::Cancelled
    })
    .await;
    assert!(sim.requests()[0].tokens_sent < 1000);
    until("the gateway counts it", || {
        gateway.ended(499) == 1 && gateway.running() == 0
    })
    .await;
    assert_eq!(gateway.counted("chat").unwrap().in_flight, 0);
}

#[tokio::test]
async fn a_client_that_leaves_before_the_first_byte_cancels_too() {
    let sim = sim();
    let gateway = Gateway::start(&sim.url());
    for stream in [false, true] {
        let mut body = chat("any");
        body["stream"] = json!(stream);
        let mut request = gateway.request("/v1/chat/completions", &body);
        request.headers_mut().insert("x-sim-fault", "hang".parse().unwrap());
        let waiting = gateway.begin(request);
        assert!(tokio::time::timeout(Duration::from_millis(200), waiting).await.is_err());
    }
    until("the provider sees both", || sim.stats().cancelled == 2).await;
    until("the gateway counts both", || gateway.ended(499) == 2).await;
}

#[tokio::test]
async fn a_stream_that_breaks_in_its_middle_ends_with_an_error_event() {
    let sim = sim();
    for (fault, message, kind) in [
        ("reset;after=3", "broke off", "interrupted"),
        ("close;after=3", "broke off", "interrupted"),
        ("hang;after=3", "stopped sending", "idle_timeout"),
    ] {
        let gateway = Gateway::with(&sim.url(), |v| v["providers"]["sim"]["timeouts"]["idleMs"] = json!(200));
        let mut request = gateway.request("/v1/chat/completions", &streamed("any"));
        request.headers_mut().insert("x-sim-fault", fault.parse().unwrap());
        let answer = gateway.send(request).await;
        assert_eq!(answer.status, 200);
        let events = events(answer.text());
        let last: Value = serde_json::from_str(events.last().unwrap()).unwrap();
        assert!(
            last["error"]["message"].as_str().unwrap().contains(message),
            "{fault}: {last}"
        );
        assert_eq!(last["error"]["type"], "server_error");
        let texts = events
            .iter()
            .filter(|event| event.contains(r#""delta":{"content""#))
            .count();
        assert_eq!(texts, 3, "{fault}: {}", answer.text());
        until("the failure was counted", || {
            gateway.upstream_errors().get(&format!("sim {kind}")) == Some(&1)
        })
        .await;
        // What had passed is billed, though the provider never said how much it was.
        assert!(gateway.counted("chat").unwrap().output_tokens >= 3);
    }
}

#[tokio::test]
async fn half_an_event_never_reaches_the_client() {
    let provider = Script::start().await;
    let gateway = Gateway::start(&provider.url());
    provider.begin_stream();
    provider.chunk(chunk("whole"));
    provider.chunk("data: {\"choices\":[{\"delta\":{\"cont");
    provider.end_chunks();
    let answer = gateway.chat(&streamed("any")).await;
    let events = events(answer.text());
    assert_eq!(events.len(), 2, "{}", answer.text());
    assert!(events[1].contains("broke off"));
}

#[tokio::test]
async fn an_error_event_of_the_provider_passes_and_nothing_is_added() {
    let sim = sim();
    let gateway = Gateway::start(&sim.url());
    let mut request = gateway.request("/v1/chat/completions", &streamed("any"));
    request
        .headers_mut()
        .insert("x-sim-fault", "error;after=2".parse().unwrap());
    let answer = gateway.send(request).await;
    let errors = events(answer.text())
        .iter()
        .filter(|event| event.contains(r#""error""#))
        .count();
    assert_eq!(errors, 1, "{}", answer.text());
    until("it counts as a failure", || {
        gateway.upstream_errors().get("sim interrupted") == Some(&1)
    })
    .await;
}

#[tokio::test]
async fn a_stream_without_done_is_complete_once_it_has_a_finish_reason() {
    let sim = sim();
    let gateway = Gateway::start(&sim.url());
    for fault in ["no-done", "no-usage", "malformed;after=2", "split;size=3"] {
        let mut request = gateway.request("/v1/chat/completions", &streamed("any"));
        request.headers_mut().insert("x-sim-fault", fault.parse().unwrap());
        let answer = gateway.send(request).await;
        assert!(!answer.text().contains(r#""error""#), "{fault}: {}", answer.text());
        assert!(
            answer.text().contains(r#""finish_reason":"length""#),
            "{fault}: {}",
            answer.text()
        );
    }
    assert_eq!(gateway.upstream_errors().len(), 0);
}

#[tokio::test]
async fn a_last_event_without_its_blank_line_is_still_an_event() {
    let provider = Script::start().await;
    let gateway = Gateway::start(&provider.url());
    provider.begin_stream();
    provider.chunk(chunk("text"));
    provider.chunk("data: [DONE]");
    provider.end_chunks();
    let answer = gateway.chat(&streamed("any")).await;
    assert_eq!(answer.text(), format!("{}data: [DONE]\n\n", chunk("text")));
}

#[tokio::test]
async fn an_event_beyond_all_measure_ends_the_stream_with_an_error() {
    let provider = Script::start().await;
    let gateway = Gateway::start(&provider.url());
    provider.begin_stream();
    provider.chunk(chunk("text"));
    for _ in 0..9 {
        provider.chunk(vec![b'x'; 1024 * 1024]);
    }
    let answer = gateway.chat(&streamed("any")).await;
    assert!(events(answer.text())[1].contains("too large"));
    until("the provider is left", || provider.closed.load(Ordering::SeqCst) == 1).await;
}

#[tokio::test]
async fn a_connection_is_used_again_after_a_stream() {
    let provider = Script::start().await;
    let gateway = Gateway::start(&provider.url());
    provider.begin_stream();
    provider.chunk(format!("{}data: [DONE]\n\n", chunk("text")));
    provider.end_chunks();
    let answer = gateway.chat(&streamed("any")).await;
    assert!(answer.text().ends_with("[DONE]\n\n"));
    until("the exchange is over", || gateway.running() == 0).await;
    assert_eq!(provider.closed.load(Ordering::SeqCst), 0, "the connection is kept");
}

#[tokio::test]
async fn a_large_answer_that_breaks_off_is_broken_for_the_client_too() {
    let provider = Script::start().await;
    let gateway = Gateway::start(&provider.url());
    let half = vec![b' '; 2 * 1024 * 1024];
    provider.send(format!(
        "HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: {}\r\n\r\n",
        2 * half.len()
    ));
    provider.send(half);
    let response = gateway
        .begin(gateway.request("/v1/chat/completions", &chat("any")))
        .await;
    assert_eq!(response.headers()["content-length"], "4194304");
    provider.close();
    let body = tokio::time::timeout(Duration::from_secs(20), response.into_body().collect())
        .await
        .unwrap();
    assert!(body.is_err(), "a cut answer must not look whole");
    until("it was counted", || {
        gateway.upstream_errors().get("sim interrupted") == Some(&1)
    })
    .await;
}

#[tokio::test]
async fn json_in_answer_to_a_wish_for_a_stream_passes_as_it_is() {
    let provider = Script::start().await;
    let gateway = Gateway::start(&provider.url());
    let body = r#"{"object":"chat.completion","choices":[],"usage":{"prompt_tokens":3,"completion_tokens":4}}"#;
    provider.send(format!(
        "HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: {}\r\n\r\n{body}",
        body.len()
    ));
    let response = gateway
        .begin(gateway.request("/v1/chat/completions", &streamed("any")))
        .await;
    assert_eq!(read(response).await.text(), body);
    until("usage was read", || {
        gateway.counted("chat").is_some_and(|c| c.output_tokens == 4)
    })
    .await;
}

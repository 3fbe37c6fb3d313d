//! Compressed requests and answers.

use std::io::{Read as _, Write as _};
use std::sync::atomic::{AtomicUsize, Ordering};

use bytes::Bytes;
use flate2::Compression;
use flate2::read::GzDecoder;
use flate2::write::{GzEncoder, ZlibEncoder};
use http::Request;
use http_body_util::Full;
use serde_json::{Value, json};

use crate::data::harness::{Answer, Gateway, chat, sim, sim_with, streamed, until};
use crate::data::script::Script;

fn gzip(body: &[u8]) -> Vec<u8> {
    let mut encoder = GzEncoder::new(Vec::new(), Compression::default());
    encoder.write_all(body).unwrap();
    encoder.finish().unwrap()
}

fn deflate(body: &[u8]) -> Vec<u8> {
    let mut encoder = ZlibEncoder::new(Vec::new(), Compression::default());
    encoder.write_all(body).unwrap();
    encoder.finish().unwrap()
}

/// The plain text of an answer, after its coding was checked.
fn plain(answer: &Answer, coding: &str) -> String {
    assert_eq!(answer.header("content-encoding"), Some(coding));
    let mut text = String::new();
    match coding {
        "gzip" => GzDecoder::new(&*answer.body)
            .read_to_string(&mut text)
            .map(drop)
            .unwrap(),
        _ => text = String::from_utf8(zstd::decode_all(&*answer.body).unwrap()).unwrap(),
    }
    text
}

fn encoded(gateway: &Gateway, coding: &'static str, body: Vec<u8>) -> Request<Full<Bytes>> {
    let mut request = gateway.raw_request("/v1/chat/completions", body);
    request
        .headers_mut()
        .insert("content-encoding", coding.parse().unwrap());
    request
}

fn accepting(gateway: &Gateway, coding: &str, body: &Value) -> Request<Full<Bytes>> {
    let mut request = gateway.request("/v1/chat/completions", body);
    request.headers_mut().insert("accept-encoding", coding.parse().unwrap());
    request
}

#[tokio::test]
async fn compressed_requests_reach_the_provider_as_they_were_written() {
    let sim = sim();
    let gateway = Gateway::start(&sim.url());
    let body = chat("any").to_string().into_bytes();
    let same = gateway.chat(&chat("any")).await.json()["usage"].clone();
    for (coding, body) in [
        ("gzip", gzip(&body)),
        ("deflate", deflate(&body)),
        ("zstd", zstd::encode_all(&*body, 3).unwrap()),
        ("identity", body.clone()),
    ] {
        let answer = gateway.send(encoded(&gateway, coding, body)).await;
        assert_eq!(answer.status, 200, "{coding}: {}", answer.text());
        assert_eq!(answer.json()["usage"], same, "{coding}");
    }
}

#[tokio::test]
async fn bombs_unknown_codings_and_damage_are_refused_in_the_api_s_form() {
    let sim = sim();
    let gateway = Gateway::start(&sim.url());
    let zeros = vec![0; 64 * 1024 * 1024];
    for (coding, bomb) in [("gzip", gzip(&zeros)), ("zstd", zstd::encode_all(&*zeros, 3).unwrap())] {
        let answer = gateway.send(encoded(&gateway, coding, bomb)).await;
        assert_eq!(answer.status, 413, "{coding}");
        assert_eq!(answer.error(), "the request body is larger than 16777216 bytes");
    }
    let unknown = gateway.send(encoded(&gateway, "br", b"whatever".to_vec())).await;
    assert_eq!(unknown.status, 415);
    assert_eq!(unknown.header("accept-encoding"), Some("zstd, gzip, deflate"));
    unknown.error();
    let damaged = gateway
        .send(encoded(&gateway, "gzip", chat("any").to_string().into_bytes()))
        .await;
    assert_eq!(damaged.status, 400);
    assert_eq!(
        damaged.error(),
        "the request body cannot be decompressed; content-encoding says gzip"
    );
    assert_eq!(gateway.running(), 0);
}

#[tokio::test]
async fn long_answers_are_compressed_as_the_client_wants_and_streams_and_short_ones_are_not() {
    let sim = sim_with(|b| b.output_tokens = "800".parse().unwrap());
    let gateway = Gateway::start(&sim.url());
    let mut long = chat("any");
    long["max_tokens"] = json!(800);
    let expected = gateway.chat(&long).await;
    assert_eq!(expected.header("content-encoding"), None, "nobody asked for it");
    assert!(expected.body.len() > 1024, "{}", expected.body.len());
    for (accept, coding) in [
        ("gzip, deflate", "gzip"),
        ("gzip, deflate, br, zstd", "zstd"),
        ("gzip, zstd;q=0.1", "gzip"),
    ] {
        let answer = gateway.send(accepting(&gateway, accept, &long)).await;
        assert_eq!(answer.header("vary"), Some("accept-encoding"));
        assert!(answer.body.len() < expected.body.len(), "{accept}");
        let text: Value = serde_json::from_str(&plain(&answer, coding)).unwrap();
        assert_eq!(text["usage"], expected.json()["usage"]);
    }
    for accept in ["br", "gzip;q=0", "identity"] {
        assert_eq!(
            gateway
                .send(accepting(&gateway, accept, &long))
                .await
                .header("content-encoding"),
            None
        );
    }
    let mut stream = streamed("any");
    stream["max_tokens"] = json!(800);
    let answer = gateway.send(accepting(&gateway, "gzip", &stream)).await;
    assert_eq!(answer.header("content-encoding"), None);
    assert!(answer.text().ends_with("data: [DONE]\n\n"));
    let short = gateway.send(accepting(&gateway, "gzip", &chat("any"))).await;
    assert_eq!(short.header("content-encoding"), None);
    assert_eq!(short.json()["object"], "chat.completion");
}

/// The provider's next answer, with a coding of its own choice, on a connection of its own.
async fn answer_of(provider: &Script, head: &str, body: &[u8]) {
    let count = |counter: &AtomicUsize| counter.load(Ordering::SeqCst);
    // Until the gateway has left the connection before, the answer could go there.
    until("the last connection is closed", || {
        count(&provider.closed) == count(&provider.requests)
    })
    .await;
    let head = format!(
        "HTTP/1.1 {head}\r\nconnection: close\r\ncontent-length: {}\r\n\r\n",
        body.len()
    );
    provider.send([head.as_bytes(), body].concat());
}

#[tokio::test]
async fn what_a_provider_compresses_unasked_is_read_for_its_usage_and_never_compressed_twice() {
    let provider = Script::start().await;
    let gateway = Gateway::start(&provider.url());
    let padding = "the same again and again ".repeat(100);
    let body = json!({"padding": padding, "usage": {"prompt_tokens": 11, "completion_tokens": 7}}).to_string();
    let head = "200 OK\r\ncontent-type: application/json\r\ncontent-encoding: gzip";
    answer_of(&provider, head, &gzip(body.as_bytes())).await;
    let answer = gateway.chat(&chat("any")).await;
    assert_eq!((answer.text(), answer.header("content-encoding")), (&*body, None));
    answer_of(&provider, head, &gzip(body.as_bytes())).await;
    let answer = gateway.send(accepting(&gateway, "zstd", &chat("any"))).await;
    assert_eq!(plain(&answer, "zstd"), body);
    let counted = gateway.counted("chat").unwrap();
    assert_eq!(counted.input_tokens, 22, "both were read");
    // An error is an error in any coding.
    let error = json!({"error": {"message": "slow down", "type": "tokens", "param": null, "code": null}}).to_string();
    answer_of(
        &provider,
        "429 Too Many\r\ncontent-type: application/json\r\ncontent-encoding: gzip",
        &gzip(error.as_bytes()),
    )
    .await;
    let answer = gateway.chat(&chat("any")).await;
    assert_eq!((answer.status.as_u16(), answer.error().as_str()), (429, "slow down"));
    // What nobody here can read is no answer.
    answer_of(
        &provider,
        "200 OK\r\ncontent-type: application/json\r\ncontent-encoding: br",
        b"brotli",
    )
    .await;
    assert_eq!(gateway.chat(&chat("any")).await.status, 502);
    answer_of(
        &provider,
        "200 OK\r\ncontent-type: text/event-stream\r\ncontent-encoding: gzip",
        &gzip(b"data: [DONE]\n\n"),
    )
    .await;
    assert_eq!(gateway.chat(&streamed("any")).await.status, 502);
    assert_eq!(
        gateway.upstream_errors()["sim malformed"],
        2,
        "{:?}",
        gateway.upstream_errors()
    );
}

#[tokio::test]
async fn an_answer_too_large_to_be_held_is_compressed_as_it_passes() {
    let provider = Script::start().await;
    let gateway = Gateway::start(&provider.url());
    let padding = "0.12345678,".repeat(300_000);
    let body = json!({"padding": padding, "usage": {"prompt_tokens": 11, "completion_tokens": 7}}).to_string();
    for (n, coding) in ["gzip", "zstd"].into_iter().enumerate() {
        answer_of(&provider, "200 OK\r\ncontent-type: application/json", body.as_bytes()).await;
        let answer = gateway.send(accepting(&gateway, coding, &chat("any"))).await;
        assert!(answer.body.len() < body.len() / 10, "{coding}: {}", answer.body.len());
        assert!(plain(&answer, coding) == body, "{coding}: the text is another");
        assert_eq!(gateway.counted("chat").unwrap().input_tokens, 11 * (n as u64 + 1));
    }
    assert_eq!(gateway.running(), 0);
}

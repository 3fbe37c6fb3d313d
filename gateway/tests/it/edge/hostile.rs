//! Heads that are no HTTP, or that two readers could read in two ways.

use tokenweir_gateway::server::Patience;
use tokenweir_gateway::upstream::client_config;

use super::clients::raw;
use crate::data::harness::{Gateway, KEY, chat, sim, until};

fn post(headers: &str, body: &str) -> String {
    format!(
        "POST /v1/chat/completions HTTP/1.1\r\nhost: x\r\nauthorization: Bearer {KEY}\r\ncontent-type: application/json\r\n\
         {headers}\r\n{body}"
    )
}

#[tokio::test]
async fn a_malformed_head_is_refused_and_its_connection_closed() {
    let sim = sim();
    let gateway = Gateway::with_patience(&sim.url(), client_config(), Patience::default(), |_| {});
    let smuggled = "0\r\n\r\nGET /v1/models HTTP/1.1\r\nhost: x\r\n\r\n";
    let heads = [
        "\0\0\0\0\r\n\r\n".to_owned(),
        "GET\r\n\r\n".to_owned(),
        "GET /v1/models HTTP/9.9\r\nhost: x\r\n\r\n".to_owned(),
        "GET /v1/mo dels HTTP/1.1\r\nhost: x\r\n\r\n".to_owned(),
        "GET /v1/models HTTP/1.1\r\nho st: x\r\n\r\n".to_owned(),
        "GET /v1/models HTTP/1.1\r\nhost: x\r\n: empty\r\n\r\n".to_owned(),
        "GET /v1/models HTTP/1.1\r\nhost: x\r\nx: a\0b\r\n\r\n".to_owned(),
        "GET /v1/models HTTP/1.1\r\nhost: x\r\nx: a\r\n folded\r\n\r\n".to_owned(),
        post("content-length: 5\r\ncontent-length: 6\r\n", "hello"),
        post("content-length: -5\r\n", "hello"),
        post("content-length: 5x\r\n", "hello"),
        post("transfer-encoding: chunked, identity\r\n", smuggled),
        post("transfer-encoding: gzip\r\n", smuggled),
    ];
    for head in heads {
        let answer = raw(gateway.address, head.as_bytes()).await;
        assert!(answer.starts_with("HTTP/1.1 400 "), "{head:?} gave {answer:?}");
        assert_eq!(
            answer.matches("HTTP/1.1").count(),
            1,
            "{head:?} was read as two requests: {answer:?}"
        );
    }
    assert_eq!(gateway.chat(&chat("any")).await.status, 200);
    assert_eq!(gateway.running(), 0);
}

#[tokio::test]
async fn a_body_that_both_is_chunked_and_has_a_length_is_one_request_and_the_last_on_its_connection() {
    let sim = sim();
    let gateway = Gateway::start(&sim.url());
    let head = post(
        "content-length: 5\r\ntransfer-encoding: chunked\r\n",
        "0\r\n\r\nGET /v1/models HTTP/1.1\r\nhost: x\r\n\r\n",
    );
    let answer = raw(gateway.address, head.as_bytes()).await;
    assert!(answer.starts_with("HTTP/1.1 400 "), "{answer}");
    assert!(!answer.contains("HTTP/1.1 200"), "{answer}");
    until("nothing is left", || gateway.running() == 0).await;
}

#[tokio::test]
async fn a_preface_of_http2_with_nonsense_behind_it_ends_the_connection() {
    let sim = sim();
    let gateway = Gateway::start(&sim.url());
    for frames in [
        &b"nonsense that is no frame at all"[..],
        &[0xff; 64],
        &[0, 0, 0, 0x77, 0, 0xff, 0xff, 0xff, 0xff],
    ] {
        let mut bytes = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n".to_vec();
        bytes.extend_from_slice(frames);
        // Beyond any frame that is allowed, so that the other side has to say something.
        bytes.extend_from_slice(&[0xff; 128]);
        raw(gateway.address, &bytes).await;
    }
    until("nothing is left", || gateway.connections.open() == 0).await;
    assert_eq!(gateway.chat(&chat("any")).await.status, 200);
}

//! Clients that are slow, leave halfway, or send what nobody should.

use std::time::Duration;

use bytes::Bytes;
use http_body_util::Full;
use serde_json::{Value, json};
use socket2::{Domain, Socket, Type};
use tokenweir_sim::RequestOutcome;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpSocket, TcpStream};

use super::scene::{CHAT, Scene};
use crate::data::harness::{KEY, chat, streamed, until};
use crate::edge::clients::{raw, rest};

/// More than the connections that may stay open, so that one that is lost with each request shows.
const TIMES: usize = 25;

/// A request as bytes, whatever it says about its length.
fn request(body: &[u8], length: usize) -> Vec<u8> {
    let head = format!(
        "POST {CHAT} HTTP/1.1\r\nhost: x\r\nauthorization: Bearer {KEY}\r\ncontent-type: application/json\r\n\
         content-length: {length}\r\n\r\n"
    );
    [head.as_bytes(), body].concat()
}

#[tokio::test]
async fn a_client_that_reads_a_byte_a_second_holds_up_its_own_answer_alone() {
    let scene = Scene::new().await;
    let socket = Socket::new(Domain::IPV4, Type::STREAM, None).unwrap();
    // So small that the kernel takes in little of what is not read.
    socket.set_recv_buffer_size(4 * 1024).unwrap();
    socket.set_nonblocking(true).unwrap();
    let socket = TcpSocket::from_std_stream(socket.into());
    let mut slow = socket.connect(scene.gateway.address).await.unwrap();
    let mut body = streamed("any");
    body["max_tokens"] = json!(200_000);
    body["ignore_eos"] = json!(true);
    let body = body.to_string();
    slow.write_all(&request(body.as_bytes(), body.len())).await.unwrap();
    let mut byte = [0];
    for _ in 0..3 {
        slow.read_exact(&mut byte).await.unwrap();
        tokio::time::sleep(Duration::from_secs(1)).await;
    }
    scene.others_are_served_as_before().await;
    let requests = scene.sim.requests();
    let held = requests
        .iter()
        .find(|request| request.outcome == RequestOutcome::Active)
        .unwrap();
    assert!(
        held.tokens_sent < 100_000,
        "the provider is held up, too: {}",
        held.tokens_sent
    );
    drop(slow);
    until("the provider is told", || scene.sim.stats().cancelled == 1).await;
    scene.nothing_is_left().await;
    assert_eq!(scene.gateway.ended(499), 1);
}

#[tokio::test]
async fn heads_up_to_64_kib_pass_and_larger_ones_are_refused() {
    let scene = Scene::new().await;
    for _ in 0..TIMES {
        for (size, status) in [(60 * 1024, 200), (64 * 1024, 431)] {
            let mut request = scene.gateway.request(CHAT, &chat("any"));
            let value = "x".repeat(size).parse().unwrap();
            request.headers_mut().insert("x-large", value);
            let answer = scene.gateway.send(request).await;
            assert_eq!(answer.status.as_u16(), status, "{size}");
        }
    }
    scene.nothing_is_left().await;
    scene.others_are_served_as_before().await;
}

#[tokio::test]
async fn a_body_that_lies_about_its_length_is_never_passed_on_in_part() {
    let scene = Scene::new().await;
    let body = chat("any").to_string();
    let before = scene.sim.stats().requests;
    for _ in 0..TIMES {
        // Longer than it is, and the client leaves or says that this was all.
        let mut short = TcpStream::connect(scene.gateway.address).await.unwrap();
        short
            .write_all(&request(body.as_bytes(), body.len() + 10))
            .await
            .unwrap();
        short.shutdown().await.unwrap();
        let answer = rest(&mut short).await;
        assert!(answer.is_empty() || answer.starts_with("HTTP/1.1 400"), "{answer}");
        // Shorter than it is: JSON that is cut off, and behind it something that is no request.
        let answer = raw(scene.gateway.address, &request(body.as_bytes(), body.len() - 10)).await;
        assert!(answer.starts_with("HTTP/1.1 400"), "{answer}");
    }
    assert_eq!(scene.sim.stats().requests, before, "the provider was never asked");
    scene.nothing_is_left().await;
    scene.others_are_served_as_before().await;
}

#[tokio::test]
async fn json_nested_ten_thousand_deep_is_passed_on_or_refused_and_costs_no_stack() {
    let scene = Scene::new().await;
    let deep = |open: &str, close: &str| open.repeat(10_000) + &close.repeat(10_000);
    let messages = chat("any")["messages"].to_string();
    for nested in [deep("[", "]"), deep("{\"a\":", "}").replace(":}", ":0}")] {
        let unknown = format!(r#"{{"model":"any","max_tokens":8,"messages":{messages},"metadata_of_mine":{nested}}}"#);
        let answer = scene.gateway.send(scene.gateway.raw_request(CHAT, unknown)).await;
        assert_eq!(
            answer.status,
            200,
            "what the gateway does not look into passes: {}",
            answer.text()
        );
        for known in ["messages", "model", "stream", "max_tokens", "stream_options", "n"] {
            let mut body = json!({"model": "any", "max_tokens": 8, "messages": "here"});
            body[known] = "there".into();
            let body = body
                .to_string()
                .replace("\"there\"", &nested)
                .replace("\"here\"", &messages);
            let answer = scene.gateway.send(scene.gateway.raw_request(CHAT, body)).await;
            assert_eq!(answer.status, 400, "{known}: {}", answer.text());
            assert!(!answer.error().is_empty());
        }
    }
    scene.nothing_is_left().await;
    scene.others_are_served_as_before().await;
}

#[tokio::test]
async fn bytes_that_are_no_text_are_a_400_that_says_where_and_the_provider_is_not_asked() {
    let scene = Scene::new().await;
    for broken in [&b"\xff\xfe"[..], b"\xc3\x28", b"\xed\xa0\x80"] {
        for place in ["any", "Hello", "user", "content"] {
            let before = scene.sim.stats().requests;
            let body = chat("any").to_string();
            let (front, back) = body.split_once(place).unwrap();
            let offset = front.len();
            let body: Bytes = [front.as_bytes(), broken, back.as_bytes()].concat().into();
            let request = scene.gateway.request(CHAT, &Value::Null).map(|_| Full::new(body));
            let answer = scene.gateway.send(request).await;
            assert_eq!(answer.status, 400, "{place}: {}", answer.text());
            let at = format!("the request body is not valid UTF-8: error at byte {offset}");
            assert_eq!(answer.error(), at);
            assert_eq!(scene.sim.stats().requests, before, "{place}");
        }
    }
    scene.nothing_is_left().await;
    scene.others_are_served_as_before().await;
}

//! Changes of configuration and the end of the process, with streams in flight.

use std::net::SocketAddr;
use std::time::Duration;

use http_body_util::BodyExt as _;
use serde_json::json;
use tokenweir_config::status::Phase;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;

use super::harness::{Gateway, KEY, chat, provider, read, route, sim, sim_with, streamed, until};

/// A stream of about a second.
fn slow_stream() -> serde_json::Value {
    let mut request = streamed("any");
    request["max_tokens"] = json!(40);
    request
}

fn slow_sim() -> tokenweir_sim::SimHandle {
    sim_with(|b| b.latency = "fixed;first=0;token=25".parse().unwrap())
}

#[tokio::test]
async fn changes_of_route_key_and_provider_do_not_touch_streams_in_flight() {
    let (sim, other) = (slow_sim(), sim());
    let mut gateway = Gateway::start(&sim.url());
    let bodies: Vec<_> = {
        let request = slow_stream();
        let begun = (0..10).map(|_| gateway.begin(gateway.request("/v1/chat/completions", &request)));
        futures::future::join_all(begun).await
    };
    gateway.reconfigure(|v| v["providers"]["sim"]["credential"] = json!({"bearer": "rotated"}));
    gateway.reconfigure(|v| {
        v["providers"] = json!({"other": provider(&other.url())});
        v["routes"] = json!({"new": route("new-*", "other")});
    });
    assert_eq!(gateway.chat(&chat("any")).await.status, 404);
    assert_eq!(
        gateway.chat(&chat("new-x")).await.header("x-tokenweir-provider"),
        Some("other")
    );
    gateway.reconfigure(|v| {
        v["tenants"].as_object_mut().unwrap().remove("acme");
    });
    assert_eq!(gateway.chat(&chat("new-x")).await.status, 401);
    for answer in futures::future::join_all(bodies.into_iter().map(read)).await {
        assert!(answer.text().ends_with("data: [DONE]\n\n"), "{}", answer.text());
    }
}

#[tokio::test]
async fn a_rotated_provider_key_is_used_by_the_next_request() {
    let sim = sim();
    sim.set_api_keys(vec!["provider-secret".into()]);
    let mut gateway = Gateway::start(&sim.url());
    assert_eq!(gateway.chat(&chat("any")).await.status, 200);
    sim.set_api_keys(vec!["rotated".into()]);
    gateway.reconfigure(|v| v["providers"]["sim"]["credential"] = json!({"bearer": "rotated"}));
    assert_eq!(gateway.chat(&chat("any")).await.status, 200);
}

#[tokio::test]
async fn listeners_follow_the_configuration() {
    let sim = sim();
    let mut gateway = Gateway::start(&sim.url());
    // Below the ports that the kernel gives to those who ask for any, so that no other test gets it in between.
    let free = (20_000..30_000).map(|port| SocketAddr::from(([127, 0, 0, 1], port)));
    let address = free
        .skip(std::process::id() as usize % 9_000)
        .find(|a| std::net::TcpListener::bind(a).is_ok())
        .unwrap();
    gateway.reconfigure(|v| v["listeners"] = json!([{"port": 0}, {"port": address.port()}]));
    let mut open = connected(address).await;
    gateway.reconfigure(|v| v["listeners"] = json!([{"port": 0}]));
    until_refused(address).await;
    // What was accepted is served on.
    let head = format!("GET /v1/models HTTP/1.1\r\nhost: x\r\nauthorization: Bearer {KEY}\r\n\r\n");
    open.write_all(head.as_bytes()).await.unwrap();
    let mut answer = [0; 15];
    open.read_exact(&mut answer).await.unwrap();
    assert_eq!(&answer, b"HTTP/1.1 200 OK");
}

#[tokio::test]
async fn a_lame_duck_serves_and_says_that_it_closes() {
    let sim = sim();
    let gateway = Gateway::start(&sim.url());
    assert_eq!(gateway.chat(&chat("any")).await.header("connection"), None);
    gateway.drain.advance(Phase::LameDuck);
    let answer = gateway.chat(&chat("any")).await;
    assert_eq!(
        (answer.status.as_u16(), answer.header("connection")),
        (200, Some("close"))
    );
}

#[tokio::test]
async fn a_stream_from_before_the_lame_duck_leaves_its_connection_to_one_more_request() {
    let sim = slow_sim();
    let gateway = Gateway::start(&sim.url());
    let mut stream = TcpStream::connect(gateway.address).await.unwrap();
    let body = slow_stream().to_string();
    let request = format!(
        "POST /v1/chat/completions HTTP/1.1\r\nhost: x\r\nauthorization: Bearer {KEY}\r\ncontent-length: {}\r\n\r\n{body}",
        body.len()
    );
    stream.write_all(request.as_bytes()).await.unwrap();
    let mut first = [0; 64];
    stream.read_exact(&mut first).await.unwrap();
    gateway.drain.advance(Phase::LameDuck);
    // The first answer's head has gone without a word of the end, so its client may use the connection again. It sends its
    // next request at once, as a client does that had it ready when the stream ended.
    let next = format!("GET /v1/models HTTP/1.1\r\nhost: x\r\nauthorization: Bearer {KEY}\r\n\r\n");
    stream.write_all(next.as_bytes()).await.unwrap();
    let mut answers = first.to_vec();
    stream.read_to_end(&mut answers).await.unwrap();
    let text = String::from_utf8(answers).unwrap();
    let (before, after) = text.split_once("data: [DONE]").unwrap();
    assert!(!before.contains("connection: close"), "{text}");
    assert_eq!(after.matches("HTTP/1.1 200 OK").count(), 1, "{text}");
    assert!(after.contains("connection: close"), "{text}");
}

#[tokio::test]
async fn draining_ends_streams_in_peace_and_turns_late_requests_away() {
    let sim = slow_sim();
    let mut gateway = Gateway::start(&sim.url());
    let open = TcpStream::connect(gateway.address).await.unwrap();
    let mut body = gateway
        .begin(gateway.request("/v1/chat/completions", &slow_stream()))
        .await
        .into_body();
    body.frame().await.unwrap().unwrap();
    gateway.drain.advance(Phase::Draining);
    until_refused(gateway.address).await;
    let mut late = open;
    let head = format!("GET /v1/models HTTP/1.1\r\nhost: x\r\nauthorization: Bearer {KEY}\r\n\r\n");
    late.write_all(head.as_bytes()).await.unwrap();
    let mut answer = String::new();
    late.read_to_string(&mut answer).await.unwrap();
    assert!(
        answer.starts_with("HTTP/1.1 503") && answer.contains("retry-after: 1"),
        "{answer}"
    );
    assert!(answer.contains("connection: close"), "{answer}");
    let rest = body.collect().await.unwrap().to_bytes();
    assert!(rest.ends_with(b"data: [DONE]\n\n"));
    gateway.join().await;
}

#[tokio::test]
async fn the_end_of_the_grace_period_ends_what_still_runs() {
    let sim = sim();
    let mut gateway = Gateway::start(&sim.url());
    let mut request = gateway.request("/v1/chat/completions", &streamed("any"));
    request
        .headers_mut()
        .insert("x-sim-fault", "hang;after=1".parse().unwrap());
    let mut body = gateway.begin(request).await.into_body();
    body.frame().await.unwrap().unwrap();
    gateway.drain.advance(Phase::Draining);
    until_refused(gateway.address).await;
    assert_eq!(gateway.running(), 1);
    gateway.drain.advance(Phase::Stopped);
    gateway.join().await;
    until("the provider is left", || sim.stats().active == 0).await;
}

/// A connection once somebody listens.
async fn connected(address: SocketAddr) -> TcpStream {
    let begun = std::time::Instant::now();
    loop {
        if let Ok(stream) = TcpStream::connect(address).await {
            return stream;
        }
        assert!(begun.elapsed() < Duration::from_secs(10), "the listener does not open");
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
}

async fn until_refused(address: SocketAddr) {
    let begun = std::time::Instant::now();
    while TcpStream::connect(address).await.is_ok() {
        assert!(begun.elapsed() < Duration::from_secs(10), "the listener does not close");
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
}

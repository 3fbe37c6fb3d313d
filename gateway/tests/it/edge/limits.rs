//! What one client may cost: bodies, heads, connections, and its slowness.

use std::net::SocketAddr;
use std::sync::atomic::Ordering;
use std::time::Duration;

use bytes::Bytes;
use http::Request;
use http_body_util::Full;
use hyper_util::client::legacy::Client;
use hyper_util::rt::TokioExecutor;
use serde_json::{Value, json};
use socket2::{Domain, Socket, Type};
use tokenweir_gateway::server::{Cut, Patience};
use tokenweir_gateway::upstream::client_config;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpSocket, TcpStream};

use super::clients::{raw, rest};
use crate::data::harness::{Gateway, KEY, chat, read, sim, sim_with, streamed, until};
use crate::data::script::Script;

const KIB: usize = 1024;

#[tokio::test]
async fn the_largest_body_is_what_the_configuration_says_and_may_change() {
    let sim = sim();
    let mut gateway = Gateway::with(&sim.url(), |v| {
        v["limits"] = json!({"maxBodyBytes": 2 * KIB, "maxConnections": 100});
    });
    let of = |size: usize| {
        let mut body = chat("any");
        let empty = body.to_string().len() - "Hello".len();
        body["messages"][0]["content"] = json!("x".repeat(size - empty));
        body
    };
    assert_eq!(gateway.chat(&of(2 * KIB)).await.status, 200);
    let large = gateway.chat(&of(2 * KIB + 1)).await;
    assert_eq!(
        (large.status.as_u16(), large.error().as_str()),
        (413, "the request body is larger than 2048 bytes")
    );
    gateway.reconfigure(|v| v["limits"]["maxBodyBytes"] = json!(64 * KIB));
    assert_eq!(gateway.chat(&of(60 * KIB)).await.status, 200);
}

fn with_header(gateway: &Gateway, size: usize) -> Request<Full<Bytes>> {
    let mut request = gateway.request("/v1/chat/completions", &chat("any"));
    request
        .headers_mut()
        .insert("x-large", "x".repeat(size).parse().unwrap());
    request
}

#[tokio::test]
async fn heads_beyond_64_kib_are_answered_with_431_in_the_api_s_form() {
    let sim = sim();
    let gateway = Gateway::start(&sim.url());
    let http2: Client<_, Full<Bytes>> = Client::builder(TokioExecutor::new()).http2_only(true).build_http();
    assert_eq!(gateway.send(with_header(&gateway, 60 * KIB)).await.status, 200);
    assert_eq!(
        read(http2.request(with_header(&gateway, 60 * KIB)).await.unwrap())
            .await
            .status,
        200
    );
    let over_http2 = read(http2.request(with_header(&gateway, 64 * KIB)).await.unwrap()).await;
    for answer in [gateway.send(with_header(&gateway, 64 * KIB)).await, over_http2] {
        assert_eq!(answer.status, 431);
        assert_eq!(answer.error(), "the headers are larger than 65536 bytes");
    }
    assert_eq!(gateway.running(), 0);
}

#[tokio::test]
async fn heads_far_beyond_are_cut_off_with_431() {
    let sim = sim();
    let gateway = Gateway::start(&sim.url());
    let head = format!(
        "GET /v1/models HTTP/1.1\r\nhost: x\r\nx-large: {}\r\n\r\n",
        "x".repeat(300 * KIB)
    );
    assert!(raw(gateway.address, head.as_bytes()).await.starts_with("HTTP/1.1 431 "));
    let many = "x-many: 1\r\n".repeat(500);
    let head = format!("GET /v1/models HTTP/1.1\r\nhost: x\r\n{many}\r\n");
    assert!(raw(gateway.address, head.as_bytes()).await.starts_with("HTTP/1.1 431 "));
    let http2: Client<_, Full<Bytes>> = Client::builder(TokioExecutor::new()).http2_only(true).build_http();
    let refused = http2.request(with_header(&gateway, 200 * KIB)).await;
    assert!(refused.is_err() || refused.unwrap().status() == 431);
    assert_eq!(gateway.chat(&chat("any")).await.status, 200);
}

#[tokio::test]
async fn one_connection_too_many_is_closed_and_a_place_that_is_left_is_free() {
    let sim = sim();
    let gateway = Gateway::with(&sim.url(), |v| {
        v["limits"] = json!({"maxBodyBytes": 1024, "maxConnections": 3});
    });
    let mut held = Vec::new();
    for _ in 0..3 {
        held.push(TcpStream::connect(gateway.address).await.unwrap());
    }
    until("they are accepted", || gateway.connections.open() == 3).await;
    let mut refused = TcpStream::connect(gateway.address).await.unwrap();
    assert_eq!(rest(&mut refused).await, "");
    assert_eq!(gateway.connections.cut(Cut::Limit), 1);
    // Those that were there are served.
    assert!(models(&mut held[0]).await.starts_with("HTTP/1.1 200 OK"));
    drop(held);
    until("the places are free", || gateway.connections.open() == 0).await;
    let mut again = TcpStream::connect(gateway.address).await.unwrap();
    assert!(models(&mut again).await.starts_with("HTTP/1.1 200 OK"));
}

/// Asks for the models and gives the beginning of the answer.
async fn models(stream: &mut TcpStream) -> String {
    let request = format!("GET /v1/models HTTP/1.1\r\nhost: x\r\nauthorization: Bearer {KEY}\r\n\r\n");
    stream.write_all(request.as_bytes()).await.unwrap();
    let mut answer = vec![0; 4096];
    let n = stream.read(&mut answer).await.unwrap();
    String::from_utf8_lossy(&answer[..n]).into_owned()
}

/// A gateway without time for slow clients.
fn impatient(url: &str) -> Gateway {
    let patience = Patience {
        first_byte: Duration::from_millis(300),
        head: Duration::from_millis(300),
        unread: Duration::from_millis(300),
        look: Duration::from_millis(50),
        ..Patience::default()
    };
    Gateway::with_patience(url, client_config(), patience, |_| {})
}

#[tokio::test]
async fn connections_that_say_nothing_are_closed_while_others_are_served() {
    let sim = sim();
    let gateway = impatient(&sim.url());
    let mut silent = Vec::new();
    for _ in 0..500 {
        silent.push(TcpStream::connect(gateway.address).await.unwrap());
    }
    for _ in 0..20 {
        assert_eq!(gateway.chat(&chat("any")).await.status, 200);
    }
    for stream in &mut silent {
        assert_eq!(rest(stream).await, "");
    }
    assert_eq!(gateway.connections.cut(Cut::Silent), 500);
}

#[tokio::test]
async fn a_crowded_gateway_waits_less_for_those_that_say_nothing() {
    let sim = sim();
    let patience = Patience {
        first_byte_when_crowded: Duration::from_millis(100),
        ..Patience::default()
    };
    let gateway = Gateway::with_patience(&sim.url(), client_config(), patience, |v| {
        v["limits"] = json!({"maxBodyBytes": 1024, "maxConnections": 8});
    });
    let mut silent = Vec::new();
    for n in 0..6 {
        silent.push(TcpStream::connect(gateway.address).await.unwrap());
        until("it is accepted", || gateway.connections.open() == n + 1).await;
    }
    let mut late = TcpStream::connect(gateway.address).await.unwrap();
    assert_eq!(rest(&mut late).await, "");
    until("only the late one is closed", || gateway.connections.open() <= 6).await;
    assert!(gateway.connections.open() >= 5);
}

#[tokio::test]
async fn a_head_that_comes_byte_by_byte_is_cut_also_after_a_whole_request() {
    let sim = sim();
    let gateway = impatient(&sim.url());
    for earlier in [false, true] {
        let mut stream = TcpStream::connect(gateway.address).await.unwrap();
        if earlier {
            assert!(models(&mut stream).await.starts_with("HTTP/1.1 200 OK"));
        }
        let (mut reader, mut writer) = stream.into_split();
        let drip = tokio::spawn(async move {
            for byte in b"GET /v1/models HTTP/1.1\r\nx-slow: "
                .iter()
                .chain(std::iter::repeat(&b'x'))
            {
                if writer.write_all(&[*byte]).await.is_err() {
                    return;
                }
                tokio::time::sleep(Duration::from_millis(20)).await;
            }
        });
        let mut answer = Vec::new();
        let ended = tokio::time::timeout(Duration::from_secs(10), reader.read_to_end(&mut answer)).await;
        assert!(ended.is_ok(), "it is not cut");
        drip.abort();
    }
    assert_eq!(gateway.connections.cut(Cut::SlowHead), 2);
    until("nothing is left", || gateway.connections.open() == 0).await;
}

#[tokio::test]
async fn a_client_that_does_not_read_its_stream_is_cut_and_its_request_cancelled() {
    let provider = Script::start().await;
    let gateway = impatient(&provider.url());
    let mut stream = with_buffer(gateway.address, 4 * KIB).await;
    stream
        .write_all(whole_request(&streamed("any"), "").as_bytes())
        .await
        .unwrap();
    provider.begin_stream();
    let event = format!("data: {{\"padding\":\"{}\"}}\n\n", "x".repeat(8 * KIB));
    // More than the kernel takes in for a connection.
    for _ in 0..2_000 {
        provider.chunk(&event);
    }
    until("it is cut", || gateway.connections.cut(Cut::Unread) == 1).await;
    until("nothing runs", || gateway.running() == 0).await;
    until("the provider is told", || provider.closed.load(Ordering::SeqCst) == 1).await;
    assert_eq!(gateway.ended(499), 1);
}

/// A chat request as bytes.
fn whole_request(body: &Value, headers: &str) -> String {
    let body = body.to_string();
    format!(
        "POST /v1/chat/completions HTTP/1.1\r\nhost: x\r\nauthorization: Bearer {KEY}\r\ncontent-type: application/json\r\n\
         {headers}content-length: {}\r\n\r\n{body}",
        body.len()
    )
}

/// A connection whose kernel takes in little that is not read.
async fn with_buffer(address: SocketAddr, bytes: usize) -> TcpStream {
    let socket = Socket::new(Domain::IPV4, Type::STREAM, None).unwrap();
    socket.set_recv_buffer_size(bytes).unwrap();
    socket.set_nonblocking(true).unwrap();
    let socket = TcpSocket::from_std_stream(socket.into());
    socket.connect(address).await.unwrap()
}

#[tokio::test]
async fn a_client_that_reads_slowly_but_reads_gets_all_of_it() {
    // More than the kernel takes in, so that the gateway waits for the client again and again.
    let sim = sim_with(|b| b.output_tokens = "30000".parse().unwrap());
    let patience = Patience {
        unread: Duration::from_secs(1),
        look: Duration::from_millis(50),
        ..Patience::default()
    };
    let gateway = Gateway::with_patience(&sim.url(), client_config(), patience, |_| {});
    let mut body = streamed("any");
    body["max_tokens"] = json!(30_000);
    let mut stream = with_buffer(gateway.address, 64 * KIB).await;
    let request = whole_request(&body, "connection: close\r\n");
    stream.write_all(request.as_bytes()).await.unwrap();
    let (mut answer, mut piece) = (Vec::new(), [0; 16 * KIB]);
    loop {
        let n = stream.read(&mut piece).await.unwrap();
        if n == 0 {
            break;
        }
        answer.extend_from_slice(&piece[..n]);
        tokio::time::sleep(Duration::from_millis(2)).await;
    }
    assert!(answer.len() > 4 * KIB * KIB, "{} bytes", answer.len());
    assert!(String::from_utf8_lossy(&answer).contains("data: [DONE]"));
    assert_eq!(gateway.connections.cut(Cut::Unread), 0);
}

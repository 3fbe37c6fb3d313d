//! HTTPS listeners.

use std::net::SocketAddr;
use std::time::Duration;

use bytes::Bytes;
use http::Version;
use http_body_util::{BodyExt as _, Full};
use serde_json::{Value, json};
use tokenweir_gateway::server::{Cut, Patience};
use tokenweir_gateway::upstream::client_config;
use tokio::io::AsyncWriteExt as _;
use tokio::net::TcpStream;

use super::clients::{HttpsClient, rest};
use super::pki::{Authority, Pair};
use crate::data::harness::{Gateway, chat, read, sim, sim_with, streamed, until};

fn listeners(pair: &Pair) -> Value {
    json!([{"port": 0, "tls": pair.json()}])
}

fn start(url: &str, pair: &Pair) -> Gateway {
    Gateway::with(url, |v| v["listeners"] = listeners(pair))
}

fn request(gateway: &Gateway, client: &HttpsClient, body: &Value) -> http::Request<Full<Bytes>> {
    let mut request = gateway.request("/v1/chat/completions", body);
    if client.is_http2() {
        *request.version_mut() = Version::HTTP_2;
    } else {
        // On a connection of its own the request line has no host.
        *request.uri_mut() = "/v1/chat/completions".parse().unwrap();
        request
            .headers_mut()
            .insert("host", "edge.example.com".parse().unwrap());
    }
    request
}

#[tokio::test]
async fn both_protocols_are_served_with_tls_as_alpn_says() {
    let (sim, authority) = (sim(), Authority::new());
    let gateway = start(&sim.url(), &authority.issue(&["edge.example.com"]));
    for (offered, http2) in [
        (&[&b"h2"[..], b"http/1.1"][..], true),
        (&[b"http/1.1"], false),
        (&[], false),
    ] {
        let mut client = HttpsClient::connect(gateway.address, authority.client(offered))
            .await
            .unwrap();
        assert_eq!(client.is_http2(), http2);
        for body in [chat("any"), streamed("any")] {
            let request = request(&gateway, &client, &body);
            let answer = read(client.send(request).await.unwrap()).await;
            assert_eq!(answer.status, 200, "{}", answer.text());
            assert!(answer.text().contains("chat.completion"), "{}", answer.text());
        }
    }
}

#[tokio::test]
async fn a_rotated_certificate_is_shown_to_new_connections_and_open_ones_go_on() {
    let sim = sim_with(|b| b.latency = "fixed;first=0;token=20".parse().unwrap());
    let authority = Authority::new();
    let (first, second) = (
        authority.issue(&["edge.example.com"]),
        authority.issue(&["edge.example.com"]),
    );
    let mut gateway = start(&sim.url(), &first);
    for alpn in [&[&b"h2"[..]], &[&b"http/1.1"[..]]] {
        gateway.reconfigure(|v| v["listeners"] = listeners(&first));
        let mut old = HttpsClient::connect(gateway.address, authority.client(alpn))
            .await
            .unwrap();
        assert_eq!(old.certificate, first.der());
        let begun = old.send(request(&gateway, &old, &streamed("any"))).await.unwrap();
        gateway.reconfigure(|v| v["listeners"] = listeners(&second));
        let new = HttpsClient::connect(gateway.address, authority.client(alpn))
            .await
            .unwrap();
        assert_eq!(new.certificate, second.der());
        assert!(
            read(begun).await.text().ends_with("data: [DONE]\n\n"),
            "the stream was cut"
        );
        let again = old.send(request(&gateway, &old, &chat("any"))).await.unwrap();
        assert_eq!(again.status(), 200, "the connection was cut");
    }
}

#[tokio::test]
async fn a_certificate_that_does_not_fit_leaves_the_one_in_service() {
    let (sim, authority) = (sim(), Authority::new());
    let good = authority.issue(&["edge.example.com"]);
    let mut gateway = start(&sim.url(), &good);
    let mut wrong = listeners(&good);
    wrong[0]["tls"]["key"] = json!(authority.issue(&["edge.example.com"]).key);
    let refused = gateway.try_reconfigure(|v| v["listeners"] = wrong).unwrap_err();
    assert_eq!(
        refused.to_string(),
        "the certificate of port 0 cannot be used: the private key does not belong to the certificate"
    );
    let client = HttpsClient::connect(gateway.address, authority.client(&[b"h2"]))
        .await
        .unwrap();
    assert_eq!(client.certificate, good.der());
}

#[tokio::test]
async fn listeners_with_and_without_tls_stand_side_by_side_and_change_their_minds() {
    let (sim, authority) = (sim(), Authority::new());
    let pair = authority.issue(&["edge.example.com"]);
    let mut gateway = Gateway::start(&sim.url());
    assert_eq!(gateway.chat(&chat("any")).await.status, 200);
    let plain = gateway.address;
    let secured = free_address();
    let second = json!({"port": secured.port(), "tls": pair.json()});
    gateway.reconfigure(|v| v["listeners"] = json!([{"port": 0}, second]));
    let client = authority.client(&[b"http/1.1"]);
    let begun = std::time::Instant::now();
    let mut connection = loop {
        if let Ok(connection) = HttpsClient::connect(secured, client.clone()).await {
            break connection;
        }
        assert!(begun.elapsed() < Duration::from_secs(10), "the listener does not open");
        tokio::time::sleep(Duration::from_millis(5)).await;
    };
    let answer = connection
        .send(request(&gateway, &connection, &chat("any")))
        .await
        .unwrap();
    assert_eq!(answer.status(), 200);
    assert!(
        HttpsClient::connect(plain, client.clone()).await.is_err(),
        "it speaks no TLS"
    );
    // What was plain may become secured, for those who connect from then on.
    gateway.reconfigure(|v| v["listeners"] = json!([{"port": 0, "tls": pair.json()}]));
    assert!(HttpsClient::connect(plain, client).await.is_ok());
}

#[tokio::test]
async fn whoever_does_not_finish_the_handshake_is_cut_and_leaves_nothing() {
    let (sim, authority) = (sim(), Authority::new());
    let pair = authority.issue(&["edge.example.com"]);
    let patience = Patience {
        first_byte: Duration::from_millis(200),
        handshake: Duration::from_millis(200),
        ..Patience::default()
    };
    let gateway = Gateway::with_patience(&sim.url(), client_config(), patience, |v| {
        v["listeners"] = listeners(&pair);
    });
    // Nothing at all.
    let mut silent = TcpStream::connect(gateway.address).await.unwrap();
    assert_eq!(rest(&mut silent).await, "");
    until("it is counted", || gateway.connections.cut(Cut::Silent) == 1).await;
    // The beginning of a handshake.
    let mut slow = TcpStream::connect(gateway.address).await.unwrap();
    slow.write_all(&[0x16, 0x03, 0x01]).await.unwrap();
    assert_eq!(rest(&mut slow).await, "");
    // Plain HTTP.
    let mut plain = TcpStream::connect(gateway.address).await.unwrap();
    plain
        .write_all(b"GET /v1/models HTTP/1.1\r\nhost: x\r\n\r\n")
        .await
        .unwrap();
    rest(&mut plain).await;
    until("both are counted", || gateway.connections.cut(Cut::Handshake) == 2).await;
    // A client that does not trust the certificate.
    let stranger = Authority::new();
    assert!(
        HttpsClient::connect(gateway.address, stranger.client(&[b"h2"]))
            .await
            .is_err()
    );
    until("all of them are gone", || gateway.connections.open() == 0).await;
    let mut good = HttpsClient::connect(gateway.address, authority.client(&[b"h2"]))
        .await
        .unwrap();
    let answer = good.send(request(&gateway, &good, &chat("any"))).await.unwrap();
    assert_eq!(
        answer.into_body().collect().await.unwrap().to_bytes().first(),
        Some(&b'{')
    );
}

/// An address below those that the kernel gives to whoever asks for any, so that no other test gets it in between.
fn free_address() -> SocketAddr {
    let addresses = (10_000..20_000).map(|port| SocketAddr::from(([127, 0, 0, 1], port)));
    let mut addresses = addresses.skip(std::process::id() as usize % 9_000);
    addresses
        .find(|address| std::net::TcpListener::bind(address).is_ok())
        .unwrap()
}

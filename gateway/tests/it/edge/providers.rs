//! The way to providers: their authorities, the gateway's certificate, Services with TLS, and the proxy.

use std::convert::Infallible;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use bytes::Bytes;
use http::{Request, Response};
use http_body_util::{BodyExt as _, Full};
use hyper::body::Incoming;
use hyper::service::service_fn;
use hyper_util::rt::{TokioExecutor, TokioIo};
use hyper_util::server::conn::auto;
use parking_lot::Mutex;
use rustls::ServerConfig;
use serde_json::json;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _, copy_bidirectional};
use tokio::net::{TcpListener, TcpStream};
use tokio_rustls::TlsAcceptor;

use super::pki::Authority;
use crate::data::harness::{Gateway, chat, sim};

/// A provider behind TLS.
struct Provider {
    address: SocketAddr,
    connections: Arc<AtomicUsize>,
    task: tokio::task::JoinHandle<()>,
}

impl Provider {
    async fn start(tls: Arc<ServerConfig>) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let connections = Arc::new(AtomicUsize::new(0));
        let acceptor = TlsAcceptor::from(tls);
        let counted = Arc::clone(&connections);
        let task = tokio::spawn(async move {
            loop {
                let (stream, _) = listener.accept().await.unwrap();
                let (acceptor, counted) = (acceptor.clone(), Arc::clone(&counted));
                tokio::spawn(async move {
                    let Ok(stream) = acceptor.accept(stream).await else {
                        return;
                    };
                    counted.fetch_add(1, Ordering::SeqCst);
                    let builder = auto::Builder::new(TokioExecutor::new());
                    let _ = builder.serve_connection(TokioIo::new(stream), service_fn(answer)).await;
                });
            }
        });
        Self {
            address,
            connections,
            task,
        }
    }

    fn url(&self) -> String {
        format!("https://localhost:{}/v1", self.address.port())
    }

    fn connections(&self) -> usize {
        self.connections.load(Ordering::SeqCst)
    }
}

impl Drop for Provider {
    fn drop(&mut self) {
        self.task.abort();
    }
}

async fn answer(request: Request<Incoming>) -> Result<Response<Full<Bytes>>, Infallible> {
    let host = request
        .headers()
        .get("host")
        .map(|host| host.to_str().unwrap().to_owned());
    let authority = request.uri().authority().map(ToString::to_string);
    request.into_body().collect().await.unwrap();
    let body = json!({"authority": authority.or(host)}).to_string();
    let response = Response::builder().header("content-type", "application/json");
    Ok(response.body(Full::from(body)).unwrap())
}

#[tokio::test]
async fn a_bundle_is_trusted_instead_of_the_public_authorities_and_a_change_of_it_opens_new_connections() {
    let (authority, other) = (Authority::new(), Authority::new());
    let provider = Provider::start(authority.issue(&["localhost"]).server(None, &[b"h2"])).await;
    let mut gateway = Gateway::start(&provider.url());
    assert_eq!(
        gateway.chat(&chat("any")).await.status,
        502,
        "nobody knows the authority"
    );
    gateway.reconfigure(|v| v["providers"]["sim"]["tls"] = json!({"ca": authority.pem()}));
    assert_eq!(gateway.chat(&chat("any")).await.status, 200);
    // A change elsewhere keeps the connections.
    let before = provider.connections();
    gateway.reconfigure(|v| v["providers"]["sim"]["timeouts"]["totalMs"] = json!(9_000));
    assert_eq!(gateway.chat(&chat("any")).await.status, 200);
    assert_eq!(provider.connections(), before);
    gateway.reconfigure(|v| v["providers"]["sim"]["tls"] = json!({"ca": other.pem()}));
    assert_eq!(
        gateway.chat(&chat("any")).await.status,
        502,
        "the old trust must not live on in a connection"
    );
    let both = format!("{}{}", other.pem(), authority.pem());
    gateway.reconfigure(|v| v["providers"]["sim"]["tls"] = json!({"ca": both}));
    assert_eq!(gateway.chat(&chat("any")).await.status, 200);
}

#[tokio::test]
async fn the_name_in_the_certificate_is_the_one_that_was_asked_for() {
    let authority = Authority::new();
    let provider = Provider::start(authority.issue(&["models.internal"]).server(None, &[b"h2"])).await;
    let mut gateway = Gateway::with(&provider.url(), |v| {
        v["providers"]["sim"]["tls"] = json!({"ca": authority.pem()});
    });
    assert_eq!(
        gateway.chat(&chat("any")).await.status,
        502,
        "the certificate is for another name"
    );
    gateway.reconfigure(|v| v["providers"]["sim"]["tls"]["serverName"] = json!("models.internal"));
    let answer = gateway.chat(&chat("any")).await;
    assert_eq!(answer.status, 200);
    let expected = format!("localhost:{}", provider.address.port());
    assert_eq!(
        answer.json()["authority"],
        expected,
        "the name is for the handshake alone"
    );
}

#[tokio::test]
async fn a_provider_that_asks_for_a_certificate_gets_the_newest_one() {
    let (authority, clients) = (Authority::new(), Authority::new());
    for alpn in [&[&b"h2"[..]], &[&b"http/1.1"[..]]] {
        let provider = Provider::start(authority.issue(&["localhost"]).server(Some(&clients), alpn)).await;
        let tls = json!({"ca": authority.pem()});
        let mut gateway = Gateway::with(&provider.url(), |v| v["providers"]["sim"]["tls"] = tls);
        assert_eq!(gateway.chat(&chat("any")).await.status, 502, "it has none");
        let foreign = Authority::new().issue(&["gateway"]);
        gateway.reconfigure(|v| v["providers"]["sim"]["tls"]["client"] = foreign.json());
        assert_eq!(
            gateway.chat(&chat("any")).await.status,
            502,
            "it is of another authority"
        );
        let own = clients.issue(&["gateway"]);
        gateway.reconfigure(|v| v["providers"]["sim"]["tls"]["client"] = own.json());
        let answer = gateway.chat(&chat("any")).await;
        assert_eq!(answer.status, 200, "{}", answer.text());
    }
}

#[tokio::test]
async fn pods_of_a_service_are_spoken_to_with_tls_under_the_name_of_the_service() {
    let authority = Authority::new();
    let provider = Provider::start(authority.issue(&["vllm.llm.svc"]).server(None, &[b"h2"])).await;
    let mut gateway = Gateway::with("http://unused/v1", |v| {
        let service = json!({"namespace": "llm", "name": "vllm", "port": 8000, "path": "/v1"});
        v["providers"]["sim"]["upstream"] = json!({"service": service});
        v["providers"]["sim"]["tls"] = json!({"ca": authority.pem()});
    });
    gateway.set_endpoints("vllm", &[provider.address]);
    let answer = gateway.chat(&chat("any")).await;
    assert_eq!(answer.status, 200, "{}", answer.text());
    assert_eq!(answer.json()["authority"], "vllm.llm:8000");
    gateway.reconfigure(|v| v["providers"]["sim"]["tls"]["serverName"] = json!("other.llm.svc"));
    assert_eq!(gateway.chat(&chat("any")).await.status, 502);
}

/// A proxy that opens tunnels to this machine, whatever name is asked for, and remembers who asked for what.
struct Proxy {
    address: SocketAddr,
    heads: Arc<Mutex<Vec<String>>>,
    task: tokio::task::JoinHandle<()>,
}

impl Proxy {
    /// `to`: where its tunnels lead. Without one it says 407.
    async fn start(to: Option<SocketAddr>) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let heads = Arc::new(Mutex::new(Vec::new()));
        let kept = Arc::clone(&heads);
        let task = tokio::spawn(async move {
            loop {
                let (mut stream, _) = listener.accept().await.unwrap();
                let kept = Arc::clone(&kept);
                tokio::spawn(async move {
                    let mut head = Vec::new();
                    while !head.ends_with(b"\r\n\r\n") {
                        head.push(stream.read_u8().await.unwrap());
                    }
                    kept.lock().push(String::from_utf8(head).unwrap().to_ascii_lowercase());
                    let Some(to) = to else {
                        stream
                            .write_all(b"HTTP/1.1 407 Proxy Authentication Required\r\n\r\n")
                            .await
                            .unwrap();
                        return;
                    };
                    let mut onward = TcpStream::connect(to).await.unwrap();
                    stream
                        .write_all(b"HTTP/1.1 200 Connection established\r\n\r\n")
                        .await
                        .unwrap();
                    let _ = copy_bidirectional(&mut stream, &mut onward).await;
                });
            }
        });
        Self { address, heads, task }
    }

    fn json(&self) -> serde_json::Value {
        json!({"host": "127.0.0.1", "port": self.address.port(), "authorization": "Basic Z2F0ZTpzM2NyZXQ="})
    }
}

impl Drop for Proxy {
    fn drop(&mut self) {
        self.task.abort();
    }
}

#[tokio::test]
async fn connections_go_through_the_proxy_with_its_password_and_tls_ends_at_the_provider() {
    let authority = Authority::new();
    let provider = Provider::start(authority.issue(&["models.example.com"]).server(None, &[b"h2"])).await;
    let proxy = Proxy::start(Some(provider.address)).await;
    let gateway = Gateway::with("https://models.example.com/v1", |v| {
        v["providers"]["sim"]["tls"] = json!({"ca": authority.pem()});
        v["providers"]["sim"]["proxy"] = proxy.json();
    });
    for _ in 0..3 {
        let answer = gateway.chat(&chat("any")).await;
        assert_eq!(answer.status, 200, "{}", answer.text());
        assert_eq!(answer.json()["authority"], "models.example.com");
    }
    let heads = proxy.heads.lock().clone();
    assert_eq!(heads.len(), 1, "one tunnel serves all three");
    assert!(
        heads[0].starts_with("connect models.example.com:443 http/1.1\r\n"),
        "{}",
        heads[0]
    );
    assert!(
        heads[0].contains("proxy-authorization: basic z2f0ztpzm2nyzxq=\r\n"),
        "{}",
        heads[0]
    );
    assert!(!heads[0].contains("provider-secret"), "{}", heads[0]);
}

#[tokio::test]
async fn plain_providers_are_tunnelled_too_and_a_change_of_the_proxy_opens_new_connections() {
    let sim = sim();
    let to: SocketAddr = sim.url().trim_start_matches("http://").parse().unwrap();
    let (first, second) = (Proxy::start(Some(to)).await, Proxy::start(Some(to)).await);
    let mut gateway = Gateway::with("http://models.example.com:8000/v1", |v| {
        v["providers"]["sim"]["proxy"] = first.json();
    });
    assert_eq!(gateway.chat(&chat("any")).await.status, 200);
    assert!(first.heads.lock()[0].starts_with("connect models.example.com:8000 http/1.1\r\n"));
    gateway.reconfigure(|v| v["providers"]["sim"]["proxy"] = second.json());
    assert_eq!(gateway.chat(&chat("any")).await.status, 200);
    assert_eq!(second.heads.lock().len(), 1);
}

#[tokio::test]
async fn a_proxy_that_refuses_is_a_provider_that_cannot_be_connected() {
    let proxy = Proxy::start(None).await;
    let gateway = Gateway::with("https://models.example.com/v1", |v| {
        v["providers"]["sim"]["proxy"] = proxy.json();
    });
    let answer = gateway.chat(&chat("any")).await;
    assert_eq!(
        (answer.status.as_u16(), answer.error().as_str()),
        (502, "the provider could not be connected")
    );
    assert_eq!(gateway.upstream_errors()["sim connect"], 1);
}

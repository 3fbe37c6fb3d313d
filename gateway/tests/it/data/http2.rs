//! HTTP/2: to clients with prior knowledge, to providers by ALPN.

use std::convert::Infallible;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use bytes::Bytes;
use futures::future::join_all;
use http::{Request, Response, Version};
use http_body_util::{BodyExt as _, Full};
use hyper::body::Incoming;
use hyper::service::service_fn;
use hyper_util::client::legacy::Client;
use hyper_util::rt::{TokioExecutor, TokioIo};
use hyper_util::server::conn::auto;
use rcgen::{CertifiedKey, generate_simple_self_signed};
use rustls::{ClientConfig, RootCertStore, ServerConfig};
use rustls_pki_types::{PrivateKeyDer, PrivatePkcs8KeyDer};
use serde_json::json;
use tokenweir_config::status::Phase;
use tokio::net::TcpListener;
use tokio_rustls::TlsAcceptor;

use super::harness::{Answer, Gateway, chat, read, sim, sim_with, streamed, until};

#[tokio::test]
async fn clients_may_speak_http2_with_prior_knowledge() {
    let sim = sim();
    let gateway = Gateway::start(&sim.url());
    let client: Client<_, Full<Bytes>> = Client::builder(TokioExecutor::new()).http2_only(true).build_http();
    let send = |body| {
        let request = gateway.request("/v1/chat/completions", &body);
        let client = client.clone();
        async move { client.request(request).await.unwrap() }
    };
    for response in join_all((0..20).map(|_| send(streamed("any")))).await {
        assert_eq!(response.version(), Version::HTTP_2);
        let answer: Answer = read(response).await;
        assert!(answer.text().ends_with("data: [DONE]\n\n"));
    }
    assert_eq!(read(send(chat("any")).await).await.json()["object"], "chat.completion");
}

#[tokio::test]
async fn a_client_that_resets_its_stream_cancels_the_request_at_the_provider() {
    let sim = sim_with(|b| b.latency = "fixed;first=0;token=50".parse().unwrap());
    let gateway = Gateway::start(&sim.url());
    let client: Client<_, Full<Bytes>> = Client::builder(TokioExecutor::new()).http2_only(true).build_http();
    let mut body = streamed("any");
    body["max_tokens"] = json!(1000);
    let response = client
        .request(gateway.request("/v1/chat/completions", &body))
        .await
        .unwrap();
    let mut incoming = response.into_body();
    incoming.frame().await.unwrap().unwrap();
    drop(incoming);
    until("the provider sees it", || sim.stats().cancelled == 1).await;
}

#[tokio::test]
async fn a_lame_duck_tells_http2_clients_to_go_and_finishes_their_streams() {
    let sim = sim_with(|b| b.latency = "fixed;first=0;token=20".parse().unwrap());
    let gateway = Gateway::start(&sim.url());
    let client: Client<_, Full<Bytes>> = Client::builder(TokioExecutor::new()).http2_only(true).build_http();
    let response = client
        .request(gateway.request("/v1/chat/completions", &streamed("any")))
        .await
        .unwrap();
    gateway.drain.advance(Phase::LameDuck);
    assert!(read(response).await.text().ends_with("data: [DONE]\n\n"));
    // A new connection is taken and served.
    let again = client
        .request(gateway.request("/v1/chat/completions", &chat("any")))
        .await
        .unwrap();
    assert_eq!(read(again).await.status, 200);
}

/// A provider behind TLS that offers HTTP/2 and answers with the protocol that was spoken.
struct TlsProvider {
    address: SocketAddr,
    connections: Arc<AtomicUsize>,
    client: Arc<ClientConfig>,
    task: tokio::task::JoinHandle<()>,
}

impl TlsProvider {
    async fn start(alpn: &[&[u8]]) -> Self {
        tokenweir_process::install_crypto_provider();
        let CertifiedKey { cert, signing_key } = generate_simple_self_signed(["localhost".to_owned()]).unwrap();
        let key = PrivateKeyDer::Pkcs8(PrivatePkcs8KeyDer::from(signing_key.serialize_der()));
        let mut server = ServerConfig::builder()
            .with_no_client_auth()
            .with_single_cert(vec![cert.der().clone()], key)
            .unwrap();
        server.alpn_protocols = alpn.iter().map(|protocol| protocol.to_vec()).collect();
        let mut roots = RootCertStore::empty();
        roots.add(cert.der().clone()).unwrap();
        let mut client = ClientConfig::builder()
            .with_root_certificates(roots)
            .with_no_client_auth();
        client.alpn_protocols = vec![b"h2".to_vec(), b"http/1.1".to_vec()];
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let connections = Arc::new(AtomicUsize::new(0));
        let acceptor = TlsAcceptor::from(Arc::new(server));
        let task = tokio::spawn({
            let connections = Arc::clone(&connections);
            async move {
                loop {
                    let (stream, _) = listener.accept().await.unwrap();
                    connections.fetch_add(1, Ordering::SeqCst);
                    let acceptor = acceptor.clone();
                    tokio::spawn(async move {
                        let Ok(stream) = acceptor.accept(stream).await else {
                            return;
                        };
                        let service = service_fn(answer);
                        let builder = auto::Builder::new(TokioExecutor::new());
                        let _ = builder.serve_connection(TokioIo::new(stream), service).await;
                    });
                }
            }
        });
        Self {
            address,
            connections,
            client: Arc::new(client),
            task,
        }
    }

    fn url(&self) -> String {
        format!("https://localhost:{}/v1", self.address.port())
    }
}

impl Drop for TlsProvider {
    fn drop(&mut self) {
        self.task.abort();
    }
}

async fn answer(request: Request<Incoming>) -> Result<Response<Full<Bytes>>, Infallible> {
    let spoken = format!("{:?}", request.version());
    let authority = request.uri().authority().map(ToString::to_string);
    let host = request
        .headers()
        .get("host")
        .map(|host| host.to_str().unwrap().to_owned());
    request.into_body().collect().await.unwrap();
    let body = json!({"spoken": spoken, "authority": authority.or(host)}).to_string();
    Ok(Response::builder()
        .header("content-type", "application/json")
        .body(Full::from(body))
        .unwrap())
}

#[tokio::test]
async fn providers_behind_tls_are_spoken_to_in_http2_if_they_can_and_on_few_connections() {
    for (alpn, spoken) in [
        (&[&b"h2"[..], b"http/1.1"][..], "HTTP/2.0"),
        (&[b"http/1.1"], "HTTP/1.1"),
        (&[], "HTTP/1.1"),
    ] {
        let provider = TlsProvider::start(alpn).await;
        let gateway = Gateway::with_tls(&provider.url(), Arc::clone(&provider.client), |_| {});
        let body = chat("any");
        // One after the other on one client connection, so on one worker.
        for _ in 0..5 {
            let answer = gateway.chat(&body).await;
            assert_eq!(answer.status, 200, "{}", answer.text());
            assert_eq!(answer.json()["spoken"], spoken);
            assert_eq!(
                answer.json()["authority"],
                format!("localhost:{}", provider.address.port())
            );
        }
        assert_eq!(provider.connections.load(Ordering::SeqCst), 1);
        if spoken == "HTTP/2.0" {
            let all = join_all((0..30).map(|_| gateway.chat(&body))).await;
            assert!(all.iter().all(|answer| answer.status == 200));
            // The first on the other worker may race to connect; those after them share.
            let before = provider.connections.load(Ordering::SeqCst);
            join_all((0..30).map(|_| gateway.chat(&body))).await;
            assert_eq!(provider.connections.load(Ordering::SeqCst), before);
        }
    }
}

#[tokio::test]
async fn a_provider_whose_certificate_is_not_trusted_is_not_spoken_to() {
    let provider = TlsProvider::start(&[b"h2"]).await;
    let gateway = Gateway::start(&provider.url());
    let answer = gateway.chat(&chat("any")).await;
    assert_eq!(
        (answer.status.as_u16(), answer.error().as_str()),
        (502, "the provider could not be connected")
    );
}

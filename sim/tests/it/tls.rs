//! TLS with certificates from files.

use std::sync::Arc;

use bytes::Bytes;
use http_body_util::{BodyExt, Full};
use hyper_util::rt::{TokioExecutor, TokioIo};
use rcgen::{CertifiedKey, generate_simple_self_signed};
use rustls::pki_types::{PrivateKeyDer, PrivatePkcs8KeyDer, ServerName};
use rustls::{ClientConfig, RootCertStore};
use serde_json::json;
use tokenweir_sim::{Sim, SimConfig, SimHandle, StartError, TlsFiles};
use tokio_rustls::TlsConnector;

use crate::client::{CHAT, chat};

struct World {
    folder: tempfile::TempDir,
    server: CertifiedKey<rcgen::KeyPair>,
    client: CertifiedKey<rcgen::KeyPair>,
}

impl World {
    fn new() -> Self {
        let make = |name: &str| generate_simple_self_signed([name.to_owned()]).unwrap();
        let world = Self {
            folder: tempfile::tempdir().unwrap(),
            server: make("localhost"),
            client: make("client"),
        };
        let write = |name: &str, text: String| std::fs::write(world.folder.path().join(name), text).unwrap();
        write("cert.pem", world.server.cert.pem());
        write("key.pem", world.server.signing_key.serialize_pem());
        write("ca.pem", world.client.cert.pem());
        world
    }

    fn config(&self, mutual: bool) -> SimConfig {
        let path = |name: &str| self.folder.path().join(name);
        SimConfig {
            tls: Some(TlsFiles {
                cert: path("cert.pem"),
                key: path("key.pem"),
                client_ca: mutual.then(|| path("ca.pem")),
            }),
            ..SimConfig::default()
        }
    }

    /// Asks for an answer, and tells which version of HTTP it came in.
    async fn ask(&self, sim: &SimHandle, alpn: &[u8], shows: bool) -> Option<http::Version> {
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let mut roots = RootCertStore::empty();
        roots.add(self.server.cert.der().clone()).unwrap();
        let builder = ClientConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()
            .unwrap()
            .with_root_certificates(roots);
        let mut config = if shows {
            let key = PrivateKeyDer::Pkcs8(PrivatePkcs8KeyDer::from(self.client.signing_key.serialize_der()));
            builder
                .with_client_auth_cert(vec![self.client.cert.der().clone()], key)
                .unwrap()
        } else {
            builder.with_no_client_auth()
        };
        config.alpn_protocols = vec![alpn.to_vec()];
        let stream = tokio::net::TcpStream::connect(sim.addr()).await.unwrap();
        let name = ServerName::try_from("localhost").unwrap();
        let stream = TlsConnector::from(Arc::new(config)).connect(name, stream).await.ok()?;
        let request = http::Request::post(format!("https://localhost{CHAT}"))
            .header("host", "localhost")
            .body(Full::new(Bytes::from(chat(json!({})).to_string())))
            .unwrap();
        let io = TokioIo::new(stream);
        let answer = if alpn == b"h2" {
            let (mut sender, connection) = hyper::client::conn::http2::handshake(TokioExecutor::new(), io)
                .await
                .ok()?;
            tokio::spawn(connection);
            sender.send_request(request).await.ok()?
        } else {
            let (mut sender, connection) = hyper::client::conn::http1::handshake(io).await.ok()?;
            tokio::spawn(connection);
            sender.send_request(request).await.ok()?
        };
        let version = answer.version();
        answer.into_body().collect().await.ok()?;
        Some(version)
    }
}

#[tokio::test]
async fn http_2_and_1_are_offered_over_tls() {
    let world = World::new();
    let sim = Sim::start(world.config(false)).unwrap();
    assert!(sim.url().starts_with("https://127.0.0.1:"));
    assert_eq!(world.ask(&sim, b"h2", false).await, Some(http::Version::HTTP_2));
    assert_eq!(world.ask(&sim, b"http/1.1", false).await, Some(http::Version::HTTP_11));
}

#[tokio::test]
async fn clients_must_show_a_certificate_where_authorities_for_them_are_given() {
    let world = World::new();
    let sim = Sim::start(world.config(true)).unwrap();
    assert_eq!(world.ask(&sim, b"h2", false).await, None);
    assert_eq!(world.ask(&sim, b"h2", true).await, Some(http::Version::HTTP_2));
}

#[test]
fn a_certificate_that_cannot_be_used_is_an_error_that_names_it() {
    let world = World::new();
    std::fs::write(world.folder.path().join("key.pem"), "no key").unwrap();
    let error = Sim::start(world.config(false)).unwrap_err();
    assert!(matches!(error, StartError::Tls { .. }));
    assert!(error.to_string().ends_with("key.pem for TLS"), "{error}");
}

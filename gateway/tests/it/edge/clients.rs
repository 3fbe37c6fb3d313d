//! Clients that hold one connection in their hands.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use http::{Request, Response};
use http_body_util::Full;
use hyper::body::Incoming;
use hyper::client::conn::{http1, http2};
use hyper_util::rt::{TokioExecutor, TokioIo};
use rustls::ClientConfig;
use rustls_pki_types::{CertificateDer, ServerName};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;

/// Longer than anything that a test waits for.
const PATIENCE: Duration = Duration::from_secs(20);

/// One connection with TLS, over which requests go one after the other.
pub struct HttpsClient {
    /// The certificate that the gateway has shown.
    pub certificate: CertificateDer<'static>,
    kind: Kind,
}

enum Kind {
    Http1(http1::SendRequest<Full<Bytes>>),
    Http2(http2::SendRequest<Full<Bytes>>),
}

impl HttpsClient {
    pub async fn connect(address: SocketAddr, config: Arc<ClientConfig>) -> std::io::Result<Self> {
        let stream = handshake(address, config).await?;
        let (_, session) = stream.get_ref();
        let certificate = session.peer_certificates().unwrap()[0].clone().into_owned();
        let http2 = session.alpn_protocol() == Some(b"h2");
        let io = TokioIo::new(stream);
        let kind = if http2 {
            let (sender, connection) = http2::handshake(TokioExecutor::new(), io).await.unwrap();
            tokio::spawn(connection);
            Kind::Http2(sender)
        } else {
            let (sender, connection) = http1::handshake(io).await.unwrap();
            tokio::spawn(connection);
            Kind::Http1(sender)
        };
        Ok(Self { certificate, kind })
    }

    pub fn is_http2(&self) -> bool {
        matches!(self.kind, Kind::Http2(_))
    }

    pub async fn send(&mut self, request: Request<Full<Bytes>>) -> hyper::Result<Response<Incoming>> {
        let sent = async {
            match &mut self.kind {
                Kind::Http1(sender) => {
                    sender.ready().await?;
                    sender.send_request(request).await
                }
                Kind::Http2(sender) => sender.send_request(request).await,
            }
        };
        tokio::time::timeout(PATIENCE, sent).await.expect("an answer in time")
    }
}

/// A connection with TLS to `edge.example.com`.
pub async fn handshake(address: SocketAddr, config: Arc<ClientConfig>) -> std::io::Result<TlsStream<TcpStream>> {
    let stream = TcpStream::connect(address).await?;
    let name = ServerName::try_from("edge.example.com").unwrap();
    TlsConnector::from(config).connect(name, stream).await
}

/// Sends bytes on a connection of their own and reads until the gateway closes it.
pub async fn raw(address: SocketAddr, bytes: &[u8]) -> String {
    let mut stream = TcpStream::connect(address).await.unwrap();
    // One that the gateway has closed already, in the middle of what it does not like, is as good as one that took it all.
    let _ = stream.write_all(bytes).await;
    rest(&mut stream).await
}

/// What comes until the gateway closes the connection.
pub async fn rest(stream: &mut TcpStream) -> String {
    rest_within(stream, PATIENCE).await
}

/// The same for a gateway that takes its time.
pub async fn rest_within(stream: &mut TcpStream, patience: Duration) -> String {
    let mut answer = Vec::new();
    let read = tokio::time::timeout(patience, stream.read_to_end(&mut answer)).await;
    // A reset is an end too.
    let _ = read.expect("the gateway closes the connection");
    String::from_utf8_lossy(&answer).into_owned()
}

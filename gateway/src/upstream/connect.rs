//! Opens connections to providers.

use std::future::{Future as _, poll_fn};
use std::io;
use std::net::SocketAddr;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::AtomicUsize;
use std::sync::atomic::Ordering::Relaxed;
use std::time::Duration;

use hyper::client::conn::{http1, http2};
use hyper::rt::{Read, Write};
use hyper_util::rt::{TokioExecutor, TokioIo, TokioTimer};
use rustls::ClientConfig;
use socket2::{SockRef, TcpKeepalive};
use tokio::net::TcpStream;
use tokio::time::Instant;
use tokio_rustls::TlsConnector;

use super::place::{Address, Place};
use super::pool::{Sender, UpstreamBody};
use super::resolve::Resolve;

/// Silence after which the kernel asks whether the other side is still there. Shorter than the idle time of common
/// connection-tracking tables, which forget a silent connection without telling anybody.
const TCP_KEEPALIVE: Duration = Duration::from_secs(30);
/// An HTTP/2 connection that carries streams is asked whether it lives after this much silence.
const HTTP2_PING_INTERVAL: Duration = Duration::from_secs(20);
/// And closed if no answer comes in this time.
const HTTP2_PING_TIMEOUT: Duration = Duration::from_secs(10);
/// Flow-control window of a stream: the default of 64 KiB makes a large answer wait for a round trip each 64 KiB.
const HTTP2_STREAM_WINDOW: u32 = 1024 * 1024;
/// Of a connection.
const HTTP2_CONNECTION_WINDOW: u32 = 4 * 1024 * 1024;
/// Answer heads larger than this are refused.
const MAX_HEAD_BYTES: usize = 256 * 1024;

/// Why there is no connection.
#[derive(Debug, thiserror::Error)]
pub enum ConnectError {
    /// The name has no address.
    #[error("the provider's name does not resolve")]
    Resolve(#[source] io::Error),
    /// The name resolved to nothing.
    #[error("the provider's name has no address")]
    NoAddress,
    /// The proxy did not open a tunnel.
    #[error("the proxy did not open a way to the provider")]
    Proxy(#[source] Box<dyn std::error::Error + Send + Sync>),
    /// No address answered.
    #[error("the provider does not accept the connection")]
    Tcp(#[source] io::Error),
    /// The certificate is not accepted, or the other side does not speak TLS.
    #[error("the TLS handshake with the provider failed")]
    Tls(#[source] io::Error),
    /// The HTTP handshake failed.
    #[error("the HTTP handshake with the provider failed")]
    Http(#[source] hyper::Error),
    /// It took longer than the provider's connect timeout.
    #[error("the provider could not be connected in time")]
    Timeout,
}

/// Opens a connection and runs it as a task of the calling worker.
pub(super) async fn connect(
    place: &Place,
    tls: &Arc<ClientConfig>,
    resolver: &dyn Resolve,
    timeout: Duration,
) -> Result<Sender, ConnectError> {
    let deadline = Instant::now() + timeout;
    tokio::time::timeout_at(deadline, open(place, tls, resolver, deadline))
        .await
        .unwrap_or(Err(ConnectError::Timeout))
}

async fn open(
    place: &Place,
    tls: &Arc<ClientConfig>,
    resolver: &dyn Resolve,
    deadline: Instant,
) -> Result<Sender, ConnectError> {
    let tcp = match (&place.proxy, &place.address) {
        (Some(proxy), address) => proxy.open(address).await?,
        (None, Address::Socket(address)) => TcpStream::connect(address).await.map_err(ConnectError::Tcp)?,
        (None, Address::Name { host, port }) => {
            let found = resolver.lookup(host, *port).await.map_err(ConnectError::Resolve)?;
            connect_any(&found, deadline).await?
        }
    };
    prepare(&tcp).map_err(ConnectError::Tcp)?;
    let Some(own) = &place.tls else {
        return http1_sender(TokioIo::new(tcp)).await;
    };
    let config = own.config.as_ref().unwrap_or(tls);
    let stream = TlsConnector::from(Arc::clone(config))
        .connect(own.name.clone(), tcp)
        .await
        .map_err(ConnectError::Tls)?;
    let http2 = stream.get_ref().1.alpn_protocol() == Some(b"h2");
    let io = TokioIo::new(stream);
    if http2 {
        http2_sender(io).await
    } else {
        http1_sender(io).await
    }
}

/// Tries the addresses in the resolver's order. Each but the last gets half of the time that is left, so that one that
/// swallows packets does not use up all of it.
async fn connect_any(addresses: &[SocketAddr], deadline: Instant) -> Result<TcpStream, ConnectError> {
    let mut last = ConnectError::NoAddress;
    for (n, address) in addresses.iter().enumerate() {
        let left = deadline.saturating_duration_since(Instant::now());
        let share = if n + 1 == addresses.len() { left } else { left / 2 };
        match tokio::time::timeout(share, TcpStream::connect(address)).await {
            Ok(Ok(stream)) => return Ok(stream),
            Ok(Err(error)) => last = ConnectError::Tcp(error),
            Err(_) => last = ConnectError::Timeout,
        }
    }
    Err(last)
}

fn prepare(tcp: &TcpStream) -> io::Result<()> {
    tcp.set_nodelay(true)?;
    SockRef::from(tcp).set_tcp_keepalive(
        &TcpKeepalive::new()
            .with_time(TCP_KEEPALIVE)
            .with_interval(TCP_KEEPALIVE),
    )
}

async fn http1_sender<T>(io: T) -> Result<Sender, ConnectError>
where
    T: Read + Write + Unpin + Send + 'static,
{
    let mut builder = http1::Builder::new();
    builder.max_header_size(MAX_HEAD_BYTES);
    let (sender, connection) = builder
        .handshake::<_, UpstreamBody>(io)
        .await
        .map_err(ConnectError::Http)?;
    tokio::spawn(async move {
        if let Err(error) = connection.await {
            tracing::debug!(%error, "a connection to a provider ended");
        }
    });
    Ok(Sender::Http1(sender))
}

async fn http2_sender<T>(io: T) -> Result<Sender, ConnectError>
where
    T: Read + Write + Unpin + Send + 'static,
{
    let (sender, mut connection) = http2::Builder::new(TokioExecutor::new())
        .timer(TokioTimer::new())
        .keep_alive_interval(HTTP2_PING_INTERVAL)
        .keep_alive_timeout(HTTP2_PING_TIMEOUT)
        .initial_stream_window_size(HTTP2_STREAM_WINDOW)
        .initial_connection_window_size(HTTP2_CONNECTION_WINDOW)
        .handshake::<_, UpstreamBody>(io)
        .await
        .map_err(ConnectError::Http)?;
    let room = Arc::new(AtomicUsize::new(connection.current_max_send_streams()));
    let told = Arc::clone(&room);
    tokio::spawn(async move {
        let ended = poll_fn(|cx| {
            let polled = Pin::new(&mut connection).poll(cx);
            // What the provider allows comes with its settings, and may change.
            told.store(connection.current_max_send_streams(), Relaxed);
            polled
        });
        if let Err(error) = ended.await {
            tracing::debug!(%error, "a connection to a provider ended");
        }
    });
    Ok(Sender::Http2 { sender, room })
}

#[cfg(test)]
mod tests {
    use http::Request;
    use tokenweir_llm::Pieces;

    use super::*;

    /// Time is paused and the other side is in memory, so that only the clock moves.
    #[tokio::test(start_paused = true)]
    async fn an_http2_provider_that_does_not_answer_a_ping_is_given_up() {
        let (ours, theirs) = tokio::io::duplex(64 * 1024);
        let (begun, begins) = tokio::sync::oneshot::channel();
        let provider = tokio::spawn(async move {
            let mut connection = h2::server::handshake(theirs).await.unwrap();
            let request = connection.accept().await.unwrap().unwrap();
            begun.send(()).unwrap();
            // From here on nobody reads, so nobody answers; and nobody closes.
            std::future::pending::<()>().await;
            drop((request, connection));
        });
        let Sender::Http2 { mut sender, .. } = http2_sender(TokioIo::new(ours)).await.unwrap() else {
            panic!("HTTP/2 was spoken");
        };
        let start = Instant::now();
        let request = Request::post("https://provider/v1")
            .body(UpstreamBody::from(Pieces::default()))
            .unwrap();
        let answer = tokio::spawn(async move { sender.send_request(request).await });
        begins.await.unwrap();
        assert!(answer.await.unwrap().is_err());
        let waited = start.elapsed();
        assert!(
            waited <= HTTP2_PING_INTERVAL + HTTP2_PING_TIMEOUT + Duration::from_secs(1),
            "{waited:?}"
        );
        provider.abort();
    }
}

//! The HTTPS server: connections, and their end.

mod handler;
mod respond;

use std::convert::Infallible;
use std::sync::Arc;
use std::time::Duration;

use hyper::service::service_fn;
use hyper_util::rt::{TokioExecutor, TokioIo, TokioTimer};
use hyper_util::server::conn::auto;
use hyper_util::server::graceful::{GracefulShutdown, Watcher};
use rustls::ServerConfig;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::time::timeout;
use tokio_rustls::TlsAcceptor;
use tokio_util::sync::CancellationToken;

pub use handler::Handler;

use crate::auth::PeerCertificates;

/// A client that does not finish a handshake or a request's head in this time is cut off.
const CLIENT_PATIENCE: Duration = Duration::from_secs(10);
/// Open connections. API servers use a handful each; the rest is room for people and scrapers.
const MAX_CONNECTIONS: usize = 1_000;
/// Streams on one HTTP/2 connection: an API server sends the autoscaler's whole sync over one.
const MAX_STREAMS: u32 = 250;
/// After an error of accept (out of file descriptors), others get this long to close theirs.
const ACCEPT_PAUSE: Duration = Duration::from_millis(50);

/// Serves until `stop`, then lets open requests end for at most `grace`.
pub async fn serve(
    listener: TcpListener,
    config: ServerConfig,
    handler: Arc<Handler>,
    stop: CancellationToken,
    grace: Duration,
) {
    let acceptor = TlsAcceptor::from(Arc::new(config));
    let graceful = GracefulShutdown::new();
    let places = Arc::new(Semaphore::new(MAX_CONNECTIONS));
    loop {
        let place = tokio::select! {
            () = stop.cancelled() => break,
            // Never closed.
            Ok(place) = Arc::clone(&places).acquire_owned() => place,
        };
        let tcp = tokio::select! {
            () = stop.cancelled() => break,
            accepted = listener.accept() => accepted,
        };
        match tcp {
            Ok((tcp, _)) => {
                let connection = Connection {
                    acceptor: acceptor.clone(),
                    handler: Arc::clone(&handler),
                    place,
                };
                tokio::spawn(connection.run(tcp, graceful.watcher(), stop.clone()));
            }
            Err(error) => {
                tracing::warn!(%error, "cannot accept a connection");
                tokio::time::sleep(ACCEPT_PAUSE).await;
            }
        }
    }
    drop(listener);
    if timeout(grace, graceful.shutdown()).await.is_err() {
        tracing::warn!("requests were still open when the grace period ended");
    }
}

/// One accepted connection.
struct Connection {
    acceptor: TlsAcceptor,
    handler: Arc<Handler>,
    /// Its share of [`MAX_CONNECTIONS`].
    place: OwnedSemaphorePermit,
}

impl Connection {
    async fn run(self, tcp: TcpStream, watcher: Watcher, stop: CancellationToken) {
        let handshake = timeout(CLIENT_PATIENCE, self.acceptor.accept(tcp));
        let tls = tokio::select! {
            // A handshake is not waited for when the program stops; a served connection is, by its watcher.
            () = stop.cancelled() => return,
            done = handshake => done,
        };
        let Ok(Ok(tls)) = tls else {
            tracing::debug!("TLS handshake failed");
            return;
        };
        let peer: PeerCertificates = tls.get_ref().1.peer_certificates().unwrap_or_default().into();
        let handler = self.handler;
        let service = service_fn(move |request| {
            let (handler, peer) = (Arc::clone(&handler), Arc::clone(&peer));
            async move { Ok::<_, Infallible>(handler.handle(request, &peer).await) }
        });
        let mut builder = auto::Builder::new(TokioExecutor::new());
        builder
            .http1()
            .timer(TokioTimer::new())
            .header_read_timeout(CLIENT_PATIENCE);
        builder
            .http2()
            .timer(TokioTimer::new())
            .max_concurrent_streams(MAX_STREAMS);
        let connection = builder.serve_connection(TokioIo::new(tls), service).into_owned();
        if let Err(error) = watcher.watch(connection).await {
            tracing::debug!(error, "connection failed");
        }
        drop(self.place);
    }
}

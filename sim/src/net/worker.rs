//! One thread: accepts, serves, and ends in an orderly way.

use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;

use hyper::service::service_fn;
use hyper_util::rt::{TokioExecutor, TokioIo, TokioTimer};
use hyper_util::server::conn::auto;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::{TcpListener, TcpStream};
use tokio_rustls::TlsAcceptor;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use super::io::Connection;
use crate::state::State;
use crate::wire::{self, Line};

/// How long accepting rests after it failed, which it does when the process has no file descriptors left.
const ACCEPT_REST: Duration = Duration::from_millis(50);

/// How long a connection that ends at once may take to say so.
const GOODBYE: Duration = Duration::from_millis(100);
/// How long a client may take for the handshake of TLS.
const HANDSHAKE: Duration = Duration::from_secs(10);

pub(super) struct Worker {
    pub(super) state: Arc<State>,
    pub(super) tls: Option<TlsAcceptor>,
    pub(super) stop: CancellationToken,
    pub(super) grace: Duration,
}

impl Worker {
    /// Serves until stopped, then lets open requests go on for the grace period.
    pub(super) async fn run(self, listener: std::net::TcpListener) {
        let listener = match TcpListener::from_std(listener) {
            Ok(listener) => listener,
            Err(error) => {
                tracing::error!(%error, "cannot register the socket");
                return;
            }
        };
        let connections = TaskTracker::new();
        self.accept(listener, &connections).await;
        connections.close();
        if tokio::time::timeout(self.grace, connections.wait()).await.is_err() {
            tracing::warn!(
                open = connections.len(),
                "connections are cut off at the end of the grace period"
            );
        }
    }

    async fn accept(&self, listener: TcpListener, connections: &TaskTracker) {
        loop {
            let accepted = tokio::select! {
                accepted = listener.accept() => accepted,
                () = self.stop.cancelled() => return,
            };
            match accepted {
                Ok((stream, _)) => {
                    let (state, stop) = (Arc::clone(&self.state), self.stop.clone());
                    connections.spawn(serve(stream, self.tls.clone(), state, stop));
                }
                Err(error) => {
                    tracing::warn!(%error, "cannot accept a connection");
                    tokio::time::sleep(ACCEPT_REST).await;
                }
            }
        }
    }
}

async fn serve(stream: TcpStream, tls: Option<TlsAcceptor>, state: Arc<State>, stop: CancellationToken) {
    // Small writes go out at once: each is a token that somebody waits for.
    if let Err(error) = stream.set_nodelay(true) {
        tracing::debug!(%error, "the connection ended before it was served");
        return;
    }
    let line = Arc::new(Line::default());
    let connection = Connection::new(stream, Arc::clone(&line));
    let Some(tls) = tls else {
        return speak(connection, line, state, stop).await;
    };
    match tokio::time::timeout(HANDSHAKE, tls.accept(connection)).await {
        Ok(Ok(connection)) => speak(connection, line, state, stop).await,
        Ok(Err(error)) => tracing::debug!(%error, "the handshake failed"),
        Err(_) => tracing::debug!("the handshake took too long"),
    }
}

async fn speak<S>(stream: S, line: Arc<Line>, state: Arc<State>, stop: CancellationToken)
where
    S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
{
    let mut builder = auto::Builder::new(TokioExecutor::new());
    // Idle connections stay open: clients pool them, and how long is theirs to say.
    builder.http1().timer(TokioTimer::new()).header_read_timeout(None);
    builder.http2().timer(TokioTimer::new());
    let asked = Arc::clone(&line);
    let service = service_fn(move |request| wire::handle(Arc::clone(&state), Arc::clone(&asked), request));
    let mut connection = pin!(builder.serve_connection(TokioIo::new(stream), service));
    let served = loop {
        tokio::select! {
            served = connection.as_mut() => break served,
            () = stop.cancelled() => {
                connection.as_mut().graceful_shutdown();
                break connection.await;
            }
            at_once = line.leaving() => {
                connection.as_mut().graceful_shutdown();
                if at_once {
                    // A GOAWAY is to be seen; what is left of the answers is not.
                    let _ = tokio::time::timeout(GOODBYE, connection.as_mut()).await;
                    return;
                }
            }
        }
    };
    if let Err(error) = served {
        tracing::debug!(%error, "a connection broke off");
    }
}

//! One thread: accepts, serves, and ends in an orderly way.

use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;

use hyper::service::service_fn;
use hyper_util::rt::{TokioExecutor, TokioIo, TokioTimer};
use hyper_util::server::conn::auto;
use tokio::net::{TcpListener, TcpStream};
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use super::io::Connection;
use crate::state::State;
use crate::wire::{self, Line};

/// How long accepting rests after it failed, which it does when the process has no file descriptors left.
const ACCEPT_REST: Duration = Duration::from_millis(50);

pub(super) struct Worker {
    pub(super) state: Arc<State>,
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
                    connections.spawn(serve(stream, Arc::clone(&self.state), self.stop.clone()));
                }
                Err(error) => {
                    tracing::warn!(%error, "cannot accept a connection");
                    tokio::time::sleep(ACCEPT_REST).await;
                }
            }
        }
    }
}

async fn serve(stream: TcpStream, state: Arc<State>, stop: CancellationToken) {
    // Small writes go out at once: each is a token that somebody waits for.
    if let Err(error) = stream.set_nodelay(true) {
        tracing::debug!(%error, "the connection ended before it was served");
        return;
    }
    let line = Arc::new(Line::default());
    let io = TokioIo::new(Connection::new(stream, Arc::clone(&line)));
    let mut builder = auto::Builder::new(TokioExecutor::new());
    // Idle connections stay open: clients pool them, and how long is theirs to say.
    builder.http1().timer(TokioTimer::new()).header_read_timeout(None);
    builder.http2().timer(TokioTimer::new());
    let service = service_fn(move |request| wire::handle(Arc::clone(&state), Arc::clone(&line), request));
    let mut connection = pin!(builder.serve_connection(io, service));
    let served = tokio::select! {
        served = connection.as_mut() => served,
        () = stop.cancelled() => {
            connection.as_mut().graceful_shutdown();
            connection.await
        }
    };
    if let Err(error) = served {
        tracing::debug!(%error, "a connection broke off");
    }
}

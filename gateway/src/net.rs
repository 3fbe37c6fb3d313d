//! A small HTTP/1.1 server for the control ports: bounded in connections and in the time that a client may take.

use std::convert::Infallible;
use std::future::Future;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use http::{Request, Response};
use http_body_util::combinators::UnsyncBoxBody;
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::{TokioIo, TokioTimer};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::Semaphore;
use tokio_util::sync::CancellationToken;

/// Connections at a time on one port. Probes, scrapes, the operator and the adapter need a few each.
const MAX_CONNECTIONS: usize = 256;
/// How long a client may take to send the head of a request, and how long an open connection may idle.
const HEAD_TIMEOUT: Duration = Duration::from_secs(10);
/// Pause after a failed accept, such as for want of file descriptors.
const ACCEPT_PAUSE: Duration = Duration::from_millis(50);

/// The body of an answer.
pub type Body = UnsyncBoxBody<Bytes, Infallible>;

/// What a handler may want to know of the connection.
#[derive(Debug, Clone)]
pub struct Connection {
    /// The other end.
    pub peer: SocketAddr,
    /// Cancelling it cuts the connection, whatever is still to be written.
    pub cut: CancellationToken,
}

/// Answers the requests of one port.
pub trait Handler: Send + Sync + 'static {
    /// Answers one request.
    fn handle(
        self: Arc<Self>,
        request: Request<Incoming>,
        connection: Connection,
    ) -> impl Future<Output = Response<Body>> + Send;
}

/// Serves `listener` until `stop` is cancelled, which cuts all connections.
pub async fn serve<H: Handler>(listener: TcpListener, handler: Arc<H>, stop: CancellationToken) {
    let places = Arc::new(Semaphore::new(MAX_CONNECTIONS));
    loop {
        let Ok(place) = Arc::clone(&places).acquire_owned().await else {
            return;
        };
        let accepted = tokio::select! {
            () = stop.cancelled() => return,
            accepted = listener.accept() => accepted,
        };
        let (stream, peer) = match accepted {
            Ok(accepted) => accepted,
            Err(error) => {
                tracing::debug!(%error, "a connection could not be accepted");
                tokio::time::sleep(ACCEPT_PAUSE).await;
                continue;
            }
        };
        let connection = Connection {
            peer,
            cut: stop.child_token(),
        };
        let handler = Arc::clone(&handler);
        tokio::spawn(async move {
            converse(stream, handler, connection).await;
            drop(place);
        });
    }
}

async fn converse<H: Handler>(stream: TcpStream, handler: Arc<H>, connection: Connection) {
    // Frames are small and wanted at once; a socket that cannot be set up so works all the same.
    let _ = stream.set_nodelay(true);
    let cut = connection.cut.clone();
    let service = service_fn(move |request| {
        let answer = Arc::clone(&handler).handle(request, connection.clone());
        async move { Ok::<_, Infallible>(answer.await) }
    });
    let served = http1::Builder::new()
        .timer(TokioTimer::new())
        .header_read_timeout(HEAD_TIMEOUT)
        .serve_connection(TokioIo::new(stream), service);
    tokio::select! {
        () = cut.cancelled() => {}
        result = served => {
            if let Err(error) = result {
                tracing::trace!(%error, "a control connection broke");
            }
        }
    }
}

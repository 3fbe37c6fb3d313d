//! One connection of a client: HTTP/1.1, or HTTP/2 with prior knowledge.

use std::convert::Infallible;
use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;

use http::{Request, Response};
use hyper::body::Incoming;
use hyper::server::conn::{http1, http2};
use hyper::service::service_fn;
use hyper_util::rt::{TokioExecutor, TokioIo, TokioTimer};
use tokio::net::TcpStream;
use tokio_util::sync::CancellationToken;

use super::activity::{Activity, Verdict};
use super::worker::{Active, Worker};
use crate::http::handle;
use crate::relay::GatewayBody;

/// How often a connection is looked at for idleness.
const LOOK: Duration = Duration::from_secs(20);
/// A client that has connected must say something in this time.
const FIRST_BYTE: Duration = Duration::from_mins(1);
/// One that says so little that it could be either protocol is looked at again after this time,
const SECOND_LOOK: Duration = Duration::from_millis(5);
/// and after so many looks taken for HTTP/1.1.
const LOOKS: usize = 200;
/// Request heads larger than this are refused with 431.
const MAX_HEAD_BYTES: usize = 64 * 1024;
/// Requests of one client at a time on one HTTP/2 connection; the queue is behind it.
const HTTP2_STREAMS: u32 = 256;
/// Flow-control window of an HTTP/2 stream. Bodies with images are larger than the default of 64 KiB.
const HTTP2_WINDOW: u32 = 1024 * 1024;
/// An HTTP/2 connection is asked whether it lives after this much silence, and closed without an answer.
const HTTP2_PING: Duration = Duration::from_secs(30);

/// When connections are to go.
#[derive(Debug, Clone, Default)]
pub(super) struct Closing {
    /// HTTP/2 connections say that they end, and finish what runs. HTTP/1.1 can say so only in the head of an answer, and
    /// does so in each; closed without that word, a connection may meet a request that is on its way.
    pub(super) soon: CancellationToken,
    /// All connections end once nothing runs on them.
    pub(super) now: CancellationToken,
}

/// Serves a connection to its end.
pub(super) async fn serve(worker: Arc<Worker>, stream: TcpStream, closing: Closing) {
    if let Err(error) = stream.set_nodelay(true) {
        tracing::debug!(%error, "a client left at once");
        return;
    }
    let activity = Arc::new(Activity::new(worker.meter.now()));
    let Ok(http2) = tokio::time::timeout(FIRST_BYTE, begins_http2(&stream)).await else {
        return;
    };
    let service = {
        let (worker, activity) = (Arc::clone(&worker), Arc::clone(&activity));
        service_fn(move |request: Request<Incoming>| {
            let worker = Arc::clone(&worker);
            let active = Active::begin(&worker, &activity);
            async move { Ok::<Response<GatewayBody>, Infallible>(handle(&worker, active, request).await) }
        })
    };
    let io = TokioIo::new(stream);
    if http2 {
        let connection = http2::Builder::new(TokioExecutor::new())
            .timer(TokioTimer::new())
            .keep_alive_interval(HTTP2_PING)
            .max_concurrent_streams(HTTP2_STREAMS)
            .initial_stream_window_size(HTTP2_WINDOW)
            .serve_connection(io, service);
        // A connection that begins after the word went round would be closed before its first request.
        let soon = if closing.soon.is_cancelled() {
            CancellationToken::new()
        } else {
            closing.soon
        };
        watch(connection, &worker, &activity, &soon, &closing.now).await;
    } else {
        let connection = http1::Builder::new()
            // The connection is looked at for idleness below, which costs no timer for each request.
            .header_read_timeout(None)
            .max_header_size(MAX_HEAD_BYTES)
            .serve_connection(io, service);
        watch(connection, &worker, &activity, &CancellationToken::new(), &closing.now).await;
    }
}

/// Whether a connection begins with the preface of HTTP/2, of which three bytes are enough: no method begins like it.
async fn begins_http2(stream: &TcpStream) -> bool {
    let mut start = [0; 3];
    for _ in 0..LOOKS {
        match stream.peek(&mut start).await {
            Ok(3) => return start == *b"PRI",
            // Bytes that were looked at stay readable, so there is nothing to wait for but time.
            Ok(n @ 1..) if b"PRI".starts_with(&start[..n]) => tokio::time::sleep(SECOND_LOOK).await,
            // Another beginning, the end, or an error that the connection will find again.
            Ok(_) | Err(_) => return false,
        }
    }
    false
}

/// A connection that can be asked to finish.
trait Graceful: Future<Output = hyper::Result<()>> {
    fn finish(self: Pin<&mut Self>);
}

impl<S> Graceful for http1::Connection<TokioIo<TcpStream>, S>
where
    S: hyper::service::HttpService<Incoming, ResBody = GatewayBody>,
    S::Error: Into<Box<dyn std::error::Error + Send + Sync>>,
{
    fn finish(self: Pin<&mut Self>) {
        self.graceful_shutdown();
    }
}

impl<S> Graceful for http2::Connection<TokioIo<TcpStream>, S, TokioExecutor>
where
    S: hyper::service::HttpService<Incoming, ResBody = GatewayBody>,
    S::Error: Into<Box<dyn std::error::Error + Send + Sync>>,
    S::Future: Send + 'static,
{
    fn finish(self: Pin<&mut Self>) {
        self.graceful_shutdown();
    }
}

/// Runs a connection until it ends, is asked to finish, or does nothing for too long.
async fn watch(
    connection: impl Graceful,
    worker: &Worker,
    activity: &Activity,
    soon: &CancellationToken,
    now: &CancellationToken,
) {
    let mut connection = std::pin::pin!(connection);
    let mut finishing = false;
    let mut asked_in_vain = false;
    let mut look = std::pin::pin!(tokio::time::sleep(LOOK));
    loop {
        tokio::select! {
            biased;
            result = connection.as_mut() => {
                if let Err(error) = result {
                    tracing::debug!(error = &error as &dyn std::error::Error, "a connection of a client ended");
                }
                return;
            }
            () = now.cancelled(), if !finishing => {
                finishing = true;
                connection.as_mut().finish();
            }
            () = soon.cancelled(), if !finishing => {
                finishing = true;
                connection.as_mut().finish();
            }
            () = &mut look => {
                look.as_mut().reset(tokio::time::Instant::now() + LOOK);
                match activity.verdict(worker.meter.now()) {
                    Verdict::Keep => {}
                    // Asked before and still there: it sends a head byte by byte, or never.
                    Verdict::Idle if asked_in_vain => return,
                    Verdict::Idle => {
                        asked_in_vain = true;
                        connection.as_mut().finish();
                    }
                    Verdict::Stuck => return,
                }
            }
        }
    }
}

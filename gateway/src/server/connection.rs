//! One connection of a client: HTTP/1.1 or HTTP/2, chosen by ALPN with TLS, and without it by the preface.

use std::convert::Infallible;
use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;

use futures::StreamExt as _;
use futures::stream::FuturesUnordered;
use http::{Request, Response};
use hyper::body::Incoming;
use hyper::server::conn::{http1, http2};
use hyper::service::service_fn;
use hyper_util::rt::{TokioExecutor, TokioIo, TokioTimer};
use rustls::ServerConfig;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::TcpStream;
use tokio::time::Instant;
use tokio_rustls::TlsAcceptor;
use tokio_util::sync::CancellationToken;

use super::activity::{Activity, Verdict, Watch};
use super::observed::Observed;
use super::places::{Cut, Place};
use super::worker::{Active, Worker};
use crate::http::{MAX_HEAD_BYTES, handle};
use crate::relay::GatewayBody;

/// One that says so little that it could be either protocol is looked at again after this time,
const SECOND_LOOK: Duration = Duration::from_millis(5);
/// and after so many looks taken for HTTP/1.1.
const LOOKS: usize = 200;
/// Heads up to twice the size that is allowed are read, so that the answer can say why in the API's own form. Beyond that
/// hyper answers 431 by itself, without a body.
const READ_HEAD_BYTES: usize = 2 * MAX_HEAD_BYTES;
/// The same for HTTP/2. As a number of its own, since the types differ.
const HTTP2_HEAD_BYTES: u32 = 128 * 1024;
/// Requests of one client at a time on one HTTP/2 connection; the queue is behind it.
const HTTP2_STREAMS: u32 = 256;
/// Flow-control window of an HTTP/2 stream. Bodies with images are larger than the default of 64 KiB.
const HTTP2_WINDOW: u32 = 1024 * 1024;
/// An HTTP/2 connection is asked whether it lives after this much silence, and closed without an answer.
const HTTP2_PING: Duration = Duration::from_secs(30);
/// The name of HTTP/2 in ALPN.
const ALPN_HTTP2: &[u8] = b"h2";

/// When connections are to go.
#[derive(Debug, Clone, Default)]
pub(super) struct Closing {
    /// HTTP/2 connections say that they end, and finish what runs. HTTP/1.1 can say so only in the head of an answer, and
    /// does so in each; closed without that word, a connection may meet a request that is on its way.
    pub(super) soon: CancellationToken,
    /// All connections end once nothing runs on them.
    pub(super) now: CancellationToken,
}

/// A connection that was accepted. It holds its place until it has ended.
pub(super) struct Accepted {
    pub(super) worker: Arc<Worker>,
    pub(super) stream: TcpStream,
    pub(super) closing: Closing,
    pub(super) place: Place,
}

impl Accepted {
    /// Serves a connection without TLS to its end.
    pub(super) async fn serve_plain(self) {
        let Some(first) = self.begin(begins_http2(&self.stream)).await else {
            return;
        };
        self.serve(first).await;
    }

    /// Serves a connection with TLS to its end.
    ///
    /// A task of its own kind: the state of a handshake is large, and connections without TLS need not carry it.
    pub(super) async fn serve_tls(self, tls: Arc<ServerConfig>) {
        let mut nothing = [0];
        // The handshake's own time begins with its first byte, so that connections that are kept for later live as long as
        // those without TLS.
        let silent = async { self.stream.peek(&mut nothing).await.is_ok_and(|n| n > 0) };
        if self.begin(silent).await != Some(true) {
            return;
        }
        let Self {
            worker,
            stream,
            closing,
            place,
        } = self;
        let handshake = TlsAcceptor::from(tls).accept(stream);
        let stream = match tokio::time::timeout(worker.patience.handshake, handshake).await {
            Ok(Ok(stream)) => stream,
            Ok(Err(error)) => {
                tracing::debug!(%error, "the TLS handshake with a client failed");
                worker.connections.count(Cut::Handshake);
                return;
            }
            Err(_) => {
                worker.connections.count(Cut::Handshake);
                return;
            }
        };
        let http2 = stream.get_ref().1.alpn_protocol() == Some(ALPN_HTTP2);
        serve(&worker, stream, http2, closing).await;
        drop(place);
    }

    /// Waits for the first bytes; `None` if they do not come in time.
    async fn begin(&self, first: impl Future<Output = bool>) -> Option<bool> {
        if let Err(error) = self.stream.set_nodelay(true) {
            tracing::debug!(%error, "a client left at once");
            return None;
        }
        let Worker {
            connections, patience, ..
        } = &*self.worker;
        let max = self.worker.plan.load().limits.max_connections;
        let wait = if connections.is_crowded(max) {
            patience.first_byte_when_crowded
        } else {
            patience.first_byte
        };
        let first = tokio::time::timeout(wait, first).await;
        if first.is_err() {
            connections.count(Cut::Silent);
        }
        first.ok()
    }

    async fn serve(self, http2: bool) {
        let Self {
            worker,
            stream,
            closing,
            place,
        } = self;
        serve(&worker, stream, http2, closing).await;
        drop(place);
    }
}

/// Serves requests on a connection whose protocol is known.
async fn serve<S>(worker: &Arc<Worker>, stream: S, http2: bool, closing: Closing)
where
    S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
{
    let activity = Arc::new(Activity::new(worker.meter.now()));
    let service = {
        let (worker, activity) = (Arc::clone(worker), Arc::clone(&activity));
        service_fn(move |request: Request<Incoming>| {
            let worker = Arc::clone(&worker);
            let active = Active::begin(&worker, &activity);
            async move { Ok::<Response<GatewayBody>, Infallible>(handle(&worker, active, request).await) }
        })
    };
    let io = TokioIo::new(Observed::new(stream, Arc::clone(&activity)));
    let mut watched = Watched {
        worker,
        activity: &activity,
        http2,
        watch: Watch::default(),
    };
    if http2 {
        let connection = http2::Builder::new(TokioExecutor::new())
            .timer(TokioTimer::new())
            .keep_alive_interval(HTTP2_PING)
            .max_concurrent_streams(HTTP2_STREAMS)
            .max_header_list_size(HTTP2_HEAD_BYTES)
            .initial_stream_window_size(HTTP2_WINDOW)
            .serve_connection(io, service);
        // A connection that begins after the word went round would be closed before its first request.
        let soon = if closing.soon.is_cancelled() {
            CancellationToken::new()
        } else {
            closing.soon
        };
        watched.run(connection, &soon, &closing.now).await;
    } else {
        let connection = http1::Builder::new()
            // The connection is looked at for slowness below, which costs no timer for each request.
            .header_read_timeout(None)
            .max_header_size(READ_HEAD_BYTES)
            .serve_connection(io, service);
        watched.run(connection, &CancellationToken::new(), &closing.now).await;
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

impl<I, S> Graceful for http1::Connection<I, S>
where
    I: hyper::rt::Read + hyper::rt::Write + Unpin + 'static,
    S: hyper::service::HttpService<Incoming, ResBody = GatewayBody>,
    S::Error: Into<Box<dyn std::error::Error + Send + Sync>>,
{
    fn finish(self: Pin<&mut Self>) {
        self.graceful_shutdown();
    }
}

impl<I, S> Graceful for http2::Connection<I, S, TokioExecutor>
where
    I: hyper::rt::Read + hyper::rt::Write + Unpin + Send + 'static,
    S: hyper::service::HttpService<Incoming, ResBody = GatewayBody>,
    S::Error: Into<Box<dyn std::error::Error + Send + Sync>>,
    S::Future: Send + 'static,
{
    fn finish(self: Pin<&mut Self>) {
        self.graceful_shutdown();
    }
}

/// A connection and what it is looked at for.
struct Watched<'a> {
    worker: &'a Worker,
    activity: &'a Activity,
    http2: bool,
    watch: Watch,
}

/// What happens beside a connection.
enum Beside {
    /// It is to finish.
    Closing,
    /// It is to be looked at.
    Look,
}

/// Waits for what happens next beside a connection.
async fn beside(closing: Option<[&CancellationToken; 2]>, look_at: Instant) -> Beside {
    let told = async {
        match closing {
            Some([soon, now]) => tokio::select! {
                () = soon.cancelled() => {}
                () = now.cancelled() => {}
            },
            None => std::future::pending().await,
        }
    };
    tokio::select! {
        () = told => Beside::Closing,
        () = tokio::time::sleep_until(look_at) => Beside::Look,
    }
}

impl Watched<'_> {
    /// Runs a connection until it ends, is asked to finish, or does too little for too long.
    async fn run(&mut self, connection: impl Graceful, soon: &CancellationToken, now: &CancellationToken) {
        let patience = &self.worker.patience;
        let mut connection = std::pin::pin!(connection);
        let mut closing = Some([soon, now]);
        let mut asked_in_vain = false;
        let mut look_at = Instant::now() + patience.look;
        // A set of one, since a set polls what it has only when that was woken: a connection is polled several times for each
        // request, and what is beside it has nothing to say then.
        let mut aside = FuturesUnordered::new();
        aside.push(beside(closing, look_at));
        loop {
            let happened = tokio::select! {
                biased;
                result = connection.as_mut() => {
                    if let Err(error) = result {
                        tracing::debug!(error = &error as &dyn std::error::Error, "a connection of a client ended");
                    }
                    return;
                }
                Some(happened) = aside.next() => happened,
            };
            match happened {
                Beside::Closing => {
                    closing = None;
                    connection.as_mut().finish();
                }
                Beside::Look => {
                    look_at = Instant::now() + patience.look;
                    let now = self.worker.meter.now();
                    match self.watch.verdict(self.activity, patience, self.http2, now) {
                        Verdict::Keep => {}
                        // Asked before and still there.
                        Verdict::Idle if asked_in_vain => return,
                        Verdict::Idle => {
                            asked_in_vain = true;
                            connection.as_mut().finish();
                        }
                        Verdict::SlowHead => return self.worker.connections.count(Cut::SlowHead),
                        Verdict::Unread => return self.worker.connections.count(Cut::Unread),
                    }
                }
            }
            aside.push(beside(closing, look_at));
        }
    }
}

//! One stream of frames from one gateway pod, begun again whenever it ends.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use http::{Request, StatusCode, header};
use http_body_util::{BodyExt, Empty};
use hyper::body::Incoming;
use hyper_util::rt::TokioIo;
use tokenweir_config::admin_token::{AdminKey, Scope, derive_admin_key};
use tokenweir_config::keys::KeyError;
use tokenweir_config::names::SIGNALS_PATH;
use tokenweir_signals::Frame;
use tokio::net::TcpStream;
use tokio::sync::{Notify, watch};
use tokio::time::timeout;
use tokio_util::sync::CancellationToken;

use super::lines::{LineTooLong, Lines};
use super::root_key::RootKey;
use super::store::{PodEntry, PodInfo, RefusedFrame, Session, Store};
use crate::backoff::Backoff;
use crate::clock::SharedClock;
use crate::telemetry::Telemetry;

/// A pod on the same network answers within milliseconds; a dead node does not answer at all.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(1);
/// A gateway sends four frames a second: after eight that did not come the stream is dead.
const STALL: Duration = Duration::from_secs(2);
/// The first pause; short, so that a stream that was cut is back before its values are half a second old.
const FIRST_PAUSE: Duration = Duration::from_millis(100);
/// The longest pause. A change of the pod (it becomes ready) ends a pause early.
const LONGEST_PAUSE: Duration = Duration::from_secs(2);

/// Why a stream ended.
#[derive(Debug, thiserror::Error)]
pub enum StreamError {
    /// No connection within [`CONNECT_TIMEOUT`].
    #[error("no connection within {CONNECT_TIMEOUT:?}")]
    ConnectTimeout,
    /// The connection was refused or broke.
    #[error("cannot connect")]
    Connect(#[source] std::io::Error),
    /// HTTP went wrong.
    #[error("the connection broke")]
    Http(#[from] hyper::Error),
    /// The request could not be built.
    #[error("cannot build the request")]
    Request(#[from] http::Error),
    /// The gateway refused.
    #[error("the gateway answered {0}")]
    Refused(StatusCode),
    /// No frame for [`STALL`].
    #[error("no frame for {STALL:?}")]
    Stalled,
    /// The gateway ended the stream.
    #[error("the gateway ended the stream")]
    Ended,
    /// A line is too long.
    #[error(transparent)]
    TooLong(#[from] LineTooLong),
    /// A line is no frame.
    #[error("a line is no frame")]
    Malformed(#[from] serde_json::Error),
    /// A frame cannot be taken in.
    #[error(transparent)]
    Refuse(#[from] RefusedFrame),
    /// The root key is unusable.
    #[error("the derived admin key is unusable")]
    Key(#[from] KeyError),
}

impl StreamError {
    /// The reason as a metric label.
    pub fn reason(&self) -> &'static str {
        match self {
            Self::ConnectTimeout | Self::Connect(_) => "connect",
            Self::Http(_) | Self::Request(_) => "http",
            Self::Refused(_) => "refused",
            Self::Stalled => "stalled",
            Self::Ended => "ended",
            Self::TooLong(_) | Self::Malformed(_) | Self::Refuse(_) => "malformed",
            Self::Key(_) => "key",
        }
    }
}

/// What all subscriptions share.
#[derive(Debug)]
pub struct Subscriber {
    /// Where values go.
    pub store: Arc<Store>,
    /// The root key.
    pub root_key: watch::Receiver<RootKey>,
    /// Port of the gateways' admin interface.
    pub port: u16,
    /// Time.
    pub clock: SharedClock,
    /// Own metrics.
    pub telemetry: Arc<Telemetry>,
}

/// Keeps a stream to a pod until `stop`.
pub async fn subscribe(
    subscriber: Arc<Subscriber>,
    entry: Arc<PodEntry>,
    changed: Arc<Notify>,
    stop: CancellationToken,
) {
    let _counted = subscriber.telemetry.subscription();
    tokio::select! {
        () = stop.cancelled() => {}
        () = keep_stream(&subscriber, &entry, &changed) => {}
    }
}

/// What is remembered between two streams to a pod.
struct Attempts {
    backoff: Backoff,
    /// The failure that was logged last, so that a pod that stays unreachable is one line and not a flood.
    said: Option<String>,
}

impl Attempts {
    /// The pod speaks.
    fn succeed(&mut self) {
        self.backoff.reset();
        self.said = None;
    }

    fn log(&mut self, pod: &PodInfo, error: &StreamError) {
        let text = crate::named::chain(error);
        if pod.counts() && self.said.as_ref() != Some(&text) {
            tracing::warn!(
                namespace = pod.namespace,
                pod = pod.name,
                error = text,
                "signal stream ended"
            );
            self.said = Some(text);
        } else {
            tracing::debug!(
                namespace = pod.namespace,
                pod = pod.name,
                error = text,
                "signal stream ended"
            );
        }
    }
}

async fn keep_stream(subscriber: &Subscriber, entry: &Arc<PodEntry>, changed: &Notify) {
    let mut attempts = Attempts {
        backoff: Backoff::new(FIRST_PAUSE, LONGEST_PAUSE),
        said: None,
    };
    let mut root_key = subscriber.root_key.clone();
    loop {
        let Some(key) = root_key.wait_for(Option::is_some).await.ok().and_then(|key| *key) else {
            return;
        };
        let Err(error) = stream(subscriber, entry, &key, &mut attempts).await;
        subscriber.telemetry.stream_ended(error.reason());
        let pod = entry.info();
        attempts.log(&pod, &error);
        if pod.terminating {
            // Whoever answers at this address from now on may be another pod: its values must not be counted twice.
            return;
        }
        tokio::select! {
            () = tokio::time::sleep(attempts.backoff.pause()) => {}
            () = changed.notified() => attempts.backoff.reset(),
        }
    }
}

/// Reads one stream to its end.
async fn stream(
    subscriber: &Subscriber,
    entry: &Arc<PodEntry>,
    root_key: &[u8],
    attempts: &mut Attempts,
) -> Result<std::convert::Infallible, StreamError> {
    let pod = entry.info();
    let Some(ip) = pod.ip else {
        return Err(StreamError::Ended);
    };
    let mut body = open(subscriber, SocketAddr::new(ip, subscriber.port), &pod, root_key).await?;
    let _connected = subscriber.telemetry.connected();
    let mut session = Session::new(Arc::clone(entry));
    let mut lines = Lines::default();
    loop {
        let chunk = timeout(STALL, body.frame()).await.map_err(|_| StreamError::Stalled)?;
        let Ok(data) = chunk.ok_or(StreamError::Ended)??.into_data() else {
            continue;
        };
        let received = subscriber.clock.now().mono;
        lines.push(&data)?;
        while let Some(line) = lines.next_line() {
            let frame: Frame = serde_json::from_slice(&line)?;
            session.apply(frame, received)?;
            subscriber.telemetry.frame();
            attempts.succeed();
        }
    }
}

/// Connects and sends the request. The connection lives as long as the returned body.
async fn open(
    subscriber: &Subscriber,
    address: SocketAddr,
    info: &PodInfo,
    root_key: &[u8],
) -> Result<Incoming, StreamError> {
    let admin_key = AdminKey::new(&derive_admin_key(root_key, &info.namespace, &info.gateway))?;
    let token = admin_key.mint(Scope::Signals, subscriber.clock.now().wall.as_second());
    let request = Request::get(SIGNALS_PATH)
        .header(header::HOST, address.to_string())
        .header(header::AUTHORIZATION, format!("Bearer {token}"))
        .header(header::ACCEPT, "application/x-ndjson")
        .header(
            header::USER_AGENT,
            concat!("tokenweir-adapter/", env!("CARGO_PKG_VERSION")),
        )
        .body(Empty::<Bytes>::new())?;
    let connect = timeout(CONNECT_TIMEOUT, TcpStream::connect(address));
    let tcp = connect
        .await
        .map_err(|_| StreamError::ConnectTimeout)?
        .map_err(StreamError::Connect)?;
    tcp.set_nodelay(true).map_err(StreamError::Connect)?;
    let (mut sender, connection) = hyper::client::conn::http1::handshake(TokioIo::new(tcp)).await?;
    // Ends by itself when the body is dropped: HTTP/1.1 has nothing else to do with the connection.
    tokio::spawn(async move {
        if let Err(error) = connection.await {
            tracing::debug!(%address, %error, "connection to a gateway broke");
        }
    });
    let response = timeout(STALL, sender.send_request(request))
        .await
        .map_err(|_| StreamError::Stalled)??;
    if response.status() == StatusCode::OK {
        Ok(response.into_body())
    } else {
        Err(StreamError::Refused(response.status()))
    }
}

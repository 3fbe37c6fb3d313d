//! A gateway in miniature: its admin port with the signal stream.

use std::convert::Infallible;
use std::net::{Ipv4Addr, SocketAddr};
use std::sync::Arc;
use std::sync::atomic::{AtomicU16, Ordering};
use std::time::Duration;

use bytes::Bytes;
use futures::channel::mpsc;
use http::{Request, Response, StatusCode, header};
use http_body_util::combinators::UnsyncBoxBody;
use http_body_util::{BodyExt, Empty, StreamBody};
use hyper::body::{Frame as BodyFrame, Incoming};
use hyper::service::service_fn;
use hyper_util::rt::TokioIo;
use jiff::Timestamp;
use parking_lot::Mutex;
use tokenweir_config::admin_token::{AdminKey, Scope as TokenScope, derive_admin_key};
use tokenweir_config::names::SIGNALS_PATH;
use tokenweir_signals::{Frame, Scope, Values};
use tokio::net::TcpListener;
use tokio_util::sync::CancellationToken;

/// Frames come faster than in life, so that tests wait less.
const INTERVAL: Duration = Duration::from_millis(25);

pub type Body = UnsyncBoxBody<Bytes, Infallible>;

#[derive(Clone)]
struct Saying {
    scopes: Vec<(Scope, Values)>,
    /// Added to the clock, in milliseconds.
    skew_ms: i64,
    /// Keeps connections open but sends nothing.
    silent: bool,
}

/// A running fake.
#[derive(Clone)]
pub struct Gateway {
    saying: Arc<Mutex<Saying>>,
    admin_key: AdminKey,
    pub address: SocketAddr,
    stop: CancellationToken,
}

/// Every fake has an address of its own: pods are told apart by address, and all listen on one port.
fn next_address() -> Ipv4Addr {
    static NEXT: AtomicU16 = AtomicU16::new(1);
    let [high, low] = NEXT.fetch_add(1, Ordering::Relaxed).to_be_bytes();
    Ipv4Addr::new(127, 77, high, low)
}

impl Gateway {
    /// Starts on `port`, or on a free one if that is 0.
    pub async fn start(root_key: &[u8], namespace: &str, gateway: &str, port: u16) -> Self {
        Self::restart(root_key, namespace, gateway, (next_address(), port).into())
            .await
            .unwrap()
    }

    /// Starts at an address.
    pub async fn restart(
        root_key: &[u8],
        namespace: &str,
        gateway: &str,
        address: SocketAddr,
    ) -> std::io::Result<Self> {
        let listener = TcpListener::bind(address).await?;
        let started = Self {
            saying: Arc::new(Mutex::new(Saying {
                scopes: Vec::new(),
                skew_ms: 0,
                silent: false,
            })),
            admin_key: AdminKey::new(&derive_admin_key(root_key, namespace, gateway)).unwrap(),
            address: listener.local_addr().unwrap(),
            stop: CancellationToken::new(),
        };
        let accepting = started.clone();
        tokio::spawn(async move {
            loop {
                let tcp = tokio::select! {
                    () = accepting.stop.cancelled() => return,
                    accepted = listener.accept() => accepted.unwrap().0,
                };
                let gateway = accepting.clone();
                tokio::spawn(async move {
                    let stop = gateway.stop.clone();
                    let service = service_fn(move |request| {
                        let gateway = gateway.clone();
                        async move { Ok::<_, Infallible>(gateway.handle(&request)) }
                    });
                    let connection =
                        hyper::server::conn::http1::Builder::new().serve_connection(TokioIo::new(tcp), service);
                    tokio::select! {
                        () = stop.cancelled() => {}
                        _ = connection => {}
                    }
                });
            }
        });
        Ok(started)
    }

    /// Says this from now on.
    pub fn say(&self, scopes: Vec<(Scope, Values)>) {
        self.saying.lock().scopes = scopes;
    }

    pub fn set_clock(&self, skew_ms: i64) {
        self.saying.lock().skew_ms = skew_ms;
    }

    pub fn set_silent(&self, silent: bool) {
        self.saying.lock().silent = silent;
    }

    /// Ends all connections and listens no more.
    pub fn kill(&self) {
        self.stop.cancel();
    }

    fn handle(&self, request: &Request<Incoming>) -> Response<Body> {
        assert_eq!(request.uri().path(), SIGNALS_PATH);
        let token = request.headers()[header::AUTHORIZATION]
            .to_str()
            .unwrap()
            .strip_prefix("Bearer ")
            .unwrap();
        if self
            .admin_key
            .verify(token, TokenScope::Signals, Timestamp::now().as_second())
            .is_err()
        {
            let body = Empty::new().boxed_unsync();
            return Response::builder().status(StatusCode::UNAUTHORIZED).body(body).unwrap();
        }
        let (sender, receiver) = mpsc::unbounded();
        tokio::spawn(send_frames(Arc::clone(&self.saying), sender));
        Response::new(StreamBody::new(receiver).boxed_unsync())
    }
}

async fn send_frames(saying: Arc<Mutex<Saying>>, sender: mpsc::UnboundedSender<Result<BodyFrame<Bytes>, Infallible>>) {
    let mut last: Option<Vec<(Scope, Values)>> = None;
    let mut ticks = tokio::time::interval(INTERVAL);
    for seq in 0.. {
        let now = loop {
            ticks.tick().await;
            let now = saying.lock().clone();
            if !now.silent {
                break now;
            }
        };
        // Full when scopes come or go, else what changed.
        let same = last
            .as_ref()
            .is_some_and(|last| last.iter().map(|s| &s.0).eq(now.scopes.iter().map(|s| &s.0)));
        let scopes = match &last {
            Some(last) if same => now
                .scopes
                .iter()
                .filter(|scope| !last.contains(scope))
                .cloned()
                .collect(),
            _ => now.scopes.clone(),
        };
        let measured = Timestamp::now().as_millisecond() + now.skew_ms;
        let frame = Frame {
            seq,
            measured_unix_ms: measured.cast_unsigned(),
            generation: 1,
            draining: false,
            full: !same,
            scopes,
        };
        last = Some(now.scopes);
        let line = format!("{}\n", serde_json::to_string(&frame).unwrap());
        if sender.unbounded_send(Ok(BodyFrame::data(Bytes::from(line)))).is_err() {
            return;
        }
    }
}

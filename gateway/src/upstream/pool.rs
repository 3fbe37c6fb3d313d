//! The connections of one worker, kept for the next request.

use std::sync::Arc;
use std::sync::atomic::AtomicUsize;
use std::sync::atomic::Ordering::Relaxed;
use std::time::Duration;

use foldhash::HashMap;
use http::{Request, Response};
use hyper::body::Incoming;
use hyper::client::conn::{TrySendError, http1, http2};
use parking_lot::Mutex;
use rustls::ClientConfig;
use tokio::time::Instant;

use super::body::RequestBody;
use super::connect::{ConnectError, connect};
use super::place::Place;
use super::resolve::Resolve;
use crate::health::Loss;

/// What is sent to providers.
pub(crate) type UpstreamBody = RequestBody;

/// A connection without a request is kept this long.
const KEEP_ALIVE: Duration = Duration::from_mins(1);
/// A connection takes no further requests after this time. Names that lead elsewhere are followed so, and new pods behind
/// a provider's load balancer get their part, while a busy connection would otherwise stay where it is for ever.
const MAX_AGE: Duration = Duration::from_mins(5);
/// Requests on one HTTP/2 connection before another is opened: what servers commonly allow. Where a server allows fewer,
/// others are opened sooner.
const HTTP2_STREAMS: usize = 100;

/// The right to send on a connection.
#[derive(Debug)]
pub(super) enum Sender {
    /// One request at a time.
    Http1(http1::SendRequest<UpstreamBody>),
    /// Many.
    Http2 {
        /// The connection.
        sender: http2::SendRequest<UpstreamBody>,
        /// Requests that the other side allows at a time.
        room: Arc<AtomicUsize>,
    },
}

/// The connections of one worker by place. Only this worker's tasks use them; the lock is never contended and never held
/// across an await.
#[derive(Debug)]
pub struct Pools {
    tls: Arc<ClientConfig>,
    resolver: Arc<dyn Resolve>,
    places: Mutex<HashMap<u64, Connections>>,
}

#[derive(Debug, Default)]
struct Connections {
    /// The one that was used last is at the end, and taken first: so the others grow old and go.
    idle: Vec<Idle>,
    shared: Vec<Arc<Shared>>,
}

#[derive(Debug)]
struct Idle {
    sender: http1::SendRequest<UpstreamBody>,
    born: Instant,
    since: Instant,
}

#[derive(Debug)]
struct Shared {
    sender: http2::SendRequest<UpstreamBody>,
    room: Arc<AtomicUsize>,
    streams: AtomicUsize,
    born: Instant,
    last_used: Mutex<Instant>,
    /// What its loss will be to those whose requests it carries.
    loss: Arc<Loss>,
}

/// A connection that carries one request. Unless it is given back with [`Lease::recycle`], HTTP/1.1 closes with it.
#[derive(Debug)]
pub struct Lease {
    kind: Kind,
    born: Instant,
    reused: bool,
    pools: Arc<Pools>,
    place: u64,
}

#[derive(Debug)]
enum Kind {
    Http1(http1::SendRequest<UpstreamBody>),
    Http2(Stream),
}

/// A place on an HTTP/2 connection.
#[derive(Debug)]
struct Stream(Arc<Shared>);

impl Stream {
    fn on(shared: &Arc<Shared>) -> Self {
        shared.streams.fetch_add(1, Relaxed);
        Self(Arc::clone(shared))
    }
}

impl Drop for Stream {
    fn drop(&mut self) {
        *self.0.last_used.lock() = Instant::now();
        self.0.streams.fetch_sub(1, Relaxed);
    }
}

impl Shared {
    fn takes_one_more(&self, now: Instant) -> bool {
        let streams = self.streams.load(Relaxed);
        // One that allows none at all gets one all the same, or each request would open a connection.
        let room = self.room.load(Relaxed).clamp(1, HTTP2_STREAMS);
        !self.sender.is_closed() && streams < room && !is_old(self.born, now)
    }
}

/// Whether an error ended one stream of an HTTP/2 connection and not the connection.
fn is_of_one_stream(error: &hyper::Error) -> bool {
    let cause = std::error::Error::source(error).and_then(|cause| cause.downcast_ref::<h2::Error>());
    error.is_parse() || error.is_user() || cause.is_some_and(h2::Error::is_reset)
}

/// Whether a connection that was opened then is to take no further requests.
fn is_old(born: Instant, now: Instant) -> bool {
    now.duration_since(born) >= MAX_AGE
}

impl Pools {
    /// No connections yet; those to come trust what `tls` trusts, and lead where `resolver` says.
    pub fn new(tls: Arc<ClientConfig>, resolver: Arc<dyn Resolve>) -> Arc<Self> {
        Arc::new(Self {
            tls,
            resolver,
            places: Mutex::default(),
        })
    }

    /// A connection to a place: one that is open, else a new one.
    pub(super) async fn lease(self: &Arc<Self>, place: &Place, timeout: Duration) -> Result<Lease, ConnectError> {
        match self.take(place.id) {
            Some((kind, born)) => Ok(Lease {
                kind,
                born,
                reused: true,
                pools: Arc::clone(self),
                place: place.id,
            }),
            // Boxed, as few requests connect: the state of resolving, connecting and of handshakes is larger than all else
            // that a request needs, which is moved as one when it begins.
            None => Box::pin(self.lease_new(place, timeout)).await,
        }
    }

    /// A new connection, whatever is open.
    pub(crate) async fn lease_new(self: &Arc<Self>, place: &Place, timeout: Duration) -> Result<Lease, ConnectError> {
        let born = Instant::now();
        let kind = match connect(place, &self.tls, &*self.resolver, timeout).await? {
            Sender::Http1(sender) => Kind::Http1(sender),
            Sender::Http2 { sender, room } => {
                let shared = Arc::new(Shared {
                    sender,
                    room,
                    streams: AtomicUsize::new(0),
                    born,
                    last_used: Mutex::new(Instant::now()),
                    loss: Arc::default(),
                });
                let stream = Stream::on(&shared);
                self.places.lock().entry(place.id).or_default().shared.push(shared);
                Kind::Http2(stream)
            }
        };
        Ok(Lease {
            kind,
            born,
            reused: false,
            pools: Arc::clone(self),
            place: place.id,
        })
    }

    fn take(&self, place: u64) -> Option<(Kind, Instant)> {
        let mut places = self.places.lock();
        let connections = places.get_mut(&place)?;
        let now = Instant::now();
        let free = connections.shared.iter().filter(|shared| shared.takes_one_more(now));
        if let Some(shared) = free.min_by_key(|shared| shared.streams.load(Relaxed)) {
            return Some((Kind::Http2(Stream::on(shared)), shared.born));
        }
        while let Some(idle) = connections.idle.pop() {
            if now.duration_since(idle.since) < KEEP_ALIVE && !is_old(idle.born, now) && !idle.sender.is_closed() {
                return Some((Kind::Http1(idle.sender), idle.born));
            }
        }
        None
    }

    /// Closes what has been idle for too long. To be called every now and then.
    pub fn sweep(&self) {
        let now = Instant::now();
        let old = |since: Instant| now.duration_since(since) >= KEEP_ALIVE;
        self.places.lock().retain(|_, connections| {
            connections
                .idle
                .retain(|idle| !old(idle.since) && !is_old(idle.born, now) && !idle.sender.is_closed());
            connections.shared.retain(|shared| {
                let unused = shared.streams.load(Relaxed) == 0;
                let worn = is_old(shared.born, now) || shared.sender.is_closed();
                !(unused && (worn || old(*shared.last_used.lock())))
            });
            !(connections.idle.is_empty() && connections.shared.is_empty())
        });
    }
}

impl Lease {
    /// Whether the connection carried requests before, so that it may have been closed in the meantime.
    pub(super) fn is_reused(&self) -> bool {
        self.reused
    }

    /// Whether it speaks HTTP/2.
    pub(crate) fn is_http2(&self) -> bool {
        matches!(self.kind, Kind::Http2(_))
    }

    /// Sends the request. An error that carries the request back says that nothing of it was sent.
    ///
    /// Dropping the future cancels the request: HTTP/1.1 closes the connection, HTTP/2 resets the stream.
    pub(crate) async fn send(
        &mut self,
        request: Request<UpstreamBody>,
    ) -> Result<Response<Incoming>, Box<TrySendError<Request<UpstreamBody>>>> {
        match &mut self.kind {
            Kind::Http1(sender) => {
                // A connection is given back when its last answer was read, which can be a moment before it is ready. If
                // it turns out to be closed, sending says so.
                let _ = sender.ready().await;
                sender.try_send_request(request).await.map_err(Box::new)
            }
            Kind::Http2(stream) => stream
                .0
                .sender
                .clone()
                .try_send_request(request)
                .await
                .map_err(Box::new),
        }
    }

    /// The loss of the connection, if that is what an error tells and others may tell of it too.
    pub(super) fn lost_by(&self, error: &hyper::Error) -> Option<Arc<Loss>> {
        match &self.kind {
            Kind::Http2(stream) if !is_of_one_stream(error) => Some(Arc::clone(&stream.0.loss)),
            Kind::Http1(_) | Kind::Http2(_) => None,
        }
    }

    /// Gives the connection back after its answer was read to the end.
    pub(super) fn recycle(self) {
        let now = Instant::now();
        if let Kind::Http1(sender) = self.kind
            && !sender.is_closed()
            && !is_old(self.born, now)
        {
            let idle = Idle {
                sender,
                born: self.born,
                since: now,
            };
            self.pools.places.lock().entry(self.place).or_default().idle.push(idle);
        }
    }
}

#[cfg(test)]
mod tests {
    use rustls::RootCertStore;
    use tokio::net::TcpListener;

    use super::*;
    use crate::upstream::SystemResolver;
    use crate::upstream::place::Address;

    #[tokio::test]
    async fn a_connection_takes_no_requests_after_five_minutes_however_busy_it_is() {
        tokenweir_process::install_crypto_provider();
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let tls = ClientConfig::builder()
            .with_root_certificates(RootCertStore::empty())
            .with_no_client_auth();
        let pools = Pools::new(Arc::new(tls), Arc::new(SystemResolver));
        let place = Place {
            id: 1,
            address: Address::Socket(listener.local_addr().unwrap()),
            tls: None,
            proxy: None,
        };
        let mut lease = pools.lease(&place, Duration::from_secs(10)).await.unwrap();
        let (_accepted, _) = listener.accept().await.unwrap();
        tokio::time::pause();
        for _ in 0..5 {
            lease.recycle();
            lease = pools.lease(&place, Duration::from_secs(10)).await.unwrap();
            assert!(lease.is_reused());
            // Shorter than an idle connection is kept.
            tokio::time::advance(Duration::from_secs(59)).await;
        }
        tokio::time::advance(Duration::from_secs(5)).await;
        lease.recycle();
        assert!(pools.take(place.id).is_none());
    }
}

//! The live signal stream: one measurement for all readers, none of whom can hold it up.

use std::convert::Infallible;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::time::Duration;

use bytes::Bytes;
use http::header::{CACHE_CONTROL, CONTENT_TYPE};
use http::{HeaderValue, Response, StatusCode};
use http_body_util::{BodyExt as _, StreamBody};
use hyper::body::Frame as BodyFrame;
use tokenweir_config::status::Phase;
use tokenweir_signals::FRAME_INTERVAL_MS;
use tokio::sync::{broadcast, mpsc};
use tokio::time::MissedTickBehavior;
use tokio_util::sync::CancellationToken;

use super::frames::Encoded;
use crate::answer;
use crate::drain::Drain;
use crate::meter::MeterHub;
use crate::net::Body;

/// Readers at a time: every adapter replica, a rolling update of them, and a person with curl.
const MAX_SUBSCRIBERS: u64 = 16;
/// Frames that a reader may be behind: two seconds. What is older is of no use to it.
const BACKLOG: usize = 8;

/// Measures and sends.
#[derive(Debug)]
pub struct Signals {
    frames: broadcast::Sender<Arc<Encoded>>,
    subscribers: Arc<AtomicU64>,
}

/// Counts a reader as long as it lives.
struct Place(Arc<AtomicU64>);

impl Drop for Place {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Relaxed);
    }
}

impl Signals {
    /// A stream without readers.
    pub fn new() -> Arc<Self> {
        Arc::new(Self {
            frames: broadcast::Sender::new(BACKLOG),
            subscribers: Arc::default(),
        })
    }

    /// Readers right now.
    pub fn subscribers(&self) -> u64 {
        self.subscribers.load(Relaxed)
    }

    /// Measures every [`FRAME_INTERVAL_MS`] and sends. Goes on until it is dropped, with or without readers: the
    /// windows behind the values want to be moved on.
    pub async fn run(self: Arc<Self>, meter: Arc<MeterHub>, drain: Drain) {
        let mut ticks = tokio::time::interval(Duration::from_millis(FRAME_INTERVAL_MS));
        // After a stall there is one measurement to make, not those that were missed.
        ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let mut before: Option<Arc<Encoded>> = None;
        loop {
            ticks.tick().await;
            let draining = drain.phase() > Phase::Serving;
            match Encoded::new(meter.tick(), before.as_deref(), draining) {
                Ok(encoded) => {
                    let encoded = Arc::new(encoded);
                    before = Some(Arc::clone(&encoded));
                    // Without readers there is nobody to tell.
                    let _ = self.frames.send(encoded);
                }
                Err(error) => {
                    // The readers miss a frame and must begin anew, which a full one lets them.
                    before = None;
                    tracing::error!(%error, "the signals cannot be encoded");
                }
            }
        }
    }

    /// Answers a reader with a stream of frames. `cut` ends its connection when it does not keep up.
    pub(super) fn subscribe(&self, cut: CancellationToken) -> Response<Body> {
        let taken = self.subscribers.fetch_update(Relaxed, Relaxed, |readers| {
            (readers < MAX_SUBSCRIBERS).then_some(readers + 1)
        });
        if taken.is_err() {
            return answer::text(StatusCode::SERVICE_UNAVAILABLE, "too many readers of the signal stream");
        }
        let place = Place(Arc::clone(&self.subscribers));
        let (lines, received) = mpsc::channel(BACKLOG);
        tokio::spawn(feed(self.frames.subscribe(), lines, cut, place));
        let frames = futures::stream::unfold(received, |mut received: mpsc::Receiver<Bytes>| async move {
            let line = received.recv().await?;
            Some((Ok::<_, Infallible>(BodyFrame::data(line)), received))
        });
        let mut response = Response::new(StreamBody::new(frames).boxed_unsync());
        let headers = response.headers_mut();
        headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/x-ndjson"));
        headers.insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
        response
    }
}

/// Passes frames on to one reader until it goes or falls behind.
async fn feed(
    mut frames: broadcast::Receiver<Arc<Encoded>>,
    lines: mpsc::Sender<Bytes>,
    cut: CancellationToken,
    _place: Place,
) {
    let mut seq = 0;
    loop {
        let frame = tokio::select! {
            () = lines.closed() => return,
            frame = frames.recv() => frame,
        };
        let sent = frame
            .ok()
            .and_then(|frame| frame.line(seq).ok())
            .map(|line| lines.try_send(line));
        match sent {
            Some(Ok(())) => seq += 1,
            Some(Err(mpsc::error::TrySendError::Closed(_))) => return,
            Some(Err(mpsc::error::TrySendError::Full(_))) | None => {
                // It reads too slowly, or not at all: what it would read next is stale. It can subscribe again.
                tracing::info!("a reader of the signal stream fell behind and was dropped");
                cut.cancel();
                return;
            }
        }
    }
}

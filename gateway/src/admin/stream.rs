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

#[cfg(test)]
mod tests {
    use std::future::poll_fn;

    use hyper::body::Body as _;
    use tokenweir_signals::{Frame, PodSignals};

    use super::*;
    use crate::clock::ManualClock;
    use crate::meter::Scopes;
    use crate::testing::snapshot;
    use crate::traces::Traces;

    struct Bench {
        signals: Arc<Signals>,
        _run: tokio::task::JoinHandle<()>,
    }

    fn bench() -> Bench {
        let meter = MeterHub::new(ManualClock::new(), Traces::new());
        meter.set_scopes(Scopes::of(&snapshot(1)));
        let signals = Signals::new();
        let run = tokio::spawn(Arc::clone(&signals).run(meter, Drain::new()));
        Bench { signals, _run: run }
    }

    async fn pass(frames: u64) {
        for _ in 0..frames {
            tokio::time::sleep(Duration::from_millis(FRAME_INTERVAL_MS)).await;
        }
    }

    async fn read(body: &mut Body) -> Option<Frame> {
        let frame = poll_fn(|cx| std::pin::Pin::new(&mut *body).poll_frame(cx)).await?;
        Some(serde_json::from_slice(&frame.unwrap().into_data().unwrap()).unwrap())
    }

    #[tokio::test(start_paused = true)]
    async fn a_reader_that_does_not_read_is_cut_and_the_others_go_on() {
        let bench = bench();
        let (slow_cut, fast_cut) = (CancellationToken::new(), CancellationToken::new());
        let _slow = bench.signals.subscribe(slow_cut.clone());
        let mut fast = bench.signals.subscribe(fast_cut.clone()).into_body();
        let mut known = PodSignals::default();
        for n in 0..30_u64 {
            let frame = read(&mut fast).await.unwrap();
            assert_eq!(frame.seq, n);
            known.apply(frame).unwrap();
        }
        assert!(slow_cut.is_cancelled());
        assert!(!fast_cut.is_cancelled());
        assert_eq!(bench.signals.subscribers(), 1);
    }

    #[tokio::test(start_paused = true)]
    async fn a_reader_that_goes_gives_its_place_back() {
        let bench = bench();
        let answers: Vec<_> = (0..MAX_SUBSCRIBERS)
            .map(|_| bench.signals.subscribe(CancellationToken::new()))
            .collect();
        assert!(answers.iter().all(|answer| answer.status() == StatusCode::OK));
        let refused = bench.signals.subscribe(CancellationToken::new());
        assert_eq!(refused.status(), StatusCode::SERVICE_UNAVAILABLE);
        drop(answers);
        pass(1).await;
        assert_eq!(bench.signals.subscribers(), 0);
    }
}

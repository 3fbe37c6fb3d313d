//! The live signals of gateway pods.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use futures::{StreamExt as _, TryStreamExt as _};
use http::{Response, StatusCode};
use http_body_util::BodyStream;
use hyper::body::Incoming;
use tokenweir_signals::{Frame, FrameError, PodSignals};
use tokio::sync::Notify;
use tokio_util::codec::{FramedRead, LinesCodec, LinesCodecError};
use tokio_util::io::StreamReader;

use super::{PodError, in_time};

/// A frame that lists ten thousand tenants with full digests stays under this; what is longer is not a frame.
const MAX_LINE: usize = 32 << 20;
/// A gateway sends four frames a second: after eight that did not come the stream is dead.
const STALL: Duration = Duration::from_secs(2);
/// Between the end of a stream and the next try.
const PAUSE: Duration = Duration::from_secs(1);

/// Why a stream of signals ended.
#[derive(Debug, thiserror::Error)]
pub enum SignalsError {
    /// The pod, or the way to it.
    #[error(transparent)]
    Pod(#[from] PodError),
    /// A line is too long, or the connection broke.
    #[error("the stream of signals broke: {0}")]
    Lines(#[from] LinesCodecError),
    /// A line is no frame.
    #[error("a line is no frame of signals: {0}")]
    Malformed(#[from] serde_json::Error),
    /// A frame is missing.
    #[error(transparent)]
    Frame(#[from] FrameError),
    /// No frame in time.
    #[error("no signals for {} s", STALL.as_secs())]
    Stalled,
    /// The gateway ended the stream.
    #[error("the gateway ended the stream of signals")]
    Ended,
}

/// What is known of one source: its values, or why there are none.
pub type Last = Result<PodSignals, String>;

/// The newest of all sources, by name. Cheap to clone.
#[derive(Debug, Clone, Default)]
pub struct Board(Arc<Inner>);

#[derive(Debug, Default)]
struct Inner {
    sources: Mutex<BTreeMap<String, Last>>,
    changed: Notify,
}

impl Board {
    /// What is known now.
    pub fn read(&self) -> BTreeMap<String, Last> {
        self.sources().clone()
    }

    /// Waits until this many sources have told something.
    pub async fn wait_for(&self, count: usize) {
        loop {
            let changed = self.0.changed.notified();
            if self.sources().len() >= count {
                return;
            }
            changed.await;
        }
    }

    /// Keeps only the sources that are wanted.
    pub fn retain(&self, wanted: impl Fn(&str) -> bool) {
        self.sources().retain(|name, _| wanted(name));
    }

    fn put(&self, name: &str, last: Last) {
        self.sources().insert(name.to_owned(), last);
        self.0.changed.notify_one();
    }

    fn sources(&self) -> MutexGuard<'_, BTreeMap<String, Last>> {
        // Whoever panicked while it wrote has left a whole value behind.
        self.0.sources.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Keeps a source on the board, subscribing again whenever its stream ends.
    pub async fn follow<F>(self, name: String, subscribe: impl Fn() -> F)
    where
        F: Future<Output = Result<Response<Incoming>, PodError>>,
    {
        loop {
            let Err(error) = self.read_stream(&name, in_time(subscribe()).await).await;
            self.put(&name, Err(error.to_string()));
            tokio::time::sleep(PAUSE).await;
        }
    }

    async fn read_stream(
        &self,
        name: &str,
        answer: Result<Response<Incoming>, PodError>,
    ) -> Result<std::convert::Infallible, SignalsError> {
        let answer = answer?;
        if answer.status() != StatusCode::OK {
            return Err(PodError::Refused(answer.status()).into());
        }
        let pieces = BodyStream::new(answer.into_body()).map_err(std::io::Error::other);
        let pieces = pieces.try_filter_map(async |frame| Ok(frame.into_data().ok()));
        let reader = StreamReader::new(pieces.boxed());
        let mut lines = FramedRead::new(reader, LinesCodec::new_with_max_length(MAX_LINE));
        let mut signals = PodSignals::default();
        loop {
            let line = tokio::time::timeout(STALL, lines.next()).await;
            let line = line.map_err(|_| SignalsError::Stalled)?.ok_or(SignalsError::Ended)??;
            let frame: Frame = serde_json::from_str(&line)?;
            signals.apply(frame)?;
            self.put(name, Ok(signals.clone()));
        }
    }
}

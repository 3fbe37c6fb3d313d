//! One request from its admission to its end.

use std::sync::Arc;
use std::sync::atomic::Ordering::Relaxed;
use std::time::Duration;

use http::{HeaderMap, HeaderValue};
use parking_lot::Mutex;

use super::labels::{RequestLabels, UpstreamErrorKind};
use super::series::{Ending, Series};
use super::{Meter, Shard};
use crate::traces::{RequestSpan, SpanEnd};

/// The status under which a request counts whose client went away. No client sees it.
pub const CLIENT_CLOSED: u16 = 499;
/// The `error_type` of such a request.
const CANCELLED: &str = "cancelled";

/// Counts one request. Dropping it without [`RequestMeter::finish`] says that the client went away.
///
/// May be used from any thread; made to be used from one.
#[derive(Debug)]
pub struct RequestMeter {
    shard: Arc<Shard>,
    series: Arc<Series>,
    labels: RequestLabels,
    received: Duration,
    progress: Mutex<Progress>,
}

#[derive(Debug, Default)]
struct Progress {
    stage: Stage,
    first_byte: Option<Duration>,
    /// Completion tokens counted while they passed.
    live: u64,
    /// What the live rates know of this request: prompt and completion.
    counted: u64,
    input: Option<u64>,
    output: Option<u64>,
    provider: Option<Arc<str>>,
    span: Option<RequestSpan>,
}

#[derive(Debug, Default, Clone, Copy, PartialEq, Eq)]
enum Stage {
    #[default]
    Received,
    /// Waits since this moment.
    Queued(Duration),
    Admitted,
    Ended,
}

impl RequestMeter {
    pub(super) fn new(meter: &Meter, labels: RequestLabels, series: Arc<Series>, received: Duration) -> Self {
        series.arrivals.fetch_add(1, Relaxed);
        Self {
            shard: Arc::clone(&meter.shard),
            series,
            labels,
            received,
            progress: Mutex::default(),
        }
    }

    /// The request entered the waiting room.
    pub fn queued(&self) {
        let mut progress = self.progress.lock();
        if progress.stage == Stage::Received {
            progress.stage = Stage::Queued(self.shard.now());
            self.series.queue_depth.fetch_add(1, Relaxed);
        }
    }

    /// The request may be forwarded, after it waited so long; zero if it did not wait.
    pub fn admitted(&self, waited: Duration) {
        let mut progress = self.progress.lock();
        match progress.stage {
            Stage::Queued(_) => {
                self.series.queue_depth.fetch_sub(1, Relaxed);
            }
            Stage::Received => {}
            Stage::Admitted | Stage::Ended => return,
        }
        progress.stage = Stage::Admitted;
        self.series.in_flight.fetch_add(1, Relaxed);
        self.series.totals.lock().waited(waited.as_secs_f64());
    }

    /// A try at a provider failed. The request may go on elsewhere.
    pub fn upstream_error(&self, provider: &Arc<str>, kind: UpstreamErrorKind) {
        self.shard.upstream_error(provider, kind);
        if let Some(span) = &mut self.progress.lock().span {
            span.upstream_error(provider, kind);
        }
    }

    /// A try at a provider begins, with the model name sent to it.
    pub fn forwarded(&self, provider: &Arc<str>, model: &str) {
        self.shard.forwarded(provider);
        let mut progress = self.progress.lock();
        progress.provider = Some(Arc::clone(provider));
        if let Some(span) = &mut progress.span {
            span.forwarded(provider, model);
        }
    }

    /// Of tries side by side, the one at this provider answers.
    pub fn answered_by(&self, provider: &Arc<str>) {
        self.progress.lock().provider = Some(Arc::clone(provider));
    }

    /// The first byte of the answer's body has come.
    pub fn first_byte(&self) {
        let mut progress = self.progress.lock();
        if progress.first_byte.is_none() {
            let now = self.shard.now();
            progress.first_byte = Some(now);
            self.series
                .totals
                .lock()
                .first_byte(now.saturating_sub(self.received).as_secs_f64());
        }
    }

    /// So many further completion tokens have passed in the stream, by estimate.
    pub fn stream_tokens(&self, completion: u64) {
        let mut progress = self.progress.lock();
        progress.live = progress.live.saturating_add(completion);
        progress.counted = progress.counted.saturating_add(completion);
        self.series.live_tokens.fetch_add(signed(completion), Relaxed);
    }

    /// The provider's own numbers. They correct what was counted live; what the provider does not report is `None`.
    ///
    /// The numbers are totals: a later call replaces an earlier one.
    pub fn usage(&self, prompt: Option<u64>, completion: Option<u64>) {
        let mut progress = self.progress.lock();
        progress.input = prompt.or(progress.input);
        progress.output = completion.or(progress.output);
        let known = progress
            .input
            .unwrap_or(0)
            .saturating_add(progress.output.unwrap_or(progress.live));
        let correction = signed(known) - signed(progress.counted);
        progress.counted = known;
        self.series.live_tokens.fetch_add(correction, Relaxed);
    }

    /// Begins a span for this request if traces are exported and the client's context, or the sampler, wants it.
    pub fn trace(&self, headers: &HeaderMap, request_id: &str) {
        if let Some(span) = self.shard.traces.begin(&self.labels, headers, request_id) {
            self.progress.lock().span = Some(span);
        }
    }

    /// The `traceparent` that a provider should see: this request's own span. `None` where there is none; then the
    /// client's header is passed on as it is.
    pub fn traceparent(&self) -> Option<HeaderValue> {
        self.progress.lock().span.as_ref().map(RequestSpan::traceparent)
    }

    /// The request has ended with this HTTP status. `error_type` is from a closed list, such as `queue_full`; `None` for
    /// success.
    pub fn finish(self, status: u16, error_type: Option<&'static str>) {
        self.end(Ending { status, error_type });
    }

    fn end(&self, ending: Ending) {
        let mut progress = self.progress.lock();
        let now = self.shard.now();
        let stage = std::mem::replace(&mut progress.stage, Stage::Ended);
        let mut totals = self.series.totals.lock();
        match stage {
            Stage::Ended => return,
            Stage::Received => {}
            Stage::Queued(since) => {
                self.series.queue_depth.fetch_sub(1, Relaxed);
                // A wait that ended without admission is a wait too: without it a queue that lets nobody through would
                // look as if nobody waited.
                totals.waited(now.saturating_sub(since).as_secs_f64());
            }
            Stage::Admitted => {
                self.series.in_flight.fetch_sub(1, Relaxed);
            }
        }
        let output = progress.output.or((progress.live > 0).then_some(progress.live));
        totals.used(progress.provider.as_ref(), progress.input, output);
        if let (true, Some(first), Some(tokens @ 2..)) = (self.labels.stream, progress.first_byte, output) {
            totals
                .per_token
                .record(now.saturating_sub(first).as_secs_f64() / (tokens - 1) as f64);
        }
        totals.ended(ending, now.saturating_sub(self.received).as_secs_f64());
        drop(totals);
        if let Some(span) = progress.span.take() {
            span.end(&SpanEnd {
                status: ending.status,
                error_type: ending.error_type,
                input_tokens: progress.input,
                output_tokens: output,
                first_byte_after: progress.first_byte.map(|at| at.saturating_sub(self.received)),
            });
        }
    }
}

impl Drop for RequestMeter {
    fn drop(&mut self) {
        // After `finish` this finds the request ended and does nothing.
        self.end(Ending {
            status: CLIENT_CLOSED,
            error_type: Some(CANCELLED),
        });
    }
}

fn signed(tokens: u64) -> i64 {
    i64::try_from(tokens).unwrap_or(i64::MAX)
}

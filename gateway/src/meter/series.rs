//! What one worker has counted for one tenant, route and operation.

use std::sync::Arc;
use std::sync::atomic::{AtomicI64, AtomicU64, Ordering::Relaxed};

use parking_lot::Mutex;
use tokenweir_signals::Digest;

use super::histogram::{DURATION, FIRST_TOKEN, Histogram, PER_TOKEN, QUEUE_WAIT, TOKENS};
use super::labels::Operation;

/// What a series is about. Bounded by the configuration.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(super) struct SeriesKey {
    pub tenant: Arc<str>,
    pub route: Arc<str>,
    pub operation: Operation,
}

/// Counters that one worker writes and the control thread reads a few times a second, so that the lock inside is
/// practically never contended.
#[derive(Debug)]
pub(super) struct Series {
    pub queue_depth: AtomicI64,
    pub in_flight: AtomicI64,
    /// Tokens since the last reading. Below zero when a provider's final number is smaller than what was counted live.
    pub live_tokens: AtomicI64,
    /// Requests since the last reading.
    pub arrivals: AtomicU64,
    pub totals: Mutex<Totals>,
}

/// How requests ended: an HTTP status and, for failures, what kind.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(super) struct Ending {
    pub status: u16,
    pub error_type: Option<&'static str>,
}

/// Values that need more than one word.
#[derive(Debug)]
pub(super) struct Totals {
    /// Waits since the last reading.
    pub fresh_wait: Digest,
    /// Times to first byte since the last reading.
    pub fresh_ttft: Digest,
    pub queue_wait: Histogram,
    pub first_token: Histogram,
    pub per_token: Histogram,
    pub input_tokens: u64,
    pub output_tokens: u64,
    /// A handful of endings, so that a scan beats a map.
    pub durations: Vec<(Ending, Histogram)>,
    /// Tokens of requests by provider: input and output.
    pub usage: Vec<(Arc<str>, Histogram, Histogram)>,
}

impl Default for Totals {
    fn default() -> Self {
        Self {
            fresh_wait: Digest::default(),
            fresh_ttft: Digest::default(),
            queue_wait: Histogram::new(QUEUE_WAIT),
            first_token: Histogram::new(FIRST_TOKEN),
            per_token: Histogram::new(PER_TOKEN),
            input_tokens: 0,
            output_tokens: 0,
            durations: Vec::new(),
            usage: Vec::new(),
        }
    }
}

impl Totals {
    pub(super) fn waited(&mut self, seconds: f64) {
        self.fresh_wait.record(seconds);
        self.queue_wait.record(seconds);
    }

    pub(super) fn first_byte(&mut self, seconds: f64) {
        self.fresh_ttft.record(seconds);
        self.first_token.record(seconds);
    }

    pub(super) fn ended(&mut self, ending: Ending, seconds: f64) {
        let known = self.durations.iter_mut().find(|(known, _)| *known == ending);
        if let Some((_, histogram)) = known {
            histogram.record(seconds);
        } else {
            let mut histogram = Histogram::new(DURATION);
            histogram.record(seconds);
            self.durations.push((ending, histogram));
        }
    }

    /// Counts a request's tokens. What the provider did not report is not counted as zero.
    pub(super) fn used(&mut self, provider: Option<&Arc<str>>, input: Option<u64>, output: Option<u64>) {
        self.input_tokens += input.unwrap_or(0);
        self.output_tokens += output.unwrap_or(0);
        let Some(provider) = provider.filter(|_| input.is_some() || output.is_some()) else {
            return;
        };
        let known = self.usage.iter().position(|(known, ..)| known == provider);
        let at = known.unwrap_or(self.usage.len());
        if known.is_none() {
            self.usage
                .push((Arc::clone(provider), Histogram::new(TOKENS), Histogram::new(TOKENS)));
        }
        let (_, inputs, outputs) = &mut self.usage[at];
        for (histogram, tokens) in [(inputs, input), (outputs, output)] {
            if let Some(tokens) = tokens {
                histogram.record(tokens as f64);
            }
        }
    }

    /// Adds another worker's totals to these.
    pub(super) fn merge(&mut self, other: &Self) {
        self.queue_wait.merge(&other.queue_wait);
        self.first_token.merge(&other.first_token);
        self.per_token.merge(&other.per_token);
        self.input_tokens += other.input_tokens;
        self.output_tokens += other.output_tokens;
        for (ending, histogram) in &other.durations {
            match self.durations.iter_mut().find(|(known, _)| known == ending) {
                Some((_, mine)) => mine.merge(histogram),
                None => self.durations.push((*ending, histogram.clone())),
            }
        }
        for (provider, input, output) in &other.usage {
            match self.usage.iter_mut().find(|(known, ..)| known == provider) {
                Some((_, my_input, my_output)) => {
                    my_input.merge(input);
                    my_output.merge(output);
                }
                None => self.usage.push((Arc::clone(provider), input.clone(), output.clone())),
            }
        }
    }
}

impl Series {
    pub(super) fn new() -> Self {
        Self {
            queue_depth: AtomicI64::new(0),
            in_flight: AtomicI64::new(0),
            live_tokens: AtomicI64::new(0),
            arrivals: AtomicU64::new(0),
            totals: Mutex::new(Totals::default()),
        }
    }

    /// Takes what came since the last reading.
    pub(super) fn read(&self) -> Reading {
        let mut totals = self.totals.lock();
        Reading {
            queue_depth: self.queue_depth.load(Relaxed),
            in_flight: self.in_flight.load(Relaxed),
            tokens: self.live_tokens.swap(0, Relaxed),
            arrivals: self.arrivals.swap(0, Relaxed),
            queue_wait: std::mem::take(&mut totals.fresh_wait),
            ttft: std::mem::take(&mut totals.fresh_ttft),
        }
    }
}

/// Gauges now, and what came since the reading before.
#[derive(Debug, Default)]
pub(super) struct Reading {
    pub queue_depth: i64,
    pub in_flight: i64,
    pub tokens: i64,
    pub arrivals: u64,
    pub queue_wait: Digest,
    pub ttft: Digest,
}

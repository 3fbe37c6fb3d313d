//! The adapter's own metrics.

use std::sync::atomic::AtomicI64;
use std::time::Duration;

use prometheus_client::encoding::text::encode;
use prometheus_client::encoding::{EncodeLabelSet, EncodeLabelValue};
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::{Family, MetricConstructor};
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::metrics::histogram::Histogram;
use prometheus_client::registry::{Registry, Unit};

/// Ages: frames come every quarter of a second; what is older than a few seconds is trouble.
const AGE_BUCKETS: [f64; 10] = [0.05, 0.1, 0.25, 0.5, 0.75, 1.0, 2.0, 5.0, 10.0, 30.0];
/// Durations of answers: most come from memory, some wait for a review by the API server.
const DURATION_BUCKETS: [f64; 10] = [0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.1, 0.5, 1.0, 5.0];

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct Answered {
    api: &'static str,
    code: u16,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct Api {
    api: &'static str,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct Reason {
    reason: &'static str,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct Review {
    kind: ReviewKind,
    answer: &'static str,
}

/// What the API server was asked to review.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, EncodeLabelValue)]
pub enum ReviewKind {
    /// Whose a token is.
    Token,
    /// Whether somebody may do something.
    Access,
}

#[derive(Debug, Clone)]
struct Buckets(&'static [f64]);

impl MetricConstructor<Histogram> for Buckets {
    fn new_metric(&self) -> Histogram {
        Histogram::new(self.0.iter().copied())
    }
}

/// All of them.
#[derive(Debug)]
pub struct Telemetry {
    registry: Registry,
    requests: Family<Answered, Counter>,
    durations: Family<Api, Histogram, Buckets>,
    ages: Histogram,
    subscriptions: Gauge<i64, AtomicI64>,
    connected: Gauge<i64, AtomicI64>,
    frames: Counter,
    stream_ends: Family<Reason, Counter>,
    reviews: Family<Review, Counter>,
}

/// Lowers a gauge again when it is dropped.
#[derive(Debug)]
pub struct Raised(Gauge<i64, AtomicI64>);

impl Raised {
    fn new(gauge: &Gauge<i64, AtomicI64>) -> Self {
        gauge.inc();
        Self(gauge.clone())
    }
}

impl Drop for Raised {
    fn drop(&mut self) {
        self.0.dec();
    }
}

impl Default for Telemetry {
    fn default() -> Self {
        let mut registry = Registry::with_prefix("tokenweir_adapter");
        let requests = Family::default();
        registry.register("requests", "Answers by API and HTTP code", requests.clone());
        let durations = Family::new_with_constructor(Buckets(&DURATION_BUCKETS));
        let about = "Time from the whole request to the answer";
        registry.register_with_unit("request_duration", about, Unit::Seconds, durations.clone());
        let ages = Histogram::new(AGE_BUCKETS);
        let about = "Age of each value when it was handed out";
        registry.register_with_unit("signal_age", about, Unit::Seconds, ages.clone());
        let subscriptions = Gauge::default();
        registry.register(
            "subscriptions",
            "Gateway pods that are subscribed to",
            subscriptions.clone(),
        );
        let connected = Gauge::default();
        registry.register("streams", "Signal streams that are open", connected.clone());
        let frames = Counter::default();
        registry.register("frames", "Frames received from gateway pods", frames.clone());
        let stream_ends = Family::default();
        registry.register(
            "stream_ends",
            "Signal streams that ended, by reason",
            stream_ends.clone(),
        );
        let reviews = Family::default();
        registry.register("reviews", "Reviews asked of the API server, by answer", reviews.clone());
        Self {
            registry,
            requests,
            durations,
            ages,
            subscriptions,
            connected,
            frames,
            stream_ends,
            reviews,
        }
    }
}

impl Telemetry {
    /// Counts an answer.
    pub fn answered(&self, api: &'static str, code: u16, took: Duration) {
        self.requests.get_or_create(&Answered { api, code }).inc();
        self.durations.get_or_create(&Api { api }).observe(took.as_secs_f64());
    }

    /// Counts the ages of values that were handed out.
    pub fn handed_out(&self, ages: &[Duration]) {
        for age in ages {
            self.ages.observe(age.as_secs_f64());
        }
    }

    /// Counts a subscription while the result lives.
    pub fn subscription(&self) -> Raised {
        Raised::new(&self.subscriptions)
    }

    /// Counts an open stream while the result lives.
    pub fn connected(&self) -> Raised {
        Raised::new(&self.connected)
    }

    /// Counts a frame.
    pub fn frame(&self) {
        self.frames.inc();
    }

    /// Counts the end of a stream.
    pub fn stream_ended(&self, reason: &'static str) {
        self.stream_ends.get_or_create(&Reason { reason }).inc();
    }

    /// Counts a review.
    pub fn review(&self, kind: ReviewKind, answer: &'static str) {
        self.reviews.get_or_create(&Review { kind, answer }).inc();
    }

    /// All of them in the OpenMetrics text form.
    pub fn text(&self) -> Result<String, std::fmt::Error> {
        let mut text = String::new();
        encode(&mut text, &self.registry)?;
        Ok(text)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_counted_is_written() {
        let telemetry = Telemetry::default();
        telemetry.answered("custom", 200, Duration::from_millis(1));
        telemetry.handed_out(&[Duration::from_millis(120)]);
        telemetry.review(ReviewKind::Access, "yes");
        let open = telemetry.connected();
        let text = telemetry.text().unwrap();
        for line in [
            "tokenweir_adapter_requests_total{api=\"custom\",code=\"200\"} 1",
            "tokenweir_adapter_signal_age_seconds_count 1",
            "tokenweir_adapter_reviews_total{kind=\"Access\",answer=\"yes\"} 1",
            "tokenweir_adapter_streams 1",
        ] {
            assert!(text.contains(line), "{line} in {text}");
        }
        drop(open);
        assert!(telemetry.text().unwrap().contains("tokenweir_adapter_streams 0"));
    }
}

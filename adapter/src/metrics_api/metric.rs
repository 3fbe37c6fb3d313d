//! The metrics that there are, and how values of several pods become one.

use tokenweir_signals::{Digest, Values};

use super::parameters::{Parameters, Window};

/// What can be asked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Metric {
    /// Requests that wait for admission.
    QueueDepth,
    /// Requests that were admitted and have not ended.
    InFlight,
    /// Tokens a second.
    TokenRate,
    /// Requests a second.
    RequestRate,
    /// Seconds that requests waited for admission: a quantile.
    QueueWait,
    /// Seconds to the first byte of an answer: a quantile.
    Ttft,
}

/// Every name that is served, aliases too, in the order in which discovery lists them.
pub const NAMES: [(&str, Metric); 9] = [
    ("queue_depth", Metric::QueueDepth),
    ("in_flight", Metric::InFlight),
    ("token_rate", Metric::TokenRate),
    ("request_rate", Metric::RequestRate),
    ("queue_wait", Metric::QueueWait),
    ("ttft", Metric::Ttft),
    ("task_queue_depth", Metric::QueueDepth),
    ("active_executions", Metric::InFlight),
    ("active_tasks", Metric::InFlight),
];

/// How long the window of `queue_wait` and `ttft` is, in seconds.
const DIGEST_WINDOW_SECONDS: i64 = tokenweir_signals::digest::DigestWindow::SECONDS.cast_signed();

impl Metric {
    /// Finds a metric by its name or alias.
    pub fn parse(name: &str) -> Option<Self> {
        NAMES
            .iter()
            .find(|(known, _)| *known == name)
            .map(|(_, metric)| *metric)
    }

    /// Every name that is served, for messages.
    pub fn known() -> String {
        NAMES.map(|(name, _)| name).join(", ")
    }

    /// Whether the label `window` applies.
    pub fn is_rate(self) -> bool {
        matches!(self, Self::TokenRate | Self::RequestRate)
    }

    /// Whether the label `quantile` applies.
    pub fn is_quantile(self) -> bool {
        matches!(self, Self::QueueWait | Self::Ttft)
    }

    /// Length of the window that a value covers; `None` for a count at one moment.
    pub fn window_seconds(self, window: Window) -> Option<i64> {
        match self {
            Self::QueueDepth | Self::InFlight => None,
            Self::TokenRate | Self::RequestRate => Some(window.seconds()),
            Self::QueueWait | Self::Ttft => Some(DIGEST_WINDOW_SECONDS),
        }
    }
}

/// Adds the values of pods up.
#[derive(Debug)]
pub struct Total {
    metric: Metric,
    window: Window,
    quantile: f64,
    count: u64,
    rate: f64,
    digest: Digest,
    waiting: u64,
}

impl Total {
    /// An empty total of a metric.
    pub fn new(metric: Metric, parameters: &Parameters) -> Self {
        let (window, quantile) = (parameters.window, parameters.quantile.value());
        Self {
            metric,
            window,
            quantile,
            count: 0,
            rate: 0.0,
            digest: Digest::default(),
            waiting: 0,
        }
    }

    /// Adds one pod's values.
    pub fn add(&mut self, values: &Values) {
        match self.metric {
            Metric::QueueDepth => self.count = self.count.saturating_add(values.queue_depth),
            Metric::InFlight => self.count = self.count.saturating_add(values.in_flight),
            Metric::TokenRate => self.rate += self.window.of(values.token_rate),
            Metric::RequestRate => self.rate += self.window.of(values.request_rate),
            Metric::QueueWait => {
                self.digest.merge(&values.queue_wait);
                self.waiting = self.waiting.saturating_add(values.queue_depth);
            }
            Metric::Ttft => self.digest.merge(&values.ttft),
        }
    }

    /// The value; `None` where no request in the window tells one.
    ///
    /// `queue_wait` is 0 if no request was admitted in the window and none waits: that is what a request would have
    /// waited. If requests wait and none got through, the wait is unknown, not 0. Without requests `ttft` is unknown.
    pub fn value(&self) -> Option<f64> {
        match self.metric {
            Metric::QueueDepth | Metric::InFlight => Some(self.count as f64),
            Metric::TokenRate | Metric::RequestRate => Some(self.rate),
            Metric::QueueWait if self.digest.count() == 0 && self.waiting == 0 => Some(0.0),
            Metric::QueueWait | Metric::Ttft => self.digest.quantile(self.quantile),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::metrics_api::parameters::Quantile;

    fn total(metric: Metric, values: &[Values]) -> Option<f64> {
        let mut total = Total::new(
            metric,
            &Parameters {
                quantile: Quantile::P50,
                ..Parameters::default()
            },
        );
        for values in values {
            total.add(values);
        }
        total.value()
    }

    #[test]
    fn aliases_mean_their_metric() {
        assert_eq!(Metric::parse("task_queue_depth"), Some(Metric::QueueDepth));
        assert_eq!(Metric::parse("active_executions"), Some(Metric::InFlight));
        assert_eq!(Metric::parse("active_tasks"), Some(Metric::InFlight));
        assert_eq!(Metric::parse("cpu"), None);
    }

    #[test]
    fn quantiles_of_several_pods_come_from_all_their_requests() {
        let (mut slow, mut fast) = (Values::default(), Values::default());
        slow.ttft.record(10.0);
        for _ in 0..9 {
            fast.ttft.record(0.1);
        }
        let median = total(Metric::Ttft, &[slow, fast]).unwrap();
        assert!((median - 0.1).abs() < 0.002, "{median}");
    }

    #[test]
    fn without_requests_the_wait_is_zero_only_while_nobody_waits() {
        assert_eq!(total(Metric::QueueWait, &[Values::default()]), Some(0.0));
        assert_eq!(
            total(
                Metric::QueueWait,
                &[Values {
                    queue_depth: 1,
                    ..Values::default()
                }]
            ),
            None
        );
        assert_eq!(total(Metric::Ttft, &[Values::default()]), None);
    }
}

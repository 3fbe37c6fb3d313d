//! Metrics under the names that dashboards for controllers know.

use std::sync::Arc;
use std::time::Duration;

use prometheus_client::encoding::EncodeLabelSet;
use prometheus_client::encoding::text::encode;
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::metrics::histogram::Histogram;
use prometheus_client::registry::Registry;

/// How a reconciliation ended, as the label `result`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Outcome {
    /// Everything is as it should be.
    Success,
    /// It failed and is tried again.
    Error,
    /// The object is wrong; only a change helps.
    Invalid,
}

impl Outcome {
    fn as_str(self) -> &'static str {
        match self {
            Self::Success => "success",
            Self::Error => "error",
            Self::Invalid => "invalid",
        }
    }
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct ReconcileLabels {
    controller: &'static str,
    result: &'static str,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct ControllerLabels {
    controller: &'static str,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct ErrorLabels {
    controller: &'static str,
    reason: &'static str,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct QueueLabels {
    name: &'static str,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct CertificateLabels {
    certificate: &'static str,
}

type TimeFamily = Family<ControllerLabels, Histogram, fn() -> Histogram>;

/// All metrics of the process. Clones share one state.
#[derive(Clone)]
pub struct Metrics {
    registry: Arc<Registry>,
    reconciles: Family<ReconcileLabels, Counter>,
    errors: Family<ErrorLabels, Counter>,
    times: TimeFamily,
    depth: Family<QueueLabels, Gauge>,
    leader: Gauge,
    expiry: Family<CertificateLabels, Gauge>,
}

/// The depth of one queue.
#[derive(Clone, Default)]
pub struct QueueDepth(Gauge);

impl QueueDepth {
    /// Sets the number of objects that wait.
    pub fn set(&self, depth: usize) {
        self.0.set(i64::try_from(depth).unwrap_or(i64::MAX));
    }
}

impl Default for Metrics {
    fn default() -> Self {
        let mut registry = Registry::default();
        let reconciles = Family::default();
        let errors = Family::default();
        let times = TimeFamily::new_with_constructor(time_histogram);
        let depth = Family::default();
        let leader = Gauge::default();
        let expiry = Family::default();
        registry.register(
            "controller_runtime_reconcile",
            "Reconciliations by controller and result",
            reconciles.clone(),
        );
        registry.register(
            "controller_runtime_reconcile_errors",
            "Failed reconciliations by controller and reason",
            errors.clone(),
        );
        registry.register(
            "controller_runtime_reconcile_time_seconds",
            "Duration of a reconciliation in seconds",
            times.clone(),
        );
        registry.register("workqueue_depth", "Objects that wait for reconciliation", depth.clone());
        registry.register(
            "tokenweir_operator_leader",
            "1 on the replica that leads, else 0",
            leader.clone(),
        );
        registry.register(
            "tokenweir_certificate_expiry_timestamp_seconds",
            "When a certificate that the operator issues ends, Unix time in seconds",
            expiry.clone(),
        );
        Self {
            registry: Arc::new(registry),
            reconciles,
            errors,
            times,
            depth,
            leader,
            expiry,
        }
    }
}

impl Metrics {
    /// Counts one reconciliation.
    pub fn reconciled(&self, controller: &'static str, outcome: Outcome, took: Duration) {
        let result = outcome.as_str();
        self.reconciles
            .get_or_create(&ReconcileLabels { controller, result })
            .inc();
        self.times
            .get_or_create(&ControllerLabels { controller })
            .observe(took.as_secs_f64());
    }

    /// Counts one failure by its reason, which comes from a closed set.
    pub fn failed(&self, controller: &'static str, reason: &'static str) {
        self.errors.get_or_create(&ErrorLabels { controller, reason }).inc();
    }

    /// The gauge of one controller's queue.
    pub fn queue(&self, name: &'static str) -> QueueDepth {
        QueueDepth(self.depth.get_or_create(&QueueLabels { name }).clone())
    }

    /// Says whether this replica leads.
    pub fn leader(&self, leads: bool) {
        self.leader.set(i64::from(leads));
    }

    /// Says when a certificate ends, Unix time in seconds.
    pub fn certificate_expiry(&self, certificate: &'static str, unix: i64) {
        self.expiry.get_or_create(&CertificateLabels { certificate }).set(unix);
    }

    /// Everything in the text format of Prometheus.
    pub fn encode(&self) -> Result<String, std::fmt::Error> {
        let mut text = String::new();
        encode(&mut text, &self.registry)?;
        Ok(text)
    }
}

/// From a status that needs no request (under a millisecond) to an API server that hardly answers.
fn time_histogram() -> Histogram {
    Histogram::new([
        0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0,
    ])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn metrics_carry_the_names_that_dashboards_for_controllers_know() {
        let metrics = Metrics::default();
        metrics.reconciled("llmgateway", Outcome::Error, Duration::from_millis(3));
        metrics.failed("llmgateway", "NotOwned");
        metrics.queue("llmgateway").set(4);
        metrics.leader(true);
        let text = metrics.encode().unwrap();
        for line in [
            "controller_runtime_reconcile_total{controller=\"llmgateway\",result=\"error\"} 1",
            "controller_runtime_reconcile_errors_total{controller=\"llmgateway\",reason=\"NotOwned\"} 1",
            "controller_runtime_reconcile_time_seconds_count{controller=\"llmgateway\"} 1",
            "workqueue_depth{name=\"llmgateway\"} 4",
            "tokenweir_operator_leader 1",
        ] {
            assert!(text.contains(line), "{line} is not in\n{text}");
        }
    }
}

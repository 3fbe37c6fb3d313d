//! `/metrics`: everything counted, in the Prometheus text format.
//!
//! Names and labels are those of the OpenTelemetry GenAI conventions where they have one, in Prometheus spelling. Every
//! label value comes from the configuration or from a closed list.

mod edge;
mod families;
mod resilience;
#[cfg(test)]
mod tests;

use std::fmt;
use std::sync::Arc;

use prometheus_client::collector::Collector;
use prometheus_client::encoding::DescriptorEncoder;
use prometheus_client::encoding::text::encode;
use prometheus_client::registry::Registry;
use tokenweir_config::status::Phase;

use crate::endpoints::EndpointTable;
use crate::meter::MeterHub;
use crate::server::Connections;
use crate::state::State;

/// Content type of the answer.
pub const CONTENT_TYPE: &str = "application/openmetrics-text; version=1.0.0; charset=utf-8";

/// What is asked at each scrape.
pub struct Metrics {
    registry: Registry,
}

/// Where the values come from.
pub struct Sources {
    /// Requests.
    pub meter: Arc<MeterHub>,
    /// Connections of clients.
    pub connections: Arc<Connections>,
    /// Configuration.
    pub state: Arc<State>,
    /// The addresses behind Services.
    pub endpoints: Arc<EndpointTable>,
    /// Phase of the process.
    pub phase: Box<dyn Fn() -> Phase + Send + Sync>,
    /// Readers of the signal stream right now.
    pub subscribers: Box<dyn Fn() -> u64 + Send + Sync>,
}

impl fmt::Debug for Sources {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Sources")
    }
}

impl Metrics {
    /// Prepares the scrape.
    pub fn new(sources: Sources) -> Self {
        let mut registry = Registry::default();
        registry.register_collector(Box::new(sources));
        Self { registry }
    }

    /// All metrics at this moment.
    pub fn text(&self) -> Result<String, fmt::Error> {
        let mut text = String::new();
        encode(&mut text, &self.registry)?;
        Ok(text)
    }
}

impl Collector for Sources {
    fn encode(&self, mut encoder: DescriptorEncoder<'_>) -> Result<(), fmt::Error> {
        families::requests(&mut encoder, &self.meter.totals())?;
        if let Some(plan) = self.state.plan() {
            resilience::health(&mut encoder, &plan, &self.endpoints)?;
        }
        edge::edge(&mut encoder, &self.connections, &self.state)?;
        families::configuration(&mut encoder, &self.state)?;
        families::process(&mut encoder, (self.phase)(), (self.subscribers)())
    }
}

//! Puts configurations into service: the plan, the addresses behind Services, metrics, traces, and at the first one the
//! workers themselves.

use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;

use parking_lot::Mutex;
use tokenweir_config::{ServiceRef, Snapshot, Upstream};
use tokio::runtime::Handle;
use tokio::sync::watch;

use crate::clock::Clock;
use crate::drain::Drain;
use crate::endpoints::{EndpointTable, LocalServices};
use crate::health::Prober;
use crate::meter::{MeterHub, Scopes};
use crate::plan::{Plan, PlanCell};
use crate::server::{self, Connections, Patience, Running, ServeParts};
use crate::source::keeper::Target;
use crate::state::State;
use crate::traces::{Identity, Traces};
use crate::upstream::{SystemResolver, client_config};

/// How long a new configuration waits for the addresses of the Services that it names for the first time. A list from
/// the API server takes some milliseconds; without it the configuration is served all the same.
const ENDPOINTS_PATIENCE: Duration = Duration::from_secs(1);

/// Where the addresses behind Services come from.
pub enum Services {
    /// From the cluster: this tells the watch what to follow, and hears when something was learnt.
    Cluster {
        /// What to follow.
        wanted: watch::Sender<Vec<ServiceRef>>,
        /// Changes with each change of the table.
        learnt: watch::Receiver<()>,
    },
    /// From the command line.
    Local(LocalServices),
}

/// What the workers are started with.
pub struct Parts {
    /// Addresses behind Services.
    pub endpoints: Arc<EndpointTable>,
    /// Where they come from.
    pub services: Services,
    /// Counters.
    pub meter: Arc<MeterHub>,
    /// Counts the connections of clients.
    pub connections: Arc<Connections>,
    /// Spans.
    pub traces: Arc<Traces>,
    /// Phase of the process.
    pub drain: Drain,
    /// What time it is.
    pub clock: Arc<dyn Clock>,
    /// Facts for reports.
    pub state: Arc<State>,
    /// Threads.
    pub workers: usize,
    /// Address of the data ports.
    pub bind: IpAddr,
    /// The control thread's runtime.
    pub runtime: Handle,
}

/// The data plane, once there is a configuration.
pub struct DataPlane {
    parts: Parts,
    plan: Option<Arc<PlanCell>>,
    running: Arc<Workers>,
}

/// The workers, for whoever waits for their end.
#[derive(Default)]
pub struct Workers(Mutex<Option<Running>>);

impl Workers {
    /// Where they listen; empty before the first configuration.
    pub fn local_addrs(&self) -> Vec<SocketAddr> {
        self.0
            .lock()
            .as_ref()
            .map(|running| running.local_addrs().to_vec())
            .unwrap_or_default()
    }

    /// Waits until they have ended, which takes a drain. Blocks.
    pub fn join(&self) {
        let running = self.0.lock().take();
        if let Some(running) = running {
            running.join();
        }
    }
}

impl DataPlane {
    /// A data plane without workers.
    pub fn new(parts: Parts) -> Self {
        Self {
            parts,
            plan: None,
            running: Arc::default(),
        }
    }

    /// The workers that it will start.
    pub fn workers(&self) -> Arc<Workers> {
        Arc::clone(&self.running)
    }

    fn start(&self, plan: &Arc<PlanCell>) -> Result<(), String> {
        let tls = client_config();
        let parts = ServeParts {
            plan: Arc::clone(plan),
            endpoints: Arc::clone(&self.parts.endpoints),
            meter: Arc::clone(&self.parts.meter),
            drain: self.parts.drain.clone(),
            clock: Arc::clone(&self.parts.clock),
            tls: Arc::clone(&tls),
            resolver: Arc::new(SystemResolver),
            connections: Arc::clone(&self.parts.connections),
            patience: Patience::default(),
            workers: self.parts.workers,
            bind: self.parts.bind,
        };
        let running = server::start(parts).map_err(|error| with_causes(&error))?;
        for address in running.local_addrs() {
            tracing::info!(%address, workers = self.parts.workers, "listening");
        }
        *self.running.0.lock() = Some(running);
        self.parts.state.set_listening();
        self.parts.state.set_plan(plan);
        let prober = Prober::new(Arc::clone(plan), Arc::clone(&self.parts.endpoints), tls);
        self.parts.runtime.spawn(prober.run());
        Ok(())
    }

    /// Waits until the addresses of all these Services are known, or for a while.
    async fn learn(&mut self, services: &[ServiceRef]) {
        let endpoints = Arc::clone(&self.parts.endpoints);
        match &mut self.parts.services {
            Services::Local(local) => local.publish(&endpoints, services),
            Services::Cluster { wanted, learnt } => {
                // Those of the plan in service stay until it is replaced.
                wanted.send_if_modified(|followed| {
                    let before = followed.len();
                    followed.extend(services.iter().filter(|service| !endpoints.knows(service)).cloned());
                    followed.len() > before
                });
                let known = learnt.wait_for(|()| services.iter().all(|service| endpoints.knows(service)));
                if tokio::time::timeout(ENDPOINTS_PATIENCE, known).await.is_err() {
                    tracing::warn!("the endpoints of new Services are not known yet");
                }
            }
        }
    }
}

/// The certificates of a plan by port, with the Unix time at which each ends. One that has ended is served all the same, as
/// clients may look past it, and the log says so.
fn certificates(plan: &Plan, now: u64) -> Vec<(u16, i64)> {
    let certificates = plan.listeners.iter();
    let certificates: Vec<_> = certificates
        .filter_map(|listener| Some((listener.port, listener.certificate_until?)))
        .collect();
    for (port, until) in &certificates {
        if i64::try_from(now).is_ok_and(|now| now >= *until) {
            tracing::warn!(port, "the certificate of a listener has ended; clients refuse it");
        }
    }
    certificates
}

/// An error with all its causes in one line.
fn with_causes(error: &dyn std::error::Error) -> String {
    let mut line = error.to_string();
    let mut cause = error.source();
    while let Some(error) = cause {
        line.push_str(": ");
        line.push_str(&error.to_string());
        cause = error.source();
    }
    line
}

/// The Services that a configuration names, each once.
fn services(snapshot: &Snapshot) -> Vec<ServiceRef> {
    let mut services: Vec<ServiceRef> = Vec::new();
    for provider in snapshot.providers.values() {
        if let Upstream::Service(service) = &provider.upstream
            && !services.contains(service)
        {
            services.push(service.clone());
        }
    }
    services
}

impl Target for DataPlane {
    async fn apply(&mut self, snapshot: &Snapshot) -> Result<(), String> {
        let before = self.plan.as_ref().map(|plan| plan.load_full());
        let plan = Plan::build(snapshot, before.as_deref()).map_err(|error| error.to_string())?;
        let services = services(snapshot);
        self.learn(&services).await;
        // Known before the first request can be counted under them.
        self.parts.meter.set_scopes(Scopes::of(snapshot));
        let certificates = certificates(&plan, self.parts.clock.unix().as_secs());
        if let Some(current) = &self.plan {
            current.store(plan);
        } else {
            let first = PlanCell::new(plan);
            self.start(&first)?;
            self.plan = Some(first);
        }
        self.parts.state.set_certificates(certificates);
        if let Services::Cluster { wanted, .. } = &self.parts.services {
            wanted.send_if_modified(|followed| {
                let change = *followed != services;
                *followed = services;
                change
            });
        }
        self.export(snapshot);
        Ok(())
    }
}

impl DataPlane {
    /// A collector that cannot be used is no reason to refuse everything else.
    fn export(&self, snapshot: &Snapshot) {
        let identity = Identity {
            namespace: snapshot.gateway.namespace.clone(),
            gateway: snapshot.gateway.name.clone(),
            pod: self.parts.state.pod.clone(),
        };
        let endpoint = snapshot.telemetry.otlp_endpoint.as_deref();
        if let Err(error) = self.parts.traces.export_to(endpoint, &identity, &self.parts.runtime) {
            tracing::error!(%error, "traces are exported as before");
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::snapshot;

    #[test]
    fn each_service_is_named_once() {
        let mut snapshot = snapshot(1);
        let service = ServiceRef {
            namespace: "llm".into(),
            name: "vllm".into(),
            port: 80,
            path: "/v1".into(),
        };
        let mut provider = snapshot.providers["sim"].clone();
        provider.upstream = Upstream::Service(service.clone());
        snapshot.providers.insert("a".into(), provider.clone());
        snapshot.providers.insert("b".into(), provider);
        assert_eq!(services(&snapshot), [service]);
    }
}

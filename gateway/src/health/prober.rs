//! Probes: requests of the gateway's own that say whether a provider, or each pod of a Service, is well.
//!
//! One task of the control thread for each provider that is probed, whatever the number of workers.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use futures::future::join_all;
use rand::Rng as _;
use rustls::ClientConfig;
use tokio::task::JoinHandle;
use tokio::time::Instant;

use super::probed::Probed;
use crate::endpoints::EndpointTable;
use crate::plan::{Plan, PlanCell, Probe, Provider, Target};
use crate::upstream::{Place, Pools, SystemResolver};

/// By how much the time between two probes varies, so that gateway pods do not probe in step.
const JITTER: f64 = 0.1;
/// The first probe comes within this time, as a provider that is sick at the start should not be taken to be well for long.
const FIRST_WITHIN: Duration = Duration::from_secs(1);

/// Probes what the plan in service says.
pub struct Prober {
    plan: Arc<PlanCell>,
    shared: Arc<Shared>,
}

struct Shared {
    endpoints: Arc<EndpointTable>,
    pools: Arc<Pools>,
}

/// The probes of one provider; dropping it ends them.
struct Probes {
    provider: Arc<Provider>,
    task: JoinHandle<()>,
}

impl Drop for Probes {
    fn drop(&mut self) {
        self.task.abort();
    }
}

impl Prober {
    /// A prober of its own connections.
    pub fn new(plan: Arc<PlanCell>, endpoints: Arc<EndpointTable>, tls: Arc<ClientConfig>) -> Self {
        let pools = Pools::new(tls, Arc::new(SystemResolver));
        Self {
            plan,
            shared: Arc::new(Shared { endpoints, pools }),
        }
    }

    /// Follows the plan for as long as the process lives.
    pub async fn run(self) {
        let mut changes = self.plan.subscribe();
        changes.mark_changed();
        let mut running: BTreeMap<Arc<str>, Probes> = BTreeMap::new();
        while changes.changed().await.is_ok() {
            let plan = self.plan.load_full();
            follow(&plan, &mut running, &self.shared);
        }
    }
}

/// Begins the probes that the plan has and that do not run, and ends those that it no longer has.
fn follow(plan: &Plan, running: &mut BTreeMap<Arc<str>, Probes>, shared: &Arc<Shared>) {
    running.retain(|name, probes| {
        let now = plan.providers().find(|provider| provider.name == *name);
        let same = now.is_some_and(|provider| Arc::ptr_eq(provider, &probes.provider));
        if !same && now.is_none_or(|provider| provider.probe.is_none()) {
            // Nobody will say that it is well again.
            forget(&probes.provider, shared);
        }
        same
    });
    for provider in plan.providers() {
        if provider.probe.is_some() && !running.contains_key(&provider.name) {
            let task = tokio::spawn(probe_on(Arc::clone(provider), Arc::clone(shared)));
            let probes = Probes {
                provider: Arc::clone(provider),
                task,
            };
            running.insert(Arc::clone(&provider.name), probes);
        }
    }
}

fn forget(provider: &Provider, shared: &Shared) {
    let now = Instant::now();
    provider.live.probed.succeeded(now);
    if let Target::Service { service, balancer, .. } = &provider.target {
        for endpoint in balancer.endpoints(&shared.endpoints.get(service)) {
            endpoint.probed.succeeded(now);
        }
    }
}

async fn probe_on(provider: Arc<Provider>, shared: Arc<Shared>) {
    let Some(probe) = &provider.probe else { return };
    let first = FIRST_WITHIN.min(probe.interval);
    let wait: f64 = rand::rng().random();
    tokio::time::sleep(first.mul_f64(wait)).await;
    loop {
        shared.round(&provider, probe).await;
        shared.pools.sweep();
        let spread = rand::rng().random_range(1.0 - JITTER..=1.0 + JITTER);
        tokio::time::sleep(probe.interval.mul_f64(spread)).await;
    }
}

impl Shared {
    /// Probes each place of a provider once.
    async fn round(&self, provider: &Provider, probe: &Probe) {
        match &provider.target {
            Target::Endpoint { origin, .. } => {
                let found = self.ask(provider, probe, origin).await;
                note(provider, &provider.live.probed, found.as_deref(), None);
            }
            Target::Service { service, balancer, .. } => {
                let endpoints = balancer.endpoints(&self.endpoints.get(service));
                let each = endpoints.iter().map(|endpoint| async {
                    let found = self.ask(provider, probe, &endpoint.place).await;
                    note(provider, &endpoint.probed, found.as_deref(), Some(endpoint.address));
                    found
                });
                let found: Vec<Option<String>> = join_all(each).await;
                let all_out = !endpoints.is_empty() && endpoints.iter().all(|endpoint| endpoint.probed.is_failing());
                let why = found.into_iter().flatten().next();
                provider
                    .live
                    .probed
                    .set(Instant::now(), why.as_deref().filter(|_| all_out));
            }
        }
    }

    /// One probe; what is wrong with the place, if anything is.
    async fn ask(&self, provider: &Provider, probe: &Probe, place: &Place) -> Option<String> {
        let asked = async {
            let mut lease = match self.pools.lease_new(place, probe.timeout).await {
                Ok(lease) => lease,
                Err(error) => return Some(error.to_string()),
            };
            let request = probe.request(lease.is_http2(), |headers| provider.introduce(headers));
            match lease.send(request).await {
                Ok(response) if response.status().is_success() || response.status().is_redirection() => None,
                Ok(response) => Some(format!("GET {} answers {}", probe.path, response.status().as_u16())),
                Err(_) => Some(format!("GET {} gets no answer", probe.path)),
            }
        };
        tokio::time::timeout(probe.timeout, asked).await.unwrap_or_else(|_| {
            Some(format!(
                "GET {} gets no answer within {} ms",
                probe.path,
                probe.timeout.as_millis()
            ))
        })
    }
}

/// Takes in what a probe found at one place.
fn note(provider: &Provider, probed: &Probed, found: Option<&str>, endpoint: Option<std::net::SocketAddr>) {
    let now = Instant::now();
    let name = &*provider.name;
    let endpoint = endpoint.map(tracing::field::display);
    match found {
        Some(why) => {
            if probed.failed(now, why) {
                provider.live.count_ejection();
                tracing::warn!(provider = name, endpoint, why, "probes fail; nothing is sent there");
            }
        }
        None => {
            if probed.succeeded(now) {
                tracing::info!(provider = name, endpoint, "probes are answered again");
            }
        }
    }
}

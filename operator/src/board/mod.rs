//! The board: what every gateway's configuration says, and which pods confirm it.
//!
//! The gateway controller writes what it compiled, the prober what pods answer, and everybody who writes a status reads. It
//! lives in memory alone: after a restart it is filled again from the cluster.

mod certificates;
mod health;
mod liveness;
mod view;

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;

use parking_lot::RwLock;
use tokenweir_config::status::ProviderReport;
use tokenweir_crds::compile::{Kind, Verdict};
use tokenweir_crds::conditions::Finding;

pub use certificates::{Certificate, in_time, next_change};
use health::{ProvidersSeen, seen};
pub use health::{healthy, route_healthy};
pub use liveness::{Liveness, PodReport, judge};
pub use view::{Part, programmed};

/// A gateway by namespace and name.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct GatewayKey {
    /// Its namespace.
    pub namespace: String,
    /// Its name.
    pub name: String,
}

/// A provider, route or tenant of a gateway's namespace.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct PartKey {
    /// Its kind.
    pub kind: Kind,
    /// Its name.
    pub name: String,
}

/// What one configuration says about one object.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Entry {
    /// `metadata.generation` of the object that was compiled.
    pub observed_generation: Option<i64>,
    /// What the compiler says.
    pub verdict: Verdict,
    /// A number that changes with what the configuration has of the object; absent where it has nothing.
    pub fingerprint: Option<u64>,
    /// First generation of the configuration with this content.
    pub since: u64,
    /// False if the content may be older than `since`: it was there when this process started.
    pub exact: bool,
}

/// A configuration that was written for the pods.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Written {
    /// Its generation.
    pub generation: u64,
    /// SHA-256 of its JSON.
    pub digest: String,
}

/// What is known about one gateway.
#[derive(Debug, Clone, Default)]
pub struct Seat {
    /// The newest configuration that pods can read.
    pub written: Option<Written>,
    /// What the compiler says about the `LLMGateway` itself, and the generation of the object that it saw.
    pub own: Option<(Option<i64>, Verdict)>,
    /// Certificates of the listeners that are served.
    pub certificates: Vec<Certificate>,
    /// Why owned objects or the configuration are not as they should be.
    pub fault: Option<Finding>,
    /// Providers, routes and tenants.
    pub entries: Arc<BTreeMap<PartKey, Entry>>,
    /// Base64 key under which pods accept callers on their admin port.
    pub admin_key: String,
    /// Answers of the pods to `written`; absent until they were asked once.
    pub liveness: Option<Liveness>,
    /// How the pods see the providers.
    pub providers: Arc<ProvidersSeen>,
}

/// What a change of the board is about.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub enum News {
    /// The gateway's own status may read differently.
    Gateway(GatewayKey),
    /// The status of an object of the gateway's namespace may read differently.
    Part {
        /// Namespace of gateway and object.
        namespace: String,
        /// The object.
        part: PartKey,
    },
}

/// Told of each change.
type Listener = Box<dyn Fn(News) + Send + Sync>;

/// The board. See the module.
pub struct Board {
    seats: RwLock<HashMap<GatewayKey, Seat>>,
    listener: Listener,
}

impl Board {
    /// An empty board that tells `listener` whose status may read differently.
    pub fn new(listener: impl Fn(News) + Send + Sync + 'static) -> Self {
        Self {
            seats: RwLock::default(),
            listener: Box::new(listener),
        }
    }

    /// What is known about a gateway.
    pub fn seat(&self, key: &GatewayKey) -> Option<Seat> {
        self.seats.read().get(key).cloned()
    }

    /// One object as one gateway has it.
    pub fn part(&self, gateway: &GatewayKey, part: &PartKey) -> Option<Part> {
        let seats = self.seats.read();
        let seat = seats.get(gateway)?;
        let entry = seat.entries.get(part)?.clone();
        Some(Part {
            gateway: gateway.name.clone(),
            entry,
            delivered: seat.written.is_some(),
            liveness: seat.liveness.clone(),
        })
    }

    /// How each pod of a gateway sees a provider.
    pub fn provider_reports(&self, gateway: &GatewayKey, provider: &str) -> Vec<ProviderReport> {
        let seats = self.seats.read();
        let pods = seats.get(gateway).and_then(|seat| seat.providers.get(provider));
        pods.into_iter().flat_map(BTreeMap::values).cloned().collect()
    }

    /// Takes in a configuration. The pods are taken not to have been asked about it, if it is a new one.
    pub fn configured(&self, key: &GatewayKey, new: Seat) {
        let mut news = Vec::new();
        {
            let mut seats = self.seats.write();
            let seat = seats.entry(key.clone()).or_default();
            let liveness = if seat.written == new.written {
                seat.liveness.take()
            } else {
                None
            };
            let entries = Arc::new(carried_over(&seat.entries, &new.entries));
            for part in changed_parts(&seat.entries, &entries) {
                news.push(News::Part {
                    namespace: key.namespace.clone(),
                    part,
                });
            }
            news.push(News::Gateway(key.clone()));
            *seat = Seat {
                entries,
                liveness,
                providers: Arc::clone(&seat.providers),
                ..new
            };
        }
        self.tell(news);
    }

    /// Takes in what could not be done for a gateway; `None`: everything was.
    pub fn faulted(&self, key: &GatewayKey, fault: Option<Finding>) {
        {
            let mut seats = self.seats.write();
            let seat = seats.entry(key.clone()).or_default();
            if seat.fault == fault {
                return;
            }
            seat.fault = fault;
        }
        self.tell(vec![News::Gateway(key.clone())]);
    }

    /// Takes in what pods answered about the configuration `written`.
    pub fn observed(&self, key: &GatewayKey, written: &Written, pods: &BTreeMap<String, PodReport>) {
        let mut news = Vec::new();
        {
            let mut seats = self.seats.write();
            let Some(seat) = seats.get_mut(key) else { return };
            // An answer to an older question: the new one is being asked.
            if seat.written.as_ref() != Some(written) {
                return;
            }
            for part in take_in_health(seat, pods) {
                news.push(News::Part {
                    namespace: key.namespace.clone(),
                    part,
                });
            }
            let liveness = judge(written, pods);
            if seat.liveness.as_ref() != Some(&liveness) {
                let floor = liveness.floor;
                let before = seat.liveness.replace(liveness);
                for (part, entry) in seat.entries.iter() {
                    let told = before
                        .as_ref()
                        .is_some_and(|before| (entry.since <= before.floor) == (entry.since <= floor));
                    // While some pods lag, the message of what they lag in counts them.
                    if !told || entry.since > floor {
                        news.push(News::Part {
                            namespace: key.namespace.clone(),
                            part: part.clone(),
                        });
                    }
                }
                news.push(News::Gateway(key.clone()));
            }
        }
        self.tell(news);
    }

    /// Forgets a gateway that is gone.
    pub fn forget(&self, key: &GatewayKey) {
        let Some(seat) = self.seats.write().remove(key) else {
            return;
        };
        let parts = seat.entries.keys().map(|part| News::Part {
            namespace: key.namespace.clone(),
            part: part.clone(),
        });
        self.tell(parts.collect());
    }

    fn tell(&self, news: Vec<News>) {
        for item in news {
            (self.listener)(item);
        }
    }
}

/// Takes in how the pods see the providers; what reads differently now: providers, and the routes, which may use them.
fn take_in_health(seat: &mut Seat, pods: &BTreeMap<String, PodReport>) -> Vec<PartKey> {
    let seen = seen(pods, &seat.providers);
    if seen == *seat.providers {
        return Vec::new();
    }
    let before = std::mem::replace(&mut seat.providers, Arc::new(seen));
    let differs = |part: &&PartKey| match part.kind {
        Kind::ModelProvider => before.get(&part.name) != seat.providers.get(&part.name),
        Kind::ModelRoute => true,
        _ => false,
    };
    seat.entries.keys().filter(differs).cloned().collect()
}

/// The new entries, each with the generation in which its content first stood.
fn carried_over(before: &BTreeMap<PartKey, Entry>, after: &BTreeMap<PartKey, Entry>) -> BTreeMap<PartKey, Entry> {
    after
        .iter()
        .map(|(part, entry)| {
            let mut entry = entry.clone();
            if let Some(old) = before.get(part)
                && old.fingerprint == entry.fingerprint
            {
                entry.since = old.since;
                entry.exact = old.exact;
            }
            (part.clone(), entry)
        })
        .collect()
}

fn changed_parts(before: &BTreeMap<PartKey, Entry>, after: &BTreeMap<PartKey, Entry>) -> Vec<PartKey> {
    let changed = after.iter().filter(|(part, entry)| before.get(part) != Some(entry));
    let gone = before.keys().filter(|part| !after.contains_key(part));
    changed.map(|(part, _)| part).chain(gone).cloned().collect()
}

#[cfg(test)]
mod tests;

//! The endpoints of a Service: each request goes to the one with the fewest outstanding, among those that are well.

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::AtomicU32;
use std::sync::atomic::Ordering::Relaxed;

use arc_swap::ArcSwap;
use parking_lot::Mutex;
use rand::Rng as _;
use tokio::time::Instant;

use super::place::{Place, Tls};
use crate::health::{Breaker, Pass, Probed, Rule, Standing};
use crate::meter::UpstreamErrorKind;

/// The endpoints of one Service with what runs at each. Shared by all workers, so that they see each other's requests.
#[derive(Debug, Default)]
pub struct Balancer {
    /// What the endpoints speak.
    tls: Option<Tls>,
    known: ArcSwap<Known>,
    /// Held while it is decided whether one more may be taken out, so that two workers do not take out one too many.
    ejecting: Mutex<()>,
}

#[derive(Debug)]
struct Known {
    /// What the endpoints were made from, to see a change by the pointer.
    ready: Arc<[SocketAddr]>,
    endpoints: Vec<Arc<Endpoint>>,
}

impl Default for Known {
    fn default() -> Self {
        Self {
            ready: Arc::from([]),
            endpoints: Vec::new(),
        }
    }
}

/// One pod behind a Service.
#[derive(Debug)]
pub struct Endpoint {
    /// Where it is.
    pub address: SocketAddr,
    /// The same for connections.
    pub place: Arc<Place>,
    /// Requests that failed in a row.
    pub breaker: Breaker,
    /// Probes.
    pub probed: Probed,
    outstanding: AtomicU32,
}

impl Endpoint {
    fn new(address: SocketAddr, tls: Option<Tls>) -> Self {
        Self {
            address,
            place: Arc::new(Place::socket(address, tls)),
            breaker: Breaker::new(Instant::now()),
            probed: Probed::default(),
            outstanding: AtomicU32::new(0),
        }
    }

    /// How long a further request would queue, in outstanding requests: more for one that was taken back in only now.
    fn load(&self, now: Option<Instant>, rule: Option<&Rule>) -> u64 {
        let outstanding = u64::from(self.outstanding.load(Relaxed)) + 1;
        match (now, rule) {
            (Some(now), Some(rule)) if self.breaker.is_slow() => {
                thousandths(outstanding as f64 / self.breaker.share(now, rule))
            }
            _ => outstanding * 1000,
        }
    }
}

#[allow(clippy::cast_possible_truncation, clippy::cast_sign_loss)] // counts of requests, never negative
fn thousandths(load: f64) -> u64 {
    (load * 1000.0) as u64
}

/// A request at an endpoint, counted as outstanding until this is dropped.
#[derive(Debug)]
pub struct Outstanding {
    endpoint: Arc<Endpoint>,
}

impl Outstanding {
    /// Where the request goes.
    pub fn place(&self) -> &Arc<Place> {
        &self.endpoint.place
    }
}

impl Drop for Outstanding {
    fn drop(&mut self) {
        self.endpoint.outstanding.fetch_sub(1, Relaxed);
    }
}

/// A request of which it is not yet known how it goes. Dropping it says that it was given up.
#[derive(Debug)]
pub struct EndpointTry {
    endpoint: Arc<Endpoint>,
    pass: Pass,
}

impl EndpointTry {
    /// Where the request went.
    pub fn address(&self) -> SocketAddr {
        self.endpoint.address
    }

    /// The endpoint answered.
    pub fn succeeded(self) {
        self.endpoint.breaker.succeeded(Instant::now());
    }
}

impl Drop for EndpointTry {
    fn drop(&mut self) {
        // After a word on how it went this finds no trial of its own any more, and does nothing.
        self.endpoint.breaker.given_up(&self.pass, Instant::now());
    }
}

/// What a failure at an endpoint led to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Consequence {
    /// Nothing yet, or what had happened before.
    None,
    /// The endpoint is out.
    Ejected,
    /// It would be out, were not half of the endpoints out already; and none of the others is any better.
    NoneGood,
}

impl Balancer {
    /// A balancer that knows no endpoint yet; those to come speak TLS, or none.
    pub fn new(tls: Option<Tls>) -> Self {
        Self { tls, ..Self::default() }
    }

    /// What the endpoints speak.
    pub fn tls(&self) -> Option<&Tls> {
        self.tls.as_ref()
    }

    /// Takes the endpoint with the fewest outstanding requests among those that are ready and well; of several with the
    /// fewest, any. One that was out for long enough gets one request to show what it can do. Endpoints in `failed`, and
    /// those that are out, are taken only if there are no others. `None` without ready endpoints.
    pub fn choose(
        &self,
        ready: &Arc<[SocketAddr]>,
        failed: &[SocketAddr],
        rule: Option<&Rule>,
    ) -> Option<(Outstanding, EndpointTry)> {
        let known = self.know(ready);
        let count = known.endpoints.len();
        if count == 0 {
            return None;
        }
        // While nothing has failed, nobody asks for the time.
        let troubled = known
            .endpoints
            .iter()
            .any(|endpoint| !endpoint.breaker.is_in() || endpoint.breaker.is_slow());
        let now = troubled.then(Instant::now);
        // A random start gives each of several equal ones the same chance.
        let start = if count == 1 {
            0
        } else {
            rand::rng().random_range(0..count)
        };
        let in_order = || known.endpoints[start..].iter().chain(&known.endpoints[..start]);
        let fresh = |endpoint: &&Arc<Endpoint>| !failed.contains(&endpoint.address);
        if let (Some(now), Some(rule)) = (now, rule) {
            let trial = in_order()
                .filter(fresh)
                .filter(|endpoint| !endpoint.probed.is_failing() && endpoint.breaker.standing(now) == Standing::Trial)
                .find_map(|endpoint| Some((endpoint, endpoint.breaker.enter(now, rule)?)));
            if let Some((endpoint, pass)) = trial {
                return Some(take(endpoint, pass));
            }
        }
        let well = |endpoint: &&Arc<Endpoint>| endpoint.breaker.is_in() && !endpoint.probed.is_failing();
        let load = |endpoint: &&Arc<Endpoint>| endpoint.load(now, rule);
        let endpoint = in_order()
            .filter(fresh)
            .filter(well)
            .min_by_key(load)
            .or_else(|| in_order().filter(fresh).min_by_key(load))
            .or_else(|| in_order().filter(well).min_by_key(load))
            .or_else(|| in_order().min_by_key(load))?;
        Some(take(endpoint, Pass::plain()))
    }

    /// Says that a request failed. Never more than half of the endpoints are taken out.
    pub fn failed(&self, tried: &EndpointTry, rule: &Rule, error: UpstreamErrorKind) -> Consequence {
        let now = Instant::now();
        let mut none_good = false;
        let guard = self.ejecting.lock();
        let may_eject = || {
            let known = self.known.load();
            let out = known.endpoints.iter().filter(|other| !other.breaker.is_in()).count();
            let allowed = (out + 1) * 2 <= known.endpoints.len();
            none_good = !allowed && known.endpoints.iter().all(|other| other.breaker.is_bad(rule));
            allowed
        };
        let ejected = tried.endpoint.breaker.failed(&tried.pass, now, rule, error, may_eject);
        drop(guard);
        match (ejected, none_good) {
            (true, _) => Consequence::Ejected,
            (false, true) => Consequence::NoneGood,
            (false, false) => Consequence::None,
        }
    }

    /// Whether there is a ready endpoint that is not in `failed`.
    pub fn has_other(ready: &[SocketAddr], failed: &[SocketAddr]) -> bool {
        ready.iter().any(|address| !failed.contains(address))
    }

    /// All endpoints of a list, which becomes the known one.
    pub fn endpoints(&self, ready: &Arc<[SocketAddr]>) -> Vec<Arc<Endpoint>> {
        self.know(ready).endpoints.clone()
    }

    /// Takes all endpoints back in, as when a new configuration no longer takes any out.
    pub fn reset(&self, now: Instant) {
        for endpoint in &self.known.load().endpoints {
            endpoint.breaker.reset(now);
        }
    }

    fn know(&self, ready: &Arc<[SocketAddr]>) -> arc_swap::Guard<Arc<Known>> {
        let known = self.known.load();
        if Arc::ptr_eq(&known.ready, ready) {
            return known;
        }
        self.learn(ready);
        self.known.load()
    }

    /// Takes over a changed list. An endpoint that is still in it keeps its count, its health and its connections.
    fn learn(&self, ready: &Arc<[SocketAddr]>) {
        self.known.rcu(|known| {
            let endpoint = |address: &SocketAddr| {
                known
                    .endpoints
                    .iter()
                    .find(|endpoint| endpoint.address == *address)
                    .map_or_else(|| Arc::new(Endpoint::new(*address, self.tls.clone())), Arc::clone)
            };
            Known {
                ready: Arc::clone(ready),
                endpoints: ready.iter().map(endpoint).collect(),
            }
        });
    }
}

fn take(endpoint: &Arc<Endpoint>, pass: Pass) -> (Outstanding, EndpointTry) {
    endpoint.outstanding.fetch_add(1, Relaxed);
    let tried = EndpointTry {
        endpoint: Arc::clone(endpoint),
        pass,
    };
    let endpoint = Arc::clone(endpoint);
    (Outstanding { endpoint }, tried)
}

#[cfg(test)]
mod tests;

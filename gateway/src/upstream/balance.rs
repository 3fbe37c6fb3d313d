//! The endpoints of a Service: each request goes to the one with the least outstanding, among those that are well, unless
//! it belongs to one that served its like.

use std::net::SocketAddr;
use std::sync::atomic::Ordering::Relaxed;
use std::sync::atomic::{AtomicU16, AtomicU32, AtomicU64};
use std::sync::{Arc, OnceLock};

use arc_swap::ArcSwap;
use parking_lot::Mutex;
use rand::Rng as _;
use tokio::time::Instant;

use super::place::{Place, Tls};
use crate::health::{Breaker, Epoch, Pass, Probed, Rule, Standing, Trouble};
use crate::selection::{Hash64, PrefixTable, Wants, rendezvous};

/// Tokens that a request counts for besides its own, as what it will generate is hard to know before.
const REQUEST_TOKENS: u64 = 512;

/// The endpoints of one Service with what runs at each. Shared by all workers, so that they see each other's requests.
#[derive(Debug, Default)]
pub struct Balancer {
    /// What the endpoints speak.
    tls: Option<Tls>,
    known: ArcSwap<Known>,
    /// Which endpoint served which beginnings; made when the first route wants it.
    prefixes: OnceLock<PrefixTable>,
    next_id: AtomicU16,
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
    tokens: AtomicU64,
    /// Names it in the table of prefixes.
    id: u16,
    /// Names it for sticky requests, in the same way on every gateway pod.
    key: u64,
}

impl Endpoint {
    fn new(address: SocketAddr, tls: Option<Tls>, id: u16) -> Self {
        Self {
            address,
            place: Arc::new(Place::socket(address, tls)),
            breaker: Breaker::new(Instant::now()),
            probed: Probed::default(),
            outstanding: AtomicU32::new(0),
            tokens: AtomicU64::new(0),
            id,
            key: Hash64::of(address.to_string().as_bytes()),
        }
    }

    /// How much there would be to do with a further request: more for one that was taken back in only now.
    ///
    /// Among chats of like length tokens say no more than requests; with long inputs among them they do. `simulation` has
    /// the figures.
    fn load(&self, wants: &Wants, now: Option<Instant>, rule: Option<&Rule>) -> f64 {
        let tokens = self.tokens.load(Relaxed).saturating_add(wants.tokens);
        let requests = u64::from(self.outstanding.load(Relaxed)) + 1;
        let load = tokens.saturating_add(requests * REQUEST_TOKENS) as f64;
        match (now, rule) {
            (Some(now), Some(rule)) if self.breaker.is_slow() => load / self.breaker.share(now, rule),
            _ => load,
        }
    }
}

/// A request at an endpoint, counted as outstanding until this is dropped.
#[derive(Debug)]
pub struct Outstanding {
    endpoint: Arc<Endpoint>,
    tokens: u64,
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
        self.endpoint.tokens.fetch_sub(self.tokens, Relaxed);
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

    /// The endpoint answered. Gives it, and the epoch in which the rest of its answer is to be judged.
    pub fn succeeded(self, rule: &Rule) -> (Arc<Endpoint>, Epoch) {
        let epoch = self.endpoint.breaker.succeeded(&self.pass, Instant::now(), rule);
        (Arc::clone(&self.endpoint), epoch)
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

    /// Takes the endpoint with the least outstanding work among those that are ready and well; of several with the least,
    /// any. A sticky request goes to the endpoint of its number, and one that begins like others to the endpoint that
    /// served them unless that has far more to do than the others. One that was out for long enough gets one request to
    /// show what it can do. Endpoints in `failed`, and those that are out, are taken only if there are no others. `None` without ready endpoints.
    pub fn choose(
        &self,
        ready: &Arc<[SocketAddr]>,
        failed: &[SocketAddr],
        wants: &Wants,
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
                return Some(self.take(endpoint, pass, wants));
            }
        }
        let pass = |endpoint: &Endpoint| endpoint.breaker.pass();
        let well = |endpoint: &&Arc<Endpoint>| endpoint.breaker.is_in() && !endpoint.probed.is_failing();
        let fresh_and_well = || in_order().filter(fresh).filter(well);
        if let Some(affinity) = wants.affinity {
            let score = |endpoint: &Endpoint| rendezvous(affinity, endpoint.key, 1.0);
            let owner = fresh_and_well().max_by(|a, b| score(a).total_cmp(&score(b)));
            if let Some(endpoint) = owner {
                return Some(self.take(endpoint, pass(endpoint), wants));
            }
        }
        if let Some(prefix) = &wants.prefix {
            let table = self.prefixes.get_or_init(PrefixTable::default);
            let most = most_outstanding(&known.endpoints);
            let warm = table
                .pods(prefix)
                .find_map(|id| fresh_and_well().find(|endpoint| endpoint.id == id));
            if let Some(endpoint) = warm.filter(|endpoint| endpoint.outstanding.load(Relaxed) <= most) {
                return Some(self.take(endpoint, pass(endpoint), wants));
            }
        }
        let least =
            |a: &&Arc<Endpoint>, b: &&Arc<Endpoint>| a.load(wants, now, rule).total_cmp(&b.load(wants, now, rule));
        let endpoint = fresh_and_well()
            .min_by(least)
            .or_else(|| in_order().filter(fresh).min_by(least))
            .or_else(|| in_order().filter(well).min_by(least))
            .or_else(|| in_order().min_by(least))?;
        Some(self.take(endpoint, pass(endpoint), wants))
    }

    fn take(&self, endpoint: &Arc<Endpoint>, pass: Pass, wants: &Wants) -> (Outstanding, EndpointTry) {
        endpoint.outstanding.fetch_add(1, Relaxed);
        endpoint.tokens.fetch_add(wants.tokens, Relaxed);
        if let Some(prefix) = &wants.prefix {
            self.prefixes
                .get_or_init(PrefixTable::default)
                .served(prefix, endpoint.id);
        }
        let tried = EndpointTry {
            endpoint: Arc::clone(endpoint),
            pass,
        };
        let endpoint = Arc::clone(endpoint);
        let tokens = wants.tokens;
        (Outstanding { endpoint, tokens }, tried)
    }

    /// Says that a request failed. Never more than half of the endpoints are taken out.
    pub fn failed(&self, tried: &EndpointTry, rule: &Rule, trouble: Trouble<'_>) -> Consequence {
        self.judge(&tried.endpoint, rule, |now, may_eject| {
            tried
                .endpoint
                .breaker
                .failed(&tried.pass, now, rule, trouble, may_eject)
        })
    }

    /// Says that an answer of an endpoint broke off, which had begun in one of its epochs. The same holds.
    pub fn broke_off(&self, endpoint: &Arc<Endpoint>, epoch: Epoch, rule: &Rule, trouble: Trouble<'_>) -> Consequence {
        self.judge(endpoint, rule, |now, may_eject| {
            endpoint.breaker.broke_off(epoch, now, rule, trouble, may_eject)
        })
    }

    /// What follows from a failure of an endpoint; `fail` counts it, asks whether one more may go out, and says whether it now
    /// is.
    fn judge(
        &self,
        endpoint: &Arc<Endpoint>,
        rule: &Rule,
        fail: impl FnOnce(Instant, &mut dyn FnMut() -> bool) -> bool,
    ) -> Consequence {
        let now = Instant::now();
        let mut none_good = false;
        let guard = self.ejecting.lock();
        let mut may_eject = || {
            let known = self.known.load();
            // A pod that has gone gets nothing any more, and its end says nothing about those that are there.
            if !known.endpoints.iter().any(|other| Arc::ptr_eq(other, endpoint)) {
                return false;
            }
            let out = known.endpoints.iter().filter(|other| !other.breaker.is_in()).count();
            let allowed = (out + 1) * 2 <= known.endpoints.len();
            none_good = !allowed && known.endpoints.iter().all(|other| other.breaker.is_bad(now, rule));
            allowed
        };
        let ejected = fail(now, &mut may_eject);
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

    /// From now on all endpoints are judged by another rule, or are asked in another name.
    pub fn judge_anew(&self) {
        for endpoint in &self.known.load().endpoints {
            endpoint.breaker.judge_anew();
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
                    .map_or_else(
                        || {
                            let id = self.next_id.fetch_add(1, Relaxed);
                            Arc::new(Endpoint::new(*address, self.tls.clone(), id))
                        },
                        Arc::clone,
                    )
            };
            Known {
                ready: Arc::clone(ready),
                endpoints: ready.iter().map(endpoint).collect(),
            }
        });
    }
}

/// The requests up to which an endpoint is not taken to be loaded: a quarter more than the mean, and some, as pods work on
/// several at a time.
fn most_outstanding(endpoints: &[Arc<Endpoint>]) -> u32 {
    const SOME: u32 = 4;
    let all: u32 = endpoints
        .iter()
        .map(|endpoint| endpoint.outstanding.load(Relaxed))
        .fold(0, u32::saturating_add);
    let count = u32::try_from(endpoints.len()).unwrap_or(u32::MAX).max(1);
    (all / count).saturating_mul(5) / 4 + SOME
}

#[cfg(test)]
mod simulation;
#[cfg(test)]
mod tests;

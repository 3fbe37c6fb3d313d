//! Which backends of a route a request may go to, and the weighted choice among those with a free place.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::AtomicU64;
use std::sync::atomic::Ordering::Relaxed;

use rand::Rng as _;
use tokio::time::Instant;

use crate::health::{Live, Rule};
use crate::selection::{SelectionMode, Wants, rendezvous};

/// A set of backends by position, the lowest bit for the first.
pub type BackendSet = u64;

/// Backends that a route may have: as many as a [`BackendSet`] holds.
pub const MAX_BACKENDS: usize = 64;

/// Distinguishes the candidates of one compiled route from all others in this process.
static NEXT_ID: AtomicU64 = AtomicU64::new(1);

/// The weighted backends of a route with what is live about their providers.
#[derive(Debug)]
pub struct Candidates {
    pub(super) id: u64,
    backends: Vec<Candidate>,
    /// The backends by distance, the nearest first; empty if all are equally near.
    rings: Vec<BackendSet>,
    mode: SelectionMode,
    fallbacks: bool,
}

/// One backend.
#[derive(Debug, Clone)]
pub struct Candidate {
    /// Its provider.
    pub provider: Arc<Live>,
    /// Its share of the requests.
    pub weight: u32,
    /// When the provider is taken out.
    pub rule: Option<Rule>,
    /// Tells it apart from others in the same way on every gateway pod.
    pub key: u64,
    /// How far away it is: it gets nothing while a nearer one is well and has room.
    pub distance: u32,
}

/// Where a request may go.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Choice {
    /// To this backend, at which it has a place now.
    Backend(usize),
    /// To the route's fallbacks, as no backend is well.
    Fallbacks,
}

impl Candidates {
    /// Candidates in the order of the route's backends. What stands beyond [`MAX_BACKENDS`] is never chosen. `fallbacks`:
    /// the route has some, so that nobody need wait for a backend that is out.
    pub fn new(backends: impl IntoIterator<Item = Candidate>, mode: SelectionMode, fallbacks: bool) -> Self {
        let backends: Vec<Candidate> = backends.into_iter().take(MAX_BACKENDS).collect();
        Self {
            id: NEXT_ID.fetch_add(1, Relaxed),
            rings: rings(&backends),
            backends,
            mode,
            fallbacks,
        }
    }

    /// Those of `among` that are no farther away than the backend `at`.
    pub fn no_farther(&self, at: usize, among: BackendSet) -> BackendSet {
        let Some(ring) = self.rings.iter().position(|ring| ring & (1 << at) != 0) else {
            return among;
        };
        among & self.rings[..=ring].iter().fold(0, |near, ring| near | ring)
    }

    /// Those of `among` from which one is to be chosen: the nearest ones. If all of these were taken back in only now, they
    /// get no more than their share, and the rest goes to those that come after them. What is sticky stays where it belongs.
    fn nearest(&self, among: BackendSet, wants: &Wants) -> BackendSet {
        let mut nearest = None;
        for near in self.rings.iter().map(|ring| ring & among).filter(|near| *near != 0) {
            if wants.affinity.is_some() || self.takes_its_share(near) {
                return near;
            }
            nearest = nearest.or(Some(near));
        }
        // Nobody is left to take the rest.
        nearest.unwrap_or(among)
    }

    /// Whether a request is one of those that backends at one distance should get, by a throw of the dice if it must be.
    fn takes_its_share(&self, near: BackendSet) -> bool {
        let members = || self.members(near).map(|(_, candidate)| candidate);
        // Whatever a backend that came back does not get goes to one beside it that was never away.
        if members().any(|candidate| !candidate.is_slow()) {
            return true;
        }
        let full: u64 = members().map(Candidate::full).sum();
        let now: u64 = members().map(Candidate::pull).sum();
        rand::rng().random_range(0..full.max(1)) < now
    }

    fn members(&self, set: BackendSet) -> impl Iterator<Item = (usize, &Candidate)> {
        self.backends
            .iter()
            .enumerate()
            .filter(move |(n, _)| set & (1 << n) != 0)
    }

    /// The backends that get traffic at all.
    pub fn weighted(&self) -> BackendSet {
        self.set(|candidate| candidate.weight > 0)
    }

    /// Takes a place at one of `among` that is well, chosen as the route says among those that have one. If none is well, the
    /// request may go on to the fallbacks; without fallbacks it is as if all were.
    pub(super) fn choose(&self, among: BackendSet, wants: &Wants) -> Option<Choice> {
        let wanted = match self.well(among) {
            0 if self.fallbacks => return Some(Choice::Fallbacks),
            0 => among,
            well => well,
        };
        let taken = self.take_one(wanted, wants).map(Choice::Backend);
        if taken.is_none() && self.fallbacks && self.open(wanted) == 0 {
            // They take no more in this minute, which may be long; a fallback answers now.
            return Some(Choice::Fallbacks);
        }
        taken
    }

    /// Those of `among` that take more in this minute.
    fn open(&self, among: BackendSet) -> BackendSet {
        let mut now = None;
        self.set(|candidate| {
            let rates = &candidate.provider.rates;
            rates.is_unlimited() || rates.is_open(*now.get_or_insert_with(Instant::now))
        }) & among
    }

    /// Whether time alone may let in somebody who waits, as one of the providers takes only so much in a minute.
    pub(super) fn is_paced(&self) -> bool {
        self.backends
            .iter()
            .any(|candidate| !candidate.provider.rates.is_unlimited())
    }

    /// Takes a place at one of `among`: one that is well if there is one, else any.
    pub(super) fn acquire(&self, among: BackendSet, wants: &Wants) -> Option<usize> {
        match self.well(among) {
            0 => self.take_one(among, wants),
            well => self.take_one(well, wants),
        }
    }

    /// Those of `among` that get traffic and are well.
    fn well(&self, among: BackendSet) -> BackendSet {
        // While nothing has failed, nobody asks for the time.
        let mut now = None;
        self.set(|candidate| {
            let provider = &candidate.provider;
            candidate.weight > 0
                && (provider.is_clear() || provider.is_available(*now.get_or_insert_with(Instant::now)))
        }) & among
    }

    fn take_one(&self, among: BackendSet, wants: &Wants) -> Option<usize> {
        // The common case: one backend, no dice.
        if let [only] = self.backends.as_slice() {
            return (among & 1 == 1 && only.weight > 0 && only.provider.try_acquire(wants.tokens)).then_some(0);
        }
        let room = self.set(|candidate| candidate.weight > 0 && candidate.provider.limit.has_room());
        let mut open = self.open(among & room);
        while open != 0 {
            let chosen = self.pick(self.nearest(open, wants), wants)?;
            if self.backends[chosen].provider.try_acquire(wants.tokens) {
                return Some(chosen);
            }
            // Somebody else took its last place since it was looked at.
            open &= !(1 << chosen);
        }
        None
    }

    /// Releases the place at a backend.
    pub(super) fn release(&self, backend: usize, wants: &Wants) {
        self.backends[backend].provider.release(wants.tokens);
    }

    /// What is live about the provider of a backend.
    pub(super) fn provider(&self, backend: usize) -> &Live {
        &self.backends[backend].provider
    }

    fn set(&self, mut is: impl FnMut(&Candidate) -> bool) -> BackendSet {
        self.backends
            .iter()
            .enumerate()
            .filter(|(_, c)| is(c))
            .fold(0, |set, (n, _)| set | 1 << n)
    }

    fn pick(&self, open: BackendSet, wants: &Wants) -> Option<usize> {
        let members = || self.members(open);
        let best = |score: &dyn Fn(&Candidate) -> f64| {
            let scored = members().map(|(n, candidate)| (n, score(candidate)));
            scored.min_by(|a, b| a.1.total_cmp(&b.1)).map(|(n, _)| n)
        };
        if let Some(affinity) = wants.affinity {
            return best(&|candidate| -rendezvous(affinity, candidate.key, f64::from(candidate.weight)));
        }
        match self.mode {
            SelectionMode::Weighted => self.draw(open),
            SelectionMode::LeastOutstandingTokens => best(&|candidate| {
                let after = candidate.provider.load.tokens().saturating_add(wants.tokens.max(1));
                after as f64 / candidate.pull() as f64
            }),
            SelectionMode::LeastLatency => {
                let first = self.draw(open)?;
                let Some(second) = self.draw(open & !(1 << first)) else {
                    return Some(first);
                };
                let now = Instant::now();
                let expected = |n: usize| self.backends[n].provider.load.expected(wants.stream, now);
                Some(if expected(second) < expected(first) {
                    second
                } else {
                    first
                })
            }
        }
    }

    /// One of them by weight.
    fn draw(&self, open: BackendSet) -> Option<usize> {
        let members = || self.members(open);
        let total: u64 = members().map(|(_, candidate)| candidate.pull()).sum();
        if total == 0 {
            return None;
        }
        let mut point = rand::rng().random_range(0..total);
        members().find_map(|(n, candidate)| match point.checked_sub(candidate.pull()) {
            Some(rest) => {
                point = rest;
                None
            }
            None => Some(n),
        })
    }
}

/// The backends by distance; none if all are equally near.
fn rings(backends: &[Candidate]) -> Vec<BackendSet> {
    let mut rings: BTreeMap<u32, BackendSet> = BTreeMap::new();
    for (n, backend) in backends.iter().enumerate() {
        *rings.entry(backend.distance).or_default() |= 1 << n;
    }
    if rings.len() > 1 {
        rings.into_values().collect()
    } else {
        Vec::new()
    }
}

impl Candidate {
    /// The weight in thousandths.
    fn full(&self) -> u64 {
        u64::from(self.weight) * 1000
    }

    /// Whether the provider was taken back in and may still get less than its share.
    fn is_slow(&self) -> bool {
        self.rule.is_some() && self.provider.breaker.is_slow()
    }

    /// The weight in thousandths: less of it for a provider that was taken back in only now, and never nothing.
    #[allow(clippy::cast_possible_truncation, clippy::cast_sign_loss)] // a share lies between 0 and 1
    fn pull(&self) -> u64 {
        match &self.rule {
            Some(rule) if self.provider.breaker.is_slow() => {
                let share = self.provider.breaker.share(Instant::now(), rule);
                ((self.full() as f64 * share) as u64).max(1)
            }
            _ => self.full(),
        }
    }
}

#[cfg(test)]
mod tests;

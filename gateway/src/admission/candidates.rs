//! Which backends of a route a request may go to, and the weighted choice among those with a free place.

use std::sync::Arc;
use std::sync::atomic::AtomicU64;
use std::sync::atomic::Ordering::Relaxed;

use rand::Rng as _;
use tokio::time::Instant;

use crate::health::{Live, Rule};

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
    pub fn new(backends: impl IntoIterator<Item = Candidate>, fallbacks: bool) -> Self {
        Self {
            id: NEXT_ID.fetch_add(1, Relaxed),
            backends: backends.into_iter().take(MAX_BACKENDS).collect(),
            fallbacks,
        }
    }

    /// The backends that get traffic at all.
    pub fn weighted(&self) -> BackendSet {
        self.set(|candidate| candidate.weight > 0)
    }

    /// Takes a place at one of `among` that is well, chosen by weight among those that have one. If none is well, the
    /// request may go on to the fallbacks; without fallbacks it is as if all were.
    pub(super) fn choose(&self, among: BackendSet) -> Option<Choice> {
        let wanted = match self.well(among) {
            0 if self.fallbacks => return Some(Choice::Fallbacks),
            0 => among,
            well => well,
        };
        self.take_one(wanted).map(Choice::Backend)
    }

    /// Takes a place at one of `among`: one that is well if there is one, else any.
    pub(super) fn acquire(&self, among: BackendSet) -> Option<usize> {
        match self.well(among) {
            0 => self.take_one(among),
            well => self.take_one(well),
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

    fn take_one(&self, among: BackendSet) -> Option<usize> {
        // The common case: one backend, no dice.
        if let [only] = self.backends.as_slice() {
            return (among & 1 == 1 && only.weight > 0 && only.provider.limit.try_acquire()).then_some(0);
        }
        let mut open = among & self.set(|candidate| candidate.weight > 0 && candidate.provider.limit.has_room());
        while open != 0 {
            let chosen = self.pick(open)?;
            if self.backends[chosen].provider.limit.try_acquire() {
                return Some(chosen);
            }
            // Somebody else took its last place since it was looked at.
            open &= !(1 << chosen);
        }
        None
    }

    /// Releases the place at a backend.
    pub(super) fn release(&self, backend: usize) {
        self.backends[backend].provider.limit.release();
    }

    fn set(&self, mut is: impl FnMut(&Candidate) -> bool) -> BackendSet {
        self.backends
            .iter()
            .enumerate()
            .filter(|(_, c)| is(c))
            .fold(0, |set, (n, _)| set | 1 << n)
    }

    fn pick(&self, open: BackendSet) -> Option<usize> {
        let members = || self.backends.iter().enumerate().filter(|(n, _)| open & (1 << n) != 0);
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

impl Candidate {
    /// The weight in thousandths: less of it for a provider that was taken back in only now, and never nothing.
    #[allow(clippy::cast_possible_truncation, clippy::cast_sign_loss)] // a share lies between 0 and 1
    fn pull(&self) -> u64 {
        let full = u64::from(self.weight) * 1000;
        match &self.rule {
            Some(rule) if self.provider.breaker.is_slow() => {
                let share = self.provider.breaker.share(Instant::now(), rule);
                ((full as f64 * share) as u64).max(1)
            }
            _ => full,
        }
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;
    use crate::meter::UpstreamErrorKind;

    const RULE: Rule = Rule {
        consecutive_errors: 1,
        eject_for: Duration::from_mins(1),
    };

    fn candidates(weights: &[(u32, Option<u32>)]) -> Candidates {
        with_fallbacks(weights, false)
    }

    fn with_fallbacks(weights: &[(u32, Option<u32>)], fallbacks: bool) -> Candidates {
        let candidate = |(weight, max): &(u32, Option<u32>)| Candidate {
            provider: Arc::new(Live::new(*max)),
            weight: *weight,
            rule: Some(RULE),
        };
        Candidates::new(weights.iter().map(candidate), fallbacks)
    }

    fn take_out(candidates: &Candidates, at: usize) {
        let breaker = &candidates.backends[at].provider.breaker;
        breaker.trip(Instant::now(), &RULE, UpstreamErrorKind::Connect);
    }

    #[test]
    fn a_backend_that_is_out_gets_nothing_while_another_is_well() {
        let candidates = candidates(&[(1_000_000, None), (1, Some(1))]);
        take_out(&candidates, 0);
        assert_eq!(candidates.choose(3), Some(Choice::Backend(1)));
        assert_eq!(candidates.choose(3), None, "a full one that is well is waited for");
        assert_eq!(
            candidates.choose(1),
            Some(Choice::Backend(0)),
            "there is nothing better"
        );
    }

    #[test]
    fn with_fallbacks_nobody_waits_for_backends_that_are_out() {
        let candidates = with_fallbacks(&[(1, None), (1, None)], true);
        take_out(&candidates, 0);
        assert_eq!(candidates.choose(3), Some(Choice::Backend(1)));
        take_out(&candidates, 1);
        assert_eq!(candidates.choose(3), Some(Choice::Fallbacks));
        assert!(candidates.acquire(3).is_some());
    }

    #[test]
    fn a_backend_that_came_back_begins_with_a_tenth_of_its_share() {
        let candidates = candidates(&[(1, None), (1, None)]);
        take_out(&candidates, 0);
        candidates.backends[0].provider.breaker.succeeded(Instant::now());
        let first = (0..11_000).filter(|_| candidates.acquire(3) == Some(0)).count();
        // A tenth to one is an eleventh; five standard deviations are 150, and the share has grown a little meanwhile.
        assert!((850..=1250).contains(&first), "{first}");
    }

    #[test]
    fn backends_are_chosen_in_proportion_to_their_weights() {
        let candidates = candidates(&[(90, None), (10, None), (0, None)]);
        let mut counts = [0_u32; 3];
        for _ in 0..10_000 {
            counts[candidates.acquire(u64::MAX).unwrap()] += 1;
        }
        // Five standard deviations of a binomial with n = 10,000 and p = 0.1 are 150.
        assert!((850..=1150).contains(&counts[1]), "{counts:?}");
        assert_eq!(counts[2], 0);
    }

    #[test]
    fn a_full_backend_is_passed_over_and_none_free_gives_none() {
        let candidates = candidates(&[(1_000_000, Some(1)), (1, Some(1))]);
        let mut got = [candidates.acquire(3).unwrap(), candidates.acquire(3).unwrap()];
        got.sort_unstable();
        assert_eq!(got, [0, 1]);
        assert_eq!(candidates.acquire(3), None);
        candidates.release(1);
        assert_eq!(candidates.acquire(1), None, "the free one is not among those asked for");
        assert_eq!(candidates.acquire(3), Some(1));
    }
}

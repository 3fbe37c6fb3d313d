//! Which backends of a route a request may go to, and the weighted choice among those with a free place.

use std::sync::Arc;
use std::sync::atomic::AtomicU64;
use std::sync::atomic::Ordering::Relaxed;

use rand::Rng as _;

use super::limit::Limit;

/// A set of backends by position, the lowest bit for the first.
pub type BackendSet = u64;

/// Backends that a route may have: as many as a [`BackendSet`] holds.
pub const MAX_BACKENDS: usize = 64;

/// Distinguishes the candidates of one compiled route from all others in this process.
static NEXT_ID: AtomicU64 = AtomicU64::new(1);

/// The weighted backends of a route with the limits of their providers.
#[derive(Debug)]
pub struct Candidates {
    pub(super) id: u64,
    backends: Vec<Candidate>,
}

#[derive(Debug)]
struct Candidate {
    provider: Arc<Limit>,
    weight: u32,
}

impl Candidates {
    /// Candidates in the order of the route's backends: the provider's limit and the weight of each. What stands beyond
    /// [`MAX_BACKENDS`] is never chosen.
    pub fn new(backends: impl IntoIterator<Item = (Arc<Limit>, u32)>) -> Self {
        let backends = backends
            .into_iter()
            .map(|(provider, weight)| Candidate { provider, weight });
        Self {
            id: NEXT_ID.fetch_add(1, Relaxed),
            backends: backends.take(MAX_BACKENDS).collect(),
        }
    }

    /// The backends that get traffic at all.
    pub fn weighted(&self) -> BackendSet {
        self.set(|candidate| candidate.weight > 0)
    }

    /// Takes a place at one of `among`, chosen by weight among those that have one.
    pub(super) fn acquire(&self, among: BackendSet) -> Option<usize> {
        // The common case: one backend, no dice.
        if let [only] = self.backends.as_slice() {
            return (among & 1 == 1 && only.weight > 0 && only.provider.try_acquire()).then_some(0);
        }
        let mut open = among & self.set(|candidate| candidate.weight > 0 && candidate.provider.has_room());
        while open != 0 {
            let chosen = self.pick(open)?;
            if self.backends[chosen].provider.try_acquire() {
                return Some(chosen);
            }
            // Somebody else took its last place since it was looked at.
            open &= !(1 << chosen);
        }
        None
    }

    /// Releases the place at a backend.
    pub(super) fn release(&self, backend: usize) {
        self.backends[backend].provider.release();
    }

    fn set(&self, is: impl Fn(&Candidate) -> bool) -> BackendSet {
        self.backends
            .iter()
            .enumerate()
            .filter(|(_, c)| is(c))
            .fold(0, |set, (n, _)| set | 1 << n)
    }

    fn pick(&self, open: BackendSet) -> Option<usize> {
        let members = || self.backends.iter().enumerate().filter(|(n, _)| open & (1 << n) != 0);
        let total: u64 = members().map(|(_, c)| u64::from(c.weight)).sum();
        if total == 0 {
            return None;
        }
        let mut point = rand::rng().random_range(0..total);
        members().find_map(|(n, candidate)| match point.checked_sub(u64::from(candidate.weight)) {
            Some(rest) => {
                point = rest;
                None
            }
            None => Some(n),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn candidates(weights: &[(u32, Option<u32>)]) -> Candidates {
        Candidates::new(
            weights
                .iter()
                .map(|(weight, max)| (Arc::new(Limit::new(*max)), *weight)),
        )
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

//! How much a route may retry: a share of its traffic, so that retries do not bring down a provider that struggles.

use std::sync::atomic::Ordering::Relaxed;
use std::sync::atomic::{AtomicU64, AtomicUsize};
use std::time::Duration;

use tokio::time::Instant;

/// First tries that pay for one retry: at most 20% of extra load.
const FIRST_TRIES: usize = 5;
/// Retries that can be saved up. More would let a long quiet time end in a storm.
const SAVED: usize = 100;
/// One retry in this time is free, so that a quiet route can retry too.
const FREE_EVERY: Duration = Duration::from_secs(1);
/// Free retries that can be saved up.
const FREE_SAVED: u32 = 10;

/// The retries that a route has left. Shared by all workers; each operation is one or two atomic ones.
#[derive(Debug)]
pub struct RetryBudget {
    base: Instant,
    /// In first tries; a retry costs [`FIRST_TRIES`].
    saved: AtomicUsize,
    /// When all free retries will have come back, in milliseconds since `base`.
    free_full_at: AtomicU64,
    refused: AtomicU64,
}

impl RetryBudget {
    /// The budget of a route that was never used: its free retries.
    pub fn new(now: Instant) -> Self {
        Self {
            base: now,
            saved: AtomicUsize::new(0),
            free_full_at: AtomicU64::new(0),
            refused: AtomicU64::new(0),
        }
    }

    /// A request is sent for the first time.
    pub fn first_try(&self) {
        // Several workers may pass the bound by one each; that is no matter.
        if self.saved.load(Relaxed) < SAVED * FIRST_TRIES {
            self.saved.fetch_add(1, Relaxed);
        }
    }

    /// Takes one retry out; false if there is none left.
    pub fn spend(&self, now: Instant) -> bool {
        let paid = self
            .saved
            .fetch_update(Relaxed, Relaxed, |saved| saved.checked_sub(FIRST_TRIES))
            .is_ok();
        let spent = paid || self.spend_free(now);
        if !spent {
            self.refused.fetch_add(1, Relaxed);
        }
        spent
    }

    /// Gives back a retry that was taken out and not used.
    pub fn refund(&self) {
        self.saved.fetch_add(FIRST_TRIES, Relaxed);
    }

    /// Retries that were refused for want of budget, since the start.
    pub fn refused(&self) -> u64 {
        self.refused.load(Relaxed)
    }

    fn spend_free(&self, now: Instant) -> bool {
        let now = millis(now.saturating_duration_since(self.base));
        let all = millis(FREE_EVERY * FREE_SAVED);
        self.free_full_at
            .fetch_update(Relaxed, Relaxed, |full_at| {
                let next = full_at.max(now) + millis(FREE_EVERY);
                (next <= now + all).then_some(next)
            })
            .is_ok()
    }
}

fn millis(duration: Duration) -> u64 {
    u64::try_from(duration.as_millis()).unwrap_or(u64::MAX / 2)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn spent(budget: &RetryBudget, now: Instant, wanted: usize) -> usize {
        (0..wanted).filter(|_| budget.spend(now)).count()
    }

    #[test]
    fn a_quiet_route_has_some_retries_and_they_come_back_with_time() {
        let start = Instant::now();
        let budget = RetryBudget::new(start);
        assert_eq!(spent(&budget, start, 100), 10);
        assert_eq!(budget.refused(), 90);
        assert_eq!(spent(&budget, start + Duration::from_millis(999), 100), 0);
        assert_eq!(spent(&budget, start + Duration::from_millis(3_500), 100), 3);
        assert_eq!(spent(&budget, start + Duration::from_hours(1), 100), 10);
    }

    #[test]
    fn retries_stay_within_a_fifth_of_the_first_tries_however_many_fail() {
        let start = Instant::now();
        let budget = RetryBudget::new(start);
        spent(&budget, start, 10);
        let mut retries = 0;
        for _ in 0..10_000 {
            budget.first_try();
            // Every request fails, and every retry of it.
            retries += spent(&budget, start, 2);
        }
        assert_eq!(retries, 2_000);
    }

    #[test]
    fn what_is_saved_up_is_bounded_and_what_was_not_used_comes_back() {
        let start = Instant::now();
        let budget = RetryBudget::new(start);
        (0..1_000_000).for_each(|_| budget.first_try());
        assert_eq!(spent(&budget, start, 1_000), 110);
        budget.refund();
        assert_eq!(spent(&budget, start, 1_000), 1);
    }
}

//! Leaves a store alone that does not answer, so that no request waits on it.

use std::sync::atomic::{AtomicU32, AtomicU64, Ordering};

/// How many failures in a row open it: one or two happen with every restart and failover.
const FAILURES: u32 = 3;

/// For how long the store is left alone, in milliseconds. Then one operation tries again.
const REST: u64 = 500;

/// Opens after [`FAILURES`] in a row and lets one operation through every [`REST`].
#[derive(Debug, Default)]
pub(super) struct Breaker {
    failures: AtomicU32,
    /// Until when nothing is let through, in milliseconds of the steady clock.
    until: AtomicU64,
}

impl Breaker {
    /// Whether an operation may try at `now`. While it is open that is one in each rest.
    pub(super) fn lets_through(&self, now: u64) -> bool {
        if self.failures.load(Ordering::Acquire) < FAILURES {
            return true;
        }
        let until = self.until.load(Ordering::Acquire);
        until <= now
            && self
                .until
                .compare_exchange(until, now + REST, Ordering::AcqRel, Ordering::Acquire)
                .is_ok()
    }

    pub(super) fn succeeded(&self) {
        self.failures.store(0, Ordering::Release);
    }

    pub(super) fn failed(&self, now: u64) {
        self.until.fetch_max(now + REST, Ordering::AcqRel);
        let _ = self
            .failures
            .fetch_update(Ordering::AcqRel, Ordering::Acquire, |failures| failures.checked_add(1));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_opens_after_three_failures_lets_one_try_and_closes_when_that_succeeds() {
        let breaker = Breaker::default();
        for now in [1, 2, 3] {
            assert!(breaker.lets_through(now));
            breaker.failed(now);
        }
        assert!(!breaker.lets_through(4));
        assert!(breaker.lets_through(3 + REST));
        assert!(!breaker.lets_through(3 + REST));
        breaker.failed(3 + REST);
        assert!(!breaker.lets_through(2 + 2 * REST));
        assert!(breaker.lets_through(3 + 2 * REST));
        breaker.succeeded();
        assert!(breaker.lets_through(4 + 2 * REST));
    }
}

//! A counter with an upper bound that can move while it is in use.

use std::sync::atomic::AtomicU32;
use std::sync::atomic::Ordering::SeqCst;

/// At most so many at a time.
///
/// All operations are sequentially consistent: the waiting room relies on one total order between "a place became free"
/// and "somebody waits" (see [`super::Admission`]).
#[derive(Debug)]
pub struct Limit {
    used: AtomicU32,
    max: AtomicU32,
}

impl Limit {
    /// A limit; `None` never refuses.
    pub fn new(max: Option<u32>) -> Self {
        Self {
            used: AtomicU32::new(0),
            max: AtomicU32::new(max.unwrap_or(u32::MAX)),
        }
    }

    /// Moves the bound. What is above a lowered bound runs on; nothing new starts until it is below.
    pub fn set_max(&self, max: Option<u32>) {
        self.max.store(max.unwrap_or(u32::MAX), SeqCst);
    }

    /// How many are at it.
    pub fn used(&self) -> u32 {
        self.used.load(SeqCst)
    }

    /// Whether one more would be let in at this moment.
    pub fn has_room(&self) -> bool {
        self.used() < self.max.load(SeqCst)
    }

    /// Takes a place if one is free. Each success wants one [`Limit::release`].
    pub(crate) fn try_acquire(&self) -> bool {
        let mut used = self.used();
        while used < self.max.load(SeqCst) {
            match self.used.compare_exchange_weak(used, used + 1, SeqCst, SeqCst) {
                Ok(_) => return true,
                Err(now) => used = now,
            }
        }
        false
    }

    pub(crate) fn release(&self) {
        self.used.fetch_sub(1, SeqCst);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn places_are_given_up_to_the_bound_and_again_after_release() {
        let limit = Limit::new(Some(2));
        assert!(limit.try_acquire() && limit.try_acquire());
        assert!(!limit.try_acquire());
        limit.release();
        assert!(limit.try_acquire());
    }

    #[test]
    fn a_lowered_bound_lets_nobody_in_until_enough_have_left() {
        let limit = Limit::new(None);
        assert!((0..3).all(|_| limit.try_acquire()));
        limit.set_max(Some(1));
        limit.release();
        limit.release();
        assert!(!limit.try_acquire());
        limit.release();
        assert!(limit.try_acquire());
    }
}

//! Where something stands and in which epoch, in one word.

use std::sync::atomic::AtomicU64;
use std::sync::atomic::Ordering::{AcqRel, Acquire};

/// Bits of a moment; those above count epochs. Enough milliseconds for 34 years.
const MOMENT_BITS: u32 = 40;
/// The last moment that fits.
pub(super) const LAST_MOMENT: u64 = (1 << MOMENT_BITS) - 1;

/// A stretch of time in which something stood as it did and was judged by one rule. What began in another one says nothing.
///
/// They are counted in 24 bits: an outcome would have to wait for sixteen million others to be taken for one of its own.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Epoch(u64);

impl Epoch {
    /// The one after it.
    pub(super) fn next(self) -> Self {
        Self(self.0.wrapping_add(1) & (u64::MAX >> MOMENT_BITS))
    }
}

/// Where something stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Phase {
    pub(super) epoch: Epoch,
    /// Out until then; 0: in. Once it has passed, whoever moves it on holds the trial.
    pub(super) out_until: u64,
}

impl Phase {
    pub(super) fn is_in(self) -> bool {
        self.out_until == 0
    }

    fn word(self) -> u64 {
        self.epoch.0 << MOMENT_BITS | self.out_until.min(LAST_MOMENT)
    }

    fn of(word: u64) -> Self {
        Self {
            epoch: Epoch(word >> MOMENT_BITS),
            out_until: word & LAST_MOMENT,
        }
    }
}

/// A phase that many threads read and change. An outcome of an epoch that is over can change nothing, however the threads
/// interleave, as the epoch is compared in the same step in which the phase is changed.
///
/// Whoever sees a phase sees what was written before it was entered.
#[derive(Debug, Default)]
pub(super) struct PhaseCell(AtomicU64);

impl PhaseCell {
    pub(super) fn load(&self) -> Phase {
        Phase::of(self.0.load(Acquire))
    }

    /// Changes it if it is still `from`.
    pub(super) fn change(&self, from: Phase, to: Phase) -> bool {
        self.0.compare_exchange(from.word(), to.word(), AcqRel, Acquire).is_ok()
    }

    /// Changes it to what `next` makes of it, unless that is nothing; says what it was if it was changed.
    pub(super) fn update(&self, mut next: impl FnMut(Phase) -> Option<Phase>) -> Option<Phase> {
        let word = |word| Some(next(Phase::of(word))?.word());
        self.0.fetch_update(AcqRel, Acquire, word).ok().map(Phase::of)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn epochs_and_moments_do_not_touch_each_other() {
        let cell = PhaseCell::default();
        assert_eq!((cell.load().epoch, cell.load().is_in()), (Epoch(0), true));
        let last = Phase {
            epoch: Epoch((1 << 24) - 1),
            out_until: u64::MAX,
        };
        cell.update(|_| Some(last));
        let found = cell.load();
        assert_eq!((found.epoch, found.out_until), (last.epoch, LAST_MOMENT));
        assert_eq!(found.epoch.next(), Epoch(0));
        let sooner = Phase { out_until: 7, ..last };
        assert!(cell.change(last, sooner) && cell.load() == sooner);
        let other = Phase {
            epoch: Epoch(1),
            ..sooner
        };
        assert!(!cell.change(other, last) && cell.load() == sooner);
    }
}

//! When to ask next.

use std::time::Duration;

/// A pod sees a change after some milliseconds; asking earlier only finds the old answer.
const FIRST: Duration = Duration::from_millis(15);
/// Most that a change waits to be confirmed while pods lag.
const MOST: Duration = Duration::from_secs(2);
/// Between two looks while everything is live: finds pods that lost or refused a configuration on their own.
const SETTLED: Duration = Duration::from_secs(10);

/// The pauses between rounds of questions after one change.
#[derive(Debug, Clone, Copy, Default)]
pub struct Schedule {
    rounds: u32,
}

impl Schedule {
    /// The pause before the next round, given whether the last one found everything live.
    pub fn next(&mut self, settled: bool) -> Duration {
        if settled {
            return SETTLED;
        }
        let pause = FIRST.saturating_mul(1 << self.rounds.min(10)).min(MOST);
        self.rounds = self.rounds.saturating_add(1);
        pause
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn questions_come_fast_after_a_change_and_slowly_once_all_is_live() {
        let mut schedule = Schedule::default();
        let waits: Vec<u128> = (0..9).map(|_| schedule.next(false).as_millis()).collect();
        assert_eq!(waits, [15, 30, 60, 120, 240, 480, 960, 1920, 2000]);
        // Half a second after a change there were five rounds.
        assert!(waits[..5].iter().sum::<u128>() < 500);
        assert_eq!(schedule.next(true), SETTLED);
    }
}

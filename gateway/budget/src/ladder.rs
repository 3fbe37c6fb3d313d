//! The ladder: what happens as a budget is used up.

use tokenweir_config::money::NanoUsd;

use crate::amount::Amount;
use crate::escrow::Standing;

/// What happens at a rung. Each includes those before it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Action {
    /// Somebody is told.
    Notify,
    /// Requests go to the route's cheaper model.
    Downgrade,
    /// Only what costs nothing is served.
    FreeOnly,
    /// Nothing is served.
    Block,
}

impl Action {
    /// The name in headers, events and labels.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Notify => "notify",
            Self::Downgrade => "downgrade",
            Self::FreeOnly => "free-only",
            Self::Block => "block",
        }
    }
}

/// When a rung is reached. Reached means at the figure itself, not after it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Threshold {
    /// This part of the ceiling is used, in thousandths of a percent.
    Used(u32),
    /// This much, or less, is left.
    Remaining(Amount),
}

/// One rung.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Rung {
    /// When.
    pub at: Threshold,
    /// What.
    pub action: Action,
}

/// What a budget's state is called.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Phase {
    /// No rung is reached.
    Ok,
    /// Somebody was told.
    Warning,
    /// Requests are served by less than they asked for.
    Critical,
    /// Nothing is served, or nothing is left.
    Exhausted,
}

/// The rungs of a limit, in any order.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Ladder(Vec<Rung>);

/// Thousandths of a percent.
const PERCENT: u32 = 1_000;

impl Ladder {
    /// A ladder of these rungs.
    pub fn new(rungs: impl IntoIterator<Item = Rung>) -> Self {
        Self(rungs.into_iter().collect())
    }

    /// What limits of money have unless they say otherwise: notify at 80% and at $1.00 left, downgrade at 90%, only what is free
    /// at $0.20 left, block at $0.10 left.
    pub fn for_money() -> Self {
        let left = |nanos, action| Rung {
            at: Threshold::Remaining(NanoUsd::new(nanos).into()),
            action,
        };
        let mut ladder = Self::for_tokens();
        ladder.0.extend([
            left(1_000_000_000, Action::Notify),
            left(200_000_000, Action::FreeOnly),
            left(100_000_000, Action::Block),
        ]);
        ladder
    }

    /// What limits of tokens have unless they say otherwise: notify at 80%, downgrade at 90%. They block when nothing is left,
    /// as every limit does.
    pub fn for_tokens() -> Self {
        let used = |percent, action| Rung {
            at: Threshold::Used(percent * PERCENT),
            action,
        };
        Self(vec![used(80, Action::Notify), used(90, Action::Downgrade)])
    }

    /// The highest rung that is reached. Leases that last do not count as used: they come back, and a downgrade must not fire
    /// early.
    pub fn action(&self, standing: &Standing) -> Option<Action> {
        let used = u128::from(standing.charged().get());
        let ceiling = u128::from(standing.ceiling.get());
        let reached = |at: Threshold| match at {
            Threshold::Used(part) => used * 100 * u128::from(PERCENT) >= ceiling * u128::from(part),
            Threshold::Remaining(left) => standing.remaining() <= left,
        };
        let rungs = self.0.iter().filter(|rung| reached(rung.at));
        let highest = rungs.map(|rung| rung.action).max();
        if standing.remaining().is_zero() {
            return Some(Action::Block);
        }
        highest
    }

    /// What the state is called.
    pub fn phase(&self, standing: &Standing) -> Phase {
        match self.action(standing) {
            None => Phase::Ok,
            Some(Action::Notify) => Phase::Warning,
            Some(Action::Downgrade | Action::FreeOnly) => Phase::Critical,
            Some(Action::Block) => Phase::Exhausted,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn standing(ceiling: u64, spent: u64) -> Standing {
        Standing {
            ceiling: Amount::new(ceiling),
            spent: Amount::new(spent),
            ..Standing::default()
        }
    }

    const DOLLAR: u64 = 1_000_000_000;

    #[test]
    fn a_rung_is_reached_at_its_figure_and_not_before() {
        let ladder = Ladder::for_money();
        let at = |spent| ladder.action(&standing(100 * DOLLAR, spent));
        assert_eq!(at(80 * DOLLAR - 1), None);
        assert_eq!(at(80 * DOLLAR), Some(Action::Notify));
        assert_eq!(at(90 * DOLLAR - 1), Some(Action::Notify));
        assert_eq!(at(90 * DOLLAR), Some(Action::Downgrade));
        assert_eq!(at(99_800_000_000 - 1), Some(Action::Downgrade));
        assert_eq!(at(99_800_000_000), Some(Action::FreeOnly));
        assert_eq!(at(99_900_000_000 - 1), Some(Action::FreeOnly));
        assert_eq!(at(99_900_000_000), Some(Action::Block));
    }

    #[test]
    fn the_last_dollar_is_told_also_where_it_is_all_there_is() {
        let ladder = Ladder::for_money();
        assert_eq!(ladder.action(&standing(DOLLAR, 0)), Some(Action::Notify));
        assert_eq!(ladder.action(&standing(2 * DOLLAR, DOLLAR - 1)), None);
        assert_eq!(ladder.phase(&standing(DOLLAR, DOLLAR / 10 * 8)), Phase::Critical);
    }

    #[test]
    fn what_is_in_doubt_counts_as_used_and_what_is_leased_does_not() {
        let ladder = Ladder::for_tokens();
        let mut leased = standing(100, 70);
        leased.leased = Amount::new(30);
        assert_eq!(ladder.phase(&leased), Phase::Ok);
        leased.in_doubt = Amount::new(5);
        leased.presumed = Amount::new(5);
        assert_eq!(ladder.phase(&leased), Phase::Warning);
    }

    #[test]
    fn a_budget_of_nothing_is_exhausted() {
        assert_eq!(Ladder::new([]).phase(&standing(0, 0)), Phase::Exhausted);
        assert_eq!(
            Ladder::for_tokens().phase(&standing(u64::MAX, u64::MAX)),
            Phase::Exhausted
        );
    }
}

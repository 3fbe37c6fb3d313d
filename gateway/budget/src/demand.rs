//! What a request may cost at worst, and how much of an answer the remainder buys.

use tokenweir_config::money::Rate;

use crate::amount::Amount;

const MILLION: u128 = 1_000_000;

/// The worst case of a request in the unit of one limit, as a line: what is certain, and so much for each token of the answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Demand {
    /// What the request costs without an answer: its input at the dearest price that may apply, fees per request, and
    /// everything else that does not grow with the answer.
    pub fixed: Amount,
    /// What a million tokens of the answer cost, at the dearest price that may apply.
    pub per_million: u64,
}

impl Demand {
    /// A demand of money.
    pub const fn of_money(fixed: Amount, output: Rate) -> Self {
        Self {
            fixed,
            per_million: output.nanos_per_million(),
        }
    }

    /// A demand of tokens: those of the input, and one for each of the answer.
    pub const fn of_tokens(input: u64) -> Self {
        Self {
            fixed: Amount::new(input),
            per_million: 1_000_000,
        }
    }

    /// The most that an answer of `output` tokens may cost, rounded up.
    pub fn worst(self, output: u64) -> Amount {
        let cost = (u128::from(output) * u128::from(self.per_million)).div_ceil(MILLION);
        self.fixed.plus(Amount::new(u64::try_from(cost).unwrap_or(u64::MAX)))
    }

    /// The longest answer of which the worst case fits into `room`; `None` where not even the request itself does.
    pub fn affords(self, room: Amount) -> Option<u64> {
        let rest = room.get().checked_sub(self.fixed.get())?;
        if self.per_million == 0 {
            return Some(u64::MAX);
        }
        let tokens = u128::from(rest) * MILLION / u128::from(self.per_million);
        Some(u64::try_from(tokens).unwrap_or(u64::MAX))
    }
}

/// How long an answer a request wants.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Allocation {
    /// Tokens below which an answer is of no use.
    pub minimum: u64,
    /// Tokens above which nothing is asked for: the request's `max_tokens`, or the model's limit.
    pub optimal: u64,
}

impl Allocation {
    /// The longest answer that every limit affords, out of pairs of demand and room; `None` where that is less than the minimum.
    pub fn clamp(self, limits: impl IntoIterator<Item = (Demand, Amount)>) -> Option<u64> {
        let mut tokens = self.optimal;
        for (demand, room) in limits {
            tokens = tokens.min(demand.affords(room)?);
        }
        (tokens >= self.minimum.min(self.optimal)).then_some(tokens)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn an_answer_is_clamped_to_what_the_poorest_limit_buys() {
        let money = Demand::of_money(Amount::new(1_000), Rate::new(2_000_000_000));
        let tokens = Demand::of_tokens(100);
        let wish = Allocation {
            minimum: 10,
            optimal: 500,
        };
        let clamp = |nanos, left| wish.clamp([(money, Amount::new(nanos)), (tokens, Amount::new(left))]);
        assert_eq!(clamp(2_000_000, 10_000), Some(500));
        assert_eq!(clamp(1_000 + 2_000 * 70 + 1_999, 10_000), Some(70));
        assert_eq!(clamp(2_000_000, 130), Some(30));
        assert_eq!(clamp(2_000_000, 109), None);
        assert_eq!(clamp(999, 10_000), None);
    }

    #[test]
    fn what_costs_nothing_needs_no_room() {
        let free = Demand::of_money(Amount::ZERO, Rate::new(0));
        assert_eq!(free.affords(Amount::ZERO), Some(u64::MAX));
        assert_eq!(free.worst(u64::MAX), Amount::ZERO);
    }

    proptest! {
        #[test]
        fn the_longest_answer_fits_and_one_token_more_does_not(
            fixed in 0_u64..1_000_000_000_000,
            per_million in 1_u64..1_000_000_000_000_000,
            room in 0_u64..1_000_000_000_000,
        ) {
            let demand = Demand { fixed: Amount::new(fixed), per_million };
            let room = Amount::new(room);
            match demand.affords(room) {
                None => prop_assert!(demand.worst(0) > room),
                Some(tokens) => {
                    prop_assert!(demand.worst(tokens) <= room);
                    prop_assert!(demand.worst(tokens + 1) > room);
                }
            }
        }
    }
}

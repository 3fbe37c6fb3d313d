//! What budgets count: nano-USD or tokens.

use serde::{Deserialize, Serialize};
use tokenweir_config::money::NanoUsd;

/// The largest amount that is accepted from outside, 10^18: a billion USD, or a quintillion tokens.
///
/// Sums of a few of them stay below `u64::MAX`, and sums of more saturate.
pub const MAX_AMOUNT: u64 = 1_000_000_000_000_000_000;

/// How much one half of the written form holds.
const SPLIT: u64 = 1_000_000_000;

/// A quantity of one unit, nano-USD or tokens; which one is said by the limit it belongs to.
///
/// Sums saturate at `u64::MAX` and differences at zero: a sum that does not fit must read as "everything is spent", never as little.
/// Its written form is a pair, whole billions and the rest, since the numbers of Redis' Lua are exact up to 2^53 only.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(from = "(u64, u64)", into = "(u64, u64)")]
pub struct Amount(u64);

impl Amount {
    /// Nothing.
    pub const ZERO: Self = Self(0);

    /// `units`, and [`MAX_AMOUNT`] where they are more.
    pub const fn new(units: u64) -> Self {
        Self(if units > MAX_AMOUNT { MAX_AMOUNT } else { units })
    }

    /// The number of nano-USD or tokens.
    pub const fn get(self) -> u64 {
        self.0
    }

    /// Whether this is nothing.
    pub const fn is_zero(self) -> bool {
        self.0 == 0
    }

    /// The sum.
    #[must_use]
    pub const fn plus(self, other: Self) -> Self {
        Self(self.0.saturating_add(other.0))
    }

    /// The difference, and nothing where `other` is more.
    #[must_use]
    pub const fn minus(self, other: Self) -> Self {
        Self(self.0.saturating_sub(other.0))
    }

    /// An equal part, rounded down. A part of nobody is everything.
    #[must_use]
    pub const fn share(self, parts: u64) -> Self {
        match self.0.checked_div(parts) {
            Some(share) => Self(share),
            None => self,
        }
    }
}

impl From<(u64, u64)> for Amount {
    fn from((billions, rest): (u64, u64)) -> Self {
        Self(billions.saturating_mul(SPLIT).saturating_add(rest))
    }
}

impl From<Amount> for (u64, u64) {
    fn from(amount: Amount) -> Self {
        (amount.0 / SPLIT, amount.0 % SPLIT)
    }
}

/// What is below zero is nothing.
impl From<NanoUsd> for Amount {
    fn from(money: NanoUsd) -> Self {
        Self::new(u64::try_from(money.nanos()).unwrap_or(0))
    }
}

/// What is above the largest sum of money is that.
impl From<Amount> for NanoUsd {
    fn from(amount: Amount) -> Self {
        Self::new(i64::try_from(amount.0).unwrap_or(i64::MAX))
    }
}

impl std::iter::Sum for Amount {
    fn sum<I: Iterator<Item = Self>>(amounts: I) -> Self {
        amounts.fold(Self::ZERO, Self::plus)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn amounts_saturate_instead_of_wrapping() {
        let most = Amount::from((u64::MAX, 0));
        assert_eq!(most.get(), u64::MAX);
        assert_eq!(most.plus(Amount::new(1)), most);
        assert_eq!(Amount::new(1).minus(Amount::new(2)), Amount::ZERO);
        assert_eq!(Amount::new(u64::MAX).get(), MAX_AMOUNT);
        assert_eq!(Amount::new(7).share(0), Amount::new(7));
    }

    proptest::proptest! {
        #[test]
        fn the_written_form_reads_back_as_the_same_amount(units in 0..=u64::MAX) {
            let amount = Amount(units);
            let text = serde_json::to_string(&amount).expect("writes");
            assert_eq!(serde_json::from_str::<Amount>(&text).expect("reads"), amount);
        }
    }
}

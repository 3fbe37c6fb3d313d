//! What an attempt cost.

use std::fmt;
use std::iter::Sum;

use tokenweir_config::money::{NanoUsd, Rate};
use tokenweir_config::price::{Price, Rates, ServiceTier};

use crate::Counts;

/// Femto-USD in a nano-USD.
const FEMTOS: u128 = 1_000_000;

/// An amount of money in femto-USD, 10⁻¹⁵ dollars: what a token costs is a whole number of them. Sums stop at the end of the
/// range, which is beyond what any price and count can reach together with another.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Femto(u128);

impl Femto {
    /// Nothing.
    pub const ZERO: Self = Self(0);

    /// The amount in femto-USD.
    pub const fn get(self) -> u128 {
        self.0
    }

    /// What so many tokens cost at a rate.
    pub fn of(tokens: u64, rate: Rate) -> Self {
        Self(u128::from(tokens).saturating_mul(u128::from(rate.nanos_per_million())))
    }

    /// What so many pieces cost. A price below nothing, which no table has, counts as nothing.
    pub(crate) fn pieces(pieces: u64, price: NanoUsd) -> Self {
        let price = u128::try_from(price.nanos()).unwrap_or(0);
        Self(u128::from(pieces).saturating_mul(price).saturating_mul(FEMTOS))
    }

    /// The sum, or the end of the range.
    #[must_use]
    pub const fn saturating_add(self, other: Self) -> Self {
        Self(self.0.saturating_add(other.0))
    }

    /// The smallest amount of whole nano-USD that is not below it; the largest one if it is above that.
    pub fn rounded_up(self) -> NanoUsd {
        i64::try_from(self.0.div_ceil(FEMTOS)).map_or(NanoUsd::MAX, NanoUsd::new)
    }
}

impl Sum for Femto {
    fn sum<I: Iterator<Item = Self>>(amounts: I) -> Self {
        amounts.fold(Self::ZERO, Self::saturating_add)
    }
}

/// What money was spent on.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Kind {
    /// Tokens of the input that are none of the kinds below.
    Input,
    /// Tokens read from the provider's cache.
    Cached,
    /// Tokens written to the provider's cache, without those that stay for an hour.
    CacheWrite,
    /// Tokens written to the provider's cache for an hour.
    CacheWrite1h,
    /// Tokens of sound in the input.
    InputAudio,
    /// Generated tokens that are none of the kinds below.
    Output,
    /// Generated tokens of hidden reasoning.
    Reasoning,
    /// Generated tokens of sound.
    OutputAudio,
    /// Images of the input, where they cost by the piece.
    Images,
    /// The request itself.
    Request,
}

impl Kind {
    /// All of them, each at the place of its discriminant.
    pub const ALL: [Self; Self::Request as usize + 1] = [
        Self::Input,
        Self::Cached,
        Self::CacheWrite,
        Self::CacheWrite1h,
        Self::InputAudio,
        Self::Output,
        Self::Reasoning,
        Self::OutputAudio,
        Self::Images,
        Self::Request,
    ];

    /// Its name in reports: `cache_write_1h`.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Input => "input",
            Self::Cached => "cached",
            Self::CacheWrite => "cache_write",
            Self::CacheWrite1h => "cache_write_1h",
            Self::InputAudio => "input_audio",
            Self::Output => "output",
            Self::Reasoning => "reasoning",
            Self::OutputAudio => "output_audio",
            Self::Images => "images",
            Self::Request => "request",
        }
    }

    fn cost(self, rates: &Rates, counts: &Counts) -> Femto {
        match self {
            Self::Input => Femto::of(counts.input, rates.input),
            Self::Cached => Femto::of(counts.cached, rates.cached_input()),
            Self::CacheWrite => Femto::of(counts.cache_write, rates.cache_write()),
            Self::CacheWrite1h => Femto::of(counts.cache_write_1h, rates.cache_write_1h()),
            Self::InputAudio => Femto::of(counts.input_audio, rates.input_audio()),
            Self::Output => Femto::of(counts.output, rates.output),
            Self::Reasoning => Femto::of(counts.reasoning, rates.reasoning()),
            Self::OutputAudio => Femto::of(counts.output_audio, rates.output_audio()),
            Self::Images => Femto::pieces(counts.images, rates.image),
            Self::Request => Femto::pieces(1, rates.request),
        }
    }
}

impl fmt::Display for Kind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// What an attempt cost.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Cost {
    /// All of it: never below the exact sum, and less than a nano-USD above.
    pub total: NanoUsd,
    kinds: [Femto; Kind::ALL.len()],
}

impl Cost {
    /// What was spent on a kind, exactly.
    pub const fn of(&self, kind: Kind) -> Femto {
        self.kinds[kind as usize]
    }
}

/// What an attempt cost that used these counts.
///
/// The rates are those of its service tier (the standard ones where the price has none for it) and of the length of its whole
/// input, cached or not. Each token is billed once, at the rate of its kind. Everything is added up exactly in femto-USD and
/// rounded up to a nano-USD once. A cost beyond 9.2 billion dollars is the largest amount.
pub fn cost(price: &Price, counts: &Counts, service: ServiceTier) -> Cost {
    let rates = price.schedule(service).of_input(counts.input_tokens());
    let kinds = Kind::ALL.map(|kind| kind.cost(rates, counts));
    Cost {
        total: kinds.into_iter().sum::<Femto>().rounded_up(),
        kinds,
    }
}

#[cfg(test)]
mod tests {
    use tokenweir_config::price::{Schedule, Tier};

    use super::*;

    fn usd(text: &str) -> Rate {
        text.parse().unwrap()
    }

    fn total(price: &Price, counts: &Counts, service: ServiceTier) -> String {
        cost(price, counts, service).total.to_string()
    }

    /// Claude Sonnet 4.5 at its published prices.
    fn sonnet() -> Price {
        let rates = |input, output, cached, write, hour| Rates {
            input: usd(input),
            output: usd(output),
            cached_input: Some(usd(cached)),
            cache_write: Some(usd(write)),
            cache_write_1h: Some(usd(hour)),
            ..Rates::default()
        };
        Price {
            standard: Schedule {
                rates: rates("3", "15", "0.30", "3.75", "6"),
                tiers: vec![Tier {
                    above: 200_000,
                    rates: rates("6", "22.50", "0.60", "7.50", "12"),
                }],
            },
            batch: Some(Schedule::flat(rates("1.5", "7.5", "0.15", "1.875", "3"))),
            ..Price::default()
        }
    }

    #[test]
    fn published_prices_give_the_published_costs() {
        let counts = Counts {
            input: 1000,
            cached: 10_000,
            cache_write: 2000,
            cache_write_1h: 3000,
            output: 500,
            ..Counts::default()
        };
        // 0.003 + 0.003 + 0.0075 + 0.018 + 0.0075
        assert_eq!(total(&sonnet(), &counts, ServiceTier::Standard), "0.039");
        assert_eq!(total(&sonnet(), &counts, ServiceTier::Batch), "0.0195");
        // Not sold: as usual.
        assert_eq!(total(&sonnet(), &counts, ServiceTier::Priority), "0.039");
    }

    #[test]
    fn a_long_input_changes_the_rate_of_every_token_cached_ones_and_output_too() {
        let long = |cached| Counts {
            input: 100_000,
            cached,
            output: 1000,
            ..Counts::default()
        };
        assert_eq!(total(&sonnet(), &long(100_000), ServiceTier::Standard), "0.345");
        // 100,000 × 6 + 100,001 × 0.6 + 1,000 × 22.5, a million each
        assert_eq!(total(&sonnet(), &long(100_001), ServiceTier::Standard), "0.6825006");
    }

    #[test]
    fn a_part_of_a_nano_dollar_is_rounded_up_once() {
        let price = Price::flat(Rates {
            input: Rate::new(1),
            output: Rate::new(1),
            ..Rates::default()
        });
        let counts = |input, output| Counts {
            input,
            output,
            ..Counts::default()
        };
        for (counts, nanos) in [
            (counts(0, 0), 0),
            (counts(1, 0), 1),
            (counts(1, 1), 1),
            (counts(500_000, 500_000), 1),
            (counts(500_000, 500_001), 2),
        ] {
            let cost = cost(&price, &counts, ServiceTier::Standard);
            assert_eq!(cost.total, NanoUsd::new(nanos), "{counts:?}");
        }
    }

    #[test]
    fn images_and_requests_cost_by_the_piece() {
        let price = Price::flat(Rates {
            image: "0.00006".parse().unwrap(),
            request: "0.005".parse().unwrap(),
            ..Rates::default()
        });
        let counts = Counts {
            images: 3,
            ..Counts::default()
        };
        let cost = cost(&price, &counts, ServiceTier::Standard);
        assert_eq!(cost.total.to_string(), "0.00518");
        assert_eq!(cost.of(Kind::Images).rounded_up().to_string(), "0.00018");
        assert_eq!(cost.of(Kind::Request).rounded_up().to_string(), "0.005");
    }

    #[test]
    fn hostile_counts_and_prices_stop_at_the_largest_amount() {
        let most = Counts {
            input: u64::MAX,
            output: u64::MAX,
            images: u64::MAX,
            ..Counts::default()
        };
        let price = Price::flat(Rates {
            input: Rate::new(u64::MAX),
            output: Rate::new(u64::MAX),
            image: NanoUsd::MAX,
            request: NanoUsd::new(-5),
            ..Rates::default()
        });
        assert_eq!(cost(&price, &most, ServiceTier::Standard).total, NanoUsd::MAX);
        let nothing = cost(&price, &Counts::default(), ServiceTier::Standard);
        assert_eq!(nothing.total, NanoUsd::ZERO);
    }

    #[test]
    fn kinds_stand_at_their_places() {
        for (at, kind) in Kind::ALL.into_iter().enumerate() {
            assert_eq!(kind as usize, at, "{kind}");
        }
    }
}

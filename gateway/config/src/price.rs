//! What a model costs. How a cost is worked out from it is in the crate `tokenweir-prices`.

use serde::{Deserialize, Serialize};

use crate::money::{NanoUsd, Rate};

/// Rates for the tokens of one request.
///
/// A kind of token without a rate of its own costs what the kind that it is part of costs: one read from or written to the
/// provider's cache and one of sound what one of input costs, one kept in the cache for an hour what one kept for five minutes
/// costs, one of reasoning and one of generated sound what one of output costs.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Rates {
    /// Tokens of the input that are none of the kinds below.
    pub input: Rate,
    /// Tokens generated that are none of the kinds below.
    pub output: Rate,
    /// Tokens of the input that were read from the provider's cache.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cached_input: Option<Rate>,
    /// Tokens of the input that were written to the provider's cache, for five minutes or however long it keeps them.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cache_write: Option<Rate>,
    /// Tokens of the input that were written to the provider's cache for an hour.
    #[serde(default, skip_serializing_if = "Option::is_none", rename = "cacheWrite1h")]
    pub cache_write_1h: Option<Rate>,
    /// Tokens of sound in the input.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub input_audio: Option<Rate>,
    /// Generated tokens of hidden reasoning.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reasoning: Option<Rate>,
    /// Generated tokens of sound.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub output_audio: Option<Rate>,
    /// Each image of the input, where images cost by the piece.
    #[serde(default, skip_serializing_if = "is_nothing")]
    pub image: NanoUsd,
    /// Each request, beside its tokens.
    #[serde(default, skip_serializing_if = "is_nothing")]
    pub request: NanoUsd,
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "the form that serde asks for")]
fn is_nothing(amount: &NanoUsd) -> bool {
    amount.is_zero()
}

impl Rates {
    /// The rate of a token read from the provider's cache.
    pub fn cached_input(&self) -> Rate {
        self.cached_input.unwrap_or(self.input)
    }

    /// The rate of a token written to the provider's cache.
    pub fn cache_write(&self) -> Rate {
        self.cache_write.unwrap_or(self.input)
    }

    /// The rate of a token written to the provider's cache for an hour.
    pub fn cache_write_1h(&self) -> Rate {
        self.cache_write_1h.unwrap_or(self.cache_write())
    }

    /// The rate of a token of sound in the input.
    pub fn input_audio(&self) -> Rate {
        self.input_audio.unwrap_or(self.input)
    }

    /// The rate of a token of hidden reasoning.
    pub fn reasoning(&self) -> Rate {
        self.reasoning.unwrap_or(self.output)
    }

    /// The rate of a generated token of sound.
    pub fn output_audio(&self) -> Rate {
        self.output_audio.unwrap_or(self.output)
    }
}

/// Rates by the length of the context.
#[derive(Debug, Clone, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Schedule {
    /// For requests that no tier takes.
    #[serde(flatten)]
    pub rates: Rates,
    /// For long ones, in whatever order.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub tiers: Vec<Tier>,
}

impl Schedule {
    /// The same rates for every length.
    pub const fn flat(rates: Rates) -> Self {
        Self {
            rates,
            tiers: Vec::new(),
        }
    }

    /// The rates of a request whose input has that many tokens: those of the highest tier that it is above, for all of its
    /// tokens, input and output alike.
    pub fn of_input(&self, tokens: u64) -> &Rates {
        let reached = self.tiers.iter().filter(|tier| tokens > tier.above);
        reached
            .max_by_key(|tier| tier.above)
            .map_or(&self.rates, |tier| &tier.rates)
    }
}

/// Rates of requests with a long input.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Tier {
    /// They hold for a request whose input, with what was read from caches, has more tokens than this.
    pub above: u64,
    /// The rates.
    #[serde(flatten)]
    pub rates: Rates,
}

/// How fast and how certain an answer is sold.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum ServiceTier {
    /// As usual.
    #[default]
    Standard,
    /// Within hours.
    Batch,
    /// When there is capacity left.
    Flex,
    /// Before others.
    Priority,
}

impl ServiceTier {
    /// All of them.
    pub const ALL: [Self; 4] = [Self::Standard, Self::Batch, Self::Flex, Self::Priority];

    /// Its name in text: `standard`.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Standard => "standard",
            Self::Batch => "batch",
            Self::Flex => "flex",
            Self::Priority => "priority",
        }
    }

    /// The tier that a provider names in `service_tier` of an answer or a client in that of a request. What is not known,
    /// such as `auto`, is the standard.
    pub fn of_wire(name: &str) -> Self {
        match name {
            "batch" => Self::Batch,
            "flex" => Self::Flex,
            // Which OpenAI sells at the price of the other.
            "priority" | "fast" => Self::Priority,
            _ => Self::Standard,
        }
    }
}

/// What a model costs from some time on.
#[derive(Debug, Clone, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Price {
    /// Unix time in seconds from which it holds; absent: it always did.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub from_unix: Option<i64>,
    /// Of answers as usual.
    #[serde(flatten)]
    pub standard: Schedule,
    /// Of answers within hours.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub batch: Option<Schedule>,
    /// Of answers when there is capacity left.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub flex: Option<Schedule>,
    /// Of answers before others.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub priority: Option<Schedule>,
}

impl Price {
    /// A price of every request alike.
    pub const fn flat(rates: Rates) -> Self {
        Self {
            from_unix: None,
            standard: Schedule::flat(rates),
            batch: None,
            flex: None,
            priority: None,
        }
    }

    /// The rates of a service tier; the standard ones where it has none of its own.
    pub fn schedule(&self, service: ServiceTier) -> &Schedule {
        let own = match service {
            ServiceTier::Standard => None,
            ServiceTier::Batch => self.batch.as_ref(),
            ServiceTier::Flex => self.flex.as_ref(),
            ServiceTier::Priority => self.priority.as_ref(),
        };
        own.unwrap_or(&self.standard)
    }

    /// The one of several prices that holds at a time: the one that began last. `None` where none has begun.
    pub fn at(prices: &[Self], unix: i64) -> Option<&Self> {
        let begun = prices
            .iter()
            .filter(|price| price.from_unix.is_none_or(|from| from <= unix));
        begun.max_by_key(|price| price.from_unix.unwrap_or(i64::MIN))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn rates(input: u64) -> Rates {
        Rates {
            input: Rate::new(input),
            ..Rates::default()
        }
    }

    #[test]
    fn a_tier_holds_above_its_bound_alone() {
        let tier = |above, input| Tier {
            above,
            rates: rates(input),
        };
        let schedule = Schedule {
            rates: rates(1),
            tiers: vec![tier(200, 3), tier(100, 2)],
        };
        for (tokens, input) in [(0, 1), (100, 1), (101, 2), (200, 2), (201, 3), (u64::MAX, 3)] {
            assert_eq!(schedule.of_input(tokens).input, Rate::new(input), "{tokens}");
        }
    }

    #[test]
    fn a_price_holds_from_its_time_on() {
        let price = |from_unix, input| Price {
            from_unix,
            ..Price::flat(rates(input))
        };
        let prices = [price(Some(20), 3), price(None, 1), price(Some(10), 2)];
        for (unix, input) in [(0, 1), (9, 1), (10, 2), (19, 2), (20, 3)] {
            let found = Price::at(&prices, unix).unwrap();
            assert_eq!(found.standard.rates.input, Rate::new(input), "{unix}");
        }
        assert_eq!(Price::at(&prices[..1], 19), None);
    }

    #[test]
    fn a_price_in_json_is_flat_and_its_money_text() {
        let price = Price {
            standard: Schedule {
                rates: Rates {
                    input: Rate::new(1_250_000_000),
                    output: Rate::new(10_000_000_000),
                    cache_write_1h: Some(Rate::FREE),
                    ..Rates::default()
                },
                tiers: vec![Tier {
                    above: 200_000,
                    rates: rates(2_500_000_000),
                }],
            },
            batch: Some(Schedule::flat(rates(625_000_000))),
            ..Price::default()
        };
        let json = serde_json::to_value(&price).unwrap();
        assert_eq!(
            json,
            serde_json::json!({
                "input": "1.25", "output": "10", "cacheWrite1h": "0",
                "tiers": [{"above": 200_000, "input": "2.5", "output": "0"}],
                "batch": {"input": "0.625", "output": "0"},
            })
        );
        assert_eq!(serde_json::from_value::<Price>(json).unwrap(), price);
    }

    #[test]
    fn a_kind_without_a_rate_costs_what_it_is_part_of() {
        let plain = Rates {
            input: Rate::new(1),
            output: Rate::new(2),
            ..Rates::default()
        };
        assert_eq!(
            [
                plain.cached_input(),
                plain.cache_write(),
                plain.cache_write_1h(),
                plain.input_audio()
            ],
            [Rate::new(1); 4]
        );
        assert_eq!([plain.reasoning(), plain.output_audio()], [Rate::new(2); 2]);
        let written = Rates {
            cache_write: Some(Rate::new(5)),
            ..plain
        };
        assert_eq!(written.cache_write_1h(), Rate::new(5));
        let free = Rates {
            cached_input: Some(Rate::FREE),
            ..plain
        };
        assert_eq!(free.cached_input(), Rate::FREE);
    }

    #[test]
    fn names_of_service_tiers_on_the_wire_are_known() {
        for tier in ServiceTier::ALL {
            assert_eq!(ServiceTier::of_wire(tier.name()), tier);
        }
        assert_eq!(ServiceTier::of_wire("fast"), ServiceTier::Priority);
        for other in ["auto", "default", "scale", "standard_only", ""] {
            assert_eq!(ServiceTier::of_wire(other), ServiceTier::Standard);
        }
    }
}

//! Two sources about one model.

use tokenweir_config::money::Rate;
use tokenweir_config::price::{Price, Rates, Schedule, ServiceTier};

/// Where two sources give different rates.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Disagreement {
    /// Which rate, such as `output`, `input above 200000` or `batch input`.
    pub rate: String,
    /// What the first source says; it is the one that is used.
    pub first: Rate,
    /// What the second source says.
    pub second: Rate,
}

/// Rates that both sources give and that differ: of the standard all, of its tiers those of the same bound, of other service
/// tiers those of plain input and output. What one of them leaves open is no disagreement.
pub(crate) fn disagreements(first: &Price, second: &Price) -> Vec<Disagreement> {
    let mut found = Vec::new();
    compare(&mut found, &first.standard.rates, &second.standard.rates, "", "");
    for tier in &first.standard.tiers {
        let other = second.standard.tiers.iter().find(|other| other.above == tier.above);
        if let Some(other) = other {
            compare(
                &mut found,
                &tier.rates,
                &other.rates,
                "",
                &format!(" above {}", tier.above),
            );
        }
    }
    for service in [ServiceTier::Batch, ServiceTier::Flex, ServiceTier::Priority] {
        if let (Some(one), Some(two)) = (own(first, service), own(second, service)) {
            let plain = |rates: &Rates| Rates {
                input: rates.input,
                output: rates.output,
                ..Rates::default()
            };
            let before = format!("{} ", service.name());
            compare(&mut found, &plain(&one.rates), &plain(&two.rates), &before, "");
        }
    }
    found
}

fn own(price: &Price, service: ServiceTier) -> Option<&Schedule> {
    match service {
        ServiceTier::Standard => Some(&price.standard),
        ServiceTier::Batch => price.batch.as_ref(),
        ServiceTier::Flex => price.flex.as_ref(),
        ServiceTier::Priority => price.priority.as_ref(),
    }
}

fn compare(found: &mut Vec<Disagreement>, first: &Rates, second: &Rates, before: &str, behind: &str) {
    let pairs = [
        ("input", Some(first.input), Some(second.input)),
        ("output", Some(first.output), Some(second.output)),
        ("cached input", first.cached_input, second.cached_input),
        ("cache write", first.cache_write, second.cache_write),
        ("cache write 1h", first.cache_write_1h, second.cache_write_1h),
        ("input audio", first.input_audio, second.input_audio),
        ("reasoning", first.reasoning, second.reasoning),
        ("output audio", first.output_audio, second.output_audio),
    ];
    for (name, one, two) in pairs {
        if let (Some(first), Some(second)) = (one, two)
            && first != second
        {
            found.push(Disagreement {
                rate: format!("{before}{name}{behind}"),
                first,
                second,
            });
        }
    }
}

/// The first source's price, with what it leaves open from the second: rates of kinds, tiers by length, service tiers.
pub(crate) fn merged(first: &Price, second: &Price) -> Price {
    let mut price = first.clone();
    let (own, other) = (&mut price.standard.rates, &second.standard.rates);
    own.cached_input = own.cached_input.or(other.cached_input);
    own.cache_write = own.cache_write.or(other.cache_write);
    own.cache_write_1h = own.cache_write_1h.or(other.cache_write_1h);
    own.input_audio = own.input_audio.or(other.input_audio);
    own.reasoning = own.reasoning.or(other.reasoning);
    own.output_audio = own.output_audio.or(other.output_audio);
    if own.image.is_zero() {
        own.image = other.image;
    }
    if own.request.is_zero() {
        own.request = other.request;
    }
    if price.standard.tiers.is_empty() {
        price.standard.tiers.clone_from(&second.standard.tiers);
    }
    for tier in &mut price.standard.tiers {
        let other = second.standard.tiers.iter().find(|other| other.above == tier.above);
        if let Some(other) = other {
            let own = &mut tier.rates;
            own.cached_input = own.cached_input.or(other.rates.cached_input);
            own.cache_write = own.cache_write.or(other.rates.cache_write);
            own.cache_write_1h = own.cache_write_1h.or(other.rates.cache_write_1h);
        }
    }
    price.batch = price.batch.or_else(|| second.batch.clone());
    price.flex = price.flex.or_else(|| second.flex.clone());
    price.priority = price.priority.or_else(|| second.priority.clone());
    price
}

#[cfg(test)]
mod tests {
    use tokenweir_config::price::Tier;

    use super::*;

    fn rates(input: u64, output: u64) -> Rates {
        Rates {
            input: Rate::new(input),
            output: Rate::new(output),
            ..Rates::default()
        }
    }

    #[test]
    fn rates_that_differ_are_named_and_gaps_are_not() {
        let tiered = |above, input| Schedule {
            rates: Rates {
                cache_write: Some(Rate::new(9)),
                ..rates(1, 2)
            },
            tiers: vec![Tier {
                above,
                rates: rates(input, 4),
            }],
        };
        let first = Price {
            standard: tiered(200, 3),
            batch: Some(Schedule::flat(rates(1, 1))),
            ..Price::default()
        };
        let mut second = Price {
            standard: tiered(200, 5),
            batch: Some(Schedule::flat(rates(1, 2))),
            priority: Some(Schedule::flat(rates(7, 7))),
            ..Price::default()
        };
        second.standard.rates.output = Rate::new(8);
        second.standard.rates.cache_write = None;
        let found = disagreements(&first, &second);
        let named: Vec<_> = found
            .iter()
            .map(|d| {
                (
                    d.rate.as_str(),
                    d.first.nanos_per_million(),
                    d.second.nanos_per_million(),
                )
            })
            .collect();
        assert_eq!(
            named,
            [("output", 2, 8), ("input above 200", 3, 5), ("batch output", 1, 2)]
        );
        assert_eq!(disagreements(&first, &first), []);
    }

    #[test]
    fn gaps_of_the_first_are_filled_from_the_second_and_nothing_else_is() {
        let first = Price::flat(rates(1, 2));
        let mut second = Price::flat(Rates {
            cache_write_1h: Some(Rate::new(6)),
            ..rates(10, 20)
        });
        second.batch = Some(Schedule::flat(rates(5, 5)));
        second.standard.tiers.push(Tier {
            above: 9,
            rates: rates(3, 3),
        });
        let price = merged(&first, &second);
        assert_eq!(price.standard.rates.input, Rate::new(1));
        assert_eq!(price.standard.rates.cache_write_1h, Some(Rate::new(6)));
        assert_eq!(price.standard.tiers, second.standard.tiers);
        assert_eq!(price.batch, second.batch);
        assert_eq!(merged(&second, &first), second);
    }
}

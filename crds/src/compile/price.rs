//! Prices of models.

use tokenweir_config::money::{MoneyError, NanoUsd, Rate};
use tokenweir_config::price::{Price, Rates, Schedule, Tier};

use super::Problem;
use crate::api::{ModelPrice, ProviderModel, TokenRates};
use crate::conditions::Reason;

/// The prices that an object gives a model, by time. The schema refuses what cannot be read; an object from before a change of
/// the schema may still have it.
pub(super) fn prices(model: &ProviderModel, index: usize) -> Result<Vec<Price>, Problem> {
    let at = |field: String, error: MoneyError| {
        let message = format!("{error}; write dollars such as 0.25, with up to 9 decimals");
        Problem::invalid(Reason::Invalid, format!("spec.models[{index}].{field}"), message)
    };
    let mut prices = Vec::new();
    if let Some(own) = &model.price {
        prices.push(price(own, None).map_err(|error| at("price".to_owned(), error))?);
    }
    for (change, own) in model.price_changes.iter().enumerate() {
        let from = own.from.0.as_second();
        prices.push(price(&own.price, Some(from)).map_err(|error| at(format!("priceChanges[{change}].price"), error))?);
    }
    prices.sort_by_key(|price| price.from_unix);
    Ok(prices)
}

fn price(given: &ModelPrice, from_unix: Option<i64>) -> Result<Price, MoneyError> {
    let tiers = given.tiers.iter().map(|tier| {
        Ok(Tier {
            above: tier.above_input_tokens,
            rates: rates(&tier.rates, given)?,
        })
    });
    let standard = Schedule {
        rates: rates(&given.rates, given)?,
        tiers: tiers.collect::<Result<_, MoneyError>>()?,
    };
    let multiplied = |by: &Option<String>| {
        let by = by.as_deref().map(str::parse::<Rate>).transpose()?;
        Ok::<_, MoneyError>(by.map(|by| times(&standard, by)))
    };
    Ok(Price {
        from_unix,
        batch: multiplied(&given.batch_multiplier)?,
        flex: multiplied(&given.flex_multiplier)?,
        priority: multiplied(&given.priority_multiplier)?,
        standard,
    })
}

fn rates(given: &TokenRates, pieces: &ModelPrice) -> Result<Rates, MoneyError> {
    let optional = |text: &Option<String>| text.as_deref().map(str::parse::<Rate>).transpose();
    let amount = |text: &Option<String>| {
        let amount = text.as_deref().map(str::parse::<NanoUsd>).transpose();
        amount.map(Option::unwrap_or_default)
    };
    Ok(Rates {
        input: given.input.parse()?,
        output: given.output.parse()?,
        cached_input: optional(&given.cached_input)?,
        cache_write: optional(&given.cache_write)?,
        cache_write_1h: optional(&given.cache_write_1h)?,
        input_audio: optional(&given.input_audio)?,
        reasoning: optional(&given.reasoning)?,
        output_audio: optional(&given.output_audio)?,
        image: amount(&pieces.per_image)?,
        request: amount(&pieces.per_request)?,
    })
}

/// Every rate of tokens times a decimal, rounded up to a nano-USD. What is paid by the piece stays.
fn times(schedule: &Schedule, by: Rate) -> Schedule {
    let each = |rates: &Rates| Rates {
        input: product(rates.input, by),
        output: product(rates.output, by),
        cached_input: rates.cached_input.map(|rate| product(rate, by)),
        cache_write: rates.cache_write.map(|rate| product(rate, by)),
        cache_write_1h: rates.cache_write_1h.map(|rate| product(rate, by)),
        input_audio: rates.input_audio.map(|rate| product(rate, by)),
        reasoning: rates.reasoning.map(|rate| product(rate, by)),
        output_audio: rates.output_audio.map(|rate| product(rate, by)),
        image: rates.image,
        request: rates.request,
    };
    Schedule {
        rates: each(&schedule.rates),
        tiers: (schedule.tiers.iter())
            .map(|tier| Tier {
                above: tier.above,
                rates: each(&tier.rates),
            })
            .collect(),
    }
}

/// A decimal multiplier has the nine decimals of a rate: it is one thousand-millionth of what it counts.
fn product(rate: Rate, by: Rate) -> Rate {
    let exact = u128::from(rate.nanos_per_million()) * u128::from(by.nanos_per_million());
    Rate::new(u64::try_from(exact.div_ceil(1_000_000_000)).unwrap_or(u64::MAX))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn given() -> ModelPrice {
        serde_json::from_value(serde_json::json!({
            "inputPerMTok": "3", "outputPerMTok": "15", "cacheWrite1hPerMTok": "6", "perRequest": "0.01",
            "tiers": [{"aboveInputTokens": 200_000, "inputPerMTok": "6", "outputPerMTok": "22.5"}],
            "batchMultiplier": "0.5",
        }))
        .unwrap()
    }

    #[test]
    fn prices_are_read_exactly_and_multiplied_upwards() {
        let price = price(&given(), Some(7)).unwrap();
        assert_eq!(price.from_unix, Some(7));
        assert_eq!(price.standard.rates.cache_write_1h().to_string(), "6");
        assert_eq!(price.standard.tiers[0].rates.output.to_string(), "22.5");
        let batch = price.batch.unwrap();
        assert_eq!(batch.rates.input.to_string(), "1.5");
        assert_eq!(batch.tiers[0].rates.output.to_string(), "11.25");
        assert_eq!(batch.rates.request.to_string(), "0.01");
        assert_eq!((price.flex, price.priority), (None, None));
        assert_eq!(product(Rate::new(1), Rate::new(1)), Rate::new(1));
        assert_eq!(product(Rate::new(u64::MAX), Rate::new(u64::MAX)), Rate::new(u64::MAX));
    }

    #[test]
    fn what_is_no_money_is_a_problem_of_its_field() {
        let mut model = ProviderModel {
            name: "m".to_owned(),
            price: Some(given()),
            ..ProviderModel::default()
        };
        assert_eq!(prices(&model, 2).unwrap().len(), 1);
        model.price.as_mut().unwrap().rates.input = "1e3".to_owned();
        let problem = prices(&model, 2).unwrap_err();
        assert_eq!(problem.field, "spec.models[2].price");
        assert!(problem.message.contains("write dollars such as 0.25"), "{problem}");
    }
}

//! Laws of costs, over prices and counts that nobody would think of.

use proptest::prelude::*;
use tokenweir_config::money::{NanoUsd, Rate};
use tokenweir_config::price::{Price, Rates, Schedule, ServiceTier, Tier};
use tokenweir_prices::{Bounds, CacheWrites, Cost, Counts, Kind, Reported, cost, worst_case};

/// Up to $10,000 for a million tokens, with odd femto-USD in them.
fn rate() -> BoxedStrategy<Rate> {
    prop_oneof![Just(0), 0..1000_u64, 0..10_000_000_000_000_u64]
        .prop_map(Rate::new)
        .boxed()
}

fn amount() -> BoxedStrategy<NanoUsd> {
    prop_oneof![Just(0), 0..1_000_000_000_i64]
        .prop_map(NanoUsd::new)
        .boxed()
}

fn rates() -> BoxedStrategy<Rates> {
    let own = || prop::option::of(rate());
    (
        rate(),
        rate(),
        own(),
        own(),
        own(),
        own(),
        own(),
        own(),
        amount(),
        amount(),
    )
        .prop_map(
            |(
                input,
                output,
                cached_input,
                cache_write,
                cache_write_1h,
                input_audio,
                reasoning,
                output_audio,
                image,
                request,
            )| {
                Rates {
                    input,
                    output,
                    cached_input,
                    cache_write,
                    cache_write_1h,
                    input_audio,
                    reasoning,
                    output_audio,
                    image,
                    request,
                }
            },
        )
        .boxed()
}

fn schedule() -> BoxedStrategy<Schedule> {
    let tier = (0..300_000_u64, rates()).prop_map(|(above, rates)| Tier { above, rates });
    (rates(), prop::collection::vec(tier, 0..3))
        .prop_map(|(rates, tiers)| Schedule { rates, tiers })
        .boxed()
}

fn price() -> BoxedStrategy<Price> {
    let own = || prop::option::of(schedule());
    (schedule(), own(), own(), own())
        .prop_map(|(standard, batch, flex, priority)| Price {
            from_unix: None,
            standard,
            batch,
            flex,
            priority,
        })
        .boxed()
}

fn service() -> impl Strategy<Value = ServiceTier> {
    prop::sample::select(ServiceTier::ALL.to_vec())
}

fn counts() -> BoxedStrategy<Counts> {
    let count = || prop_oneof![Just(0), 0..10_u64, 0..400_000_u64];
    (
        count(),
        count(),
        count(),
        count(),
        count(),
        count(),
        count(),
        count(),
        0..20_u64,
    )
        .prop_map(
            |(input, cached, cache_write, cache_write_1h, input_audio, output, reasoning, output_audio, images)| {
                Counts {
                    input,
                    cached,
                    cache_write,
                    cache_write_1h,
                    input_audio,
                    output,
                    reasoning,
                    output_audio,
                    images,
                }
            },
        )
        .boxed()
}

/// The counts as a list, so that each can be changed in turn.
fn each(counts: &mut Counts) -> [&mut u64; 9] {
    [
        &mut counts.input,
        &mut counts.cached,
        &mut counts.cache_write,
        &mut counts.cache_write_1h,
        &mut counts.input_audio,
        &mut counts.output,
        &mut counts.reasoning,
        &mut counts.output_audio,
        &mut counts.images,
    ]
}

fn exact(cost: &Cost) -> u128 {
    Kind::ALL.into_iter().map(|kind| cost.of(kind).get()).sum()
}

proptest! {
    #[test]
    fn a_cost_is_never_below_the_exact_sum_and_less_than_a_nano_dollar_above(
        price in price(), counts in counts(), service in service(),
    ) {
        let cost = cost(&price, &counts, service);
        let total = u128::try_from(cost.total.nanos()).unwrap() * 1_000_000;
        prop_assert!(total >= exact(&cost));
        prop_assert!(total - exact(&cost) < 1_000_000);
    }

    #[test]
    fn one_more_of_anything_never_costs_less(rates in rates(), counts in counts(), which in 0..9_usize, more in 0..100_000_u64) {
        let price = Price::flat(rates);
        let mut larger = counts;
        *each(&mut larger)[which] += more;
        let cost = |counts| cost(&price, counts, ServiceTier::Standard).total;
        prop_assert!(cost(&larger) >= cost(&counts));
    }

    #[test]
    fn parts_of_a_request_never_cost_less_than_the_whole(rates in rates(), a in counts(), b in counts()) {
        let price = Price::flat(rates);
        let (mut whole, mut other) = (a, b);
        for (sum, more) in each(&mut whole).into_iter().zip(each(&mut other)) {
            *sum += *more;
        }
        let cost = |counts| cost(&price, counts, ServiceTier::Standard).total;
        prop_assert!(cost(&a).saturating_add(cost(&b)) >= cost(&whole));
    }

    #[test]
    fn zero_is_zero_unless_a_request_costs_by_itself(price in price(), service in service()) {
        let rates = price.schedule(service).rates;
        prop_assert_eq!(cost(&price, &Counts::default(), service).total, rates.request);
    }

    #[test]
    fn a_token_read_from_a_cache_is_billed_once(input in 0..1_000_000_u64, share in 0..=100_u64, plain in rate(), read in rate()) {
        let cached = input * share / 100;
        let price = Price::flat(Rates { input: plain, cached_input: Some(read), ..Rates::default() });
        let reported = Reported { input: Some(input), output: Some(0), cached: Some(cached), ..Reported::default() };
        let cost = cost(&price, &Counts::of(&reported).unwrap(), ServiceTier::Standard);
        let expected = u128::from(input - cached) * u128::from(plain.nanos_per_million())
            + u128::from(cached) * u128::from(read.nanos_per_million());
        prop_assert_eq!(exact(&cost), expected);
    }

    #[test]
    fn no_cost_within_the_bounds_is_above_the_worst_case(
        price in price(), counts in counts(), service in service(), slack in 0..1000_u64,
        cache in prop::sample::select(vec![CacheWrites::Never, CacheWrites::Short, CacheWrites::AnHour]), heard: bool, spoken: bool, downgraded: bool,
    ) {
        let mut counts = counts;
        let moved = |allowed: bool, from: &mut u64, to: &mut u64| if !allowed {
            *to += std::mem::take(from);
        };
        moved(cache >= CacheWrites::Short, &mut counts.cache_write, &mut counts.input);
        moved(cache >= CacheWrites::AnHour, &mut counts.cache_write_1h, &mut counts.input);
        moved(heard, &mut counts.input_audio, &mut counts.input);
        moved(spoken, &mut counts.output_audio, &mut counts.output);
        let bounds = Bounds {
            input: counts.input_tokens() + slack,
            output: counts.output_tokens() + slack,
            images: counts.images,
            cache,
            input_audio: heard,
            output_audio: spoken,
        };
        let answered = if downgraded { ServiceTier::Standard } else { service };
        prop_assert!(cost(&price, &counts, answered).total <= worst_case(&price, &bounds, service));
    }

    #[test]
    fn nothing_overflows(price in price(), all in prop::array::uniform9(any::<u64>()), service in service()) {
        let mut counts = Counts::default();
        for (count, value) in each(&mut counts).into_iter().zip(all) {
            *count = value;
        }
        let cost = cost(&price, &counts, service).total;
        let bounds = Bounds { images: counts.images, ..Bounds::of_tokens(counts.input_tokens(), counts.output_tokens()) };
        prop_assert!(!cost.is_negative());
        prop_assert!(cost <= worst_case(&price, &bounds, service) || counts.input_tokens() == u64::MAX || counts.output_tokens() == u64::MAX);
    }
}

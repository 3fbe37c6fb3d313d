//! What a request can cost at most.

use tokenweir_config::money::{NanoUsd, Rate};
use tokenweir_config::price::{Price, Rates, Schedule, ServiceTier};

use crate::Femto;

/// For how long a provider's cache can take input.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum CacheWrites {
    /// It takes none.
    Never,
    /// For five minutes, or however long it keeps it.
    Short,
    /// For an hour, or for less.
    AnHour,
}

/// What a request can use at most.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Bounds {
    /// Tokens of the input, of every kind together.
    pub input: u64,
    /// Tokens generated, of every kind together.
    pub output: u64,
    /// Images of the input.
    pub images: u64,
    /// What the provider's cache can take of the input.
    pub cache: CacheWrites,
    /// Whether there can be sound in the input.
    pub input_audio: bool,
    /// Whether sound can be generated.
    pub output_audio: bool,
}

impl Bounds {
    /// So many tokens of whatever kinds.
    pub const fn of_tokens(input: u64, output: u64) -> Self {
        Self {
            input,
            output,
            images: 0,
            cache: CacheWrites::AnHour,
            input_audio: true,
            output_audio: true,
        }
    }
}

/// What a request can cost at most: no [`cost`](crate::cost()) of counts within the bounds is above it, for an answer of the
/// service tier that was asked for or of the standard, and whichever of the tiers by length the input turns out to be in.
pub fn worst_case(price: &Price, bounds: &Bounds, service: ServiceTier) -> NanoUsd {
    let asked = dearest(price.schedule(service), bounds);
    asked.max(dearest(&price.standard, bounds)).rounded_up()
}

fn dearest(schedule: &Schedule, bounds: &Bounds) -> Femto {
    let within = schedule.tiers.iter().filter(|tier| bounds.input > tier.above);
    within
        .map(|tier| most(&tier.rates, bounds))
        .fold(most(&schedule.rates, bounds), Femto::max)
}

/// Every token at the highest rate that one of its kinds has.
fn most(rates: &Rates, bounds: &Bounds) -> Femto {
    let when = |possible: bool, rate: Rate| if possible { rate } else { Rate::FREE };
    let input = rates
        .input
        .max(rates.cached_input())
        .max(when(bounds.cache >= CacheWrites::Short, rates.cache_write()))
        .max(when(bounds.cache >= CacheWrites::AnHour, rates.cache_write_1h()))
        .max(when(bounds.input_audio, rates.input_audio()));
    let output = rates
        .output
        .max(rates.reasoning())
        .max(when(bounds.output_audio, rates.output_audio()));
    Femto::of(bounds.input, input)
        .saturating_add(Femto::of(bounds.output, output))
        .saturating_add(Femto::pieces(bounds.images, rates.image))
        .saturating_add(Femto::pieces(1, rates.request))
}

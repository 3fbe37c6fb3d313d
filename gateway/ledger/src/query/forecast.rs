//! What a window will have cost at its end.
//!
//! **Expectation.** Each hour that is left is expected to cost what the same hour of the week cost in the mean over the history;
//! where the history has that hour fewer than three times, what the same hour of the day cost; and below three days what
//! an hour cost. Hours before the first cost do not count as history, later ones without a cost count as zero.
//!
//! **Band.** Costs of the hours of one day go up and down together, so the spread is taken from whole days: with `s` the
//! standard deviation of the history's days around their expectation and `d` the days that are left, the band of 80% is
//! 1.2816 · s · √d to both sides, and never below what is spent. It assumes that days are independent of each other. Below
//! three days of history there is no such spread, and the band is from nothing more to twice the expectation.
//!
//! All of it is integer arithmetic over nano-USD.

use std::collections::BTreeMap;

use serde::Serialize;
use tokenweir_config::money::NanoUsd;

use crate::sink::schema::HOUR_US;

const DAY: i64 = 24;
const WEEK: i64 = 7 * DAY;
/// Days of history below which there is no spread to speak of.
const FEW_DAYS: i64 = 3;
/// Days of history from which on each hour of the week was there twice.
const MANY_DAYS: i64 = 14;
/// The 90th percentile of the normal distribution, so that the band has 80%, in ten-thousandths.
const SPREAD: i128 = 12_816;

/// How much history a forecast rests on.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Confidence {
    /// Under three days: the band is a guess.
    Low,
    /// Under two weeks: weekends may be missing.
    Medium,
    /// Two weeks and more.
    High,
}

/// What a window will have cost at its end.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
pub struct Forecast {
    /// What is spent already.
    pub spent: NanoUsd,
    /// What will be spent, as expected.
    pub expected: NanoUsd,
    /// What will be spent is above this in nine of ten cases.
    pub low: NanoUsd,
    /// What will be spent is below this in nine of ten cases.
    pub high: NanoUsd,
    /// How much history that rests on.
    pub confidence: Confidence,
}

/// Sums and how many there are.
#[derive(Default, Clone, Copy)]
struct Mean {
    sum: i128,
    count: i128,
}

impl Mean {
    fn add(&mut self, cost: i128) {
        self.sum += cost;
        self.count += 1;
    }

    /// The mean, if there are enough.
    fn of(self, enough: i128) -> Option<i128> {
        (self.count >= enough).then(|| self.sum.checked_div(self.count))?
    }
}

/// What is expected of an hour.
struct Profile {
    week: BTreeMap<i64, Mean>,
    day: BTreeMap<i64, Mean>,
    all: Mean,
}

impl Profile {
    fn of(history: impl Iterator<Item = (i64, i128)>) -> Self {
        let mut profile = Self {
            week: BTreeMap::new(),
            day: BTreeMap::new(),
            all: Mean::default(),
        };
        for (hour, cost) in history {
            profile.week.entry(hour.rem_euclid(WEEK)).or_default().add(cost);
            profile.day.entry(hour.rem_euclid(DAY)).or_default().add(cost);
            profile.all.add(cost);
        }
        profile
    }

    fn expect(&self, hour: i64) -> i128 {
        let week = self.week.get(&hour.rem_euclid(WEEK)).and_then(|mean| mean.of(3));
        let day = self.day.get(&hour.rem_euclid(DAY)).and_then(|mean| mean.of(3));
        week.or(day).or_else(|| self.all.of(1)).unwrap_or_default()
    }
}

/// The forecast for the window from `from_us` to `to_us`, as seen at `now_us`, from the cost of hours.
///
/// `hours` are numbers of hours since 1970 with their cost in nano-USD, in their order; what is not there cost nothing. The
/// running hour counts as spent, and as history only once it is over. Windows of more than ten years are cut.
pub fn forecast(hours: &[(i64, i64)], from_us: i64, now_us: i64, to_us: i64) -> Forecast {
    let running = now_us.div_euclid(HOUR_US);
    let start = from_us.div_euclid(HOUR_US);
    let end = to_us.saturating_add(HOUR_US - 1).div_euclid(HOUR_US);
    let spent: i128 = hours
        .iter()
        .filter(|(hour, _)| (start..=running).contains(hour) && *hour < end)
        .map(|(_, cost)| i128::from(*cost))
        .sum();
    let costs: BTreeMap<i64, i128> = hours.iter().map(|(hour, cost)| (*hour, i128::from(*cost))).collect();
    let first = costs
        .first_key_value()
        .map_or(running, |(hour, _)| (*hour).min(running));
    let first = first.max(running.saturating_sub(10 * 366 * DAY));
    let history = || (first..running).map(|hour| (hour, costs.get(&hour).copied().unwrap_or_default()));
    let profile = Profile::of(history());
    let days = (running - first) / DAY;

    let end = end.min(running.saturating_add(10 * 366 * DAY));
    let next = running.saturating_add(1).max(start);
    // Of the running hour, what its expectation has above what it cost until now.
    let now = costs.get(&running).copied().unwrap_or_default();
    let within = (start..end).contains(&running);
    let mut rest = if within {
        (profile.expect(running) - now).max(0)
    } else {
        0
    };
    rest += (next..end).map(|hour| profile.expect(hour).max(0)).sum::<i128>();

    let (below, above) = if days < FEW_DAYS {
        (rest, rest)
    } else {
        let left = i128::from((end - next).max(0)) + i128::from(within);
        let spread = spread_of_days(history(), &profile);
        // √(left / 24) with the root taken of whole numbers, a thousand times as large.
        let root = (left * 1_000_000 / i128::from(DAY)).isqrt();
        let band = spread.saturating_mul(SPREAD).saturating_mul(root) / 10_000_000;
        (band.min(rest), band)
    };
    let money = |nanos: i128| NanoUsd::new(i64::try_from(nanos).unwrap_or(if nanos < 0 { i64::MIN } else { i64::MAX }));
    Forecast {
        spent: money(spent),
        expected: money(spent + rest),
        low: money(spent + rest - below),
        high: money(spent + rest + above),
        confidence: match days {
            ..FEW_DAYS => Confidence::Low,
            FEW_DAYS..MANY_DAYS => Confidence::Medium,
            _ => Confidence::High,
        },
    }
}

/// The standard deviation of whole days around their expectation.
fn spread_of_days(history: impl Iterator<Item = (i64, i128)>, profile: &Profile) -> i128 {
    let mut days: BTreeMap<i64, (i128, i64)> = BTreeMap::new();
    for (hour, cost) in history {
        let day = days.entry(hour.div_euclid(DAY)).or_default();
        day.0 += cost - profile.expect(hour);
        day.1 += 1;
    }
    let whole: Vec<_> = days
        .values()
        .filter(|(_, hours)| *hours == DAY)
        .map(|(off, _)| *off)
        .collect();
    let squares = whole
        .iter()
        .fold(0_i128, |sum, off| sum.saturating_add(off.saturating_mul(*off)));
    let freedom = i128::try_from(whole.len()).unwrap_or(i128::MAX).saturating_sub(1);
    squares.checked_div(freedom).unwrap_or_default().isqrt()
}

#[cfg(test)]
mod tests {
    use super::*;

    const MONDAY: i64 = 4 * 24;

    fn at(hour: i64) -> i64 {
        hour * HOUR_US
    }

    #[test]
    fn a_steady_rate_goes_on_to_the_end_without_a_band() {
        let hours: Vec<_> = (0..20 * 24).map(|hour| (hour, 1_000)).collect();
        let forecast = forecast(&hours, at(10 * 24), at(20 * 24), at(30 * 24));
        assert_eq!(forecast.spent, NanoUsd::new(240_000));
        assert_eq!(forecast.expected, NanoUsd::new(480_000));
        assert_eq!((forecast.low, forecast.high), (forecast.expected, forecast.expected));
        assert_eq!(forecast.confidence, Confidence::High);
    }

    #[test]
    fn nights_and_weekends_are_expected_as_they_were() {
        let cost = |hour: i64| {
            let (day, hour) = ((hour - MONDAY).rem_euclid(WEEK) / DAY, hour.rem_euclid(DAY));
            if day < 5 && (8..18).contains(&hour) { 7_000 } else { 100 }
        };
        let hours: Vec<_> = (MONDAY..MONDAY + 4 * WEEK).map(|hour| (hour, cost(hour))).collect();
        let start = MONDAY + 4 * WEEK;
        let week: i64 = (start..start + WEEK).map(cost).sum();
        let forecast = forecast(&hours, at(start), at(start), at(start + WEEK));
        assert_eq!(forecast.expected, NanoUsd::new(week));
    }

    #[test]
    fn days_that_vary_give_a_band_that_grows_with_what_is_left() {
        let cost = |hour: i64| if hour / DAY % 2 == 0 { 500 } else { 1_500 };
        let hours: Vec<_> = (0..28 * 24).map(|hour| (hour, cost(hour))).collect();
        let short = forecast(&hours, at(28 * 24), at(28 * 24), at(29 * 24));
        let long = forecast(&hours, at(28 * 24), at(28 * 24), at(37 * 24));
        let width = |forecast: Forecast| forecast.high.nanos() - forecast.expected.nanos();
        assert!(width(short) > 10_000, "{short:?}");
        // Nine days vary three times as much as one.
        assert!((width(long) - 3 * width(short)).abs() < width(short) / 100, "{long:?}");
        assert!(short.low < short.expected && short.low >= short.spent);
    }

    #[test]
    fn without_history_nothing_is_expected_and_the_confidence_says_so() {
        let nothing = forecast(&[], at(0), at(10), at(100));
        assert_eq!(
            (nothing.spent, nothing.expected, nothing.high),
            (NanoUsd::ZERO, NanoUsd::ZERO, NanoUsd::ZERO)
        );
        assert_eq!(nothing.confidence, Confidence::Low);
        // Two hours: the rest as they were, and twice that at most.
        let young = forecast(&[(8, 300), (9, 500)], at(0), at(10), at(20));
        assert_eq!((young.spent.nanos(), young.expected.nanos()), (800, 4_800));
        assert_eq!((young.low.nanos(), young.high.nanos()), (800, 8_800));
    }

    #[test]
    fn a_window_that_is_over_costs_what_it_cost() {
        let hours: Vec<_> = (0..100).map(|hour| (hour, 10)).collect();
        let over = forecast(&hours, at(0), at(99) + 1, at(50));
        assert_eq!(
            (over.spent.nanos(), over.expected.nanos(), over.high.nanos()),
            (500, 500, 500)
        );
    }

    #[test]
    fn the_ends_of_time_and_of_money_do_not_overflow() {
        let hours: Vec<_> = (0..100).map(|hour| (hour, i64::MAX)).collect();
        let forecast = forecast(&hours, i64::MIN, at(100), i64::MAX);
        assert_eq!(forecast.high, NanoUsd::MAX);
    }
}

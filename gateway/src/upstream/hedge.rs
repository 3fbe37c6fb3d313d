//! When a request that has no answer yet is sent a second time, and what came of it.

use std::sync::atomic::AtomicU32;
use std::sync::atomic::AtomicU64;
use std::sync::atomic::Ordering::Relaxed;
use std::time::Duration;

use tokenweir_config::Hedge;

/// Ratio of neighbouring bounds: a quantile is right within a twentieth.
const RATIO: f64 = 1.1;
/// Shortest time told apart.
const LEAST: f64 = 0.001;
/// Enough for a quarter of an hour.
const BUCKETS: usize = 145;
/// With fewer answers than this a percentile says nothing.
const ENOUGH: u32 = 20;
/// Once so many are counted, all counts are halved: what is older counts for less and less.
const HALVED_AT: u32 = 1_000;

/// The times to the first byte of a route's answers. Two small tables: streams, and answers in one piece.
#[derive(Debug)]
pub struct FirstTokens([Table; 2]);

#[derive(Debug)]
struct Table {
    counts: [AtomicU32; BUCKETS],
    total: AtomicU32,
}

impl Default for FirstTokens {
    fn default() -> Self {
        let table = || Table {
            counts: std::array::from_fn(|_| AtomicU32::new(0)),
            total: AtomicU32::new(0),
        };
        Self([table(), table()])
    }
}

impl FirstTokens {
    /// An answer began after this time.
    pub fn observe(&self, stream: bool, after: Duration) {
        let table = &self.0[usize::from(stream)];
        table.counts[bucket(after.as_secs_f64())].fetch_add(1, Relaxed);
        if table.total.fetch_add(1, Relaxed) + 1 >= HALVED_AT {
            table.halve();
        }
    }

    /// The time within which this many in a hundred answers began; `None` while too few are known.
    pub fn percentile(&self, stream: bool, percent: u8) -> Option<Duration> {
        let table = &self.0[usize::from(stream)];
        let counts: Vec<u32> = table.counts.iter().map(|count| count.load(Relaxed)).collect();
        let total: u32 = counts.iter().sum();
        if total < ENOUGH {
            return None;
        }
        let rank = u64::from(total) * u64::from(percent.min(100)) / 100;
        let mut seen = 0;
        let at = counts.iter().position(|count| {
            seen += u64::from(*count);
            seen >= rank.max(1)
        })?;
        Some(Duration::from_secs_f64(LEAST * RATIO.powi(i32::try_from(at).ok()?)))
    }
}

impl Table {
    /// Whoever counts in between may be forgotten, which is no matter.
    fn halve(&self) {
        let mut total = 0;
        for count in &self.counts {
            let half = count.load(Relaxed) / 2;
            count.store(half, Relaxed);
            total += half;
        }
        self.total.store(total, Relaxed);
    }
}

#[allow(clippy::cast_possible_truncation, clippy::cast_sign_loss)] // clamped into the table
fn bucket(seconds: f64) -> usize {
    (seconds / LEAST).log(RATIO).ceil().clamp(0.0, (BUCKETS - 1) as f64) as usize
}

/// How second tries went, for a scrape.
#[derive(Debug, Default)]
pub struct HedgeCounts {
    outcomes: [AtomicU64; 3],
    cancelled_tokens: AtomicU64,
}

/// What came of a second try.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum HedgeOutcome {
    /// It answered first.
    Won,
    /// The first try answered first.
    Lost,
    /// Neither answered.
    Failed,
}

impl HedgeOutcome {
    /// All of them.
    pub const ALL: [Self; 3] = [Self::Won, Self::Lost, Self::Failed];

    /// The value of the label `outcome`.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Won => "won",
            Self::Lost => "lost",
            Self::Failed => "failed",
        }
    }
}

impl HedgeCounts {
    /// A second try is over. `input` tokens, by estimate, went to the one that was cancelled.
    pub(super) fn count(&self, outcome: HedgeOutcome, input: u64) {
        self.outcomes[outcome as usize].fetch_add(1, Relaxed);
        if outcome != HedgeOutcome::Failed {
            self.cancelled_tokens.fetch_add(input, Relaxed);
        }
    }

    /// How many ended so.
    pub fn of(&self, outcome: HedgeOutcome) -> u64 {
        self.outcomes[outcome as usize].load(Relaxed)
    }

    /// Tokens of input, by estimate, of the tries that were cancelled: a provider may bill them.
    pub fn cancelled_tokens(&self) -> u64 {
        self.cancelled_tokens.load(Relaxed)
    }
}

/// After how long without an answer a request is sent a second time; `None`: not at all, or not yet known.
pub(super) fn hedge_after(hedge: Option<Hedge>, known: &FirstTokens, stream: bool) -> Option<Duration> {
    match hedge? {
        Hedge::AfterMs(after) => Some(Duration::from_millis(after)),
        Hedge::Percentile(percent) => known.percentile(stream, percent),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_percentile_is_known_after_some_answers_and_follows_what_changes() {
        let known = FirstTokens::default();
        let p95 = Some(Hedge::Percentile(95));
        for _ in 0..19 {
            known.observe(true, Duration::from_millis(100));
        }
        assert_eq!(hedge_after(p95, &known, true), None);
        known.observe(true, Duration::from_secs(5));
        let near = |expected: f64| {
            let found = hedge_after(p95, &known, true).unwrap().as_secs_f64();
            assert!(
                (expected / 1.1..=expected * 1.1).contains(&found),
                "{found} for {expected}"
            );
        };
        near(0.1);
        assert_eq!(
            hedge_after(p95, &known, false),
            None,
            "streams say nothing about answers in one piece"
        );
        for _ in 0..10_000 {
            known.observe(true, Duration::from_secs(2));
        }
        near(2.0);
        assert_eq!(
            hedge_after(Some(Hedge::AfterMs(70)), &known, true),
            Some(Duration::from_millis(70))
        );
        assert_eq!(hedge_after(None, &known, true), None);
    }

    #[test]
    fn nothing_lies_outside_of_the_table() {
        let known = FirstTokens::default();
        for _ in 0..30 {
            known.observe(false, Duration::ZERO);
            known.observe(true, Duration::from_hours(24));
        }
        assert_eq!(known.percentile(false, 50), Some(Duration::from_millis(1)));
        assert!(known.percentile(true, 99).unwrap() > Duration::from_mins(14));
    }
}

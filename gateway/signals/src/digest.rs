//! A mergeable histogram of durations with a bounded relative error, after DDSketch (Masson, Rim, Lee: "DDSketch: A fast
//! and fully-mergeable quantile sketch with relative-error guarantees", VLDB 2019), for values from 1 µs to about a day.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

/// Relative error of every quantile.
pub const RELATIVE_ERROR: f64 = 0.01;
/// Ratio of neighbouring bucket bounds: `(1 + e) / (1 - e)`.
const GAMMA: f64 = (1.0 + RELATIVE_ERROR) / (1.0 - RELATIVE_ERROR);
/// Smallest value told apart, in seconds.
const MIN_SECONDS: f64 = 1e-6;
/// Buckets up to about a day.
const MAX_BUCKET: u16 = 1_300;

/// Counts by logarithmic bucket; merging two gives exactly the digest of both inputs together.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Digest {
    buckets: BTreeMap<u16, u64>,
}

impl Digest {
    /// Counts one duration in seconds. Negative and NaN count as zero, beyond a day as a day.
    pub fn record(&mut self, seconds: f64) {
        *self.buckets.entry(bucket(seconds)).or_default() += 1;
    }

    /// Adds another digest's counts.
    pub fn merge(&mut self, other: &Self) {
        for (bucket, count) in &other.buckets {
            let sum = self.buckets.entry(*bucket).or_default();
            *sum = sum.saturating_add(*count);
        }
    }

    /// Number of values counted.
    pub fn count(&self) -> u64 {
        self.buckets.values().fold(0, |sum, n| sum.saturating_add(*n))
    }

    /// The value below which the share `q` (0 to 1) of all values lies, in seconds, within [`RELATIVE_ERROR`]; `None`
    /// without values. No value is not zero.
    pub fn quantile(&self, q: f64) -> Option<f64> {
        let count = self.count();
        if count == 0 {
            return None;
        }
        let rank = q.clamp(0.0, 1.0) * (count - 1) as f64;
        let mut seen = 0_u64;
        for (bucket, n) in &self.buckets {
            seen = seen.saturating_add(*n);
            if seen as f64 > rank {
                return Some(value(*bucket));
            }
        }
        self.buckets.keys().next_back().map(|last| value(*last))
    }
}

/// Bucket of a duration. Also used by recorders that keep their counts in atomics.
#[allow(clippy::cast_possible_truncation, clippy::cast_sign_loss)] // clamped into the range of u16 before the cast
pub fn bucket(seconds: f64) -> u16 {
    if seconds.is_nan() || seconds <= MIN_SECONDS {
        return 0;
    }
    (seconds / MIN_SECONDS)
        .log(GAMMA)
        .ceil()
        .clamp(0.0, f64::from(MAX_BUCKET)) as u16
}

/// Middle of a bucket, in seconds.
fn value(bucket: u16) -> f64 {
    if bucket == 0 {
        return 0.0;
    }
    MIN_SECONDS * GAMMA.powi(i32::from(bucket)) * 2.0 / (1.0 + GAMMA)
}

/// A digest over the last [`DigestWindow::SECONDS`] seconds, in slots that fall away one by one.
#[derive(Debug, Clone, Default)]
pub struct DigestWindow {
    slots: [Digest; Self::SLOTS],
    /// Absolute number of the newest slot.
    newest: u64,
}

impl DigestWindow {
    /// Length of the window. Short enough that a queue that has emptied is soon seen as such.
    pub const SECONDS: u64 = 10;
    const SLOTS: usize = 10;

    /// Counts a duration in seconds at `now_ms` (any monotonic clock in milliseconds).
    pub fn record(&mut self, now_ms: u64, seconds: f64) {
        let slot = self.advance(now_ms);
        self.slots[slot].record(seconds);
    }

    /// Counts everything in `digest` at `now_ms`, for recorders that collect between two readings.
    pub fn merge(&mut self, now_ms: u64, digest: &Digest) {
        let slot = self.advance(now_ms);
        self.slots[slot].merge(digest);
    }

    /// The digest of the window that ends at `now_ms`.
    pub fn digest(&mut self, now_ms: u64) -> Digest {
        self.advance(now_ms);
        let mut sum = Digest::default();
        for slot in &self.slots {
            sum.merge(slot);
        }
        sum
    }

    #[allow(clippy::cast_possible_truncation)] // a remainder below SLOTS
    fn advance(&mut self, now_ms: u64) -> usize {
        let slots = Self::SLOTS as u64;
        let current = now_ms / (Self::SECONDS * 1_000 / slots);
        if current > self.newest {
            let steps = (current - self.newest).min(slots);
            for step in 0..steps {
                self.slots[((current - step) % slots) as usize] = Digest::default();
            }
            self.newest = current;
        }
        (self.newest % slots) as usize
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn quantiles_stay_within_the_relative_error() {
        let mut digest = Digest::default();
        for i in 1..=10_000_u32 {
            digest.record(f64::from(i) / 1_000.0);
        }
        for (q, expected) in [(0.5, 5.0), (0.95, 9.5), (0.99, 9.9)] {
            let got = digest.quantile(q).unwrap();
            assert!((got - expected).abs() / expected < RELATIVE_ERROR + 0.001, "{q}: {got}");
        }
    }

    #[test]
    fn a_merge_equals_counting_everything_in_one() {
        let (mut a, mut b, mut both) = (Digest::default(), Digest::default(), Digest::default());
        for i in 0..100_u32 {
            let value = f64::from(i * i) / 77.0;
            if i % 3 == 0 { &mut a } else { &mut b }.record(value);
            both.record(value);
        }
        a.merge(&b);
        assert_eq!(a, both);
    }

    #[test]
    fn an_empty_digest_has_no_quantile_and_odd_values_do_no_harm() {
        let mut digest = Digest::default();
        assert_eq!(digest.quantile(0.5), None);
        for odd in [f64::NAN, -1.0, f64::INFINITY, 0.0] {
            digest.record(odd);
        }
        assert_eq!(digest.count(), 4);
        assert!(digest.quantile(1.0).unwrap().is_finite());
    }

    #[test]
    fn values_leave_the_window_after_its_length() {
        let mut window = DigestWindow::default();
        window.record(500, 1.0);
        window.record(9_500, 2.0);
        assert_eq!(window.digest(9_900).count(), 2);
        let mut late = Digest::default();
        late.record(3.0);
        window.merge(9_900, &late);
        assert_eq!(window.digest(9_900).count(), 3);
        assert_eq!(window.digest(10_100).count(), 2);
        assert_eq!(window.digest(1_000_000).count(), 0);
    }
}

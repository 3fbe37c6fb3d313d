//! How fast something answers, as a mean that forgets.

use std::sync::atomic::AtomicU64;
use std::sync::atomic::Ordering::Relaxed;
use std::time::Duration;

use tokio::time::Instant;

/// What is older than this counts for about a third.
const MEMORY: Duration = Duration::from_secs(10);
/// An observation counts for at least this much, however many come at once.
const LEAST_WEIGHT: f64 = 0.1;

/// A mean of observations weighted by their age, in one atomic. It falls while nothing is observed, so that what was slow
/// once is tried again; something slower than the mean replaces it at once, so that trouble is seen early.
#[derive(Debug)]
pub struct Latency {
    base: Instant,
    /// The mean in microseconds (32 bits) above the milliseconds since `base` at which it was right (32 bits); 0: nothing
    /// was observed.
    state: AtomicU64,
}

impl Latency {
    /// Nothing observed yet.
    pub fn new(now: Instant) -> Self {
        Self {
            base: now,
            state: AtomicU64::new(0),
        }
    }

    /// Takes an observation in.
    pub fn observe(&self, took: Duration, now: Instant) {
        let now = self.moment(now);
        let new = took.as_secs_f64() * 1e6;
        // Another worker's observation between both only makes this one count for a little more or less.
        let _ = self.state.fetch_update(Relaxed, Relaxed, |state| {
            let mean = match unpack(state) {
                None => new,
                Some((mean, at)) => {
                    let kept = kept(at, now);
                    let old = mean * kept;
                    if new > old {
                        new
                    } else {
                        old + (new - old) * (1.0 - kept).max(LEAST_WEIGHT)
                    }
                }
            };
            Some(pack(mean, now))
        });
    }

    /// The mean at this moment in seconds; 0 if nothing was observed, so that what is unknown is tried.
    pub fn seconds(&self, now: Instant) -> f64 {
        let now = self.moment(now);
        unpack(self.state.load(Relaxed)).map_or(0.0, |(mean, at)| mean * kept(at, now) / 1e6)
    }

    /// Milliseconds that wrap after 49 days, which only makes one mean look old.
    #[allow(clippy::cast_possible_truncation)] // wraps on purpose
    fn moment(&self, at: Instant) -> u32 {
        at.saturating_duration_since(self.base).as_millis() as u32
    }
}

/// How much of a mean is left.
fn kept(at: u32, now: u32) -> f64 {
    (-f64::from(now.wrapping_sub(at)) / MEMORY.as_millis() as f64).exp()
}

#[allow(clippy::cast_possible_truncation, clippy::cast_sign_loss)] // clamped into 32 bits
fn pack(mean: f64, at: u32) -> u64 {
    let mean = mean.clamp(1.0, f64::from(u32::MAX)) as u64;
    mean << 32 | u64::from(at)
}

#[allow(clippy::cast_possible_truncation)] // takes 64 bits apart
fn unpack(state: u64) -> Option<(f64, u32)> {
    (state != 0).then_some(((state >> 32) as f64, state as u32))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_peak_counts_at_once_and_is_forgotten_with_time() {
        let start = Instant::now();
        let latency = Latency::new(start);
        assert!(latency.seconds(start) < 1e-9, "what is unknown is tried");
        latency.observe(Duration::from_millis(100), start);
        latency.observe(Duration::from_secs(2), start);
        assert!((latency.seconds(start) - 2.0).abs() < 1e-3);
        let later = start + MEMORY;
        assert!((latency.seconds(later) - 2.0 / std::f64::consts::E).abs() < 1e-2);
        for second in 1..60 {
            latency.observe(Duration::from_millis(100), start + Duration::from_secs(second));
        }
        let mean = latency.seconds(start + Duration::from_secs(59));
        assert!((0.09..0.12).contains(&mean), "{mean}");
    }
}

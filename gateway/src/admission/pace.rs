//! How fast the queue moves, for an honest `retry-after`.

use std::time::Duration;

use tokio::time::Instant;

/// Weight of the newest interval in the running mean: about the last 16 count.
const NEWEST: f64 = 1.0 / 16.0;
/// No client is sent away for longer than this, however slow the queue was.
const LONGEST_SECONDS: f64 = 300.0;

/// A running mean of the time between two requests that left the queue forwards.
#[derive(Debug, Default)]
pub(super) struct Pace {
    /// When the queue last moved, or began.
    last: Option<Instant>,
    mean_seconds: Option<f64>,
}

impl Pace {
    /// Somebody waits where nobody did: the time before says nothing about the queue.
    pub(super) fn queue_began(&mut self, now: Instant) {
        self.last = Some(now);
    }

    /// Somebody who had waited went on.
    pub(super) fn granted(&mut self, now: Instant) {
        if let Some(last) = self.last {
            let interval = now.saturating_duration_since(last).as_secs_f64();
            self.mean_seconds = Some(match self.mean_seconds {
                Some(mean) => mean + (interval - mean) * NEWEST,
                None => interval,
            });
        }
        self.last = Some(now);
    }

    /// Whole seconds, at least one, until a request that came back then would find a place if the queue went on as it
    /// did: the time in which `waiting` and one more leave it. Before anything is known it is the longest wait.
    #[allow(clippy::cast_possible_truncation, clippy::cast_sign_loss)] // clamped into a small positive range before
    pub(super) fn retry_after(&self, now: Instant, waiting: usize, max_wait: Duration) -> u64 {
        let seconds = match (self.last, self.mean_seconds) {
            (Some(last), Some(mean)) => {
                // A queue that has not moved for longer than its mean is slower than its mean.
                let still = now.saturating_duration_since(last).as_secs_f64();
                mean.max(still) * (waiting + 1) as f64
            }
            _ => max_wait.as_secs_f64(),
        };
        seconds.clamp(1.0, LONGEST_SECONDS).ceil() as u64
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_estimate_is_the_length_of_the_queue_at_its_pace() {
        let mut pace = Pace::default();
        let start = Instant::now();
        for n in 0..50 {
            pace.granted(start + Duration::from_millis(500 * n));
        }
        let now = start + Duration::from_millis(500 * 49);
        assert_eq!(pace.retry_after(now, 19, Duration::from_secs(30)), 10);
        assert_eq!(pace.retry_after(now, 0, Duration::from_secs(30)), 1);
    }

    #[test]
    fn a_queue_that_stands_still_makes_the_estimate_grow_up_to_a_bound() {
        let mut pace = Pace::default();
        let start = Instant::now();
        pace.granted(start);
        pace.granted(start + Duration::from_millis(10));
        let later = start + Duration::from_secs(20);
        assert_eq!(pace.retry_after(later, 1, Duration::from_secs(30)), 40);
        assert_eq!(
            pace.retry_after(start + Duration::from_secs(9_999), 1, Duration::from_secs(30)),
            300
        );
    }

    #[test]
    fn the_time_without_a_queue_does_not_count() {
        let mut pace = Pace::default();
        let start = Instant::now();
        for n in 0..20 {
            pace.granted(start + Duration::from_secs(n));
        }
        let next_day = start + Duration::from_hours(24);
        pace.queue_began(next_day);
        assert_eq!(pace.retry_after(next_day, 1, Duration::from_secs(30)), 2);
    }

    #[test]
    fn without_experience_the_longest_wait_is_the_estimate() {
        assert_eq!(
            Pace::default().retry_after(Instant::now(), 5, Duration::from_secs(30)),
            30
        );
    }
}

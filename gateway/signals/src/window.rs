//! Event rates over sliding windows of 1, 10 and 60 seconds.

use crate::frame::Rates;

/// Width of a slot in milliseconds. The windows slide in this step.
const SLOT_MS: u64 = 250;
/// Slots in a minute, and one that is filling.
const SLOTS: usize = 241;

/// Counts events and gives their rate over the last 1, 10 and 60 seconds.
///
/// A rate is the number of events in the *complete* slots of the window, divided by its length, so it neither counts a
/// slot that is filling nor forgets what came just now for longer than 250 ms.
#[derive(Debug, Clone)]
pub struct RateWindow {
    slots: Box<[u64; SLOTS]>,
    newest: u64,
    /// Sums of the complete slots in the last 1, 10 and 60 seconds would have to be kept in step; adding 240 integers
    /// four times a second costs less than getting that wrong.
    total: u64,
}

impl Default for RateWindow {
    fn default() -> Self {
        Self {
            slots: Box::new([0; SLOTS]),
            newest: 0,
            total: 0,
        }
    }
}

impl RateWindow {
    /// Counts `n` events at `now_ms` (any monotonic clock in milliseconds).
    pub fn add(&mut self, now_ms: u64, n: u64) {
        let slot = self.advance(now_ms);
        self.slots[slot] = self.slots[slot].saturating_add(n);
        self.total = self.total.saturating_add(n);
    }

    /// Events since the start.
    pub fn total(&self) -> u64 {
        self.total
    }

    /// Rates at `now_ms`, in events a second.
    pub fn rates(&mut self, now_ms: u64) -> Rates {
        self.advance(now_ms);
        Rates {
            s1: self.rate(4, 1.0),
            s10: self.rate(40, 10.0),
            s60: self.rate(240, 60.0),
        }
    }

    #[allow(clippy::cast_possible_truncation)] // a remainder below SLOTS
    fn rate(&self, slots: u64, seconds: f64) -> f64 {
        // Slot numbers start well above zero on any real clock; `checked_sub` covers the first minute of a test clock.
        let sum: u64 = (1..=slots)
            .filter_map(|back| self.newest.checked_sub(back))
            .map(|slot| self.slots[(slot % SLOTS as u64) as usize])
            .sum();
        sum as f64 / seconds
    }

    #[allow(clippy::cast_possible_truncation)] // a remainder below SLOTS
    fn advance(&mut self, now_ms: u64) -> usize {
        let current = now_ms / SLOT_MS;
        if current > self.newest {
            let steps = (current - self.newest).min(SLOTS as u64);
            for step in 0..steps {
                self.slots[((current - step) % SLOTS as u64) as usize] = 0;
            }
            self.newest = current;
        }
        (self.newest % SLOTS as u64) as usize
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_steady_stream_has_the_same_rate_in_every_window() {
        let mut window = RateWindow::default();
        for ms in (0..120_000).step_by(10) {
            window.add(ms, 5);
        }
        let rates = window.rates(120_000);
        for rate in [rates.s1, rates.s10, rates.s60] {
            assert!((rate - 500.0).abs() < 1e-9, "{rates:?}");
        }
    }

    #[test]
    fn a_burst_shows_within_a_slot_and_leaves_after_the_window() {
        let mut window = RateWindow::default();
        window.add(60_000, 100);
        assert!((window.rates(60_250).s1 - 100.0).abs() < 1e-9);
        assert!((window.rates(61_250).s1).abs() < 1e-9);
        assert!((window.rates(61_250).s10 - 10.0).abs() < 1e-9);
        assert!((window.rates(200_000).s60).abs() < 1e-9);
        assert_eq!(window.total(), 100);
    }
}

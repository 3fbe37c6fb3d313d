//! How long to wait before the next try.

use std::time::Duration;

use kube::runtime::utils::Backoff;

/// Back-off of a watch that broke. Starts short and stays under five seconds, because configuration that people change has
/// to arrive soon after an API server came back.
#[derive(Debug, Clone, Default)]
pub struct WatchBackoff {
    failures: u32,
}

const WATCH_FIRST: Duration = Duration::from_millis(200);
const WATCH_MOST: Duration = Duration::from_secs(5);

impl Iterator for WatchBackoff {
    type Item = Duration;

    fn next(&mut self) -> Option<Duration> {
        let delay = doubled(WATCH_FIRST, self.failures, WATCH_MOST);
        self.failures = self.failures.saturating_add(1);
        Some(delay)
    }
}

impl Backoff for WatchBackoff {
    fn reset(&mut self) {
        self.failures = 0;
    }
}

/// Wait after the failure number `failures` (from 1) of one object.
pub fn after_failures(failures: u32) -> Duration {
    doubled(
        Duration::from_millis(100),
        failures.saturating_sub(1),
        Duration::from_mins(1),
    )
}

fn doubled(first: Duration, times: u32, most: Duration) -> Duration {
    // Beyond 2^16 every bound in use is reached.
    first.saturating_mul(1 << times.min(16)).min(most)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn waits_double_up_to_a_bound_and_start_anew_after_success() {
        let mut backoff = WatchBackoff::default();
        let waits: Vec<u128> = backoff.by_ref().take(7).map(|d| d.as_millis()).collect();
        assert_eq!(waits, [200, 400, 800, 1_600, 3_200, 5_000, 5_000]);
        backoff.reset();
        assert_eq!(backoff.next(), Some(WATCH_FIRST));
        assert_eq!(after_failures(1), Duration::from_millis(100));
        assert_eq!(after_failures(u32::MAX), Duration::from_mins(1));
    }
}

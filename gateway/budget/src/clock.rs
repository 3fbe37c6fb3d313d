//! Time, as holders and stores see it.

use std::time::{Instant, SystemTime, UNIX_EPOCH};

/// Two clocks: the one on the wall, and one that only goes forward. Both in milliseconds.
pub trait Clock: Send + Sync {
    /// Unix time: which window it is.
    fn wall(&self) -> u64;

    /// Time since some fixed moment, never 0: how long a lease lasts.
    fn steady(&self) -> u64;
}

/// The clocks of the machine.
#[derive(Debug)]
pub struct SystemClock {
    begin: Instant,
}

impl Default for SystemClock {
    fn default() -> Self {
        Self { begin: Instant::now() }
    }
}

impl Clock for SystemClock {
    fn wall(&self) -> u64 {
        let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        u64::try_from(since.as_millis()).unwrap_or(u64::MAX)
    }

    fn steady(&self) -> u64 {
        u64::try_from(self.begin.elapsed().as_millis())
            .unwrap_or(u64::MAX)
            .saturating_add(1)
    }
}

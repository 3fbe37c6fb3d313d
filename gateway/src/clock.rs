//! Time as a dependency, so that tests decide what time it is.

use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

/// Tells the time. Cheap enough to be asked several times a request.
pub trait Clock: Send + Sync {
    /// Time since an arbitrary fixed moment; never goes backwards.
    fn monotonic(&self) -> Duration;

    /// Unix time.
    fn unix(&self) -> Duration;

    /// Unix time in milliseconds.
    fn unix_ms(&self) -> u64 {
        u64::try_from(self.unix().as_millis()).unwrap_or(u64::MAX)
    }
}

/// The clock of the machine.
#[derive(Debug, Clone, Copy)]
pub struct SystemClock {
    start: Instant,
}

impl SystemClock {
    /// A clock whose monotonic time starts at one minute, so that windows of up to a minute can look back from the
    /// beginning.
    pub fn new() -> Self {
        Self { start: Instant::now() }
    }
}

impl Default for SystemClock {
    fn default() -> Self {
        Self::new()
    }
}

/// Where monotonic time starts.
const ORIGIN: Duration = Duration::from_mins(1);

impl Clock for SystemClock {
    fn monotonic(&self) -> Duration {
        ORIGIN + self.start.elapsed()
    }

    fn unix(&self) -> Duration {
        // A clock set before 1970 reads as 1970.
        SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default()
    }
}

/// A clock that stands still until a test moves it.
#[cfg(test)]
#[derive(Debug)]
pub(crate) struct ManualClock(parking_lot::Mutex<Duration>);

#[cfg(test)]
impl ManualClock {
    pub(crate) fn new() -> std::sync::Arc<Self> {
        std::sync::Arc::new(Self(parking_lot::Mutex::new(ORIGIN)))
    }

    pub(crate) fn advance(&self, by: Duration) {
        *self.0.lock() += by;
    }
}

#[cfg(test)]
impl Clock for ManualClock {
    fn monotonic(&self) -> Duration {
        *self.0.lock()
    }

    fn unix(&self) -> Duration {
        Duration::from_secs(1_700_000_000) + *self.0.lock()
    }
}

//! Where time comes from.
//!
//! Ages are judged on a monotonic clock, which nobody can set back; only what leaves the process as a timestamp uses
//! the wall clock.

use std::fmt::Debug;
use std::sync::Arc;
use std::time::{Duration, Instant};

use jiff::Timestamp;

/// One moment on both clocks.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Now {
    /// Monotonic time since an arbitrary origin.
    pub mono: Duration,
    /// Wall time.
    pub wall: Timestamp,
}

impl Now {
    /// The wall time `age` ago. Falls back to the present where that lies before the beginning of the calendar.
    pub fn wall_before(&self, age: Duration) -> Timestamp {
        self.wall.checked_sub(age).unwrap_or(self.wall)
    }
}

/// A source of time.
pub trait Clock: Debug + Send + Sync {
    /// Reads both clocks.
    fn now(&self) -> Now;
}

/// A clock shared by all parts of the program.
pub type SharedClock = Arc<dyn Clock>;

/// The machine's clocks.
#[derive(Debug)]
pub struct SystemClock {
    origin: Instant,
}

impl SystemClock {
    /// A clock whose monotonic origin is now.
    pub fn shared() -> SharedClock {
        Arc::new(Self { origin: Instant::now() })
    }
}

impl Clock for SystemClock {
    fn now(&self) -> Now {
        Now {
            mono: self.origin.elapsed(),
            wall: Timestamp::now(),
        }
    }
}

//! Wall-clock time as a dependency, so that tests decide what time it is.

use k8s_openapi::jiff::Timestamp;

/// Tells the time of day.
#[derive(Debug, Clone, Copy)]
pub struct Clock(fn() -> Timestamp);

impl Clock {
    /// The clock of the machine.
    pub fn system() -> Self {
        Self(Timestamp::now)
    }

    /// A clock that asks `tell`.
    #[cfg(test)]
    pub fn from_fn(tell: fn() -> Timestamp) -> Self {
        Self(tell)
    }

    /// The time now.
    pub fn now(self) -> Timestamp {
        (self.0)()
    }
}

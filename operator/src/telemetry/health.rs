//! Health and readiness, by name.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use serde::Serialize;

/// What probes are told. Clones share one state.
#[derive(Clone, Default)]
pub struct Health {
    state: Arc<State>,
}

#[derive(Default)]
struct State {
    leader: AtomicBool,
    synced: AtomicBool,
    stopping: AtomicBool,
}

/// The answer of `/readyz`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Readiness {
    /// Whether this replica leads; another one does otherwise.
    pub leader: bool,
    /// Whether the leader has read all objects. Stays false on a replica that does not lead.
    pub synced: bool,
    /// Whether the process has been told to stop.
    pub stopping: bool,
}

impl Health {
    /// This replica leads from now on.
    pub fn leading(&self) {
        self.state.leader.store(true, Ordering::Relaxed);
    }

    /// All objects have been read once.
    pub fn synced(&self) {
        self.state.synced.store(true, Ordering::Relaxed);
    }

    /// The process was told to stop.
    pub fn stopping(&self) {
        self.state.stopping.store(true, Ordering::Relaxed);
    }

    /// The state now.
    pub fn readiness(&self) -> Readiness {
        Readiness {
            leader: self.state.leader.load(Ordering::Relaxed),
            synced: self.state.synced.load(Ordering::Relaxed),
            stopping: self.state.stopping.load(Ordering::Relaxed),
        }
    }
}

impl Readiness {
    /// A replica that waits for the lease is ready: it can take over. A leader is ready once it has read everything.
    pub fn is_ready(self) -> bool {
        !self.stopping && (self.synced || !self.leader)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_standby_is_ready_and_a_leader_only_once_it_has_read_everything() {
        let health = Health::default();
        assert!(health.readiness().is_ready());
        health.leading();
        assert!(!health.readiness().is_ready());
        health.synced();
        assert!(health.readiness().is_ready());
        health.stopping();
        assert!(!health.readiness().is_ready());
    }
}

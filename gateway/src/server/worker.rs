//! What one worker has for itself, and what runs on it.

use std::sync::Arc;
use std::sync::atomic::Ordering::Relaxed;
use std::sync::atomic::{AtomicBool, AtomicUsize};
use std::time::Duration;

use tokio::sync::Notify;

use super::activity::Activity;
use super::patience::Patience;
use super::places::Connections;
use crate::clock::Clock;
use crate::drain::Drain;
use crate::meter::Meter;
use crate::plan::PlanCell;
use crate::upstream::Upstreams;

/// One worker: a thread with its own runtime, sockets, connections to providers and counters.
pub struct Worker {
    /// The plan in service.
    pub plan: Arc<PlanCell>,
    /// The way to the providers.
    pub upstreams: Upstreams,
    /// The worker's counters.
    pub meter: Meter,
    /// Where the process stands between start and end.
    pub drain: Drain,
    pub(super) connections: Arc<Connections>,
    pub(super) patience: Patience,
    pub(super) clock: Arc<dyn Clock>,
    /// Requests whose answers have not gone entirely.
    pub(super) running: AtomicUsize,
    /// Told when the last of them has gone.
    pub(super) idle: Notify,
}

impl Worker {
    /// Unix time in seconds.
    pub fn now_unix(&self) -> i64 {
        i64::try_from(self.clock.unix().as_secs()).unwrap_or(i64::MAX)
    }

    /// Returns once no request runs on this worker.
    pub(super) async fn idle(&self) {
        loop {
            let told = self.idle.notified();
            if self.running.load(Relaxed) == 0 {
                return;
            }
            told.await;
        }
    }
}

/// A running request: counted at its worker and at its connection until this is dropped.
pub struct Active {
    worker: Arc<Worker>,
    connection: Arc<Activity>,
    answered: AtomicBool,
}

impl std::fmt::Debug for Active {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Active")
    }
}

impl Active {
    /// Counts a request that begins.
    pub(super) fn begin(worker: &Arc<Worker>, connection: &Arc<Activity>) -> Self {
        worker.running.fetch_add(1, Relaxed);
        connection.begin();
        Self {
            worker: Arc::clone(worker),
            connection: Arc::clone(connection),
            answered: AtomicBool::new(false),
        }
    }

    /// Says that the answer begins, and how long it may take; a connection whose client does not read it is closed some
    /// time after that.
    pub fn answer(&self, within: Duration) {
        if !self.answered.swap(true, Relaxed) {
            self.connection.answer(self.worker.meter.now() + within);
        }
    }
}

impl Drop for Active {
    fn drop(&mut self) {
        self.connection.end(self.worker.meter.now(), *self.answered.get_mut());
        // Only tasks of this worker change the number, so the last one sees itself as the last.
        if self.worker.running.fetch_sub(1, Relaxed) == 1 && self.worker.drain.phase() >= super::Phase::Draining {
            self.worker.idle.notify_waiters();
        }
    }
}

/// Closes connections to providers that have been idle for too long, for as long as the worker lives.
pub(super) async fn sweep_pools(worker: Arc<Worker>) {
    /// Short against the keep-alive time.
    const INTERVAL: Duration = Duration::from_secs(5);
    let mut ticks = tokio::time::interval(INTERVAL);
    loop {
        ticks.tick().await;
        worker.upstreams.pools.sweep();
    }
}

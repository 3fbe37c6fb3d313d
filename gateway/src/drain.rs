//! The way from serving to the end, which every part of the process follows.
//!
//! Serving → lame duck (readiness says no, requests are still taken, answers carry `connection: close`) → draining (no
//! new connections; late requests on open ones get 503; streams go on) → stopped (the grace period is over or nothing
//! runs any more).

use std::sync::Arc;
use std::sync::atomic::{AtomicU8, Ordering};
use std::time::Duration;

use parking_lot::Mutex;
use tokenweir_config::status::Phase;
use tokio::sync::watch;
use tokio::time::Instant;

/// The phase of the process. Clones share it; it only ever moves forward.
#[derive(Debug, Clone)]
pub struct Drain {
    shared: Arc<Shared>,
}

#[derive(Debug)]
struct Shared {
    /// The phase once more, for readers that ask once a request.
    fast: AtomicU8,
    phase: watch::Sender<Phase>,
    lame_duck_end: Mutex<Option<Instant>>,
}

impl Drain {
    /// A process that serves.
    pub fn new() -> Self {
        Self {
            shared: Arc::new(Shared {
                fast: AtomicU8::new(0),
                phase: watch::Sender::new(Phase::Serving),
                lame_duck_end: Mutex::new(None),
            }),
        }
    }

    /// The phase now. One atomic load.
    pub fn phase(&self) -> Phase {
        match self.shared.fast.load(Ordering::Acquire) {
            0 => Phase::Serving,
            1 => Phase::LameDuck,
            2 => Phase::Draining,
            _ => Phase::Stopped,
        }
    }

    /// Moves on to a later phase; an earlier one changes nothing.
    pub fn advance(&self, to: Phase) {
        self.shared.phase.send_if_modified(|phase| {
            let forward = to > *phase;
            if forward {
                *phase = to;
                self.shared.fast.store(to as u8, Ordering::Release);
            }
            forward
        });
    }

    /// Returns once the phase is at least this one.
    pub async fn reached(&self, phase: Phase) {
        let mut receiver = self.shared.phase.subscribe();
        // The sender lives as long as `self`, so that waiting cannot fail.
        let _ = receiver.wait_for(|now| *now >= phase).await;
    }

    /// Begins the lame duck phase unless it has begun, and returns once its time is over.
    ///
    /// However often and from wherever it is called, the phase takes `length` once.
    pub async fn lame_duck(&self, length: Duration) {
        let end = *self
            .shared
            .lame_duck_end
            .lock()
            .get_or_insert_with(|| Instant::now() + length);
        self.advance(Phase::LameDuck);
        tokio::time::sleep_until(end).await;
    }
}

impl Default for Drain {
    fn default() -> Self {
        Self::new()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_phase_only_moves_forward() {
        let drain = Drain::new();
        assert_eq!(drain.phase(), Phase::Serving);
        for (to, then) in [
            (Phase::LameDuck, Phase::LameDuck),
            (Phase::Draining, Phase::Draining),
            (Phase::LameDuck, Phase::Draining),
            (Phase::Stopped, Phase::Stopped),
            (Phase::Serving, Phase::Stopped),
        ] {
            drain.advance(to);
            assert_eq!(drain.phase(), then);
        }
    }

    #[tokio::test(start_paused = true)]
    async fn the_lame_duck_phase_takes_its_time_once() {
        let drain = Drain::new();
        let start = Instant::now();
        drain.lame_duck(Duration::from_secs(5)).await;
        drain.lame_duck(Duration::from_secs(5)).await;
        assert_eq!(start.elapsed(), Duration::from_secs(5));
        assert_eq!(drain.phase(), Phase::LameDuck);
    }

    #[tokio::test]
    async fn who_waits_for_a_phase_is_told_of_a_later_one_too() {
        let drain = Drain::new();
        let waiting = tokio::spawn({
            let drain = drain.clone();
            async move { drain.reached(Phase::Draining).await }
        });
        drain.advance(Phase::Stopped);
        tokio::time::timeout(Duration::from_secs(10), waiting)
            .await
            .unwrap()
            .unwrap();
    }
}

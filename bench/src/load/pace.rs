//! Moments at which requests are due.

use std::sync::Arc;
use std::time::{Duration, Instant};

use tokio::sync::{Mutex, mpsc};

/// Hands out moments at a steady rate, each to one connection.
///
/// A thread of its own waits for them: the runtime's timers count whole milliseconds, in which a fast server answers
/// many requests.
#[derive(Debug, Clone)]
pub struct Pace {
    due: Arc<Mutex<mpsc::UnboundedReceiver<Instant>>>,
}

impl Pace {
    /// Begins now with `rate` moments a second, and ends at `until`.
    pub fn start(rate: f64, until: Instant) -> Self {
        let (sender, due) = mpsc::unbounded_channel();
        let gap = Duration::from_secs_f64(1.0 / rate.max(1e-3));
        std::thread::spawn(move || {
            let mut next = Instant::now();
            while next < until {
                std::thread::sleep(next.saturating_duration_since(Instant::now()));
                // Nobody waits for more: the measurement has failed.
                if sender.send(next).is_err() {
                    return;
                }
                next += gap;
            }
        });
        Self {
            due: Arc::new(Mutex::new(due)),
        }
    }

    /// The next moment, once it has come; `None` after the last one.
    pub async fn next(&self) -> Option<Instant> {
        self.due.lock().await.recv().await
    }
}

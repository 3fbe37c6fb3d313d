//! Progress that a person can follow: one line a step on standard error, with the seconds since the start.

use std::io::Write;
use std::sync::Arc;
use std::time::Instant;

/// Where progress goes. Cheap to clone; all clones share one start time.
#[derive(Debug, Clone)]
pub struct Progress {
    started: Arc<Instant>,
    shown: bool,
}

impl Progress {
    /// Progress on standard error.
    pub fn shown() -> Self {
        Self {
            started: Arc::new(Instant::now()),
            shown: true,
        }
    }

    /// No progress at all, for tests.
    pub fn quiet() -> Self {
        Self {
            started: Arc::new(Instant::now()),
            shown: false,
        }
    }

    /// Tells one step.
    pub fn step(&self, text: impl AsRef<str>) {
        if self.shown {
            let line = format!("{:>7.1}s  {}\n", self.started.elapsed().as_secs_f64(), text.as_ref());
            // Progress that cannot be written is no reason to fail: the reader has gone away.
            let _ = std::io::stderr().write_all(line.as_bytes());
        }
    }

    /// Whether steps are written.
    pub fn is_shown(&self) -> bool {
        self.shown
    }
}

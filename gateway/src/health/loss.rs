//! A lost connection with all that was on it.

use std::sync::atomic::AtomicBool;
use std::sync::atomic::Ordering::Relaxed;

/// The loss of a connection that carries many requests: one event, however many of them it hits.
///
/// It can belong to two rows of failures, as some of the requests may wait for an answer while other answers have begun; in
/// each it counts once.
#[derive(Debug, Default)]
pub struct Loss {
    errors: AtomicBool,
    breaks: AtomicBool,
}

impl Loss {
    /// Whether nobody has counted it as a request without an answer yet; from now on somebody has.
    pub(super) fn is_first_error(&self) -> bool {
        !self.errors.swap(true, Relaxed)
    }

    /// The same as an answer that broke off.
    pub(super) fn is_first_break(&self) -> bool {
        !self.breaks.swap(true, Relaxed)
    }
}

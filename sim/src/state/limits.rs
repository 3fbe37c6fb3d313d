//! Rate limits that run down, as providers have them.

use std::collections::HashMap;
use std::time::Duration;

use parking_lot::Mutex;
use tokio::time::Instant;

/// How many counters are kept. Beyond it all start anew, so that a flood of names does not fill the memory.
const MOST: usize = 10_000;

/// What a window allows.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct RateLimit {
    /// Requests.
    pub requests: u64,
    /// Tokens, of prompts and answers together.
    pub tokens: u64,
    /// How long a window is.
    pub window: Duration,
}

/// What is left in a window.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Left {
    pub(crate) requests: u64,
    pub(crate) tokens: u64,
    /// Until the window ends.
    pub(crate) reset: Duration,
    /// The request does not fit any more; nothing was taken.
    pub(crate) exceeded: bool,
}

#[derive(Debug)]
struct Window {
    until: Instant,
    requests: u64,
    tokens: u64,
}

/// Windows by name.
#[derive(Debug, Default)]
pub(crate) struct Limits(Mutex<HashMap<String, Window>>);

impl Limits {
    /// Takes one request with so many tokens.
    pub(crate) fn take(&self, name: &str, limit: RateLimit, tokens: u64) -> Left {
        let now = Instant::now();
        let mut windows = self.0.lock();
        if windows.len() >= MOST {
            windows.clear();
        }
        let window = windows.entry(name.to_owned()).or_insert(Window {
            until: now,
            requests: 0,
            tokens: 0,
        });
        if window.until <= now {
            *window = Window {
                until: now + limit.window,
                requests: 0,
                tokens: 0,
            };
        }
        let exceeded = window.requests >= limit.requests || window.tokens >= limit.tokens;
        if !exceeded {
            window.requests += 1;
            window.tokens = window.tokens.saturating_add(tokens);
        }
        Left {
            requests: limit.requests.saturating_sub(window.requests),
            tokens: limit.tokens.saturating_sub(window.tokens),
            reset: window.until - now,
            exceeded,
        }
    }

    pub(crate) fn clear(&self) {
        self.0.lock().clear();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn a_window_runs_down_and_starts_anew() {
        let limits = Limits::default();
        let limit = RateLimit {
            requests: 2,
            tokens: 100,
            window: Duration::from_secs(10),
        };
        let left = limits.take("a", limit, 30);
        assert_eq!((left.requests, left.tokens, left.exceeded), (1, 70, false));
        assert_eq!(limits.take("b", limit, 200).tokens, 0);
        assert!(limits.take("b", limit, 1).exceeded, "out of tokens");
        tokio::time::advance(Duration::from_secs(4)).await;
        assert!(!limits.take("a", limit, 30).exceeded);
        let none = limits.take("a", limit, 30);
        assert!(none.exceeded, "out of requests");
        assert_eq!((none.tokens, none.reset), (40, Duration::from_secs(6)));
        tokio::time::advance(Duration::from_secs(6)).await;
        assert!(!limits.take("a", limit, 30).exceeded);
    }
}

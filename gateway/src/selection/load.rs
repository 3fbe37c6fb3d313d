//! What is on its way at a provider.

use std::sync::atomic::AtomicU64;
use std::sync::atomic::Ordering::Relaxed;
use std::time::Duration;

use tokio::time::Instant;

use super::latency::Latency;

/// Tokens on their way at a provider, and how fast it answers.
#[derive(Debug)]
pub struct Load {
    tokens: AtomicU64,
    requests: AtomicU64,
    streams: Latency,
    whole: Latency,
}

impl Load {
    /// Nothing on its way.
    pub fn new(now: Instant) -> Self {
        Self {
            tokens: AtomicU64::new(0),
            requests: AtomicU64::new(0),
            streams: Latency::new(now),
            whole: Latency::new(now),
        }
    }

    /// A request of so many tokens, by estimate, is sent there. Each wants one [`Load::remove`].
    pub fn add(&self, tokens: u64) {
        self.tokens.fetch_add(tokens, Relaxed);
        self.requests.fetch_add(1, Relaxed);
    }

    /// That request is over.
    pub fn remove(&self, tokens: u64) {
        self.tokens.fetch_sub(tokens, Relaxed);
        self.requests.fetch_sub(1, Relaxed);
    }

    /// Tokens on their way, by estimate.
    pub fn tokens(&self) -> u64 {
        self.tokens.load(Relaxed)
    }

    /// An answer began after this time. Streams and answers in one piece are told apart: the one is the time of the first
    /// token, the other that of all of them.
    pub fn answered(&self, stream: bool, after: Duration, now: Instant) {
        self.latency(stream).observe(after, now);
    }

    /// How long a further request would wait for its answer to begin: the mean, for each request that is there already.
    pub fn expected(&self, stream: bool, now: Instant) -> f64 {
        let ahead = self.requests.load(Relaxed).saturating_add(1) as f64;
        self.latency(stream).seconds(now) * ahead
    }

    fn latency(&self, stream: bool) -> &Latency {
        if stream { &self.streams } else { &self.whole }
    }
}

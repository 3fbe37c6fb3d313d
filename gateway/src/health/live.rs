//! What is live about a provider.

use std::sync::atomic::AtomicU64;
use std::sync::atomic::Ordering::Relaxed;

use tokio::time::Instant;

use super::breaker::{Breaker, Pass, Rule, Standing};
use super::probed::Probed;
use super::rates::Rates;
use crate::admission::Limit;
use crate::meter::UpstreamErrorKind;
use crate::selection::Load;

/// What is live about a provider: shared by all workers, and kept when the configuration changes.
#[derive(Debug)]
pub struct Live {
    /// Requests at a time.
    pub limit: Limit,
    /// Failures of requests in a row. For a Service it opens once none of the endpoints is good.
    pub breaker: Breaker,
    /// Probes. For a Service it fails once those of all endpoints do.
    pub probed: Probed,
    /// What is on its way there.
    pub load: Load,
    /// What it takes in a minute.
    pub rates: Rates,
    ejections: AtomicU64,
}

impl Live {
    /// Of a provider that was not there before.
    pub fn new(max_in_flight: Option<u32>) -> Self {
        Self {
            limit: Limit::new(max_in_flight),
            breaker: Breaker::new(Instant::now()),
            probed: Probed::default(),
            load: Load::new(Instant::now()),
            rates: Rates::new(Instant::now()),
            ejections: AtomicU64::new(0),
        }
    }

    /// Takes a place for a request of so many tokens, if one is free. Each success wants one [`Live::release`].
    pub fn try_acquire(&self, tokens: u64) -> bool {
        if !self.limit.try_acquire() {
            return false;
        }
        if !self.rates.is_unlimited() && !self.rates.try_take(tokens, Instant::now()) {
            self.limit.release();
            return false;
        }
        self.load.add(tokens);
        true
    }

    /// Gives that place back.
    pub fn release(&self, tokens: u64) {
        self.load.remove(tokens);
        self.limit.release();
    }

    /// Whether nothing speaks against it, whatever the time is.
    pub fn is_clear(&self) -> bool {
        self.breaker.is_in() && !self.probed.is_failing()
    }

    /// Whether a request may be sent to it.
    pub fn is_available(&self, now: Instant) -> bool {
        !self.probed.is_failing() && self.breaker.standing(now) != Standing::Out
    }

    /// It, or one of the pods behind it, was taken out.
    pub fn count_ejection(&self) {
        self.ejections.fetch_add(1, Relaxed);
    }

    /// How often it, or one of the pods behind it, was taken out.
    pub fn ejections(&self) -> u64 {
        self.ejections.load(Relaxed)
    }

    /// Begins a try; `None` if the provider is out. With `force` it is tried all the same.
    pub fn begin(&self, rule: Option<Rule>, force: bool) -> Option<Trying<'_>> {
        if self.probed.is_failing() && !force {
            return None;
        }
        let Some(rule) = rule else {
            return Some(Trying { live: self, pass: None });
        };
        let pass = if force || self.breaker.is_in() {
            Pass::plain()
        } else {
            self.breaker.enter(Instant::now(), &rule)?
        };
        Some(Trying {
            live: self,
            pass: Some((rule, pass)),
        })
    }
}

/// A try at a provider. Dropping it says that the request was given up.
#[derive(Debug)]
pub struct Trying<'a> {
    live: &'a Live,
    pass: Option<(Rule, Pass)>,
}

impl Trying<'_> {
    /// The provider answered: with what was asked for, or with a no that is the client's own fault.
    pub fn succeeded(mut self) {
        if self.pass.take().is_some() {
            self.live.breaker.succeeded(Instant::now());
        }
    }

    /// The provider failed. `alone`: there is nothing behind it that is judged by itself, as the pods of a Service are.
    /// True if it is out from now on.
    pub fn failed(mut self, error: UpstreamErrorKind, alone: bool) -> bool {
        let Some((rule, pass)) = self.pass.take() else {
            return false;
        };
        let breaker = &self.live.breaker;
        breaker.failed(&pass, Instant::now(), &rule, error, || alone)
    }
}

impl Drop for Trying<'_> {
    fn drop(&mut self) {
        if let Some((_, pass)) = self.pass.take() {
            self.live.breaker.given_up(&pass, Instant::now());
        }
    }
}

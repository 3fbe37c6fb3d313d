//! What is live about a provider.

use std::sync::atomic::AtomicU64;
use std::sync::atomic::Ordering::Relaxed;

use tokio::time::Instant;

use super::breaker::{Breaker, Pass, Rule, Standing, Trouble};
use super::phase::Epoch;
use super::probed::Probed;
use super::rates::Rates;
use crate::admission::Limit;
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
    /// Which of the provider's terms is in force; see [`Live::serve`].
    term: AtomicU64,
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
            term: AtomicU64::new(0),
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

    /// From now on the provider is what it is in this term, which is a number that tells apart its places, in whose name it is
    /// asked, and the rules by which it is judged. To be said before its breaker begins a new epoch: requests of older configurations, which may wait
    /// long before they are sent, belong to neither.
    pub fn serve(&self, term: u64) {
        self.term.store(term, Relaxed);
    }

    /// Whether that is the term in force.
    pub fn is_served(&self, term: u64) -> bool {
        self.term.load(Relaxed) == term
    }

    /// Begins a try by the configuration of a term; `None` if the provider is out. With `force` it is tried all the same.
    pub fn begin(&self, term: u64, rule: Option<Rule>, force: bool) -> Option<Trying<'_>> {
        if self.probed.is_failing() && !force {
            return None;
        }
        let Some(rule) = rule else {
            return Some(Trying { live: self, pass: None });
        };
        let pass = if force || self.breaker.is_in() {
            self.breaker.pass()
        } else {
            self.breaker.enter(Instant::now(), &rule)?
        };
        let mut trying = Trying {
            live: self,
            pass: Some((rule, pass)),
        };
        // Looked at after the epoch: were it the other way round, both could change in between.
        if !self.is_served(term) {
            trying.give_up();
        }
        Some(trying)
    }
}

/// A try at a provider. Dropping it says that the request was given up.
#[derive(Debug)]
pub struct Trying<'a> {
    live: &'a Live,
    /// By what it is judged; `None`: by nothing.
    pass: Option<(Rule, Pass)>,
}

impl Trying<'_> {
    /// By what the try is judged, and in which epoch it began; `None` if its outcome says nothing.
    pub fn judged(&self) -> Option<(Rule, Epoch)> {
        self.pass.as_ref().map(|(rule, pass)| (*rule, pass.epoch()))
    }

    /// The provider answered: with what was asked for, or with a no that is the client's own fault. Says in which epoch the
    /// rest of its answer is to be judged, if it is.
    pub fn succeeded(mut self) -> Option<Epoch> {
        let (rule, pass) = self.pass.take()?;
        Some(self.live.breaker.succeeded(&pass, Instant::now(), &rule))
    }

    /// The provider failed. `alone`: there is nothing behind it that is judged by itself, as the pods of a Service are.
    /// True if it is out from now on.
    pub fn failed(mut self, trouble: Trouble<'_>, alone: bool) -> bool {
        let Some((rule, pass)) = self.pass.take() else {
            return false;
        };
        let breaker = &self.live.breaker;
        breaker.failed(&pass, Instant::now(), &rule, trouble, || alone)
    }

    fn give_up(&mut self) {
        if let Some((_, pass)) = self.pass.take() {
            self.live.breaker.given_up(&pass, Instant::now());
        }
    }
}

impl Drop for Trying<'_> {
    fn drop(&mut self) {
        self.give_up();
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;
    use crate::meter::UpstreamErrorKind;

    #[test]
    fn a_request_of_an_older_configuration_is_sent_and_its_outcome_says_nothing() {
        let rule = Rule {
            consecutive_errors: 1,
            eject_for: Duration::from_mins(1),
        };
        let trouble = Trouble {
            error: UpstreamErrorKind::Connect,
            loss: None,
        };
        let live = Live::new(None);
        live.serve(7);
        let early = live.begin(7, Some(rule), false).unwrap();
        live.serve(8);
        live.breaker.judge_anew();
        // The one began before the change, and the other waited in the queue until after it.
        let queued = live.begin(7, Some(rule), false).unwrap();
        assert!(queued.judged().is_none());
        assert!(!early.failed(trouble, true) && !queued.failed(trouble, true));
        assert!(live.breaker.is_in());
        let now = live.begin(8, Some(rule), false).unwrap();
        assert!(now.failed(trouble, true) && !live.breaker.is_in());
        // Nor does it take in what is out.
        assert!(live.begin(7, Some(rule), true).unwrap().succeeded().is_none());
        assert!(!live.breaker.is_in());
    }
}

//! Takes out what fails again and again, lets single requests try it after a while, and takes it back in slowly.
//!
//! Two kinds of failures are counted, each in a row: requests without an answer, and answers that began and broke off. An
//! answer that begins ends the first row and not the second, so that what breaks off each time is taken out too.

use std::sync::atomic::Ordering::Relaxed;
use std::sync::atomic::{AtomicU8, AtomicU32, AtomicU64};
use std::time::Duration;

use tokio::time::Instant;

use crate::meter::UpstreamErrorKind;

/// Share of its traffic that something gets in the first moment after it was taken back in.
const SLOW_START_FROM: f64 = 0.1;

/// When something is taken out, and for how long.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Rule {
    /// Failures of one kind in a row. Never 0.
    pub consecutive_errors: u32,
    /// How long nothing is sent to it. When it is back, its share of the traffic grows during as long.
    pub eject_for: Duration,
}

/// Where something stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Standing {
    /// It gets requests.
    In,
    /// It gets none.
    Out,
    /// It was out for long enough: one request at a time may try it.
    Trial,
}

/// Counts failures in a row. Shared by all workers without a lock: while nothing fails, a request costs two reads.
///
/// Moments are milliseconds since `base`, from 1, so that they fit into an atomic and 0 is none.
#[derive(Debug)]
pub struct Breaker {
    base: Instant,
    /// Requests in a row without an answer.
    errors: AtomicU32,
    /// Answers in a row that broke off, of those that were passed on as they came.
    breaks: AtomicU32,
    /// Out until then; 0: in. Once it has passed, whoever moves it on holds the trial.
    out_until: AtomicU64,
    /// Since when it stands as it does.
    since: AtomicU64,
    /// When it was taken back in; 0: it was never out, or its slow start is over.
    back_at: AtomicU64,
    /// What the last failure was, by [`UpstreamErrorKind::index`].
    last_error: AtomicU8,
}

/// A request that was let through. Dropping it without a word on how it went frees a trial for the next one.
#[derive(Debug)]
#[must_use]
pub struct Pass {
    /// The end of the trial that it holds; 0: none.
    trial_until: u64,
}

impl Pass {
    /// For a request to what is in, or to what is out where there is nowhere else to go.
    pub fn plain() -> Self {
        Self { trial_until: 0 }
    }
}

/// Why something is out.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Outage {
    /// The last failure.
    pub error: UpstreamErrorKind,
    /// How many of a kind there were in a row.
    pub errors: u32,
}

impl Breaker {
    /// Of something that has not failed yet.
    pub fn new(now: Instant) -> Self {
        Self {
            base: now,
            errors: AtomicU32::new(0),
            breaks: AtomicU32::new(0),
            out_until: AtomicU64::new(0),
            since: AtomicU64::new(1),
            back_at: AtomicU64::new(0),
            last_error: AtomicU8::new(0),
        }
    }

    /// Whether it is in, whatever the time is.
    pub fn is_in(&self) -> bool {
        self.out_until.load(Relaxed) == 0
    }

    /// Where it stands.
    pub fn standing(&self, now: Instant) -> Standing {
        match self.out_until.load(Relaxed) {
            0 => Standing::In,
            until if self.moment(now) < until => Standing::Out,
            _ => Standing::Trial,
        }
    }

    /// Lets a request through; `None` while it is out, or while another one tries it.
    pub fn enter(&self, now: Instant, rule: &Rule) -> Option<Pass> {
        let until = self.out_until.load(Relaxed);
        if until == 0 {
            return Some(Pass::plain());
        }
        let now = self.moment(now);
        if now < until {
            return None;
        }
        let trial_until = now.saturating_add(millis(rule.eject_for)).max(until + 1);
        self.out_until
            .compare_exchange(until, trial_until, Relaxed, Relaxed)
            .is_ok()
            .then_some(Pass { trial_until })
    }

    /// The request was answered: the answer is here, or has begun.
    pub fn succeeded(&self, now: Instant) {
        if self.errors.load(Relaxed) != 0 {
            self.errors.store(0, Relaxed);
        }
        if self.out_until.load(Relaxed) != 0 && self.out_until.swap(0, Relaxed) != 0 {
            let now = self.moment(now);
            self.back_at.store(now, Relaxed);
            self.since.store(now, Relaxed);
        }
    }

    /// The request failed. With as many failures in a row as `rule` says, it is taken out if `may_eject` allows it; true
    /// if it now is for the first time.
    pub fn failed(
        &self,
        pass: &Pass,
        now: Instant,
        rule: &Rule,
        error: UpstreamErrorKind,
        may_eject: impl FnOnce() -> bool,
    ) -> bool {
        self.last_error.store(error.index(), Relaxed);
        let errors = self.errors.fetch_add(1, Relaxed).saturating_add(1);
        let until = self.moment(now).saturating_add(millis(rule.eject_for)).max(1);
        if pass.trial_until != 0 {
            // Out for another while, unless it was taken back in meanwhile. Never the same number, so that this trial is
            // over for good.
            let until = until.max(pass.trial_until + 1);
            let _ = self
                .out_until
                .compare_exchange(pass.trial_until, until, Relaxed, Relaxed);
            return false;
        }
        errors >= rule.consecutive_errors && self.is_in() && may_eject() && self.eject(now, until)
    }

    /// An answer that was passed on as it came is over, and is whole.
    pub fn came_whole(&self) {
        if self.breaks.load(Relaxed) != 0 {
            self.breaks.store(0, Relaxed);
        }
    }

    /// An answer that had begun broke off. With as many in a row as `rule` says, it is taken out if `may_eject` allows it;
    /// true if it now is for the first time.
    pub fn broke_off(
        &self,
        now: Instant,
        rule: &Rule,
        error: UpstreamErrorKind,
        may_eject: impl FnOnce() -> bool,
    ) -> bool {
        let breaks = self.breaks.fetch_add(1, Relaxed).saturating_add(1);
        // What is out already is so for the reason that took it out.
        if breaks < rule.consecutive_errors || !self.is_in() || !may_eject() {
            return false;
        }
        self.trip(now, rule, error)
    }

    /// The request was given up before anybody could say how it went.
    pub fn given_up(&self, pass: &Pass, now: Instant) {
        if pass.trial_until != 0 {
            let now = self.moment(now);
            let _ = self.out_until.compare_exchange(pass.trial_until, now, Relaxed, Relaxed);
        }
    }

    /// Whether it has failed so often that `rule` would take it out, be it out or not.
    pub fn is_bad(&self, rule: &Rule) -> bool {
        !self.is_in() || self.in_a_row() >= rule.consecutive_errors
    }

    fn in_a_row(&self) -> u32 {
        self.errors.load(Relaxed).max(self.breaks.load(Relaxed))
    }

    /// Takes it out, whatever it counted; true if it was in.
    pub fn trip(&self, now: Instant, rule: &Rule, error: UpstreamErrorKind) -> bool {
        self.last_error.store(error.index(), Relaxed);
        let until = self.moment(now).saturating_add(millis(rule.eject_for)).max(1);
        self.eject(now, until)
    }

    /// Takes it back in, as when a new configuration no longer takes anything out.
    pub fn reset(&self, now: Instant) {
        self.succeeded(now);
        self.came_whole();
        self.back_at.store(0, Relaxed);
    }

    fn eject(&self, now: Instant, until: u64) -> bool {
        let ejected = self.out_until.compare_exchange(0, until, Relaxed, Relaxed).is_ok();
        if ejected {
            self.since.store(self.moment(now), Relaxed);
        }
        ejected
    }

    /// Whether it was taken back in and may still get less than its share.
    pub fn is_slow(&self) -> bool {
        self.back_at.load(Relaxed) != 0
    }

    /// The share of its usual traffic that it should get: less than 1 after it was taken back in, in a straight line.
    pub fn share(&self, now: Instant, rule: &Rule) -> f64 {
        let back_at = self.back_at.load(Relaxed);
        if back_at == 0 {
            return 1.0;
        }
        let back = self.moment(now).saturating_sub(back_at) as f64 / millis(rule.eject_for).max(1) as f64;
        if back >= 1.0 {
            // The next one need not reckon. A return in this very moment is worth no exactness.
            self.back_at.store(0, Relaxed);
            return 1.0;
        }
        SLOW_START_FROM + (1.0 - SLOW_START_FROM) * back
    }

    /// Why it is out; `None` if it is in.
    pub fn outage(&self) -> Option<Outage> {
        (!self.is_in()).then(|| Outage {
            error: UpstreamErrorKind::of_index(self.last_error.load(Relaxed)),
            errors: self.in_a_row(),
        })
    }

    /// For how long it stands as it does.
    pub fn stands_for(&self, now: Instant) -> Duration {
        Duration::from_millis(self.moment(now).saturating_sub(self.since.load(Relaxed)))
    }

    fn moment(&self, at: Instant) -> u64 {
        millis(at.saturating_duration_since(self.base)).saturating_add(1)
    }
}

fn millis(duration: Duration) -> u64 {
    u64::try_from(duration.as_millis()).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    const RULE: Rule = Rule {
        consecutive_errors: 3,
        eject_for: Duration::from_secs(10),
    };

    fn fail(breaker: &Breaker, now: Instant, times: u32) {
        for _ in 0..times {
            let pass = breaker.enter(now, &RULE).expect("it is in");
            breaker.failed(&pass, now, &RULE, UpstreamErrorKind::Connect, || true);
        }
    }

    fn seconds(seconds: u64) -> Duration {
        Duration::from_secs(seconds)
    }

    #[test]
    fn failures_in_a_row_take_out_and_a_success_between_them_starts_anew() {
        let start = Instant::now();
        let breaker = Breaker::new(start);
        fail(&breaker, start, 2);
        breaker.succeeded(start);
        fail(&breaker, start, 2);
        assert_eq!(breaker.standing(start), Standing::In);
        fail(&breaker, start, 1);
        assert_eq!(breaker.standing(start), Standing::Out);
        assert!(breaker.enter(start + seconds(9), &RULE).is_none());
        let outage = breaker.outage().unwrap();
        assert_eq!((outage.error, outage.errors), (UpstreamErrorKind::Connect, 3));
        assert_eq!(breaker.stands_for(start + seconds(4)), seconds(4));
    }

    #[test]
    fn after_its_time_one_request_at_a_time_tries_it() {
        let start = Instant::now();
        let breaker = Breaker::new(start);
        fail(&breaker, start, 3);
        let later = start + seconds(10);
        assert_eq!(breaker.standing(later), Standing::Trial);
        let trial = breaker.enter(later, &RULE).unwrap();
        assert!(breaker.enter(later, &RULE).is_none(), "somebody tries it already");
        breaker.failed(&trial, later, &RULE, UpstreamErrorKind::Connect, || true);
        assert_eq!(breaker.standing(later + seconds(9)), Standing::Out);
        let again = later + seconds(11);
        let trial = breaker.enter(again, &RULE).unwrap();
        breaker.given_up(&trial, again);
        let trial = breaker
            .enter(again, &RULE)
            .expect("a trial that was given up is free again");
        breaker.succeeded(again);
        drop(trial);
        assert_eq!(breaker.standing(again), Standing::In);
    }

    #[test]
    fn what_comes_back_gets_its_share_slowly() {
        let start = Instant::now();
        let breaker = Breaker::new(start);
        assert!((breaker.share(start, &RULE) - 1.0).abs() < 1e-9);
        fail(&breaker, start, 3);
        let back = start + seconds(10);
        let _trial = breaker.enter(back, &RULE).unwrap();
        breaker.succeeded(back);
        for (after, expected) in [(0, 0.1), (5, 0.55), (10, 1.0), (11, 1.0)] {
            let share = breaker.share(back + seconds(after), &RULE);
            assert!((share - expected).abs() < 0.01, "{share} after {after} s");
        }
    }

    #[test]
    fn answers_that_break_off_in_a_row_take_out_although_each_began() {
        let start = Instant::now();
        let breaker = Breaker::new(start);
        let stream = |now, whole| {
            let _pass = breaker.enter(now, &RULE).expect("it is in, or may be tried");
            breaker.succeeded(now);
            if whole {
                breaker.came_whole();
                return false;
            }
            breaker.broke_off(now, &RULE, UpstreamErrorKind::Interrupted, || true)
        };
        assert!(!stream(start, false) && !stream(start, false) && !stream(start, true));
        assert!(
            !stream(start, false) && !stream(start, false),
            "a whole one started anew"
        );
        assert!(stream(start, false));
        let outage = breaker.outage().unwrap();
        assert_eq!((outage.error, outage.errors), (UpstreamErrorKind::Interrupted, 3));
        // The one that tries it takes it in as soon as it begins, and its break takes it out again.
        let later = start + seconds(10);
        assert!(stream(later, false));
        assert_eq!(breaker.standing(later), Standing::Out);
        assert!(!stream(later + seconds(10), true));
        assert_eq!(breaker.standing(later + seconds(10)), Standing::In);
        assert!(!breaker.is_bad(&RULE));
    }

    #[test]
    fn nothing_is_taken_out_against_the_will_of_the_group_and_late_failures_do_not_prolong() {
        let start = Instant::now();
        let breaker = Breaker::new(start);
        let late = breaker.enter(start, &RULE).unwrap();
        for _ in 0..9 {
            let pass = breaker.enter(start, &RULE).unwrap();
            assert!(!breaker.failed(&pass, start, &RULE, UpstreamErrorKind::Reset, || false));
        }
        assert!(breaker.is_bad(&RULE));
        assert_eq!(breaker.standing(start), Standing::In);
        fail(&breaker, start, 1);
        breaker.failed(&late, start + seconds(9), &RULE, UpstreamErrorKind::Reset, || true);
        assert_eq!(breaker.standing(start + seconds(10)), Standing::Trial);
    }

    #[test]
    fn many_threads_get_one_trial_between_them() {
        let start = Instant::now();
        let breaker = Breaker::new(start);
        fail(&breaker, start, 3);
        let trials: usize = std::thread::scope(|scope| {
            let enter = || {
                (0..1_000)
                    .filter(|_| breaker.enter(start + seconds(10), &RULE).is_some())
                    .count()
            };
            let threads: Vec<_> = (0..4).map(|_| scope.spawn(enter)).collect();
            threads.into_iter().map(|thread| thread.join().unwrap()).sum()
        });
        assert_eq!(trials, 1);
    }
}

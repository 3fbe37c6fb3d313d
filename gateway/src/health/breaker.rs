//! Takes out what fails again and again, lets single requests try it after a while, and takes it back in slowly.
//!
//! Two kinds of failures are counted, each in a row: requests without an answer, and answers that began and broke off. An
//! answer that begins ends the first row and not the second, so that what breaks off each time is taken out too.
//!
//! Being taken out, being taken back in and another rule each begin an [`Epoch`]. A request is judged in the epoch in which
//! it was let through: what ends later says how things were, and neither takes out what has come back nor takes in what is out.

use std::sync::atomic::Ordering::Relaxed;
use std::sync::atomic::{AtomicU8, AtomicU32, AtomicU64};
use std::time::Duration;

use tokio::time::Instant;

use super::loss::Loss;
use super::phase::{Epoch, LAST_MOMENT, Phase, PhaseCell};
use crate::meter::UpstreamErrorKind;

/// Share of its traffic that something gets in the first moment after it was taken back in.
const SLOW_START_FROM: f64 = 0.1;
/// Answers that broke off with more time than this between them are no row: longer than answers take, so that a provider
/// that cuts each of them off late is taken out too.
const ROW_LASTS: Duration = Duration::from_hours(1);

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

/// A failure that speaks against where it happened.
#[derive(Debug, Clone, Copy)]
pub struct Trouble<'a> {
    /// What happened.
    pub error: UpstreamErrorKind,
    /// The loss of a connection of which it is a part; `None`: it is an event of its own.
    pub loss: Option<&'a Loss>,
}

/// Counts failures in a row. Shared by all workers without a lock: while nothing fails, a request costs two reads.
///
/// Moments are milliseconds since `base`, from 1, so that they fit into an atomic and 0 is none.
#[derive(Debug)]
pub struct Breaker {
    base: Instant,
    phase: PhaseCell,
    /// Requests in a row without an answer.
    errors: AtomicU32,
    /// Answers in a row that broke off, of those that were passed on as they came.
    breaks: AtomicU32,
    /// When the last of them did; 0: none has yet.
    broke_at: AtomicU64,
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
    /// When it was let through.
    epoch: Epoch,
    /// The end of the trial that it holds; 0: none.
    trial_until: u64,
}

impl Pass {
    /// When the request was let through.
    pub fn epoch(&self) -> Epoch {
        self.epoch
    }

    /// The phase of something that nobody but the holder tries.
    fn held(&self) -> Phase {
        Phase {
            epoch: self.epoch,
            out_until: self.trial_until,
        }
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
            phase: PhaseCell::default(),
            errors: AtomicU32::new(0),
            breaks: AtomicU32::new(0),
            broke_at: AtomicU64::new(0),
            since: AtomicU64::new(1),
            back_at: AtomicU64::new(0),
            last_error: AtomicU8::new(0),
        }
    }

    /// Whether it is in, whatever the time is.
    pub fn is_in(&self) -> bool {
        self.phase.load().is_in()
    }

    /// Where it stands.
    pub fn standing(&self, now: Instant) -> Standing {
        match self.phase.load().out_until {
            0 => Standing::In,
            until if self.moment(now) < until => Standing::Out,
            _ => Standing::Trial,
        }
    }

    /// For a request to what is in, or to what is out where there is nowhere else to go.
    pub fn pass(&self) -> Pass {
        Pass {
            epoch: self.phase.load().epoch,
            trial_until: 0,
        }
    }

    /// Lets a request through; `None` while it is out, or while another one tries it.
    pub fn enter(&self, now: Instant, rule: &Rule) -> Option<Pass> {
        let phase = self.phase.load();
        if phase.is_in() {
            return Some(Pass {
                epoch: phase.epoch,
                trial_until: 0,
            });
        }
        if self.moment(now) < phase.out_until {
            return None;
        }
        let trial = Pass {
            epoch: phase.epoch,
            trial_until: self.out_until(now, rule).max(phase.out_until + 1),
        };
        self.phase.change(phase, trial.held()).then_some(trial)
    }

    /// The request was answered: the answer is here, or has begun. Says in which epoch the rest of it is to be judged: in the
    /// one that it began itself, if it takes it back in.
    pub fn succeeded(&self, pass: &Pass, now: Instant, rule: &Rule) -> Epoch {
        let phase = self.phase.load();
        if phase.epoch != pass.epoch {
            return pass.epoch;
        }
        if self.errors.load(Relaxed) != 0 {
            self.errors.store(0, Relaxed);
        }
        if phase.is_in() {
            return pass.epoch;
        }
        let back = Phase {
            epoch: pass.epoch.next(),
            out_until: 0,
        };
        let out = |phase: Phase| phase.epoch == pass.epoch && !phase.is_in();
        if self.phase.update(|phase| out(phase).then_some(back)).is_none() {
            return pass.epoch;
        }
        // It is no longer bad. If answers broke off before, the next that does takes it out again all the same.
        self.breaks
            .fetch_min(rule.consecutive_errors.saturating_sub(1), Relaxed);
        let now = self.moment(now);
        self.back_at.store(now, Relaxed);
        self.since.store(now, Relaxed);
        back.epoch
    }

    /// The request failed. With as many failures in a row as `rule` says, it is taken out if `may_eject` allows it; true
    /// if it now is for the first time.
    pub fn failed(
        &self,
        pass: &Pass,
        now: Instant,
        rule: &Rule,
        trouble: Trouble<'_>,
        may_eject: impl FnOnce() -> bool,
    ) -> bool {
        if self.phase.load().epoch != pass.epoch {
            return false;
        }
        let trial = pass.trial_until != 0;
        if !trial && trouble.loss.is_some_and(|loss| !loss.is_first_error()) {
            return false;
        }
        self.last_error.store(trouble.error.index(), Relaxed);
        let errors = self.errors.fetch_add(1, Relaxed).saturating_add(1);
        if trial {
            // Out for another while, unless it was taken back in meanwhile. Never the same number, so that this trial is
            // over for good.
            let longer = Phase {
                epoch: pass.epoch,
                out_until: self.out_until(now, rule).max(pass.trial_until + 1),
            };
            self.phase.change(pass.held(), longer);
            return false;
        }
        errors >= rule.consecutive_errors
            && self.is_in()
            && may_eject()
            && self.trip(pass.epoch, now, rule, trouble.error)
    }

    /// An answer of this epoch that was passed on as it came is over, and is whole.
    pub fn came_whole(&self, epoch: Epoch) {
        if self.breaks.load(Relaxed) != 0 && self.phase.load().epoch == epoch {
            self.breaks.store(0, Relaxed);
        }
    }

    /// An answer of this epoch that had begun broke off. With as many in a row as `rule` says, it is taken out if `may_eject`
    /// allows it; true if it now is for the first time.
    pub fn broke_off(
        &self,
        epoch: Epoch,
        now: Instant,
        rule: &Rule,
        trouble: Trouble<'_>,
        may_eject: impl FnOnce() -> bool,
    ) -> bool {
        let first = || trouble.loss.is_none_or(Loss::is_first_break);
        if self.phase.load().epoch != epoch || !first() {
            return false;
        }
        let at = self.moment(now);
        let last = self.broke_at.swap(at, Relaxed);
        if at.saturating_sub(last) > millis(ROW_LASTS) {
            self.breaks.store(0, Relaxed);
        }
        let breaks = self.breaks.fetch_add(1, Relaxed).saturating_add(1);
        // What is out already is so for the reason that took it out.
        if breaks < rule.consecutive_errors || !self.is_in() || !may_eject() {
            return false;
        }
        self.trip(epoch, now, rule, trouble.error)
    }

    /// The request was given up before anybody could say how it went.
    pub fn given_up(&self, pass: &Pass, now: Instant) {
        if pass.trial_until != 0 {
            let free = Phase {
                epoch: pass.epoch,
                out_until: self.moment(now),
            };
            self.phase.change(pass.held(), free);
        }
    }

    /// Whether it is out, or has failed so often of late that `rule` would take it out. Answers that broke off speak against
    /// it for no longer than it would be out for them.
    pub fn is_bad(&self, now: Instant, rule: &Rule) -> bool {
        let broke = self.moment(now).saturating_sub(self.broke_at.load(Relaxed));
        !self.is_in()
            || self.errors.load(Relaxed) >= rule.consecutive_errors
            || self.breaks.load(Relaxed) >= rule.consecutive_errors && broke < millis(rule.eject_for)
    }

    /// Takes it out if it is in and its epoch is still this one, whatever it counted; true if that is so.
    pub fn trip(&self, epoch: Epoch, now: Instant, rule: &Rule, error: UpstreamErrorKind) -> bool {
        let well = Phase { epoch, out_until: 0 };
        let out = Phase {
            epoch: epoch.next(),
            out_until: self.out_until(now, rule),
        };
        let tripped = self.phase.change(well, out);
        if tripped {
            self.last_error.store(error.index(), Relaxed);
            self.since.store(self.moment(now), Relaxed);
        }
        tripped
    }

    /// Takes it back in and forgets what it counted, as when a new configuration no longer takes anything out.
    pub fn reset(&self, now: Instant) {
        let anew = |phase: Phase| Phase {
            epoch: phase.epoch.next(),
            out_until: 0,
        };
        let before = self.phase.update(|phase| Some(anew(phase)));
        if before.is_some_and(|phase| !phase.is_in()) {
            self.since.store(self.moment(now), Relaxed);
        }
        self.forget();
        self.back_at.store(0, Relaxed);
    }

    /// From now on it is judged by another rule, or is asked in another name. What is out stays so until its time is over.
    pub fn judge_anew(&self) {
        let judged_anew = |phase: Phase| Phase {
            epoch: phase.epoch.next(),
            ..phase
        };
        let before = self.phase.update(|phase| Some(judged_anew(phase)));
        // What is out is so for what was counted, which is told as long.
        if before.is_some_and(Phase::is_in) {
            self.forget();
        }
    }

    fn forget(&self) {
        self.errors.store(0, Relaxed);
        self.breaks.store(0, Relaxed);
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
            errors: self.errors.load(Relaxed).max(self.breaks.load(Relaxed)),
        })
    }

    /// For how long it stands as it does.
    pub fn stands_for(&self, now: Instant) -> Duration {
        Duration::from_millis(self.moment(now).saturating_sub(self.since.load(Relaxed)))
    }

    /// Until when something is out that is taken out now.
    fn out_until(&self, now: Instant, rule: &Rule) -> u64 {
        self.moment(now).saturating_add(millis(rule.eject_for)).min(LAST_MOMENT)
    }

    fn moment(&self, at: Instant) -> u64 {
        millis(at.saturating_duration_since(self.base)).saturating_add(1)
    }
}

fn millis(duration: Duration) -> u64 {
    u64::try_from(duration.as_millis()).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests;

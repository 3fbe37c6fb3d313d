//! What active probes say about a place.

use std::sync::atomic::AtomicBool;
use std::sync::atomic::Ordering::Relaxed;

use parking_lot::Mutex;
use tokio::time::Instant;

/// Failed probes in a row from which on nothing is sent to a place: a single lost packet says nothing.
const FAILURES: u32 = 3;

/// The outcome of the last probes. Written by the prober alone, read by all workers.
#[derive(Debug, Default)]
pub struct Probed {
    failing: AtomicBool,
    history: Mutex<History>,
}

#[derive(Debug, Default)]
struct History {
    failures: u32,
    since: Option<Instant>,
    why: Option<Box<str>>,
}

/// Why and since when probes fail.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ProbeOutage {
    /// What the last probe found.
    pub why: Box<str>,
    /// Since when nothing is sent there.
    pub since: Instant,
}

impl Probed {
    /// Whether probes say that nothing should be sent there. False for a place that is not probed.
    pub fn is_failing(&self) -> bool {
        self.failing.load(Relaxed)
    }

    /// A probe was answered as it should be; true if the place was out until now.
    pub fn succeeded(&self, now: Instant) -> bool {
        let mut history = self.history.lock();
        history.failures = 0;
        history.why = None;
        let was = self.failing.swap(false, Relaxed);
        if was {
            history.since = Some(now);
        }
        was
    }

    /// A probe failed; true if that takes the place out.
    pub fn failed(&self, now: Instant, why: &str) -> bool {
        let mut history = self.history.lock();
        history.failures = history.failures.saturating_add(1);
        history.why = Some(why.into());
        let out = history.failures >= FAILURES && !self.failing.swap(true, Relaxed);
        if out {
            history.since = Some(now);
        }
        out
    }

    /// Says outright whether it fails, and why: for what is made up of other places.
    pub fn set(&self, now: Instant, failing: Option<&str>) {
        let mut history = self.history.lock();
        if self.failing.swap(failing.is_some(), Relaxed) != failing.is_some() {
            history.since = Some(now);
        }
        history.why = failing.map(Into::into);
    }

    /// Why and since when it is out.
    pub fn outage(&self) -> Option<ProbeOutage> {
        if !self.is_failing() {
            return None;
        }
        let history = self.history.lock();
        Some(ProbeOutage {
            why: history.why.clone()?,
            since: history.since?,
        })
    }

    /// When it came back, if it was ever out.
    pub fn back_since(&self) -> Option<Instant> {
        self.history.lock().since.filter(|_| !self.is_failing())
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    #[test]
    fn three_failed_probes_take_out_and_one_good_one_takes_back_in() {
        let (start, later) = (Instant::now(), Instant::now() + Duration::from_secs(10));
        let probed = Probed::default();
        assert_eq!(
            [1, 2, 3, 4].map(|_| probed.failed(start, "GET /models answers 500")),
            [false, false, true, false]
        );
        let outage = probed.outage().unwrap();
        assert_eq!((&*outage.why, outage.since), ("GET /models answers 500", start));
        assert!(probed.succeeded(later) && !probed.succeeded(later));
        assert_eq!((probed.outage(), probed.back_since()), (None, Some(later)));
        assert_eq!([1, 2].map(|_| probed.failed(later, "x")), [false, false]);
        probed.succeeded(later);
        assert!(!probed.failed(later, "x") && !probed.is_failing(), "not in a row");
    }
}

//! The decisions of leader election, without a client.

use std::time::{Duration, Instant};

/// How long what may take.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Timing {
    /// How long a lease holds without renewal.
    pub lease_duration: Duration,
    /// The holder gives up when it could not renew for this long.
    pub renew_deadline: Duration,
    /// Pause between two tries to acquire or renew.
    pub retry_period: Duration,
}

/// Why a [`Timing`] cannot keep two leaders apart.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum TimingError {
    /// The holder would act on after others may take over.
    #[error("the lease duration must be longer than the renew deadline")]
    DeadlineAfterLease,
    /// The holder would give up before its second try.
    #[error("the renew deadline must be longer than the retry period")]
    RetryAfterDeadline,
    /// A lease counts whole seconds.
    #[error("the lease duration must be at least one second")]
    TooShort,
}

impl Timing {
    /// Checks that a holder stops before another one may start.
    pub fn checked(self) -> Result<Self, TimingError> {
        if self.lease_duration < Duration::from_secs(1) {
            Err(TimingError::TooShort)
        } else if self.lease_duration <= self.renew_deadline {
            Err(TimingError::DeadlineAfterLease)
        } else if self.renew_deadline <= self.retry_period {
            Err(TimingError::RetryAfterDeadline)
        } else {
            Ok(self)
        }
    }
}

/// What the lease said when it was last read.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Record {
    /// Who holds it; empty: nobody.
    pub holder: String,
    /// How long it holds without renewal.
    pub duration: Duration,
    /// Version of the object: it changes with every renewal.
    pub version: String,
}

/// A record and when this process saw it first.
#[derive(Debug, Clone)]
pub struct Observed {
    record: Record,
    since: Instant,
}

/// What to do about the lease now.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Decision {
    /// It is ours: renew it.
    Renew,
    /// It is free, given back, or over: take it.
    Take,
    /// Somebody else holds it.
    Wait,
}

/// Remembers a record that was read; the moment counts from the first time that this version was seen.
pub fn observe(before: Option<Observed>, record: Record, now: Instant) -> Observed {
    match before {
        Some(observed) if observed.record.version == record.version => observed,
        _ => Observed { record, since: now },
    }
}

/// Decides for the replica `me`.
pub fn decide(observed: &Observed, me: &str, now: Instant) -> Decision {
    if observed.record.holder == me {
        Decision::Renew
    } else if observed.record.holder.is_empty() || now.duration_since(observed.since) > observed.record.duration {
        Decision::Take
    } else {
        Decision::Wait
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const LEASE: Duration = Duration::from_secs(15);

    fn record(holder: &str, version: &str) -> Record {
        Record {
            holder: holder.into(),
            duration: LEASE,
            version: version.into(),
        }
    }

    #[test]
    fn a_lease_of_another_is_taken_only_after_it_was_seen_unchanged_for_its_duration() {
        let start = Instant::now();
        let first = observe(None, record("other", "1"), start);
        let later = observe(Some(first), record("other", "1"), start + LEASE);
        assert_eq!(decide(&later, "me", start + LEASE), Decision::Wait);
        assert_eq!(
            decide(&later, "me", start + LEASE + Duration::from_millis(1)),
            Decision::Take
        );
    }

    #[test]
    fn a_renewal_starts_the_wait_anew() {
        let start = Instant::now();
        let first = observe(None, record("other", "1"), start);
        let renewed = observe(Some(first), record("other", "2"), start + LEASE);
        assert_eq!(decide(&renewed, "me", start + LEASE * 2), Decision::Wait);
    }

    #[test]
    fn a_lease_given_back_is_taken_at_once_and_an_own_one_renewed() {
        let now = Instant::now();
        assert_eq!(decide(&observe(None, record("", "1"), now), "me", now), Decision::Take);
        assert_eq!(
            decide(&observe(None, record("me", "1"), now), "me", now),
            Decision::Renew
        );
    }

    #[test]
    fn timings_that_allow_two_leaders_are_refused() {
        let timing = |lease, deadline, retry| Timing {
            lease_duration: Duration::from_secs(lease),
            renew_deadline: Duration::from_secs(deadline),
            retry_period: Duration::from_secs(retry),
        };
        assert!(timing(15, 10, 2).checked().is_ok());
        assert_eq!(timing(10, 10, 2).checked(), Err(TimingError::DeadlineAfterLease));
        assert_eq!(timing(15, 2, 2).checked(), Err(TimingError::RetryAfterDeadline));
        assert_eq!(timing(0, 0, 0).checked(), Err(TimingError::TooShort));
    }
}

//! What a connection of a client is doing, to find those that do nothing.

use std::sync::atomic::Ordering::Relaxed;
use std::sync::atomic::{AtomicU32, AtomicU64};
use std::time::Duration;

/// A connection without a request is closed after this time. Longer than what clients and load balancers keep theirs
/// (60 to 90 s is common), so that it is them who close, and no request meets a closing connection.
const IDLE: Duration = Duration::from_mins(2);
/// A client that has not read its answer this long after the request's own end does not want it.
const UNREAD: Duration = Duration::from_mins(1);

/// One connection's requests. Times are those of the worker's meter, in milliseconds.
#[derive(Debug)]
pub(super) struct Activity {
    running: AtomicU32,
    /// Of those, the ones whose answers have begun.
    answering: AtomicU32,
    idle_since: AtomicU64,
    /// The latest moment at which one of those must be done.
    end_by: AtomicU64,
}

/// What is to be done with a connection.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Verdict {
    /// Nothing.
    Keep,
    /// It has been idle for long: close it in peace.
    Idle,
    /// Nobody reads from it: cut it.
    Stuck,
}

impl Activity {
    /// A connection that begins.
    pub(super) fn new(now: Duration) -> Self {
        Self {
            running: AtomicU32::new(0),
            answering: AtomicU32::new(0),
            idle_since: AtomicU64::new(millis(now)),
            end_by: AtomicU64::new(0),
        }
    }

    pub(super) fn begin(&self) {
        self.running.fetch_add(1, Relaxed);
    }

    /// A request has ended; `answered`: after its answer had begun.
    pub(super) fn end(&self, now: Duration, answered: bool) {
        self.idle_since.store(millis(now), Relaxed);
        self.running.fetch_sub(1, Relaxed);
        if answered && self.answering.fetch_sub(1, Relaxed) == 1 {
            self.end_by.store(0, Relaxed);
        }
    }

    /// The answer to a request has begun, and must be done by then.
    pub(super) fn answer(&self, end_by: Duration) {
        self.answering.fetch_add(1, Relaxed);
        self.end_by.fetch_max(millis(end_by), Relaxed);
    }

    pub(super) fn verdict(&self, now: Duration) -> Verdict {
        let now = millis(now);
        if self.running.load(Relaxed) == 0 {
            let idle = now.saturating_sub(self.idle_since.load(Relaxed));
            return if idle >= millis(IDLE) {
                Verdict::Idle
            } else {
                Verdict::Keep
            };
        }
        // A request that waits for its answer has deadlines of its own.
        let all_answered = self.answering.load(Relaxed) == self.running.load(Relaxed);
        let unread = now >= self.end_by.load(Relaxed).saturating_add(millis(UNREAD));
        if all_answered && unread {
            Verdict::Stuck
        } else {
            Verdict::Keep
        }
    }
}

fn millis(time: Duration) -> u64 {
    u64::try_from(time.as_millis()).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    const fn at(seconds: u64) -> Duration {
        Duration::from_secs(seconds)
    }

    #[test]
    fn a_connection_without_requests_is_idle_after_a_while_from_the_last_one() {
        let activity = Activity::new(at(100));
        assert_eq!(activity.verdict(at(219)), Verdict::Keep);
        activity.begin();
        assert_eq!(activity.verdict(at(400)), Verdict::Keep);
        activity.end(at(400), false);
        assert_eq!(activity.verdict(at(519)), Verdict::Keep);
        assert_eq!(activity.verdict(at(520)), Verdict::Idle);
    }

    #[test]
    fn an_answer_that_nobody_reads_is_stuck_after_its_end() {
        let activity = Activity::new(at(0));
        activity.begin();
        activity.begin();
        activity.answer(at(600));
        assert_eq!(
            activity.verdict(at(9_999)),
            Verdict::Keep,
            "one of both still waits for its answer"
        );
        activity.answer(at(500));
        assert_eq!(activity.verdict(at(659)), Verdict::Keep);
        assert_eq!(activity.verdict(at(660)), Verdict::Stuck);
    }

    #[test]
    fn an_earlier_answer_says_nothing_about_a_later_request() {
        let activity = Activity::new(at(0));
        activity.begin();
        activity.answer(at(10));
        activity.end(at(5), true);
        activity.begin();
        assert_eq!(activity.verdict(at(500)), Verdict::Keep);
        activity.answer(at(500));
        assert_eq!(activity.verdict(at(559)), Verdict::Keep);
        assert_eq!(activity.verdict(at(560)), Verdict::Stuck);
    }
}

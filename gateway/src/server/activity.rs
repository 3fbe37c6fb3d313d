//! What a connection of a client is doing, to find those that do nothing or too little.

use std::sync::atomic::Ordering::Relaxed;
use std::sync::atomic::{AtomicBool, AtomicU32, AtomicU64};
use std::time::Duration;

use super::patience::Patience;

/// One connection's requests and bytes. Times are those of the worker's meter, in milliseconds. All of it is written by
/// tasks of one worker.
#[derive(Debug)]
pub(super) struct Activity {
    running: AtomicU32,
    /// Of those, the ones whose answers have begun.
    answering: AtomicU32,
    /// Requests that have begun since the connection did. Wraps around.
    begun: AtomicU32,
    /// Bytes have come since the last request ended, so that the head of one has begun.
    head: AtomicBool,
    /// The last write did not find room.
    blocked: AtomicBool,
    /// Writes that found room. Wraps around.
    writes: AtomicU32,
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
    /// It sends the head of a request too slowly: cut it.
    SlowHead,
    /// Nobody reads from it: cut it.
    Unread,
}

/// Looks at an [`Activity`] now and then, and remembers what was there the last time.
#[derive(Debug, Default)]
pub(super) struct Watch {
    /// Which head was not whole, and when that was first seen.
    head: Option<(u32, Duration)>,
    /// After how many writes there was no room, and when that was first seen.
    blocked: Option<(u32, Duration)>,
}

impl Activity {
    /// A connection that begins.
    pub(super) fn new(now: Duration) -> Self {
        Self {
            running: AtomicU32::new(0),
            answering: AtomicU32::new(0),
            begun: AtomicU32::new(0),
            head: AtomicBool::new(false),
            blocked: AtomicBool::new(false),
            writes: AtomicU32::new(0),
            idle_since: AtomicU64::new(millis(now)),
            end_by: AtomicU64::new(0),
        }
    }

    pub(super) fn begin(&self) {
        self.running.fetch_add(1, Relaxed);
        self.begun.store(self.begun.load(Relaxed).wrapping_add(1), Relaxed);
        self.head.store(false, Relaxed);
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

    /// Bytes have come.
    pub(super) fn received(&self) {
        if self.running.load(Relaxed) == 0 {
            self.head.store(true, Relaxed);
        }
    }

    /// Bytes were written, or could not be.
    pub(super) fn sent(&self, blocked: bool) {
        self.blocked.store(blocked, Relaxed);
        if !blocked {
            self.writes.store(self.writes.load(Relaxed).wrapping_add(1), Relaxed);
        }
    }
}

impl Watch {
    /// Judges a connection. To be asked again and again; a verdict may come as late as the next question.
    pub(super) fn verdict(&mut self, activity: &Activity, patience: &Patience, http2: bool, now: Duration) -> Verdict {
        let blocked = activity.blocked.load(Relaxed);
        let writes = activity.writes.load(Relaxed);
        if lasts(&mut self.blocked, blocked.then_some(writes), now) >= Some(patience.unread) {
            return Verdict::Unread;
        }
        let running = activity.running.load(Relaxed);
        // With HTTP/2 bytes without a request are pings and windows.
        let head = running == 0 && activity.head.load(Relaxed) && !http2;
        let begun = activity.begun.load(Relaxed);
        if lasts(&mut self.head, head.then_some(begun), now) >= Some(patience.head) {
            return Verdict::SlowHead;
        }
        let now = millis(now);
        if running == 0 {
            let idle = now.saturating_sub(activity.idle_since.load(Relaxed));
            return if idle >= millis(patience.idle) && !blocked {
                Verdict::Idle
            } else {
                Verdict::Keep
            };
        }
        // A request that waits for its answer has deadlines of its own. One that is answered and does not end, without a
        // blocked write, is that of an HTTP/2 client that gives no window.
        let all_answered = activity.answering.load(Relaxed) == running;
        let over = activity.end_by.load(Relaxed).saturating_add(millis(patience.unread));
        if all_answered && now >= over {
            Verdict::Unread
        } else {
            Verdict::Keep
        }
    }
}

/// For how long the same has been seen; `None` while it is not there.
fn lasts(seen: &mut Option<(u32, Duration)>, current: Option<u32>, now: Duration) -> Option<Duration> {
    let current = current?;
    match seen {
        Some((before, since)) if *before == current => Some(now.saturating_sub(*since)),
        _ => {
            *seen = Some((current, now));
            Some(Duration::ZERO)
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

    struct Bench {
        activity: Activity,
        watch: Watch,
    }

    impl Bench {
        fn new(now: u64) -> Self {
            Self {
                activity: Activity::new(at(now)),
                watch: Watch::default(),
            }
        }

        fn verdict(&mut self, now: u64) -> Verdict {
            self.watch.verdict(&self.activity, &Patience::default(), false, at(now))
        }
    }

    #[test]
    fn a_connection_without_requests_is_idle_after_a_while_from_the_last_one() {
        let mut bench = Bench::new(100);
        assert_eq!(bench.verdict(219), Verdict::Keep);
        bench.activity.begin();
        assert_eq!(bench.verdict(400), Verdict::Keep);
        bench.activity.end(at(400), false);
        assert_eq!(bench.verdict(519), Verdict::Keep);
        assert_eq!(bench.verdict(520), Verdict::Idle);
    }

    #[test]
    fn an_answer_that_nobody_reads_is_cut_after_its_end() {
        let mut bench = Bench::new(0);
        bench.activity.begin();
        bench.activity.begin();
        bench.activity.answer(at(600));
        assert_eq!(
            bench.verdict(9_999),
            Verdict::Keep,
            "one of both still waits for its answer"
        );
        bench.activity.answer(at(500));
        assert_eq!(bench.verdict(659), Verdict::Keep);
        assert_eq!(bench.verdict(660), Verdict::Unread);
    }

    #[test]
    fn an_earlier_answer_says_nothing_about_a_later_request() {
        let mut bench = Bench::new(0);
        bench.activity.begin();
        bench.activity.answer(at(10));
        bench.activity.end(at(5), true);
        bench.activity.begin();
        assert_eq!(bench.verdict(500), Verdict::Keep);
        bench.activity.answer(at(500));
        assert_eq!(bench.verdict(559), Verdict::Keep);
        assert_eq!(bench.verdict(560), Verdict::Unread);
    }

    #[test]
    fn a_write_without_room_is_cut_unless_something_moves() {
        let mut bench = Bench::new(0);
        bench.activity.begin();
        bench.activity.sent(true);
        assert_eq!(bench.verdict(10), Verdict::Keep);
        assert_eq!(bench.verdict(69), Verdict::Keep);
        bench.activity.sent(false);
        bench.activity.sent(true);
        assert_eq!(bench.verdict(70), Verdict::Keep, "some bytes went between two looks");
        assert_eq!(bench.verdict(129), Verdict::Keep);
        assert_eq!(bench.verdict(130), Verdict::Unread);
    }

    #[test]
    fn a_head_that_does_not_become_whole_is_cut_and_a_whole_one_is_not() {
        let mut bench = Bench::new(0);
        for start in [0, 100] {
            bench.activity.received();
            assert_eq!(bench.verdict(start), Verdict::Keep);
            bench.activity.begin();
            bench.activity.received();
            bench.activity.end(at(start + 1), false);
            assert_eq!(bench.verdict(start + 30), Verdict::Keep);
        }
        bench.activity.received();
        assert_eq!(bench.verdict(140), Verdict::Keep);
        bench.activity.received();
        assert_eq!(bench.verdict(159), Verdict::Keep);
        assert_eq!(
            bench.verdict(160),
            Verdict::SlowHead,
            "a byte now and then does not help"
        );
    }

    #[test]
    fn pings_of_an_idle_http2_connection_are_no_head() {
        let mut bench = Bench::new(0);
        bench.activity.received();
        let patience = Patience::default();
        for now in [10, 60, 119] {
            let verdict = bench.watch.verdict(&bench.activity, &patience, true, at(now));
            assert_eq!(verdict, Verdict::Keep);
        }
    }
}

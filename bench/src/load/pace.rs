//! Moments at which requests are due, and a clock that tells when they have come.
//!
//! Latency is counted from the moment at which a request was due, as wrk2 does it (github.com/giltene/wrk2): a load that
//! waits for answers before it sends leaves out just those who would have waited ("coordinated omission").

use std::fs::File;
use std::io::{self, Read};
use std::sync::Arc;
use std::sync::atomic::AtomicU64;
use std::sync::atomic::Ordering::Relaxed;
use std::time::{Duration, Instant};

use parking_lot::Mutex;
use rustix::time::{Itimerspec, TimerfdClockId, TimerfdFlags, TimerfdTimerFlags, Timespec};
use tokio::io::Interest;
use tokio::io::unix::AsyncFd;
use tokio::sync::Semaphore;

/// The moments of a steady rate: computed, not kept.
#[derive(Debug, Clone, Copy)]
pub(super) struct Schedule {
    begin: Instant,
    gap: Duration,
}

impl Schedule {
    /// The first moment is one gap after `begin`.
    pub(super) fn new(begin: Instant, rate: f64) -> Self {
        // The clock that waits counts nanoseconds; so do the moments, or the two would drift apart.
        let gap = Duration::from_secs_f64(1.0 / rate.max(1e-3)).max(Duration::from_nanos(1));
        Self { begin, gap }
    }

    /// The moment with this number, from 0.
    pub(super) fn at(&self, number: u64) -> Instant {
        let nanos = self.gap.as_nanos().saturating_mul(u128::from(number) + 1);
        self.begin + Duration::from_nanos(u64::try_from(nanos).unwrap_or(u64::MAX))
    }
}

/// Hands out the moments of a schedule once they have come, each to one connection, in their order.
///
/// A timer of the kernel (`timerfd`) counts them, since the runtime's own timers count whole milliseconds, in which a
/// fast server answers many requests. It runs on the same thread as the connections: no other thread is woken, and what
/// is passed on is a number of permits, not a message for each request.
#[derive(Debug)]
pub(super) struct Pace {
    schedule: Schedule,
    until: Instant,
    timer: AsyncFd<File>,
    come: Semaphore,
    taken: AtomicU64,
    late: Mutex<Vec<u64>>,
}

impl Pace {
    /// Begins now with `rate` moments a second, and ends at `until`. To be called in the runtime that [`run`](Self::run)
    /// is polled by.
    #[expect(
        deprecated,
        reason = "the replacement of `with_interest` is unsafe, for types whose descriptor may change; that of a File does not"
    )]
    pub(super) fn start(rate: f64, until: Instant) -> io::Result<Arc<Self>> {
        let fd = rustix::time::timerfd_create(
            TimerfdClockId::Monotonic,
            TimerfdFlags::NONBLOCK | TimerfdFlags::CLOEXEC,
        )?;
        let schedule = Schedule::new(Instant::now(), rate);
        let gap = Timespec::try_from(schedule.gap).map_err(io::Error::other)?;
        let each = Itimerspec {
            it_interval: gap,
            it_value: gap,
        };
        rustix::time::timerfd_settime(&fd, TimerfdTimerFlags::empty(), &each)?;
        Ok(Arc::new(Self {
            schedule,
            until,
            timer: AsyncFd::with_interest(File::from(fd), Interest::READABLE)?,
            come: Semaphore::new(0),
            taken: AtomicU64::new(0),
            late: Mutex::default(),
        }))
    }

    /// Lets moments come until the end. Keeps how late each was noticed once `measured` has come.
    pub(super) async fn run(&self, measured: Instant) -> io::Result<()> {
        let mut seen = 0;
        let result = loop {
            let fresh = match self.gone_off().await {
                Ok(fresh) => fresh,
                Err(error) => break Err(error),
            };
            let now = Instant::now();
            if now >= self.until {
                break Ok(());
            }
            if now >= measured {
                let late = |number| micros(now.saturating_duration_since(self.schedule.at(number)));
                self.late.lock().extend((seen..seen + fresh).map(late));
            }
            seen += fresh;
            self.come
                .add_permits(usize::try_from(fresh).unwrap_or(Semaphore::MAX_PERMITS));
        };
        // Nobody waits for a moment that will not come.
        self.come.close();
        result
    }

    /// How often the timer has gone off since it was asked last; waits until it has.
    async fn gone_off(&self) -> io::Result<u64> {
        loop {
            let mut ready = self.timer.readable().await?;
            let mut count = [0; 8];
            // An error of this kind means that there was nothing to read after all.
            if let Ok(read) = ready.try_io(|timer| timer.get_ref().read(&mut count)) {
                return read.map(|_| u64::from_ne_bytes(count));
            }
        }
    }

    /// The next moment, once it has come; `None` after the last one. A moment that came while no connection was free is
    /// handed out late, and says when it was.
    pub(super) async fn next(&self) -> Option<Instant> {
        let Ok(permit) = self.come.acquire().await else {
            return None;
        };
        permit.forget();
        Some(self.schedule.at(self.taken.fetch_add(1, Relaxed)))
    }

    /// How late the moments were noticed, in microseconds, sorted: the load generator's own delay, whatever the target does.
    pub(super) fn late(&self) -> Vec<u64> {
        let mut late = std::mem::take(&mut *self.late.lock());
        late.sort_unstable();
        late
    }
}

/// Whole microseconds of a time.
pub(super) fn micros(time: Duration) -> u64 {
    u64::try_from(time.as_micros()).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn moments_do_not_drift_from_their_rate() {
        let begin = Instant::now();
        let schedule = Schedule::new(begin, 1000.0);
        assert_eq!(schedule.at(0) - begin, Duration::from_millis(1));
        assert_eq!(schedule.at(999_999) - begin, Duration::from_secs(1000));
        // A rate without a whole number of nanoseconds is off by less than one in a million.
        let third = Schedule::new(begin, 30_000.0).at(29_999_999) - begin;
        assert!(
            third.abs_diff(Duration::from_secs(1000)) < Duration::from_millis(11),
            "{third:?}"
        );
    }

    #[tokio::test]
    async fn moments_come_in_order_none_before_its_time_and_none_is_lost() {
        let until = Instant::now() + Duration::from_millis(100);
        let pace = Pace::start(10_000.0, until).unwrap();
        let clock = Arc::clone(&pace);
        let clock = tokio::spawn(async move { clock.run(Instant::now()).await });
        let mut moments = Vec::new();
        while let Some(due) = pace.next().await {
            assert!(due <= Instant::now() && moments.last() < Some(&due));
            moments.push(due);
        }
        clock.await.unwrap().unwrap();
        // The last ones may come just before the end, when nobody is waiting.
        let late = pace.late();
        assert!(!moments.is_empty() && moments.len() <= late.len() && late.len() <= 1000);
        let span = *moments.last().unwrap() - moments[0];
        assert_eq!(
            span,
            Duration::from_micros(100) * u32::try_from(moments.len() - 1).unwrap()
        );
    }

    #[tokio::test]
    async fn a_thread_that_is_held_up_is_late_and_says_so() {
        let until = Instant::now() + Duration::from_secs(1);
        let pace = Pace::start(1000.0, until).unwrap();
        let held = async {
            for _ in 0..3 {
                assert!(pace.next().await.is_some());
                std::thread::sleep(Duration::from_millis(40));
            }
        };
        let (ended, ()) = tokio::join!(pace.run(Instant::now()), held);
        ended.unwrap();
        let late = pace.late();
        let most = *late.last().unwrap();
        assert!(most >= 38_000, "{most} µs");
        assert!(late.len() >= 100, "each moment that was missed counts: {}", late.len());
    }
}

//! Notices silence and the end of a request's time, without a timer operation for each chunk.

use std::future::Future as _;
use std::pin::Pin;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use tokio::time::{Instant, Sleep};

use crate::meter::UpstreamErrorKind;

/// Watches one body. Only the time spent waiting for the provider counts as silence, not the time in which a slow client
/// keeps the gateway from reading.
#[derive(Debug)]
pub(super) struct Watchdog {
    sleep: Pin<Box<Sleep>>,
    idle: Duration,
    deadline: Instant,
    waiting_since: Option<Instant>,
}

impl Watchdog {
    /// Watches a body that is being waited for from now on.
    pub(super) fn new(idle: Duration, deadline: Instant) -> Self {
        let sleep = Box::pin(tokio::time::sleep_until(deadline.min(Instant::now() + idle)));
        Self {
            sleep,
            idle,
            deadline,
            waiting_since: None,
        }
    }

    /// Something came.
    pub(super) fn progress(&mut self) {
        self.waiting_since = None;
    }

    /// From now on less silence is allowed.
    pub(super) fn allow_only(&mut self, idle: Duration) {
        self.idle = self.idle.min(idle);
        self.deadline = self.deadline.min(Instant::now() + idle);
        self.sleep.as_mut().reset(self.deadline);
    }

    /// To be asked when nothing has come: ready once that is too long.
    pub(super) fn poll_over(&mut self, cx: &mut Context<'_>) -> Poll<UpstreamErrorKind> {
        let since = match self.waiting_since {
            Some(since) => since,
            None => *self.waiting_since.insert(Instant::now()),
        };
        loop {
            // The timer is set for the earliest moment at which anything can be over, and moved on only when it fires.
            ready!(self.sleep.as_mut().poll(cx));
            let now = Instant::now();
            if now >= self.deadline {
                return Poll::Ready(UpstreamErrorKind::TotalTimeout);
            }
            if now >= since + self.idle {
                return Poll::Ready(UpstreamErrorKind::IdleTimeout);
            }
            self.sleep.as_mut().reset(self.deadline.min(since + self.idle));
        }
    }
}

#[cfg(test)]
mod tests {
    use std::future::poll_fn;

    use super::*;

    const IDLE: Duration = Duration::from_secs(10);

    #[tokio::test(start_paused = true)]
    async fn silence_is_measured_from_the_last_progress() {
        let start = Instant::now();
        let mut dog = Watchdog::new(IDLE, start + Duration::from_secs(100));
        for _ in 0..3 {
            let waited = tokio::time::timeout(Duration::from_secs(6), poll_fn(|cx| dog.poll_over(cx))).await;
            assert!(waited.is_err());
            dog.progress();
        }
        assert_eq!(poll_fn(|cx| dog.poll_over(cx)).await, UpstreamErrorKind::IdleTimeout);
        assert_eq!(start.elapsed().as_secs(), 28);
    }

    #[tokio::test(start_paused = true)]
    async fn a_slow_client_does_not_make_the_provider_silent() {
        let mut dog = Watchdog::new(IDLE, Instant::now() + Duration::from_secs(1_000));
        dog.progress();
        tokio::time::sleep(Duration::from_mins(1)).await;
        let at = Instant::now();
        assert_eq!(poll_fn(|cx| dog.poll_over(cx)).await, UpstreamErrorKind::IdleTimeout);
        assert_eq!(at.elapsed(), IDLE);
    }

    #[tokio::test(start_paused = true)]
    async fn the_whole_request_ends_at_its_deadline_whatever_comes() {
        let start = Instant::now();
        let mut dog = Watchdog::new(IDLE, start + Duration::from_secs(15));
        let waited = tokio::time::timeout(Duration::from_secs(8), poll_fn(|cx| dog.poll_over(cx))).await;
        assert!(waited.is_err());
        dog.progress();
        assert_eq!(poll_fn(|cx| dog.poll_over(cx)).await, UpstreamErrorKind::TotalTimeout);
        assert_eq!(start.elapsed().as_secs(), 15);
    }
}

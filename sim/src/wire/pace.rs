//! When the next token of an answer is due.

use std::future::poll_fn;
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use tokio::time::{Instant, Sleep, sleep_until};

use crate::behaviour::{Latency, Random, Seat};

/// The rhythm of one answer.
pub(super) enum Pace {
    /// Nothing takes time.
    Instant,
    /// By the clock.
    Timed(Box<Timed>),
    /// By the steps of the engine.
    Engine(Seat),
}

/// Due times add up from the start of the request, so that late timers do not.
pub(super) struct Timed {
    latency: Latency,
    random: Random,
    due: Instant,
    sleep: Pin<Box<Sleep>>,
}

impl Pace {
    pub(super) fn new(latency: Latency, seat: Option<Seat>, mut random: Random) -> Self {
        if let Some(seat) = seat {
            return Self::Engine(seat);
        }
        if latency == Latency::default() {
            return Self::Instant;
        }
        let due = Instant::now() + latency.first(&mut random);
        Self::Timed(Box::new(Timed {
            latency,
            random,
            due,
            sleep: Box::pin(sleep_until(due)),
        }))
    }

    /// Ready when the next token is due; then the one behind it is waited for.
    pub(super) fn poll_token(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        match self {
            Self::Instant => Poll::Ready(()),
            Self::Engine(seat) => seat.poll_token(cx),
            Self::Timed(timed) => {
                ready!(timed.sleep.as_mut().poll(cx));
                timed.due += timed.latency.token(&mut timed.random);
                timed.sleep.as_mut().reset(timed.due);
                Poll::Ready(())
            }
        }
    }

    /// Waits until so many tokens are generated.
    pub(super) async fn all(&mut self, tokens: u64) {
        if let Self::Timed(timed) = self {
            for _ in 1..tokens {
                timed.due += timed.latency.token(&mut timed.random);
            }
            return sleep_until(timed.due).await;
        }
        for _ in 0..tokens {
            poll_fn(|cx| self.poll_token(cx)).await;
        }
    }
}

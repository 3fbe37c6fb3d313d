//! The `loaded` latency: a continuous batching engine. [`Batch`] is the pure model, [`Engine`] runs it in time.

use std::collections::VecDeque;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use tokio::sync::mpsc;
use tokio::time::Instant;

use super::latency::{Latency, millis};

/// What a step of the engine depends on.
#[derive(Debug, Clone, Copy)]
struct Shape {
    max_batch: usize,
    prefill: f64,
    step: f64,
    step_per_sequence: f64,
}

/// A request in the engine. `T` is told of each token.
#[derive(Debug)]
struct Sequence<T> {
    prompt_tokens: u64,
    remaining: u64,
    to: T,
}

/// Who waits and who runs.
#[derive(Debug)]
struct Batch<T> {
    shape: Shape,
    waiting: VecDeque<Sequence<T>>,
    running: Vec<Sequence<T>>,
}

impl<T> Batch<T> {
    const fn new(shape: Shape) -> Self {
        Self {
            shape,
            waiting: VecDeque::new(),
            running: Vec::new(),
        }
    }

    fn len(&self) -> usize {
        self.waiting.len() + self.running.len()
    }

    /// Forgets requests whose client has gone, moves waiting ones into free places, and tells how long the next step
    /// takes.
    fn begin_step(&mut self, gone: impl Fn(&T) -> bool) -> Duration {
        self.running.retain(|sequence| !gone(&sequence.to));
        self.waiting.retain(|sequence| !gone(&sequence.to));
        let mut prompt_tokens = 0;
        while self.running.len() < self.shape.max_batch {
            let Some(next) = self.waiting.pop_front() else { break };
            prompt_tokens += next.prompt_tokens;
            self.running.push(next);
        }
        let decode = self.shape.step + self.shape.step_per_sequence * self.running.len() as f64;
        millis(decode + 1000.0 * prompt_tokens as f64 / self.shape.prefill)
    }

    /// Gives every running request its token, and lets go of those that are complete.
    fn end_step(&mut self, token: impl Fn(&T)) {
        self.running.retain_mut(|sequence| {
            token(&sequence.to);
            sequence.remaining = sequence.remaining.saturating_sub(1);
            sequence.remaining > 0
        });
    }
}

/// Batch and waiting line are at their limits.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("the waiting line is full")]
pub(crate) struct Full;

/// A running engine. Its task ends when the engine is dropped and its last request is done.
#[derive(Debug)]
pub(crate) struct Engine {
    arrivals: mpsc::UnboundedSender<Sequence<mpsc::UnboundedSender<()>>>,
    gauges: Arc<Gauges>,
    capacity: usize,
}

#[derive(Debug, Default)]
struct Gauges {
    /// Requests that wait or run.
    held: AtomicUsize,
    running: AtomicUsize,
}

/// A request's place in the engine. Dropping it gives the place back at the next step.
#[derive(Debug)]
pub(crate) struct Seat(mpsc::UnboundedReceiver<()>);

impl Seat {
    /// Ready when the next token is generated.
    pub(crate) fn poll_token(&mut self, cx: &mut std::task::Context<'_>) -> std::task::Poll<()> {
        self.0.poll_recv(cx).map(|_| ())
    }
}

impl Engine {
    /// Starts the engine of a `loaded` latency; `None` for other latencies.
    pub(crate) fn start(latency: &Latency, runtime: &tokio::runtime::Handle) -> Option<Self> {
        let Latency::Loaded {
            max_batch,
            max_waiting,
            prefill,
            step,
            step_per_sequence,
        } = *latency
        else {
            return None;
        };
        let shape = Shape {
            max_batch,
            prefill,
            step,
            step_per_sequence,
        };
        let (arrivals, inbox) = mpsc::unbounded_channel();
        let gauges = Arc::new(Gauges::default());
        runtime.spawn(run(Batch::new(shape), inbox, Arc::clone(&gauges)));
        Some(Self {
            arrivals,
            gauges,
            capacity: max_batch.saturating_add(max_waiting),
        })
    }

    /// Takes a place at the end of the line.
    pub(crate) fn join(&self, prompt_tokens: u64, tokens: u64) -> Result<Seat, Full> {
        if self.gauges.held.fetch_add(1, Ordering::Relaxed) >= self.capacity {
            self.gauges.held.fetch_sub(1, Ordering::Relaxed);
            return Err(Full);
        }
        let (to, seat) = mpsc::unbounded_channel();
        let sequence = Sequence {
            prompt_tokens,
            remaining: tokens,
            to,
        };
        self.arrivals.send(sequence).map_err(|_| Full)?;
        Ok(Seat(seat))
    }

    /// Requests that wait, and requests that run.
    pub(crate) fn load(&self) -> (usize, usize) {
        let running = self.gauges.running.load(Ordering::Relaxed);
        let held = self.gauges.held.load(Ordering::Relaxed);
        (held.saturating_sub(running), running)
    }
}

async fn run(
    mut batch: Batch<mpsc::UnboundedSender<()>>,
    mut inbox: mpsc::UnboundedReceiver<Sequence<mpsc::UnboundedSender<()>>>,
    gauges: Arc<Gauges>,
) {
    let mut clock = Instant::now();
    loop {
        if batch.len() == 0 {
            let Some(first) = inbox.recv().await else { return };
            batch.waiting.push_back(first);
            clock = Instant::now();
        }
        while let Ok(next) = inbox.try_recv() {
            batch.waiting.push_back(next);
        }
        let before = batch.len();
        let step = batch.begin_step(mpsc::UnboundedSender::is_closed);
        gauges.running.store(batch.running.len(), Ordering::Relaxed);
        // Steps follow a clock of their own, so that late timers do not add up.
        clock += step;
        tokio::time::sleep_until(clock).await;
        // A request that went away during the step is dropped at the start of the next one.
        batch.end_step(|to| {
            let _ = to.send(());
        });
        gauges.running.store(batch.running.len(), Ordering::Relaxed);
        gauges.held.fetch_sub(before - batch.len(), Ordering::Relaxed);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SHAPE: Shape = Shape {
        max_batch: 2,
        prefill: 1000.0,
        step: 10.0,
        step_per_sequence: 1.0,
    };

    fn sequence(to: usize, prompt_tokens: u64, remaining: u64) -> Sequence<usize> {
        Sequence {
            prompt_tokens,
            remaining,
            to,
        }
    }

    #[test]
    fn a_step_takes_what_the_formula_says() {
        let mut batch = Batch::new(SHAPE);
        batch.waiting.push_back(sequence(0, 100, 2));
        assert_eq!(batch.begin_step(|_| false), Duration::from_millis(10 + 1 + 100));
        batch.end_step(|_| ());
        batch.waiting.push_back(sequence(1, 50, 2));
        assert_eq!(batch.begin_step(|_| false), Duration::from_millis(10 + 2 + 50));
    }

    #[test]
    fn a_full_batch_makes_others_wait_until_a_place_is_free() {
        let mut batch = Batch::new(SHAPE);
        for (to, tokens) in [(0, 1), (1, 3), (2, 1)] {
            batch.waiting.push_back(sequence(to, 0, tokens));
        }
        let given = std::cell::RefCell::new(Vec::new());
        while batch.len() > 0 {
            batch.begin_step(|_| false);
            batch.end_step(|to| given.borrow_mut().push(*to));
            given.borrow_mut().push(99);
        }
        assert_eq!(given.into_inner(), [0, 1, 99, 1, 2, 99, 1, 99]);
    }

    #[test]
    fn a_client_that_left_gives_its_place_back() {
        let mut batch = Batch::new(SHAPE);
        for to in 0..3 {
            batch.waiting.push_back(sequence(to, 0, 100));
        }
        batch.begin_step(|_| false);
        batch.begin_step(|to| *to == 0);
        let running: Vec<usize> = batch.running.iter().map(|sequence| sequence.to).collect();
        assert_eq!(running, [1, 2]);
    }
}

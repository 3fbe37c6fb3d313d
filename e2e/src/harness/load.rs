//! Bounded load: a number of clients in a loop, and streams that are held open.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use tokio::sync::Mutex;
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;

use super::openai::{Chat, Completion, Failure, OpenAi};

/// No load of this harness runs longer, whatever it is told.
pub const LONGEST: Duration = Duration::from_mins(3);
/// Failures that are kept word for word; the rest is only counted.
const KEPT_FAILURES: usize = 20;

/// What a load has done so far.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Tally {
    /// Answers that were whole.
    pub finished: u64,
    /// Completion tokens in them by the provider's count.
    pub tokens: u64,
    /// Requests that were refused with 429 or 503.
    pub refused: u64,
    /// Requests that failed in any other way.
    pub failed: u64,
    /// The first failures, word for word, refusals included.
    pub failures: Vec<String>,
}

#[derive(Debug, Default)]
struct Counters {
    active: AtomicU64,
    chunks: AtomicU64,
    tally: Mutex<Tally>,
}

/// Clients that each ask one chat after the other until they are told to stop or the time is over.
#[derive(Debug)]
pub struct Load {
    stop: CancellationToken,
    counters: Arc<Counters>,
    clients: JoinSet<()>,
}

impl Load {
    /// Starts `clients` streaming clients, the next request as soon as the one before is over. A client that is refused
    /// waits as long as `retry-after` says, at most a second.
    pub fn closed(client: &OpenAi, chat: &Chat, clients: usize, longest: Duration) -> Self {
        let mut load = Self {
            stop: CancellationToken::new(),
            counters: Arc::default(),
            clients: JoinSet::new(),
        };
        let end = Instant::now() + longest.min(LONGEST);
        for _ in 0..clients {
            load.add(client, chat, end);
        }
        load
    }

    /// Starts one request after the other at a steady rate, whether or not those before are over.
    pub fn open(client: &OpenAi, chat: &Chat, per_second: f64, longest: Duration) -> Self {
        let mut load = Self {
            stop: CancellationToken::new(),
            counters: Arc::default(),
            clients: JoinSet::new(),
        };
        let (client, chat) = (client.clone(), chat.clone());
        let (stop, counters) = (load.stop.clone(), load.counters.clone());
        load.clients.spawn(async move {
            let mut ticks = tokio::time::interval(Duration::from_secs_f64(1.0 / per_second.max(0.01)));
            let end = tokio::time::sleep(longest.min(LONGEST));
            tokio::pin!(end);
            let mut requests = JoinSet::new();
            loop {
                tokio::select! {
                    () = stop.cancelled() => break,
                    () = &mut end => break,
                    _ = ticks.tick() => {
                        let (client, chat, counters) = (client.clone(), chat.clone(), counters.clone());
                        requests.spawn(async move { counters.request(&client, &chat).await });
                    }
                    Some(_) = requests.join_next(), if !requests.is_empty() => {}
                }
            }
            // Requests that are on their way are part of the load: their end is counted too.
            requests.join_all().await;
        });
        load
    }

    /// Requests on their way.
    pub fn active(&self) -> u64 {
        self.counters.active.load(Ordering::Relaxed)
    }

    /// Text chunks that have arrived.
    pub fn chunks(&self) -> u64 {
        self.counters.chunks.load(Ordering::Relaxed)
    }

    /// What is done so far.
    pub async fn tally(&self) -> Tally {
        self.counters.tally.lock().await.clone()
    }

    /// Lets requests that are on their way end, starts no more, and returns what was done.
    pub async fn finish(mut self) -> Tally {
        self.stop.cancel();
        while self.clients.join_next().await.is_some() {}
        self.counters.tally.lock().await.clone()
    }

    /// Drops requests that are on their way, as clients that go away do, and returns what was done.
    pub async fn abort(mut self) -> Tally {
        self.clients.shutdown().await;
        self.counters.tally.lock().await.clone()
    }

    fn add(&mut self, client: &OpenAi, chat: &Chat, end: Instant) {
        let (client, chat) = (client.clone(), chat.clone());
        let (stop, counters) = (self.stop.clone(), self.counters.clone());
        self.clients.spawn(async move {
            while !stop.is_cancelled() && Instant::now() < end {
                let pause = match counters.request(&client, &chat).await {
                    Ok(_) => continue,
                    Err(Failure::Refused { retry_after, .. }) => {
                        Duration::from_secs(retry_after.unwrap_or(1)).min(Duration::from_secs(1))
                    }
                    // A connection that fails at once must not make a busy loop.
                    Err(_) => Duration::from_millis(100),
                };
                tokio::select! {
                    () = stop.cancelled() => {}
                    () = tokio::time::sleep(pause) => {}
                }
            }
        });
    }
}

impl Counters {
    async fn request(&self, client: &OpenAi, chat: &Chat) -> Result<Completion, Failure> {
        let active = Active::enter(&self.active);
        let result = client
            .stream(chat, |_| {
                self.chunks.fetch_add(1, Ordering::Relaxed);
            })
            .await;
        drop(active);
        let mut tally = self.tally.lock().await;
        match &result {
            Ok(completion) => {
                tally.finished += 1;
                tally.tokens += completion.completion_tokens;
            }
            Err(failure) => {
                match failure {
                    Failure::Refused { status: 429 | 503, .. } => tally.refused += 1,
                    _ => tally.failed += 1,
                }
                if tally.failures.len() < KEPT_FAILURES {
                    tally.failures.push(failure.to_string());
                }
            }
        }
        result
    }
}

/// Counts a request down again even if its task is dropped.
struct Active<'a>(&'a AtomicU64);

impl<'a> Active<'a> {
    fn enter(count: &'a AtomicU64) -> Self {
        count.fetch_add(1, Ordering::Relaxed);
        Self(count)
    }
}

impl Drop for Active<'_> {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::Relaxed);
    }
}

/// Streams that all run at once, each with its own outcome.
#[derive(Debug)]
pub struct Streams {
    running: JoinSet<Result<Completion, Failure>>,
    started: tokio::sync::watch::Receiver<usize>,
}

impl Streams {
    /// Starts `count` streams of one chat.
    pub fn start(client: &OpenAi, chat: &Chat, count: usize) -> Self {
        let (sender, started) = tokio::sync::watch::channel(0);
        let sender = Arc::new(sender);
        let mut running = JoinSet::new();
        for _ in 0..count {
            let (client, chat, sender) = (client.clone(), chat.clone(), sender.clone());
            running.spawn(async move {
                let mut first = true;
                client
                    .stream(&chat, |_| {
                        if std::mem::take(&mut first) {
                            sender.send_modify(|count| *count += 1);
                        }
                    })
                    .await
            });
        }
        Self { running, started }
    }

    /// Waits until `count` of them have brought their first token. False if `limit` passes before.
    pub async fn flowing(&mut self, count: usize, limit: Duration) -> bool {
        let reached = self.started.wait_for(|started| *started >= count);
        matches!(tokio::time::timeout(limit, reached).await, Ok(Ok(_)))
    }

    /// Outcomes of the streams that are over and were not asked for yet.
    pub fn over(&mut self) -> Vec<Result<Completion, Failure>> {
        std::iter::from_fn(|| self.running.try_join_next())
            .filter_map(Result::ok)
            .collect()
    }

    /// Streams that are not over.
    pub fn running(&mut self) -> usize {
        self.running.len()
    }

    /// Waits for all and returns their outcomes.
    pub async fn outcomes(self) -> Vec<Result<Completion, Failure>> {
        self.running.join_all().await
    }
}

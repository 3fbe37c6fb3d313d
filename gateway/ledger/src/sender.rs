//! Brings rows from the spool to the database.

use std::fs::{File, OpenOptions};
use std::io::{self, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use parking_lot::Mutex;
use serde::Serialize;
use tokio::time::{Instant, sleep, sleep_until};
use tracing::{info, warn};

use crate::Row;
use crate::sink::{Sink, SinkError};
use crate::spool::{Reader, aside_folder};

/// Rows that are sent in one transaction: with 300 bytes each, what one `COPY` carries in some milliseconds.
const MAX_BATCH: usize = 5_000;
/// The wait after a failed try, which doubles up to the last one.
const FIRST_WAIT: Duration = Duration::from_millis(100);
const LAST_WAIT: Duration = Duration::from_secs(15);
/// How often partitions are made and old rows removed.
const MAINTENANCE: Duration = Duration::from_hours(1);

/// What became of rows after the spool, since the start.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct DatabaseHealth {
    /// Since when the database does not take rows, and why.
    pub away: Option<(SystemTime, String)>,
    /// Rows that it took.
    pub sent: u64,
    /// Rows that it had already, from a try whose end nobody saw.
    pub known: u64,
    /// Rows that it refused. They are in `refused.jsonl`, beside the spool's damage.
    pub refused: u64,
    /// Rows that were older than what it keeps. They are in the same file.
    pub expired: u64,
    /// Failed tries.
    pub failures: u64,
}

/// What the sender shares with whoever asks for health.
#[derive(Debug, Default)]
pub(crate) struct Status(Mutex<DatabaseHealth>);

impl Status {
    pub fn health(&self) -> DatabaseHealth {
        self.0.lock().clone()
    }

    fn failed(&self, error: &(dyn std::error::Error + 'static)) {
        let mut health = self.0.lock();
        health.failures += 1;
        let since = health.away.take().map_or_else(SystemTime::now, |(since, _)| since);
        health.away = Some((since, chain(error)));
    }
}

/// An error with what caused it, in one line.
fn chain(error: &(dyn std::error::Error + 'static)) -> String {
    let mut text = error.to_string();
    let mut next = error.source();
    while let Some(cause) = next {
        text.push_str(": ");
        text.push_str(&cause.to_string());
        next = cause.source();
    }
    text
}

/// Why a row could not be brought anywhere now.
#[derive(Debug, thiserror::Error)]
enum SendError {
    #[error(transparent)]
    Sink(#[from] SinkError),
    #[error("cannot read or set aside rows of the spool")]
    Disk(#[from] io::Error),
}

pub(crate) struct Sender<S> {
    reader: Reader,
    sink: S,
    refused: Refused,
    status: Arc<Status>,
    now_us: fn() -> i64,
}

impl<S: Sink> Sender<S> {
    pub fn new(spool: &Path, reader: Reader, sink: S, status: Arc<Status>, now_us: fn() -> i64) -> Self {
        Self {
            reader,
            sink,
            refused: Refused {
                folder: aside_folder(spool),
                file: None,
            },
            status,
            now_us,
        }
    }

    /// Sends until the spool is closed and empty.
    pub async fn run(mut self) {
        let mut maintain_at = Instant::now();
        let mut wait = FIRST_WAIT;
        loop {
            match self.step(&mut maintain_at).await {
                Ok(true) => wait = FIRST_WAIT,
                Ok(false) => return,
                Err(error) => {
                    self.retry_later(&error, wait).await;
                    wait = (wait * 2).min(LAST_WAIT);
                }
            }
        }
    }

    async fn retry_later(&mut self, error: &SendError, wait: Duration) {
        if wait == FIRST_WAIT {
            warn!(
                error = chain(error),
                "the ledger's database does not take rows; they wait in the spool"
            );
        }
        self.status.failed(error);
        // Replicas that lost the same database do not come back to it in step.
        sleep(wait.mul_f64(rand::random_range(0.5..1.0))).await;
    }

    /// One batch, or one round of maintenance. False once there is nothing left to do.
    async fn step(&mut self, maintain_at: &mut Instant) -> Result<bool, SendError> {
        let batch = tokio::select! {
            // Partitions before the rows that need them.
            biased;
            () = sleep_until(*maintain_at) => {
                self.sink.maintain((self.now_us)()).await?;
                self.back();
                *maintain_at = Instant::now() + MAINTENANCE;
                return Ok(true);
            }
            batch = self.reader.next(MAX_BATCH) => batch?,
        };
        let Some(batch) = batch else {
            return Ok(false);
        };
        if batch.rows.is_empty() {
            // Only damage, which is kept aside.
            self.reader.done(&batch);
            return Ok(true);
        }
        let mut wait = FIRST_WAIT;
        let mut parts = vec![batch.rows.as_slice()];
        // The batch is in hand until each of its rows is somewhere.
        while let Some(part) = parts.pop() {
            match self.send(part).await {
                Ok(None) => wait = FIRST_WAIT,
                Ok(Some((first, second))) => parts.extend([second, first]),
                Err(error) => {
                    parts.push(part);
                    self.retry_later(&error, wait).await;
                    wait = (wait * 2).min(LAST_WAIT);
                }
            }
        }
        self.reader.done(&batch);
        Ok(true)
    }

    /// Sends rows. Two halves come back where one of several rows is refused; a single one is set aside.
    async fn send<'a>(&mut self, rows: &'a [Row]) -> Result<Option<(&'a [Row], &'a [Row])>, SendError> {
        match self.sink.insert(rows).await {
            Ok(taken) => {
                for row in taken.expired.iter().filter_map(|place| rows.get(*place)) {
                    self.refused.keep(row, "older than what the database keeps")?;
                }
                self.back();
                let mut health = self.status.0.lock();
                health.sent += taken.fresh;
                health.known += taken.known;
                health.expired += taken.expired.len() as u64;
                Ok(None)
            }
            Err(error @ SinkError::Refused(_)) => {
                if let [row] = rows {
                    let reason = chain(&error);
                    warn!(id = ?row.id, reason, "the database refuses a row of the ledger, which is set aside");
                    self.refused.keep(row, &reason)?;
                    self.status.0.lock().refused += 1;
                    return Ok(None);
                }
                Ok(Some(rows.split_at(rows.len() / 2)))
            }
            Err(error) => Err(error.into()),
        }
    }

    /// The database works.
    fn back(&self) {
        if let Some((since, _)) = self.status.0.lock().away.take() {
            let seconds = since.elapsed().unwrap_or_default().as_secs();
            info!(seconds, "the ledger's database takes rows again");
        }
    }
}

/// The file of rows that the database refused: a JSON object with the reason and the row in each line.
struct Refused {
    folder: PathBuf,
    file: Option<File>,
}

impl Refused {
    /// Keeps a row, so that it is there after a crash. A row may be kept twice, if the crash comes in between.
    fn keep(&mut self, row: &Row, reason: &str) -> io::Result<()> {
        #[derive(Serialize)]
        struct Line<'a> {
            reason: &'a str,
            row: &'a Row,
        }
        let mut line = serde_json::to_vec(&Line { reason, row })?;
        line.push(b'\n');
        let mut file = match self.file.take() {
            Some(file) => file,
            None => self.open()?,
        };
        file.write_all(&line)?;
        file.sync_data()?;
        self.file = Some(file);
        Ok(())
    }

    fn open(&self) -> io::Result<File> {
        crate::spool::make_folder(&self.folder)?;
        OpenOptions::new()
            .create(true)
            .append(true)
            .mode(0o600)
            .open(self.folder.join("refused.jsonl"))
    }
}

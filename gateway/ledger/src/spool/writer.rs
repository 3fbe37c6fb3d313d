//! The thread that writes rows, many at a time.

use std::fs::File;
use std::io::{self, Write};
use std::path::PathBuf;
use std::sync::Arc;
use std::thread;
use std::time::Duration;

use tokio::sync::{mpsc, oneshot};
use tokio::time::{Instant, sleep, sleep_until, timeout_at};
use tokio_util::sync::CancellationToken;
use tracing::{error, warn};

use super::SpoolConfig;
use super::files::{self, Name};
use super::table::{CommitError, Table};
use crate::{Row, frame};

/// Rows that are written and synced together at most: about 1 MiB.
const MAX_BATCH: usize = 4096;
/// The first wait after a failed write, which doubles up to the last one.
const FIRST_WAIT: Duration = Duration::from_millis(50);
const LAST_WAIT: Duration = Duration::from_secs(2);

/// A row that waits to be written, and whom to tell.
pub(super) struct Entry {
    row: Box<Row>,
    done: oneshot::Sender<()>,
}

impl Entry {
    pub fn new(row: Row, done: oneshot::Sender<()>) -> Self {
        Self {
            row: Box::new(row),
            done,
        }
    }

    pub fn into_row(self) -> Box<Row> {
        self.row
    }
}

/// The segment that is written to.
struct Active {
    name: Name,
    file: File,
    length: u64,
    /// When it is closed, if it is not full before.
    until: Instant,
}

pub(super) struct Writer {
    folder: PathBuf,
    max_delay: Duration,
    segment_bytes: u64,
    segment_age: Duration,
    max_bytes: u64,
    entries: mpsc::Receiver<Entry>,
    closing: CancellationToken,
    table: Arc<Table>,
    active: Option<Active>,
    buffer: Vec<u8>,
    _lock: Arc<File>,
}

impl Writer {
    pub fn new(
        config: &SpoolConfig,
        entries: mpsc::Receiver<Entry>,
        table: Arc<Table>,
        closing: CancellationToken,
        lock: Arc<File>,
    ) -> Self {
        Self {
            folder: config.folder.clone(),
            max_delay: config.max_delay,
            segment_bytes: config.segment_bytes,
            segment_age: config.segment_age,
            max_bytes: config.max_bytes,
            entries,
            closing,
            table,
            active: None,
            buffer: Vec::new(),
            _lock: lock,
        }
    }

    /// Starts the thread, with a runtime of its own for its timers: it blocks in the disk, which no other task should
    /// wait for.
    pub fn start(self) -> io::Result<()> {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_time().build()?;
        thread::Builder::new()
            .name("ledger-spool".to_owned())
            .spawn(move || runtime.block_on(self.run()))?;
        Ok(())
    }

    async fn run(mut self) {
        let mut batch = Vec::with_capacity(MAX_BATCH);
        while self.gather(&mut batch).await {
            self.settle(&mut batch).await;
        }
        self.seal();
        self.table.close();
    }

    /// Waits for a row and takes those that come with it. False once there will be none.
    async fn gather(&mut self, batch: &mut Vec<Entry>) -> bool {
        let first = loop {
            let seal_at = self.active.as_ref().map(|active| active.until);
            tokio::select! {
                entry = self.entries.recv() => break entry,
                () = self.closing.cancelled(), if !self.entries.is_closed() => self.entries.close(),
                () = sleep_until(seal_at.unwrap_or_else(Instant::now)), if seal_at.is_some() => self.seal(),
            }
        };
        let Some(first) = first else {
            return false;
        };
        batch.push(first);
        let until = Instant::now() + self.max_delay;
        // Those who record refill the queue while it is read, so that a batch needs a bound of its own.
        let most = MAX_BATCH.min(self.entries.max_capacity());
        while batch.len() < most {
            // With no time left, what has already come is still taken.
            match timeout_at(until, self.entries.recv()).await {
                Ok(Some(entry)) => batch.push(entry),
                Ok(None) | Err(_) => break,
            }
        }
        true
    }

    /// Writes a batch, however often that has to be tried.
    async fn settle(&mut self, batch: &mut Vec<Entry>) {
        let mut wait = FIRST_WAIT;
        loop {
            match self.commit(batch) {
                Ok(()) => {
                    for entry in batch.drain(..) {
                        // Nobody has to wait for a receipt.
                        let _ = entry.done.send(());
                    }
                    return;
                }
                Err(error) => {
                    if self.table.is_abandoned() {
                        // Dropping the entries tells those who wait for them.
                        error!(rows = batch.len(), %error, "rows of the ledger are lost: the spool was closed while its disk refused them");
                        batch.clear();
                        return;
                    }
                    if wait == FIRST_WAIT {
                        warn!(%error, cause = ?error, "the ledger's spool cannot write; its rows wait in memory");
                    }
                    self.table.failed(&error);
                }
            }
            tokio::select! {
                () = sleep(wait) => {}
                () = self.table.freed.notified() => {}
            }
            wait = (wait * 2).min(LAST_WAIT);
        }
    }

    fn commit(&mut self, batch: &mut Vec<Entry>) -> Result<(), CommitError> {
        if self.table.bytes() >= self.max_bytes {
            // Only a closed segment can be removed.
            self.seal();
            return Err(CommitError::Full);
        }
        let mut active = match self.active.take() {
            Some(active) => active,
            None => self.begin()?,
        };
        self.buffer.clear();
        batch.retain(|entry| match frame::encode(&entry.row, active.name.salt, &mut self.buffer) {
            Ok(()) => true,
            // The bounds of a row's texts leave no way to this. Who waits for it is told by its end.
            Err(error) => {
                error!(%error, cause = ?error, id = ?entry.row.id, "a row of the ledger is lost: it has no encoding");
                false
            }
        });
        let written = active
            .file
            .write_all(&self.buffer)
            .and_then(|()| active.file.sync_data());
        if let Err(error) = written {
            self.give_up(&active);
            return Err(error.into());
        }
        active.length += self.buffer.len() as u64;
        self.table.wrote(active.name, active.length, batch.len() as u64);
        let full = active.length >= self.segment_bytes;
        self.active = Some(active);
        if full {
            self.seal();
        }
        Ok(())
    }

    fn begin(&self) -> io::Result<Active> {
        let name = Name {
            number: self.table.next_number(),
            salt: rand::random(),
        };
        let file = files::create(&self.folder, name).inspect_err(|_| {
            // The file may be there although the folder could not be synced. Nothing was written to it.
            let _ = std::fs::remove_file(self.folder.join(name.to_string()));
        })?;
        Ok(Active {
            name,
            file,
            length: 0,
            until: Instant::now() + self.segment_age,
        })
    }

    /// Leaves a segment that could not be written to. Its rows up to the last sync are safe; the rest is cut off where
    /// that works, and where it does not, the same rows come again and are known by their ids.
    fn give_up(&self, active: &Active) {
        if active.length == 0 {
            let _ = std::fs::remove_file(self.folder.join(active.name.to_string()));
        } else {
            let _ = active.file.set_len(active.length);
            self.table.seal(active.name);
        }
    }

    fn seal(&mut self) {
        if let Some(active) = self.active.take() {
            self.table.seal(active.name);
        }
    }
}

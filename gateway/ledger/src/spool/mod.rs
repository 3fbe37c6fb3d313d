//! Rows on disk, between the gateway that records them and the database that keeps them.
//!
//! A spool is a folder of append-only segments. One thread writes: it takes what has come, writes it, asks the disk once
//! for all of it (group commit) and only then fulfils the receipts. So what a receipt confirmed is there after
//! `kill -9` and after a power failure, as far as the disk keeps its word. One reader hands rows out in order, and a
//! segment is removed once all of its rows are done.
//!
//! What goes wrong:
//! - **A torn end**, as a crash leaves it: cut off. Its rows were never confirmed.
//! - **Damage** in the middle: the bytes are kept in the folder `aside` and counted, and the rows behind them are read.
//! - **A full or failing disk, or the spool's own bound**: no receipt is fulfilled, rows wait in memory, up to
//!   [`SpoolConfig::queue`], and [`Spool::record`] waits beyond that; [`SpoolHealth::trouble`] says so. Writing is tried
//!   again until it works, with the rows in a new segment, since what a failed write or sync left of the old one is
//!   unknown. A row may be on disk twice then; its id makes it one.

mod files;
mod reader;
mod table;
mod writer;

use std::fmt;
use std::fs::File;
use std::io;
use std::path::{Path, PathBuf};
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use tokio::sync::{mpsc, oneshot};
use tokio_util::sync::CancellationToken;

use crate::Row;
pub(crate) use files::make_folder;
pub use reader::{Batch, Reader};
use table::Table;
pub use table::{SpoolHealth, Trouble};
use writer::{Entry, Writer};

/// Where a spool is, and its bounds.
#[derive(Debug, Clone)]
pub struct SpoolConfig {
    /// The folder, made if it does not exist. One process at a time may use it.
    pub folder: PathBuf,
    /// How long a row may wait for others before the disk is asked to keep it.
    pub max_delay: Duration,
    /// Bytes after which a segment is closed and a new one begun.
    pub segment_bytes: u64,
    /// Age after which a segment is closed, so that it can be removed.
    pub segment_age: Duration,
    /// Bytes that all segments may have. Beyond it nothing is written until the database has taken some. One batch, which is
    /// no more than what the queue holds, may pass it.
    pub max_bytes: u64,
    /// Rows that wait in memory for the writing thread.
    pub queue: usize,
}

impl SpoolConfig {
    /// The defaults, in this folder.
    pub fn new(folder: impl Into<PathBuf>) -> Self {
        Self {
            folder: folder.into(),
            // A disk that syncs in a millisecond then syncs at most 200 times a second for the ledger.
            max_delay: Duration::from_millis(5),
            // About 33,000 rows: little to send again after a crash, and few files.
            segment_bytes: 8 << 20,
            segment_age: Duration::from_mins(1),
            // About four million rows of 250 bytes: three hours of 350 requests a second without a database.
            max_bytes: 1 << 30,
            queue: 8192,
        }
    }
}

/// Why a spool cannot be opened.
#[derive(Debug, thiserror::Error)]
pub enum OpenError {
    /// Another process has it.
    #[error("the spool in {0} is in use by another process")]
    InUse(PathBuf),
    /// The folder cannot be used.
    #[error("cannot use the spool in {folder}")]
    Folder {
        /// The folder.
        folder: PathBuf,
        /// Why.
        #[source]
        source: io::Error,
    },
}

/// Why a row was not recorded. The row comes back with those that would take it.
#[derive(Debug, thiserror::Error)]
pub enum RecordError {
    /// The queue is full; only [`Spool::try_record`] says so.
    #[error("the ledger's queue is full")]
    Full(Box<Row>),
    /// The spool was closed before.
    #[error("the ledger is closed")]
    Closed(Box<Row>),
    /// The writing thread ended before the row was on disk.
    #[error("the ledger was closed before the row was on disk")]
    Lost,
}

/// The promise that a row will be on disk; resolves once it is.
#[derive(Debug)]
#[must_use = "only a receipt that was waited for says that the row is safe"]
pub struct Receipt(oneshot::Receiver<()>);

impl Future for Receipt {
    type Output = Result<(), RecordError>;

    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Self::Output> {
        Pin::new(&mut self.0).poll(context).map_err(|_| RecordError::Lost)
    }
}

/// The end of a spool that takes rows.
pub struct Spool {
    entries: mpsc::Sender<Entry>,
    table: Arc<Table>,
    closing: CancellationToken,
    // Held for as long as the spool is; the reader and the writing thread have their own.
    _lock: Arc<File>,
}

impl Spool {
    /// Opens the spool with what an earlier process left in it, and starts the writing thread.
    pub fn open(config: &SpoolConfig) -> Result<(Self, Reader), OpenError> {
        let failed = |source| OpenError::Folder {
            folder: config.folder.clone(),
            source,
        };
        make_folder(&config.folder).map_err(failed)?;
        let lock = files::lock(&config.folder)
            .map_err(failed)?
            .ok_or_else(|| OpenError::InUse(config.folder.clone()))?;
        let lock = Arc::new(lock);
        let table = Arc::new(Table::new(files::list(&config.folder).map_err(failed)?));
        let closing = CancellationToken::new();
        let (entries, received) = mpsc::channel(config.queue.max(1));
        let reader = Reader::new(config.folder.clone(), Arc::clone(&table), Arc::clone(&lock));
        let writer = Writer::new(config, received, Arc::clone(&table), closing.clone(), Arc::clone(&lock));
        writer.start().map_err(failed)?;
        Ok((
            Self {
                entries,
                table,
                closing,
                _lock: lock,
            },
            reader,
        ))
    }

    /// Takes a row, without waiting.
    pub fn try_record(&self, row: Row) -> Result<Receipt, RecordError> {
        let (done, receipt) = oneshot::channel();
        match self.entries.try_send(Entry::new(row, done)) {
            Ok(()) => Ok(Receipt(receipt)),
            Err(mpsc::error::TrySendError::Full(entry)) => Err(RecordError::Full(entry.into_row())),
            Err(mpsc::error::TrySendError::Closed(entry)) => Err(RecordError::Closed(entry.into_row())),
        }
    }

    /// Takes a row, as soon as the queue has room. Those that had to wait are counted.
    ///
    /// The request's own answer should not wait for this: it is the settlement that is slowed down.
    pub async fn record(&self, row: Row) -> Result<Receipt, RecordError> {
        let row = match self.try_record(row) {
            Err(RecordError::Full(row)) => *row,
            done => return done,
        };
        self.table.count_wait();
        let (done, receipt) = oneshot::channel();
        match self.entries.send(Entry::new(row, done)).await {
            Ok(()) => Ok(Receipt(receipt)),
            Err(mpsc::error::SendError(entry)) => Err(RecordError::Closed(entry.into_row())),
        }
    }

    /// What the spool holds, and what is wrong with it.
    pub fn health(&self) -> SpoolHealth {
        let queued = self.entries.max_capacity() - self.entries.capacity();
        self.table.health(queued)
    }

    /// Takes no more rows. Those that were taken are still written, and the reader ends after the last one.
    pub fn close(&self) {
        self.closing.cancel();
    }
}

impl Drop for Spool {
    fn drop(&mut self) {
        // A disk that refuses must not keep the writing thread trying for ever.
        self.table.abandon();
        self.closing.cancel();
    }
}

impl fmt::Debug for Spool {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Spool").field("health", &self.health()).finish()
    }
}

/// The folder of what is kept out of a spool: damaged bytes and rows that the database refused.
pub fn aside_folder(spool: &Path) -> PathBuf {
    spool.join("aside")
}

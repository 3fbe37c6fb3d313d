//! The ledger as the gateway holds it: spool, sender and database.

use std::fmt;
use std::sync::Arc;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use tokio::task::AbortHandle;
use tokio_util::sync::CancellationToken;

use crate::Row;
use crate::sender::{DatabaseHealth, Sender, Status};
use crate::sink::Sink;
use crate::spool::{OpenError, Receipt, RecordError, Spool, SpoolConfig, SpoolHealth};

/// What the ledger does with rows, and what keeps it from that.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Health {
    /// Before the database.
    pub spool: SpoolHealth,
    /// The database.
    pub database: DatabaseHealth,
}

/// Why a ledger was not empty at its end. The rows are on disk, and the next process sends them.
#[derive(Debug, thiserror::Error)]
#[error("rows of the ledger wait in the spool: {unsent_bytes} bytes on disk, {queued} rows in memory")]
pub struct NotDrained {
    /// Bytes in the spool that the database has not confirmed.
    pub unsent_bytes: u64,
    /// Rows that are not even on disk, since it refuses them.
    pub queued: usize,
}

/// Records rows and brings them to a database.
pub struct Ledger {
    spool: Spool,
    status: Arc<Status>,
    sender: AbortHandle,
    ended: CancellationToken,
}

impl Ledger {
    /// Opens the spool and sends what is in it, from a task of the current runtime, to a database that may be away.
    ///
    /// # Panics
    /// Outside of a Tokio runtime.
    pub fn open(spool: &SpoolConfig, sink: impl Sink) -> Result<Self, OpenError> {
        let folder = spool.folder.clone();
        let (spool, reader) = Spool::open(spool)?;
        let status = Arc::new(Status::default());
        let ended = CancellationToken::new();
        let sender = Sender::new(&folder, reader, sink, Arc::clone(&status), now_us);
        let guard = ended.clone().drop_guard();
        let task = tokio::spawn(async move {
            let _ended = guard;
            sender.run().await;
        });
        Ok(Self {
            spool,
            status,
            sender: task.abort_handle(),
            ended,
        })
    }

    /// Takes a row, without waiting; a full queue gives it back. The receipt resolves once the row is on disk.
    pub fn try_record(&self, row: Row) -> Result<Receipt, RecordError> {
        self.spool.try_record(row)
    }

    /// Takes a row, as soon as there is room for it. The receipt resolves once it is on disk.
    ///
    /// A slow or full disk slows this down, so that what settles a request waits, and not the request's answer.
    pub async fn record(&self, row: Row) -> Result<Receipt, RecordError> {
        self.spool.record(row).await
    }

    /// What the ledger does, and what keeps it from that.
    pub fn health(&self) -> Health {
        Health {
            spool: self.spool.health(),
            database: self.status.health(),
        }
    }

    /// Takes no more rows, and brings those that it has to the database, for as long as `within`.
    pub async fn drain(&self, within: Duration) -> Result<(), NotDrained> {
        self.spool.close();
        // The sender ends by itself only when nothing can come any more.
        let ended = tokio::time::timeout(within, self.ended.cancelled()).await;
        self.sender.abort();
        let health = self.spool.health();
        if ended.is_ok() && health.unsent_bytes == 0 {
            return Ok(());
        }
        Err(NotDrained {
            unsent_bytes: health.unsent_bytes,
            queued: health.queued,
        })
    }
}

impl Drop for Ledger {
    fn drop(&mut self) {
        self.sender.abort();
    }
}

impl fmt::Debug for Ledger {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Ledger").field("health", &self.health()).finish()
    }
}

fn now_us() -> i64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    i64::try_from(since.as_micros()).unwrap_or(i64::MAX)
}

//! The end of a spool that hands rows out.

use std::fs::File;
use std::io::{self, Read, Seek, SeekFrom};
use std::path::PathBuf;
use std::sync::Arc;

use tracing::{info, warn};

use super::aside_folder;
use super::files::{self, Name};
use super::table::{Next, Oddity, Segment, Table};
use crate::Row;
use crate::frame::{self, Found, MAX_FRAME_BYTES};

/// Bytes that are read at once: some batches of rows.
const WINDOW: u64 = 1 << 20;

/// Rows in the order in which they were written.
#[derive(Debug)]
pub struct Batch {
    /// The rows. There may be none, where damage was passed over.
    pub rows: Vec<Row>,
    name: Name,
    end: u64,
}

/// Hands out what is on disk. Rows come again, after a restart, until [`Reader::done`] was told of them.
#[derive(Debug)]
pub struct Reader {
    folder: PathBuf,
    table: Arc<Table>,
    _lock: Arc<File>,
}

impl Reader {
    pub(super) fn new(folder: PathBuf, table: Arc<Table>, lock: Arc<File>) -> Self {
        Self {
            folder,
            table,
            _lock: lock,
        }
    }

    /// The next rows, at most `max` of them; waits for some. None once the spool is closed and all of it is done.
    ///
    /// An error is the disk's; the same call may work later. Segments of which all rows are done are removed here.
    pub async fn next(&mut self, max: usize) -> io::Result<Option<Batch>> {
        loop {
            // Made before looking, it notices what happens in between.
            let grown = self.table.grown.notified();
            match self.table.next() {
                Next::Read(segment) => return self.read(segment, max).map(Some),
                Next::Remove(segment) => self.remove(segment)?,
                Next::Wait => grown.await,
                Next::End => return Ok(None),
            }
        }
    }

    /// The rows of a batch, and those before them, are safe elsewhere.
    pub fn done(&mut self, batch: &Batch) {
        self.table.done(batch.name, batch.end);
    }

    fn remove(&self, segment: Segment) -> io::Result<()> {
        match std::fs::remove_file(self.folder.join(segment.name.to_string())) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error),
            _ => {
                self.table.removed(segment.name);
                Ok(())
            }
        }
    }

    fn read(&self, segment: Segment, max: usize) -> io::Result<Batch> {
        let mut batch = Batch {
            rows: Vec::new(),
            name: segment.name,
            end: segment.done,
        };
        let mut window = WINDOW;
        loop {
            let bytes = self.load(segment, batch.end, window)?;
            let whole = batch.end + bytes.len() as u64 >= segment.durable;
            self.take(segment, &bytes, whole, max, &mut batch)?;
            if batch.end > segment.done {
                return Ok(batch);
            }
            // Only damage of a whole window's size gets here: what comes after it has to be seen.
            window = window.saturating_mul(4);
        }
    }

    /// Takes what can be taken from `bytes`, which begin at the batch's end. Without the rest of the segment, what is
    /// near the end of `bytes` cannot be judged.
    fn take(&self, segment: Segment, bytes: &[u8], whole: bool, max: usize, batch: &mut Batch) -> io::Result<()> {
        let mut rest = bytes;
        while !rest.is_empty() && batch.rows.len() < max && (whole || rest.len() >= MAX_FRAME_BYTES) {
            let used = match frame::read(rest, segment.name.salt) {
                Found::Row(row, used) => {
                    batch.rows.push(*row);
                    used
                }
                Found::Broken(used) => {
                    self.set_aside(segment, batch.end, rest.get(..used).unwrap_or(rest), Oddity::Damage)?;
                    used
                }
                Found::Foreign(used) => {
                    self.set_aside(segment, batch.end, rest.get(..used).unwrap_or(rest), Oddity::Foreign)?;
                    used
                }
                Found::Rest if !whole => break,
                Found::Rest => {
                    let oddity = if segment.recovered {
                        Oddity::Torn
                    } else {
                        Oddity::Damage
                    };
                    self.set_aside(segment, batch.end, rest, oddity)?;
                    rest.len()
                }
            };
            rest = rest.get(used..).unwrap_or_default();
            batch.end += used as u64;
        }
        Ok(())
    }

    fn load(&self, segment: Segment, from: u64, window: u64) -> io::Result<Vec<u8>> {
        let length = (segment.durable - from).min(window);
        let mut bytes = Vec::new();
        match File::open(self.folder.join(segment.name.to_string())) {
            Ok(mut file) => {
                file.seek(SeekFrom::Start(from))?;
                file.take(length).read_to_end(&mut bytes)?;
            }
            Err(error) if error.kind() == io::ErrorKind::NotFound => {}
            Err(error) => return Err(error),
        }
        // Where somebody made a file shorter or removed it, rows are lost and the next ones must not wait for them: what
        // should be there reads as zeros, which count as damage.
        bytes.resize(usize::try_from(length).unwrap_or(usize::MAX), 0);
        Ok(bytes)
    }

    /// Keeps bytes that are no row, under a name that is the same when they are met again.
    fn set_aside(&self, segment: Segment, place: u64, bytes: &[u8], oddity: Oddity) -> io::Result<()> {
        // File systems leave zeros behind a crash, where a length was on disk before its bytes.
        if bytes.iter().any(|byte| *byte != 0) {
            let kind = match oddity {
                Oddity::Damage => "damaged",
                Oddity::Torn => "torn",
                Oddity::Foreign => "foreign",
            };
            let name = format!(
                "{kind}-{:016x}-{:016x}-{place:08x}.bin",
                segment.name.number, segment.name.salt
            );
            files::write_durably(&aside_folder(&self.folder), &name, bytes)?;
        }
        self.table.count(oddity);
        if oddity == Oddity::Torn {
            info!(segment = %segment.name, place, bytes = bytes.len(), "cut the torn end off a segment of the ledger's spool");
        } else {
            warn!(segment = %segment.name, place, bytes = bytes.len(), ?oddity, "kept bytes of the ledger's spool aside that are no row");
        }
        Ok(())
    }
}

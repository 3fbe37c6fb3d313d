//! What the writing thread, the reader and whoever asks for health share: the segments and how far each is.

use std::collections::VecDeque;
use std::io;
use std::time::SystemTime;

use parking_lot::Mutex;
use tokio::sync::Notify;

use super::files::Name;

/// What keeps rows from being written.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Trouble {
    /// The segments have the bytes that they may have: the database has not taken any for long.
    Full {
        /// Since when.
        since: SystemTime,
    },
    /// The disk refuses, because it is full or broken.
    Disk {
        /// Since when.
        since: SystemTime,
        /// What the system says.
        error: String,
    },
}

/// What a spool holds, and what has happened to it since it was opened.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SpoolHealth {
    /// What keeps rows from being written now.
    pub trouble: Option<Trouble>,
    /// Rows in memory that wait for the writing thread, without the batch that it has in hand.
    pub queued: usize,
    /// Segments on disk.
    pub segments: usize,
    /// Bytes of all segments.
    pub bytes: u64,
    /// Bytes of them that the database has not confirmed.
    pub unsent_bytes: u64,
    /// Rows that came to be on disk.
    pub written: u64,
    /// Rows that had to wait for room in the queue.
    pub waited: u64,
    /// Failed tries to write.
    pub failures: u64,
    /// Pieces of damage, kept aside.
    pub damaged: u64,
    /// Torn ends, cut off.
    pub torn: u64,
    /// Rows of a later format, kept aside.
    pub foreign: u64,
}

/// Why a batch was not written.
#[derive(Debug, thiserror::Error)]
pub(super) enum CommitError {
    #[error("the spool has the bytes it may have")]
    Full,
    #[error("the disk refuses")]
    Disk(#[from] io::Error),
}

/// A segment as the reader sees it.
#[derive(Debug, Clone, Copy)]
pub(super) struct Segment {
    pub name: Name,
    /// Bytes that are on disk for sure.
    pub durable: u64,
    /// Bytes whose rows are done.
    pub done: u64,
    /// Nothing more will be written to it.
    pub sealed: bool,
    /// An earlier process left it, so that its end may be torn.
    pub recovered: bool,
}

#[derive(Debug, Default)]
struct Inner {
    segments: VecDeque<Segment>,
    trouble: Option<Trouble>,
    next: u64,
    written: u64,
    waited: u64,
    failures: u64,
    damaged: u64,
    torn: u64,
    foreign: u64,
    closed: bool,
    abandoned: bool,
}

#[derive(Debug)]
pub(super) struct Table {
    inner: Mutex<Inner>,
    /// There may be more to read.
    pub grown: Notify,
    /// A segment is gone, so that there may be room to write.
    pub freed: Notify,
}

/// What the reader finds to do.
pub(super) enum Next {
    /// Rows of this segment, from `done` to `durable`.
    Read(Segment),
    /// This segment is done and can go.
    Remove(Segment),
    /// Nothing yet.
    Wait,
    /// Nothing ever.
    End,
}

/// What the reader met that is no row.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Oddity {
    Damage,
    Torn,
    Foreign,
}

impl Table {
    pub fn new(found: Vec<(Name, u64)>) -> Self {
        let next = found.last().map_or(0, |(name, _)| name.number.saturating_add(1));
        let segments = found.into_iter().map(|(name, length)| Segment {
            name,
            durable: length,
            done: 0,
            sealed: true,
            recovered: true,
        });
        Self {
            inner: Mutex::new(Inner {
                segments: segments.collect(),
                next,
                ..Inner::default()
            }),
            grown: Notify::new(),
            freed: Notify::new(),
        }
    }

    /// The number for a new segment. None is given twice, so that a try that failed leaves no trap behind.
    pub fn next_number(&self) -> u64 {
        let mut inner = self.inner.lock();
        let number = inner.next;
        inner.next = number.saturating_add(1);
        number
    }

    /// Bytes of all segments.
    pub fn bytes(&self) -> u64 {
        self.inner.lock().segments.iter().map(|segment| segment.durable).sum()
    }

    /// A segment has this many bytes now, after these new rows.
    pub fn wrote(&self, name: Name, durable: u64, rows: u64) {
        let mut inner = self.inner.lock();
        inner.written += rows;
        inner.trouble = None;
        match inner.segments.iter_mut().find(|segment| segment.name == name) {
            Some(segment) => segment.durable = durable,
            None => inner.segments.push_back(Segment {
                name,
                durable,
                done: 0,
                sealed: false,
                recovered: false,
            }),
        }
        drop(inner);
        self.grown.notify_one();
    }

    /// Nothing more will be written to this segment.
    pub fn seal(&self, name: Name) {
        let mut inner = self.inner.lock();
        if let Some(segment) = inner.segments.iter_mut().find(|segment| segment.name == name) {
            segment.sealed = true;
        }
        drop(inner);
        self.grown.notify_one();
    }

    /// A try to write failed.
    pub fn failed(&self, error: &CommitError) {
        let mut inner = self.inner.lock();
        inner.failures += 1;
        let since = match &inner.trouble {
            Some(Trouble::Full { since } | Trouble::Disk { since, .. }) => *since,
            None => SystemTime::now(),
        };
        inner.trouble = Some(match error {
            CommitError::Full => Trouble::Full { since },
            CommitError::Disk(error) => Trouble::Disk {
                since,
                error: error.to_string(),
            },
        });
    }

    /// The writing thread is over.
    pub fn close(&self) {
        self.inner.lock().closed = true;
        self.grown.notify_one();
    }

    /// Nobody waits for rows any more that the disk refuses.
    pub fn abandon(&self) {
        self.inner.lock().abandoned = true;
        self.freed.notify_one();
    }

    pub fn is_abandoned(&self) -> bool {
        self.inner.lock().abandoned
    }

    pub fn next(&self) -> Next {
        let inner = self.inner.lock();
        match inner.segments.front() {
            Some(segment) if segment.done < segment.durable => Next::Read(*segment),
            Some(segment) if segment.sealed => Next::Remove(*segment),
            None if inner.closed => Next::End,
            // The writing thread seals its segment before it ends.
            _ => Next::Wait,
        }
    }

    /// The rows of a segment are done up to this place.
    pub fn done(&self, name: Name, done: u64) {
        let mut inner = self.inner.lock();
        if let Some(segment) = inner.segments.iter_mut().find(|segment| segment.name == name) {
            segment.done = segment.done.max(done);
        }
    }

    /// A segment's file is gone.
    pub fn removed(&self, name: Name) {
        self.inner.lock().segments.retain(|segment| segment.name != name);
        self.freed.notify_one();
    }

    pub fn count_wait(&self) {
        self.inner.lock().waited += 1;
    }

    pub fn count(&self, oddity: Oddity) {
        let mut inner = self.inner.lock();
        match oddity {
            Oddity::Damage => inner.damaged += 1,
            Oddity::Torn => inner.torn += 1,
            Oddity::Foreign => inner.foreign += 1,
        }
    }

    pub fn health(&self, queued: usize) -> SpoolHealth {
        let inner = self.inner.lock();
        SpoolHealth {
            trouble: inner.trouble.clone(),
            queued,
            segments: inner.segments.len(),
            bytes: inner.segments.iter().map(|segment| segment.durable).sum(),
            unsent_bytes: inner
                .segments
                .iter()
                .map(|segment| segment.durable - segment.done)
                .sum(),
            written: inner.written,
            waited: inner.waited,
            failures: inner.failures,
            damaged: inner.damaged,
            torn: inner.torn,
            foreign: inner.foreign,
        }
    }
}

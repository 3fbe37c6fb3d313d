//! Cuts a byte stream at its blank lines.

use bytes::{Bytes, BytesMut};
use memchr::memchr2;

use super::Event;

/// Why a stream cannot be read further.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum SseError {
    /// One event is larger than allowed.
    #[error("a stream event is larger than {limit} bytes")]
    TooLarge {
        /// The largest size allowed, in bytes.
        limit: usize,
    },
}

/// What is left when the stream ends.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Tail {
    /// The last block.
    pub event: Event,
    /// Whether the block was ended by a blank line. The standard has readers ignore one that was not.
    pub terminated: bool,
}

/// An incremental parser of `text/event-stream`.
///
/// Feed it with [`push`](Self::push) and drain it with [`next_event`](Self::next_event). Events that lie whole in one
/// chunk share its memory; only an event that spans chunks is copied. Lines may end with LF, CRLF or CR.
#[derive(Debug)]
pub struct Parser {
    limit: usize,
    /// Input not yet handed out, when no part of it was held back from an earlier chunk.
    chunk: Bytes,
    /// Input not yet handed out, when some of it was.
    held: BytesMut,
    scan: Scan,
    begun: bool,
    failed: bool,
}

/// How far the search for a blank line has come. Positions are relative to the start of the pending input.
#[derive(Debug, Default, Clone, Copy)]
struct Scan {
    at: usize,
    line_start: usize,
    /// How the previous line of this event ended.
    previous: Option<LineEnd>,
    /// The byte before this event was a CR that ended the one before it, so a LF at the start is the rest of that line.
    after_cr: bool,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum LineEnd {
    Lf,
    Cr,
    CrLf,
}

enum Found {
    /// The event ends here.
    End { length: usize, by_cr: bool },
    /// More input is needed.
    No,
    /// The event ends with the input, unless the next byte is a LF, which would be part of it.
    AtCr,
}

impl Parser {
    /// A parser that refuses events of more than `limit` bytes.
    pub fn new(limit: usize) -> Self {
        Self {
            limit,
            chunk: Bytes::new(),
            held: BytesMut::new(),
            scan: Scan::default(),
            begun: false,
            failed: false,
        }
    }

    /// Adds input. After an error it is dropped, so a hostile stream holds no memory.
    pub fn push(&mut self, chunk: Bytes) {
        if self.failed {
            return;
        }
        if self.held.is_empty() && self.chunk.is_empty() {
            self.chunk = chunk;
            return;
        }
        if self.held.is_empty() {
            let rest = std::mem::take(&mut self.chunk);
            self.held.extend_from_slice(&rest);
        }
        self.held.extend_from_slice(&chunk);
    }

    /// The next whole event, or `None` when more input is needed. After an error it only repeats that error.
    pub fn next_event(&mut self) -> Result<Option<Event>, SseError> {
        let too_large = SseError::TooLarge { limit: self.limit };
        if self.failed {
            return Err(too_large);
        }
        let pending: &[u8] = if self.held.is_empty() { &self.chunk } else { &self.held };
        match self.scan.advance(pending) {
            Found::End { length, by_cr } if length <= self.limit => Ok(Some(self.take(length, by_cr))),
            Found::No | Found::AtCr if pending.len() <= self.limit => Ok(None),
            _ => {
                self.failed = true;
                self.chunk = Bytes::new();
                self.held = BytesMut::new();
                Err(too_large)
            }
        }
    }

    /// What is left at the end of the stream; `None` when nothing is.
    pub fn finish(mut self) -> Option<Tail> {
        let pending: &[u8] = if self.held.is_empty() { &self.chunk } else { &self.held };
        if pending.is_empty() {
            return None;
        }
        let terminated = !matches!(self.scan.advance(pending), Found::No);
        let length = pending.len();
        Some(Tail {
            event: self.take(length, false),
            terminated,
        })
    }

    fn take(&mut self, length: usize, by_cr: bool) -> Event {
        let raw = if self.held.is_empty() {
            self.chunk.split_to(length)
        } else {
            self.held.split_to(length).freeze()
        };
        self.scan = Scan {
            after_cr: by_cr,
            ..Scan::default()
        };
        let first = !std::mem::replace(&mut self.begun, true);
        Event::parse(raw, first)
    }
}

impl Scan {
    /// Looks for the end of the event. Never looks at a byte twice, but for a CR whose successor is not there yet.
    fn advance(&mut self, pending: &[u8]) -> Found {
        if self.after_cr && self.at == 0 && pending.first() == Some(&b'\n') {
            self.at = 1;
            self.line_start = 1;
        }
        while let Some(offset) = pending.get(self.at..).and_then(|rest| memchr2(b'\n', b'\r', rest)) {
            let end = self.at + offset;
            let blank = end == self.line_start;
            if pending[end] == b'\n' {
                if blank {
                    return Found::End {
                        length: end + 1,
                        by_cr: false,
                    };
                }
                self.line(end + 1, LineEnd::Lf);
                continue;
            }
            match pending.get(end + 1) {
                // A CR alone ends a blank line at once unless the lines of this event end with CRLF. So a stream with
                // bare CRs is not delayed, and one with CRLFs is cut behind the LF, wherever the chunks are cut.
                _ if blank && self.previous != Some(LineEnd::CrLf) => {
                    return Found::End {
                        length: end + 1,
                        by_cr: true,
                    };
                }
                Some(b'\n') if blank => {
                    return Found::End {
                        length: end + 2,
                        by_cr: false,
                    };
                }
                Some(b'\n') => self.line(end + 2, LineEnd::CrLf),
                Some(_) if blank => {
                    return Found::End {
                        length: end + 1,
                        by_cr: true,
                    };
                }
                Some(_) => self.line(end + 1, LineEnd::Cr),
                None => {
                    self.at = end;
                    return if blank { Found::AtCr } else { Found::No };
                }
            }
        }
        self.at = pending.len();
        Found::No
    }

    fn line(&mut self, next: usize, end: LineEnd) {
        self.at = next;
        self.line_start = next;
        self.previous = Some(end);
    }
}

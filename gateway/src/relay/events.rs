//! A stream of events, passed on byte for byte as its events are complete.
//!
//! Each event is looked into for tokens and usage. One thing is left out: the usage chunk that the gateway asked the
//! provider for and the client did not. One thing is added: an error event when the provider breaks off.

use bytes::{Bytes, BytesMut};
use tokenweir_llm::response::Inspector;
use tokenweir_llm::sse::{Event, Parser};
use tokenweir_llm::{Operation, Payload};

use super::error_of;
use super::exchange::Exchange;
use super::stream::{Carry, Heard};
use crate::meter::UpstreamErrorKind;

/// Largest event: an image or audio in one delta stays below it.
const MAX_EVENT_BYTES: usize = 8 * 1024 * 1024;

/// Passes events on.
#[derive(Debug)]
pub struct PassedEvents {
    parser: Parser,
    /// Bytes that the parser holds back, as their event is not complete.
    held: usize,
    hide_usage: bool,
    operation: Operation,
    inspector: Inspector,
    stage: Stage,
    /// The provider has sent an error event.
    error: bool,
    /// Events that the client has got.
    events: u64,
}

/// How far the stream has come.
#[derive(Debug, Default, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Stage {
    /// Nothing of a completion was seen.
    #[default]
    Unknown,
    /// Chunks of a completion.
    Begun,
    /// A `finish_reason`, or what stands for it.
    Finished,
    /// The client waits for nothing more, though something may still come.
    Complete,
    /// `[DONE]`, or what stands for it: nothing more is passed on.
    Done,
}

impl PassedEvents {
    /// For a stream of that operation. With `hide_usage` the usage chunk is counted and not passed on.
    pub fn new(operation: Operation, hide_usage: bool) -> Self {
        Self {
            parser: Parser::new(MAX_EVENT_BYTES),
            held: 0,
            hide_usage,
            operation,
            inspector: operation.into(),
            stage: Stage::default(),
            error: false,
            events: 0,
        }
    }

    /// What is known now, with `broken` for what cannot be understood.
    fn heard(&self, broken: Option<UpstreamErrorKind>) -> Heard {
        Heard {
            complete: self.stage >= Stage::Complete,
            error: self.error,
            over: false,
            broken,
        }
    }

    /// Counts what an event says; whether the client gets it.
    fn passes(&mut self, event: &Event, exchange: &mut Exchange) -> bool {
        if self.stage == Stage::Done {
            return false;
        }
        let passes = match event.data().map(|data| self.inspector.inspect(data)) {
            None | Some(Payload::Other) => true,
            Some(Payload::Done) => {
                self.stage = Stage::Done;
                true
            }
            Some(Payload::Error) => {
                self.error = true;
                true
            }
            Some(Payload::Chunk(chunk)) => {
                let stage = match (chunk.last, chunk.finished) {
                    (true, _) => Stage::Complete,
                    (false, true) => Stage::Finished,
                    (false, false) => Stage::Begun,
                };
                self.stage = self.stage.max(stage);
                if chunk.bears_tokens() {
                    exchange.stream_tokens(chunk.tokens);
                }
                if let Some(usage) = chunk.usage {
                    exchange.usage(usage);
                }
                !(self.hide_usage && chunk.is_usage_only())
            }
        };
        self.events += u64::from(passes);
        passes
    }
}

impl Carry for PassedEvents {
    fn piece(&mut self, piece: Bytes, exchange: &mut Exchange, ready: &mut Bytes) -> Heard {
        let fresh = self.held == 0;
        self.held += piece.len();
        let mut complete = 0;
        let mut hidden = false;
        let mut events = Joined::default();
        self.parser.push(piece.clone());
        loop {
            match self.parser.next_event() {
                Ok(Some(event)) => {
                    complete += event.raw().len();
                    if self.passes(&event, exchange) {
                        events.add(event.into_raw());
                    } else {
                        hidden = true;
                    }
                }
                Ok(None) => break,
                Err(_) => {
                    *ready = events.join();
                    return self.heard(Some(UpstreamErrorKind::Malformed));
                }
            }
        }
        self.held -= complete;
        // The usual piece holds whole events: it goes on as it is.
        *ready = if fresh && self.held == 0 && !hidden {
            piece
        } else {
            events.join()
        };
        self.heard(None)
    }

    fn end(&mut self, exchange: &mut Exchange, ready: &mut Bytes) -> Heard {
        let parser = std::mem::replace(&mut self.parser, Parser::new(0));
        let mut cut = false;
        if let Some(tail) = parser.finish() {
            // Some servers end their body right behind the last event, without its blank line. It is passed on if it is
            // whole in itself; else it is the remains of an event that was cut.
            let whole = tail.terminated
                || tail
                    .event
                    .data()
                    .is_some_and(|data| !matches!(Inspector::from(self.operation).inspect(data), Payload::Other));
            if whole && self.passes(&tail.event, exchange) {
                let mut events = Joined::default();
                events.add(tail.event.into_raw());
                if !tail.terminated {
                    events.add(Bytes::from_static(b"\n\n"));
                }
                *ready = events.join();
            }
            cut = !whole;
        }
        let broken = (cut || self.stage == Stage::Begun) && self.stage < Stage::Finished && !self.error;
        self.heard(broken.then_some(UpstreamErrorKind::Interrupted))
    }

    fn fail(&mut self, kind: UpstreamErrorKind, ready: &mut Bytes) {
        let mut events = Joined::default();
        events.add(std::mem::take(ready));
        events.add(error_of(kind).to_event_of(self.operation, self.events));
        *ready = events.join();
    }
}

/// Pieces put together; one alone is not copied.
#[derive(Default)]
struct Joined {
    first: Bytes,
    all: BytesMut,
}

impl Joined {
    fn add(&mut self, piece: Bytes) {
        if self.first.is_empty() {
            self.first = piece;
            return;
        }
        if self.all.is_empty() {
            self.all.extend_from_slice(&self.first);
        }
        self.all.extend_from_slice(&piece);
    }

    fn join(self) -> Bytes {
        if self.all.is_empty() {
            self.first
        } else {
            self.all.freeze()
        }
    }
}

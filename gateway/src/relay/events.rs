//! A stream of events, passed on byte for byte as its events are complete.
//!
//! The relay looks into each event for tokens and usage. It leaves out one thing: the usage chunk that the gateway asked
//! the provider for and the client did not. It adds one thing: an error event when the provider breaks off, as a status
//! can no longer tell.

use std::pin::Pin;
use std::task::{Context, Poll};

use bytes::{Bytes, BytesMut};
use hyper::body::Body as _;
use tokenweir_llm::response::Inspector;
use tokenweir_llm::sse::{Event, Parser};
use tokenweir_llm::{Operation, Payload};

use super::exchange::Exchange;
use super::watchdog::Watchdog;
use super::{AFTER_LAST, error_of};
use crate::meter::UpstreamErrorKind;
use crate::upstream::Rest;

/// Largest event: an image or audio in one delta stays below it.
const MAX_EVENT_BYTES: usize = 8 * 1024 * 1024;

/// The body of a streamed answer.
#[derive(Debug)]
pub struct EventRelay {
    /// `None` once the provider's body is over, one way or the other.
    rest: Option<Rest>,
    parser: Parser,
    /// Bytes that the parser holds back, as their event is not complete.
    held: usize,
    watchdog: Watchdog,
    /// `None` after the end was counted.
    exchange: Option<Exchange>,
    hide_usage: bool,
    operation: Operation,
    inspector: Inspector,
    /// What goes to the client next.
    ready: Bytes,
    seen: Seen,
}

/// What has passed.
#[derive(Debug, Default)]
struct Seen {
    stage: Stage,
    /// An error event of the provider.
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

impl Seen {
    fn reach(&mut self, stage: Stage) {
        self.stage = self.stage.max(stage);
    }

    fn is_done(&self) -> bool {
        self.stage == Stage::Done
    }

    /// Whether the client has all it waits for.
    fn is_complete(&self) -> bool {
        self.stage >= Stage::Complete
    }
}

impl EventRelay {
    /// Relays a stream of that operation whose first bytes are here. With `hide_usage` the usage chunk is counted and not
    /// passed on.
    pub fn new(operation: Operation, first: Bytes, rest: Rest, exchange: Exchange, hide_usage: bool) -> Self {
        let watchdog = Watchdog::new(rest.idle, rest.deadline);
        exchange.first_byte();
        let mut relay = Self {
            rest: Some(rest),
            parser: Parser::new(MAX_EVENT_BYTES),
            held: 0,
            watchdog,
            exchange: Some(exchange),
            hide_usage,
            operation,
            inspector: operation.into(),
            ready: Bytes::new(),
            seen: Seen::default(),
        };
        relay.accept(first);
        relay
    }

    pub(super) fn is_over(&self) -> bool {
        self.rest.is_none() && self.ready.is_empty()
    }

    pub(super) fn poll_data(&mut self, cx: &mut Context<'_>) -> Poll<Option<Bytes>> {
        loop {
            if !self.ready.is_empty() {
                return Poll::Ready(Some(std::mem::take(&mut self.ready)));
            }
            let Some(rest) = &mut self.rest else {
                return Poll::Ready(None);
            };
            match Pin::new(&mut rest.body).poll_frame(cx) {
                Poll::Ready(Some(Ok(frame))) => {
                    self.watchdog.progress();
                    if let Ok(data) = frame.into_data() {
                        self.accept(data);
                    }
                }
                Poll::Ready(Some(Err(_))) => self.broke_off(UpstreamErrorKind::Interrupted),
                Poll::Ready(None) => self.ended(),
                Poll::Pending => match self.watchdog.poll_over(cx) {
                    Poll::Ready(kind) => self.broke_off(kind),
                    Poll::Pending => return Poll::Pending,
                },
            }
        }
    }

    /// Takes a piece of the provider's body and makes ready what is complete.
    fn accept(&mut self, piece: Bytes) {
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
                    if self.passes(&event) {
                        self.seen.events += 1;
                        events.add(event.into_raw());
                    } else {
                        hidden = true;
                    }
                }
                Ok(None) => break,
                Err(_) => {
                    self.ready = events.join();
                    self.broke_off(UpstreamErrorKind::Malformed);
                    return;
                }
            }
        }
        self.held -= complete;
        // The usual piece holds whole events: it goes on as it is.
        self.ready = if fresh && self.held == 0 && !hidden {
            piece
        } else {
            events.join()
        };
    }

    /// Counts what an event says; whether the client gets it.
    fn passes(&mut self, event: &Event) -> bool {
        if self.seen.is_done() {
            return false;
        }
        let Some(exchange) = &mut self.exchange else {
            return false;
        };
        match event.data().map(|data| self.inspector.inspect(data)) {
            None | Some(Payload::Other) => {}
            Some(Payload::Done) => {
                self.seen.reach(Stage::Done);
                self.watchdog.allow_only(AFTER_LAST);
            }
            Some(Payload::Error) => {
                self.seen.error = true;
                exchange.upstream_error(UpstreamErrorKind::Interrupted);
                if let Some(rest) = &mut self.rest {
                    rest.acquit();
                }
            }
            Some(Payload::Chunk(chunk)) => {
                self.seen.reach(match (chunk.last, chunk.finished) {
                    (true, _) => Stage::Complete,
                    (false, true) => Stage::Finished,
                    (false, false) => Stage::Begun,
                });
                if chunk.last {
                    self.watchdog.allow_only(AFTER_LAST);
                }
                if chunk.bears_tokens() {
                    exchange.stream_tokens(chunk.tokens);
                }
                if let Some(usage) = chunk.usage {
                    exchange.usage(usage);
                }
                return !(self.hide_usage && chunk.is_usage_only());
            }
        }
        true
    }

    /// The provider's body is over.
    fn ended(&mut self) {
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
            if whole && self.passes(&tail.event) {
                let mut events = Joined::default();
                events.add(tail.event.into_raw());
                if !tail.terminated {
                    events.add(Bytes::from_static(b"\n\n"));
                }
                self.ready = events.join();
            }
            cut = !whole;
        }
        let broken = cut || self.seen.stage == Stage::Begun;
        if broken && self.seen.stage < Stage::Finished && !self.seen.error {
            self.broke_off(UpstreamErrorKind::Interrupted);
            return;
        }
        if let Some(rest) = self.rest.take() {
            rest.finish();
        }
        self.count_end();
    }

    /// The provider failed: tells the client by an event, unless it has all it waits for.
    fn broke_off(&mut self, kind: UpstreamErrorKind) {
        let rest = self.rest.take();
        if self.seen.is_complete() || self.seen.error {
            self.count_end();
            if let Some(rest) = rest {
                rest.enough();
            }
            return;
        }
        if let Some(rest) = rest {
            rest.broke_off(kind);
        }
        let event = error_of(kind).to_event_of(self.operation, self.seen.events);
        let mut events = Joined::default();
        events.add(std::mem::take(&mut self.ready));
        events.add(event);
        self.ready = events.join();
        if let Some(exchange) = self.exchange.take() {
            exchange.upstream_error(kind);
            exchange.end(200, Some(kind.as_str()));
        }
    }

    fn count_end(&mut self) {
        if let Some(exchange) = self.exchange.take() {
            exchange.end(200, self.seen.error.then_some(UpstreamErrorKind::Interrupted.as_str()));
        }
    }
}

impl Drop for EventRelay {
    fn drop(&mut self) {
        // A client that has read the last event may close at once: it has got everything. Any other one went away.
        if self.seen.is_complete() {
            self.count_end();
            if let Some(rest) = self.rest.take() {
                rest.enough();
            }
        }
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

//! A streamed answer on its way to the client: the loop over the provider's body that all streams share.
//!
//! Whatever is done with the pieces, it keeps these promises: nothing is held back that the client could read; silence and
//! the end of the request's time are noticed; a client that goes away cancels the request at the provider; what breaks off
//! ends with an error event, as a status can no longer tell; and the end is counted once.

use std::task::{Context, Poll, ready};

use bytes::Bytes;

use super::exchange::Exchange;
use super::watchdog::Watchdog;
use super::{AFTER_LAST, STATUS_OK};
use crate::meter::UpstreamErrorKind;
use crate::upstream::Rest;

/// What is done with the pieces of a stream. What goes to the client is left in `ready`, which is empty before.
pub trait Carry {
    /// Takes a piece of the provider's body, cut anywhere.
    fn piece(&mut self, piece: Bytes, exchange: &mut Exchange, ready: &mut Bytes) -> Heard;

    /// The provider's body is over.
    fn end(&mut self, exchange: &mut Exchange, ready: &mut Bytes) -> Heard;

    /// The provider failed: adds the event that tells the client to what is ready, unless it has been told.
    fn fail(&mut self, kind: UpstreamErrorKind, ready: &mut Bytes);
}

/// What a piece has told about the stream as a whole.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Heard {
    /// The client has all it waits for, though something may still come.
    pub complete: bool,
    /// The provider itself said that something went wrong.
    pub error: bool,
    /// Nothing that still comes would be told: the connection is not worth waiting for.
    pub over: bool,
    /// What came cannot be understood, or ends too early.
    pub broken: Option<UpstreamErrorKind>,
}

/// The body of a streamed answer.
#[derive(Debug)]
pub struct StreamRelay<C> {
    carry: C,
    /// `None` once the provider's body is over, one way or the other, and the end was counted.
    link: Option<Link>,
    /// What goes to the client next.
    ready: Bytes,
    /// The client has all it waits for.
    complete: bool,
    /// The provider said that something went wrong.
    told: bool,
}

/// What is held while the provider may still send.
#[derive(Debug)]
struct Link {
    rest: Rest,
    watchdog: Watchdog,
    exchange: Exchange,
}

impl<C: Carry> StreamRelay<C> {
    /// Relays a stream whose first bytes are here.
    pub fn new(carry: C, first: Bytes, rest: Rest, exchange: Exchange) -> Self {
        exchange.first_byte();
        let watchdog = Watchdog::new(rest.idle, rest.deadline);
        let mut relay = Self {
            carry,
            link: Some(Link {
                rest,
                watchdog,
                exchange,
            }),
            ready: Bytes::new(),
            complete: false,
            told: false,
        };
        relay.accept(first);
        relay
    }

    pub(super) fn is_over(&self) -> bool {
        self.link.is_none() && self.ready.is_empty()
    }

    pub(super) fn poll_data(&mut self, cx: &mut Context<'_>) -> Poll<Option<Bytes>> {
        loop {
            if !self.ready.is_empty() {
                return Poll::Ready(Some(std::mem::take(&mut self.ready)));
            }
            let Some(link) = &mut self.link else {
                return Poll::Ready(None);
            };
            match link.rest.poll_frame(cx) {
                Poll::Ready(Some(Ok(frame))) => {
                    link.watchdog.progress();
                    if let Ok(data) = frame.into_data() {
                        self.accept(data);
                    }
                }
                Poll::Ready(Some(Err(_))) => self.broke_off(UpstreamErrorKind::Interrupted),
                Poll::Ready(None) => self.ended(),
                Poll::Pending => {
                    let kind = ready!(link.watchdog.poll_over(cx));
                    self.broke_off(kind);
                }
            }
        }
    }

    fn accept(&mut self, piece: Bytes) {
        if let Some(link) = &mut self.link {
            let heard = self.carry.piece(piece, &mut link.exchange, &mut self.ready);
            self.heed(heard);
        }
    }

    /// The provider's body is over.
    fn ended(&mut self) {
        if let Some(link) = &mut self.link {
            let heard = self.carry.end(&mut link.exchange, &mut self.ready);
            self.heed(heard);
        }
        if let Some(Link { rest, exchange, .. }) = self.link.take() {
            rest.finish();
            self.count(exchange);
        }
    }

    fn heed(&mut self, heard: Heard) {
        let Some(link) = &mut self.link else { return };
        if heard.complete && !self.complete {
            self.complete = true;
            link.watchdog.allow_only(AFTER_LAST);
        }
        if heard.error && !self.told {
            self.told = true;
            link.exchange.upstream_error(UpstreamErrorKind::Interrupted);
            link.rest.acquit();
        }
        if let Some(kind) = heard.broken {
            self.broke_off(kind);
        } else if heard.over
            && let Some(Link { exchange, .. }) = self.link.take()
        {
            self.count(exchange);
        }
    }

    /// The provider failed: tells the client by an event, unless it has all it waits for, or has been told.
    fn broke_off(&mut self, kind: UpstreamErrorKind) {
        let Some(Link { rest, exchange, .. }) = self.link.take() else {
            return;
        };
        if self.complete || self.told {
            rest.enough();
            self.count(exchange);
            return;
        }
        rest.broke_off(kind);
        self.carry.fail(kind, &mut self.ready);
        exchange.upstream_error(kind);
        exchange.end(STATUS_OK, Some(kind.as_str()));
    }
}

impl<C> StreamRelay<C> {
    fn count(&self, exchange: Exchange) {
        let error = self.told.then_some(UpstreamErrorKind::Interrupted.as_str());
        exchange.end(STATUS_OK, error);
    }
}

impl<C> Drop for StreamRelay<C> {
    fn drop(&mut self) {
        // A client that has read the last event may close at once: it has got everything. Any other one went away.
        if self.complete
            && let Some(Link { rest, exchange, .. }) = self.link.take()
        {
            rest.enough();
            self.count(exchange);
        }
    }
}

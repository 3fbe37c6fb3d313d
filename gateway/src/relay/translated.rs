//! A stream of events on its way from a provider's wire to a client's dialect.
//!
//! It keeps the promises of [`super::EventRelay`]: nothing is held back that the client could read, silence and the end of
//! the request's time are noticed, a client that goes away cancels the request at the provider, whatever breaks off ends
//! with an error event of the client's dialect, and the end is counted once.

use std::pin::Pin;
use std::task::{Context, Poll};

use bytes::Bytes;
use hyper::body::Body as _;
use tokenweir_llm::conversation::StreamError;
use tokenweir_llm::translate::{Progress, StreamTranslation};

use super::exchange::Exchange;
use super::watchdog::Watchdog;
use super::{AFTER_LAST, error_of};
use crate::meter::UpstreamErrorKind;
use crate::upstream::Rest;

/// The body of a streamed answer that is translated.
#[derive(Debug)]
pub struct TranslatedRelay {
    /// `None` once the provider's body is over, one way or the other.
    rest: Option<Rest>,
    translation: StreamTranslation,
    watchdog: Watchdog,
    /// `None` after the end was counted.
    exchange: Option<Exchange>,
    /// What goes to the client next.
    ready: Bytes,
    /// The client has been told all, and the answer is complete.
    complete: bool,
}

impl TranslatedRelay {
    /// Relays a stream whose first bytes are here.
    pub fn new(translation: StreamTranslation, first: &Bytes, rest: Rest, exchange: Exchange) -> Self {
        let watchdog = Watchdog::new(rest.idle, rest.deadline);
        exchange.first_byte();
        let mut relay = Self {
            rest: Some(rest),
            translation,
            watchdog,
            exchange: Some(exchange),
            ready: Bytes::new(),
            complete: false,
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
                        self.accept(&data);
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

    fn accept(&mut self, piece: &[u8]) {
        let mut out = Vec::new();
        let progress = self.translation.push(piece, &mut out);
        self.ready = out.into();
        self.note(progress);
    }

    /// The provider's body is over.
    fn ended(&mut self) {
        let mut out = Vec::new();
        let progress = self.translation.finish(&mut out);
        self.ready = out.into();
        let rest = self.rest.take();
        self.note(progress);
        if let Some(rest) = rest {
            if progress.error {
                rest.broke_off(UpstreamErrorKind::Interrupted);
            } else {
                rest.finish();
            }
        }
        self.count_end(None);
    }

    fn note(&mut self, progress: Progress) {
        if let Some(exchange) = &mut self.exchange {
            if progress.tokens > 0 {
                exchange.stream_tokens(progress.tokens);
            }
            if let Some(usage) = progress.usage {
                exchange.usage(usage);
            }
        }
        if progress.ended {
            self.complete = true;
            self.watchdog.allow_only(AFTER_LAST);
        }
        if progress.error {
            // Nothing that still comes would be told: the connection is not worth waiting for.
            self.rest = None;
            self.count_end(Some(UpstreamErrorKind::Interrupted));
        }
    }

    /// The provider failed: the client is told by an event, unless it has all it waits for.
    fn broke_off(&mut self, kind: UpstreamErrorKind) {
        let rest = self.rest.take();
        if self.complete {
            self.count_end(None);
            if let Some(rest) = rest {
                rest.enough();
            }
            return;
        }
        if let Some(rest) = rest {
            rest.broke_off(kind);
        }
        let error = error_of(kind);
        let error = StreamError {
            kind: error.kind(),
            message: error.message().to_owned(),
        };
        let mut out = Vec::new();
        self.translation.fail(error, &mut out);
        self.ready = out.into();
        self.count_end(Some(kind));
    }

    fn count_end(&mut self, error: Option<UpstreamErrorKind>) {
        if let Some(exchange) = self.exchange.take() {
            if let Some(kind) = error {
                exchange.upstream_error(kind);
            }
            exchange.end(200, error.map(UpstreamErrorKind::as_str));
        }
    }
}

impl Drop for TranslatedRelay {
    fn drop(&mut self) {
        // A client that has read the last event may close at once: it has got everything. Any other one went away.
        if self.complete {
            self.count_end(None);
            if let Some(rest) = self.rest.take() {
                rest.enough();
            }
        }
    }
}

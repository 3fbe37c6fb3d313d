//! A large answer that is not a stream, passed on as it comes.

use std::task::{Context, Poll};

use bytes::{Bytes, BytesMut};
use hyper::body::{Body as _, SizeHint};
use tokenweir_llm::Operation;
use tokenweir_llm::response::usage_of_answer;

use super::exchange::Exchange;
use super::watchdog::Watchdog;
use super::{BrokenOff, STATUS_OK};
use crate::meter::UpstreamErrorKind;
use crate::upstream::Rest;

/// Of a larger answer the usage is not read, as a copy of it is kept until its end.
const KEPT_BYTES: usize = 16 * 1024 * 1024;

/// The body of such an answer.
#[derive(Debug)]
pub struct PlainRelay {
    ready: Bytes,
    rest: Option<Rest>,
    watchdog: Watchdog,
    exchange: Option<Exchange>,
    operation: Operation,
    /// All that has passed; `None` once it is too much.
    kept: Option<BytesMut>,
}

fn rest_is_over(rest: Option<&Rest>) -> bool {
    rest.is_some_and(|rest| rest.body.is_end_stream())
}

impl PlainRelay {
    /// Relays an answer whose beginning is here.
    pub fn new(operation: Operation, first: Bytes, rest: Rest, exchange: Exchange) -> Self {
        let watchdog = Watchdog::new(rest.idle, rest.deadline);
        exchange.first_byte();
        let kept = Some(BytesMut::from(&*first));
        Self {
            ready: first,
            rest: Some(rest),
            watchdog,
            exchange: Some(exchange),
            operation,
            kept,
        }
    }

    pub(super) fn is_over(&self) -> bool {
        self.rest.is_none() && self.ready.is_empty()
    }

    /// The length, if the provider announced it.
    pub(super) fn size_hint(&self) -> SizeHint {
        let rest = self
            .rest
            .as_ref()
            .map_or_else(|| Some(0), |rest| rest.body.size_hint().exact());
        rest.map_or_else(SizeHint::default, |rest| {
            SizeHint::with_exact(rest + self.ready.len() as u64)
        })
    }

    pub(super) fn poll_data(&mut self, cx: &mut Context<'_>) -> Poll<Option<Result<Bytes, BrokenOff>>> {
        loop {
            if !self.ready.is_empty() {
                return Poll::Ready(Some(Ok(std::mem::take(&mut self.ready))));
            }
            let Some(rest) = &mut self.rest else {
                return Poll::Ready(None);
            };
            match rest.poll_frame(cx) {
                Poll::Ready(Some(Ok(frame))) => {
                    self.watchdog.progress();
                    if let Ok(data) = frame.into_data() {
                        self.keep(&data);
                        self.ready = data;
                    }
                    // A body of known length is not asked again after its last byte, so its end is counted with it.
                    if rest_is_over(self.rest.as_ref()) {
                        self.ended();
                    }
                }
                Poll::Ready(Some(Err(_))) => {
                    return Poll::Ready(Some(Err(self.broke_off(UpstreamErrorKind::Interrupted))));
                }
                Poll::Ready(None) => self.ended(),
                Poll::Pending => match self.watchdog.poll_over(cx) {
                    Poll::Ready(kind) => return Poll::Ready(Some(Err(self.broke_off(kind)))),
                    Poll::Pending => return Poll::Pending,
                },
            }
        }
    }

    fn keep(&mut self, data: &Bytes) {
        if let Some(kept) = &mut self.kept {
            if kept.len() + data.len() > KEPT_BYTES {
                self.kept = None;
            } else {
                kept.extend_from_slice(data);
            }
        }
    }

    fn ended(&mut self) {
        if let Some(rest) = self.rest.take() {
            rest.finish();
        }
        if let Some(mut exchange) = self.exchange.take() {
            if let Some(body) = self.kept.take() {
                let usage = usage_of_answer(self.operation, &body);
                exchange.usage_of(usage, self.operation, &body);
            }
            exchange.end(STATUS_OK, None);
        }
    }

    fn broke_off(&mut self, kind: UpstreamErrorKind) -> BrokenOff {
        if let Some(rest) = self.rest.take() {
            rest.broke_off(kind);
        }
        if let Some(exchange) = self.exchange.take() {
            exchange.upstream_error(kind);
            exchange.end(STATUS_OK, Some(kind.as_str()));
        }
        BrokenOff(kind)
    }
}

//! Bodies of answers on their way to the client: whole, as a stream of events, or passed on as they come.

mod events;
mod exchange;
mod plain;
mod watchdog;

use std::pin::Pin;
use std::task::{Context, Poll};

use bytes::Bytes;
use hyper::body::{Body, Frame, SizeHint};

pub use events::EventRelay;
pub use exchange::{AccessLog, Exchange};
pub use plain::PlainRelay;

use crate::meter::UpstreamErrorKind;
use crate::server::Active;

/// Why a body breaks off. The connection (or the HTTP/2 stream) ends with it, so that the client sees a broken answer as
/// broken.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("the provider's answer broke off: {}", .0.as_str())]
pub struct BrokenOff(pub UpstreamErrorKind);

/// The body of every answer.
#[derive(Debug)]
pub struct GatewayBody {
    kind: Kind,
    /// Counts the request as running until its body has gone.
    active: Option<Active>,
}

#[derive(Debug)]
enum Kind {
    Whole(Bytes),
    // Boxed, as most answers are whole and hyper moves bodies about.
    Events(Box<EventRelay>),
    Plain(Box<PlainRelay>),
}

impl GatewayBody {
    /// A body that is all here.
    pub fn whole(body: Bytes) -> Self {
        Kind::Whole(body).into()
    }

    /// Counts the request as running for as long as this body lives.
    #[must_use]
    pub fn counted(mut self, active: Active) -> Self {
        self.active = Some(active);
        self
    }
}

impl From<Kind> for GatewayBody {
    fn from(kind: Kind) -> Self {
        Self { kind, active: None }
    }
}

impl From<EventRelay> for GatewayBody {
    fn from(relay: EventRelay) -> Self {
        Kind::Events(Box::new(relay)).into()
    }
}

impl From<PlainRelay> for GatewayBody {
    fn from(relay: PlainRelay) -> Self {
        Kind::Plain(Box::new(relay)).into()
    }
}

impl Body for GatewayBody {
    type Data = Bytes;
    type Error = BrokenOff;

    fn poll_frame(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, BrokenOff>>> {
        match &mut self.kind {
            Kind::Whole(body) if body.is_empty() => Poll::Ready(None),
            Kind::Whole(body) => Poll::Ready(Some(Ok(Frame::data(std::mem::take(body))))),
            Kind::Events(relay) => relay.poll_data(cx).map(|data| data.map(|data| Ok(Frame::data(data)))),
            Kind::Plain(relay) => relay.poll_data(cx).map(|data| data.map(|data| data.map(Frame::data))),
        }
    }

    fn is_end_stream(&self) -> bool {
        match &self.kind {
            Kind::Whole(body) => body.is_empty(),
            Kind::Events(relay) => relay.is_over(),
            Kind::Plain(relay) => relay.is_over(),
        }
    }

    fn size_hint(&self) -> SizeHint {
        match &self.kind {
            Kind::Whole(body) => SizeHint::with_exact(body.len() as u64),
            Kind::Events(_) => SizeHint::default(),
            Kind::Plain(relay) => relay.size_hint(),
        }
    }
}

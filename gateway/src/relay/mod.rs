//! Bodies of answers on their way to the client: whole, as a stream of events, or passed on as they come.

mod events;
mod exchange;
mod plain;
mod stream;
mod translated;
mod watchdog;

use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;

use bytes::Bytes;
use hyper::body::{Body, Frame, SizeHint};
use tokenweir_llm::{ErrorKind, OpenAiError};

pub use events::PassedEvents;
pub use exchange::{AccessLog, Exchange};
pub use plain::PlainRelay;
pub use stream::StreamRelay;
pub use translated::TranslatedEvents;

use crate::encoding::Encoder;
use crate::meter::UpstreamErrorKind;
use crate::server::Active;

/// The status of a success in the meter.
const STATUS_OK: u16 = 200;
/// After its last event the provider has this long to end its body, so that the connection can be used again.
const AFTER_LAST: Duration = Duration::from_secs(1);

/// What a client is told of a provider that fails in the middle of a stream.
fn error_of(kind: UpstreamErrorKind) -> OpenAiError {
    match kind {
        UpstreamErrorKind::IdleTimeout => OpenAiError::new(
            ErrorKind::UpstreamTimeout,
            "the provider stopped sending in the middle of its answer",
        ),
        UpstreamErrorKind::TotalTimeout => {
            OpenAiError::new(ErrorKind::UpstreamTimeout, "the answer took longer than a request may")
        }
        UpstreamErrorKind::Malformed => {
            OpenAiError::new(ErrorKind::BadUpstream, "the provider sent an event that is too large")
        }
        _ => OpenAiError::new(
            ErrorKind::BadUpstream,
            "the provider broke off in the middle of its answer",
        ),
    }
}

/// Why a body breaks off. The connection (or the HTTP/2 stream) ends with it, so that the client sees a broken answer as
/// broken.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("the provider's answer broke off: {}", .0.as_str())]
pub struct BrokenOff(pub UpstreamErrorKind);

/// The body of every answer.
#[derive(Debug)]
pub struct GatewayBody {
    kind: Kind,
    /// Compresses what is passed on as it comes, until its end.
    encoder: Option<Box<Encoder>>,
    /// Counts the request as running until its body has gone.
    active: Option<Active>,
}

#[derive(Debug)]
enum Kind {
    Whole(Bytes),
    // Boxed, as most answers are whole and hyper moves bodies about.
    Events(Box<StreamRelay<PassedEvents>>),
    Translated(Box<StreamRelay<TranslatedEvents>>),
    Plain(Box<PlainRelay>),
}

impl GatewayBody {
    /// A body that is all here.
    pub fn whole(body: Bytes) -> Self {
        Kind::Whole(body).into()
    }

    /// The body, if it is all here.
    pub fn as_whole(&self) -> Option<&Bytes> {
        match &self.kind {
            Kind::Whole(body) => Some(body),
            _ => None,
        }
    }

    /// Compresses a body that is passed on as it comes; false for any other.
    pub fn compress(&mut self, encoder: Encoder) -> bool {
        let plain = matches!(self.kind, Kind::Plain(_));
        if plain {
            self.encoder = Some(Box::new(encoder));
        }
        plain
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
        Self {
            kind,
            encoder: None,
            active: None,
        }
    }
}

impl From<StreamRelay<PassedEvents>> for GatewayBody {
    fn from(relay: StreamRelay<PassedEvents>) -> Self {
        Kind::Events(Box::new(relay)).into()
    }
}

impl From<StreamRelay<TranslatedEvents>> for GatewayBody {
    fn from(relay: StreamRelay<TranslatedEvents>) -> Self {
        Kind::Translated(Box::new(relay)).into()
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
        let this = &mut *self;
        match &mut this.kind {
            Kind::Whole(body) if body.is_empty() => Poll::Ready(None),
            Kind::Whole(body) => Poll::Ready(Some(Ok(Frame::data(std::mem::take(body))))),
            Kind::Events(relay) => relay.poll_data(cx).map(|data| data.map(|data| Ok(Frame::data(data)))),
            Kind::Translated(relay) => relay.poll_data(cx).map(|data| data.map(|data| Ok(Frame::data(data)))),
            Kind::Plain(relay) if this.encoder.is_some() => poll_encoded(relay, &mut this.encoder, cx),
            Kind::Plain(relay) => relay.poll_data(cx).map(|data| data.map(|data| data.map(Frame::data))),
        }
    }

    fn is_end_stream(&self) -> bool {
        match &self.kind {
            Kind::Whole(body) => body.is_empty(),
            Kind::Events(relay) => relay.is_over(),
            Kind::Translated(relay) => relay.is_over(),
            // What the encoder still holds comes after the end of what it takes in.
            Kind::Plain(relay) => relay.is_over() && self.encoder.is_none(),
        }
    }

    fn size_hint(&self) -> SizeHint {
        match &self.kind {
            Kind::Whole(body) => SizeHint::with_exact(body.len() as u64),
            Kind::Events(_) | Kind::Translated(_) => SizeHint::default(),
            Kind::Plain(_) if self.encoder.is_some() => SizeHint::default(),
            Kind::Plain(relay) => relay.size_hint(),
        }
    }
}

/// The next compressed piece of what a relay passes on.
fn poll_encoded(
    relay: &mut PlainRelay,
    encoder: &mut Option<Box<Encoder>>,
    cx: &mut Context<'_>,
) -> Poll<Option<Result<Frame<Bytes>, BrokenOff>>> {
    // Compressing fails for want of memory alone. The answer is cut then, so that it does not look whole.
    let failed = |_| BrokenOff(UpstreamErrorKind::Interrupted);
    while let Some(working) = encoder {
        let compressed = match std::task::ready!(relay.poll_data(cx)) {
            Some(Ok(data)) => working.push(&data),
            Some(Err(error)) => return Poll::Ready(Some(Err(error))),
            None => match encoder.take() {
                Some(last) => last.finish(),
                None => break,
            },
        };
        match compressed.map_err(failed) {
            Ok(data) if data.is_empty() => {}
            other => return Poll::Ready(Some(other.map(Frame::data))),
        }
    }
    Poll::Ready(None)
}

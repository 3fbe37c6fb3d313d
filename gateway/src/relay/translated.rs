//! A stream of events on its way from a provider's wire to a client's dialect.

use bytes::Bytes;
use tokenweir_llm::conversation::StreamError;
use tokenweir_llm::translate::{Progress, StreamTranslation};

use super::error_of;
use super::exchange::Exchange;
use super::stream::{Carry, Heard};
use crate::meter::UpstreamErrorKind;

/// Translates events.
#[derive(Debug)]
pub struct TranslatedEvents(StreamTranslation);

impl TranslatedEvents {
    /// With a translation that has just begun.
    pub fn new(translation: StreamTranslation) -> Self {
        Self(translation)
    }
}

/// Counts what a piece has told.
fn note(progress: &Progress, exchange: &mut Exchange) {
    if progress.tokens > 0 {
        exchange.stream_tokens(progress.tokens);
    }
    if let Some(usage) = progress.usage {
        exchange.usage(usage);
    }
}

impl Carry for TranslatedEvents {
    fn piece(&mut self, piece: Bytes, exchange: &mut Exchange, ready: &mut Bytes) -> Heard {
        let mut out = Vec::new();
        let progress = self.0.push(&piece, &mut out);
        *ready = out.into();
        note(&progress, exchange);
        Heard {
            complete: progress.ended,
            error: progress.error,
            over: progress.error,
            broken: None,
        }
    }

    fn end(&mut self, exchange: &mut Exchange, ready: &mut Bytes) -> Heard {
        let mut out = Vec::new();
        let progress = self.0.finish(&mut out);
        *ready = out.into();
        note(&progress, exchange);
        Heard {
            complete: progress.ended,
            // The stream was cut, which the client has been told by now.
            broken: progress.error.then_some(UpstreamErrorKind::Interrupted),
            ..Heard::default()
        }
    }

    fn fail(&mut self, kind: UpstreamErrorKind, ready: &mut Bytes) {
        let error = error_of(kind);
        let error = StreamError {
            kind: error.kind(),
            message: error.message().to_owned(),
        };
        let mut out = Vec::from(std::mem::take(ready));
        self.0.fail(error, &mut out);
        *ready = out.into();
    }
}

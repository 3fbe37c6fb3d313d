//! Joins a client's dialect with a provider's.
//!
//! A request is read once, by [`read_request`], and written for the target of each try by [`Translation::request`], so
//! that a fallback may speak another wire. The answer goes the way back.

mod sides;
mod stream;

use crate::conversation::{Report, Request, Unsupported};
use crate::dialect::{AnswerError, Client, Context, ProviderError, Target, Wire};
use crate::{RequestError, Usage};
use sides::{ClientSide, WireSide};

pub use stream::{Progress, StreamTranslation};

/// Reads a client's request.
pub fn read_request(client: Client, body: &[u8]) -> Result<Request, RequestError> {
    (ClientSide::of(client).read_request)(body)
}

/// A client's dialect in front of a provider's wire.
#[derive(Debug, Clone, Copy)]
pub struct Translation {
    client: ClientSide,
    wire: WireSide,
}

impl Translation {
    /// Joins the two. `None`: both are the same, and bytes are passed on.
    pub const fn new(client: Client, wire: Wire) -> Option<Self> {
        if matches!(
            (client, wire),
            (Client::ChatCompletions, Wire::ChatCompletions) | (Client::Messages, Wire::Messages)
        ) {
            return None;
        }
        Some(Self {
            client: ClientSide::of(client),
            wire: WireSide::of(wire),
        })
    }

    /// Writes a request for a target. What its wire has no place for is an error, unless it is to be dropped.
    pub fn request(
        &self,
        request: &Request,
        target: &Target<'_>,
        drop_unsupported: bool,
    ) -> Result<Vec<u8>, Unsupported> {
        match self.write(request, target) {
            (_, Some(unsupported)) if !drop_unsupported => Err(unsupported),
            (body, _) => Ok(body),
        }
    }

    /// Writes a request for a target without what its wire has no place for, and says what that is, if there is any.
    pub fn write(&self, request: &Request, target: &Target<'_>) -> (Vec<u8>, Option<Unsupported>) {
        let mut report = Report::about(self.wire.name);
        let body = (self.wire.write_request)(request, target, &mut report);
        (body, report.finish().err())
    }

    /// Translates a whole answer; also says what it has cost.
    pub fn answer(&self, body: &[u8], context: &Context) -> Result<(Vec<u8>, Usage), AnswerError> {
        let answer = (self.wire.read_answer)(body)?;
        Ok(((self.client.write_answer)(&answer, context), answer.usage))
    }

    /// Translates an answer with an error status.
    pub fn error(&self, status: u16, body: &[u8]) -> (ProviderError, Vec<u8>) {
        let error = (self.wire.read_error)(status, body);
        let body = (self.client.write_error)(&error);
        (error, body)
    }

    /// Begins to translate a stream.
    pub fn stream(&self, context: Context) -> StreamTranslation {
        StreamTranslation::new((self.wire.stream)(), (self.client.stream)(context))
    }
}

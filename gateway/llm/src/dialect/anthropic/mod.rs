//! Anthropic Messages, for clients and for providers.
//!
//! Requests for Anthropic are written as its API took them in version `2023-06-01` ([`VERSION`]): later versions add
//! nothing to the bodies, and take away what older models still know.
//!
//! # What of the shared terms the dialect does not have
//!
//! - Several answers, seeds, penalties, log probabilities, sound, JSON without a schema, a temperature above 1, names of
//!   speakers: reported.
//! - Instructions behind the first turn: see [`write::turns`](write), by model.
//! - How tokens are drawn and how much the model thinks: by model, see [`model`]. A name that the table does not know
//!   counts as the newest of its family.
//! - Proofs of calls (Gemini's) travel to the client and back in the ids of the calls.
//!
//! # Token counts of streams
//!
//! The first event of a stream must say how many tokens the input has, which most other providers tell at the end. It
//! says the gateway's estimate then, and the event at the end the provider's own count, as Anthropic's own streams do
//! since counts in it are totals: its packages take over the last one.

mod answer;
mod blocks;
mod error;
pub(super) mod ids;
pub(crate) mod model;
mod read;
mod stream;
mod usage;
pub(super) mod write;

use super::{AnswerError, ClientDialect, Context, ProviderError, ProviderWire, StreamReader, StreamWriter, Target};
use crate::RequestError;
use crate::conversation::{Answer, Report, Request};

/// The value of the header `anthropic-version` for which requests are written.
pub const VERSION: &str = "2023-06-01";

/// Where a client says whether it wants to read thoughts.
const DISPLAY: &str = "thinking.display";

/// Anthropic Messages.
#[derive(Debug, Clone, Copy)]
pub struct Messages;

impl Messages {
    /// Reads a request for the count of tokens: `POST /v1/messages/count_tokens`. It has the shape of one for an answer,
    /// without a limit on tokens.
    pub fn read_count_request(body: &[u8]) -> Result<Request, RequestError> {
        read::read(body, read::Purpose::Count)
    }

    /// Writes the count of tokens of a request.
    pub fn write_count(input_tokens: u64) -> Vec<u8> {
        #[derive(serde::Serialize)]
        struct Count {
            input_tokens: u64,
        }
        super::json::encode(&Count { input_tokens })
    }

    /// Writes an error as a body that names the request, as Anthropic's do.
    pub fn write_error_of(error: &ProviderError, request_id: &str) -> Vec<u8> {
        error::write(error, Some(request_id))
    }
}

impl ClientDialect for Messages {
    fn read_request(body: &[u8]) -> Result<Request, RequestError> {
        read::read(body, read::Purpose::Answer)
    }

    fn write_answer(answer: &Answer, context: &Context) -> Vec<u8> {
        answer::write(answer, context)
    }

    fn write_error(error: &ProviderError) -> Vec<u8> {
        error::write(error, None)
    }

    fn stream(context: Context) -> Box<dyn StreamWriter> {
        Box::new(stream::Writer::new(context))
    }
}

impl ProviderWire for Messages {
    const NAME: &'static str = answer::NAME;

    fn write_request(request: &Request, target: &Target<'_>, report: &mut Report) -> Vec<u8> {
        write::write(request, target, report)
    }

    fn read_answer(body: &[u8]) -> Result<Answer, AnswerError> {
        answer::read(body)
    }

    fn read_error(status: u16, body: &[u8]) -> ProviderError {
        error::read(status, body)
    }

    fn stream() -> Box<dyn StreamReader> {
        Box::new(stream::Reader::new())
    }
}

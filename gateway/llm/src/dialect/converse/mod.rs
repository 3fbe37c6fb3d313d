//! Amazon Bedrock's Converse, and ConverseStream with its event-stream framing.
//!
//! How the shared terms map, where it is not one to one:
//!
//! | shared | Converse |
//! |---|---|
//! | instructions in front | `system`; later ones are reported, and go there if the route wants to go on |
//! | several messages of one role | one message, since roles must alternate |
//! | media at a URL | only `s3://`; the provider fetches nothing else |
//! | cache marks | a `cachePoint` behind the marked piece |
//! | no calls | no `toolConfig`, unless calls were made before, which Converse then demands |
//! | a form of the answer | `outputConfig.textFormat`, for schemas alone |
//! | reasoning and `top_k` | `additionalModelRequestFields`, for the families of models that are known here; Claude's by its own rules |
//! | thoughts | with a signature of this provider; others are notes of a turn that is over |
//! | input tokens | `inputTokens` and those read from and written to caches, which Bedrock counts apart |
//!
//! Neither the answer's id nor the model's name is in a body of this wire.

mod answer;
mod blocks;
mod citation;
mod error;
pub mod eventstream;
mod family;
mod request;
mod stream;
mod wire;

use super::{AnswerError, ProviderError, ProviderWire, StreamReader, Target};
use crate::conversation::{Answer, Report, Request};

/// Amazon Bedrock's wire.
#[derive(Debug, Clone, Copy)]
pub struct Converse;

impl ProviderWire for Converse {
    const NAME: &'static str = "Amazon Bedrock Converse";

    fn write_request(request: &Request, target: &Target<'_>, report: &mut Report) -> Vec<u8> {
        request::write(request, target, report)
    }

    fn read_answer(body: &[u8]) -> Result<Answer, AnswerError> {
        answer::read(body)
    }

    fn read_error(status: u16, body: &[u8]) -> ProviderError {
        error::read(status, body)
    }

    fn stream() -> Box<dyn StreamReader> {
        Box::new(stream::Reader::default())
    }
}

//! Google Gemini, also on Vertex AI: `generateContent` and `streamGenerateContent` with `alt=sse`.
//!
//! How the shared terms map, where it is not one to one:
//!
//! | shared | Gemini |
//! |---|---|
//! | instructions in front | `systemInstruction`; later ones are reported, and go there if the route wants to go on |
//! | several messages of one role | one content, so that all results of parallel calls are in one, in front |
//! | the result of a call | `functionResponse` with the name of the latest call with its id; the text is `output` or `error` |
//! | schemas | `parametersJsonSchema` and `responseJsonSchema`, as they were written |
//! | `strict` tools | mode `VALIDATED`, unless a call is demanded, which is validated anyway |
//! | degrees of reasoning | `thinkingLevel` from Gemini 3 on, before it the budgets that Google names for them |
//! | signatures | `thoughtSignature`; in the shared terms those of thoughts carry a mark, see [`signature`] |
//! | a signature on text | a thought without text behind it, and an empty text with the signature on the way back |
//! | cache marks | nothing: Gemini caches long prefixes without being asked |
//! | names of documents | nothing: they are labels for people |
//!
//! The reader makes ids for calls where the API gives none.

mod answer;
mod config;
mod content;
mod error;
mod logprobs;
mod request;
pub mod signature;
mod sources;
mod stream;
mod wire;

pub use error::retry_delay;

use super::{AnswerError, ProviderError, ProviderWire, StreamReader, Target};
use crate::conversation::{Answer, Report, Request};

/// Google Gemini's wire.
#[derive(Debug, Clone, Copy)]
pub struct Gemini;

impl ProviderWire for Gemini {
    const NAME: &'static str = "Google Gemini";

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

//! Anthropic Messages, for clients and for providers.
//!
//! Requests for Anthropic are written as its API took them in version `2023-06-01` ([`VERSION`]): later versions add
//! nothing to the bodies, and take away what older models still know.
//!
//! # By model
//!
//! One dialect, but not one set of fields: what a generation of models needs, another refuses with an error. Requests are
//! written for the generation that the model's name tells; a name of no known one counts as the newest of its family, and
//! one without `claude` in it as a server that is compatible with the dialect as it was in the beginning.
//!
//! | | to 4.5 | 4.6 | 4.7 and later | compatible servers |
//! |---|---|---|---|---|
//! | thinking by budget | yes | yes | no | yes |
//! | adaptive thinking, effort | no: an effort is a share of the limit | yes, without `xhigh` | yes | a share too |
//! | thinking off | yes | yes | not Opus 5.5, Fable and Mythos; `between_tools` for Sonnet 5.5 | yes |
//! | `temperature`, `top_p`, `top_k` | yes, from 4.1 one of the first two | the same; not with thinking | no | yes |
//! | a call that is demanded | yes, not with a budget | the same | not Opus 5.5, Sonnet 5.5, Fable 5.1 | yes |
//! | instructions behind a user's turn | no | no | Opus 4.8, Fable and Mythos 5, all 5.5 | no |
//!
//! What a model does not take is reported, but for a value that says what it does anyway.
//!
//! # What no model takes
//!
//! Reported: several answers, seeds, penalties, log probabilities, sound, JSON without a schema, a temperature above 1,
//! names of speakers, stop texts of white space, images to be looked at in low detail, media of an assistant, arguments
//! that are no object, pages of the web as sources of an earlier text.
//!
//! Left out without a report, as it says nothing: text of white space; thoughts without a proof, or with another
//! provider's, and proofs of calls (Anthropic takes only its own back); a choice of tools where there are none.
//!
//! # What requests say in other words
//!
//! - Messages of the developer are the system's, and refusals are what the model said.
//! - The name and the description of a schema stand in it as `title` and `description`, unless it has these.
//! - Degrees of thinking are steps of each provider's own scale: one that a model does not have becomes the next higher,
//!   or the highest.
//! - Documents of text are plain text, and ids of calls with other characters than Anthropic takes are escaped.
//!
//! To clients of this dialect, proofs of calls (Gemini's) travel in the ids of the calls, and come back in them.
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

//! OpenAI Chat Completions, as clients speak it and as providers do.
//!
//! # Thoughts
//!
//! OpenAI's own API has no place for them. The convention is LiteLLM's, which most clients of gateways know:
//!
//! - an assistant's message has its thoughts in clear in `reasoning_content` (read as `reasoning` too, as OpenRouter and
//!   newer vLLM name it);
//! - `thinking_blocks` holds those that their provider has signed or encrypted: `{"type":"thinking","thinking","signature"}`
//!   and `{"type":"redacted_thinking","data"}`. A client that sends the message back with this list keeps the proof, and
//!   may go on with tools at Anthropic. OpenRouter's `reasoning_details` are read in the same way;
//! - the proof behind a call of Gemini's is in `tool_calls[].extra_content.google.thought_signature`, as in Google's own
//!   Chat Completions.
//!
//! In streams, text of thoughts comes as deltas of `reasoning_content`, and a block of `thinking_blocks` whole when its
//! signature comes. Entries of lists have an `index`, without which OpenAI's own packages refuse to join deltas.
//!
//! # What requests of clients leave out without a report
//!
//! - Fields that ask for what happens without them, such as `"store": false` or `"modalities": ["text"]`.
//! - Hints about caching: `prompt_cache_key`, `prompt_cache_options`, `prompt_cache_retention`. They change no answer, and
//!   reach OpenAI, whose clients send them, byte for byte.
//!
//! # What requests for providers leave out without a report
//!
//! Only what does not change the meaning of the conversation:
//!
//! - thoughts. OpenAI discards those of earlier turns itself and takes none back; a proof is of use to nobody but its own
//!   provider. Thoughts in clear behind a call of a tool do go to servers that are compatible, as `reasoning_content`:
//!   DeepSeek demands them there, and gpt-oss and Qwen are trained with them;
//! - cache marks: OpenAI and its like cache by prefix without being asked;
//! - sources of an assistant's earlier text, which the API gives and does not take;
//! - `parallel_tool_calls` where there are no tools: OpenAI refuses it there, and nothing is lost.
//!
//! # What requests say in other words
//!
//! - A result of a tool that has failed begins with `Error: `, as there is no field for it.
//! - Images and files of a tool's result stand in a message of the user behind the results, as those take text alone.
//! - A budget of thinking tokens becomes an effort: below 4,096 `low`, below 16,384 `medium`, else `high`. Thinking at
//!   the model's own measure is what happens without a word.
//! - A document of plain text becomes a part of text.

mod answer;
mod error;
mod reader;
mod request;
mod thoughts;
mod writer;

use super::{AnswerError, ClientDialect, Context, ProviderError, ProviderWire, StreamReader, StreamWriter, Target};
use crate::RequestError;
use crate::conversation::{Answer, Report, Request};

pub(crate) use answer::{UsageField, WireUsage, model as model_of};
pub(crate) use error::{write as write_error, write_stream as write_stream_error};
pub(crate) use request::{audio, read_common, source_of_file, source_of_url};

/// OpenAI Chat Completions.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ChatCompletions;

impl ClientDialect for ChatCompletions {
    fn read_request(body: &[u8]) -> Result<Request, RequestError> {
        request::read(body)
    }

    fn write_answer(answer: &Answer, context: &Context) -> Vec<u8> {
        answer::write(answer, context)
    }

    fn write_error(error: &ProviderError) -> Vec<u8> {
        error::write(error)
    }

    fn stream(context: Context) -> Box<dyn StreamWriter> {
        Box::new(writer::Writer::new(context))
    }
}

impl ProviderWire for ChatCompletions {
    const NAME: &'static str = "OpenAI Chat Completions";

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
        Box::new(reader::Reader::new())
    }
}

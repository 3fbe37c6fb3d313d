//! OpenAI Completions, the oldest of the dialects: a text goes in, its continuation comes out.
//!
//! Only clients speak it here. In front of a provider of another dialect the prompt becomes a message of the user, so a
//! model that was trained for conversations answers it rather than goes on with it. A list of prompts, and prompts of
//! token numbers, no other dialect has.
//!
//! Thoughts are not told, as there is no field for them; a refusal is the model's text.

mod answer;
mod request;

use super::openai_chat::write_error;
use super::{ClientDialect, Context, ProviderError, StreamWriter};
use crate::RequestError;
use crate::conversation::{Answer, Request};

/// OpenAI Completions.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Completions;

impl ClientDialect for Completions {
    fn read_request(body: &[u8]) -> Result<Request, RequestError> {
        request::read(body)
    }

    fn write_answer(answer: &Answer, context: &Context) -> Vec<u8> {
        answer::write(answer, context)
    }

    fn write_error(error: &ProviderError) -> Vec<u8> {
        write_error(error)
    }

    fn stream(context: Context) -> Box<dyn StreamWriter> {
        Box::new(answer::Writer::new(context))
    }
}

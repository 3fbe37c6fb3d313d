//! OpenAI Responses, on the client's side and without state.
//!
//! A response is never stored, so a request must carry its whole conversation: what refers to stored state (a previous
//! response, a conversation, a reference to an item) is an extra, which a foreign target refuses by name.

mod assembly;
mod content;
mod echo;
mod events;
mod input;
mod item;
mod request;
mod response;
mod sealed;
mod stream;
mod tools;

use super::openai_chat::write_error;
use super::{ClientDialect, Context, ProviderError, StreamWriter};
use crate::RequestError;
use crate::conversation::{Answer, Request};

/// OpenAI Responses: `POST /v1/responses`.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Responses;

impl ClientDialect for Responses {
    fn read_request(body: &[u8]) -> Result<Request, RequestError> {
        request::read(body)
    }

    fn write_answer(answer: &Answer, context: &Context) -> Vec<u8> {
        response::whole(answer, context)
    }

    fn write_error(error: &ProviderError) -> Vec<u8> {
        write_error(error)
    }

    fn stream(context: Context) -> Box<dyn StreamWriter> {
        Box::new(stream::Writer::new(context))
    }
}

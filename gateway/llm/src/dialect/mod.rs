//! What clients and providers speak, and what each side of a dialect must be able to do.
//!
//! A client's dialect reads requests and writes answers; a provider's wire writes requests and reads answers. Both meet
//! in the terms of [`conversation`](crate::conversation). A pair of the same dialect on both sides has no translation:
//! its bytes are passed on.

pub(crate) mod json;
mod media;

pub mod anthropic;
pub mod converse;
pub mod gemini;
pub mod openai_chat;
pub mod openai_completions;
pub mod openai_responses;
mod overflow;

pub use anthropic::Messages;
pub use converse::Converse;
pub use gemini::Gemini;
pub use openai_chat::ChatCompletions;
pub use openai_completions::Completions;
pub use openai_responses::Responses;
pub use overflow::overflows_context;

use crate::conversation::{Answer, Event, Report, Request};
use crate::{ErrorKind, RequestError};

/// What a client speaks when it asks for an answer of a model.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Client {
    /// OpenAI Chat Completions: `POST /v1/chat/completions`.
    ChatCompletions,
    /// OpenAI Responses without state: `POST /v1/responses`.
    Responses,
    /// OpenAI Completions, the oldest one: `POST /v1/completions`.
    Completions,
    /// Anthropic Messages: `POST /v1/messages`.
    Messages,
}

/// What a provider speaks.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Wire {
    /// OpenAI Chat Completions, also of Azure and of the many servers that are compatible.
    ChatCompletions,
    /// Anthropic Messages.
    Messages,
    /// Amazon Bedrock Converse and ConverseStream.
    Converse,
    /// Google Gemini, also on Vertex AI: `generateContent`.
    Gemini,
}

/// Where a request goes, as far as it shapes the body.
#[derive(Debug, Clone, Copy, Default)]
pub struct Target<'a> {
    /// The provider's own name of the model.
    pub model: &'a str,
    /// What to say where the wire demands a limit on tokens and the client gave none.
    pub max_tokens: Option<u64>,
    /// Whose Chat Completions it is; the other wires have one owner each.
    pub chat: ChatFlavor,
}

/// Whose Chat Completions a provider speaks. Both read the same answers; requests differ where OpenAI has moved on and
/// the servers that are compatible have not, and where these know more than OpenAI.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Hash)]
pub enum ChatFlavor {
    /// OpenAI itself, also on Azure: refuses fields that it does not know.
    #[default]
    OpenAi,
    /// Servers that are compatible with it: vLLM, SGLang, Ollama, TGI, llama.cpp, DeepSeek and many more.
    Compatible,
}

/// What a client's dialect needs to know to write an answer.
#[derive(Debug, Clone, Default)]
pub struct Context {
    /// Unique to the request; makes the answer's id where the provider gives none, and ids of parts.
    pub id: Box<str>,
    /// Unix time in seconds of the answer, where the provider does not say it.
    pub now_unix: u64,
    /// The request as it was read.
    pub request: std::sync::Arc<Request>,
}

/// A provider's answer with success that cannot be understood.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum AnswerError {
    /// It is not JSON, or has not the shape of an answer.
    #[error("the provider's answer is not one of {wire}: {why}")]
    Malformed {
        /// Which wire.
        wire: &'static str,
        /// What is wrong; never quotes the answer.
        why: String,
    },
}

/// A provider's error in the terms that all dialects share.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ProviderError {
    /// Its class.
    pub kind: ErrorKind,
    /// The provider's words.
    pub message: String,
    /// The provider's own code or type, such as `context_length_exceeded` or `overloaded_error`.
    pub code: Option<String>,
    /// The conversation does not fit into the model's context; another model's may be larger.
    pub context_overflow: bool,
}

/// The client's side of a dialect.
pub trait ClientDialect {
    /// Reads a request. Unknown fields become extras.
    fn read_request(body: &[u8]) -> Result<Request, RequestError>;
    /// Writes a whole answer.
    fn write_answer(answer: &Answer, context: &Context) -> Vec<u8>;
    /// Writes an error as the body of an answer with that status.
    fn write_error(error: &ProviderError) -> Vec<u8>;
    /// Begins a streamed answer.
    fn stream(context: Context) -> Box<dyn StreamWriter>;
}

/// The provider's side of a dialect.
pub trait ProviderWire {
    /// The dialect's name for messages: "Anthropic Messages".
    const NAME: &'static str;
    /// Writes a request. What the wire has no place for is reported and left out; whether that is an error, the caller
    /// decides.
    fn write_request(request: &Request, target: &Target<'_>, report: &mut Report) -> Vec<u8>;
    /// Reads a whole answer.
    fn read_answer(body: &[u8]) -> Result<Answer, AnswerError>;
    /// Reads an answer with an error status. Whatever the body holds, there is an error to tell.
    fn read_error(status: u16, body: &[u8]) -> ProviderError;
    /// Begins to read a streamed answer.
    fn stream() -> Box<dyn StreamReader>;
}

/// Reads a provider's stream, framing included. See [`Event`] for what it guarantees.
pub trait StreamReader: Send {
    /// Takes a piece of the body, cut anywhere, and appends the events that are complete.
    fn push(&mut self, piece: &[u8], events: &mut Vec<Event>);
    /// The body is over: appends what is left, or an error if the stream was cut.
    fn finish(&mut self, events: &mut Vec<Event>);
}

/// Writes a stream for a client.
pub trait StreamWriter: Send {
    /// Appends the bytes that tell the client of an event; many events have none.
    fn write(&mut self, event: &Event, out: &mut Vec<u8>);
}

/// Implemented by each dialect's stream types; said here once, so that relays can show what they hold.
impl std::fmt::Debug for dyn StreamReader {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("StreamReader")
    }
}

impl std::fmt::Debug for dyn StreamWriter {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("StreamWriter")
    }
}

//! The dialects that a chat can be held in.

use bytes::Bytes;
use clap::ValueEnum;
use http::header::{AUTHORIZATION, CONTENT_TYPE};
use http::{HeaderName, HeaderValue, Request};
use http_body_util::Full;
use tokenweir_llm::conversation::{self, Answer, Report};
use tokenweir_llm::dialect::{
    AnswerError, ChatCompletions, Messages, ProviderError, ProviderWire, StreamReader, Target,
};

use crate::http::{HttpError, secret};

/// Tokens that Anthropic's wire wants to be told where nobody has said how many.
const DEFAULT_MAX_TOKENS: u64 = 4_096;

/// What is spoken.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, ValueEnum)]
pub enum Speaks {
    /// Chat Completions, `/v1/chat/completions`
    #[default]
    Openai,
    /// Messages, `/v1/messages`
    Anthropic,
}

impl Speaks {
    fn path(self) -> &'static str {
        match self {
            Self::Openai => "/v1/chat/completions",
            Self::Anthropic => "/v1/messages",
        }
    }

    /// The request for an answer.
    pub fn request(self, conversation: &conversation::Request, key: &str) -> Result<Request<Full<Bytes>>, HttpError> {
        let target = Target {
            model: &conversation.model,
            max_tokens: Some(DEFAULT_MAX_TOKENS),
            ..Target::default()
        };
        // Text alone has a place in every dialect.
        let mut report = Report::about("the dialect of this chat");
        let body = match self {
            Self::Openai => ChatCompletions::write_request(conversation, &target, &mut report),
            Self::Anthropic => Messages::write_request(conversation, &target, &mut report),
        };
        let mut request = Request::post(self.path()).body(Full::from(body))?;
        request
            .headers_mut()
            .insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
        self.sign(&mut request, key)?;
        Ok(request)
    }

    /// Sets the headers with which clients of this dialect prove themselves.
    pub fn sign<B>(self, request: &mut Request<B>, key: &str) -> Result<(), HttpError> {
        let headers = request.headers_mut();
        match self {
            Self::Openai => {
                headers.insert(AUTHORIZATION, secret(&format!("Bearer {key}"))?);
            }
            Self::Anthropic => {
                headers.insert(HeaderName::from_static("x-api-key"), secret(key)?);
                headers.insert(
                    HeaderName::from_static("anthropic-version"),
                    HeaderValue::from_static("2023-06-01"),
                );
            }
        }
        Ok(())
    }

    /// Reads a stream.
    pub fn reader(self) -> Box<dyn StreamReader> {
        match self {
            Self::Openai => ChatCompletions::stream(),
            Self::Anthropic => Messages::stream(),
        }
    }

    /// Reads an answer in one piece.
    pub fn answer(self, body: &[u8]) -> Result<Answer, AnswerError> {
        match self {
            Self::Openai => ChatCompletions::read_answer(body),
            Self::Anthropic => Messages::read_answer(body),
        }
    }

    /// Reads an error.
    pub fn error(self, status: u16, body: &[u8]) -> ProviderError {
        match self {
            Self::Openai => ChatCompletions::read_error(status, body),
            Self::Anthropic => Messages::read_error(status, body),
        }
    }
}

//! Side-parse of a provider's answers: usage and the facts of a stream chunk. The bytes themselves pass untouched.

mod chunk;
mod lenient;
mod messages;
mod responses;
mod tail;
mod unreported;

use std::ops::Range;

use serde::Deserialize;

use crate::Operation;
use crate::request::scan::{Scanner, Unusual};
pub use chunk::{Chunk, Payload, inspect};
use lenient::{Count, Object};
pub use messages::{MessageUsage, inspect_messages, usage_of_message_body};
pub use responses::{inspect_responses, usage_of_response_body};
pub use unreported::estimate_of_answer;

/// Token counts as a provider reports them. A count that is absent is `None`; a reported zero is `Some(0)`.
///
/// `prompt_tokens` includes `cached_tokens`, and `completion_tokens` includes `reasoning_tokens`, as in OpenAI's API.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Usage {
    /// Tokens of the input.
    pub prompt_tokens: Option<u64>,
    /// Tokens generated. Embeddings have none.
    pub completion_tokens: Option<u64>,
    /// The provider's own total.
    pub total_tokens: Option<u64>,
    /// Of the input, tokens read from the provider's cache.
    pub cached_tokens: Option<u64>,
    /// Of the input, tokens written to the provider's cache, for whatever time.
    pub cache_write_tokens: Option<u64>,
    /// Of those, the ones that stay for an hour.
    pub cache_write_1h_tokens: Option<u64>,
    /// Of the input, tokens of sound.
    pub input_audio_tokens: Option<u64>,
    /// Of the generated tokens, those of hidden reasoning.
    pub reasoning_tokens: Option<u64>,
    /// Of the generated tokens, those of sound.
    pub output_audio_tokens: Option<u64>,
}

impl Usage {
    /// Whether the provider gave any count at all.
    pub const fn is_empty(&self) -> bool {
        matches!(
            self,
            Self {
                prompt_tokens: None,
                completion_tokens: None,
                total_tokens: None,
                cached_tokens: None,
                cache_write_tokens: None,
                cache_write_1h_tokens: None,
                input_audio_tokens: None,
                reasoning_tokens: None,
                output_audio_tokens: None,
            }
        )
    }
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct WireUsage {
    prompt_tokens: Count,
    completion_tokens: Count,
    total_tokens: Count,
    prompt_tokens_details: Object<PromptDetails>,
    completion_tokens_details: Object<CompletionDetails>,
}

#[derive(Default, Deserialize)]
#[serde(default)]
#[expect(clippy::struct_field_names, reason = "they are the wire's")]
struct PromptDetails {
    cached_tokens: Count,
    cache_write_tokens: Count,
    audio_tokens: Count,
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct CompletionDetails {
    reasoning_tokens: Count,
    audio_tokens: Count,
}

impl WireUsage {
    fn read(self) -> Option<Usage> {
        let prompt = self.prompt_tokens_details.0.unwrap_or_default();
        let completion = self.completion_tokens_details.0.unwrap_or_default();
        let usage = Usage {
            prompt_tokens: self.prompt_tokens.0,
            completion_tokens: self.completion_tokens.0,
            total_tokens: self.total_tokens.0,
            cached_tokens: prompt.cached_tokens.0,
            input_audio_tokens: prompt.audio_tokens.0,
            reasoning_tokens: completion.reasoning_tokens.0,
            output_audio_tokens: completion.audio_tokens.0,
            cache_write_tokens: prompt.cache_write_tokens.0,
            // OpenAI's caches have other lifetimes.
            cache_write_1h_tokens: None,
        };
        (!usage.is_empty()).then_some(usage)
    }
}

/// Usage from a whole answer to a request of that operation. `None` when the body is not JSON or reports none.
pub fn usage_of_answer(operation: Operation, body: &[u8]) -> Option<Usage> {
    match operation {
        Operation::Chat | Operation::TextCompletion | Operation::Embeddings => usage_of_body(body),
        Operation::Responses => usage_of_response_body(body),
        Operation::Messages => usage_of_message_body(body),
        // The answer is about a request that nobody has made.
        Operation::CountTokens => None,
    }
}

/// Reads the events of one stream.
#[derive(Debug)]
pub enum Inspector {
    /// Chunks of chat and text completions.
    Completions,
    /// Events of OpenAI's Responses.
    Responses,
    /// Events of Anthropic's Messages, with the counts so far.
    Messages(MessageUsage),
}

impl From<Operation> for Inspector {
    fn from(operation: Operation) -> Self {
        match operation {
            Operation::Chat | Operation::TextCompletion | Operation::Embeddings => Self::Completions,
            Operation::Responses => Self::Responses,
            Operation::Messages | Operation::CountTokens => Self::Messages(MessageUsage::default()),
        }
    }
}

impl Inspector {
    /// Reads the `data` of the next event.
    pub fn inspect(&mut self, data: &[u8]) -> Payload {
        match self {
            Self::Completions => inspect(data),
            Self::Responses => inspect_responses(data),
            Self::Messages(so_far) => inspect_messages(data, so_far),
        }
    }
}

/// Usage from a whole response body. `None` when the body is not JSON or reports none; what stands beside the usage is
/// skipped without being parsed, as far as it looks like JSON.
pub fn usage_of_body(body: &[u8]) -> Option<Usage> {
    let found = match tail::object(body, b"\"usage\"") {
        Some(found) => Ok(Some(found)),
        None => find_usage(body),
    };
    match found {
        Ok(found) => {
            let usage: Object<WireUsage> = serde_json::from_slice(body.get(found?)?).ok()?;
            usage.0?.read()
        }
        Err(Unusual) => parse_usage(body),
    }
}

/// Where the value of `usage` stands.
fn find_usage(body: &[u8]) -> Result<Option<Range<usize>>, Unusual> {
    const NAME: [&str; 1] = ["usage"];
    let mut scanner = Scanner::new(&NAME);
    scanner.feed(body)?;
    let [usage] = scanner.finish()?.values;
    Ok(usage)
}

/// The same by a parser, which knows escapes in names and whatever else is seldom.
fn parse_usage(body: &[u8]) -> Option<Usage> {
    #[derive(Default, Deserialize)]
    #[serde(default)]
    struct Body {
        usage: Object<WireUsage>,
    }
    let body: Object<Body> = serde_json::from_slice(body).ok()?;
    body.0?.usage.0?.read()
}

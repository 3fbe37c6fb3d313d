//! Facts of OpenAI's Responses: of one stream event, and of a whole body.

use serde::Deserialize;

use super::lenient::{Count, Filled, Object, Word};
use super::{Chunk, Payload, Usage};

/// The events that matter, by their `type`.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
enum Kind {
    /// No event of a response.
    #[default]
    Foreign,
    /// An event of a response without anything to count.
    Step,
    /// Generated text: of the answer, a refusal, a thought or the input of a tool.
    Delta,
    /// Generated sound.
    AudioDelta,
    /// An item begins; a call names its function.
    ItemAdded,
    /// The response is over, and not for a failure.
    Last,
    /// The response failed.
    Failed,
}

impl From<&str> for Kind {
    fn from(name: &str) -> Self {
        match name {
            "response.completed" | "response.incomplete" => Self::Last,
            "response.failed" | "error" => Self::Failed,
            "response.output_item.added" => Self::ItemAdded,
            "response.audio.delta" => Self::AudioDelta,
            _ => match name.strip_prefix("response.").map(|name| name.rsplit_once('.')) {
                None => Self::Foreign,
                Some(Some((_, "delta"))) => Self::Delta,
                Some(_) => Self::Step,
            },
        }
    }
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct WireEvent {
    r#type: Word<Kind>,
    delta: Filled,
    item: Object<Item>,
    response: Object<Body>,
    error: Filled,
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct Item {
    name: Filled,
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct Body {
    usage: Object<WireUsage>,
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct WireUsage {
    input_tokens: Count,
    output_tokens: Count,
    total_tokens: Count,
    input_tokens_details: Object<InputDetails>,
    output_tokens_details: Object<OutputDetails>,
}

#[derive(Default, Deserialize)]
#[serde(default)]
#[expect(clippy::struct_field_names, reason = "they are the wire's")]
struct InputDetails {
    cached_tokens: Count,
    cache_write_tokens: Count,
    audio_tokens: Count,
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct OutputDetails {
    reasoning_tokens: Count,
    audio_tokens: Count,
}

impl WireUsage {
    fn read(self) -> Option<Usage> {
        let input = self.input_tokens_details.0.unwrap_or_default();
        let output = self.output_tokens_details.0.unwrap_or_default();
        let usage = Usage {
            prompt_tokens: self.input_tokens.0,
            completion_tokens: self.output_tokens.0,
            total_tokens: self.total_tokens.0,
            cached_tokens: input.cached_tokens.0,
            cache_write_tokens: input.cache_write_tokens.0,
            // OpenAI's caches have other lifetimes.
            cache_write_1h_tokens: None,
            input_audio_tokens: input.audio_tokens.0,
            reasoning_tokens: output.reasoning_tokens.0,
            output_audio_tokens: output.audio_tokens.0,
        };
        (!usage.is_empty()).then_some(usage)
    }
}

/// Reads the `data` of an event of a streamed response.
///
/// `response.completed` and `response.incomplete` are chunks that are [last](Chunk::last); `response.failed` and
/// `error` are [`Payload::Error`].
pub fn inspect_responses(data: &[u8]) -> Payload {
    if data.trim_ascii() == b"[DONE]" {
        return Payload::Done;
    }
    let Ok(Object(Some(event))) = serde_json::from_slice::<Object<WireEvent>>(data) else {
        return Payload::Other;
    };
    let kind = event.r#type.0;
    // Proxies tell of a failure in the form of the older API, which names no type.
    if kind == Kind::Failed || event.error.amount > 0 {
        return Payload::Error;
    }
    let tokens = match kind {
        Kind::Foreign => return Payload::Other,
        Kind::Delta => event.delta.tokens,
        // Base64; how many tokens it stands for cannot be told.
        Kind::AudioDelta => u64::from(event.delta.amount > 0),
        Kind::ItemAdded => event.item.0.map_or(0, |item| item.name.tokens),
        Kind::Step | Kind::Last | Kind::Failed => 0,
    };
    let last = kind == Kind::Last;
    Payload::Chunk(Chunk {
        tokens,
        finished: last,
        choices: 1,
        usage: event.response.0.and_then(|body| body.usage.0).and_then(WireUsage::read),
        last,
    })
}

/// Usage from a whole response object. `None` when the body is not JSON or reports none.
pub fn usage_of_response_body(body: &[u8]) -> Option<Usage> {
    let body: Object<Body> = serde_json::from_slice(body).ok()?;
    body.0?.usage.0?.read()
}

//! Facts of Anthropic's Messages: of one stream event, and of a whole body.

use serde::Deserialize;

use super::lenient::{Count, Filled, Object, Word};
use super::{Chunk, Payload, Usage};

/// Token counts in Anthropic's form, where `input_tokens` counts neither what was read from the cache nor what was
/// written to it.
///
/// A stream gives them in several events, each with totals so far and perhaps not with all fields: what a later event
/// leaves out still holds from an earlier one. So they are put together in Anthropic's own terms, and only the whole is
/// read as a [`Usage`].
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Deserialize)]
#[serde(default)]
pub struct MessageUsage {
    input_tokens: Count,
    output_tokens: Count,
    cache_read_input_tokens: Count,
    cache_creation_input_tokens: Count,
    cache_creation: Object<CacheCreation>,
    output_tokens_details: Object<OutputDetails>,
}

#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Deserialize)]
#[serde(default)]
struct CacheCreation {
    ephemeral_5m_input_tokens: Count,
    ephemeral_1h_input_tokens: Count,
}

#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Deserialize)]
#[serde(default)]
struct OutputDetails {
    thinking_tokens: Count,
}

impl MessageUsage {
    /// Takes over every count that a later report gives.
    pub fn update(&mut self, later: &Self) {
        let replace = |count: &mut Count, with: Count| *count = Count(with.0.or(count.0));
        replace(&mut self.input_tokens, later.input_tokens);
        replace(&mut self.output_tokens, later.output_tokens);
        replace(&mut self.cache_read_input_tokens, later.cache_read_input_tokens);
        replace(&mut self.cache_creation_input_tokens, later.cache_creation_input_tokens);
        self.cache_creation = Object(later.cache_creation.0.or(self.cache_creation.0));
        self.output_tokens_details = Object(later.output_tokens_details.0.or(self.output_tokens_details.0));
    }

    /// The counts in the terms that all dialects share. `None` when there are none.
    pub fn read(&self) -> Option<Usage> {
        let by_time = self.cache_creation.0.unwrap_or_default();
        let (five_minutes, hour) = (by_time.ephemeral_5m_input_tokens.0, by_time.ephemeral_1h_input_tokens.0);
        let written = self.cache_creation_input_tokens.0.or_else(|| sum([five_minutes, hour]));
        let usage = Usage {
            prompt_tokens: sum([self.input_tokens.0, self.cache_read_input_tokens.0, written]),
            completion_tokens: self.output_tokens.0,
            total_tokens: None,
            cached_tokens: self.cache_read_input_tokens.0,
            cache_write_tokens: written,
            // A later event may give a lower total and no split of it.
            cache_write_1h_tokens: hour.map(|hour| written.map_or(hour, |written| hour.min(written))),
            input_audio_tokens: None,
            reasoning_tokens: self.output_tokens_details.0.unwrap_or_default().thinking_tokens.0,
            output_audio_tokens: None,
        };
        (!usage.is_empty()).then_some(usage)
    }
}

/// The sum of the counts that are known; `None` when none is.
fn sum<const N: usize>(counts: [Option<u64>; N]) -> Option<u64> {
    counts.into_iter().flatten().reduce(u64::saturating_add)
}

/// The events that matter, by their `type`.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
enum Kind {
    /// No event of a message; pings too.
    #[default]
    Foreign,
    Step,
    MessageStart,
    BlockStart,
    BlockDelta,
    MessageDelta,
    MessageStop,
    Error,
}

impl From<&str> for Kind {
    fn from(name: &str) -> Self {
        match name {
            "message_start" => Self::MessageStart,
            "content_block_start" => Self::BlockStart,
            "content_block_delta" => Self::BlockDelta,
            "content_block_stop" => Self::Step,
            "message_delta" => Self::MessageDelta,
            "message_stop" => Self::MessageStop,
            "error" => Self::Error,
            _ => Self::Foreign,
        }
    }
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct WireEvent {
    r#type: Word<Kind>,
    message: Object<Body>,
    content_block: Object<Block>,
    delta: Object<Delta>,
    usage: Object<MessageUsage>,
    error: Filled,
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct Body {
    usage: Object<MessageUsage>,
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct Block {
    text: Filled,
    thinking: Filled,
    /// Of a call.
    name: Filled,
    /// Of a thought that only its provider can read.
    data: Filled,
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct Delta {
    text: Filled,
    thinking: Filled,
    partial_json: Filled,
    stop_reason: Filled,
}

/// Reads the `data` of an event of a streamed message. `so_far` holds the stream's counts from event to event; the
/// usage of a chunk is their total.
///
/// `message_stop` is [`Payload::Done`].
pub fn inspect_messages(data: &[u8], so_far: &mut MessageUsage) -> Payload {
    let Ok(Object(Some(event))) = serde_json::from_slice::<Object<WireEvent>>(data) else {
        return Payload::Other;
    };
    let kind = event.r#type.0;
    if kind == Kind::Error || event.error.amount > 0 {
        return Payload::Error;
    }
    let mut chunk = Chunk {
        choices: 1,
        ..Chunk::default()
    };
    let reported = match kind {
        Kind::Foreign | Kind::Error => return Payload::Other,
        Kind::MessageStop => return Payload::Done,
        Kind::Step => None,
        Kind::BlockStart => {
            let block = event.content_block.0.unwrap_or_default();
            // How many tokens encrypted text stands for cannot be told.
            let hidden = u64::from(block.data.amount > 0);
            chunk.tokens = block.text.tokens + block.thinking.tokens + block.name.tokens + hidden;
            None
        }
        Kind::BlockDelta => {
            let delta = event.delta.0.unwrap_or_default();
            chunk.tokens = delta.text.tokens + delta.thinking.tokens + delta.partial_json.tokens;
            None
        }
        Kind::MessageStart => event.message.0.and_then(|message| message.usage.0),
        Kind::MessageDelta => {
            chunk.finished = event.delta.0.is_some_and(|delta| delta.stop_reason.amount > 0);
            event.usage.0
        }
    };
    if let Some(reported) = reported {
        so_far.update(&reported);
        chunk.usage = so_far.read();
    }
    Payload::Chunk(chunk)
}

/// Usage from a whole message. `None` when the body is not JSON or reports none.
pub fn usage_of_message_body(body: &[u8]) -> Option<Usage> {
    let body: Object<Body> = serde_json::from_slice(body).ok()?;
    body.0?.usage.0?.read()
}

//! Facts of one stream event.

use std::fmt;

use serde::Deserialize;
use serde::de::{Deserializer, SeqAccess, Visitor};

use super::lenient::{Filled, Object};
use super::{Usage, WireUsage};

/// What the `data` of a stream event is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Payload {
    /// `[DONE]`, or what a dialect has in its place: the stream is complete.
    Done,
    /// A chunk of a completion, or an event of an answer.
    Chunk(Chunk),
    /// An error object: the provider gave up in the middle.
    Error,
    /// Something else, to be passed on as it is.
    Other,
}

/// The facts of a stream chunk that a gateway needs.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Chunk {
    /// Tokens of generated text in this chunk, estimated; at least 1 when there is any text, tool call or refusal. 0 for
    /// a chunk that only names the role or the end.
    pub tokens: u64,
    /// A choice gives its `finish_reason`.
    pub finished: bool,
    /// How many choices the chunk carries. 1 for the events of dialects that know no choices.
    pub choices: usize,
    /// Usage, where the chunk reports it. Counts are totals of the answer so far.
    pub usage: Option<Usage>,
    /// A client that has got this chunk waits for nothing more. OpenAI's Responses say so in the event that also gives
    /// the usage; some servers still send `[DONE]` behind it.
    pub last: bool,
}

impl Chunk {
    /// Whether this chunk carries generated text, a tool call or a refusal.
    pub const fn bears_tokens(&self) -> bool {
        self.tokens > 0
    }

    /// Whether this is the chunk that `include_usage` adds: no choices, only usage. A client that did not ask for it
    /// does not get it.
    pub const fn is_usage_only(&self) -> bool {
        self.choices == 0 && self.usage.is_some()
    }
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct WireChunk {
    choices: Option<Choices>,
    usage: Object<WireUsage>,
    error: Filled,
}

/// All choices folded into one, so that none is allocated.
#[derive(Default)]
struct Choices {
    count: usize,
    tokens: u64,
    finished: bool,
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct Choice {
    delta: Object<Delta>,
    /// Text completions have their text here.
    text: Filled,
    finish_reason: Filled,
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct Delta {
    content: Filled,
    /// Reasoning in clear, as DeepSeek and vLLM name it.
    reasoning_content: Filled,
    /// Reasoning in clear, as OpenRouter and newer vLLM name it.
    reasoning: Filled,
    refusal: Filled,
    tool_calls: Filled,
    function_call: Filled,
    audio: Filled,
}

impl Choice {
    fn tokens(&self) -> u64 {
        let text = self.text.tokens;
        self.delta.0.as_ref().map_or(text, |delta| {
            [
                delta.content,
                delta.reasoning_content,
                delta.reasoning,
                delta.refusal,
                delta.tool_calls,
                delta.function_call,
                delta.audio,
            ]
            .iter()
            .map(|part| part.tokens)
            .sum::<u64>()
                + text
        })
    }
}

impl<'de> Deserialize<'de> for Choices {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct List;
        impl<'de> Visitor<'de> for List {
            type Value = Choices;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a list of choices")
            }

            fn visit_seq<A: SeqAccess<'de>>(self, mut seq: A) -> Result<Choices, A::Error> {
                let mut all = Choices::default();
                while let Some(choice) = seq.next_element::<Object<Choice>>()? {
                    all.count += 1;
                    if let Some(choice) = choice.0 {
                        all.tokens += choice.tokens();
                        all.finished |= choice.finish_reason.amount > 0;
                    }
                }
                Ok(all)
            }
        }
        deserializer.deserialize_seq(List)
    }
}

/// Reads the `data` of a stream event.
pub fn inspect(data: &[u8]) -> Payload {
    if data.trim_ascii() == b"[DONE]" {
        return Payload::Done;
    }
    let Ok(Object(Some(wire))) = serde_json::from_slice::<Object<WireChunk>>(data) else {
        return Payload::Other;
    };
    if wire.error.amount > 0 {
        return Payload::Error;
    }
    let usage = wire.usage.0.and_then(WireUsage::read);
    match wire.choices {
        None if usage.is_none() => Payload::Other,
        choices => {
            let choices = choices.unwrap_or_default();
            Payload::Chunk(Chunk {
                tokens: choices.tokens,
                finished: choices.finished,
                choices: choices.count,
                usage,
                last: false,
            })
        }
    }
}

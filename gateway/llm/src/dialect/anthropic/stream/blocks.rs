//! The content of a streamed answer: one block after the other.
//!
//! Anthropic's streams have one block open at a time. Calls of other providers may overlap, so what belongs to a later
//! one waits until the earlier is complete.

use std::collections::BTreeMap;

use serde::Serialize;

use crate::conversation::{Event, PartStart};
use crate::dialect::anthropic::blocks::WireCitation;
use crate::dialect::anthropic::ids;
use crate::dialect::json::encode;
use crate::{sse, tokens};

/// The most that may wait: as much as the largest event that is read. Arguments of calls have some KB.
const MAX_WAITING_BYTES: usize = 8 * 1024 * 1024;

/// More waits than may.
#[derive(Debug, thiserror::Error)]
#[error("the provider's calls overlap by more than {MAX_WAITING_BYTES} bytes")]
pub(super) struct Overlap;

/// Writes an event with its name.
pub(super) fn put(name: &str, data: &impl Serialize, out: &mut Vec<u8>) {
    out.extend_from_slice(&sse::encode(Some(name), &encode(data)));
}

#[derive(Serialize)]
struct Start<'a> {
    r#type: &'static str,
    index: u32,
    content_block: EmptyBlock<'a>,
}

/// A block at its start.
#[derive(Serialize)]
#[serde(tag = "type", rename_all = "snake_case")]
enum EmptyBlock<'a> {
    Text {
        text: &'static str,
    },
    Thinking {
        thinking: &'static str,
        signature: &'static str,
    },
    RedactedThinking {
        data: &'a str,
    },
    ToolUse {
        id: &'a str,
        name: &'a str,
        input: NoInput,
    },
}

#[derive(Serialize)]
struct NoInput {}

#[derive(Serialize)]
struct More<'a> {
    r#type: &'static str,
    index: u32,
    delta: Delta<'a>,
}

#[derive(Serialize)]
#[serde(tag = "type")]
enum Delta<'a> {
    #[serde(rename = "text_delta")]
    Text { text: &'a str },
    #[serde(rename = "thinking_delta")]
    Thinking { thinking: &'a str },
    #[serde(rename = "signature_delta")]
    Signature { signature: &'a str },
    #[serde(rename = "input_json_delta")]
    InputJson { partial_json: &'a str },
    #[serde(rename = "citations_delta")]
    Citations { citation: WireCitation<'a> },
}

#[derive(Serialize)]
struct Stop {
    r#type: &'static str,
    index: u32,
}

/// The blocks of an answer.
#[derive(Debug, Default)]
pub(super) struct Blocks {
    /// The part whose events go out.
    current: Option<u32>,
    /// Whether its block has begun. A text's begins with its first piece, as Anthropic sends none that is empty.
    begun: bool,
    /// How many blocks have ended.
    index: u32,
    /// Events of parts that began before the current one ended.
    waiting: BTreeMap<u32, Vec<Event>>,
    /// What these take, roughly.
    waiting_bytes: usize,
    tokens: u64,
    refused: bool,
    /// Thoughts go out without their text.
    hidden: bool,
}

impl Blocks {
    /// No blocks yet. Thoughts are hidden or not.
    pub(super) fn new(hidden: bool) -> Self {
        Self {
            hidden,
            ..Self::default()
        }
    }

    /// Whether the model refused in a part of its own.
    pub(super) const fn refused(&self) -> bool {
        self.refused
    }

    /// Tokens that have gone out, estimated piece by piece.
    pub(super) const fn tokens(&self) -> u64 {
        self.tokens
    }

    /// Takes an event of a part.
    pub(super) fn write(&mut self, part: u32, event: &Event, out: &mut Vec<u8>) -> Result<(), Overlap> {
        if self.current.is_some_and(|current| current != part) {
            self.waiting_bytes = self.waiting_bytes.saturating_add(size(event));
            if self.waiting_bytes > MAX_WAITING_BYTES {
                return Err(Overlap);
            }
            self.waiting.entry(part).or_default().push(event.clone());
            return Ok(());
        }
        self.step(part, event, out);
        self.go_on(out);
        Ok(())
    }

    /// Ends what is open and what waits.
    pub(super) fn finish(&mut self, out: &mut Vec<u8>) {
        while self.current.is_some() {
            self.end(out);
            self.go_on(out);
        }
    }

    /// Begins what waits, as long as nothing else is open.
    fn go_on(&mut self, out: &mut Vec<u8>) {
        while self.current.is_none()
            && let Some((part, events)) = self.waiting.pop_first()
        {
            for event in events {
                self.waiting_bytes = self.waiting_bytes.saturating_sub(size(&event));
                self.step(part, &event, out);
            }
        }
    }

    fn step(&mut self, part: u32, event: &Event, out: &mut Vec<u8>) {
        if let Event::PartStart { start, .. } = event {
            self.current = Some(part);
            self.start(start, out);
        }
        if self.current != Some(part) {
            return;
        }
        match event {
            Event::Text { text, .. } | Event::Refusal { text, .. } if text.is_empty() => {}
            Event::Text { text, .. } | Event::Refusal { text, .. } => {
                self.tokens += tokens::estimate(text);
                self.begin_text(out);
                self.delta(Delta::Text { text }, out);
            }
            Event::Thinking { text, .. } => {
                self.tokens += tokens::estimate(text);
                if !self.hidden {
                    self.delta(Delta::Thinking { thinking: text }, out);
                }
            }
            Event::Signature { signature, .. } => {
                self.begin_thought(out);
                self.delta(Delta::Signature { signature }, out);
            }
            Event::Arguments { json, .. } => {
                self.tokens += tokens::estimate(json);
                self.delta(Delta::InputJson { partial_json: json }, out);
            }
            Event::Citation { citation, .. } => {
                self.begin_text(out);
                let citation = WireCitation::from(citation);
                self.delta(Delta::Citations { citation }, out);
            }
            Event::PartEnd { .. } => self.end(out),
            Event::PartStart { .. }
            | Event::Start { .. }
            | Event::Finish { .. }
            | Event::Usage(_)
            | Event::Error(_)
            | Event::End => {}
        }
    }

    fn start(&mut self, start: &PartStart, out: &mut Vec<u8>) {
        match start {
            PartStart::Text => {}
            PartStart::Refusal => self.refused = true,
            // Of a hidden one nothing may come but its end.
            PartStart::Thinking if self.hidden => {}
            PartStart::Thinking => self.begin_thought(out),
            PartStart::RedactedThinking { data } => self.begin(EmptyBlock::RedactedThinking { data }, out),
            PartStart::ToolCall { id, name, signature } => {
                self.tokens += tokens::estimate(name);
                let id = ids::with_signature(id, signature.as_deref());
                let block = EmptyBlock::ToolUse {
                    id: &id,
                    name,
                    input: NoInput {},
                };
                self.begin(block, out);
            }
        }
    }

    fn begin_thought(&mut self, out: &mut Vec<u8>) {
        if !self.begun {
            let block = EmptyBlock::Thinking {
                thinking: "",
                signature: "",
            };
            self.begin(block, out);
        }
    }

    fn begin_text(&mut self, out: &mut Vec<u8>) {
        if !self.begun {
            self.begin(EmptyBlock::Text { text: "" }, out);
        }
    }

    fn begin(&mut self, content_block: EmptyBlock<'_>, out: &mut Vec<u8>) {
        self.begun = true;
        let start = Start {
            r#type: "content_block_start",
            index: self.index,
            content_block,
        };
        put("content_block_start", &start, out);
    }

    fn delta(&self, delta: Delta<'_>, out: &mut Vec<u8>) {
        let more = More {
            r#type: "content_block_delta",
            index: self.index,
            delta,
        };
        put("content_block_delta", &more, out);
    }

    fn end(&mut self, out: &mut Vec<u8>) {
        self.current = None;
        if std::mem::take(&mut self.begun) {
            let stop = Stop {
                r#type: "content_block_stop",
                index: self.index,
            };
            put("content_block_stop", &stop, out);
            self.index = self.index.saturating_add(1);
        }
    }
}

/// What an event that waits takes, roughly.
fn size(event: &Event) -> usize {
    let text = match event {
        Event::Text { text, .. } | Event::Thinking { text, .. } | Event::Refusal { text, .. } => text.len(),
        Event::Signature { signature, .. } => signature.len(),
        Event::Arguments { json, .. } => json.len(),
        Event::PartStart {
            start: PartStart::ToolCall { id, name, .. },
            ..
        } => id.len() + name.len(),
        _ => 0,
    };
    size_of::<Event>() + text
}

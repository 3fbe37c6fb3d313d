//! Streams: ConverseStream.

use std::collections::BTreeMap;

use serde::Deserialize;

use super::eventstream::{Decoder, Message};
use super::wire::{BlockDelta, BlockStart, BlockStop, Delta, MessageStop, Metadata, ReasoningDelta};
use super::{answer, citation, error};
use crate::ErrorKind;
use crate::conversation::{Event, PartStart, StreamError};
use crate::dialect::StreamReader;

/// There is one answer on this wire.
const CHOICE: u32 = 0;
/// Blocks that may be open at a time. Models call a handful of functions at once.
const OPEN_BLOCKS: usize = 256;
/// What proofs and encrypted thoughts that are open may hold in all; those of providers have some kilobytes.
const HELD_BYTES: usize = 8 * 1024 * 1024;

/// Reads a ConverseStream.
#[derive(Default)]
pub(super) struct Reader {
    decoder: Decoder,
    started: bool,
    stopped: bool,
    over: bool,
    parts: u32,
    /// Calls that were begun.
    calls: u32,
    /// The blocks that are open, by the provider's index.
    blocks: BTreeMap<u32, Block>,
    /// Bytes of proofs and encrypted thoughts so far.
    held: usize,
}

/// A block of which something has come.
struct Block {
    part: u32,
    kind: Kind,
}

enum Kind {
    Text,
    Call,
    /// The signature may come in pieces, and goes on whole.
    Thinking {
        signature: String,
    },
    /// Goes on whole too; the part has not begun yet.
    Redacted {
        data: String,
    },
    /// A kind that is not known here, such as a tool that the provider runs itself.
    Unknown,
}

impl StreamReader for Reader {
    fn push(&mut self, piece: &[u8], events: &mut Vec<Event>) {
        if self.over {
            return;
        }
        self.decoder.push(piece);
        while !self.over {
            match self.decoder.next_message() {
                Ok(Some(message)) => self.message(&message, events),
                Ok(None) => return,
                Err(damaged) => self.fail(ErrorKind::BadUpstream, damaged.to_string(), events),
            }
        }
    }

    fn finish(&mut self, events: &mut Vec<Event>) {
        if self.over {
            return;
        }
        if !self.stopped || self.decoder.is_cut() {
            let message = "the provider's stream ended before the answer was complete";
            self.fail(ErrorKind::BadUpstream, message.to_owned(), events);
            return;
        }
        self.over = true;
        events.push(Event::End);
    }
}

impl Reader {
    fn fail(&mut self, kind: ErrorKind, message: String, events: &mut Vec<Event>) {
        self.over = true;
        events.push(Event::Error(StreamError { kind, message }));
    }

    fn message(&mut self, message: &Message, events: &mut Vec<Event>) {
        if self.blocks.len() > OPEN_BLOCKS || self.held > HELD_BYTES {
            let text = "the provider's stream leaves more open than an answer can need";
            return self.fail(ErrorKind::BadUpstream, text.to_owned(), events);
        }
        match message.header(":message-type") {
            Some("event") => {
                let name = message.header(":event-type").unwrap_or_default();
                if self.event(name, &message.payload, events).is_none() {
                    let text = format!("the provider's stream has an event {name} that cannot be read");
                    self.fail(ErrorKind::BadUpstream, text, events);
                }
            }
            Some("exception") => {
                let name = message
                    .header(":exception-type")
                    .unwrap_or("an exception without a name");
                let (kind, text) = error::of_stream(name, &message.payload);
                self.fail(kind, text, events);
            }
            _ => {
                let text = message.header(":error-message").or(message.header(":error-code"));
                let text = text.unwrap_or("the provider's stream ended with an error").to_owned();
                self.fail(ErrorKind::BadUpstream, text, events);
            }
        }
    }

    /// `None` if the payload is not that of the event.
    fn event(&mut self, name: &str, payload: &[u8], events: &mut Vec<Event>) -> Option<()> {
        if !self.started {
            self.started = true;
            events.push(Event::Start {
                id: String::new(),
                model: String::new(),
                created: None,
            });
        }
        match name {
            "contentBlockStart" if !self.stopped => self.block_start(&read(payload)?, events),
            "contentBlockDelta" if !self.stopped => self.block_delta(read(payload)?, events),
            "contentBlockStop" if !self.stopped => {
                let stop: BlockStop = read(payload)?;
                self.close(stop.content_block_index, events);
            }
            "messageStop" if !self.stopped => {
                let stop: MessageStop = read(payload)?;
                match answer::finish(&stop.stop_reason, self.calls > 0) {
                    Ok(finish) => {
                        self.close_all(events);
                        self.stopped = true;
                        events.push(Event::Finish { choice: CHOICE, finish });
                    }
                    Err(why) => self.fail(ErrorKind::BadUpstream, why, events),
                }
            }
            "metadata" => {
                let metadata: Metadata = read(payload)?;
                events.extend(metadata.usage.map(|usage| Event::Usage(usage.read())));
            }
            // `messageStart` says nothing that is not known, and what is new is not needed to read the rest.
            _ => {}
        }
        Some(())
    }

    fn block_start(&mut self, start: &BlockStart<'_>, events: &mut Vec<Event>) {
        let index = start.content_block_index;
        let Some(kinds) = &start.start else { return };
        self.close(index, events);
        let Some(call) = kinds.tool_use.as_ref().filter(|call| call.r#type.is_none()) else {
            let unknown = Block {
                part: 0,
                kind: Kind::Unknown,
            };
            self.blocks.insert(index, unknown);
            return;
        };
        let start = PartStart::ToolCall {
            id: call.id.clone(),
            name: call.name.clone(),
            signature: None,
        };
        let part = self.begin(start, events);
        self.calls += 1;
        self.blocks.insert(index, Block { part, kind: Kind::Call });
    }

    fn begin(&mut self, start: PartStart, events: &mut Vec<Event>) -> u32 {
        let part = self.parts;
        self.parts += 1;
        events.push(Event::PartStart {
            choice: CHOICE,
            part,
            start,
        });
        part
    }

    fn block_delta(&mut self, delta: BlockDelta, events: &mut Vec<Event>) {
        let index = delta.content_block_index;
        let Delta {
            text,
            tool_use,
            reasoning_content,
            citation,
        } = delta.delta;
        if let Some(text) = text.filter(|text| !text.is_empty())
            && let Some(part) = self.text(index, events)
        {
            events.push(Event::Text {
                choice: CHOICE,
                part,
                text,
                logprobs: None,
            });
        }
        if let Some(found) = citation.as_ref().and_then(citation::read)
            && let Some(part) = self.text(index, events)
        {
            events.push(Event::Citation {
                choice: CHOICE,
                part,
                citation: found,
            });
        }
        if let Some(input) = tool_use.filter(|call| !call.input.is_empty())
            && let Some(Block { part, kind: Kind::Call }) = self.blocks.get(&index)
        {
            events.push(Event::Arguments {
                choice: CHOICE,
                part: *part,
                json: input.input,
            });
        }
        if let Some(reasoning) = reasoning_content {
            self.reasoning(index, reasoning, events);
        }
    }

    /// The text part of a block; text has no start of its own. `None` if the block is of another kind.
    fn text(&mut self, index: u32, events: &mut Vec<Event>) -> Option<u32> {
        match self.blocks.get(&index) {
            Some(Block { part, kind: Kind::Text }) => Some(*part),
            Some(_) => None,
            None => {
                self.close_all_before(events);
                let part = self.begin(PartStart::Text, events);
                self.blocks.insert(index, Block { part, kind: Kind::Text });
                Some(part)
            }
        }
    }

    fn reasoning(&mut self, index: u32, delta: ReasoningDelta, events: &mut Vec<Event>) {
        if !self.blocks.contains_key(&index) {
            self.close_all_before(events);
            let block = if delta.redacted_content.is_some() {
                Block {
                    part: 0,
                    kind: Kind::Redacted { data: String::new() },
                }
            } else {
                Block {
                    part: self.begin(PartStart::Thinking, events),
                    kind: Kind::Thinking {
                        signature: String::new(),
                    },
                }
            };
            self.blocks.insert(index, block);
        }
        let Some(Block { part, kind }) = self.blocks.get_mut(&index) else {
            return;
        };
        match kind {
            Kind::Thinking { signature } => {
                let more = delta.signature.as_deref().unwrap_or_default();
                self.held += more.len();
                signature.push_str(more);
                if let Some(text) = delta.text.filter(|text| !text.is_empty()) {
                    events.push(Event::Thinking {
                        choice: CHOICE,
                        part: *part,
                        text,
                    });
                }
            }
            Kind::Redacted { data } => {
                let more = delta.redacted_content.as_deref().unwrap_or_default();
                self.held += more.len();
                data.push_str(more);
            }
            Kind::Text | Kind::Call | Kind::Unknown => {}
        }
    }

    /// Text and thoughts begin when those before them have ended; calls may still be open.
    fn close_all_before(&mut self, events: &mut Vec<Event>) {
        let open: Vec<u32> = self
            .blocks
            .iter()
            .filter(|(_, block)| !matches!(block.kind, Kind::Call | Kind::Unknown))
            .map(|(index, _)| *index)
            .collect();
        for index in open {
            self.close(index, events);
        }
    }

    fn close_all(&mut self, events: &mut Vec<Event>) {
        while let Some((&index, _)) = self.blocks.first_key_value() {
            self.close(index, events);
        }
    }

    fn close(&mut self, index: u32, events: &mut Vec<Event>) {
        let Some(Block { mut part, kind }) = self.blocks.remove(&index) else {
            return;
        };
        match kind {
            Kind::Text | Kind::Call => {}
            Kind::Thinking { signature } => {
                if !signature.is_empty() {
                    events.push(Event::Signature {
                        choice: CHOICE,
                        part,
                        signature,
                    });
                }
            }
            Kind::Redacted { data } => part = self.begin(PartStart::RedactedThinking { data }, events),
            Kind::Unknown => return,
        }
        events.push(Event::PartEnd { choice: CHOICE, part });
    }
}

fn read<'a, T: Deserialize<'a>>(payload: &'a [u8]) -> Option<T> {
    serde_json::from_slice(payload).ok()
}

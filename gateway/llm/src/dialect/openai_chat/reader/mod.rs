//! A provider's stream: chunks become events.
//!
//! Servers that are compatible with OpenAI differ in much, and this reads what they send rather than what the API says:
//! chunks without choices at the start (Azure), calls without `index` or `id` or in one piece (Ollama, Gemini), names and
//! ids that are repeated, text between the pieces of calls, thoughts under three names, `finish_reason` twice, usage in
//! any chunk, and a body that ends without `[DONE]`.

mod calls;
mod choice;

use std::collections::BTreeMap;

use bytes::Bytes;

use super::error;
use crate::ErrorKind;
use crate::conversation::{Event, StreamError};
use crate::dialect::StreamReader;
use crate::dialect::json::View;
use crate::response::usage_of_body;
use crate::sse::Parser;
use choice::Choice;

/// Largest event: an image or audio in one delta stays below it.
const MAX_EVENT_BYTES: usize = 8 * 1024 * 1024;

/// Reads a stream of chunks.
pub(super) struct Reader {
    parser: Parser,
    started: bool,
    /// Nothing comes any more: the stream was complete, or an error was told.
    over: bool,
    /// The answer's id, of which ids of calls are made where the provider gives none.
    id: String,
    choices: BTreeMap<u32, Choice>,
}

impl Reader {
    pub(super) fn new() -> Self {
        Self {
            parser: Parser::new(MAX_EVENT_BYTES),
            started: false,
            over: false,
            id: String::new(),
            choices: BTreeMap::new(),
        }
    }

    fn take(&mut self, data: &[u8], events: &mut Vec<Event>) {
        let data = data.trim_ascii();
        if self.over || data.is_empty() {
            return;
        }
        if data == b"[DONE]" {
            self.complete(events);
            return;
        }
        let Some(chunk) = View::parse(data) else {
            self.fail(
                ErrorKind::BadUpstream,
                "the provider sent an event that is not JSON",
                events,
            );
            return;
        };
        if let Some(error) = error::read_event(&chunk) {
            self.start(&chunk, events);
            events.push(Event::Error(error));
            self.over = true;
            return;
        }
        self.chunk(&chunk, events);
        if !self.over
            && chunk.raw("usage").is_some()
            && let Some(usage) = usage_of_body(data)
        {
            self.start(&chunk, events);
            events.push(Event::Usage(usage));
        }
    }

    fn chunk(&mut self, chunk: &View<'_>, events: &mut Vec<Event>) {
        for (place, wire) in chunk.views("choices").enumerate() {
            self.start(chunk, events);
            let index = wire.count("index").unwrap_or(place as u64);
            let Ok(index) = u32::try_from(index) else {
                continue;
            };
            let choice = self.choices.entry(index).or_insert_with(|| Choice::new(index));
            if choice.take(&wire, &self.id, events).is_err() {
                self.fail(
                    ErrorKind::BadUpstream,
                    "the provider sent more calls of tools than an answer may have",
                    events,
                );
                return;
            }
        }
    }

    fn start(&mut self, chunk: &View<'_>, events: &mut Vec<Event>) {
        if std::mem::replace(&mut self.started, true) {
            return;
        }
        self.id = chunk.text("id").unwrap_or_default();
        events.push(Event::Start {
            id: self.id.clone(),
            model: chunk.text("model").unwrap_or_default(),
            created: chunk.count("created").filter(|seconds| *seconds > 0),
        });
    }

    /// The provider says that all is told.
    fn complete(&mut self, events: &mut Vec<Event>) {
        if self.choices.is_empty() {
            self.fail(
                ErrorKind::BadUpstream,
                "the provider ended the stream without an answer",
                events,
            );
            return;
        }
        for choice in self.choices.values_mut() {
            choice.finish(None, None, &self.id, events);
        }
        events.push(Event::End);
        self.over = true;
    }

    fn fail(&mut self, kind: ErrorKind, message: &str, events: &mut Vec<Event>) {
        if !std::mem::replace(&mut self.started, true) {
            events.push(Event::Start {
                id: String::new(),
                model: String::new(),
                created: None,
            });
        }
        events.push(Event::Error(StreamError {
            kind,
            message: message.to_owned(),
        }));
        self.over = true;
    }
}

impl StreamReader for Reader {
    fn push(&mut self, piece: &[u8], events: &mut Vec<Event>) {
        if self.over {
            return;
        }
        self.parser.push(Bytes::copy_from_slice(piece));
        while !self.over {
            match self.parser.next_event() {
                Ok(Some(event)) => {
                    if let Some(data) = event.data() {
                        self.take(data, events);
                    }
                }
                Ok(None) => return,
                Err(_) => self.fail(
                    ErrorKind::BadUpstream,
                    "the provider sent an event that is too large",
                    events,
                ),
            }
        }
    }

    fn finish(&mut self, events: &mut Vec<Event>) {
        if self.over {
            return;
        }
        let parser = std::mem::replace(&mut self.parser, Parser::new(0));
        if let Some(tail) = parser.finish()
            && let Some(data) = tail.event.data()
        {
            // Some servers leave out the last blank line. An event that is not whole in itself was cut.
            let whole = data.trim_ascii() == b"[DONE]" || View::parse(data).is_some();
            if tail.terminated || whole {
                self.take(data, events);
            }
        }
        if self.over {
            return;
        }
        if !self.choices.is_empty() && self.choices.values().all(Choice::is_finished) {
            events.push(Event::End);
            self.over = true;
        } else {
            self.fail(
                ErrorKind::BadUpstream,
                "the provider broke off in the middle of its answer",
                events,
            );
        }
    }
}

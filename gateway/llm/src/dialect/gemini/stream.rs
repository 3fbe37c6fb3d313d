//! Streams: each event is an answer with what is new.

use std::collections::BTreeMap;

use bytes::Bytes;
use serde_json::value::RawValue;

use super::answer::{blocked, call_id, finish};
use super::wire::{Candidate, FunctionCall, Part, Reply};
use super::{error, logprobs, signature, sources};
use crate::ErrorKind;
use crate::conversation::{Event, Finish, Json, PartStart, StreamError};
use crate::dialect::StreamReader;
use crate::sse::Parser;

/// An event may hold a whole image.
const EVENT_BYTES: usize = 32 * 1024 * 1024;
/// Answers to one request; Google gives up to 8.
const CHOICES: usize = 128;

/// Reads a stream of `streamGenerateContent` with `alt=sse`.
pub(super) struct Reader {
    parser: Parser,
    started: bool,
    over: bool,
    response_id: Option<String>,
    choices: BTreeMap<u32, Choice>,
}

impl Default for Reader {
    fn default() -> Self {
        Self {
            parser: Parser::new(EVENT_BYTES),
            started: false,
            over: false,
            response_id: None,
            choices: BTreeMap::new(),
        }
    }
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Open {
    Text,
    Thinking,
}

/// What is known of one of the answers.
#[derive(Default)]
struct Choice {
    /// Parts that were begun.
    parts: u32,
    open: Option<Open>,
    calls: u32,
    finished: bool,
    /// Bytes of all text so far; while all of it is ASCII, places in bytes are places in characters.
    text_bytes: u64,
    /// Of those, before the text that is open.
    before_open: u64,
    beyond_ascii: bool,
}

impl StreamReader for Reader {
    fn push(&mut self, piece: &[u8], events: &mut Vec<Event>) {
        if self.over {
            return;
        }
        self.parser.push(Bytes::copy_from_slice(piece));
        loop {
            match self.parser.next_event() {
                Ok(Some(event)) => {
                    if let Some(data) = event.data() {
                        self.data(data, events);
                    }
                }
                Ok(None) => return,
                Err(too_large) => self.fail(ErrorKind::BadUpstream, too_large.to_string(), events),
            }
            if self.over {
                return;
            }
        }
    }

    fn finish(&mut self, events: &mut Vec<Event>) {
        if self.over {
            return;
        }
        let rest = std::mem::replace(&mut self.parser, Parser::new(EVENT_BYTES)).finish();
        if let Some(tail) = rest
            && let Some(data) = tail.event.data()
        {
            // The last event is whole if it parses, whether or not a blank line ends it.
            self.data(data, events);
        }
        if self.over {
            return;
        }
        if self.choices.is_empty() || self.choices.values().any(|choice| !choice.finished) {
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

    fn data(&mut self, data: &[u8], events: &mut Vec<Event>) {
        let Ok(response) = serde_json::from_slice::<Reply<'_>>(data) else {
            let message = "the provider's stream has an event that is not an answer";
            return self.fail(ErrorKind::BadUpstream, message.to_owned(), events);
        };
        if let Some(raw) = response.error {
            return self.error(raw, events);
        }
        if !self.started {
            self.started = true;
            self.response_id.clone_from(&response.response_id);
            events.push(Event::Start {
                id: response.response_id.clone().unwrap_or_default(),
                model: response.model_version.clone().unwrap_or_default(),
                created: None,
            });
        }
        for candidate in &response.candidates {
            if self.choices.len() >= CHOICES && !self.choices.contains_key(&candidate.index) {
                let message = "the provider's stream has more answers than can be asked for";
                return self.fail(ErrorKind::BadUpstream, message.to_owned(), events);
            }
            let choice = self.choices.entry(candidate.index).or_default();
            if let Err(why) = choice.take(candidate, self.response_id.as_deref(), events) {
                return self.fail(ErrorKind::BadUpstream, why, events);
            }
        }
        if blocked(&response).is_some() && self.choices.is_empty() {
            let choice = self.choices.entry(0).or_default();
            choice.end(0, Finish::ContentFilter, events);
        }
        if let Some(usage) = response.usage_metadata.map(|usage| usage.read())
            && !usage.is_empty()
        {
            events.push(Event::Usage(usage));
        }
    }

    fn error(&mut self, raw: &RawValue, events: &mut Vec<Event>) {
        let error = serde_json::from_str::<error::Failure>(raw.get())
            .unwrap_or_default()
            .read(500);
        self.fail(error.kind, error.message, events);
    }
}

impl Choice {
    fn take(
        &mut self,
        candidate: &Candidate<'_>,
        response: Option<&str>,
        events: &mut Vec<Event>,
    ) -> Result<(), String> {
        if self.finished {
            return Ok(());
        }
        let index = candidate.index;
        let mut logprobs = candidate.logprobs_result.and_then(logprobs::read);
        for part in candidate.content.iter().flat_map(|content| &content.parts) {
            if part.inline_data.is_some() {
                return Err("the answer holds an image, which a stream cannot carry".to_owned());
            }
            self.part(index, part, response, &mut logprobs, events);
        }
        self.cite(candidate, events);
        if let Some(reason) = candidate.finish_reason.as_deref() {
            let finish = finish(reason, self.calls > 0)?;
            self.end(index, finish, events);
        }
        Ok(())
    }

    fn part(
        &mut self,
        choice: u32,
        part: &Part<'_>,
        response: Option<&str>,
        logprobs: &mut Option<Json>,
        events: &mut Vec<Event>,
    ) {
        if let Some(call) = &part.function_call {
            self.call(choice, call, part.thought_signature.clone(), response, events);
            return;
        }
        let marked = part.thought_signature.as_deref().map(signature::mark);
        let text = part.text.as_deref().unwrap_or_default();
        if !text.is_empty() {
            let kind = if part.thought { Open::Thinking } else { Open::Text };
            let at = self.open(choice, kind, events);
            let text = text.to_owned();
            events.push(match kind {
                Open::Thinking => Event::Thinking { choice, part: at, text },
                Open::Text => {
                    self.text_bytes += text.len() as u64;
                    self.beyond_ascii |= !text.is_ascii();
                    let logprobs = logprobs.take();
                    Event::Text {
                        choice,
                        part: at,
                        text,
                        logprobs,
                    }
                }
            });
        }
        if let Some(signature) = marked {
            // The proof of a text is a thought of its own behind it.
            let at = self.open(choice, Open::Thinking, events);
            events.push(Event::Signature {
                choice,
                part: at,
                signature,
            });
            self.close(choice, events);
        }
    }

    fn call(
        &mut self,
        choice: u32,
        call: &FunctionCall<'_>,
        signature: Option<String>,
        response: Option<&str>,
        events: &mut Vec<Event>,
    ) {
        self.close(choice, events);
        self.calls += 1;
        let part = self.parts;
        self.parts += 1;
        let start = PartStart::ToolCall {
            id: call_id(call.id.as_deref(), response, choice, self.calls),
            name: call.name.clone(),
            signature,
        };
        events.push(Event::PartStart { choice, part, start });
        if let Some(args) = call.args {
            let json = args.get().to_owned();
            events.push(Event::Arguments { choice, part, json });
        }
        events.push(Event::PartEnd { choice, part });
    }

    /// The part of this kind that takes more, a new one if another is open.
    fn open(&mut self, choice: u32, kind: Open, events: &mut Vec<Event>) -> u32 {
        if self.open != Some(kind) {
            self.close(choice, events);
            let start = match kind {
                Open::Text => PartStart::Text,
                Open::Thinking => PartStart::Thinking,
            };
            let part = self.parts;
            events.push(Event::PartStart { choice, part, start });
            self.parts += 1;
            self.open = Some(kind);
            self.before_open = self.text_bytes;
        }
        self.parts - 1
    }

    fn close(&mut self, choice: u32, events: &mut Vec<Event>) {
        if self.open.take().is_some() {
            let part = self.parts - 1;
            events.push(Event::PartEnd { choice, part });
        }
    }

    /// Sources belong to a text; they come with its last piece or behind it.
    fn cite(&mut self, candidate: &Candidate<'_>, events: &mut Vec<Event>) {
        let found = sources::of(candidate);
        if found.is_empty() {
            return;
        }
        let choice = candidate.index;
        let part = self.open(choice, Open::Text, events);
        for source in found {
            let range = source.range.filter(|_| !self.beyond_ascii).map(|(start, end)| {
                let place = |byte: u64| byte.min(self.text_bytes).saturating_sub(self.before_open);
                (place(start), place(end))
            });
            let citation = source.citation(range);
            events.push(Event::Citation { choice, part, citation });
        }
    }

    fn end(&mut self, choice: u32, finish: Finish, events: &mut Vec<Event>) {
        self.close(choice, events);
        self.finished = true;
        events.push(Event::Finish { choice, finish });
    }
}

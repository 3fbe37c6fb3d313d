//! Reads a stream of Anthropic's.

use std::collections::BTreeMap;

use bytes::Bytes;

use crate::ErrorKind;
use crate::conversation::{Event, Finish, PartStart, StreamError};
use crate::dialect::StreamReader;
use crate::dialect::anthropic::{answer, error};
use crate::dialect::json::View;
use crate::response::MessageUsage;
use crate::sse::{self, Parser};

/// The largest event that is read. Pieces of answers have some KB; the largest are whole thoughts that are encrypted.
const MAX_EVENT_BYTES: usize = 8 * 1024 * 1024;

/// Reads a stream.
#[derive(Debug)]
pub(in crate::dialect::anthropic) struct Reader {
    parser: Parser,
    /// The block of a text or a thought that has begun and not ended, by the provider's index.
    open: Option<(u64, Block)>,
    /// The same of calls, which may overlap.
    calls: BTreeMap<u64, Call>,
    /// How many parts have begun.
    parts: u32,
    called: bool,
    usage: MessageUsage,
    progress: Progress,
}

/// How far the stream has come.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Progress {
    Nothing,
    Started,
    /// The answer is complete; only the end may follow.
    Finished,
    /// After the end, or after an error: nothing comes any more.
    Over,
}

#[derive(Debug, Clone, Copy)]
struct Block {
    part: u32,
    kind: Kind,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Kind {
    Text,
    Thinking,
    /// Whole from its start, or of a tool that Anthropic runs, which other dialects cannot ask for.
    Closed,
}

#[derive(Debug)]
struct Call {
    part: u32,
    /// Arguments that came at the start, where servers that are only compatible send all of them; none once pieces came.
    whole: Option<String>,
}

impl Reader {
    pub(in crate::dialect::anthropic) fn new() -> Self {
        Self {
            parser: Parser::new(MAX_EVENT_BYTES),
            open: None,
            calls: BTreeMap::new(),
            parts: 0,
            called: false,
            usage: MessageUsage::default(),
            progress: Progress::Nothing,
        }
    }

    fn event(&mut self, event: &sse::Event, events: &mut Vec<Event>) {
        let Some(data) = event.data().filter(|data| !data.trim_ascii().is_empty()) else {
            return;
        };
        let Some(data) = View::parse(data) else {
            self.fail("the provider's stream holds what is not JSON", events);
            return;
        };
        match data.text("type").unwrap_or_default().as_str() {
            "message_start" => self.start(data.view("message").as_ref(), events),
            "content_block_start" => self.block_start(&data, events),
            "content_block_delta" => self.block_delta(&data, events),
            "content_block_stop" => {
                if let Some(index) = data.count("index") {
                    self.block_stop(index, events);
                }
            }
            "message_delta" => self.message_delta(&data, events),
            "message_stop" => self.stop(events),
            // Servers that are only compatible may send an error without the type.
            kind if kind == "error" || data.raw("error").is_some() => {
                self.progress = Progress::Over;
                events.push(Event::Error(error::read_event(&data)));
            }
            // Pings, and what Anthropic may add.
            _ => {}
        }
    }

    fn start(&mut self, message: Option<&View<'_>>, events: &mut Vec<Event>) {
        if self.progress == Progress::Nothing {
            self.progress = Progress::Started;
            let field = |key| message.and_then(|message| message.text(key)).unwrap_or_default();
            events.push(Event::Start {
                id: field("id"),
                model: field("model"),
                created: None,
            });
        }
        if let Some(message) = message {
            self.count(message, events);
        }
    }

    /// Whether content may come. Makes sure that the answer has begun, whatever the provider forgot.
    fn accepts(&mut self, events: &mut Vec<Event>) -> bool {
        if self.progress == Progress::Nothing {
            self.start(None, events);
        }
        self.progress == Progress::Started
    }

    fn count(&mut self, view: &View<'_>, events: &mut Vec<Event>) {
        if let Some(usage) = answer::usage(view) {
            self.usage.update(&usage);
            events.extend(self.usage.read().map(Event::Usage));
        }
    }

    fn block_start(&mut self, data: &View<'_>, events: &mut Vec<Event>) {
        let (Some(index), Some(block)) = (data.count("index"), data.view("content_block")) else {
            return;
        };
        if !self.accepts(events) {
            return;
        }
        match block.text("type").unwrap_or_default().as_str() {
            "text" => {
                self.open_single(index, Kind::Text, PartStart::Text, events);
                self.deltas("text", &block, events);
                for citation in block.list("citations").into_iter().filter_map(answer::citation) {
                    self.push_citation(citation, events);
                }
            }
            "thinking" => {
                self.open_single(index, Kind::Thinking, PartStart::Thinking, events);
                self.deltas("thinking", &block, events);
                self.deltas("signature", &block, events);
            }
            "redacted_thinking" => {
                let data = block.text("data").unwrap_or_default();
                self.open_single(index, Kind::Closed, PartStart::RedactedThinking { data }, events);
            }
            "tool_use" => {
                self.end_single(events);
                self.end_call(index, events);
                let part = self.next_part();
                let whole = block.raw("input").map(|input| input.get().to_owned());
                self.calls.insert(index, Call { part, whole });
                self.called = true;
                let start = PartStart::ToolCall {
                    id: block.text("id").unwrap_or_default(),
                    name: block.text("name").unwrap_or_default(),
                    signature: None,
                };
                events.push(Event::PartStart { choice: 0, part, start });
            }
            _ => {}
        }
    }

    fn next_part(&mut self) -> u32 {
        let part = self.parts;
        self.parts = self.parts.saturating_add(1);
        part
    }

    /// Begins a text or a thought, beside which nothing else is open.
    fn open_single(&mut self, index: u64, kind: Kind, start: PartStart, events: &mut Vec<Event>) {
        self.end_all(events);
        let part = self.next_part();
        self.open = Some((index, Block { part, kind }));
        events.push(Event::PartStart { choice: 0, part, start });
    }

    /// Appends a field of a block or a delta to the open text or thought, if there is something in it.
    fn deltas(&self, key: &str, from: &View<'_>, events: &mut Vec<Event>) {
        let (Some((_, Block { part, .. })), Some(text)) = (self.open, from.filled(key)) else {
            return;
        };
        let choice = 0;
        events.push(match key {
            "thinking" => Event::Thinking { choice, part, text },
            "signature" => Event::Signature {
                choice,
                part,
                signature: text,
            },
            _ => Event::Text {
                choice,
                part,
                text,
                logprobs: None,
            },
        });
    }

    fn push_citation(&self, citation: crate::conversation::Citation, events: &mut Vec<Event>) {
        if let Some((_, Block { part, .. })) = self.open {
            events.push(Event::Citation {
                choice: 0,
                part,
                citation,
            });
        }
    }

    fn block_delta(&mut self, data: &View<'_>, events: &mut Vec<Event>) {
        let (Some(index), Some(delta)) = (data.count("index"), data.view("delta")) else {
            return;
        };
        if !self.accepts(events) {
            return;
        }
        let kind = delta.text("type").unwrap_or_default();
        if kind == "input_json_delta" {
            if let (Some(call), Some(json)) = (self.calls.get_mut(&index), delta.filled("partial_json")) {
                call.whole = None;
                let part = call.part;
                events.push(Event::Arguments { choice: 0, part, json });
            }
            return;
        }
        let (expected, start) = match kind.as_str() {
            "text_delta" | "citations_delta" => (Kind::Text, PartStart::Text),
            "thinking_delta" | "signature_delta" => (Kind::Thinking, PartStart::Thinking),
            // What Anthropic may add.
            _ => return,
        };
        match self.open {
            Some((open, block)) if open == index && block.kind == expected => {}
            Some((open, _)) if open == index => return,
            // Servers that are only compatible forget the start.
            _ => self.open_single(index, expected, start, events),
        }
        match kind.as_str() {
            "citations_delta" => {
                if let Some(citation) = delta.raw("citation").and_then(answer::citation) {
                    self.push_citation(citation, events);
                }
            }
            "thinking_delta" => self.deltas("thinking", &delta, events),
            "signature_delta" => self.deltas("signature", &delta, events),
            _ => self.deltas("text", &delta, events),
        }
    }

    fn block_stop(&mut self, index: u64, events: &mut Vec<Event>) {
        if self.open.is_some_and(|(open, _)| open == index) {
            self.end_single(events);
        } else {
            self.end_call(index, events);
        }
    }

    fn end_single(&mut self, events: &mut Vec<Event>) {
        if let Some((_, Block { part, .. })) = self.open.take() {
            events.push(Event::PartEnd { choice: 0, part });
        }
    }

    fn end_call(&mut self, index: u64, events: &mut Vec<Event>) {
        if let Some(call) = self.calls.remove(&index) {
            end(call, events);
        }
    }

    fn end_all(&mut self, events: &mut Vec<Event>) {
        self.end_single(events);
        for call in std::mem::take(&mut self.calls).into_values() {
            end(call, events);
        }
    }

    fn message_delta(&mut self, data: &View<'_>, events: &mut Vec<Event>) {
        let accepts = self.accepts(events);
        self.count(data, events);
        let Some(delta) = data.view("delta").filter(|delta| delta.raw("stop_reason").is_some()) else {
            return;
        };
        if !accepts {
            return;
        }
        self.end_all(events);
        if let Some(text) = answer::explanation(&delta) {
            let (choice, part) = (0, self.next_part());
            let start = PartStart::Refusal;
            events.push(Event::PartStart { choice, part, start });
            events.push(Event::Refusal { choice, part, text });
            events.push(Event::PartEnd { choice, part });
        }
        self.progress = Progress::Finished;
        events.push(Event::Finish {
            choice: 0,
            finish: answer::finish(&delta, self.called),
        });
    }

    /// The stream is complete.
    fn stop(&mut self, events: &mut Vec<Event>) {
        if self.accepts(events) {
            self.end_all(events);
            let finish = if self.called { Finish::ToolCalls } else { Finish::Stop };
            events.push(Event::Finish { choice: 0, finish });
        }
        self.progress = Progress::Over;
        events.push(Event::End);
    }

    fn fail(&mut self, message: &str, events: &mut Vec<Event>) {
        self.progress = Progress::Over;
        events.push(Event::Error(StreamError {
            kind: ErrorKind::BadUpstream,
            message: message.to_owned(),
        }));
    }
}

fn end(call: Call, events: &mut Vec<Event>) {
    let Call { part, whole } = call;
    if let Some(json) = whole.filter(|json| json != "{}") {
        events.push(Event::Arguments { choice: 0, part, json });
    }
    events.push(Event::PartEnd { choice: 0, part });
}

impl StreamReader for Reader {
    fn push(&mut self, piece: &[u8], events: &mut Vec<Event>) {
        if self.progress == Progress::Over {
            return;
        }
        self.parser.push(Bytes::copy_from_slice(piece));
        while self.progress != Progress::Over {
            match self.parser.next_event() {
                Ok(Some(event)) => self.event(&event, events),
                Ok(None) => break,
                Err(error) => self.fail(&error.to_string(), events),
            }
        }
    }

    fn finish(&mut self, events: &mut Vec<Event>) {
        if self.progress == Progress::Over {
            return;
        }
        // The last event may lack its blank line, when the server closes right behind it.
        let parser = std::mem::replace(&mut self.parser, Parser::new(0));
        if let Some(tail) = parser.finish()
            && (tail.terminated || tail.event.data().is_some_and(|data| View::parse(data).is_some()))
        {
            self.event(&tail.event, events);
        }
        match self.progress {
            Progress::Over => {}
            // The answer is complete, and so are its counts, which come with the reason of its end.
            Progress::Finished => self.stop(events),
            Progress::Nothing => self.fail("the provider's answer is not a stream of messages", events),
            Progress::Started => self.fail("the provider broke off its answer", events),
        }
    }
}

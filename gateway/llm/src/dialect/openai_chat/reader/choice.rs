//! The parts of one of the answers, as its deltas come.

use super::calls::{Calls, TooMany};
use crate::conversation::{Citation, Event, Json, PartKind, PartStart};
use crate::dialect::json::View;
use crate::dialect::openai_chat::{answer, thoughts};

/// Parts that are told in deltas of text. Only one is open at a time.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Kind {
    Text,
    Thinking,
    Refusal,
}

/// A piece of text with its kind.
#[derive(Debug)]
struct Said {
    kind: Kind,
    text: String,
    logprobs: Option<Json>,
}

/// The part that is open.
#[derive(Debug, Clone, Copy)]
struct Open {
    kind: Kind,
    part: u32,
    /// A thought that has come in clear. A signed block that follows then repeats its text.
    in_clear: bool,
    /// Characters of text before it.
    before: u64,
}

#[derive(Debug)]
pub(super) struct Choice {
    /// Which of the answers.
    index: u32,
    /// The index of the next part.
    next: u32,
    open: Option<Open>,
    calls: Calls,
    /// What was said while a call was not complete. It waits, as parts of text must not lie within those of calls.
    held: Vec<Said>,
    /// Characters of text so far.
    characters: u64,
    refused: bool,
    finished: bool,
}

impl Choice {
    pub(super) fn new(index: u32) -> Self {
        Self {
            index,
            next: 0,
            open: None,
            calls: Calls::default(),
            held: Vec::new(),
            characters: 0,
            refused: false,
            finished: false,
        }
    }

    pub(super) const fn is_finished(&self) -> bool {
        self.finished
    }

    /// Takes one of the choices of a chunk. What comes after its end is nothing that could still be told.
    pub(super) fn take(&mut self, wire: &View<'_>, answer: &str, events: &mut Vec<Event>) -> Result<(), TooMany> {
        if self.finished {
            return Ok(());
        }
        // A server that ignores that it was asked for a stream sends a whole message.
        if let Some(delta) = wire.view("delta").or_else(|| wire.view("message")) {
            self.delta(&delta, wire, answer, events)?;
        }
        if let Some(reason) = wire.filled("finish_reason") {
            self.finish(Some(&reason), wire.filled("stop_reason"), answer, events);
        }
        Ok(())
    }

    fn delta(
        &mut self,
        delta: &View<'_>,
        wire: &View<'_>,
        answer: &str,
        events: &mut Vec<Event>,
    ) -> Result<(), TooMany> {
        self.thoughts(delta, events);
        let mut logprobs = wire.raw("logprobs").map(ToOwned::to_owned);
        if let Some(text) = delta.filled("content") {
            self.say(Kind::Text, text, logprobs.take(), events);
        } else {
            self.chunks(delta, events);
        }
        if let Some(text) = delta.filled("refusal") {
            self.say(Kind::Refusal, text, None, events);
        }
        if let Some(open) = self.open.filter(|open| open.kind == Kind::Text) {
            let citations = answer::citations(&delta.list("annotations"));
            events.extend(citations.into_iter().map(|citation| Event::Citation {
                choice: self.index,
                part: open.part,
                citation: within(citation, open.before),
            }));
        }
        for call in delta.views("tool_calls") {
            self.call(&call, call.view("function").as_ref(), answer, events)?;
        }
        // The form that `tool_calls` replaced.
        if let Some(function) = delta.view("function_call") {
            self.call(&function, Some(&function), answer, events)?;
        }
        Ok(())
    }

    /// Mistral's list of texts and thoughts.
    fn chunks(&mut self, delta: &View<'_>, events: &mut Vec<Event>) {
        for chunk in delta.views("content") {
            if let Some(text) = chunk.filled("text") {
                self.say(Kind::Text, text, None, events);
            }
            let thought: String = chunk.views("thinking").filter_map(|part| part.text("text")).collect();
            self.say(Kind::Thinking, thought, None, events);
        }
    }

    fn thoughts(&mut self, delta: &View<'_>, events: &mut Vec<Event>) {
        let clear = delta.filled("reasoning_content").or_else(|| delta.filled("reasoning"));
        let has_clear = clear.is_some();
        if let Some(text) = clear {
            self.say(Kind::Thinking, text, None, events);
            if let Some(open) = &mut self.open {
                open.in_clear = true;
            }
        }
        let mut blocks: Vec<PartKind> = (delta.list("thinking_blocks").into_iter())
            .filter_map(thoughts::block)
            .collect();
        if blocks.is_empty() {
            blocks = (delta.list("reasoning_details").into_iter())
                .filter_map(thoughts::detail)
                .collect();
        }
        for block in blocks {
            match block {
                PartKind::Thinking { text, signature } => {
                    let repeats =
                        has_clear || (self.open).is_some_and(|open| open.kind == Kind::Thinking && open.in_clear);
                    if !repeats {
                        self.say(Kind::Thinking, text, None, events);
                    }
                    if let Some(signature) = signature {
                        self.sign(signature, events);
                    }
                }
                PartKind::RedactedThinking { data } => self.redacted(data, events),
                _ => {}
            }
        }
    }

    /// A thought is complete with its proof.
    fn sign(&mut self, signature: String, events: &mut Vec<Event>) {
        if !self.calls.settle(self.index, events) {
            return;
        }
        let part = self.opened(Kind::Thinking, events);
        events.push(Event::Signature {
            choice: self.index,
            part,
            signature,
        });
        self.close(events);
    }

    fn redacted(&mut self, data: String, events: &mut Vec<Event>) {
        if !self.calls.settle(self.index, events) {
            return;
        }
        self.close(events);
        let (choice, part) = (self.index, self.new_part());
        let start = PartStart::RedactedThinking { data };
        events.push(Event::PartStart { choice, part, start });
        events.push(Event::PartEnd { choice, part });
    }

    fn say(&mut self, kind: Kind, text: String, logprobs: Option<Json>, events: &mut Vec<Event>) {
        if text.is_empty() {
            return;
        }
        self.refused |= kind == Kind::Refusal;
        if !self.calls.settle(self.index, events) {
            self.held.push(Said { kind, text, logprobs });
            return;
        }
        let (choice, part) = (self.index, self.opened(kind, events));
        if kind == Kind::Text {
            self.characters += text.chars().count() as u64;
        }
        events.push(match kind {
            Kind::Text => Event::Text {
                choice,
                part,
                text,
                logprobs,
            },
            Kind::Thinking => Event::Thinking { choice, part, text },
            Kind::Refusal => Event::Refusal { choice, part, text },
        });
    }

    fn call(
        &mut self,
        call: &View<'_>,
        function: Option<&View<'_>>,
        answer: &str,
        events: &mut Vec<Event>,
    ) -> Result<(), TooMany> {
        self.close(events);
        self.calls
            .take(call, function, self.index, answer, &mut self.next, events)
    }

    /// The open part of a kind; another one is closed first.
    fn opened(&mut self, kind: Kind, events: &mut Vec<Event>) -> u32 {
        if let Some(open) = self.open.filter(|open| open.kind == kind) {
            return open.part;
        }
        self.close(events);
        let part = self.new_part();
        self.open = Some(Open {
            kind,
            part,
            in_clear: false,
            before: self.characters,
        });
        events.push(Event::PartStart {
            choice: self.index,
            part,
            start: match kind {
                Kind::Text => PartStart::Text,
                Kind::Thinking => PartStart::Thinking,
                Kind::Refusal => PartStart::Refusal,
            },
        });
        part
    }

    fn new_part(&mut self) -> u32 {
        let part = self.next;
        self.next += 1;
        part
    }

    fn close(&mut self, events: &mut Vec<Event>) {
        if let Some(open) = self.open.take() {
            events.push(Event::PartEnd {
                choice: self.index,
                part: open.part,
            });
        }
    }

    /// The answer is complete. Told once, whatever comes later.
    pub(super) fn finish(&mut self, reason: Option<&str>, met: Option<String>, answer: &str, events: &mut Vec<Event>) {
        if self.finished {
            return;
        }
        self.close(events);
        self.calls.end(self.index, answer, &mut self.next, events);
        for said in std::mem::take(&mut self.held) {
            // White space between calls is the template's and not the model's.
            if !said.text.trim().is_empty() {
                self.say(said.kind, said.text, said.logprobs, events);
            }
        }
        self.close(events);
        events.push(Event::Finish {
            choice: self.index,
            finish: answer::finish(reason, met, !self.calls.is_empty(), self.refused),
        });
        self.finished = true;
    }
}

/// A source whose range counts from the beginning of all text, as one that counts from the beginning of its part.
fn within(citation: Citation, before: u64) -> Citation {
    match citation {
        Citation::Url {
            url,
            title,
            range: Some((from, to)),
            cited_text,
        } => Citation::Url {
            url,
            title,
            range: Some((from.saturating_sub(before), to.saturating_sub(before))),
            cited_text,
        },
        other => other,
    }
}

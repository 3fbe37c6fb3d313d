//! Puts items together from the parts of a stream, and tells of each step.
//!
//! The last item stays open until it is known what follows: another text belongs to the same message, and whether the
//! item is complete is told by the end of the answer.

mod closing;

use super::events::{Log, Piece, Step};
use super::item::{Content, Ids, Item, Status, Summary, logprobs};
use super::sealed::Sealed;
use crate::conversation::{Citation, Json, PartStart, ToolCall};

/// The items so far.
#[derive(Debug)]
pub(super) struct Assembly {
    ids: Ids,
    entries: Vec<Entry>,
    parts: Vec<OpenPart>,
}

#[derive(Debug)]
struct Entry {
    item: Item,
    /// Parts that the provider has not ended.
    open_parts: usize,
    closed: bool,
}

/// A part that the provider has begun and not ended.
#[derive(Debug)]
struct OpenPart {
    part: u32,
    kind: Kind,
}

#[derive(Debug)]
enum Kind {
    /// Nothing was said yet. It may stay so: some providers begin every answer with a text, and leave it empty.
    Waiting(Waiting),
    Text {
        at: Place,
        citations: Vec<Citation>,
    },
    Refusal {
        at: Place,
    },
    Thought {
        item: usize,
    },
    Call {
        item: usize,
    },
}

#[derive(Debug, Clone, Copy)]
enum Waiting {
    Text,
    Refusal,
    Thought,
}

/// Where a part of a message stands.
#[derive(Debug, Clone, Copy)]
struct Place {
    item: usize,
    content: usize,
}

impl Place {
    fn step(self, id: &str) -> Step<'_> {
        Step {
            content_index: Some(self.content),
            ..step_of(id, self.item)
        }
    }
}

/// A step in an item.
fn step_of(id: &str, item: usize) -> Step<'_> {
    Step {
        item_id: Some(id),
        output_index: Some(item),
        ..Step::default()
    }
}

/// A step in a thought. It has one summary, as providers give one text.
fn step_of_thought(id: &str, item: usize) -> Step<'_> {
    Step {
        summary_index: Some(0),
        ..step_of(id, item)
    }
}

impl Assembly {
    pub(super) const fn new(ids: Ids) -> Self {
        Self {
            ids,
            entries: Vec::new(),
            parts: Vec::new(),
        }
    }

    /// The items; one that has not ended is incomplete.
    pub(super) fn into_items(self) -> Vec<Item> {
        let items = self.entries.into_iter().map(|mut entry| {
            if !entry.closed {
                entry.item.set_status(Status::Incomplete);
            }
            entry.item
        });
        items.collect()
    }

    /// Whether the model refuses in its own words.
    pub(super) fn refuses(&self) -> bool {
        self.entries.iter().any(|entry| entry.item.refuses())
    }

    pub(super) fn start(&mut self, part: u32, start: &PartStart, log: &mut Log<'_>) {
        let kind = match start {
            PartStart::Text => Kind::Waiting(Waiting::Text),
            PartStart::Refusal => Kind::Waiting(Waiting::Refusal),
            PartStart::Thinking => Kind::Waiting(Waiting::Thought),
            PartStart::RedactedThinking { data } => {
                let item = Item::sealed(self.next_id("rs"), Sealed::Redacted(data));
                self.begin(item, log);
                return;
            }
            PartStart::ToolCall { id, name, signature } => {
                if let Some(proof) = signature {
                    let item = Item::sealed(self.next_id("rs"), Sealed::Call(proof));
                    self.begin(item, log);
                }
                let call = ToolCall {
                    id: id.clone(),
                    name: name.clone(),
                    arguments: String::new(),
                    signature: None,
                };
                let item = Item::call(self.next_id("fc"), &call, Status::InProgress);
                let item = self.begin(item, log);
                self.entries[item].open_parts += 1;
                Kind::Call { item }
            }
        };
        self.parts.push(OpenPart { part, kind });
    }

    fn next_id(&self, kind: &str) -> String {
        self.ids.item(kind, self.entries.len())
    }

    /// Adds an item. The one before it is complete, unless a call in it still goes on.
    fn begin(&mut self, item: Item, log: &mut Log<'_>) -> usize {
        if let Some(last) = self.entries.len().checked_sub(1)
            && self.entries[last].open_parts == 0
        {
            self.close(last, Status::Completed, log);
        }
        let index = self.entries.len();
        let step = Step {
            output_index: Some(index),
            item: Some(&item),
            ..Step::default()
        };
        log.emit("response.output_item.added", step);
        self.entries.push(Entry {
            item,
            open_parts: 0,
            closed: false,
        });
        index
    }

    /// Adds a part to the message that goes on, or to a new one.
    fn begin_content(&mut self, part: Content, log: &mut Log<'_>) -> Place {
        let goes_on =
            (self.entries.last()).is_some_and(|last| !last.closed && matches!(last.item, Item::Message { .. }));
        let item = if goes_on {
            self.entries.len() - 1
        } else {
            let message = Item::message(self.next_id("msg"), Status::InProgress);
            self.begin(message, log)
        };
        let entry = &mut self.entries[item];
        entry.open_parts += 1;
        let mut at = Place { item, content: 0 };
        if let Item::Message { id, content, .. } = &mut entry.item {
            at.content = content.len();
            let piece = Some(Piece::Content(&part));
            log.emit(
                "response.content_part.added",
                Step {
                    part: piece,
                    ..at.step(id)
                },
            );
            content.push(part);
        }
        at
    }

    fn open_part(&mut self, part: u32) -> Option<usize> {
        self.parts.iter().position(|open| open.part == part)
    }

    /// The place of a text part, which begins with its first text or source.
    fn text_place(&mut self, part: u32, log: &mut Log<'_>) -> Option<(usize, Place)> {
        let open = self.open_part(part)?;
        match self.parts[open].kind {
            Kind::Text { at, .. } => Some((open, at)),
            Kind::Waiting(Waiting::Text) => {
                let at = self.begin_content(Content::text(String::new()), log);
                let citations = Vec::new();
                self.parts[open].kind = Kind::Text { at, citations };
                Some((open, at))
            }
            _ => None,
        }
    }

    pub(super) fn text(&mut self, part: u32, more: &str, probabilities: Option<&Json>, log: &mut Log<'_>) {
        if more.is_empty() && probabilities.is_none() {
            return;
        }
        let Some((_, at)) = self.text_place(part, log) else {
            return;
        };
        if let Some((
            id,
            Content::OutputText {
                text, logprobs: all, ..
            },
        )) = self.content(at)
        {
            text.push_str(more);
            let known = all.len();
            all.extend(probabilities.map(|list| logprobs(list)).unwrap_or_default());
            let step = Step {
                delta: Some(more),
                logprobs: Some(&all[known..]),
                ..at.step(id)
            };
            log.emit("response.output_text.delta", step);
        }
    }

    pub(super) fn citation(&mut self, part: u32, citation: &Citation, log: &mut Log<'_>) {
        if let Some((open, _)) = self.text_place(part, log)
            && let Kind::Text { citations, .. } = &mut self.parts[open].kind
        {
            // What a source without a range stands behind is known at the end of the text.
            citations.push(citation.clone());
        }
    }

    pub(super) fn refusal(&mut self, part: u32, more: &str, log: &mut Log<'_>) {
        let Some(open) = self.open_part(part).filter(|_| !more.is_empty()) else {
            return;
        };
        let at = match self.parts[open].kind {
            Kind::Refusal { at } => at,
            Kind::Waiting(Waiting::Refusal) => {
                let refusal = String::new();
                let at = self.begin_content(Content::Refusal { refusal }, log);
                self.parts[open].kind = Kind::Refusal { at };
                at
            }
            _ => return,
        };
        if let Some((id, Content::Refusal { refusal })) = self.content(at) {
            refusal.push_str(more);
            let delta = Some(more);
            log.emit("response.refusal.delta", Step { delta, ..at.step(id) });
        }
    }

    fn content(&mut self, at: Place) -> Option<(&str, &mut Content)> {
        match &mut self.entries.get_mut(at.item)?.item {
            Item::Message { id, content, .. } => Some((id, content.get_mut(at.content)?)),
            _ => None,
        }
    }

    /// The item of a thought, which begins with its first text or its proof.
    fn thought_item(&mut self, part: u32, log: &mut Log<'_>) -> Option<usize> {
        let open = self.open_part(part)?;
        match self.parts[open].kind {
            Kind::Thought { item } => Some(item),
            Kind::Waiting(Waiting::Thought) => {
                let item = Item::reasoning(self.next_id("rs"));
                let item = self.begin(item, log);
                self.entries[item].open_parts += 1;
                self.parts[open].kind = Kind::Thought { item };
                Some(item)
            }
            _ => None,
        }
    }

    pub(super) fn thinking(&mut self, part: u32, more: &str, log: &mut Log<'_>) {
        if more.is_empty() {
            return;
        }
        let Some(item) = self.thought_item(part, log) else {
            return;
        };
        if let Item::Reasoning { id, summary, .. } = &mut self.entries[item].item {
            let place = || step_of_thought(id, item);
            if summary.is_empty() {
                let text = String::new();
                summary.push(Summary { text });
                let part = summary.first().map(Piece::Summary);
                log.emit("response.reasoning_summary_part.added", Step { part, ..place() });
            }
            if let Some(summary) = summary.first_mut() {
                summary.text.push_str(more);
            }
            let delta = Some(more);
            log.emit("response.reasoning_summary_text.delta", Step { delta, ..place() });
        }
    }

    pub(super) fn signature(&mut self, part: u32, proof: &str, log: &mut Log<'_>) {
        if let Some(item) = self.thought_item(part, log)
            && let Item::Reasoning { encrypted_content, .. } = &mut self.entries[item].item
        {
            *encrypted_content = Some(Sealed::Thought(proof).seal());
        }
    }

    pub(super) fn arguments(&mut self, part: u32, more: &str, log: &mut Log<'_>) {
        let Some(open) = self.open_part(part).filter(|_| !more.is_empty()) else {
            return;
        };
        if let Kind::Call { item } = self.parts[open].kind
            && let Item::FunctionCall { id, arguments, .. } = &mut self.entries[item].item
        {
            arguments.push_str(more);
            let delta = Some(more);
            log.emit(
                "response.function_call_arguments.delta",
                Step {
                    delta,
                    ..step_of(id, item)
                },
            );
        }
    }
}

//! Writes a streamed response from its first event to its last.

use super::super::{Context, StreamWriter};
use super::assembly::Assembly;
use super::events::{Log, Step};
use super::item::{Ids, Item, Status};
use super::response::{Ending, Failure, Frame, failure_code};
use crate::conversation::{Event, Finish, StreamError};
use crate::{ErrorKind, Usage};

/// Most bytes of an answer that are kept for the events that repeat it whole. No model writes as much.
const LARGEST_ANSWER: usize = 16 * 1024 * 1024;

/// A response on its way.
#[derive(Debug)]
pub(super) struct Writer {
    context: Context,
    sequence: u64,
    head: Option<Head>,
    assembly: Assembly,
    usage: Usage,
    /// Known once the provider says why the answer ended.
    ending: Option<Ending>,
    /// Bytes of the answer so far.
    held: usize,
    over: bool,
}

/// What the first event says, and all later ones repeat.
#[derive(Debug)]
struct Head {
    id: String,
    model: String,
    created_at: u64,
}

impl Head {
    fn new(ids: &Ids, model: &str, created_at: u64) -> Self {
        Self {
            id: ids.response(),
            model: model.to_owned(),
            created_at,
        }
    }
}

impl Writer {
    pub(super) fn new(context: Context) -> Self {
        Self {
            assembly: Assembly::new(Ids::new("", &context.id)),
            context,
            sequence: 0,
            head: None,
            usage: Usage::default(),
            ending: None,
            held: 0,
            over: false,
        }
    }

    fn begin(&mut self, id: &str, model: &str, created: Option<u64>, out: &mut Vec<u8>) {
        if self.head.is_some() {
            return;
        }
        let ids = Ids::new(id, &self.context.id);
        self.head = Some(Head::new(&ids, model, created.unwrap_or(self.context.now_unix)));
        self.assembly = Assembly::new(ids);
        let ending = Ending::with(Status::InProgress);
        self.lifecycle("response.created", ending, None, &[], out);
        self.lifecycle("response.in_progress", ending, None, &[], out);
    }

    /// Writes an event that holds the response itself.
    fn lifecycle(
        &mut self,
        kind: &'static str,
        ending: Ending,
        error: Option<Failure<'_>>,
        output: &[Item],
        out: &mut Vec<u8>,
    ) {
        let made;
        let head = if let Some(head) = &self.head {
            head
        } else {
            made = Head::new(&Ids::new("", &self.context.id), "", self.context.now_unix);
            &made
        };
        let frame = Frame {
            id: &head.id,
            created_at: head.created_at,
            model: &head.model,
            ending,
            error,
            output,
            usage: &self.usage,
        };
        let step = Step {
            response: Some(frame.response(&self.context.request)),
            ..Step::default()
        };
        let mut log = Log {
            sequence: &mut self.sequence,
            out,
        };
        log.emit(kind, step);
    }

    fn part(&mut self, event: &Event, out: &mut Vec<u8>) {
        let mut log = Log {
            sequence: &mut self.sequence,
            out,
        };
        let log = &mut log;
        let assembly = &mut self.assembly;
        // The dialect asks for one answer, so there is never another.
        match event {
            Event::PartStart { choice: 0, part, start } => assembly.start(*part, start, log),
            Event::Text {
                choice: 0,
                part,
                text,
                logprobs,
            } => assembly.text(*part, text, logprobs.as_ref(), log),
            Event::Thinking { choice: 0, part, text } => assembly.thinking(*part, text, log),
            Event::Signature {
                choice: 0,
                part,
                signature,
            } => assembly.signature(*part, signature, log),
            Event::Refusal { choice: 0, part, text } => assembly.refusal(*part, text, log),
            Event::Arguments { choice: 0, part, json } => assembly.arguments(*part, json, log),
            Event::Citation {
                choice: 0,
                part,
                citation,
            } => assembly.citation(*part, citation, log),
            Event::PartEnd { choice: 0, part } => assembly.end(*part, log),
            _ => {}
        }
    }

    /// Ends the items as soon as it is known how; the response itself waits for its usage.
    fn finish(&mut self, finish: &Finish, out: &mut Vec<u8>) -> Ending {
        if let Some(ending) = self.ending {
            return ending;
        }
        let ending = Ending::of(finish, self.assembly.refuses());
        let mut log = Log {
            sequence: &mut self.sequence,
            out,
        };
        self.assembly.finish(ending, &mut log);
        self.ending = Some(ending);
        ending
    }

    fn complete(&mut self, out: &mut Vec<u8>) {
        let ending = self.finish(&Finish::Stop, out);
        self.over = true;
        let output = self.take_output();
        let kind = if ending.incomplete.is_some() {
            "response.incomplete"
        } else {
            "response.completed"
        };
        self.lifecycle(kind, ending, None, &output, out);
    }

    fn fail(&mut self, error: &StreamError, out: &mut Vec<u8>) {
        self.over = true;
        let failure = Failure {
            code: failure_code(error.kind),
            message: &error.message,
        };
        let mut log = Log {
            sequence: &mut self.sequence,
            out,
        };
        let code = error.kind.code().unwrap_or(failure.code);
        log.error(error.kind.error_type(), code, &error.message);
        let output = self.take_output();
        let ending = Ending::with(Status::Failed);
        self.lifecycle("response.failed", ending, Some(failure), &output, out);
    }

    fn take_output(&mut self) -> Vec<Item> {
        let nothing = Assembly::new(Ids::new("", ""));
        std::mem::replace(&mut self.assembly, nothing).into_items()
    }
}

/// How much of an event is kept.
fn weight(event: &Event) -> usize {
    match event {
        Event::Text { text, logprobs, .. } => text.len() + logprobs.as_ref().map_or(0, |list| list.get().len()),
        Event::Thinking { text, .. } | Event::Refusal { text, .. } => text.len(),
        Event::Arguments { json, .. } => json.len(),
        Event::Signature { signature, .. } => signature.len(),
        // Parts and sources are small; counting each keeps an endless row of them in bounds.
        Event::PartStart { .. } | Event::Citation { .. } => 256,
        _ => 0,
    }
}

impl StreamWriter for Writer {
    fn write(&mut self, event: &Event, out: &mut Vec<u8>) {
        if self.over {
            return;
        }
        self.held = self.held.saturating_add(weight(event));
        if self.held > LARGEST_ANSWER {
            let error = StreamError {
                kind: ErrorKind::BadUpstream,
                message: "the provider's answer is too large".to_owned(),
            };
            self.fail(&error, out);
            return;
        }
        match event {
            Event::Start { id, model, created } => self.begin(id, model, *created, out),
            Event::Usage(usage) => self.usage = *usage,
            Event::Finish { choice: 0, finish } => {
                self.finish(finish, out);
            }
            Event::Error(error) => self.fail(error, out),
            Event::End => self.complete(out),
            other => self.part(other, out),
        }
    }
}

//! A stream on its way from a provider's wire to a client's dialect.

use crate::conversation::{Event, PartStart, StreamError};
use crate::dialect::{StreamReader, StreamWriter};
use crate::{Usage, tokens};

/// Translates a stream piece by piece.
#[derive(Debug)]
pub struct StreamTranslation {
    reader: Box<dyn StreamReader>,
    writer: Box<dyn StreamWriter>,
    /// Kept from piece to piece for its memory alone.
    events: Vec<Event>,
    over: bool,
}

/// What a piece of a stream has told, for those who count.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Progress {
    /// Tokens of generated text, thoughts, refusals and calls, estimated. 0 when there was nothing of these.
    pub tokens: u64,
    /// The newest counts of the provider. They are totals.
    pub usage: Option<Usage>,
    /// One of the answers has ended with its reason.
    pub finished: bool,
    /// The provider gave up, or broke off. Nothing comes any more.
    pub error: bool,
    /// The stream is complete. Nothing comes any more.
    pub ended: bool,
}

impl StreamTranslation {
    pub(super) fn new(reader: Box<dyn StreamReader>, writer: Box<dyn StreamWriter>) -> Self {
        Self {
            reader,
            writer,
            events: Vec::new(),
            over: false,
        }
    }

    /// Takes a piece of the provider's body, cut anywhere, and appends what the client is to read.
    pub fn push(&mut self, piece: &[u8], out: &mut Vec<u8>) -> Progress {
        if !self.over {
            self.reader.push(piece, &mut self.events);
        }
        self.tell(out)
    }

    /// The provider's body is over. If it was cut, the client is told by an error event.
    pub fn finish(&mut self, out: &mut Vec<u8>) -> Progress {
        if !self.over {
            self.reader.finish(&mut self.events);
        }
        self.tell(out)
    }

    /// Ends the stream with an error of the gateway's own, such as a timeout, unless it is over.
    pub fn fail(&mut self, error: StreamError, out: &mut Vec<u8>) -> Progress {
        if !self.over {
            self.events.push(Event::Error(error));
        }
        self.tell(out)
    }

    /// Whether nothing comes any more: the stream was complete, or an error was told.
    pub const fn is_over(&self) -> bool {
        self.over
    }

    fn tell(&mut self, out: &mut Vec<u8>) -> Progress {
        let mut progress = Progress::default();
        for event in &self.events {
            progress.note(event);
            self.writer.write(event, out);
        }
        self.events.clear();
        self.over |= progress.error || progress.ended;
        progress
    }
}

impl Progress {
    fn note(&mut self, event: &Event) {
        match event {
            Event::Text { text, .. } | Event::Thinking { text, .. } | Event::Refusal { text, .. } => {
                self.tokens += tokens::estimate(text);
            }
            Event::Arguments { json, .. } => self.tokens += tokens::estimate(json),
            Event::PartStart {
                start: PartStart::ToolCall { name, .. },
                ..
            } => self.tokens += tokens::estimate(name),
            Event::Usage(usage) => self.usage = Some(*usage),
            Event::Finish { .. } => self.finished = true,
            Event::Error(_) => self.error = true,
            Event::End => self.ended = true,
            Event::Start { .. }
            | Event::PartStart { .. }
            | Event::PartEnd { .. }
            | Event::Signature { .. }
            | Event::Citation { .. } => {}
        }
    }
}

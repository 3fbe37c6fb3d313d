//! A stream as a sequence of events, token by token.

use std::collections::VecDeque;

use bytes::Bytes;

use crate::answer::{Answer, Block, Cursor, Kind};

/// Events that are due.
pub(super) type Events = VecDeque<Bytes>;

/// Where a token stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct At {
    /// Which of the answers.
    pub(super) choice: u64,
    /// Which block of it.
    pub(super) block: usize,
    /// How many calls stand before it in that answer.
    pub(super) call: usize,
}

/// Writes the events of one wire.
pub(super) trait Writer: Send {
    /// The answer begins.
    fn start(&mut self, answer: &Answer, out: &mut Events);
    /// A block begins.
    fn open(&mut self, at: At, block: &Block, out: &mut Events);
    /// The next token of a block, in two pieces that belong together.
    fn token(&mut self, at: At, block: &Block, token: (&str, &str), out: &mut Events);
    /// A block is complete.
    fn close(&mut self, at: At, block: &Block, out: &mut Events);
    /// The answer is complete.
    fn end(&mut self, answer: &Answer, out: &mut Events);
    /// The error that a fault puts into the middle.
    fn error(&self) -> Bytes;
    /// Something in the middle that is not what the wire promises.
    fn broken(&self) -> Bytes;
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Stage {
    /// Waits for the first token; the head of the stream goes out with it.
    Start,
    /// Sends what is due, then waits for the next token.
    Tokens,
    /// Waits for the next token.
    Wait,
    /// Sends what is left.
    Tail,
}

/// Where one of the answers stands.
struct Lane {
    block: usize,
    call: usize,
    /// Where in the block; `None` before it begins.
    cursor: Option<Cursor>,
}

/// A stream, event by event.
pub(super) struct Script {
    answer: Answer,
    writer: Box<dyn Writer>,
    lanes: Vec<Lane>,
    events: Events,
    sent: u64,
    stage: Stage,
}

impl Script {
    pub(super) fn new(answer: Answer, writer: Box<dyn Writer>) -> Self {
        let lane = || Lane {
            block: 0,
            call: 0,
            cursor: None,
        };
        Self {
            lanes: answer.choices.iter().map(|_| lane()).collect(),
            writer,
            answer,
            events: Events::new(),
            sent: 0,
            stage: Stage::Start,
        }
    }

    /// Tokens sent so far, of each choice.
    pub(super) const fn position(&self) -> u64 {
        self.sent
    }

    /// Whether nothing goes on before the next token is due.
    pub(super) const fn waits_for_token(&self) -> bool {
        matches!(self.stage, Stage::Start | Stage::Wait)
    }

    /// The next token has become due.
    pub(super) fn token_is_due(&mut self) {
        if self.stage == Stage::Start {
            self.writer.start(&self.answer, &mut self.events);
        }
        for choice in 0..self.lanes.len() {
            self.step(choice);
        }
        self.stage = Stage::Tokens;
    }

    /// The next event; `None` at the end, and where nothing can be told before the next token.
    pub(super) fn next_event(&mut self) -> Option<Bytes> {
        let event = self.events.pop_front();
        self.settle();
        event.or_else(|| self.events.pop_front())
    }

    /// A token counts as sent when its last event was taken. Faults strike in between tokens.
    fn settle(&mut self) {
        if self.stage != Stage::Tokens || !self.events.is_empty() {
            return;
        }
        self.sent += 1;
        if self.is_over() {
            self.writer.end(&self.answer, &mut self.events);
            self.stage = Stage::Tail;
        } else {
            self.stage = Stage::Wait;
        }
    }

    fn is_over(&self) -> bool {
        let mut lanes = self.lanes.iter().zip(&self.answer.choices);
        lanes.all(|(lane, choice)| lane.block >= choice.blocks.len())
    }

    /// The error event of this wire.
    pub(super) fn error_event(&self) -> Bytes {
        self.writer.error()
    }

    /// An event that is none.
    pub(super) fn broken_event(&self) -> Bytes {
        self.writer.broken()
    }

    /// One token of a choice, with the begin and the end of its block.
    fn step(&mut self, choice: usize) {
        let (Some(lane), Some(blocks)) = (
            self.lanes.get_mut(choice),
            self.answer.choices.get(choice).map(|choice| &choice.blocks),
        ) else {
            return;
        };
        let Some(block) = blocks.get(lane.block) else { return };
        let at = At {
            choice: choice as u64,
            block: lane.block,
            call: lane.call,
        };
        let cursor = lane.cursor.get_or_insert_with(|| {
            self.writer.open(at, block, &mut self.events);
            block.cursor()
        });
        if let Some(token) = block.next(cursor) {
            self.writer.token(at, block, token, &mut self.events);
        }
        if cursor.is_at_end(block) {
            self.writer.close(at, block, &mut self.events);
            lane.block += 1;
            lane.call += usize::from(matches!(block.kind, Kind::Call { .. }));
            lane.cursor = None;
        }
    }
}

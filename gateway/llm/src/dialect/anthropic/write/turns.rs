//! The conversation as turns of the user and the assistant, with the instructions apart.
//!
//! The dialect wants roles that alternate, all results of parallel calls in the one turn behind them and before any
//! text, and instructions in front. Instructions that a client gives later (a message of the system or the developer in
//! the middle) have a place of their own only with models that take a message of the system behind a user's turn; there
//! they stand at the end of the turn in which they came, before the model speaks. For other models they are reported,
//! since they cannot be said where they were said; where the route wants to go on regardless, they are appended to the
//! instructions in front. They are never told as a user's words, which would lend a user the operator's voice.

use serde::Serialize;

use super::content;
use crate::conversation::{Message, Report, Role};
use crate::dialect::anthropic::blocks::Block;
use crate::dialect::anthropic::model::Abilities;

/// A message.
#[derive(Debug, Serialize)]
pub(super) struct Turn<'a> {
    role: Speaker,
    content: Vec<Block<'a>>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
enum Speaker {
    User,
    Assistant,
    System,
}

/// The instructions in front, and the turns.
#[derive(Debug, Default)]
pub(super) struct Conversation<'a> {
    pub(super) system: Vec<Block<'a>>,
    pub(super) turns: Vec<Turn<'a>>,
}

/// Instructions that came after the first turn, until their place is known.
#[derive(Debug, Default)]
struct Late<'a> {
    blocks: Vec<Block<'a>>,
    /// Where the client wrote them.
    places: Vec<&'a str>,
}

/// Writes all messages.
pub(super) fn write<'a>(messages: &'a [Message], abilities: &Abilities, report: &mut Report) -> Conversation<'a> {
    let mut conversation = Conversation::default();
    let mut late = Late::default();
    for message in messages {
        if let Some(name) = &message.name {
            report.add(format!("{}.{}", message.at, name.field));
        }
        let blocks = content::blocks(message, report);
        if blocks.is_empty() {
            continue;
        }
        let speaker = match message.role {
            Role::User => Speaker::User,
            Role::Assistant => Speaker::Assistant,
            Role::System | Role::Developer if conversation.turns.is_empty() => {
                conversation.system.extend(blocks);
                continue;
            }
            Role::System | Role::Developer => {
                late.blocks.extend(blocks);
                late.places.push(&message.at);
                continue;
            }
        };
        if speaker == Speaker::Assistant {
            conversation.place(&mut late, abilities, report);
        }
        match conversation.turns.last_mut() {
            Some(last) if last.role == speaker => last.content.extend(blocks),
            _ => conversation.turns.push(Turn {
                role: speaker,
                content: blocks,
            }),
        }
    }
    conversation.place(&mut late, abilities, report);
    for turn in &mut conversation.turns {
        if turn.role == Speaker::User {
            // Stable: results keep their order, and so does the rest.
            turn.content
                .sort_by_key(|block| !matches!(block, Block::ToolResult { .. }));
        }
    }
    conversation
}

impl<'a> Conversation<'a> {
    /// Whether results of calls come last, and no thought stands before the calls: its client has lost it, or the calls
    /// are another model's.
    pub(super) fn goes_on_without_thought(&self) -> bool {
        let [.., calls, results] = self.turns.as_slice() else {
            return false;
        };
        matches!(results.content.first(), Some(Block::ToolResult { .. }))
            && !matches!(
                calls.content.first(),
                Some(Block::Thinking { .. } | Block::RedactedThinking { .. })
            )
    }

    fn place(&mut self, late: &mut Late<'a>, abilities: &Abilities, report: &mut Report) {
        let Late { blocks, places } = std::mem::take(late);
        if blocks.is_empty() {
            return;
        }
        let behind_user = self.turns.last().is_some_and(|turn| turn.role == Speaker::User);
        if abilities.late_instructions && behind_user {
            self.turns.push(Turn {
                role: Speaker::System,
                content: blocks,
            });
            return;
        }
        for place in places {
            report.add(place);
        }
        self.system.extend(blocks);
    }
}

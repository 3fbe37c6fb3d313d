//! An answer that comes in pieces.

use super::{Citation, Finish, Json};
use crate::{ErrorKind, Usage};

/// One step of a streamed answer.
///
/// Readers of streams guarantee, whatever the provider sent: `Start` comes first and once; each part of a choice has
/// an index that counts up from 0 and is started before its deltas and ended before the next part of a text or thought
/// begins (parts of tool calls may overlap); `Finish` comes once for each choice; `Usage` may come several times, the
/// last one counts, and counts in it are totals, never differences; `End` comes last and only if the stream was
/// complete. After `Error` nothing comes.
#[derive(Debug, Clone)]
pub enum Event {
    /// The answer begins.
    Start {
        /// See [`super::Answer::id`].
        id: String,
        /// The model that answers, by the provider's name.
        model: String,
        /// Unix time in seconds, where the provider says it.
        created: Option<u64>,
    },
    /// A part begins.
    PartStart {
        /// Which of the answers.
        choice: u32,
        /// Which part of it.
        part: u32,
        /// Its kind.
        start: PartStart,
    },
    /// More text of a text part.
    Text {
        /// Which of the answers.
        choice: u32,
        /// Which part of it.
        part: u32,
        /// The text.
        text: String,
        /// Log probabilities of its tokens in OpenAI's form.
        logprobs: Option<Json>,
    },
    /// More of a thought.
    Thinking {
        /// Which of the answers.
        choice: u32,
        /// Which part of it.
        part: u32,
        /// The text.
        text: String,
    },
    /// The proof of a thought, whole.
    Signature {
        /// Which of the answers.
        choice: u32,
        /// Which part of it.
        part: u32,
        /// The proof.
        signature: String,
    },
    /// More of a refusal.
    Refusal {
        /// Which of the answers.
        choice: u32,
        /// Which part of it.
        part: u32,
        /// The text.
        text: String,
    },
    /// More of a call's arguments, as JSON text.
    Arguments {
        /// Which of the answers.
        choice: u32,
        /// Which part of it.
        part: u32,
        /// The text.
        json: String,
    },
    /// A source of a text part.
    Citation {
        /// Which of the answers.
        choice: u32,
        /// Which part of it.
        part: u32,
        /// The source.
        citation: Citation,
    },
    /// A part is complete.
    PartEnd {
        /// Which of the answers.
        choice: u32,
        /// Which part of it.
        part: u32,
    },
    /// One of the answers is complete.
    Finish {
        /// Which of the answers.
        choice: u32,
        /// Why it ended.
        finish: Finish,
    },
    /// Tokens so far.
    Usage(Usage),
    /// The provider gave up.
    Error(StreamError),
    /// The stream is complete.
    End,
}

/// The kind of a part that begins.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum PartStart {
    /// Text.
    Text,
    /// A thought.
    Thinking,
    /// A thought that only its provider can read, whole.
    RedactedThinking {
        /// Encrypted.
        data: String,
    },
    /// A refusal.
    Refusal,
    /// A call of a function.
    ToolCall {
        /// Ties the result to it.
        id: String,
        /// Which function.
        name: String,
        /// The provider's proof of the thought behind the call.
        signature: Option<String>,
    },
}

/// An error in the middle of a stream.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StreamError {
    /// Its class.
    pub kind: ErrorKind,
    /// What the provider says.
    pub message: String,
}

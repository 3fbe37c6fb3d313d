//! An answer that is complete.

use super::{Json, Part};
use crate::Usage;

/// What a provider answered.
#[derive(Debug, Clone, Default)]
pub struct Answer {
    /// The provider's id for it; a writer makes the prefix of its own dialect where clients look at it.
    pub id: String,
    /// The model that answered, by the provider's name.
    pub model: String,
    /// Unix time in seconds, where the provider says it.
    pub created: Option<u64>,
    /// The answers; more than one only if more were asked for.
    pub choices: Vec<Choice>,
    /// Tokens.
    pub usage: Usage,
}

/// One of the answers.
#[derive(Debug, Clone, Default)]
pub struct Choice {
    /// What was said, in order.
    pub parts: Vec<Part>,
    /// Why it ended.
    pub finish: Finish,
    /// Log probabilities in OpenAI's form, where they were asked for.
    pub logprobs: Option<Json>,
}

/// Why an answer ended.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub enum Finish {
    /// The model was done.
    #[default]
    Stop,
    /// A stop text was met, which is not part of the answer; which one, where the provider says it.
    StopSequence(Option<String>),
    /// The limit on tokens was met.
    Length,
    /// The context is full.
    ContextFull,
    /// The model waits for the results of its calls.
    ToolCalls,
    /// A filter of the provider cut in.
    ContentFilter,
    /// The model refused.
    Refusal,
    /// The provider pauses a long turn; the client sends it back to go on.
    Pause,
}

//! What wraps messages and functions, as OpenAI's cookbook publishes it ("How to count tokens with tiktoken").

use crate::encoding::{Encoding, base_name};

/// What a message has beside its texts.
pub(crate) const MESSAGE: u64 = 3;
/// What a name has beside its text.
pub(crate) const NAME: u64 = 1;
/// What the answer is primed with.
pub(crate) const PRIMING: u64 = 3;

/// What functions have beside their texts.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Functions {
    /// Each function.
    pub(crate) function: u64,
    /// The parameters of a function that has any.
    pub(crate) parameters: u64,
    /// Each parameter.
    pub(crate) parameter: u64,
    /// Each value of an enumeration. The enumeration itself takes as many off once.
    pub(crate) value: u64,
    /// All functions together.
    pub(crate) all: u64,
}

impl Functions {
    pub(crate) const fn of(encoding: Encoding) -> Self {
        Self {
            function: match encoding {
                Encoding::Cl100k => 10,
                Encoding::O200k => 7,
            },
            parameters: 3,
            parameter: 3,
            value: 3,
            all: 12,
        }
    }
}

/// Whether the cookbook's figures were checked against OpenAI's own counts for a model.
pub(crate) fn is_published(model: &str) -> bool {
    let name = base_name(model);
    let known = ["gpt-4o", "gpt-3.5-turbo", "gpt-35-turbo", "gpt-4"];
    // Those that hear and speak or search are other models with the same beginning.
    let special = ["audio", "realtime", "search", "transcribe", "tts", "vision"];
    known.iter().any(|known| {
        name.strip_prefix(known)
            .is_some_and(|rest| rest.is_empty() || rest.starts_with('-'))
    }) && !special.iter().any(|special| name.contains(special))
}

//! What `encrypted_content` of reasoning items holds.
//!
//! Clients pass it back as they got it, and it is the one place of the dialect that keeps a provider's proof. Ours says
//! which proof it is, for three reasons: a signed thought without text is not a redacted one; a proof may belong to a
//! call, which has no place for it; and OpenAI's own content, which no other provider can read, must not be taken for a
//! signature when a conversation moves.

/// A provider's proof.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Sealed<'a> {
    /// The signature of a thought that stands beside it in clear.
    Thought(&'a str),
    /// A thought that only its provider can read.
    Redacted(&'a str),
    /// The signature of the call that follows.
    Call(&'a str),
}

const THOUGHT: &str = "tokenweir:thought:";
const REDACTED: &str = "tokenweir:redacted:";
const CALL: &str = "tokenweir:call:";

impl<'a> Sealed<'a> {
    /// The text for the client.
    pub(super) fn seal(self) -> String {
        match self {
            Self::Thought(proof) => format!("{THOUGHT}{proof}"),
            Self::Redacted(data) => format!("{REDACTED}{data}"),
            Self::Call(proof) => format!("{CALL}{proof}"),
        }
    }

    /// Reads what a client passed back; `None` for content that did not come from here.
    pub(super) fn open(text: &'a str) -> Option<Self> {
        let thought = text.strip_prefix(THOUGHT).map(Self::Thought);
        thought
            .or_else(|| text.strip_prefix(REDACTED).map(Self::Redacted))
            .or_else(|| text.strip_prefix(CALL).map(Self::Call))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_sealed_is_opened_and_nothing_else() {
        for sealed in [Sealed::Thought("a"), Sealed::Redacted("b:c"), Sealed::Call("")] {
            assert_eq!(Sealed::open(&sealed.seal()), Some(sealed));
        }
        for foreign in ["", "gAAAAABo", "tokenweir:", "thought:x"] {
            assert_eq!(Sealed::open(foreign), None, "{foreign}");
        }
    }
}

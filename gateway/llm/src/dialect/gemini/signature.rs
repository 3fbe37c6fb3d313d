//! Signatures of thoughts, told apart from those of other providers.
//!
//! A conversation may move from one provider to another, and a signature that another one gave is refused with an error.
//! So the reader marks those of Gemini, and writers leave out what is not theirs: to any other provider a signed thought is
//! of no use. Signatures of calls go as they are, since nobody else gives any, and clients of Google's own endpoint for
//! Chat Completions have them without a mark.

/// Stands before each signature of a thought that Gemini gave, in the shared terms and thereby at clients.
const MARK: &str = "gemini:";

/// Google's own value for a call that another model made, which has no signature. Gemini 3 refuses calls without one.
pub(super) const OF_ANOTHER_MODEL: &str = "skip_thought_signature_validator";

/// The signature in the shared terms.
pub(super) fn mark(signature: &str) -> String {
    format!("{MARK}{signature}")
}

/// The signature as Gemini gave it, if it did.
pub(super) fn own(signature: &str) -> Option<&str> {
    signature.strip_prefix(MARK)
}

/// Whether Gemini gave a signature, so that no other provider takes it.
pub fn is_of_gemini(signature: &str) -> bool {
    signature.starts_with(MARK)
}

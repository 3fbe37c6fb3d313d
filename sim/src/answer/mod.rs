//! What an answer says, whatever wire it is written in.

mod compose;
mod directive;
mod instance;
mod vector;
mod words;

pub(crate) use compose::choices;
pub(crate) use directive::Directives;
pub(crate) use vector::vector;
pub(crate) use words::Words;

use crate::ask::Echo;
use crate::behaviour::{Random, hash};

/// Everything that a wire needs to write an answer.
#[derive(Debug)]
pub(crate) struct Answer {
    /// Hash of seed and request.
    pub(crate) hash: u64,
    /// Unix time in seconds.
    pub(crate) created: u64,
    /// The model's name as a JSON string, quotes included.
    pub(crate) model: String,
    pub(crate) choices: Vec<Choice>,
    pub(crate) usage: Usage,
    /// How often usage is told where the wire tells it at the end: once, but for faults.
    pub(crate) tell_usage: u8,
    /// A stream ends with the wire's mark for it.
    pub(crate) done: bool,
    /// How many alternatives of each token are told, where that was asked for.
    pub(crate) logprobs: Option<u64>,
    pub(crate) echo: Option<Box<Echo>>,
}

impl Answer {
    /// 24 hex digits for the identifier.
    pub(crate) fn id(&self) -> String {
        id(self.hash ^ 0x1D)
    }
}

/// 24 hex digits.
pub(crate) fn id(seed: u64) -> String {
    let mut random = Random::new(seed);
    format!("{:016x}{:08x}", random.next(), random.next() >> 32)
}

/// Tokens of a request. Wires that count otherwise convert.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct Usage {
    /// All that the model read, cached or not.
    pub(crate) prompt: u64,
    /// Of these, read from the prompt cache.
    pub(crate) cached: u64,
    /// Of these, written into the prompt cache.
    pub(crate) written: u64,
    /// All that the model wrote, thoughts included.
    pub(crate) output: u64,
    /// Of these, thoughts.
    pub(crate) thoughts: u64,
}

/// One of the answers to a request.
#[derive(Debug)]
pub(crate) struct Choice {
    /// Never empty.
    pub(crate) blocks: Vec<Block>,
    pub(crate) finish: Finish,
}

impl Choice {
    pub(crate) fn tokens(&self) -> u64 {
        self.blocks.iter().map(|block| block.tokens).sum()
    }

    /// Tokens of thoughts.
    pub(crate) fn thoughts(&self) -> u64 {
        let thoughts = self
            .blocks
            .iter()
            .filter(|block| matches!(block.kind, Kind::Thinking | Kind::Redacted));
        thoughts.map(|block| block.tokens).sum()
    }

    /// The text of all blocks of a kind.
    pub(crate) fn text_of(&self, wanted: impl Fn(&Kind) -> bool) -> Option<String> {
        let mut blocks = self.blocks.iter().filter(|block| wanted(&block.kind)).peekable();
        blocks.peek()?;
        Some(blocks.map(Block::text).collect())
    }
}

/// Why an answer ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Finish {
    /// The model was done.
    Stop,
    /// At a text that the request names.
    Sequence(String),
    /// At the request's limit.
    Length,
    /// The model waits for its tools.
    Calls,
    /// The model refused.
    Refusal,
    /// A filter cut in.
    Filter,
}

/// A part of an answer.
#[derive(Debug)]
pub(crate) struct Block {
    pub(crate) kind: Kind,
    said: Said,
    pub(crate) tokens: u64,
}

/// What a part of an answer is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Kind {
    Text,
    Refusal,
    Thinking,
    /// A thought that is only shown encrypted; it is written as a whole.
    Redacted,
    /// A call of a function; its text are the arguments. `id` comes without the prefix of a wire.
    Call {
        id: String,
        name: String,
    },
}

#[derive(Debug)]
enum Said {
    Words(Words),
    /// Token by token.
    Pieces(Vec<Box<str>>),
}

impl Block {
    pub(crate) const fn words(kind: Kind, seed: u64, tokens: u64) -> Self {
        Self {
            kind,
            said: Said::Words(Words::new(seed)),
            tokens,
        }
    }

    /// A given text; what is shorter than a token counts as one.
    pub(crate) fn given(kind: Kind, text: &str) -> Self {
        let pieces = pieces(text);
        Self {
            kind,
            tokens: pieces.len() as u64,
            said: Said::Pieces(pieces),
        }
    }

    /// Where reading begins.
    pub(crate) fn cursor(&self) -> Cursor {
        Cursor {
            at: 0,
            words: match &self.said {
                Said::Words(words) => *words,
                Said::Pieces(_) => Words::new(0),
            },
        }
    }

    /// The next token, as two pieces that belong together; `None` behind the last one.
    pub(crate) fn next(&self, cursor: &mut Cursor) -> Option<(&str, &str)> {
        if cursor.at >= self.tokens {
            return None;
        }
        let at = usize::try_from(cursor.at).unwrap_or(usize::MAX);
        cursor.at += 1;
        match &self.said {
            Said::Words(_) => Some(cursor.words.next()),
            Said::Pieces(pieces) => pieces.get(at).map(|piece| ("", &**piece)),
        }
    }

    pub(crate) fn text(&self) -> String {
        match &self.said {
            Said::Words(words) => words.text(self.tokens),
            Said::Pieces(pieces) => {
                let shown = usize::try_from(self.tokens).unwrap_or(usize::MAX).min(pieces.len());
                pieces[..shown].concat()
            }
        }
    }
}

/// A place in a block.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Cursor {
    at: u64,
    words: Words,
}

impl Cursor {
    pub(crate) const fn is_at_end(&self, block: &Block) -> bool {
        self.at >= block.tokens
    }
}

/// Cuts a text into tokens: a word with the space before it, or at most eight characters. At least one piece.
fn pieces(text: &str) -> Vec<Box<str>> {
    let mut pieces = Vec::new();
    let (mut start, mut length) = (0, 0);
    for (at, c) in text.char_indices() {
        if length > 0 && (length >= 8 || c == ' ') {
            pieces.push(text[start..at].into());
            (start, length) = (at, 0);
        }
        length += 1;
    }
    pieces.push(text[start..].into());
    pieces
}

/// The proof that a thought is this simulator's. It stands for the encrypted proof of a real provider: whoever changes
/// the thought, or loses the proof, is refused when the thought comes back.
pub(crate) fn signature(thought: &str) -> String {
    use base64::Engine as _;
    let (one, two) = (hash(0x51, thought.as_bytes()), hash(0x52, thought.as_bytes()));
    let bytes: Vec<u8> = [*b"simproof", one.to_be_bytes(), two.to_be_bytes()].concat();
    base64::engine::general_purpose::STANDARD.encode(bytes)
}

/// What stands for an encrypted thought.
pub(crate) fn redacted(thought: &str) -> String {
    use base64::Engine as _;
    let thought = format!("{}{thought}", signature(thought));
    base64::engine::general_purpose::STANDARD.encode(thought)
}

/// Whether an encrypted thought is this simulator's.
pub(crate) fn is_own_redacted(data: &str) -> bool {
    use base64::Engine as _;
    let thought = base64::engine::general_purpose::STANDARD.decode(data).ok();
    let thought = thought.and_then(|bytes| String::from_utf8(bytes).ok());
    // The proof has a fixed length.
    let parts = thought
        .as_deref()
        .and_then(|text| text.split_at_checked(signature("").len()));
    parts.is_some_and(|(proof, thought)| proof == signature(thought))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pieces_of_a_text_make_the_text() {
        for text in [
            "",
            "a",
            "two words",
            "  ",
            "{\"a\":\"bcdefghijkl\"}",
            "日本語日本語日本語",
            " x",
        ] {
            assert_eq!(pieces(text).concat(), text);
            assert!(!pieces(text).is_empty());
        }
        assert_eq!(pieces("two words").len(), 2);
    }

    #[test]
    fn proofs_belong_to_their_thought_alone() {
        assert_ne!(signature("a"), signature("b"));
        assert!(is_own_redacted(&redacted("a thought")));
        assert!(!is_own_redacted("c29tZXRoaW5n"));
        assert!(!is_own_redacted(""));
    }
}

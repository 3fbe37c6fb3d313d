//! What an answer says, and its stream as a sequence of events.

use bytes::{Bytes, BytesMut};

use super::{anthropic, openai};
use crate::behaviour::Random;

/// Each word is one token by the estimate of `tokenweir_llm::tokens`, at the start of a text and behind a space.
const WORDS: [&str; 64] = [
    "the", "and", "of", "to", "in", "is", "that", "it", "was", "for", "on", "are", "with", "as", "his", "they", "be",
    "at", "one", "have", "this", "from", "or", "had", "by", "hot", "word", "but", "what", "some", "we", "can", "out",
    "other", "were", "all", "there", "when", "up", "use", "your", "how", "said", "an", "each", "she", "which", "do",
    "their", "time", "if", "will", "way", "about", "many", "then", "them", "write", "would", "like", "so", "these",
    "her", "long",
];

/// The wire an answer is written in.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Dialect {
    Chat,
    Text,
    Anthropic,
}

/// Everything that determines an answer.
#[derive(Debug)]
pub(super) struct Answer {
    pub(super) dialect: Dialect,
    /// Hash of seed and request.
    pub(super) hash: u64,
    pub(super) created: u64,
    /// The model's name as a JSON string, quotes included.
    pub(super) model: String,
    pub(super) prompt_tokens: u64,
    /// Tokens of each choice.
    pub(super) tokens: u64,
    pub(super) choices: u64,
    /// The answer was cut by the client's limit.
    pub(super) cut: bool,
    /// A stream's usage chunk, or the `usage` of a whole answer.
    pub(super) usage: bool,
    /// A stream ends with `[DONE]`.
    pub(super) done: bool,
}

impl Answer {
    /// 24 hex digits for the identifier.
    pub(super) fn id(&self) -> String {
        let mut random = Random::new(self.hash ^ 0x1D);
        format!("{:016x}{:08x}", random.next(), random.next() >> 32)
    }

    pub(super) const fn completion_tokens(&self) -> u64 {
        self.tokens.saturating_mul(self.choices)
    }

    fn words(&self, choice: u64) -> Words {
        Words {
            random: Random::new(self.hash ^ choice.wrapping_mul(0xA24B_AED4_963E_E407)),
            first: true,
        }
    }

    /// The text of a choice.
    pub(super) fn text(&self, choice: u64) -> String {
        let mut words = self.words(choice);
        let mut text = String::new();
        for _ in 0..self.tokens {
            let (space, word) = words.next();
            text.push_str(space);
            text.push_str(word);
        }
        text
    }
}

/// The words of one choice.
#[derive(Debug)]
struct Words {
    random: Random,
    first: bool,
}

impl Words {
    fn next(&mut self) -> (&'static str, &'static str) {
        let space = if std::mem::take(&mut self.first) { "" } else { " " };
        // The bound is the number of words, which fits any usize.
        let at = usize::try_from(self.random.below(WORDS.len() as u64)).unwrap_or(0);
        (space, WORDS[at])
    }
}

/// Where a stream stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Stage {
    /// Waits for the first token; the head of the stream goes out with it.
    Start,
    /// Sends the head, event by event.
    Head(u64),
    /// Waits for the next token.
    Wait,
    /// Sends the token of this choice.
    Token(u64),
    /// Sends the tail, event by event.
    Tail(u64),
}

/// A stream, event by event.
pub(super) struct Script {
    answer: Answer,
    writer: Writer,
    words: Vec<Words>,
    sent: u64,
    stage: Stage,
}

enum Writer {
    OpenAi(openai::ChunkWriter),
    /// Room for events to come.
    Anthropic(BytesMut),
}

impl Script {
    pub(super) fn new(answer: Answer) -> Self {
        Self {
            words: (0..answer.choices).map(|choice| answer.words(choice)).collect(),
            writer: match answer.dialect {
                Dialect::Chat | Dialect::Text => Writer::OpenAi(openai::ChunkWriter::new(&answer)),
                Dialect::Anthropic => Writer::Anthropic(BytesMut::new()),
            },
            answer,
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
        self.stage = match self.stage {
            Stage::Start => Stage::Head(0),
            _ => Stage::Token(0),
        };
    }

    /// The next event, `None` at the end. Not to be called while a token is waited for.
    pub(super) fn next_event(&mut self) -> Option<Bytes> {
        loop {
            match self.stage {
                Stage::Start | Stage::Wait => return None,
                Stage::Head(number) => {
                    if let Some(event) = self.head(number) {
                        self.stage = Stage::Head(number + 1);
                        return Some(event);
                    }
                    self.stage = Stage::Token(0);
                }
                Stage::Token(choice) => {
                    let event = self.token(choice);
                    self.stage = Stage::Token(choice + 1);
                    if choice + 1 >= self.answer.choices {
                        self.sent += 1;
                        self.stage = if self.sent < self.answer.tokens {
                            Stage::Wait
                        } else {
                            Stage::Tail(0)
                        };
                    }
                    return Some(event);
                }
                Stage::Tail(number) => {
                    self.stage = Stage::Tail(number + 1);
                    return self.tail(number);
                }
            }
        }
    }

    /// The error event of this dialect.
    pub(super) fn error_event(&self) -> Bytes {
        match self.writer {
            Writer::OpenAi(_) => openai::error_event(),
            Writer::Anthropic(_) => anthropic::error_event(),
        }
    }

    fn head(&mut self, number: u64) -> Option<Bytes> {
        match &mut self.writer {
            Writer::OpenAi(writer) => writer.head(&self.answer, number),
            Writer::Anthropic(_) => anthropic::head(&self.answer, number),
        }
    }

    fn token(&mut self, choice: u64) -> Bytes {
        let words = usize::try_from(choice)
            .ok()
            .and_then(|choice| self.words.get_mut(choice));
        let (space, word) = words.map_or(("", ""), Words::next);
        match &mut self.writer {
            Writer::OpenAi(writer) => writer.token(choice, space, word),
            Writer::Anthropic(buffer) => anthropic::token(buffer, space, word),
        }
    }

    fn tail(&mut self, number: u64) -> Option<Bytes> {
        match &mut self.writer {
            Writer::OpenAi(writer) => writer.tail(&self.answer, number),
            Writer::Anthropic(_) => anthropic::tail(&self.answer, number),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_estimate_of_a_text_is_the_number_of_its_tokens() {
        for tokens in 1..200 {
            let answer = Answer {
                dialect: Dialect::Chat,
                hash: tokens,
                created: 0,
                model: "\"m\"".into(),
                prompt_tokens: 1,
                tokens,
                choices: 1,
                cut: false,
                usage: true,
                done: true,
            };
            assert_eq!(tokenweir_llm::tokens::estimate(&answer.text(0)), tokens);
        }
    }
}

//! Words for answers.

use crate::behaviour::Random;

/// Each word is one token by the estimate of `tokenweir_llm::tokens`, at the start of a text and behind a space.
const WORDS: [&str; 64] = [
    "the", "and", "of", "to", "in", "is", "that", "it", "was", "for", "on", "are", "with", "as", "his", "they", "be",
    "at", "one", "have", "this", "from", "or", "had", "by", "hot", "word", "but", "what", "some", "we", "can", "out",
    "other", "were", "all", "there", "when", "up", "use", "your", "how", "said", "an", "each", "she", "which", "do",
    "their", "time", "if", "will", "way", "about", "many", "then", "them", "write", "would", "like", "so", "these",
    "her", "long",
];

/// An endless text, the same for the same seed.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Words {
    random: Random,
    first: bool,
}

impl Words {
    pub(crate) const fn new(seed: u64) -> Self {
        Self {
            random: Random::new(seed),
            first: true,
        }
    }

    /// The space before the next word, and the word.
    pub(crate) fn next(&mut self) -> (&'static str, &'static str) {
        let space = if std::mem::take(&mut self.first) { "" } else { " " };
        // The bound is the number of words, which fits any usize.
        let at = usize::try_from(self.random.below(WORDS.len() as u64)).unwrap_or(0);
        (space, WORDS[at])
    }

    /// The next so many words as one text.
    pub(crate) fn text(mut self, tokens: u64) -> String {
        let mut text = String::new();
        for _ in 0..tokens {
            let (space, word) = self.next();
            text.push_str(space);
            text.push_str(word);
        }
        text
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_estimate_of_a_text_is_the_number_of_its_tokens() {
        for tokens in 1..200 {
            assert_eq!(
                tokenweir_llm::tokens::estimate(&Words::new(tokens).text(tokens)),
                tokens
            );
        }
    }
}

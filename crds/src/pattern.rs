//! Regular expressions that users give, for the compiler that checks them and the gateway that runs them.

use regex::bytes::{Regex, RegexBuilder};

/// What the program of one expression may take, and each table made from it while it runs: much for any that somebody
/// writes to tell names apart, and little in a gateway that has hundreds.
const MOST_BYTES: usize = 256 * 1024;

/// A regular expression that a whole value must fit. Takes time linear in the value.
#[derive(Debug, Clone)]
pub struct Pattern(Regex);

/// Why a text is not a regular expression.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum PatternError {
    /// It does not parse, or uses what RE2 does not have.
    #[error("it is not a regular expression of RE2's kind: {0}")]
    Syntax(String),
    /// It is written in a way that cannot be bound to a whole value.
    #[error("it cannot be bound to a whole value; take out the comment at its end")]
    Unbound,
    /// It stands for a program that is too large.
    #[error("it is too large; use fewer or smaller repetitions")]
    TooLarge,
}

impl From<regex::Error> for PatternError {
    fn from(error: regex::Error) -> Self {
        match error {
            regex::Error::CompiledTooBig(_) => Self::TooLarge,
            other => {
                // The parser draws a picture of several lines; its last one says what is wrong.
                let told = other.to_string();
                let last = told.lines().last().unwrap_or_default().trim();
                Self::Syntax(last.trim_start_matches("error: ").to_owned())
            }
        }
    }
}

impl Pattern {
    /// Compiles an expression.
    pub fn new(text: &str) -> Result<Self, PatternError> {
        // Alone first: `a)|(b` would be whole only within the brackets.
        build(text)?;
        build(&format!(r"\A(?:{text})\z"))
            .map(Self)
            .map_err(|error| match error {
                regex::Error::CompiledTooBig(_) => PatternError::TooLarge,
                _ => PatternError::Unbound,
            })
    }

    /// Whether all of a value fits.
    pub fn fits(&self, value: &[u8]) -> bool {
        self.0.is_match(value)
    }
}

fn build(text: &str) -> Result<Regex, regex::Error> {
    RegexBuilder::new(text)
        .size_limit(MOST_BYTES)
        .dfa_size_limit(MOST_BYTES)
        .build()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_pattern_fits_whole_values_only() {
        let pattern = Pattern::new("red|blue-[0-9]+").unwrap();
        let fits = |value: &[u8]| pattern.fits(value);
        assert!(fits(b"red") && fits(b"blue-12"));
        assert!(!fits(b"reddish") && !fits(b"a red") && !fits(b"blue-") && !fits(b"red\n") && !fits(b""));
        assert!(Pattern::new("(?-u:.)+").unwrap().fits(b"\xff\x00"));
        assert!(Pattern::new("(?x) re d # a colour\n").unwrap().fits(b"red"));
    }

    #[test]
    fn what_is_no_expression_or_too_large_a_one_is_refused_with_the_reason() {
        let error = |text: &str| Pattern::new(text).unwrap_err().to_string();
        assert_eq!(
            error("(red"),
            "it is not a regular expression of RE2's kind: unclosed group"
        );
        assert!(error("(?=red)").contains("look-around"), "{}", error("(?=red)"));
        assert!(error("red)|(?:blue").contains("unopened group"));
        assert_eq!(error("(?x)red # to the end"), PatternError::Unbound.to_string());
        assert_eq!(error(r"(\w{100}){100}"), PatternError::TooLarge.to_string());
    }
}

//! How many tokens things in a prompt have. Text goes by the estimate of `tokenweir_llm::tokens`, all else by rules
//! that a test can compute.

use serde_json::value::RawValue;

/// Tokens that a chat format spends around each message, and once a prompt.
pub(super) const PER_MESSAGE: u64 = 4;
/// See [`PER_MESSAGE`].
pub(super) const PER_PROMPT: u64 = 3;
/// An image, whatever its size.
pub(super) const IMAGE: u64 = 765;
/// An image that is to be looked at with low detail.
pub(super) const IMAGE_LOW: u64 = 85;
/// A document, sound or film, whatever its size.
pub(super) const DOCUMENT: u64 = 1000;

/// Tokens of JSON: schemas, arguments, results.
pub(super) fn json(raw: &RawValue) -> u64 {
    tokenweir_llm::tokens::estimate(raw.get())
}

/// Tokens of a prompt of text completions or of an input of embeddings: a text, a list of texts, a list of token
/// numbers, or a list of such lists.
pub(super) fn texts(raw: &RawValue) -> u64 {
    if raw.get().starts_with('"') {
        return serde_json::from_str::<String>(raw.get()).map_or(0, |text| tokenweir_llm::tokens::estimate(&text));
    }
    let Ok(items) = serde_json::from_str::<Vec<&RawValue>>(raw.get()) else {
        return 0;
    };
    items
        .iter()
        .map(|item| match item.get().as_bytes() {
            [b'"', ..] => {
                serde_json::from_str::<String>(item.get()).map_or(0, |text| tokenweir_llm::tokens::estimate(&text))
            }
            [b'[', ..] => {
                serde_json::from_str::<Vec<serde::de::IgnoredAny>>(item.get()).map_or(0, |numbers| numbers.len() as u64)
            }
            [b'0'..=b'9', ..] => 1,
            _ => 0,
        })
        .sum()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn all_forms_of_a_prompt_are_counted() {
        for (prompt, tokens) in [
            (r#""hello world""#, 2),
            (r#"["hello","world"]"#, 2),
            ("[1,2,3]", 3),
            ("[[1,2],[3]]", 3),
            ("7", 0),
        ] {
            assert_eq!(texts(serde_json::from_str(prompt).unwrap()), tokens, "{prompt}");
        }
    }
}

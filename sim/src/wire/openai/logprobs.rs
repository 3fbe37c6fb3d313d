//! Log probabilities: invented, and the same for the same token.

use std::fmt::Write;

use super::super::text::quoted;
use crate::answer::{Choice, Kind};
use crate::behaviour::hash;

/// Of some tokens, each with so many alternatives.
pub(super) fn of<'a>(tokens: impl Iterator<Item = (&'a str, &'a str)>, top: u64) -> String {
    let mut out = String::from("{\"content\":[");
    for (number, (space, word)) in tokens.enumerate() {
        let token = format!("{space}{word}");
        out.push_str(if number == 0 { "" } else { "," });
        entry(&mut out, &token, probability(&token));
        out.push_str(",\"top_logprobs\":[");
        for rank in 0..top {
            out.push_str(if rank == 0 { "" } else { "," });
            // The token itself is the most probable one.
            let other = if rank == 0 {
                token.clone()
            } else {
                format!("{token}{rank}")
            };
            entry(&mut out, &other, probability(&token) - rank as f64);
            out.push('}');
        }
        out.push_str("]}");
    }
    out.push_str("],\"refusal\":null}");
    out
}

/// Of all text of an answer.
pub(super) fn of_choice(choice: &Choice, top: u64) -> String {
    let blocks = choice.blocks.iter().filter(|block| block.kind == Kind::Text);
    let tokens: Vec<(&str, &str)> = blocks
        .flat_map(|block| {
            let mut cursor = block.cursor();
            std::iter::from_fn(move || block.next(&mut cursor))
        })
        .collect();
    of(tokens.into_iter(), top)
}

/// An object without its closing brace.
fn entry(out: &mut String, token: &str, probability: f64) {
    let bytes: Vec<String> = token.bytes().map(|byte| byte.to_string()).collect();
    // Writing to a String cannot fail.
    let _ = write!(
        out,
        "{{\"token\":{},\"logprob\":{probability:.4},\"bytes\":[{}]",
        quoted(token),
        bytes.join(",")
    );
}

/// From -1 to 0.
fn probability(token: &str) -> f64 {
    -((hash(0, token.as_bytes()) % 10_000) as f64) / 10_000.0
}

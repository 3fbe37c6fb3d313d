//! The targets, one line each.

mod answers;
mod embeddings;
mod eventstream;
mod requests;
mod scan;
mod side_parse;
mod sse;

use tokenweir_llm::dialect::{ChatCompletions, ClientDialect as _, Completions, Converse, Gemini, Messages, Responses};

use crate::frames;
use crate::seeds::{framed, golden};

/// Something that reads foreign bytes, with the laws that it keeps.
#[derive(Debug)]
pub struct Target {
    /// Its name.
    pub name: &'static str,
    /// Checks its laws on an input. Panics where one does not hold.
    pub run: fn(&[u8]),
    /// Where the fuzzer begins.
    pub seeds: fn() -> Vec<Vec<u8>>,
}

const fn on(name: &'static str, run: fn(&[u8]), seeds: fn() -> Vec<Vec<u8>>) -> Target {
    Target { name, run, seeds }
}

/// All targets.
pub const TARGETS: [Target; 13] = [
    on("sse", sse::run, sse::seeds),
    on("eventstream", eventstream::run, framed),
    on("scan", scan::run, scan::seeds),
    on(
        "chat_requests",
        |data| requests::run(ChatCompletions::read_request, data),
        || golden("requests", "chat"),
    ),
    on(
        "completions_requests",
        |data| requests::run(Completions::read_request, data),
        || golden("requests", "completions"),
    ),
    on(
        "responses_requests",
        |data| requests::run(Responses::read_request, data),
        || golden("requests", "responses"),
    ),
    on(
        "messages_requests",
        |data| requests::run(Messages::read_request, data),
        || golden("requests", "messages"),
    ),
    on(
        "chat_answers",
        |data| answers::run::<ChatCompletions>(data, data),
        || told("chat"),
    ),
    on(
        "messages_answers",
        |data| answers::run::<Messages>(data, data),
        || told("messages"),
    ),
    // A stream is written down as lines here: no mutation would meet the checksums of its frames.
    on(
        "converse_answers",
        |data| answers::run::<Converse>(data, &frames::frames(&String::from_utf8_lossy(data))),
        || told("converse"),
    ),
    on(
        "gemini_answers",
        |data| answers::run::<Gemini>(data, data),
        || told("gemini"),
    ),
    on("embeddings", embeddings::run, embeddings::seeds),
    on("side_parse", side_parse::run, || {
        [told("chat"), told("messages")].concat()
    }),
];

fn told(dialect: &str) -> Vec<Vec<u8>> {
    [golden("answers", dialect), golden("streams", dialect)].concat()
}

/// No target, but a proof that coverage guides the fuzzer: it panics at six bytes that chance does not find within a
/// year, and that are found one by one within seconds.
pub const CANARY: Target = on("canary", canary, || vec![b"______".to_vec()]);

#[expect(
    clippy::collapsible_if,
    reason = "each byte is a branch of its own, which is what is to be found"
)]
fn canary(data: &[u8]) {
    if data.first() == Some(&b'w') {
        if data.get(1) == Some(&b'e') {
            if data.get(2) == Some(&b'i') {
                if data.get(3) == Some(&b'r') {
                    if data.get(4) == Some(&b'e') {
                        assert!(data.get(5) != Some(&b'd'), "the canary was found");
                    }
                }
            }
        }
    }
}

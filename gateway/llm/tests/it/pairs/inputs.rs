//! What goes in: the golden files, by feature and dialect.

use tokenweir_llm::dialect::{Client, Wire};

use crate::frames::frames;

macro_rules! golden {
    ($($feature:literal $dialect:ident $file:literal)*) => {
        [$(($feature, D::$dialect, include_str!(concat!("../../golden/", $file)))),*]
    };
}

/// Requests of a feature, by the client that sends them.
pub(super) fn requests(feature: &str) -> impl Iterator<Item = (Client, &'static str)> {
    use Client as D;
    let all = golden! {
        "plain" ChatCompletions "requests/plain.chat.json"
        "plain" Completions "requests/plain.completions.json"
        "plain" Responses "requests/plain.responses.json"
        "plain" Messages "requests/plain.messages.json"
        "media" ChatCompletions "requests/media.chat.json"
        "media" Responses "requests/media.responses.json"
        "media" Messages "requests/media.messages.json"
        "tools" ChatCompletions "requests/tools.chat.json"
        "tools" Responses "requests/tools.responses.json"
        "tools" Messages "requests/tools.messages.json"
        "structured" ChatCompletions "requests/structured.chat.json"
        "structured" Responses "requests/structured.responses.json"
        "structured" Messages "requests/structured.messages.json"
        "reasoning" ChatCompletions "requests/reasoning.chat.json"
        "reasoning" Responses "requests/reasoning.responses.json"
        "reasoning" Messages "requests/reasoning.messages.json"
    };
    some(all, feature)
}

/// Answers of a feature, by the wire that they come over.
pub(super) fn answers(feature: &str) -> impl Iterator<Item = (Wire, &'static str)> {
    use Wire as D;
    let all = golden! {
        "calls" ChatCompletions "answers/calls.chat.json"
        "calls" Messages "answers/calls.messages.json"
        "calls" Converse "answers/calls.converse.json"
        "calls" Gemini "answers/calls.gemini.json"
        "cut" ChatCompletions "answers/cut.chat.json"
        "cut" Messages "answers/cut.messages.json"
        "cut" Converse "answers/cut.converse.json"
        "cut" Gemini "answers/cut.gemini.json"
        "refused" ChatCompletions "answers/refused.chat.json"
        "refused" Messages "answers/refused.messages.json"
        "refused" Converse "answers/refused.converse.json"
        "refused" Gemini "answers/refused.gemini.json"
        "thoughts" ChatCompletions "answers/thoughts.chat.json"
    };
    some(all, feature)
}

/// Streams of a feature, by the wire that they come over.
pub(super) fn streams(feature: &str) -> impl Iterator<Item = (Wire, Vec<u8>)> {
    written_down(feature).map(|(wire, text)| (wire, as_it_comes(wire, text)))
}

/// A stream that is written down as the golden files are.
pub(super) fn as_it_comes(wire: Wire, text: &str) -> Vec<u8> {
    match wire {
        Wire::Converse => frames(text),
        _ => text.as_bytes().to_vec(),
    }
}

/// The text of the golden files of a feature.
pub(super) fn written_down(feature: &str) -> impl Iterator<Item = (Wire, &'static str)> {
    use Wire as D;
    let all = golden! {
        "calls" ChatCompletions "streams/calls.chat.txt"
        "calls" Messages "streams/calls.messages.txt"
        "calls" Converse "streams/calls.converse.txt"
        "calls" Gemini "streams/calls.gemini.txt"
        "broken" ChatCompletions "streams/broken.chat.txt"
        "broken" Messages "streams/broken.messages.txt"
        "broken" Converse "streams/broken.converse.txt"
        "broken" Gemini "streams/broken.gemini.txt"
    };
    some(all, feature)
}

fn some<D: Copy, const N: usize>(
    all: [(&'static str, D, &'static str); N],
    feature: &str,
) -> impl Iterator<Item = (D, &'static str)> {
    all.into_iter()
        .filter(move |(of, _, _)| *of == feature)
        .map(|(_, dialect, text)| (dialect, text))
}

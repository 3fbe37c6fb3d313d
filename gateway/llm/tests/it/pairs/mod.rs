//! Every client dialect in front of every provider's wire, feature by feature, by golden files.
//!
//! What goes in stands in `tests/golden`, in the forms that the providers publish; what comes out, in snapshots: one for
//! each client and feature of a request, one for each wire and feature of an answer or a stream.

mod called;
mod inputs;
mod large;
mod laws;
mod probes;
mod table;

use std::fmt::Write as _;
use std::sync::Arc;

use tokenweir_llm::dialect::{ChatFlavor, Client, Context, Target, Wire};
use tokenweir_llm::translate::{Translation, read_request};

const CLIENTS: [Client; 4] = [
    Client::ChatCompletions,
    Client::Completions,
    Client::Responses,
    Client::Messages,
];

const WIRES: [Wire; 4] = [Wire::ChatCompletions, Wire::Messages, Wire::Converse, Wire::Gemini];

/// A model of each wire that can do what is asked of it.
const fn model(wire: Wire) -> &'static str {
    match wire {
        Wire::ChatCompletions => "gpt-5",
        Wire::Messages => "claude-opus-4-5",
        Wire::Converse => "anthropic.claude-opus-4-5-20251101-v1:0",
        Wire::Gemini => "gemini-3-pro",
    }
}

/// What a client is told of, for a request of its plain example.
fn context(client: Client, include_usage: bool) -> Context {
    let plain = inputs::requests("plain").find(|(of, _)| *of == client).unwrap().1;
    let mut request = read_request(client, plain.as_bytes()).unwrap();
    request.stream = include_usage;
    request.include_usage = include_usage;
    Context {
        id: "req1".into(),
        now_unix: 1_700_000_000,
        request: Arc::new(request),
    }
}

fn json(body: &[u8]) -> String {
    let value: serde_json::Value = serde_json::from_slice(body).unwrap();
    serde_json::to_string_pretty(&value).unwrap()
}

/// Writes a request for all wires, with what each of them has no place for.
fn written(client: Client, body: &str) -> String {
    let request = read_request(client, body.as_bytes()).unwrap();
    let mut text = String::new();
    for (wire, translation) in WIRES
        .iter()
        .filter_map(|wire| Some((*wire, Translation::new(client, *wire)?)))
    {
        let target = Target {
            model: model(wire),
            max_tokens: Some(8192),
            chat: ChatFlavor::OpenAi,
        };
        writeln!(text, "# {wire:?}").unwrap();
        if let Err(unsupported) = translation.request(&request, &target, false) {
            writeln!(text, "refused: {}", unsupported.fields.join(", ")).unwrap();
        }
        let body = translation.request(&request, &target, true).unwrap();
        writeln!(text, "{}\n", json(&body)).unwrap();
    }
    text
}

fn answered(wire: Wire, body: &str) -> String {
    let mut text = String::new();
    for (client, translation) in CLIENTS
        .iter()
        .filter_map(|of| Some((*of, Translation::new(*of, wire)?)))
    {
        let (body, usage) = translation.answer(body.as_bytes(), &context(client, false)).unwrap();
        assert_eq!(usage.prompt_tokens.is_some(), usage.completion_tokens.is_some());
        writeln!(text, "# {client:?}\n{}\n", json(&body)).unwrap();
    }
    text
}

/// Translates a stream in these pieces, with what it cost.
fn streamed(client: Client, wire: Wire, pieces: &[&[u8]]) -> Option<(String, u64)> {
    let mut stream = Translation::new(client, wire)?.stream(context(client, true));
    let mut out = Vec::new();
    let mut tokens = 0;
    for piece in pieces {
        tokens += stream.push(piece, &mut out).tokens;
    }
    tokens += stream.finish(&mut out).tokens;
    assert!(stream.is_over());
    Some((String::from_utf8(out).unwrap(), tokens))
}

fn feature_of_requests(feature: &str) {
    for (client, body) in inputs::requests(feature) {
        insta::assert_snapshot!(format!("{feature}_of_{client:?}"), written(client, body));
    }
}

fn feature_of_answers(feature: &str) {
    for (wire, body) in inputs::answers(feature) {
        insta::assert_snapshot!(format!("{feature}_answered_by_{wire:?}"), answered(wire, body));
    }
}

fn feature_of_streams(feature: &str) {
    for (wire, body) in inputs::streams(feature) {
        let mut text = String::new();
        for client in CLIENTS {
            if let Some((told, tokens)) = streamed(client, wire, &[&body]) {
                writeln!(text, "# {client:?}, {tokens} tokens\n{told}").unwrap();
            }
        }
        insta::assert_snapshot!(format!("{feature}_streamed_by_{wire:?}"), text);
    }
}

#[test]
fn only_the_same_dialect_on_both_sides_needs_no_translation() {
    for client in CLIENTS {
        for wire in WIRES {
            let same = matches!(
                (client, wire),
                (Client::ChatCompletions, Wire::ChatCompletions) | (Client::Messages, Wire::Messages)
            );
            assert_eq!(Translation::new(client, wire).is_none(), same, "{client:?} {wire:?}");
        }
    }
}

#[test]
fn plain_conversations() {
    feature_of_requests("plain");
}

#[test]
fn images_sound_and_files() {
    feature_of_requests("media");
}

#[test]
fn tools_calls_and_results() {
    feature_of_requests("tools");
}

#[test]
fn answers_by_a_schema() {
    feature_of_requests("structured");
}

#[test]
fn thoughts_with_their_proofs() {
    feature_of_requests("reasoning");
}

#[test]
fn answers_with_calls() {
    feature_of_answers("calls");
}

#[test]
fn answers_that_were_cut() {
    feature_of_answers("cut");
}

#[test]
fn answers_that_were_refused() {
    feature_of_answers("refused");
}

#[test]
fn answers_with_thoughts_and_sources() {
    feature_of_answers("thoughts");
}

#[test]
fn streams_with_calls() {
    feature_of_streams("calls");
}

#[test]
fn streams_that_break() {
    feature_of_streams("broken");
}

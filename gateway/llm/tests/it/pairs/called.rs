//! Calls that wait for their results, whatever the provider says about the end: clients go by the reason.

use tokenweir_llm::dialect::{Client, Wire};
use tokenweir_llm::translate::Translation;

use super::{context, inputs, streamed};

/// How a provider says that the model calls, and what some say in its place.
const fn reasons(wire: Wire) -> (&'static str, &'static [&'static str]) {
    match wire {
        Wire::ChatCompletions => (r#""tool_calls""#, &[r#""stop""#, r#""stop_sequence""#, r#""eos""#]),
        Wire::Messages => (
            r#""tool_use","stop_sequence""#,
            &[
                r#""end_turn","stop_sequence""#,
                r#""stop_sequence","stop_sequence""#,
                r#""something_new","stop_sequence""#,
            ],
        ),
        Wire::Converse => (
            r#""tool_use""#,
            &[r#""end_turn""#, r#""stop_sequence""#, r#""something_new""#],
        ),
        Wire::Gemini => (
            r#""STOP""#,
            &[r#""STOP""#, r#""OTHER""#, r#""FINISH_REASON_UNSPECIFIED""#],
        ),
    }
}

/// What tells a client that there are calls to make.
const fn told(client: Client) -> Option<&'static str> {
    match client {
        Client::ChatCompletions => Some(r#""finish_reason":"tool_calls""#),
        Client::Messages => Some(r#""stop_reason":"tool_use""#),
        // It has the calls themselves, and no reason; Completions has neither.
        _ => None,
    }
}

const CLIENTS: [Client; 2] = [Client::ChatCompletions, Client::Messages];

/// The text with the last mention of how it ended told in another way.
fn ending(text: &str, wire: Wire, reason: &str) -> String {
    let (usual, _) = reasons(wire);
    let at = text
        .rfind(usual)
        .unwrap_or_else(|| panic!("{wire:?}: no {usual} in {text}"));
    format!("{}{reason}{}", &text[..at], &text[at + usual.len()..])
}

#[test]
fn an_answer_with_calls_tells_the_client_to_make_them() {
    let mut tried = 0;
    for (wire, body) in inputs::answers("calls") {
        for reason in reasons(wire).1 {
            let body = ending(body, wire, reason);
            for client in CLIENTS {
                let Some(translation) = Translation::new(client, wire) else {
                    continue;
                };
                let (answer, _) = translation.answer(body.as_bytes(), &context(client, false)).unwrap();
                let answer = String::from_utf8(answer).unwrap();
                assert!(
                    answer.contains(told(client).unwrap()),
                    "{client:?} {wire:?} {reason}: {answer}"
                );
                tried += 1;
            }
        }
    }
    assert_eq!(tried, 18);
}

#[test]
fn a_stream_with_calls_tells_the_client_to_make_them() {
    let mut tried = 0;
    for (wire, text) in inputs::written_down("calls") {
        for reason in reasons(wire).1 {
            let bytes = inputs::as_it_comes(wire, &ending(text, wire, reason));
            for client in CLIENTS {
                let Some((answer, _)) = streamed(client, wire, &[&bytes]) else {
                    continue;
                };
                assert!(
                    answer.contains(told(client).unwrap()),
                    "{client:?} {wire:?} {reason}: {answer}"
                );
                tried += 1;
            }
        }
    }
    assert_eq!(tried, 18);
}

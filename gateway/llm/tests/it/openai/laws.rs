//! Laws that hold for all requests, answers and streams.

use std::fmt::Debug;
use std::sync::Arc;

use proptest::prelude::*;
use tokenweir_llm::conversation::{Event, Message, Part, PartKind, PartStart, Report, Request};
use tokenweir_llm::dialect::{ChatCompletions, ClientDialect, Completions, Context, ProviderWire, Target};

use super::made;
use super::streams::{events, show};
use crate::promises::keeps_its_promises;
use crate::wires::cut;

/// Everything about a request but the places, which a second reading finds anew.
fn without_places(mut request: Request) -> String {
    fn clear(parts: &mut [Part]) {
        for part in parts {
            part.at = "".into();
            // The proof of a call is no field of OpenAI's.
            if let PartKind::ToolCall(call) = &mut part.kind {
                call.signature = None;
            }
            if let PartKind::ToolResult(result) = &mut part.kind {
                clear(&mut result.parts);
            }
        }
    }
    for Message { parts, at, .. } in &mut request.messages {
        *at = "".into();
        clear(parts);
    }
    for tool in &mut request.tools {
        tool.at = "".into();
    }
    debug(&request)
}

fn debug(value: &impl Debug) -> String {
    format!("{value:#?}")
}

/// Deltas of the kinds that servers send, right and wrong ones.
fn stream() -> impl Strategy<Value = Vec<u8>> {
    let delta = prop_oneof![
        made::words().prop_map(|text| serde_json::json!({ "content": text })),
        made::words().prop_map(|text| serde_json::json!({ "reasoning_content": text })),
        made::words().prop_map(|text| serde_json::json!({ "refusal": text })),
        (
            0..3_u8,
            prop::option::of("[ab]"),
            prop::option::of("[fg]"),
            "[{}x]{0,3}"
        )
            .prop_map(|(index, id, name, arguments)| serde_json::json!({ "tool_calls": [
                { "index": index, "id": id, "function": { "name": name, "arguments": arguments } }] })),
        "[{}x]{0,3}"
            .prop_map(|arguments| serde_json::json!({ "tool_calls": [{ "function": { "arguments": arguments } }] })),
        Just(serde_json::json!({ "thinking_blocks": [{ "type": "thinking", "thinking": "t", "signature": "s" }] })),
        Just(serde_json::json!({ "thinking_blocks": [{ "type": "redacted_thinking", "data": "d" }] })),
    ];
    let reason = prop_oneof![12 => Just(None), 1 => Just(Some("stop")), 1 => Just(Some("tool_calls"))];
    let chunk = (0..2_u8, delta, reason).prop_map(|(index, delta, reason)| {
        let chunk = serde_json::json!({ "id": "c", "choices": [
            { "index": index, "delta": delta, "finish_reason": reason }] });
        format!("data: {chunk}\n\n")
    });
    let event = prop_oneof![
        20 => chunk,
        1 => Just(": comment\r\n\r\n".to_owned()),
        1 => Just("data: {\"choices\":[],\"usage\":{\"prompt_tokens\":1}}\n\n".to_owned()),
        1 => Just("data: [DONE]\n\n".to_owned()),
        1 => Just("data: {\"error\":{\"message\":\"x\"}}\n\n".to_owned()),
        1 => Just("data: {\"cut".to_owned()),
    ];
    prop::collection::vec(event, 0..20).prop_map(|events| events.concat().into_bytes())
}

/// What readers of streams guarantee; this one begins whatever comes.
fn check_order(events: &[Event]) -> Result<(), TestCaseError> {
    let begins = matches!(events.first(), Some(Event::Start { .. }));
    prop_assert!(begins);
    prop_assert_eq!(keeps_its_promises(events), Ok(()));
    Ok(())
}

/// The characters of all text, and all calls with their arguments, in an order that does not depend on the stream's:
/// what waits for a call may be told at another place.
fn said(events: &[Event]) -> (Vec<char>, Vec<(String, String, String)>) {
    let mut characters = Vec::new();
    let mut calls = std::collections::BTreeMap::new();
    for event in events {
        match event {
            Event::Text { text, .. } => characters.extend(text.chars()),
            Event::PartStart {
                choice,
                part,
                start: PartStart::ToolCall { id, name, .. },
            } => {
                calls.insert((*choice, *part), (id.clone(), name.clone(), String::new()));
            }
            Event::Arguments { choice, part, json } => {
                calls.get_mut(&(*choice, *part)).unwrap().2.push_str(json);
            }
            Event::PartEnd { choice, part } => {
                if let Some((_, _, arguments)) = calls.get_mut(&(*choice, *part))
                    && arguments.is_empty()
                {
                    arguments.push_str("{}");
                }
            }
            _ => {}
        }
    }
    characters.sort_unstable();
    let mut calls: Vec<_> = calls.into_values().collect();
    calls.sort_unstable();
    (characters, calls)
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(250))]

    #[test]
    fn a_request_survives_writing_and_reading(request in made::request()) {
        let target = Target { model: &request.model, ..Target::default() };
        let mut report = Report::about("test");
        let body = ChatCompletions::write_request(&request, &target, &mut report);
        prop_assert_eq!(report.finish(), Ok(()));
        let read = ChatCompletions::read_request(&body).unwrap();
        prop_assert_eq!(without_places(read), without_places(request));
    }

    #[test]
    fn an_answer_survives_writing_and_reading(answer in made::answer()) {
        let body = ChatCompletions::write_answer(&answer, &Context::default());
        let mut read = ChatCompletions::read_answer(&body).unwrap();
        for choice in &mut read.choices {
            for part in &mut choice.parts {
                part.at = "".into();
            }
        }
        prop_assert_eq!(debug(&read), debug(&answer));
    }

    #[test]
    fn any_cut_of_a_stream_gives_the_same_events_in_a_lawful_order(
        input in stream(),
        at in prop::collection::vec(any::<usize>(), 0..12),
    ) {
        let whole = events(&[&input]);
        check_order(&whole)?;
        let bytes: Vec<&[u8]> = input.chunks(1).collect();
        prop_assert_eq!(show(&events(&bytes)), show(&whole));
        prop_assert_eq!(show(&events(&cut(&input, at))), show(&whole));
    }

    #[test]
    fn what_is_told_of_a_stream_is_a_stream_again(input in stream()) {
        let context = Context { request: Arc::new(Request { include_usage: true, ..Request::default() }), ..Context::default() };
        let mut writer = <ChatCompletions as ClientDialect>::stream(context);
        let mut told = Vec::new();
        let first = events(&[&input]);
        for event in &first {
            writer.write(event, &mut told);
        }
        let second = events(&[&told]);
        check_order(&second)?;
        prop_assert_eq!(said(&second), said(&first));
    }

    #[test]
    fn foreign_bytes_never_panic(bytes in prop::collection::vec(any::<u8>(), 0..200), json in "[\\[\\]{}:,\"a-z0-9 ]{0,60}") {
        for body in [&bytes[..], json.as_bytes()] {
            let _ = ChatCompletions::read_request(body);
            let _ = Completions::read_request(body);
            let _ = ChatCompletions::read_answer(body);
            let _ = ChatCompletions::read_error(400, body);
            let _ = events(&[body]);
        }
    }
}

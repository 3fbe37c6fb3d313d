//! Requests that are large in every way that a client can choose, in front of every wire.
//!
//! A loop within a loop over something that the client repeats would take minutes here, and a day for a body of the size
//! that the gateway takes.

use std::time::{Duration, Instant};

use tokenweir_llm::dialect::{Client, Target};
use tokenweir_llm::translate::{Translation, read_request};

use super::{CLIENTS, WIRES, model};

const MANY: usize = 20_000;

/// `MANY` pieces, numbered.
fn many(piece: impl Fn(usize) -> String) -> String {
    (0..MANY).map(piece).collect::<Vec<_>>().join(",")
}

fn chat() -> Vec<String> {
    let wrap = |messages: &str, rest: &str| format!(r#"{{"model":"m","messages":[{messages}]{rest}}}"#);
    let hi = r#"{"role":"user","content":"Hi"}"#;
    let call = |index| {
        format!(r#"{{"id":"call_{index}","type":"function","function":{{"name":"f{index}","arguments":"{{}}"}}}}"#)
    };
    let tools = many(|index| format!(r#"{{"type":"function","function":{{"name":"f{index}"}}}}"#));
    let calls = format!(r#"{{"role":"assistant","content":null,"tool_calls":[{}]}}"#, many(call));
    let results = many(|index| format!(r#"{{"role":"tool","tool_call_id":"call_{index}","content":"x"}}"#));
    vec![
        wrap(
            &many(|index| format!(r#"{{"role":"user","content":"{index}","x{index}":1}}"#)),
            "",
        ),
        wrap(&many(|index| format!(r#"{{"role":"system","content":"{index}"}}"#)), ""),
        wrap(
            &many(|index| format!(r#"{{"role":"{}","content":"x"}}"#, ["user", "assistant"][index % 2])),
            "",
        ),
        wrap(
            &format!(
                r#"{{"role":"user","content":[{}]}}"#,
                many(|_| r#"{"type":"text","text":"x","y":1}"#.to_owned())
            ),
            "",
        ),
        wrap(hi, &format!(",{}", many(|index| format!(r#""x{index}":{index}"#)))),
        wrap(
            hi,
            &format!(
                r#","tools":[{tools}],"tool_choice":{{"type":"allowed_tools","allowed_tools":{{"mode":"auto","tools":[{tools}]}}}}"#
            ),
        ),
        wrap(&format!("{hi},{calls},{results}"), ""),
        wrap(hi, &format!(r#","stop":[{}]"#, many(|index| format!(r#""s{index}""#)))),
    ]
}

fn responses() -> Vec<String> {
    let wrap = |input: &str| format!(r#"{{"model":"m","input":[{input}]}}"#);
    let calls =
        many(|index| format!(r#"{{"type":"function_call","call_id":"c{index}","name":"f","arguments":"{{}}"}}"#));
    let results = many(|index| format!(r#"{{"type":"function_call_output","call_id":"c{index}","output":"x"}}"#));
    vec![
        wrap(&many(|index| {
            format!(r#"{{"role":"user","content":"{index}","x{index}":1}}"#)
        })),
        wrap(&format!(r#"{{"role":"user","content":"Hi"}},{calls},{results}"#)),
        wrap(&many(|index| {
            format!(r#"{{"type":"reasoning","id":"r{index}","summary":[]}}"#)
        })),
    ]
}

fn messages() -> Vec<String> {
    let wrap = |messages: &str, rest: &str| format!(r#"{{"model":"m","max_tokens":9,"messages":[{messages}]{rest}}}"#);
    let hi = r#"{"role":"user","content":"Hi"}"#;
    let calls = many(|index| format!(r#"{{"type":"tool_use","id":"c{index}","name":"f","input":{{}}}}"#));
    let results = many(|index| format!(r#"{{"type":"tool_result","tool_use_id":"c{index}","content":"x"}}"#));
    let turns = format!(r#"{hi},{{"role":"assistant","content":[{calls}]}},{{"role":"user","content":[{results}]}}"#);
    vec![
        wrap(
            &many(|index| format!(r#"{{"role":"user","content":"{index}","x{index}":1}}"#)),
            "",
        ),
        wrap(&turns, ""),
        wrap(
            hi,
            &format!(
                r#","tools":[{}]"#,
                many(|index| format!(r#"{{"name":"f{index}","input_schema":{{}}}}"#))
            ),
        ),
        wrap(
            hi,
            &format!(
                r#","system":[{}]"#,
                many(|_| r#"{"type":"text","text":"x","cache_control":{"type":"ephemeral"}}"#.to_owned())
            ),
        ),
    ]
}

fn completions() -> Vec<String> {
    vec![
        format!(
            r#"{{"model":"m","prompt":[{}]}}"#,
            many(|index| format!(r#""{index}""#))
        ),
        format!(
            r#"{{"model":"m","prompt":"x",{}}}"#,
            many(|index| format!(r#""x{index}":1"#))
        ),
    ]
}

#[test]
fn what_a_client_repeats_costs_time_in_proportion() {
    for client in CLIENTS {
        let bodies = match client {
            Client::ChatCompletions => chat(),
            Client::Completions => completions(),
            Client::Responses => responses(),
            Client::Messages => messages(),
        };
        for (number, body) in bodies.iter().enumerate() {
            let begun = Instant::now();
            let Ok(request) = read_request(client, body.as_bytes()) else {
                panic!("{client:?} {number}: {body:.200}");
            };
            let read = begun.elapsed();
            for wire in WIRES {
                let Some(translation) = Translation::new(client, wire) else {
                    continue;
                };
                let target = Target {
                    model: model(wire),
                    ..Target::default()
                };
                let begun = Instant::now();
                if let Err(unsupported) = translation.request(&request, &target, false) {
                    assert!(unsupported.to_string().len() < 10_000);
                }
                let written = begun.elapsed();
                // Debug builds on a busy machine were seen to need a second and a half.
                assert!(
                    read + written < Duration::from_secs(8),
                    "{client:?} {number} {wire:?}: read {read:?}, written {written:?}"
                );
            }
        }
    }
}

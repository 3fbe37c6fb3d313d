//! Streams of providers of Chat Completions, as events.

use tokenweir_llm::conversation::{Event, PartStart};
use tokenweir_llm::dialect::{ChatCompletions, ProviderWire};

use crate::wires::events_of;

/// Chunks of one choice, from their deltas or from whole choices, as a body.
fn body(chunks: &[&str]) -> String {
    (chunks.iter())
        .map(|chunk| {
            if chunk.starts_with('{') {
                format!("data: {chunk}\n\n")
            } else {
                format!("{chunk}\n\n")
            }
        })
        .collect()
}

/// A chunk around a choice.
fn chunk(choice: &str) -> String {
    format!(r#"{{"id":"c1","object":"chat.completion.chunk","created":5,"model":"m","choices":[{{{choice}}}]}}"#)
}

/// A chunk around a delta of the first choice.
fn delta(delta: &str) -> String {
    chunk(&format!(r#""index":0,"delta":{delta},"finish_reason":null"#))
}

fn end(reason: &str) -> String {
    chunk(&format!(r#""index":0,"delta":{{}},"finish_reason":"{reason}""#))
}

pub(super) fn events(pieces: &[&[u8]]) -> Vec<Event> {
    events_of(ChatCompletions::stream(), pieces)
}

/// One line for each event.
pub(super) fn show(events: &[Event]) -> String {
    let line = |event: &Event| match event {
        Event::Start { id, model, created } => format!("start {id} {model} {created:?}"),
        Event::PartStart { choice, part, start } => {
            let start = match start {
                PartStart::Text => "text".to_owned(),
                PartStart::Thinking => "thinking".to_owned(),
                PartStart::Refusal => "refusal".to_owned(),
                PartStart::RedactedThinking { data } => format!("redacted {data}"),
                PartStart::ToolCall { id, name, signature } => format!("call {id} {name} {signature:?}"),
            };
            format!("{choice}.{part} begins: {start}")
        }
        Event::Text {
            choice,
            part,
            text,
            logprobs,
        } => {
            let logprobs = logprobs.as_ref().map(|json| format!(" {json}")).unwrap_or_default();
            format!("{choice}.{part} text {text:?}{logprobs}")
        }
        Event::Thinking { choice, part, text } => format!("{choice}.{part} thinks {text:?}"),
        Event::Signature {
            choice,
            part,
            signature,
        } => format!("{choice}.{part} signed {signature}"),
        Event::Refusal { choice, part, text } => format!("{choice}.{part} refuses {text:?}"),
        Event::Arguments { choice, part, json } => format!("{choice}.{part} arguments {json:?}"),
        Event::Citation { choice, part, citation } => format!("{choice}.{part} cites {citation:?}"),
        Event::PartEnd { choice, part } => format!("{choice}.{part} ends"),
        Event::Finish { choice, finish } => format!("{choice} finishes: {finish:?}"),
        Event::Usage(usage) => format!("usage {:?}/{:?}", usage.prompt_tokens, usage.completion_tokens),
        Event::Error(error) => format!("error {:?}: {}", error.kind, error.message),
        Event::End => "end".to_owned(),
    };
    events.iter().map(line).collect::<Vec<_>>().join("\n")
}

fn shown(chunks: &[&str]) -> String {
    show(&events(&[body(chunks).as_bytes()]))
}

#[test]
fn text_with_log_probabilities_and_usage() {
    insta::assert_snapshot!(shown(&[
        &delta(r#"{"role":"assistant","content":"","refusal":null}"#),
        &chunk(
            r#""index":0,"delta":{"content":"Hello"},"logprobs":{"content":[{"token":"Hello","logprob":-0.1}]},"finish_reason":null"#
        ),
        &delta(r#"{"content":" world"}"#),
        &end("stop"),
        r#"{"id":"c1","choices":[],"usage":{"prompt_tokens":0,"completion_tokens":2,"total_tokens":2}}"#,
        "data: [DONE]",
    ]));
}

#[test]
fn parallel_calls_by_index() {
    insta::assert_snapshot!(shown(&[
        &delta(
            r#"{"role":"assistant","content":null,"tool_calls":[{"index":0,"id":"call_a","type":"function","function":{"name":"f","arguments":""}}]}"#
        ),
        &delta(r#"{"tool_calls":[{"index":0,"function":{"arguments":"{\"x\":"}}]}"#),
        &delta(r#"{"tool_calls":[{"index":0,"function":{"arguments":"\"}\"}"}}]}"#),
        &delta(
            r#"{"tool_calls":[{"index":1,"id":"call_b","type":"function","function":{"name":"g","arguments":""}}]}"#
        ),
        &delta(r#"{"tool_calls":[{"index":1,"function":{"arguments":"{}"}}]}"#),
        &end("tool_calls"),
        "data: [DONE]",
    ]));
}

#[test]
fn interleaved_calls_keep_their_arguments_apart() {
    insta::assert_snapshot!(shown(&[
        &delta(
            r#"{"tool_calls":[{"index":0,"id":"a","function":{"name":"f","arguments":"{\"x\""}},{"index":1,"id":"b","function":{"name":"g","arguments":"{\"y\""}}]}"#
        ),
        &delta(r#"{"tool_calls":[{"index":1,"function":{"arguments":":1}"}}]}"#),
        &delta(r#"{"tool_calls":[{"index":0,"function":{"arguments":":2}"}}]}"#),
        &end("tool_calls"),
        "data: [DONE]",
    ]));
}

#[test]
fn whole_calls_without_index_or_id() {
    insta::assert_snapshot!(shown(&[
        &delta(r#"{"content":"Let me look."}"#),
        &delta(
            r#"{"tool_calls":[{"function":{"name":"f","arguments":"{\"x\":1}"}},{"function":{"name":"f","arguments":{"x":2}}}]}"#
        ),
        &end("stop"),
    ]));
}

#[test]
fn calls_that_are_all_numbered_0_are_told_apart_by_id() {
    insta::assert_snapshot!(shown(&[
        &delta(r#"{"tool_calls":[{"index":0,"id":"a","function":{"name":"f","arguments":"{}"}}]}"#),
        &delta(r#"{"tool_calls":[{"index":0,"id":"b","function":{"name":"f","arguments":"{\"y\":1}"}}]}"#),
        &end("tool_calls"),
    ]));
}

#[test]
fn ids_and_names_that_are_repeated_or_drawn_anew_are_one_call() {
    let one = shown(&[
        &delta(r#"{"tool_calls":[{"index":0,"id":"a","function":{"name":"f","arguments":"{\"x\":"}}]}"#),
        &delta(r#"{"tool_calls":[{"index":0,"id":"a","function":{"name":"f","arguments":"1"}}]}"#),
        &delta(r#"{"tool_calls":[{"index":0,"id":"other","function":{"arguments":"}"}}]}"#),
        &end("tool_calls"),
    ]);
    insta::assert_snapshot!(one);
}

#[test]
fn deltas_without_index_go_on_with_the_last_call_or_that_of_their_id() {
    insta::assert_snapshot!(shown(&[
        &delta(r#"{"tool_calls":[{"id":"a","function":{"name":"f","arguments":""}}]}"#),
        &delta(r#"{"tool_calls":[{"function":{"arguments":"{\"x\""}}]}"#),
        &delta(r#"{"tool_calls":[{"id":"a","function":{"arguments":":1}"}}]}"#),
        &delta(r#"{"tool_calls":[{"id":"b","function":{"name":"g"}}]}"#),
        &end("tool_calls"),
    ]));
}

#[test]
fn arguments_before_the_name_wait_for_it() {
    insta::assert_snapshot!(shown(&[
        &delta(r#"{"tool_calls":[{"index":0,"id":"a","function":{"arguments":"{\"x\""}}]}"#),
        &delta(r#"{"tool_calls":[{"index":0,"function":{"name":"f","arguments":":1}"}}]}"#),
        &delta(r#"{"tool_calls":[{"index":1}]}"#),
        &end("tool_calls"),
    ]));
}

#[test]
fn text_within_a_call_waits_and_white_space_between_calls_is_nothing() {
    insta::assert_snapshot!(shown(&[
        &delta(r#"{"tool_calls":[{"index":0,"id":"a","function":{"name":"f","arguments":"{\"x\""}}]}"#),
        &delta(r#"{"content":"\n"}"#),
        &delta(r#"{"content":"late words"}"#),
        &delta(r#"{"tool_calls":[{"index":0,"function":{"arguments":":1}"}}]}"#),
        &end("tool_calls"),
    ]));
}

#[test]
fn text_behind_a_whole_call_is_told_at_once() {
    insta::assert_snapshot!(shown(&[
        &delta(r#"{"tool_calls":[{"index":0,"id":"a","function":{"name":"f","arguments":"{\"x\":\"}\\\"\"}"}}]}"#),
        &delta(r#"{"content":"and so"}"#),
        &end("tool_calls"),
    ]));
}

#[test]
fn the_old_form_of_calls() {
    insta::assert_snapshot!(shown(&[
        &delta(r#"{"function_call":{"name":"f","arguments":""}}"#),
        &delta(r#"{"function_call":{"arguments":"{}"}}"#),
        &end("function_call"),
    ]));
}

#[test]
fn thoughts_in_clear_under_both_names() {
    for name in ["reasoning_content", "reasoning"] {
        let shown = shown(&[
            &delta(&format!(r#"{{"{name}":"Let me","content":""}}"#)),
            &delta(&format!(r#"{{"{name}":" see","content":null}}"#)),
            &delta(r#"{"content":"4"}"#),
            &end("stop"),
        ]);
        insta::allow_duplicates! { insta::assert_snapshot!(shown); }
    }
}

#[test]
fn signed_thoughts_of_each_convention_are_told_once() {
    let ends = [
        // Whole with its signature, as Tokenweir tells it.
        vec![
            delta(r#"{"reasoning_content":"Let me"}"#),
            delta(r#"{"reasoning_content":" see"}"#),
            delta(r#"{"thinking_blocks":[{"index":0,"type":"thinking","thinking":"Let me see","signature":"s"}]}"#),
        ],
        // LiteLLM's.
        vec![
            delta(
                r#"{"reasoning_content":"Let me","thinking_blocks":[{"type":"thinking","thinking":"Let me","signature":null}]}"#,
            ),
            delta(
                r#"{"reasoning_content":" see","thinking_blocks":[{"type":"thinking","thinking":" see","signature":""}]}"#,
            ),
            delta(r#"{"thinking_blocks":[{"type":"thinking","thinking":"","signature":"s"}]}"#),
        ],
        // OpenRouter's.
        vec![
            delta(
                r#"{"reasoning":"Let me","reasoning_details":[{"type":"reasoning.text","text":"Let me","index":0}]}"#,
            ),
            delta(r#"{"reasoning_details":[{"type":"reasoning.text","text":" see","index":0}],"reasoning":" see"}"#),
            delta(r#"{"reasoning_details":[{"type":"reasoning.text","signature":"s","index":0}]}"#),
        ],
    ];
    for mut chunks in ends {
        chunks.push(delta(
            r#"{"thinking_blocks":[{"index":1,"type":"redacted_thinking","data":"eA=="}]}"#,
        ));
        chunks.push(delta(r#"{"content":"4"}"#));
        chunks.push(end("stop"));
        let chunks: Vec<&str> = chunks.iter().map(String::as_str).collect();
        let shown = shown(&chunks);
        insta::allow_duplicates! { insta::assert_snapshot!(shown); }
    }
}

#[test]
fn details_without_reasoning_in_clear_are_thoughts_of_their_own() {
    insta::assert_snapshot!(shown(&[
        &delta(r#"{"reasoning_details":[{"type":"reasoning.text","text":"a"}]}"#),
        &delta(r#"{"reasoning_details":[{"type":"reasoning.text","text":"b"}]}"#),
        &delta(
            r#"{"content":[{"type":"thinking","thinking":[{"type":"text","text":"c"}]},{"type":"text","text":"4"}]}"#
        ),
        &end("stop"),
    ]));
}

#[test]
fn refusals_and_sources() {
    insta::assert_snapshot!(shown(&[
        &delta(r#"{"content":"See"}"#),
        &delta(
            r#"{"annotations":[{"type":"url_citation","url_citation":{"url":"https://u","title":"T","start_index":0,"end_index":3}}]}"#
        ),
        &delta(r#"{"refusal":"I"}"#),
        &delta(r#"{"refusal":" can't"}"#),
        &end("stop"),
    ]));
}

#[test]
fn sources_count_from_the_beginning_of_their_own_part() {
    insta::assert_snapshot!(shown(&[
        &delta(r#"{"content":"Ünï"}"#),
        &delta(r#"{"reasoning":"hm"}"#),
        &delta(r#"{"content":" code"}"#),
        &delta(
            r#"{"annotations":[{"type":"url_citation","url_citation":{"url":"https://u","title":"T","start_index":4,"end_index":8}}]}"#
        ),
        &end("stop"),
    ]));
}

#[test]
fn several_choices_are_kept_apart() {
    insta::assert_snapshot!(shown(&[
        &chunk(r#""index":0,"delta":{"content":"a"}"#),
        &chunk(r#""index":1,"delta":{"content":"b"}"#),
        &chunk(r#""index":0,"delta":{},"finish_reason":"stop""#),
        &chunk(r#""index":1,"delta":{"content":"c"}"#),
        &chunk(r#""index":1,"delta":{},"finish_reason":"length""#),
        "data: [DONE]",
    ]));
}

#[test]
fn an_azure_stream_with_filter_results_around_it() {
    insta::assert_snapshot!(shown(&[
        r#"{"choices":[],"created":0,"id":"","model":"","object":"","prompt_filter_results":[{"prompt_index":0}]}"#,
        &delta(r#"{"content":"Hi"}"#),
        &chunk(
            r#""content_filter_offsets":{"check_offset":44},"content_filter_results":{},"finish_reason":null,"index":0"#
        ),
        &end("content_filter"),
        "data: [DONE]",
    ]));
}

#[test]
fn a_repeated_end_and_what_follows_it_change_nothing() {
    insta::assert_snapshot!(shown(&[
        &chunk(r#""index":0,"delta":{"content":"Hi"},"finish_reason":"""#),
        &chunk(r#""index":0,"delta":{"content":"!"},"finish_reason":"length""#),
        &end("stop"),
        &delta(r#"{"content":"late"}"#),
        r#"{"choices":[{"index":0,"delta":{"content":""},"finish_reason":"stop"}],"usage":{"prompt_tokens":1,"completion_tokens":2}}"#,
        r#"{"choices":[],"usage":{"prompt_tokens":1,"completion_tokens":3}}"#,
        "data: [DONE]",
        &delta(r#"{"content":"later"}"#),
    ]));
}

#[test]
fn a_stream_without_done_is_complete_if_its_choices_are() {
    let complete = body(&[&delta(r#"{"content":"Hi"}"#), &end("stop")]);
    assert!(show(&events(&[complete.as_bytes()])).ends_with("finishes: Stop\nend"));
    // The last event may lack its blank line.
    let unterminated = complete.trim_end();
    assert!(show(&events(&[unterminated.as_bytes()])).ends_with("finishes: Stop\nend"));
    let cut = &unterminated[..unterminated.len() - 3];
    assert!(show(&events(&[cut.as_bytes()])).ends_with("broke off in the middle of its answer"));
}

#[test]
fn a_stream_with_done_is_complete_even_without_reasons() {
    let shown = shown(&[&delta(r#"{"content":"Hi"}"#), "data: [DONE]"]);
    assert!(shown.ends_with("0.0 ends\n0 finishes: Stop\nend"), "{shown}");
}

#[test]
fn broken_streams_end_with_an_error_and_begin_all_the_same() {
    for (pieces, expected) in [
        (vec![], "the provider broke off in the middle of its answer"),
        (vec!["data: [DONE]"], "the provider ended the stream without an answer"),
        (vec!["data: <html>"], "the provider sent an event that is not JSON"),
        (
            vec![r#"{"error":{"message":"Rate limited","type":"x","code":429}}"#],
            "Rate limited",
        ),
        (
            vec![r#"{"object":"error","message":"engine died","code":500}"#],
            "engine died",
        ),
    ] {
        let events = events(&[body(&pieces).as_bytes()]);
        assert!(matches!(events[0], Event::Start { .. }));
        let Event::Error(error) = &events[1] else {
            panic!("{}", show(&events));
        };
        assert_eq!((error.message.as_str(), events.len()), (expected, 2));
    }
    let after_error = shown(&[
        &delta(r#"{"content":"Hi"}"#),
        r#"{"error":"out of memory"}"#,
        &delta(r#"{"content":"more"}"#),
        "data: [DONE]",
    ]);
    assert!(
        after_error.ends_with("error BadUpstream: out of memory"),
        "{after_error}"
    );
}

#[test]
fn comments_and_empty_events_are_nothing() {
    let shown = shown(&[
        ": OPENROUTER PROCESSING",
        "data:",
        "event: ping",
        &delta(r#"{"content":"Hi"}"#),
        &end("stop"),
    ]);
    assert_eq!(shown.lines().count(), 6, "{shown}");
}

#[test]
fn an_event_without_end_and_endless_calls_are_cut_off() {
    let endless = "data: ".to_owned() + &"x".repeat(9 * 1024 * 1024);
    let shown = show(&events(&[endless.as_bytes()]));
    assert!(shown.ends_with("the provider sent an event that is too large"));
    let calls: Vec<String> = (0..2000)
        .map(|index| format!(r#"{{"index":{index},"function":{{"name":"f","arguments":"{{}}"}}}}"#))
        .collect();
    let flood = body(&[&delta(&format!(r#"{{"tool_calls":[{}]}}"#, calls.join(",")))]);
    let shown = show(&events(&[flood.as_bytes()]));
    assert!(shown.ends_with("the provider sent more calls of tools than an answer may have"));
}

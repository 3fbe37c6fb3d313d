//! Streams, both ways.

use serde_json::json;
use tokenweir_llm::conversation::{Citation, Event, Finish, PartStart, StreamError};
use tokenweir_llm::{ErrorKind, Usage};

use super::{events, sse, stream};

fn start() -> (&'static str, serde_json::Value) {
    (
        "message_start",
        json!({"type": "message_start", "message": {
            "id": "msg_1nZdL29xx5MUA1yADyHTEsnR8uuvGzszyy", "type": "message", "role": "assistant", "content": [],
            "model": "claude-opus-4-5", "stop_reason": null, "stop_sequence": null,
            "usage": {"input_tokens": 25, "cache_read_input_tokens": 10, "output_tokens": 1}}}),
    )
}

fn block_start(index: u64, block: &serde_json::Value) -> (&'static str, serde_json::Value) {
    (
        "content_block_start",
        json!({"type": "content_block_start", "index": index, "content_block": block}),
    )
}

fn delta(index: u64, delta: &serde_json::Value) -> (&'static str, serde_json::Value) {
    (
        "content_block_delta",
        json!({"type": "content_block_delta", "index": index, "delta": delta}),
    )
}

fn block_stop(index: u64) -> (&'static str, serde_json::Value) {
    (
        "content_block_stop",
        json!({"type": "content_block_stop", "index": index}),
    )
}

fn end(reason: &str) -> (&'static str, serde_json::Value) {
    (
        "message_delta",
        json!({"type": "message_delta", "delta": {"stop_reason": reason, "stop_sequence": null},
               "usage": {"output_tokens": 15}}),
    )
}

fn stop() -> (&'static str, serde_json::Value) {
    ("message_stop", json!({"type": "message_stop"}))
}

fn ping() -> (&'static str, serde_json::Value) {
    ("ping", json!({"type": "ping"}))
}

fn shown(parts: &[(&str, serde_json::Value)]) -> String {
    let shown: Vec<String> = events(&[sse(parts).as_bytes()])
        .iter()
        .map(|event| format!("{event:?}"))
        .collect();
    shown.join("\n")
}

#[test]
fn a_text_is_read_with_its_counts_and_pings_are_passed_over() {
    insta::assert_snapshot!(shown(&[
        start(),
        block_start(0, &json!({"type": "text", "text": ""})),
        ping(),
        delta(0, &json!({"type": "text_delta", "text": "Hello"})),
        ("of_the_future", json!({"type": "of_the_future", "index": 0})),
        delta(0, &json!({"type": "of_the_future", "text": "x"})),
        delta(0, &json!({"type": "text_delta", "text": "!"})),
        block_stop(0),
        end("end_turn"),
        stop(),
    ]));
}

#[test]
fn thoughts_and_calls_are_read() {
    insta::assert_snapshot!(shown(&[
        start(),
        block_start(0, &json!({"type": "thinking", "thinking": "", "signature": ""})),
        delta(0, &json!({"type": "thinking_delta", "thinking": "I need "})),
        delta(0, &json!({"type": "thinking_delta", "thinking": "the weather."})),
        delta(0, &json!({"type": "signature_delta", "signature": "EqQBCg=="})),
        block_stop(0),
        block_start(1, &json!({"type": "redacted_thinking", "data": "Emw"})),
        block_stop(1),
        block_start(
            2,
            &json!({"type": "tool_use", "id": "toolu_1", "name": "get_weather", "input": {}})
        ),
        delta(2, &json!({"type": "input_json_delta", "partial_json": ""})),
        delta(
            2,
            &json!({"type": "input_json_delta", "partial_json": "{\"location\":"})
        ),
        delta(2, &json!({"type": "input_json_delta", "partial_json": " \"SF\"}"})),
        block_stop(2),
        block_start(
            3,
            &json!({"type": "tool_use", "id": "toolu_2", "name": "now", "input": {}})
        ),
        block_stop(3),
        end("tool_use"),
        stop(),
    ]));
}

#[test]
fn sources_are_read_and_blocks_of_anthropics_own_tools_are_passed_over() {
    insta::assert_snapshot!(shown(&[
        start(),
        block_start(
            0,
            &json!({"type": "server_tool_use", "id": "srvtoolu_1", "name": "web_search", "input": {}})
        ),
        delta(0, &json!({"type": "input_json_delta", "partial_json": "{\"query\":1}"})),
        block_stop(0),
        block_start(
            1,
            &json!({"type": "web_search_tool_result", "tool_use_id": "srvtoolu_1", "content": []})
        ),
        block_stop(1),
        block_start(2, &json!({"type": "text", "text": "", "citations": []})),
        delta(
            2,
            &json!({"type": "citations_delta", "citation": {"type": "web_search_result_location",
            "cited_text": "c", "encrypted_index": "E", "title": "t", "url": "https://example.com"}})
        ),
        delta(2, &json!({"type": "text_delta", "text": "Sunny."})),
        block_stop(2),
        end("end_turn"),
        stop(),
    ]));
}

#[test]
fn a_refusal_ends_the_answer_with_what_the_provider_says_about_it() {
    insta::assert_snapshot!(shown(&[
        start(),
        (
            "message_delta",
            json!({"type": "message_delta", "usage": {"output_tokens": 0}, "delta": {
            "stop_reason": "refusal", "stop_sequence": null,
            "stop_details": {"type": "refusal", "category": null, "explanation": "This could do harm."}}})
        ),
        stop(),
    ]));
}

#[test]
fn an_error_in_the_middle_is_told_and_nothing_comes_after_it() {
    let overloaded = (
        "error",
        json!({"type": "error", "error": {"type": "overloaded_error", "message": "Overloaded"}}),
    );
    let read = events(&[sse(&[start(), overloaded, stop()]).as_bytes()]);
    let Some(Event::Error(error)) = read.last() else {
        panic!("{read:?}");
    };
    assert_eq!(
        error,
        &StreamError {
            kind: ErrorKind::Unavailable,
            message: "Overloaded".to_owned()
        }
    );
    let without_type = ("error", json!({"error": {"message": "out of memory"}}));
    let read = events(&[sse(&[start(), without_type]).as_bytes()]);
    assert!(matches!(read.last(), Some(Event::Error(error)) if error.message == "out of memory"));
}

#[test]
fn a_stream_that_is_cut_ends_with_an_error_unless_the_answer_was_complete() {
    let whole = [
        start(),
        block_start(0, &json!({"type": "text", "text": ""})),
        delta(0, &json!({"type": "text_delta", "text": "Hello"})),
        block_stop(0),
        end("end_turn"),
    ];
    assert!(matches!(events(&[sse(&whole).as_bytes()]).last(), Some(Event::End)));
    for length in 0..whole.len() {
        let read = events(&[sse(&whole[..length]).as_bytes()]);
        assert!(
            matches!(
                read.last(),
                Some(Event::Error(StreamError {
                    kind: ErrorKind::BadUpstream,
                    ..
                }))
            ),
            "{length}: {read:?}"
        );
        assert!(!read.iter().any(|event| matches!(event, Event::End)));
    }
    // The server closed right behind its last event, without the blank line.
    let mut cut = sse(&whole);
    cut.truncate(cut.len() - 2);
    assert!(matches!(events(&[cut.as_bytes()]).last(), Some(Event::End)));
}

#[test]
fn what_is_no_stream_is_an_error() {
    for body in [
        "",
        "<html><body>busy</body></html>",
        "data: <html>\n\n",
        "{\"type\":\"message\"}",
    ] {
        let read = events(&[body.as_bytes()]);
        assert!(matches!(read.as_slice(), [Event::Error(_)]), "{body:?}: {read:?}");
    }
}

#[test]
fn servers_that_are_only_compatible_are_understood() {
    // No start, a text without its start, arguments at the start of a call, no reason of the end.
    insta::assert_snapshot!(shown(&[
        delta(0, &json!({"type": "text_delta", "text": "Hello"})),
        block_start(
            1,
            &json!({"type": "tool_use", "id": "a", "name": "f", "input": {"x": 1}})
        ),
        block_start(
            2,
            &json!({"type": "tool_use", "id": "b", "name": "f", "input": {"x": 2}})
        ),
        delta(2, &json!({"type": "input_json_delta", "partial_json": "{\"x\":3}"})),
        block_stop(1),
        stop(),
    ]));
}

#[test]
fn counts_are_totals_and_the_last_one_counts() {
    let read = events(&[sse(&[
        start(),
        (
            "message_delta",
            json!({"type": "message_delta", "delta": {"stop_reason": "end_turn"},
            "usage": {"input_tokens": 30, "output_tokens": 15}}),
        ),
        stop(),
    ])
    .as_bytes()]);
    let counts: Vec<Usage> = (read.iter())
        .filter_map(|event| match event {
            Event::Usage(usage) => Some(*usage),
            _ => None,
        })
        .collect();
    let usage = |prompt, completion| Usage {
        prompt_tokens: Some(prompt),
        completion_tokens: Some(completion),
        cached_tokens: Some(10),
        ..Usage::default()
    };
    assert_eq!(counts, [usage(35, 1), usage(40, 15)]);
}

fn begin(part: u32, start: PartStart) -> Event {
    Event::PartStart { choice: 0, part, start }
}

fn tool(part: u32, signature: Option<&str>) -> Event {
    begin(
        part,
        PartStart::ToolCall {
            id: format!("call_{part}"),
            name: "f".to_owned(),
            signature: signature.map(ToOwned::to_owned),
        },
    )
}

fn text(part: u32, text: &str) -> Event {
    Event::Text {
        choice: 0,
        part,
        text: text.to_owned(),
        logprobs: None,
    }
}

fn arguments(part: u32, json: &str) -> Event {
    Event::Arguments {
        choice: 0,
        part,
        json: json.to_owned(),
    }
}

const fn part_end(part: u32) -> Event {
    Event::PartEnd { choice: 0, part }
}

fn opened() -> Event {
    Event::Start {
        id: "chatcmpl-1".to_owned(),
        model: "gpt-5".to_owned(),
        created: Some(1),
    }
}

fn finished(finish: Finish) -> Event {
    Event::Finish { choice: 0, finish }
}

fn counted() -> Event {
    Event::Usage(Usage {
        prompt_tokens: Some(100),
        completion_tokens: Some(20),
        cached_tokens: Some(60),
        reasoning_tokens: Some(0),
        ..Usage::default()
    })
}

#[test]
fn a_text_is_written_in_anthropics_order_with_the_counts_at_the_end() {
    insta::assert_snapshot!(stream(&[
        opened(),
        begin(0, PartStart::Thinking),
        Event::Thinking {
            choice: 0,
            part: 0,
            text: "hm".to_owned()
        },
        Event::Signature {
            choice: 0,
            part: 0,
            signature: "sig".to_owned()
        },
        part_end(0),
        begin(1, PartStart::RedactedThinking { data: "Emw".to_owned() }),
        part_end(1),
        begin(2, PartStart::Text),
        text(2, "Hello\n"),
        Event::Citation {
            choice: 0,
            part: 2,
            citation: Citation::Url {
                url: "https://example.com".to_owned(),
                title: None,
                range: None,
                cited_text: Some("c".to_owned())
            },
        },
        text(2, ""),
        text(2, "world"),
        part_end(2),
        finished(Finish::StopSequence(Some("END".to_owned()))),
        counted(),
        Event::End,
    ]));
}

#[test]
fn calls_that_overlap_come_one_after_the_other() {
    insta::assert_snapshot!(stream(&[
        opened(),
        begin(0, PartStart::Text),
        part_end(0),
        tool(1, None),
        tool(2, Some("proof")),
        arguments(2, "{\"b\":"),
        arguments(1, "{\"a\":"),
        tool(3, None),
        arguments(1, "1}"),
        arguments(2, "2}"),
        part_end(2),
        part_end(1),
        arguments(3, "{}"),
        finished(Finish::ToolCalls),
        Event::End,
    ]));
}

#[test]
fn calls_that_overlap_without_end_are_an_error_and_not_a_heap() {
    let mut sent = vec![opened(), tool(0, None), tool(1, None)];
    let piece = "x".repeat(1 << 20);
    sent.extend((0..20).map(|_| arguments(1, &piece)));
    sent.extend([finished(Finish::ToolCalls), Event::End]);
    let told = stream(&sent);
    assert!(
        told.ends_with("overlap by more than 8388608 bytes\"}}\n\n"),
        "{}",
        &told[told.len() - 200..]
    );
    assert_eq!(told.matches("event: content_block_start").count(), 1);
}

#[test]
fn an_error_is_an_event_and_a_stream_without_counts_says_what_was_estimated() {
    insta::assert_snapshot!(stream(&[
        opened(),
        begin(0, PartStart::Refusal),
        Event::Refusal {
            choice: 0,
            part: 0,
            text: "hello world".to_owned()
        },
        part_end(0),
        finished(Finish::Stop),
        Event::End,
    ]));
    insta::assert_snapshot!(
        stream(&[Event::Error(StreamError {
            kind: ErrorKind::BadUpstream,
            message: "broke\noff".to_owned()
        })]),
        @r#"
    event: error
    data: {"type":"error","error":{"type":"api_error","message":"broke\noff"}}

    "#
    );
}

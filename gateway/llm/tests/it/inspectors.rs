use proptest::prelude::*;
use tokenweir_llm::response::{
    MessageUsage, inspect_messages, inspect_responses, usage_of_message_body, usage_of_response_body,
};
use tokenweir_llm::{Chunk, Payload, Usage};

fn of_response(data: &str) -> Chunk {
    match inspect_responses(data.as_bytes()) {
        Payload::Chunk(chunk) => chunk,
        other => panic!("{data} is {other:?}"),
    }
}

fn of_message(data: &str, so_far: &mut MessageUsage) -> Chunk {
    match inspect_messages(data.as_bytes(), so_far) {
        Payload::Chunk(chunk) => chunk,
        other => panic!("{data} is {other:?}"),
    }
}

#[test]
fn the_last_event_of_a_response_gives_its_usage() {
    for name in ["response.completed", "response.incomplete"] {
        let data = format!(
            r#"{{"type":"{name}","sequence_number":9,"response":{{"id":"resp_1","error":null,"output":[{{"type":"message"}}],
            "usage":{{"input_tokens":36,"input_tokens_details":{{"cached_tokens":0,"cache_write_tokens":8}},
            "output_tokens":87,"output_tokens_details":{{"reasoning_tokens":3}},"total_tokens":123}}}}}}"#
        );
        let chunk = of_response(&data);
        assert!(chunk.last && chunk.finished && !chunk.bears_tokens() && !chunk.is_usage_only());
        assert_eq!(
            chunk.usage,
            Some(Usage {
                prompt_tokens: Some(36),
                completion_tokens: Some(87),
                total_tokens: Some(123),
                cached_tokens: Some(0),
                cache_write_tokens: Some(8),
                reasoning_tokens: Some(3),
                ..Usage::default()
            })
        );
    }
}

#[test]
fn every_delta_of_a_response_bears_tokens_and_other_steps_do_not() {
    for name in [
        "response.output_text.delta",
        "response.refusal.delta",
        "response.function_call_arguments.delta",
        "response.reasoning_summary_text.delta",
        "response.reasoning_text.delta",
        "response.custom_tool_call_input.delta",
        "response.code_interpreter_call_code.delta",
    ] {
        let data =
            format!(r#"{{"type":"{name}","item_id":"x","delta":" two words","obfuscation":"abcdefghijklmnop"}}"#);
        assert_eq!(of_response(&data).tokens, 2, "{name}");
    }
    let sound = of_response(r#"{"type":"response.audio.delta","delta":"UklGRv////9XQVZFZm10IBAAAAAB"}"#);
    assert_eq!(sound.tokens, 1);
    let call =
        r#"{"type":"response.output_item.added","item":{"type":"function_call","name":"weather","arguments":""}}"#;
    assert_eq!(of_response(call).tokens, 1);
    for step in [
        r#"{"type":"response.created","response":{"status":"in_progress","usage":null,"error":null}}"#,
        r#"{"type":"response.output_item.added","item":{"type":"message","content":[]}}"#,
        r#"{"type":"response.output_text.done","text":"all that was said"}"#,
        r#"{"type":"response.output_item.done","item":{"type":"function_call","name":"weather"}}"#,
        r#"{"type":"response.an_event_of_next_year","delta":"x"}"#,
    ] {
        let chunk = of_response(step);
        assert!(
            !chunk.bears_tokens() && !chunk.finished && !chunk.last && chunk.usage.is_none(),
            "{step}"
        );
    }
}

#[test]
fn failures_of_a_response_and_foreign_events_are_told_apart() {
    for failure in [
        r#"{"type":"response.failed","response":{"status":"failed","error":{"code":"server_error","message":"x"}}}"#,
        r#"{"type":"error","code":"ERR","message":"x","param":null,"sequence_number":1}"#,
        r#"{"error":{"message":"broke off"}}"#,
    ] {
        assert_eq!(inspect_responses(failure.as_bytes()), Payload::Error, "{failure}");
    }
    assert_eq!(inspect_responses(b" [DONE]"), Payload::Done);
    for other in [
        &b""[..],
        b"{",
        b"[1]",
        b"{}",
        br#"{"type":7}"#,
        br#"{"type":"keepalive"}"#,
        br#"{"type":["response.completed"]}"#,
        br#"{"choices":[]}"#,
    ] {
        assert_eq!(
            inspect_responses(other),
            Payload::Other,
            "{}",
            String::from_utf8_lossy(other)
        );
    }
}

#[test]
fn usage_of_a_whole_response_is_read() {
    let body = br#"{"object":"response","status":"completed","output":[{"usage":{"input_tokens":1}}],
        "usage":{"input_tokens":12,"input_tokens_details":{"cached_tokens":4},"output_tokens":0,
        "output_tokens_details":{"reasoning_tokens":0},"total_tokens":12}}"#;
    assert_eq!(
        usage_of_response_body(body),
        Some(Usage {
            prompt_tokens: Some(12),
            completion_tokens: Some(0),
            total_tokens: Some(12),
            cached_tokens: Some(4),
            reasoning_tokens: Some(0),
            ..Usage::default()
        })
    );
    for nothing in [
        &b"{}"[..],
        b"[]",
        b"x",
        br#"{"usage":null}"#,
        br#"{"usage":{"input_tokens":"1"}}"#,
    ] {
        assert_eq!(
            usage_of_response_body(nothing),
            None,
            "{}",
            String::from_utf8_lossy(nothing)
        );
    }
}

#[test]
fn input_tokens_of_a_message_get_what_the_cache_read_and_wrote() {
    let body = br#"{"type":"message","usage":{"input_tokens":10,"cache_read_input_tokens":100,
        "cache_creation_input_tokens":1000,"cache_creation":{"ephemeral_5m_input_tokens":600,"ephemeral_1h_input_tokens":400},
        "output_tokens":7,"output_tokens_details":{"thinking_tokens":5},"service_tier":"standard"}}"#;
    assert_eq!(
        usage_of_message_body(body),
        Some(Usage {
            prompt_tokens: Some(1110),
            completion_tokens: Some(7),
            cached_tokens: Some(100),
            cache_write_tokens: Some(1000),
            cache_write_1h_tokens: Some(400),
            reasoning_tokens: Some(5),
            ..Usage::default()
        })
    );
    let bare = br#"{"usage":{"input_tokens":0,"output_tokens":0,"cache_read_input_tokens":null}}"#;
    assert_eq!(
        usage_of_message_body(bare),
        Some(Usage {
            prompt_tokens: Some(0),
            completion_tokens: Some(0),
            ..Usage::default()
        })
    );
    let split_alone = br#"{"usage":{"cache_creation":{"ephemeral_5m_input_tokens":6,"ephemeral_1h_input_tokens":4}}}"#;
    assert_eq!(usage_of_message_body(split_alone).unwrap().cache_write_tokens, Some(10));
    let absurd = br#"{"usage":{"input_tokens":18446744073709551615,"cache_read_input_tokens":1}}"#;
    assert_eq!(usage_of_message_body(absurd).unwrap().prompt_tokens, Some(u64::MAX));
    assert_eq!(usage_of_message_body(br#"{"usage":{}}"#), None);
}

#[test]
fn counts_of_a_streamed_message_are_totals_that_later_events_complete() {
    let mut so_far = MessageUsage::default();
    let start = of_message(
        r#"{"type":"message_start","message":{"id":"msg_1","content":[],"stop_reason":null,"usage":{"input_tokens":25,
        "cache_read_input_tokens":5,"cache_creation_input_tokens":3,"cache_creation":{"ephemeral_5m_input_tokens":1,
        "ephemeral_1h_input_tokens":2},"output_tokens":1}}}"#,
        &mut so_far,
    );
    assert_eq!(start.usage.unwrap().prompt_tokens, Some(33));
    assert!(!start.finished && !start.bears_tokens());
    let delta = r#"{"type":"message_delta","delta":{"stop_reason":"end_turn","stop_sequence":null},"usage":{"output_tokens":15}}"#;
    let end = of_message(delta, &mut so_far);
    assert!(end.finished);
    let expected = Usage {
        prompt_tokens: Some(33),
        completion_tokens: Some(15),
        cached_tokens: Some(5),
        cache_write_tokens: Some(3),
        cache_write_1h_tokens: Some(2),
        ..Usage::default()
    };
    assert_eq!(end.usage, Some(expected));
    // The same totals again, and input tokens without those of the cache, change nothing.
    let again = r#"{"type":"message_delta","delta":{},"usage":{"input_tokens":25,"output_tokens":15}}"#;
    let again = of_message(again, &mut so_far);
    assert_eq!((again.usage, again.finished), (Some(expected), false));
    // A later total of the cache holds for the part of it that is not given again.
    let fewer = r#"{"type":"message_delta","delta":{},"usage":{"output_tokens":15,"cache_creation_input_tokens":1}}"#;
    let fewer = of_message(fewer, &mut so_far).usage.unwrap();
    assert_eq!((fewer.prompt_tokens, fewer.cache_write_1h_tokens), (Some(31), Some(1)));
}

#[test]
fn everything_that_a_message_generates_bears_tokens() {
    let mut so_far = MessageUsage::default();
    for (data, tokens) in [
        (
            r#"{"type":"content_block_start","index":0,"content_block":{"type":"text","text":""}}"#,
            0,
        ),
        (
            r#"{"type":"content_block_start","index":0,"content_block":{"type":"tool_use","id":"toolu_1","name":"weather","input":{}}}"#,
            1,
        ),
        (
            r#"{"type":"content_block_start","index":0,"content_block":{"type":"redacted_thinking","data":"EmwKAhgBEgy3va3pzix"}}"#,
            1,
        ),
        (
            r#"{"type":"content_block_delta","index":0,"delta":{"type":"text_delta","text":" two words"}}"#,
            2,
        ),
        (
            r#"{"type":"content_block_delta","index":0,"delta":{"type":"thinking_delta","thinking":" two words"}}"#,
            2,
        ),
        (
            r#"{"type":"content_block_delta","index":0,"delta":{"type":"input_json_delta","partial_json":"{"}}"#,
            1,
        ),
        (
            r#"{"type":"content_block_delta","index":0,"delta":{"type":"signature_delta","signature":"EqQBCgIYAhIM1gbcDa"}}"#,
            0,
        ),
        (r#"{"type":"content_block_stop","index":0}"#, 0),
    ] {
        let chunk = of_message(data, &mut so_far);
        assert_eq!(
            (chunk.tokens, chunk.usage, chunk.is_usage_only()),
            (tokens, None, false),
            "{data}"
        );
    }
}

#[test]
fn the_end_of_a_message_errors_and_foreign_events_are_told_apart() {
    let mut so_far = MessageUsage::default();
    let mut inspect = |data: &[u8]| inspect_messages(data, &mut so_far);
    assert_eq!(inspect(br#"{"type":"message_stop"}"#), Payload::Done);
    assert_eq!(
        inspect(br#"{"type":"error","error":{"type":"overloaded_error","message":"Overloaded"}}"#),
        Payload::Error
    );
    assert_eq!(inspect(br#"{"error":{"message":"broke off"}}"#), Payload::Error);
    for other in [
        &b""[..],
        b"[DONE]",
        b"{",
        b"{}",
        br#"{"type":"ping"}"#,
        br#"{"type":"new","usage":{"input_tokens":1}}"#,
    ] {
        assert_eq!(inspect(other), Payload::Other, "{}", String::from_utf8_lossy(other));
    }
    assert_eq!(so_far.read(), None);
}

#[test]
fn deep_events_cost_no_stack() {
    let depth = 1_000_000;
    let deep = format!("{}{}", "[".repeat(depth), "]".repeat(depth));
    let response = format!(
        r#"{{"x":{deep},"type":"response.completed","delta":{deep},"item":{{"name":{deep}}},"response":{{"output":{deep},"usage":{{"input_tokens":{deep},"total_tokens":4}}}}}}"#
    );
    let message = format!(
        r#"{{"x":{deep},"type":"message_delta","content_block":{{"name":{deep}}},"delta":{{"text":{deep}}},"usage":{{"input_tokens":{deep},"output_tokens":4}}}}"#
    );
    let thread = std::thread::Builder::new().stack_size(128 * 1024);
    let both = move || {
        (
            of_response(&response),
            of_message(&message, &mut MessageUsage::default()),
        )
    };
    let (response, message) = thread.spawn(both).unwrap().join().unwrap();
    assert_eq!(response.usage.unwrap().total_tokens, Some(4));
    assert_eq!(message.usage.unwrap().completion_tokens, Some(4));
}

const VALID: [&str; 3] = [
    r#"{"type":"response.completed","response":{"usage":{"input_tokens":1,"input_tokens_details":{"cached_tokens":1}}}}"#,
    r#"{"type":"message_start","message":{"usage":{"input_tokens":1,"cache_creation":{"ephemeral_1h_input_tokens":1}}}}"#,
    r#"{"type":"content_block_delta","index":0,"delta":{"type":"text_delta","text":"h\u00e9llo"},"usage":{"output_tokens":1}}"#,
];

fn inspect_all(bytes: &[u8]) {
    let _ = inspect_responses(bytes);
    let _ = inspect_messages(bytes, &mut MessageUsage::default());
    let _ = usage_of_response_body(bytes);
    let _ = usage_of_message_body(bytes);
}

proptest! {
    #[test]
    fn no_bytes_panic(bytes in prop::collection::vec(any::<u8>(), 0..300)) {
        inspect_all(&bytes);
    }

    #[test]
    fn no_damaged_event_panics(which in 0..VALID.len(), at in 0usize..100, with in any::<u8>()) {
        let mut bytes = VALID[which].as_bytes().to_vec();
        bytes[at] = with;
        inspect_all(&bytes);
    }
}

use proptest::prelude::*;
use tokenweir_llm::response::{inspect, usage_of_body};
use tokenweir_llm::{Chunk, Payload, Usage};

fn chunk(data: &str) -> Chunk {
    match inspect(data.as_bytes()) {
        Payload::Chunk(chunk) => chunk,
        other => panic!("{data} is {other:?}"),
    }
}

#[test]
fn all_counts_of_a_body_are_read_and_zero_is_not_missing() {
    let body =
        br#"{"id":"x","choices":[{"message":{"content":"usage"}}],"usage":{"prompt_tokens":10,"completion_tokens":0,
        "total_tokens":10,"prompt_tokens_details":{"cached_tokens":0,"audio_tokens":1},
        "completion_tokens_details":{"reasoning_tokens":3}},"new":1}"#;
    assert_eq!(
        usage_of_body(body),
        Some(Usage {
            prompt_tokens: Some(10),
            completion_tokens: Some(0),
            total_tokens: Some(10),
            cached_tokens: Some(0),
            input_audio_tokens: Some(1),
            reasoning_tokens: Some(3),
            ..Usage::default()
        })
    );
}

#[test]
fn counts_of_odd_types_are_missing_and_hide_no_others() {
    let body =
        br#"{"usage":{"prompt_tokens":"10","completion_tokens":12.0,"total_tokens":-1,"prompt_tokens_details":[1],
        "completion_tokens_details":null}}"#;
    let usage = usage_of_body(body).unwrap();
    assert_eq!(
        usage,
        Usage {
            completion_tokens: Some(12),
            ..Usage::default()
        }
    );
    for nothing in [
        &b"{}"[..],
        b"[]",
        b"[{\"prompt_tokens\":1}]",
        b"x",
        br#"{"usage":null}"#,
        br#"{"usage":{}}"#,
        br#"{"usage":[1,2,3]}"#,
        br#"{"usage":{"prompt_tokens":1.5}}"#,
    ] {
        assert_eq!(usage_of_body(nothing), None, "{}", String::from_utf8_lossy(nothing));
    }
}

#[test]
fn chunks_are_told_apart() {
    let role = chunk(
        r#"{"choices":[{"index":0,"delta":{"role":"assistant","content":""},"finish_reason":null}],"usage":null}"#,
    );
    assert!(!role.bears_tokens() && !role.finished && !role.is_usage_only());
    let word = chunk(r#"{"choices":[{"index":0,"delta":{"content":" hello"},"finish_reason":null}]}"#);
    assert_eq!((word.tokens, word.finished, word.choices), (1, false, 1));
    let end = chunk(r#"{"choices":[{"index":0,"delta":{},"finish_reason":"stop"}]}"#);
    assert!(end.finished && !end.bears_tokens());
    let usage = chunk(r#"{"choices":[],"usage":{"prompt_tokens":1,"completion_tokens":2,"total_tokens":3}}"#);
    assert!(usage.is_usage_only());
    assert_eq!(usage.usage.unwrap().completion_tokens, Some(2));
    let both = chunk(r#"{"choices":[{"delta":{"content":"x"}}],"usage":{"completion_tokens":2}}"#);
    assert!(!both.is_usage_only() && both.bears_tokens());
}

#[test]
fn every_kind_of_generated_part_bears_tokens() {
    for delta in [
        r#"{"content":"a"}"#,
        r#"{"reasoning_content":"a"}"#,
        r#"{"reasoning":"a"}"#,
        r#"{"refusal":"no"}"#,
        r#"{"tool_calls":[{"index":0,"function":{"arguments":"{"}}]}"#,
        r#"{"function_call":{"name":"f"}}"#,
        r#"{"audio":{"data":"AA"}}"#,
    ] {
        let data = format!(r#"{{"choices":[{{"delta":{delta}}}]}}"#);
        assert_eq!(chunk(&data).tokens, 1, "{delta}");
    }
    assert_eq!(chunk(r#"{"choices":[{"text":" two words","index":0}]}"#).tokens, 2);
}

#[test]
fn the_end_an_error_and_anything_else_are_told_apart() {
    assert_eq!(inspect(b"[DONE]"), Payload::Done);
    assert_eq!(inspect(b" [DONE] "), Payload::Done);
    assert_eq!(inspect(br#"{"error":{"message":"overloaded"}}"#), Payload::Error);
    assert_eq!(inspect(br#"{"error":"overloaded"}"#), Payload::Error);
    assert!(matches!(inspect(br#"{"error":null,"choices":[]}"#), Payload::Chunk(_)));
    for other in [&b""[..], b"{", b"null", b"[1]", b"{}", br#"{"choices":7}"#] {
        assert_eq!(inspect(other), Payload::Other, "{}", String::from_utf8_lossy(other));
    }
}

#[test]
fn a_deep_answer_costs_no_stack() {
    let depth = 1_000_000;
    let deep = format!("{}{}", "[".repeat(depth), "]".repeat(depth));
    let data = format!(
        r#"{{"x":{deep},"choices":[{{"delta":{{"content":{deep},"y":{deep}}}}}],"usage":{{"prompt_tokens":{deep},"total_tokens":4}}}}"#
    );
    let thread = std::thread::Builder::new().stack_size(128 * 1024);
    let chunk = thread.spawn(move || chunk(&data)).unwrap().join().unwrap();
    assert_eq!(chunk.usage.unwrap().total_tokens, Some(4));
}

proptest! {
    #[test]
    fn foreign_bytes_never_panic(bytes in prop::collection::vec(any::<u8>(), 0..300)) {
        let _ = inspect(&bytes);
        let _ = usage_of_body(&bytes);
    }

    #[test]
    fn damaged_chunks_never_panic(at in 0usize..100, with in any::<u8>()) {
        let mut bytes = br#"{"choices":[{"delta":{"content":"a","tool_calls":[{}]},"finish_reason":null}],"usage":{"total_tokens":1}}"#.to_vec();
        bytes[at] = with;
        let _ = inspect(&bytes);
        let _ = usage_of_body(&bytes);
    }
}

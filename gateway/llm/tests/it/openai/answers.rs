//! Whole answers of Chat Completions, read from providers and told to clients.

use std::sync::Arc;

use tokenweir_llm::conversation::{Answer, Choice, Citation, Finish, Part, PartKind, Request, ToolCall};
use tokenweir_llm::dialect::{AnswerError, ChatCompletions, ClientDialect, Context, ProviderWire};
use tokenweir_llm::{Usage, conversation};

use super::pretty;

fn read(body: &str) -> Answer {
    ChatCompletions::read_answer(body.as_bytes()).unwrap()
}

/// The only choice of an answer with one message.
fn choice(message: &str, end: &str) -> Choice {
    let body = format!(r#"{{"id":"c","model":"m","choices":[{{"index":0,"message":{message},{end}}}]}}"#);
    read(&body).choices.remove(0)
}

fn kinds(choice: Choice) -> Vec<PartKind> {
    choice.parts.into_iter().map(|part| part.kind).collect()
}

fn told(answer: &Answer) -> String {
    let context = Context {
        id: "r1".into(),
        now_unix: 1_700_000_000,
        request: Arc::new(Request {
            model: "alias".to_owned(),
            ..Request::default()
        }),
    };
    pretty(&ChatCompletions::write_answer(answer, &context))
}

#[test]
fn an_answer_with_text_and_all_counts() {
    insta::assert_debug_snapshot!(read(
        r#"{"id":"chatcmpl-B9MBs8","object":"chat.completion","created":1741569952,"model":"gpt-4.1-2025-04-14",
        "choices":[{"index":0,"message":{"role":"assistant","content":"Hello! How can I assist you today?","refusal":null,
        "annotations":[{"type":"url_citation","url_citation":{"end_index":5,"start_index":0,"title":"T","url":"https://u"}}]},
        "logprobs":{"content":[{"token":"Hello","logprob":-0.3,"bytes":[72],"top_logprobs":[]}],"refusal":null},
        "finish_reason":"stop"}],
        "usage":{"prompt_tokens":19,"completion_tokens":10,"total_tokens":29,
        "prompt_tokens_details":{"cached_tokens":0,"audio_tokens":0,"cache_write_tokens":7},
        "completion_tokens_details":{"reasoning_tokens":0,"audio_tokens":0,"accepted_prediction_tokens":0}},
        "service_tier":"default"}"#
    ));
}

#[test]
fn calls_end_an_answer_whatever_its_reason_says() {
    let call = r#"{"role":"assistant","content":null,"tool_calls":[{"id":"call_abc123","type":"function",
        "function":{"name":"get_current_weather","arguments":"{\n\"location\": \"Boston, MA\"\n}"}}]}"#;
    for reason in ["tool_calls", "stop", "function_call", "eos"] {
        let choice = choice(call, &format!(r#""finish_reason":"{reason}""#));
        assert_eq!(choice.finish, Finish::ToolCalls, "{reason}");
        insta::allow_duplicates! { insta::assert_debug_snapshot!(kinds(choice)); }
    }
}

#[test]
fn calls_of_servers_that_are_less_exact_are_read() {
    let choice = choice(
        r#"{"tool_calls":[{"function":{"name":"a","arguments":{"x":1}}},{"id":"","function":{"name":"b"}},{"function":{}}]}"#,
        r#""finish_reason":"tool_calls""#,
    );
    let calls: Vec<ToolCall> = (kinds(choice).into_iter())
        .filter_map(|kind| match kind {
            PartKind::ToolCall(call) => Some(call),
            _ => None,
        })
        .collect();
    assert_eq!(calls.len(), 2);
    assert_eq!(
        (calls[0].arguments.as_str(), calls[1].arguments.as_str()),
        (r#"{"x":1}"#, "")
    );
    assert_ne!(calls[0].id, calls[1].id);
    assert!(
        calls
            .iter()
            .all(|call| call.id.starts_with("call_") && call.id.len() <= 40)
    );
}

#[test]
fn reasons_of_all_servers_are_known() {
    let finish = |message: &str, end: &str| choice(message, end).finish;
    let text = r#"{"content":"x"}"#;
    for (end, expected) in [
        (r#""finish_reason":"stop""#, Finish::Stop),
        (r#""finish_reason":"length""#, Finish::Length),
        (r#""finish_reason":"content_filter""#, Finish::ContentFilter),
        (r#""finish_reason":"model_length""#, Finish::ContextFull),
        (r#""finish_reason":"eos_token""#, Finish::Stop),
        (r#""finish_reason":null"#, Finish::Stop),
        (
            r#""finish_reason":"stop","stop_reason":"END""#,
            Finish::StopSequence(Some("END".to_owned())),
        ),
        (r#""finish_reason":"stop","stop_reason":128009"#, Finish::Stop),
        (r#""finish_reason":"stop_sequence""#, Finish::StopSequence(None)),
    ] {
        assert_eq!(finish(text, end), expected, "{end}");
    }
    let refused = r#"{"content":null,"refusal":"I'm sorry, I cannot assist with that request."}"#;
    assert_eq!(finish(refused, r#""finish_reason":"stop""#), Finish::Refusal);
}

#[test]
fn thoughts_are_read_under_all_their_names() {
    let thoughts = |message: &str| kinds(choice(message, r#""finish_reason":"stop""#));
    let signed = [
        r#"{"content":"4","reasoning_content":"t","thinking_blocks":[{"type":"thinking","thinking":"t","signature":"s"}]}"#,
        r#"{"content":"4","reasoning":"t","reasoning_details":[{"type":"reasoning.text","text":"t","signature":"s"}]}"#,
    ];
    let clear = [
        r#"{"content":"4","reasoning_content":"t"}"#,
        r#"{"content":"4","reasoning":"t"}"#,
        r#"{"content":"4","reasoning":"t","reasoning_content":null}"#,
    ];
    for (messages, signature) in [(&signed[..], Some("s")), (&clear[..], None)] {
        for message in messages {
            let expected = PartKind::Thinking {
                text: "t".to_owned(),
                signature: signature.map(ToOwned::to_owned),
            };
            let parts = thoughts(message);
            assert_eq!((parts.len(), &parts[0]), (2, &expected), "{message}");
        }
    }
    // Mistral's.
    insta::assert_debug_snapshot!(thoughts(
        r#"{"content":[{"type":"thinking","thinking":[{"type":"text","text":"Let me"},{"type":"text","text":" see"}]},
        {"type":"text","text":"4"}]}"#
    ));
}

#[test]
fn what_is_no_answer_is_refused_without_being_quoted() {
    for body in [
        "<html>secret</html>",
        "",
        "[]",
        r#"{"choices":[]}"#,
        r#"{"choices":[{"delta":{}}]}"#,
        r#"{"error":{"message":"secret"}}"#,
    ] {
        let error = ChatCompletions::read_answer(body.as_bytes()).unwrap_err();
        assert!(matches!(error, AnswerError::Malformed { .. }));
        assert!(!error.to_string().contains("secret"), "{error}");
    }
}

#[test]
fn an_answer_with_everything_is_told() {
    let text = |text: &str, citations| {
        Part::new(
            PartKind::Text {
                text: text.to_owned(),
                citations,
            },
            "",
        )
    };
    let url = |range| Citation::Url {
        url: "https://example.com".to_owned(),
        title: Some("Example".to_owned()),
        range,
        cited_text: None,
    };
    let document: conversation::Json = serde_json::from_str(r#"{"type":"page_location"}"#).unwrap();
    let thought = PartKind::Thinking {
        text: "Two calls".to_owned(),
        signature: Some("proof".to_owned()),
    };
    let call = |id: &str, signature: Option<&str>| {
        Part::new(
            PartKind::ToolCall(ToolCall {
                id: id.to_owned(),
                name: "look".to_owned(),
                arguments: "{}".to_owned(),
                signature: signature.map(ToOwned::to_owned),
            }),
            "",
        )
    };
    insta::assert_snapshot!(told(&Answer {
        id: "msg_1".to_owned(),
        model: String::new(),
        created: None,
        choices: vec![
            Choice {
                parts: vec![
                    Part::new(thought, ""),
                    Part::new(
                        PartKind::RedactedThinking {
                            data: "eA==".to_owned()
                        },
                        ""
                    ),
                    text("Ünï ", vec![url(None)]),
                    text("code", vec![url(Some((0, 2))), Citation::Document(document)]),
                    call("toolu_1", None),
                    call("toolu_2", Some("c2ln")),
                ],
                finish: Finish::ToolCalls,
                logprobs: None,
            },
            Choice {
                parts: vec![Part::new(PartKind::Refusal { text: "No.".to_owned() }, "")],
                finish: Finish::Refusal,
                logprobs: None,
            },
        ],
        usage: Usage {
            prompt_tokens: Some(10),
            completion_tokens: Some(20),
            cached_tokens: Some(0),
            cache_write_tokens: Some(4),
            reasoning_tokens: Some(8),
            ..Usage::default()
        },
    }));
}

#[test]
fn the_least_that_a_provider_can_say_is_told() {
    insta::assert_snapshot!(told(&Answer {
        choices: vec![Choice::default()],
        ..Answer::default()
    }));
}

#[test]
fn every_end_has_a_reason_that_clients_know() {
    let reason = |finish: Finish| {
        let body = told(&Answer {
            choices: vec![Choice {
                finish,
                ..Choice::default()
            }],
            ..Answer::default()
        });
        let body: serde_json::Value = serde_json::from_str(&body).unwrap();
        body["choices"][0]["finish_reason"].as_str().unwrap().to_owned()
    };
    for (finish, expected) in [
        (Finish::Stop, "stop"),
        (Finish::StopSequence(None), "stop"),
        (Finish::Length, "length"),
        (Finish::ContextFull, "length"),
        (Finish::Pause, "length"),
        (Finish::ToolCalls, "tool_calls"),
        (Finish::ContentFilter, "content_filter"),
        // Without words of the model's own it was cut off.
        (Finish::Refusal, "content_filter"),
    ] {
        assert_eq!(reason(finish.clone()), expected, "{finish:?}");
    }
}

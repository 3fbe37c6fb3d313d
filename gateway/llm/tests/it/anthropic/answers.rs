//! Whole answers, both ways.

use serde_json::{Value, json};
use tokenweir_llm::Usage;
use tokenweir_llm::conversation::{Answer, Choice, Citation, Event, Finish, Part, PartKind, ToolCall};
use tokenweir_llm::dialect::{AnswerError, ClientDialect, Context, Messages, ProviderWire};

use super::{context, value};

fn message(fields: &Value) -> Answer {
    let mut body = json!({
        "id": "msg_013Zva2CMHLNnjNjJJKqJ2EF", "type": "message", "role": "assistant", "model": "claude-opus-4-5",
        "content": [], "stop_reason": "end_turn", "stop_sequence": null,
        "usage": {"input_tokens": 2095, "output_tokens": 503},
    });
    body.as_object_mut()
        .unwrap()
        .extend(fields.as_object().unwrap().clone());
    Messages::read_answer(body.to_string().as_bytes()).unwrap()
}

#[test]
fn text_is_read_with_all_counts() {
    insta::assert_debug_snapshot!(message(&json!({
        "content": [{"type": "text", "text": "Hi! My name is Claude."}],
        "usage": {
            "input_tokens": 2095, "output_tokens": 503, "cache_creation_input_tokens": 2051,
            "cache_read_input_tokens": 2001, "service_tier": "standard",
            "cache_creation": {"ephemeral_5m_input_tokens": 51, "ephemeral_1h_input_tokens": 2000},
            "output_tokens_details": {"thinking_tokens": 0},
        },
    })));
}

#[test]
fn a_count_of_zero_is_a_count() {
    let usage = message(&json!({"usage": {"input_tokens": 0, "output_tokens": 0, "cache_read_input_tokens": 0}})).usage;
    assert_eq!(
        usage,
        Usage {
            prompt_tokens: Some(0),
            completion_tokens: Some(0),
            cached_tokens: Some(0),
            ..Usage::default()
        }
    );
    assert!(message(&json!({"usage": null})).usage.is_empty());
}

#[test]
fn calls_thoughts_and_sources_are_read_and_results_of_anthropics_own_tools_are_passed_over() {
    insta::assert_debug_snapshot!(
        message(&json!({
            "stop_reason": "tool_use",
            "content": [
                {"type": "thinking", "thinking": "Let me see.", "signature": "EqQBCg=="},
                {"type": "redacted_thinking", "data": "EmwKAhgB"},
                {"type": "server_tool_use", "id": "srvtoolu_1", "name": "web_search", "input": {"query": "x"}},
                {"type": "web_search_tool_result", "tool_use_id": "srvtoolu_1", "content": []},
                {"type": "text", "text": "the grass is green", "citations": [
                    {"type": "char_location", "cited_text": "The grass is green.", "document_index": 0,
                     "document_title": "Example", "start_char_index": 0, "end_char_index": 20},
                    {"type": "web_search_result_location", "cited_text": "", "encrypted_index": "Eo8B",
                     "title": null, "url": "https://example.com"},
                ]},
                {"type": "tool_use", "id": "toolu_1", "name": "get_weather", "input": {"location": "SF"}},
                {"type": "tool_use", "id": "toolu_2", "name": "now", "input": {}},
            ],
        }))
        .choices
    );
}

#[test]
fn every_reason_of_an_end_is_told_and_found_again() {
    let shown: Vec<String> = [
        json!("end_turn"),
        json!("max_tokens"),
        json!("stop_sequence"),
        json!("tool_use"),
        json!("pause_turn"),
        json!("refusal"),
        json!("model_context_window_exceeded"),
        json!("of_the_future"),
        Value::Null,
    ]
    .into_iter()
    .map(|reason| {
        let answer = message(&json!({"stop_reason": reason, "stop_sequence": "END"}));
        let finish = answer.choices[0].finish.clone();
        let written = value(&Messages::write_answer(&answer, &context()));
        format!(
            "{reason}: {finish:?} -> {} {}",
            written["stop_reason"], written["stop_sequence"]
        )
    })
    .collect();
    insta::assert_snapshot!(shown.join("\n"));
}

#[test]
fn the_provider_says_why_it_refused() {
    let answer = message(&json!({
        "stop_reason": "refusal",
        "stop_details": {"type": "refusal", "category": "cyber", "explanation": "This could do harm."},
    }));
    assert_eq!(answer.choices[0].finish, Finish::Refusal);
    assert_eq!(
        answer.choices[0].parts,
        [Part::new(
            PartKind::Refusal {
                text: "This could do harm.".to_owned()
            },
            ""
        )]
    );
}

#[test]
fn what_is_no_message_is_an_error() {
    for body in [
        &b"<html>"[..],
        b"[]",
        b"{}",
        br#"{"type":"error","error":{"message":"x"}}"#,
        br#"{"content":"a"}"#,
    ] {
        let AnswerError::Malformed { wire, why } = Messages::read_answer(body).unwrap_err();
        assert_eq!(wire, "Anthropic Messages");
        assert!(!why.is_empty());
    }
}

fn answer(parts: Vec<PartKind>, finish: Finish) -> Answer {
    Answer {
        id: "chatcmpl-1".to_owned(),
        model: "gpt-5".to_owned(),
        created: Some(1),
        choices: vec![Choice {
            parts: parts.into_iter().map(|kind| Part::new(kind, "")).collect(),
            finish,
            logprobs: None,
        }],
        usage: Usage {
            prompt_tokens: Some(100),
            completion_tokens: Some(20),
            total_tokens: Some(120),
            cached_tokens: Some(60),
            reasoning_tokens: Some(5),
            ..Usage::default()
        },
    }
}

#[test]
fn answers_of_other_providers_have_the_shape_of_a_message() {
    let call = |id: &str, arguments: &str, signature: Option<&str>| {
        PartKind::ToolCall(ToolCall {
            id: id.to_owned(),
            name: "f".to_owned(),
            arguments: arguments.to_owned(),
            signature: signature.map(ToOwned::to_owned),
        })
    };
    let parts = vec![
        PartKind::Thinking {
            text: "hm".to_owned(),
            signature: None,
        },
        PartKind::Text {
            text: String::new(),
            citations: Vec::new(),
        },
        PartKind::Text {
            text: "green".to_owned(),
            citations: vec![Citation::Url {
                url: "https://example.com".to_owned(),
                title: Some("Lawn".to_owned()),
                range: Some((0, 5)),
                cited_text: None,
            }],
        },
        call("call_1", r#"{"a": 1}"#, None),
        call("call_2", "", Some("proof")),
        call("call_3", "{\"cut", None),
    ];
    let body = Messages::write_answer(&answer(parts, Finish::ToolCalls), &context());
    insta::assert_json_snapshot!(value(&body));
}

#[test]
fn a_refusal_in_a_part_of_its_own_is_text_and_the_reason_of_the_end() {
    let refusal = PartKind::Refusal { text: "No.".to_owned() };
    let body = value(&Messages::write_answer(
        &answer(vec![refusal], Finish::Stop),
        &context(),
    ));
    assert_eq!(body["content"], json!([{"type": "text", "text": "No."}]));
    assert_eq!(body["stop_reason"], "refusal");
}

#[test]
fn a_client_that_wants_no_thoughts_gets_their_proofs_alone() {
    let thought = |signature: Option<&str>| PartKind::Thinking {
        text: "hm".to_owned(),
        signature: signature.map(ToOwned::to_owned),
    };
    let body =
        json!({"model": "m", "max_tokens": 1, "messages": [], "thinking": {"type": "adaptive", "display": "omitted"}});
    let hidden = Context {
        request: Messages::read_request(body.to_string().as_bytes()).unwrap().into(),
        ..context()
    };
    let answer = answer(vec![thought(Some("sig")), thought(None)], Finish::Stop);
    let body = value(&Messages::write_answer(&answer, &hidden));
    assert_eq!(
        body["content"],
        json!([{"type": "thinking", "thinking": "", "signature": "sig"}])
    );
    let told: Vec<Event> = super::told::as_events(&answer);
    let mut writer = <Messages as ClientDialect>::stream(hidden);
    let mut out = Vec::new();
    for event in &told {
        writer.write(event, &mut out);
    }
    let sent = String::from_utf8(out).unwrap();
    assert!(
        !sent.contains("hm") && sent.contains(r#"{"type":"signature_delta","signature":"sig"}"#),
        "{sent}"
    );
    assert_eq!(sent.matches("event: content_block_start").count(), 1);
}

#[test]
fn counts_that_the_provider_did_not_give_are_estimates() {
    let mut unknown = answer(
        vec![PartKind::Text {
            text: "hello world".to_owned(),
            citations: Vec::new(),
        }],
        Finish::Stop,
    );
    unknown.usage = Usage::default();
    unknown.id = String::new();
    let body = value(&Messages::write_answer(&unknown, &context()));
    assert_eq!(body["usage"], json!({"input_tokens": 6, "output_tokens": 2}));
    assert_eq!(body["id"], "msg_req1");
}

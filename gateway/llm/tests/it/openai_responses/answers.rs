use serde_json::Value;
use serde_json::value::RawValue;
use tokenweir_llm::conversation::{Answer, Choice, Citation, Finish, Media, Part, PartKind, Source, ToolCall};
use tokenweir_llm::dialect::openai_responses::Responses;
use tokenweir_llm::dialect::{ClientDialect, ProviderError};
use tokenweir_llm::{ErrorKind, Usage};

use super::{context, json};

const PLAIN: &str = r#"{"model":"assistant","input":"hi"}"#;

fn answer(kinds: Vec<PartKind>, finish: Finish) -> Answer {
    Answer {
        id: "chatcmpl-1".to_owned(),
        model: "gpt-5-2025".to_owned(),
        created: Some(1_741_476_500),
        choices: vec![Choice {
            parts: kinds.into_iter().map(|kind| Part::new(kind, "")).collect(),
            finish,
            logprobs: None,
        }],
        usage: Usage::default(),
    }
}

fn text(text: &str) -> PartKind {
    PartKind::Text {
        text: text.to_owned(),
        citations: Vec::new(),
    }
}

fn write(answer: &Answer, request: &str) -> Value {
    json(&Responses::write_answer(answer, &context(request)))
}

fn call(id: &str, arguments: &str, signature: Option<&str>) -> PartKind {
    PartKind::ToolCall(ToolCall {
        id: id.to_owned(),
        name: "weather".to_owned(),
        arguments: arguments.to_owned(),
        signature: signature.map(str::to_owned),
    })
}

#[test]
fn a_response_has_every_field_and_shows_its_request_again() {
    let request = r#"{"model":"assistant","instructions":"Be terse.","input":"hi","max_output_tokens":50,"temperature":0.5,
        "top_p":1,"parallel_tool_calls":false,"tool_choice":{"type":"function","name":"weather"},"user":"u",
        "reasoning":{"effort":"low","summary":"auto"},"metadata":{"a":"b"},"prompt_cache_key":"k","top_logprobs":2,
        "tools":[{"type":"function","name":"weather","description":"d","parameters":{"type": "object"},"strict":true}],
        "text":{"format":{"type":"json_schema","name":"out","schema":{"type":"object"}}}}"#;
    let mut answer = answer(vec![text("Hello.")], Finish::Stop);
    answer.usage = Usage {
        prompt_tokens: Some(36),
        completion_tokens: Some(87),
        cached_tokens: Some(4),
        reasoning_tokens: Some(3),
        ..Usage::default()
    };
    insta::assert_json_snapshot!(write(&answer, request));
}

#[test]
fn what_was_not_said_is_shown_as_the_default_or_as_unknown() {
    let answer = Answer {
        choices: vec![Choice::default()],
        ..Answer::default()
    };
    insta::assert_json_snapshot!(write(&answer, PLAIN));
}

#[test]
fn parts_become_items_in_their_order() {
    let thought = PartKind::Thinking {
        text: "Two calls.".to_owned(),
        signature: Some("c2ln".to_owned()),
    };
    let hidden = PartKind::RedactedThinking {
        data: "ZGF0YQ==".to_owned(),
    };
    let cited = PartKind::Text {
        text: "Grüße".to_owned(),
        citations: vec![
            Citation::Url {
                url: "https://a.example".to_owned(),
                title: Some("A".to_owned()),
                range: Some((1, 3)),
                cited_text: Some("not shown".to_owned()),
            },
            Citation::Url {
                url: "https://b.example".to_owned(),
                title: None,
                range: None,
                cited_text: None,
            },
            Citation::Document(RawValue::TRUE.to_owned()),
        ],
    };
    let image = PartKind::Image {
        source: Source::Inline(Media {
            media_type: "image/webp".to_owned(),
            base64: "AAAA".to_owned(),
        }),
        detail: None,
    };
    let refusal = PartKind::Refusal { text: "no".to_owned() };
    let kinds = vec![
        thought,
        hidden,
        text(""),
        text("I look."),
        cited,
        refusal,
        call("call_1", r#"{"city":"Paris"}"#, Some("cHJvb2Y=")),
        call("", "", None),
        image,
        text("Done."),
    ];
    let written = write(&answer(kinds, Finish::ToolCalls), PLAIN);
    assert_eq!(written["status"], "completed");
    insta::assert_json_snapshot!(written["output"]);
}

#[test]
fn an_answer_that_was_cut_says_why_and_so_does_its_last_item() {
    for (finish, status, reason) in [
        (Finish::Stop, "completed", Value::Null),
        (Finish::StopSequence(Some("x".to_owned())), "completed", Value::Null),
        (Finish::ToolCalls, "completed", Value::Null),
        (Finish::Length, "incomplete", "max_output_tokens".into()),
        (Finish::ContextFull, "incomplete", "max_output_tokens".into()),
        (Finish::Pause, "incomplete", "max_output_tokens".into()),
        (Finish::ContentFilter, "incomplete", "content_filter".into()),
        (Finish::Refusal, "incomplete", "content_filter".into()),
    ] {
        let written = write(
            &answer(vec![call("call_1", "{}", None), text("I")], finish.clone()),
            PLAIN,
        );
        assert_eq!(written["status"], status, "{finish:?}");
        let why = &written["incomplete_details"];
        assert_eq!(if why.is_null() { why } else { &why["reason"] }, &reason, "{finish:?}");
        assert_eq!(written["output"][0]["status"], "completed");
        assert_eq!(written["output"][1]["status"], status, "{finish:?}");
    }
    let words = PartKind::Refusal { text: "no".to_owned() };
    let refused = write(&answer(vec![words], Finish::Refusal), PLAIN);
    assert_eq!(
        (&refused["status"], &refused["output"][0]["content"][0]["refusal"]),
        (&"completed".into(), &"no".into())
    );
    let cut = write(&answer(vec![call("call_1", "", None)], Finish::Length), PLAIN);
    assert_eq!(cut["output"][0]["arguments"], "");
}

#[test]
fn counts_that_are_zero_are_shown_and_an_unknown_usage_is_null() {
    let mut answer = answer(vec![text("x")], Finish::Stop);
    assert!(write(&answer, PLAIN)["usage"].is_null());
    answer.usage = Usage {
        prompt_tokens: Some(0),
        completion_tokens: Some(0),
        total_tokens: Some(5),
        cache_write_tokens: Some(0),
        ..Usage::default()
    };
    let usage = &write(&answer, PLAIN)["usage"];
    assert_eq!(
        usage.to_string(),
        r#"{"input_tokens":0,"input_tokens_details":{"cache_write_tokens":0,"cached_tokens":0},"output_tokens":0,"output_tokens_details":{"reasoning_tokens":0},"total_tokens":5}"#
    );
}

#[test]
fn log_probabilities_stand_with_the_first_text() {
    let mut answer = answer(vec![text("a"), text("b")], Finish::Stop);
    let token = r#"{"token":"a","logprob":-0.1,"bytes":[97],"top_logprobs":[]}"#;
    let chat = format!(r#"{{"content":[{token}],"refusal":null}}"#);
    answer.choices[0].logprobs = Some(RawValue::from_string(chat).unwrap());
    let written = write(&answer, PLAIN);
    let content = &written["output"][0]["content"];
    assert_eq!(content[0]["logprobs"][0], json(token.as_bytes()));
    assert_eq!(content[1]["logprobs"], json(b"[]"));
}

#[test]
fn errors_are_those_of_openai() {
    let error = |kind, context_overflow| {
        let body = Responses::write_error(&ProviderError {
            kind,
            message: "why".to_owned(),
            code: Some("overloaded_error".to_owned()),
            context_overflow,
        });
        String::from_utf8(body).unwrap()
    };
    assert_eq!(
        error(ErrorKind::Unavailable, false),
        r#"{"error":{"message":"why","type":"server_error","param":null,"code":"overloaded_error"}}"#
    );
    assert_eq!(
        error(ErrorKind::InvalidRequest, true),
        r#"{"error":{"message":"why","type":"invalid_request_error","param":null,"code":"context_length_exceeded"}}"#
    );
}

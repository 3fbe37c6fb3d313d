//! Streams that are told to clients of Chat Completions.

use std::sync::Arc;

use tokenweir_llm::conversation::{Citation, Event, Finish, PartStart, Request, StreamError};
use tokenweir_llm::dialect::{ChatCompletions, ClientDialect, Context, ProviderWire};
use tokenweir_llm::{ErrorKind, Usage};

use super::streams::{events, show};

fn told(events: &[Event], include_usage: bool) -> String {
    let request = Request {
        model: "alias".to_owned(),
        include_usage,
        ..Request::default()
    };
    let mut writer = <ChatCompletions as ClientDialect>::stream(Context {
        id: "r1".into(),
        now_unix: 1_700_000_000,
        request: Arc::new(request),
    });
    let mut out = Vec::new();
    for event in events {
        writer.write(event, &mut out);
    }
    String::from_utf8(out).unwrap()
}

fn start() -> Event {
    Event::Start {
        id: "msg_1".to_owned(),
        model: "model-x".to_owned(),
        created: None,
    }
}

fn part(part: u32, start: PartStart) -> Event {
    Event::PartStart { choice: 0, part, start }
}

fn text(part: u32, text: &str) -> Event {
    Event::Text {
        choice: 0,
        part,
        text: text.to_owned(),
        logprobs: None,
    }
}

fn usage() -> Event {
    Event::Usage(Usage {
        prompt_tokens: Some(9),
        completion_tokens: Some(0),
        cached_tokens: Some(4),
        ..Usage::default()
    })
}

fn finish(finish: Finish) -> Event {
    Event::Finish { choice: 0, finish }
}

fn call(number: u32, id: &str, signature: Option<&str>) -> Event {
    let (id, name) = (id.to_owned(), "look".to_owned());
    let signature = signature.map(ToOwned::to_owned);
    part(number, PartStart::ToolCall { id, name, signature })
}

fn arguments(part: u32, json: &str) -> Event {
    Event::Arguments {
        choice: 0,
        part,
        json: json.to_owned(),
    }
}

/// All that can happen in a stream.
fn everything() -> Vec<Event> {
    let thinking = |text: &str| Event::Thinking {
        choice: 0,
        part: 0,
        text: text.to_owned(),
    };
    let citation = |range| Event::Citation {
        choice: 0,
        part: 3,
        citation: Citation::Url {
            url: "https://u".to_owned(),
            title: None,
            range,
            cited_text: None,
        },
    };
    let end = |part| Event::PartEnd { choice: 0, part };
    vec![
        start(),
        usage(),
        part(0, PartStart::Thinking),
        thinking("Let me"),
        thinking(" see"),
        Event::Signature {
            choice: 0,
            part: 0,
            signature: "proof".to_owned(),
        },
        end(0),
        part(
            1,
            PartStart::RedactedThinking {
                data: "eA==".to_owned(),
            },
        ),
        end(1),
        part(2, PartStart::Text),
        text(2, "Ünï"),
        end(2),
        part(3, PartStart::Text),
        text(3, "code"),
        citation(None),
        citation(Some((1, 2))),
        end(3),
        call(4, "toolu_1", None),
        arguments(4, "{\"x\""),
        call(5, "toolu_2", Some("c2ln")),
        arguments(5, "{}"),
        arguments(4, ":1}"),
        end(4),
        end(5),
        finish(Finish::ToolCalls),
        usage(),
        Event::End,
    ]
}

#[test]
fn everything_is_told_in_chunks_that_openais_packages_can_join() {
    insta::assert_snapshot!(told(&everything(), true));
}

#[test]
fn what_is_told_reads_back_as_the_same_parts() {
    let read = show(&events(&[told(&everything(), true).as_bytes()]));
    insta::assert_snapshot!(read);
}

#[test]
fn usage_is_told_only_when_asked_for() {
    let events = [start(), usage(), finish(Finish::Stop), usage(), Event::End];
    let quiet = told(&events, false);
    assert!(!quiet.contains("usage") && quiet.ends_with("data: [DONE]\n\n"));
    let asked = told(&events, true);
    assert_eq!(asked.matches(r#""usage":null"#).count(), 2);
    assert_eq!(asked.matches(r#""choices":[],"usage":{"prompt_tokens":9,"#).count(), 1);
    // None was given: a chunk of zeros would be a claim.
    let unknown = told(&[start(), finish(Finish::Stop), Event::End], true);
    assert!(!unknown.contains("prompt_tokens"));
}

#[test]
fn each_choice_begins_with_its_role() {
    let second = Event::PartStart {
        choice: 1,
        part: 0,
        start: PartStart::Text,
    };
    let told = told(&[start(), second, finish(Finish::Stop)], false);
    let roles: Vec<&str> = told.lines().filter(|line| line.contains("role")).collect();
    assert_eq!(roles.len(), 2);
    assert!(roles[0].contains(r#""index":0"#) && roles[1].contains(r#""index":1"#));
}

#[test]
fn a_call_without_arguments_has_an_empty_object_of_them() {
    let end = Event::PartEnd { choice: 0, part: 0 };
    let told = told(&[start(), call(0, "a", None), end], false);
    assert_eq!(told.matches(r#""function":{"arguments":"{}"}"#).count(), 1, "{told}");
}

#[test]
fn an_error_is_an_event_and_no_done_follows() {
    let error = Event::Error(StreamError {
        kind: ErrorKind::BadUpstream,
        message: "Overloaded".to_owned(),
    });
    insta::assert_snapshot!(told(&[start(), error], false));
}

#[test]
fn a_refusal_ends_as_openais_does() {
    let refusal = Event::Refusal {
        choice: 0,
        part: 0,
        text: "No.".to_owned(),
    };
    let events = [
        start(),
        part(0, PartStart::Refusal),
        refusal,
        finish(Finish::Refusal),
        Event::End,
    ];
    let told = told(&events, false);
    assert!(told.contains(r#""delta":{"refusal":"No."}"#) && told.contains(r#""finish_reason":"stop""#));
}

#[test]
fn a_thought_too_long_to_be_signed_is_told_without_its_proof() {
    let long = Event::Thinking {
        choice: 0,
        part: 0,
        text: "x".repeat(3 * 1024 * 1024),
    };
    let signature = Event::Signature {
        choice: 0,
        part: 0,
        signature: "proof".to_owned(),
    };
    let begin = part(0, PartStart::Thinking);
    let short = [start(), begin.clone(), long.clone(), signature.clone()];
    assert!(told(&short, false).contains("proof"));
    assert!(!told(&[start(), begin, long.clone(), long, signature], false).contains("proof"));
    assert_eq!(ChatCompletions::NAME, "OpenAI Chat Completions");
}

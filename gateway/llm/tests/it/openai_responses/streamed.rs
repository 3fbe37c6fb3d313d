use std::fmt::Write as _;

use serde_json::Value;
use serde_json::value::RawValue;
use tokenweir_llm::conversation::{Citation, Event, Finish, PartStart, StreamError};
use tokenweir_llm::dialect::ClientDialect;
use tokenweir_llm::dialect::openai_responses::Responses;
use tokenweir_llm::sse::Parser;
use tokenweir_llm::{ErrorKind, Usage};

use super::context;

const PLAIN: &str = r#"{"model":"assistant","input":"hi","stream":true}"#;

pub fn begin() -> Event {
    Event::Start {
        id: "chatcmpl-1".to_owned(),
        model: "gpt-5-2025".to_owned(),
        created: Some(1_741_476_500),
    }
}

pub fn open(part: u32, start: PartStart) -> Event {
    Event::PartStart { choice: 0, part, start }
}

pub fn say(part: u32, text: &str) -> Event {
    Event::Text {
        choice: 0,
        part,
        text: text.to_owned(),
        logprobs: None,
    }
}

pub fn tool(part: u32, id: &str, signature: Option<&str>) -> Event {
    let start = PartStart::ToolCall {
        id: id.to_owned(),
        name: "weather".to_owned(),
        signature: signature.map(str::to_owned),
    };
    open(part, start)
}

pub fn arguments(part: u32, json: &str) -> Event {
    Event::Arguments {
        choice: 0,
        part,
        json: json.to_owned(),
    }
}

pub const fn close(part: u32) -> Event {
    Event::PartEnd { choice: 0, part }
}

pub const fn finish(finish: Finish) -> Event {
    Event::Finish { choice: 0, finish }
}

pub fn bytes(request: &str, events: &[Event]) -> Vec<u8> {
    let mut writer = Responses::stream(context(request));
    let mut out = Vec::new();
    for event in events {
        writer.write(event, &mut out);
    }
    out
}

/// The events as a client reads them; the name of each is its type.
pub fn read(bytes: &[u8]) -> Vec<Value> {
    let mut parser = Parser::new(usize::MAX);
    parser.push(bytes.to_vec().into());
    let mut events = Vec::new();
    while let Some(event) = parser.next_event().unwrap() {
        let data: Value = serde_json::from_slice(event.data().unwrap()).unwrap();
        assert_eq!(data["type"].as_str().unwrap().as_bytes(), &**event.name().unwrap());
        events.push(data);
    }
    assert!(parser.finish().is_none());
    events
}

/// The events, one a line, with the response itself left out but for what changes.
fn story(events: &[Event]) -> String {
    let mut out = String::new();
    for mut event in read(&bytes(PLAIN, events)) {
        if let Some(response) = event.get_mut("response") {
            let kept = ["id", "status", "error", "incomplete_details", "output", "usage"];
            response
                .as_object_mut()
                .unwrap()
                .retain(|key, _| kept.contains(&key.as_str()));
        }
        let kind = event.as_object_mut().unwrap().remove("type").unwrap();
        writeln!(out, "{} {event}", kind.as_str().unwrap()).unwrap();
    }
    out
}

#[test]
fn a_text_is_told_step_by_step() {
    insta::assert_snapshot!(
        String::from_utf8(bytes(
            PLAIN,
            &[
                begin(),
                open(0, PartStart::Text),
                say(0, "Hel"),
                say(0, "lo."),
                close(0),
                finish(Finish::Stop),
                Event::Usage(Usage {
                    prompt_tokens: Some(36),
                    completion_tokens: Some(2),
                    ..Usage::default()
                }),
                Event::End,
            ]
        ))
        .unwrap()
    );
}

#[test]
fn thoughts_with_their_proofs_come_before_calls_and_parallel_calls_keep_apart() {
    insta::assert_snapshot!(story(&[
        begin(),
        open(0, PartStart::Thinking),
        Event::Thinking {
            choice: 0,
            part: 0,
            text: "Two ".to_owned()
        },
        Event::Thinking {
            choice: 0,
            part: 0,
            text: "calls.".to_owned()
        },
        Event::Signature {
            choice: 0,
            part: 0,
            signature: "c2ln".to_owned()
        },
        close(0),
        open(
            1,
            PartStart::RedactedThinking {
                data: "ZGF0YQ==".to_owned()
            }
        ),
        close(1),
        tool(2, "call_1", Some("cHJvb2Y=")),
        arguments(2, "{\"city\":"),
        tool(3, "call_2", None),
        arguments(3, "{\"city\":"),
        arguments(2, "\"Paris\"}"),
        close(2),
        arguments(3, "\"Rome\"}"),
        close(3),
        tool(4, "call_3", None),
        close(4),
        finish(Finish::ToolCalls),
        Event::End,
    ]));
}

#[test]
fn texts_refusals_and_sources_share_a_message() {
    let citation = |url: &str, range| Event::Citation {
        choice: 0,
        part: 1,
        citation: Citation::Url {
            url: url.to_owned(),
            title: None,
            range,
            cited_text: None,
        },
    };
    insta::assert_snapshot!(story(&[
        begin(),
        open(0, PartStart::Text),
        close(0),
        open(1, PartStart::Text),
        citation("https://a.example", None),
        say(1, "Grüße"),
        citation("https://b.example", Some((1, 3))),
        close(1),
        open(2, PartStart::Text),
        say(2, ", alle."),
        close(2),
        open(3, PartStart::Refusal),
        Event::Refusal {
            choice: 0,
            part: 3,
            text: "Nicht ".to_owned()
        },
        Event::Refusal {
            choice: 0,
            part: 3,
            text: "mehr.".to_owned()
        },
        close(3),
        finish(Finish::Refusal),
        Event::End,
    ]));
}

#[test]
fn an_answer_that_was_cut_ends_as_incomplete_with_its_last_item() {
    insta::assert_snapshot!(story(&[
        begin(),
        tool(0, "call_1", None),
        arguments(0, "{\"ci"),
        finish(Finish::Length),
        Event::Usage(Usage {
            completion_tokens: Some(16),
            ..Usage::default()
        }),
        Event::End,
    ]));
}

#[test]
fn a_failure_is_told_in_both_forms_and_ends_the_stream() {
    let failure = Event::Error(StreamError {
        kind: ErrorKind::RateLimited,
        message: "slow down".to_owned(),
    });
    insta::assert_snapshot!(story(&[
        begin(),
        open(0, PartStart::Text),
        say(0, "I"),
        failure,
        say(0, "never"),
        finish(Finish::Stop),
        Event::End,
    ]));
    let early = Event::Error(StreamError {
        kind: ErrorKind::BadUpstream,
        message: "broke off".to_owned(),
    });
    let events = read(&bytes(PLAIN, &[early]));
    assert_eq!(events.len(), 2);
    assert_eq!(events[0]["error"]["message"], "broke off");
    assert_eq!(events[1]["response"]["id"], "resp_req-1");
    assert_eq!(events[1]["response"]["error"]["code"], "server_error");
}

#[test]
fn log_probabilities_come_with_their_text_and_again_with_the_whole() {
    let token = |token: &str| format!(r#"{{"token":"{token}","logprob":-0.5,"bytes":[],"top_logprobs":[]}}"#);
    let with = |text: &str| Event::Text {
        choice: 0,
        part: 0,
        text: text.to_owned(),
        logprobs: RawValue::from_string(format!(r#"{{"content":[{}]}}"#, token(text))).ok(),
    };
    let events = [begin(), open(0, PartStart::Text), with("a"), with("b"), Event::End];
    let events = read(&bytes(PLAIN, &events));
    let list = |kind: &str| {
        let found = events.iter().filter(|event| event["type"] == kind);
        found
            .map(|event| event["logprobs"].as_array().unwrap().len())
            .collect::<Vec<_>>()
    };
    assert_eq!(list("response.output_text.delta"), [1, 1]);
    assert_eq!(list("response.output_text.done"), [2]);
}

#[test]
fn schemas_with_line_breaks_do_not_break_the_framing() {
    let request = "{\"model\":\"m\",\"input\":\"x\",\"tools\":[{\"type\":\"function\",\"name\":\"f\",\"parameters\":{\n\n\"type\":\r\n\"object\"}}]}";
    let events = read(&bytes(request, &[begin(), Event::End]));
    assert_eq!(events.len(), 3);
    for event in events {
        assert_eq!(event["response"]["tools"][0]["parameters"]["type"], "object");
    }
}

#[test]
fn an_answer_without_end_is_cut_off_with_a_failure() {
    let mut writer = Responses::stream(context(PLAIN));
    let mut out = Vec::new();
    writer.write(&begin(), &mut out);
    writer.write(&open(0, PartStart::Text), &mut out);
    let piece = say(0, &"x".repeat(1024 * 1024));
    for _ in 0..16 {
        out.clear();
        writer.write(&piece, &mut out);
    }
    let told = String::from_utf8_lossy(&out).into_owned();
    assert!(told.starts_with("event: error\n") && told.contains("event: response.failed\n"));
    out.clear();
    writer.write(&Event::End, &mut out);
    assert!(out.is_empty());
}

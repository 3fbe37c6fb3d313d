use proptest::prelude::*;
use serde_json::{Value, json};
use tokenweir_llm::Usage;
use tokenweir_llm::conversation::{Answer, Choice, Citation, Event, Finish, Part, PartKind, PartStart, Role, ToolCall};
use tokenweir_llm::dialect::ClientDialect;
use tokenweir_llm::dialect::openai_responses::Responses;

use super::streamed::{arguments, begin, bytes, close, finish, open, read, say};
use super::{context, json as parse};

const REQUEST: &str = r#"{"model":"assistant","input":"hi"}"#;

fn part() -> impl Strategy<Value = PartKind> {
    let proof = || prop::option::of("[a-zA-Z0-9+/=:]{0,12}");
    let citation = (
        "[a-z:/]{1,9}",
        prop::option::of("[a-z]{1,4}"),
        prop::option::of((0..9u64, 0..9u64)),
    );
    let citation = citation.prop_map(|(url, title, range)| Citation::Url {
        url,
        title,
        range,
        cited_text: None,
    });
    prop_oneof![
        (".{1,20}", prop::collection::vec(citation, 0..3))
            .prop_map(|(text, citations)| PartKind::Text { text, citations }),
        ".{1,20}".prop_map(|text| PartKind::Refusal { text }),
        (".{1,20}", proof()).prop_map(|(text, signature)| PartKind::Thinking { text, signature }),
        "[a-z]{1,9}".prop_map(|proof| PartKind::Thinking {
            text: String::new(),
            signature: Some(proof)
        }),
        "[a-zA-Z0-9+/=]{0,12}".prop_map(|data| PartKind::RedactedThinking { data }),
        ("[a-z0-9_]{1,9}", "[a-z]{1,9}", ".{1,20}", proof()).prop_map(|(id, name, arguments, signature)| {
            PartKind::ToolCall(ToolCall {
                id,
                name,
                arguments,
                signature,
            })
        }),
    ]
}

fn ending() -> impl Strategy<Value = Finish> {
    prop_oneof![
        Just(Finish::Stop),
        Just(Finish::ToolCalls),
        Just(Finish::Length),
        Just(Finish::ContentFilter),
        Just(Finish::Refusal),
    ]
}

fn answer() -> impl Strategy<Value = Answer> {
    (prop::collection::vec(part(), 0..6), ending()).prop_map(|(kinds, finish)| Answer {
        id: "chatcmpl-1".to_owned(),
        model: "gpt-5-2025".to_owned(),
        created: Some(1_741_476_500),
        choices: vec![Choice {
            parts: kinds.into_iter().map(|kind| Part::new(kind, "")).collect(),
            finish,
            logprobs: None,
        }],
        usage: Usage {
            prompt_tokens: Some(3),
            completion_tokens: Some(4),
            ..Usage::default()
        },
    })
}

/// A text in pieces of so many characters.
fn pieces(text: &str, size: usize) -> Vec<String> {
    let letters: Vec<char> = text.chars().collect();
    letters.chunks(size).map(|piece| piece.iter().collect()).collect()
}

/// The answer as a stream, its texts in pieces.
fn stream(answer: &Answer, size: usize) -> Vec<Event> {
    let mut events = vec![begin()];
    for (part, piece) in answer.choices[0].parts.iter().enumerate() {
        let part = u32::try_from(part).unwrap();
        match &piece.kind {
            PartKind::Text { text, citations } => {
                events.push(open(part, PartStart::Text));
                events.extend(pieces(text, size).iter().map(|text| say(part, text)));
                events.extend(citations.iter().map(|citation| Event::Citation {
                    choice: 0,
                    part,
                    citation: citation.clone(),
                }));
            }
            PartKind::Refusal { text } => {
                events.push(open(part, PartStart::Refusal));
                let texts = pieces(text, size).into_iter();
                events.extend(texts.map(|text| Event::Refusal { choice: 0, part, text }));
            }
            PartKind::Thinking { text, signature } => {
                events.push(open(part, PartStart::Thinking));
                let texts = pieces(text, size).into_iter();
                events.extend(texts.map(|text| Event::Thinking { choice: 0, part, text }));
                events.extend(signature.iter().map(|signature| Event::Signature {
                    choice: 0,
                    part,
                    signature: signature.clone(),
                }));
            }
            PartKind::RedactedThinking { data } => {
                events.push(open(part, PartStart::RedactedThinking { data: data.clone() }));
            }
            PartKind::ToolCall(call) => {
                let start = PartStart::ToolCall {
                    id: call.id.clone(),
                    name: call.name.clone(),
                    signature: call.signature.clone(),
                };
                events.push(open(part, start));
                events.extend(pieces(&call.arguments, size).iter().map(|json| arguments(part, json)));
            }
            other => panic!("no stream has {other:?}"),
        }
        events.push(close(part));
    }
    events.push(finish(answer.choices[0].finish.clone()));
    events.push(Event::Usage(answer.usage));
    events.push(Event::End);
    events
}

fn push(text: &mut Value, more: &Value) {
    *text = format!("{}{}", text.as_str().unwrap(), more.as_str().unwrap()).into();
}

/// Puts the output together as a client does that trusts the deltas alone, and checks every step on the way.
fn follow(events: &[Value]) -> Vec<Value> {
    let mut output: Vec<Value> = Vec::new();
    let mut done: Vec<bool> = Vec::new();
    for (number, event) in events.iter().enumerate() {
        assert_eq!(event["sequence_number"], number);
        let kind = event["type"].as_str().unwrap();
        let index = event["output_index"]
            .as_u64()
            .map(|index| usize::try_from(index).unwrap());
        let Some(index) = index else {
            continue;
        };
        if kind == "response.output_item.added" {
            assert_eq!(index, output.len());
            output.push(event["item"].clone());
            done.push(false);
            continue;
        }
        assert!(!done[index], "{event} comes after its item is done");
        let item = &mut output[index];
        if kind == "response.output_item.done" {
            assert_eq!(item["id"], event["item"]["id"]);
            // These two are told by this event alone.
            item["status"] = event["item"]["status"].clone();
            item["encrypted_content"] = event["item"]["encrypted_content"].clone();
            item.as_object_mut().unwrap().retain(|_, value| !value.is_null());
            let mut told = event["item"].clone();
            told.as_object_mut().unwrap().retain(|_, value| !value.is_null());
            assert_eq!(*item, told);
            *item = event["item"].clone();
            done[index] = true;
            continue;
        }
        assert_eq!(item["id"], event["item_id"]);
        let content = event["content_index"]
            .as_u64()
            .map(|index| usize::try_from(index).unwrap());
        match kind {
            "response.content_part.added" => {
                let parts = item["content"].as_array_mut().unwrap();
                assert_eq!(content, Some(parts.len()));
                parts.push(event["part"].clone());
            }
            "response.content_part.done" => assert_eq!(item["content"][content.unwrap()], event["part"]),
            "response.output_text.delta" => push(&mut item["content"][content.unwrap()]["text"], &event["delta"]),
            "response.output_text.done" => assert_eq!(item["content"][content.unwrap()]["text"], event["text"]),
            "response.output_text.annotation.added" => {
                let annotations = item["content"][content.unwrap()]["annotations"].as_array_mut().unwrap();
                assert_eq!(event["annotation_index"], annotations.len());
                annotations.push(event["annotation"].clone());
            }
            "response.refusal.delta" => push(&mut item["content"][content.unwrap()]["refusal"], &event["delta"]),
            "response.refusal.done" => assert_eq!(item["content"][content.unwrap()]["refusal"], event["refusal"]),
            "response.reasoning_summary_part.added" => {
                let parts = item["summary"].as_array_mut().unwrap();
                assert_eq!(event["summary_index"], parts.len());
                parts.push(event["part"].clone());
            }
            "response.reasoning_summary_text.delta" => push(&mut item["summary"][0]["text"], &event["delta"]),
            "response.reasoning_summary_text.done" => assert_eq!(item["summary"][0]["text"], event["text"]),
            "response.reasoning_summary_part.done" => assert_eq!(item["summary"][0], event["part"]),
            "response.function_call_arguments.delta" => push(&mut item["arguments"], &event["delta"]),
            "response.function_call_arguments.done" => assert_eq!(item["arguments"], event["arguments"]),
            other => panic!("{other} is no event of an item"),
        }
    }
    assert!(done.iter().all(|done| *done));
    output
}

proptest! {
    #[test]
    fn a_stream_ends_with_the_response_that_the_whole_answer_gives(answer in answer(), size in 1usize..7) {
        let events = read(&bytes(REQUEST, &stream(&answer, size)));
        let kinds: Vec<_> = events.iter().map(|event| event["type"].as_str().unwrap()).collect();
        prop_assert_eq!(&kinds[..2], ["response.created", "response.in_progress"]);
        for event in &events[..2] {
            prop_assert_eq!(&event["response"]["status"], "in_progress");
            prop_assert_eq!(&event["response"]["output"], &json!([]));
        }
        let last = &events[events.len() - 1];
        let status = last["response"]["status"].as_str().unwrap();
        prop_assert_eq!(last["type"].as_str().unwrap(), format!("response.{status}"));
        prop_assert_eq!(&last["response"], &parse(&Responses::write_answer(&answer, &context(REQUEST))));
        prop_assert_eq!(&Value::from(follow(&events)), &last["response"]["output"]);
    }

    #[test]
    fn an_answer_that_comes_back_as_input_is_the_turn_that_it_was(answer in answer()) {
        let response = parse(&Responses::write_answer(&answer, &context(REQUEST)));
        let next = json!({"model": "m", "input": response["output"]});
        let request = Responses::read_request(next.to_string().as_bytes()).unwrap();
        prop_assert!(request.extras.is_empty(), "{:?}", request.extras);
        let kinds = |parts: &[Part]| parts.iter().map(|part| part.kind.clone()).collect::<Vec<_>>();
        let mut said = kinds(&answer.choices[0].parts);
        for kind in &mut said {
            // A source without a range stands behind the whole text, and comes back with its range.
            if let PartKind::Text { text, citations } = kind {
                for citation in citations {
                    if let Citation::Url { range: range @ None, .. } = citation {
                        *range = Some((0, text.chars().count() as u64));
                    }
                }
            }
        }
        let turn = request.messages.first().map(|turn| kinds(&turn.parts)).unwrap_or_default();
        prop_assert_eq!(turn, said);
        prop_assert!(request.messages.len() <= 1 && request.messages.iter().all(|turn| turn.role == Role::Assistant));
    }

    #[test]
    fn no_bytes_panic(bytes in prop::collection::vec(any::<u8>(), 0..300)) {
        let _ = Responses::read_request(&bytes);
    }

    #[test]
    fn no_damaged_request_panics(at in 0..REQUESTED.len(), with in any::<u8>()) {
        let mut bytes = REQUESTED.as_bytes().to_vec();
        bytes[at] = with;
        let _ = Responses::read_request(&bytes);
    }

    #[test]
    fn no_order_of_events_panics(events in prop::collection::vec(any_event(), 0..40)) {
        let written = read(&bytes(REQUEST, &events));
        for (number, event) in written.iter().enumerate() {
            prop_assert_eq!(&event["sequence_number"], number);
        }
    }
}

const REQUESTED: &str = r#"{"model":"m","input":[{"role":"user","content":[{"type":"input_text","text":"a"},{"type":"input_image","image_url":"data:image/png;base64,AA"}]},{"type":"reasoning","summary":[{"type":"summary_text","text":"t"}],"encrypted_content":"tokenweir:call:x"},{"type":"function_call","call_id":"c","name":"f","arguments":"{}"},{"type":"function_call_output","call_id":"c","output":"o"}],"tools":[{"type":"function","name":"f","parameters":{}}],"text":{"format":{"type":"text"}},"reasoning":{"effort":"low"},"include":["x"]}"#;

/// Any step, also where no reader gives it.
fn any_event() -> impl Strategy<Value = Event> {
    let part = 0..3u32;
    prop_oneof![
        Just(begin()),
        part.clone().prop_map(|part| open(part, PartStart::Text)),
        part.clone().prop_map(|part| open(part, PartStart::Thinking)),
        part.clone().prop_map(|part| open(part, PartStart::Refusal)),
        part.clone()
            .prop_map(|part| super::streamed::tool(part, "c", Some("s"))),
        part.clone().prop_map(|part| say(part, "t")),
        part.clone().prop_map(|part| arguments(part, "{")),
        part.clone().prop_map(|part| Event::Thinking {
            choice: 0,
            part,
            text: "h".to_owned()
        }),
        part.clone().prop_map(|part| Event::Refusal {
            choice: 0,
            part,
            text: "n".to_owned()
        }),
        part.clone().prop_map(|part| Event::Signature {
            choice: 0,
            part,
            signature: "s".to_owned()
        }),
        part.prop_map(close),
        Just(finish(Finish::Length)),
        Just(Event::Usage(Usage::default())),
        Just(Event::End),
    ]
}

//! Answers as streams, and streams as answers.

use tokenweir_llm::conversation::{Answer, Choice, Event, Part, PartKind, PartStart, ToolCall};

/// The answer as a stream, each text in pieces.
pub fn as_events(answer: &Answer) -> Vec<Event> {
    let choice = 0;
    let mut events = vec![Event::Start {
        id: answer.id.clone(),
        model: answer.model.clone(),
        created: None,
    }];
    for (part, content) in (0u32..).zip(&answer.choices[0].parts) {
        let pieces = |text: &str| -> Vec<String> {
            let letters: Vec<char> = text.chars().collect();
            letters.chunks(3).map(|piece| piece.iter().collect()).collect()
        };
        let begin = |start| Event::PartStart { choice, part, start };
        match &content.kind {
            PartKind::Text { text, citations } => {
                events.push(begin(PartStart::Text));
                events.extend(pieces(text).into_iter().map(|text| Event::Text {
                    choice,
                    part,
                    text,
                    logprobs: None,
                }));
                events.extend(
                    citations
                        .iter()
                        .cloned()
                        .map(|citation| Event::Citation { choice, part, citation }),
                );
            }
            PartKind::Thinking { text, signature } => {
                events.push(begin(PartStart::Thinking));
                events.extend(
                    pieces(text)
                        .into_iter()
                        .map(|text| Event::Thinking { choice, part, text }),
                );
                events.extend(signature.clone().map(|signature| Event::Signature {
                    choice,
                    part,
                    signature,
                }));
            }
            PartKind::RedactedThinking { data } => {
                events.push(begin(PartStart::RedactedThinking { data: data.clone() }));
            }
            PartKind::ToolCall(call) => {
                events.push(begin(PartStart::ToolCall {
                    id: call.id.clone(),
                    name: call.name.clone(),
                    signature: None,
                }));
                events.extend(
                    pieces(&call.arguments)
                        .into_iter()
                        .map(|json| Event::Arguments { choice, part, json }),
                );
            }
            other => panic!("{other:?} is not generated"),
        }
        events.push(Event::PartEnd { choice, part });
    }
    let finish = answer.choices[0].finish.clone();
    events.push(Event::Finish { choice, finish });
    events.push(Event::Usage(answer.usage));
    events.push(Event::End);
    events
}

/// A part that has begun and not ended.
fn open<'a>(choice: &'a mut Choice, ended: &[bool], part: u32) -> &'a mut PartKind {
    let part = usize::try_from(part).unwrap();
    assert!(!ended[part]);
    &mut choice.parts[part].kind
}

/// The answer that a stream told, and whether it was complete. Panics where the stream breaks what readers guarantee.
pub fn collect(events: &[Event]) -> (Answer, bool) {
    let mut answer = Answer::default();
    let mut choice = Choice::default();
    let mut finished = 0;
    let mut ended: Vec<bool> = Vec::new();
    for (at, event) in events.iter().enumerate() {
        let last = at + 1 == events.len();
        assert_eq!(
            at == 0,
            matches!(event, Event::Start { .. }) || events.len() == 1,
            "{events:?}"
        );
        match event {
            Event::Start { id, model, .. } => {
                answer.id.clone_from(id);
                answer.model.clone_from(model);
            }
            Event::PartStart { part, start, .. } => {
                assert_eq!(usize::try_from(*part).unwrap(), choice.parts.len());
                assert_eq!(finished, 0);
                let kind = match start {
                    PartStart::Text => PartKind::Text {
                        text: String::new(),
                        citations: Vec::new(),
                    },
                    PartStart::Thinking => PartKind::Thinking {
                        text: String::new(),
                        signature: None,
                    },
                    PartStart::RedactedThinking { data } => PartKind::RedactedThinking { data: data.clone() },
                    PartStart::Refusal => PartKind::Refusal { text: String::new() },
                    PartStart::ToolCall { id, name, signature } => PartKind::ToolCall(ToolCall {
                        id: id.clone(),
                        name: name.clone(),
                        arguments: String::new(),
                        signature: signature.clone(),
                    }),
                };
                let call = matches!(kind, PartKind::ToolCall(_));
                for (before, ended) in choice.parts.iter().zip(&ended) {
                    let overlaps = call && matches!(before.kind, PartKind::ToolCall(_));
                    assert!(*ended || overlaps, "{events:?}");
                }
                choice.parts.push(Part::new(kind, ""));
                ended.push(false);
            }
            Event::Text { part, text: more, .. } => match open(&mut choice, &ended, *part) {
                PartKind::Text { text, .. } => text.push_str(more),
                other => panic!("{other:?}"),
            },
            Event::Citation { part, citation, .. } => match open(&mut choice, &ended, *part) {
                PartKind::Text { citations, .. } => citations.push(citation.clone()),
                other => panic!("{other:?}"),
            },
            Event::Thinking { part, text: more, .. } => match open(&mut choice, &ended, *part) {
                PartKind::Thinking { text, .. } => text.push_str(more),
                other => panic!("{other:?}"),
            },
            Event::Signature {
                part, signature: proof, ..
            } => match open(&mut choice, &ended, *part) {
                PartKind::Thinking { signature, .. } => *signature = Some(proof.clone()),
                other => panic!("{other:?}"),
            },
            Event::Refusal { part, text: more, .. } => match open(&mut choice, &ended, *part) {
                PartKind::Refusal { text } => text.push_str(more),
                other => panic!("{other:?}"),
            },
            Event::Arguments { part, json, .. } => match open(&mut choice, &ended, *part) {
                PartKind::ToolCall(call) => call.arguments.push_str(json),
                other => panic!("{other:?}"),
            },
            Event::PartEnd { part, .. } => {
                open(&mut choice, &ended, *part);
                ended[usize::try_from(*part).unwrap()] = true;
            }
            Event::Finish { finish, .. } => {
                assert!(ended.iter().all(|ended| *ended), "{events:?}");
                finished += 1;
                choice.finish = finish.clone();
            }
            Event::Usage(usage) => answer.usage = *usage,
            Event::Error(_) => assert!(last, "{events:?}"),
            Event::End => assert!(last && finished == 1, "{events:?}"),
        }
    }
    assert!(finished <= 1);
    answer.choices.push(choice);
    (answer, matches!(events.last(), Some(Event::End)))
}

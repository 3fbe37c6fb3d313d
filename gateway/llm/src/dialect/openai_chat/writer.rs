//! A stream for a client: events become chunks.

use std::collections::BTreeMap;

use serde::Serialize;

use super::answer::{self, Annotation, UsageField, WireUsage};
use super::error;
use super::thoughts::{Block, CallExtra, Indexed};
use crate::Usage;
use crate::conversation::{Event, PartStart};
use crate::dialect::json::encode;
use crate::dialect::{Context, StreamWriter};
use crate::sse;

/// A thought of more bytes is told without its proof, which demands the whole thought beside it. No model thinks that
/// much in one go.
const LONGEST_SIGNED_THOUGHT: usize = 4 * 1024 * 1024;

/// Writes chunks.
pub(super) struct Writer {
    context: Context,
    id: String,
    model: String,
    created: u64,
    usage: Usage,
    choices: BTreeMap<u32, Choice>,
}

/// How far one of the answers has come.
#[derive(Default)]
struct Choice {
    /// The parts that are calls.
    calls: BTreeMap<u32, Call>,
    /// Thoughts with a proof so far.
    blocks: u32,
    /// The thought that is told now; `None` when it is too long to be signed.
    thought: Option<String>,
    /// Characters of text so far, and before the part that is told now.
    characters: u64,
    before: u64,
    citations: u32,
    refused: bool,
}

/// A call that is told.
struct Call {
    /// Its place among the calls.
    place: u32,
    /// Whether it has arguments.
    argued: bool,
}

#[derive(Serialize)]
struct Chunk<'a> {
    id: &'a str,
    object: &'static str,
    created: u64,
    model: &'a str,
    choices: &'a [WireChoice<'a>],
    #[serde(skip_serializing_if = "UsageField::is_absent")]
    usage: UsageField,
}

#[derive(Serialize)]
struct WireChoice<'a> {
    index: u32,
    delta: Delta<'a>,
    logprobs: Option<&'a serde_json::value::RawValue>,
    finish_reason: Option<&'static str>,
}

#[derive(Default, Serialize)]
struct Delta<'a> {
    #[serde(skip_serializing_if = "Option::is_none")]
    role: Option<&'static str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    content: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    reasoning_content: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    thinking_blocks: Option<[Indexed<'a>; 1]>,
    #[serde(skip_serializing_if = "Option::is_none")]
    refusal: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    annotations: Option<[IndexedAnnotation<'a>; 1]>,
    #[serde(skip_serializing_if = "Option::is_none")]
    tool_calls: Option<[WireCall<'a>; 1]>,
}

#[derive(Serialize)]
struct IndexedAnnotation<'a> {
    index: u32,
    #[serde(flatten)]
    annotation: Annotation<'a>,
}

#[derive(Serialize)]
struct WireCall<'a> {
    index: u32,
    #[serde(skip_serializing_if = "Option::is_none")]
    id: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    r#type: Option<&'static str>,
    function: WireFunction<'a>,
    #[serde(skip_serializing_if = "Option::is_none")]
    extra_content: Option<CallExtra<'a>>,
}

#[derive(Serialize)]
struct WireFunction<'a> {
    #[serde(skip_serializing_if = "Option::is_none")]
    name: Option<&'a str>,
    arguments: &'a str,
}

impl Writer {
    pub(super) fn new(context: Context) -> Self {
        Self {
            id: answer::answer_id("", &context),
            model: context.request.model.clone(),
            created: context.now_unix,
            usage: Usage::default(),
            choices: BTreeMap::new(),
            context,
        }
    }

    fn chunk(&self, choices: &[WireChoice<'_>], usage: Option<WireUsage>, out: &mut Vec<u8>) {
        let chunk = Chunk {
            id: &self.id,
            object: "chat.completion.chunk",
            created: self.created,
            model: &self.model,
            choices,
            usage: UsageField::of(usage, self.context.request.include_usage),
        };
        out.extend_from_slice(&sse::encode(None, &encode(&chunk)));
    }

    fn delta(&self, index: u32, delta: Delta<'_>, out: &mut Vec<u8>) {
        let choice = WireChoice {
            index,
            delta,
            logprobs: None,
            finish_reason: None,
        };
        self.chunk(&[choice], None, out);
    }

    /// Each answer begins with its role.
    fn begin(&mut self, index: u32, out: &mut Vec<u8>) {
        if self.choices.contains_key(&index) {
            return;
        }
        self.choices.insert(index, Choice::default());
        let delta = Delta {
            role: Some("assistant"),
            content: Some(""),
            ..Delta::default()
        };
        self.delta(index, delta, out);
    }

    fn part_start(&mut self, index: u32, part: u32, start: &PartStart, out: &mut Vec<u8>) {
        self.begin(index, out);
        let Some(state) = self.choices.get_mut(&index) else {
            return;
        };
        let delta = match start {
            PartStart::Text => {
                state.before = state.characters;
                return;
            }
            PartStart::Thinking => {
                state.thought = Some(String::new());
                return;
            }
            PartStart::Refusal => {
                state.refused = true;
                return;
            }
            PartStart::RedactedThinking { data } => Delta {
                thinking_blocks: Some([state.block(Block::RedactedThinking { data })]),
                ..Delta::default()
            },
            PartStart::ToolCall { id, name, signature } => {
                let place = u32::try_from(state.calls.len()).unwrap_or(u32::MAX);
                state.calls.insert(part, Call { place, argued: false });
                Delta {
                    tool_calls: Some([WireCall {
                        index: place,
                        id: Some(id),
                        r#type: Some("function"),
                        function: WireFunction {
                            name: Some(name),
                            arguments: "",
                        },
                        extra_content: signature.as_deref().map(CallExtra::new),
                    }]),
                    ..Delta::default()
                }
            }
        };
        self.delta(index, delta, out);
    }

    fn text(&mut self, index: u32, text: &str, logprobs: Option<&serde_json::value::RawValue>, out: &mut Vec<u8>) {
        if let Some(state) = self.choices.get_mut(&index) {
            state.characters += text.chars().count() as u64;
        }
        let choice = WireChoice {
            index,
            delta: Delta {
                content: Some(text),
                ..Delta::default()
            },
            logprobs,
            finish_reason: None,
        };
        self.chunk(&[choice], None, out);
    }

    fn thinking(&mut self, index: u32, text: &str, out: &mut Vec<u8>) {
        if let Some(state) = self.choices.get_mut(&index)
            && let Some(thought) = &mut state.thought
        {
            if thought.len() + text.len() > LONGEST_SIGNED_THOUGHT {
                state.thought = None;
            } else {
                thought.push_str(text);
            }
        }
        let delta = Delta {
            reasoning_content: Some(text),
            ..Delta::default()
        };
        self.delta(index, delta, out);
    }

    fn signature(&mut self, index: u32, signature: &str, out: &mut Vec<u8>) {
        let Some(state) = self.choices.get_mut(&index) else {
            return;
        };
        let Some(thought) = state.thought.take() else {
            return;
        };
        let block = state.block(Block::Thinking {
            thinking: &thought,
            signature,
        });
        let delta = Delta {
            thinking_blocks: Some([block]),
            ..Delta::default()
        };
        self.delta(index, delta, out);
    }

    fn citation(&mut self, index: u32, citation: &crate::conversation::Citation, out: &mut Vec<u8>) {
        let Some(state) = self.choices.get_mut(&index) else {
            return;
        };
        let Some(annotation) = Annotation::of(citation, state.before, state.characters) else {
            return;
        };
        let place = state.citations;
        state.citations += 1;
        let delta = Delta {
            annotations: Some([IndexedAnnotation {
                index: place,
                annotation,
            }]),
            ..Delta::default()
        };
        self.delta(index, delta, out);
    }

    fn arguments(&mut self, index: u32, part: u32, json: &str, out: &mut Vec<u8>) {
        let state = self.choices.get_mut(&index);
        let Some(call) = state.and_then(|state| state.calls.get_mut(&part)) else {
            return;
        };
        call.argued |= !json.is_empty();
        let place = call.place;
        let delta = Delta {
            tool_calls: Some([WireCall {
                index: place,
                id: None,
                r#type: None,
                function: WireFunction {
                    name: None,
                    arguments: json,
                },
                extra_content: None,
            }]),
            ..Delta::default()
        };
        self.delta(index, delta, out);
    }

    /// A call without arguments has an empty object of them, which clients can parse.
    fn part_end(&mut self, index: u32, part: u32, out: &mut Vec<u8>) {
        let state = self.choices.get(&index);
        if state.is_some_and(|state| state.calls.get(&part).is_some_and(|call| !call.argued)) {
            self.arguments(index, part, answer::or_none(""), out);
        }
    }

    fn end(&self, out: &mut Vec<u8>) {
        if self.context.request.include_usage
            && let Some(usage) = WireUsage::of(&self.usage)
        {
            self.chunk(&[], Some(usage), out);
        }
        out.extend_from_slice(b"data: [DONE]\n\n");
    }
}

impl Choice {
    const fn block<'a>(&mut self, block: Block<'a>) -> Indexed<'a> {
        let index = self.blocks;
        self.blocks += 1;
        Indexed { index, block }
    }
}

impl StreamWriter for Writer {
    fn write(&mut self, event: &Event, out: &mut Vec<u8>) {
        match event {
            Event::Start { id, model, created } => {
                self.id = answer::answer_id(id, &self.context);
                answer::model(model, &self.context).clone_into(&mut self.model);
                self.created = created.unwrap_or(self.context.now_unix);
                self.begin(0, out);
            }
            Event::PartStart { choice, part, start } => self.part_start(*choice, *part, start, out),
            Event::Text {
                choice, text, logprobs, ..
            } => self.text(*choice, text, logprobs.as_deref(), out),
            Event::Thinking { choice, text, .. } => self.thinking(*choice, text, out),
            Event::Signature { choice, signature, .. } => self.signature(*choice, signature, out),
            Event::Refusal { choice, text, .. } => {
                let delta = Delta {
                    refusal: Some(text),
                    ..Delta::default()
                };
                self.delta(*choice, delta, out);
            }
            Event::Arguments { choice, part, json } => self.arguments(*choice, *part, json, out),
            Event::Citation { choice, citation, .. } => self.citation(*choice, citation, out),
            Event::PartEnd { choice, part } => self.part_end(*choice, *part, out),
            Event::Finish { choice, finish } => {
                self.begin(*choice, out);
                let refused = self.choices.get(choice).is_some_and(|state| state.refused);
                let choice = WireChoice {
                    index: *choice,
                    delta: Delta::default(),
                    logprobs: None,
                    finish_reason: Some(answer::reason(finish, refused)),
                };
                self.chunk(&[choice], None, out);
            }
            Event::Usage(usage) => self.usage = *usage,
            Event::Error(error) => error::write_stream(error, out),
            Event::End => self.end(out),
        }
    }
}

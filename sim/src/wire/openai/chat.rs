//! Writes chat and text completions.

use std::fmt::Write;

use bytes::{BufMut, Bytes, BytesMut};
use tokenweir_llm::{ErrorKind, OpenAiError};

use super::super::script::{At, Events, Writer};
use super::super::text::{escaped, quoted};
use super::logprobs;
use crate::answer::{Answer, Block, Choice, Finish, Kind, Usage};

/// Room for this many events is taken at a time.
const BLOCK: usize = 8 * 1024;

/// What kind of completion.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in super::super) enum Form {
    Chat,
    /// Chat as Azure tells it: with what its filters found.
    AzureChat,
    Text,
}

impl Form {
    const fn is_chat(self) -> bool {
        matches!(self, Self::Chat | Self::AzureChat)
    }
}

const FILTERED: &str = "{\"hate\":{\"filtered\":false,\"severity\":\"safe\"},\"self_harm\":{\"filtered\":false,\
    \"severity\":\"safe\"},\"sexual\":{\"filtered\":false,\"severity\":\"safe\"},\"violence\":{\"filtered\":false,\
    \"severity\":\"safe\"}}";

/// Writes the chunks of a stream. All but the choice is the same in each, and is written once.
pub(in super::super) struct ChunkWriter {
    form: Form,
    prefix: Vec<u8>,
    suffix: &'static [u8],
    logprobs: Option<u64>,
    buffer: BytesMut,
}

impl ChunkWriter {
    pub(in super::super) fn new(answer: &Answer, form: Form) -> Self {
        let object = if form.is_chat() {
            "chat.completion.chunk"
        } else {
            "text_completion"
        };
        Self {
            form,
            prefix: format!("data: {},\"choices\":[", envelope(answer, form, object)).into_bytes(),
            suffix: if answer.tell_usage > 0 {
                b"],\"usage\":null}\n\n"
            } else {
                b"]}\n\n"
            },
            logprobs: answer.logprobs,
            buffer: BytesMut::new(),
        }
    }

    fn event(&mut self, parts: &[&[u8]]) -> Bytes {
        let length: usize = parts.iter().map(|part| part.len()).sum();
        let needed = self.prefix.len() + length + self.suffix.len();
        if self.buffer.capacity() < needed {
            self.buffer.reserve(BLOCK.max(needed));
        }
        self.buffer.put_slice(&self.prefix);
        for part in parts {
            self.buffer.put_slice(part);
        }
        self.buffer.put_slice(self.suffix);
        self.buffer.split().freeze()
    }

    /// A chunk of a choice: `"delta":…` or `"text":…`, and what its tokens' probabilities were.
    fn delta(&mut self, choice: u64, delta: &[&[u8]], logprobs: Option<&str>) -> Bytes {
        let index = choice.to_string();
        let mut parts: Vec<&[u8]> = Vec::with_capacity(delta.len() + 5);
        parts.extend([&b"{\"index\":"[..], index.as_bytes(), b","]);
        parts.extend(delta);
        parts.push(b",\"logprobs\":");
        parts.push(logprobs.unwrap_or("null").as_bytes());
        parts.push(b",\"finish_reason\":null}");
        self.event(&parts)
    }
}

impl Writer for ChunkWriter {
    fn start(&mut self, answer: &Answer, out: &mut Events) {
        if self.form == Form::AzureChat {
            let (envelope, filtered) = (envelope(answer, self.form, "chat.completion.chunk"), FILTERED);
            let event = format!(
                "data: {envelope},\"choices\":[],\"prompt_filter_results\":[{{\"prompt_index\":0,\
                 \"content_filter_results\":{filtered}}}]}}\n\n"
            );
            out.push_back(event.into());
        }
        if !self.form.is_chat() {
            return;
        }
        for (index, choice) in answer.choices.iter().enumerate() {
            let says_text = choice.blocks.first().is_some_and(|block| block.kind == Kind::Text);
            let content: &[u8] = if says_text { b"\"\"" } else { b"null" };
            let delta: [&[u8]; 3] = [
                b"\"delta\":{\"role\":\"assistant\",\"content\":",
                content,
                b",\"refusal\":null}",
            ];
            out.push_back(self.delta(index as u64, &delta, None));
        }
    }

    fn open(&mut self, at: At, block: &Block, out: &mut Events) {
        let Kind::Call { id, name } = &block.kind else { return };
        let (call, name) = (at.call, quoted(name));
        let delta = format!(
            "\"delta\":{{\"tool_calls\":[{{\"index\":{call},\"id\":\"call_{id}\",\"type\":\"function\",\
             \"function\":{{\"name\":{name},\"arguments\":\"\"}}}}]}}"
        );
        out.push_back(self.delta(at.choice, &[delta.as_bytes()], None));
    }

    fn token(&mut self, at: At, block: &Block, (space, word): (&str, &str), out: &mut Events) {
        let plain = word;
        let word = escaped(word);
        let call;
        let (open, close): (&[u8], &[u8]) = match &block.kind {
            Kind::Text if !self.form.is_chat() => (b"\"text\":\"", b"\""),
            Kind::Text => (b"\"delta\":{\"content\":\"", b"\"}"),
            Kind::Refusal => (b"\"delta\":{\"refusal\":\"", b"\"}"),
            Kind::Thinking => (b"\"delta\":{\"reasoning_content\":\"", b"\"}"),
            // OpenAI's wire has no place for it.
            Kind::Redacted => return,
            Kind::Call { .. } => {
                call = format!(
                    "\"delta\":{{\"tool_calls\":[{{\"index\":{},\"function\":{{\"arguments\":\"",
                    at.call
                );
                (call.as_bytes(), b"\"}}]}")
            }
        };
        let told = self.logprobs.filter(|_| block.kind == Kind::Text);
        let logprobs = told.map(|top| logprobs::of([(space, plain)].into_iter(), top));
        let event = self.delta(
            at.choice,
            &[open, space.as_bytes(), word.as_bytes(), close],
            logprobs.as_deref(),
        );
        out.push_back(event);
    }

    fn close(&mut self, _: At, _: &Block, _: &mut Events) {}

    /// The chunks that end each choice, the usage chunk if it is wanted, and `[DONE]`.
    fn end(&mut self, answer: &Answer, out: &mut Events) {
        for (index, choice) in answer.choices.iter().enumerate() {
            let (index, reason) = (index.to_string(), finish_reason(&choice.finish));
            let empty: &[u8] = if self.form.is_chat() {
                b"\"delta\":{}"
            } else {
                b"\"text\":\"\""
            };
            let event = self.event(&[
                b"{\"index\":",
                index.as_bytes(),
                b",",
                empty,
                b",\"logprobs\":null,\"finish_reason\":\"",
                reason.as_bytes(),
                b"\"}",
            ]);
            out.push_back(event);
        }
        let object = if self.form.is_chat() {
            "chat.completion.chunk"
        } else {
            "text_completion"
        };
        for _ in 0..answer.tell_usage {
            let (envelope, usage) = (envelope(answer, self.form, object), usage_object(&answer.usage));
            out.push_back(format!("data: {envelope},\"choices\":[],\"usage\":{usage}}}\n\n").into());
        }
        if answer.done {
            out.push_back(Bytes::from_static(b"data: [DONE]\n\n"));
        }
    }

    fn error(&self) -> Bytes {
        OpenAiError::new(
            ErrorKind::Internal,
            "The server had an error while processing your request.",
        )
        .to_sse_event()
    }

    fn broken(&self) -> Bytes {
        Bytes::from_static(b"data: {\"id\":\"chatcmpl-\n\n")
    }
}

/// The start of every object, without the closing brace.
fn envelope(answer: &Answer, form: Form, object: &str) -> String {
    let prefix = if form.is_chat() { "chatcmpl" } else { "cmpl" };
    let (id, created, model) = (answer.id(), answer.created, &answer.model);
    format!(
        "{{\"id\":\"{prefix}-{id}\",\"object\":\"{object}\",\"created\":{created},\"model\":{model},\"system_fingerprint\":\"fp_sim\""
    )
}

const fn finish_reason(finish: &Finish) -> &'static str {
    match finish {
        Finish::Stop | Finish::Sequence(_) | Finish::Refusal => "stop",
        Finish::Length => "length",
        Finish::Calls => "tool_calls",
        Finish::Filter => "content_filter",
    }
}

fn usage_object(usage: &Usage) -> String {
    let Usage {
        prompt,
        cached,
        output,
        thoughts,
        ..
    } = *usage;
    let total = prompt.saturating_add(output);
    format!(
        "{{\"prompt_tokens\":{prompt},\"completion_tokens\":{output},\"total_tokens\":{total},\
         \"prompt_tokens_details\":{{\"cached_tokens\":{cached},\"audio_tokens\":0}},\
         \"completion_tokens_details\":{{\"reasoning_tokens\":{thoughts},\"audio_tokens\":0,\
         \"accepted_prediction_tokens\":0,\"rejected_prediction_tokens\":0}}}}"
    )
}

/// A whole answer.
pub(in super::super) fn whole(answer: &Answer, form: Form) -> Bytes {
    let object = if form.is_chat() {
        "chat.completion"
    } else {
        "text_completion"
    };
    let mut out = envelope(answer, form, object);
    out.push_str(",\"choices\":[");
    for (index, choice) in answer.choices.iter().enumerate() {
        let comma = if index == 0 { "" } else { "," };
        let reason = finish_reason(&choice.finish);
        let said = if form.is_chat() {
            format!("\"message\":{}", message(choice))
        } else {
            let text = choice.text_of(|kind| *kind == Kind::Text).unwrap_or_default();
            format!("\"text\":{}", quoted(&text))
        };
        let logprobs = answer
            .logprobs
            .map_or_else(|| "null".into(), |top| logprobs::of_choice(choice, top));
        let filtered = if form == Form::AzureChat {
            format!(",\"content_filter_results\":{FILTERED}")
        } else {
            String::new()
        };
        // Writing to a String cannot fail.
        let _ = write!(
            out,
            "{comma}{{\"index\":{index},{said},\"logprobs\":{logprobs},\"finish_reason\":\"{reason}\"{filtered}}}"
        );
    }
    out.push(']');
    if answer.tell_usage > 0 {
        out.push_str(",\"usage\":");
        out.push_str(&usage_object(&answer.usage));
    }
    out.push('}');
    out.into()
}

fn message(choice: &Choice) -> String {
    let of = |wanted: &Kind| choice.text_of(|kind| kind == wanted).map(|text| quoted(&text));
    let (content, refusal) = (of(&Kind::Text), of(&Kind::Refusal));
    let (content, refusal) = (
        content.as_deref().unwrap_or("null"),
        refusal.as_deref().unwrap_or("null"),
    );
    let mut out = format!("{{\"role\":\"assistant\",\"content\":{content},\"refusal\":{refusal},\"annotations\":[]");
    if let Some(thought) = of(&Kind::Thinking) {
        let _ = write!(out, ",\"reasoning_content\":{thought}");
    }
    let calls = choice.blocks.iter().filter_map(|block| match &block.kind {
        Kind::Call { id, name } => Some((id, quoted(name), quoted(&block.text()))),
        _ => None,
    });
    let mut any = false;
    for (id, name, arguments) in calls {
        out.push_str(if any { "," } else { ",\"tool_calls\":[" });
        any = true;
        let _ = write!(
            out,
            "{{\"id\":\"call_{id}\",\"type\":\"function\",\"function\":{{\"name\":{name},\"arguments\":{arguments}}}}}"
        );
    }
    out.push_str(if any { "]}" } else { "}" });
    out
}

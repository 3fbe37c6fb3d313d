//! Writes messages.

use bytes::{Bytes, BytesMut};
use serde_json::{Value, json};
use tokenweir_llm::sse;

use super::super::script::{At, Events, Writer};
use super::super::text::escaped;
use crate::answer::{Answer, Block, Choice, Finish, Kind, redacted, signature};

/// Writes the events of a stream, in the order that Anthropic documents.
pub(in super::super) struct MessageWriter {
    buffer: BytesMut,
    pinged: bool,
}

impl MessageWriter {
    pub(in super::super) fn new() -> Self {
        Self {
            buffer: BytesMut::new(),
            pinged: false,
        }
    }
}

fn event(name: &str, data: &Value) -> Bytes {
    sse::encode(Some(name), data.to_string().as_bytes())
}

fn delta(at: At, delta: &Value) -> Bytes {
    event(
        "content_block_delta",
        &json!({"type": "content_block_delta", "index": at.block, "delta": delta}),
    )
}

impl Writer for MessageWriter {
    fn start(&mut self, answer: &Answer, out: &mut Events) {
        let message = json!({
            "id": format!("msg_{}", answer.id()),
            "type": "message",
            "role": "assistant",
            "model": model(answer),
            "content": [],
            "stop_reason": null,
            "stop_sequence": null,
            "usage": usage(answer, 1),
        });
        out.push_back(event(
            "message_start",
            &json!({"type": "message_start", "message": message}),
        ));
    }

    fn open(&mut self, at: At, block: &Block, out: &mut Events) {
        let content = match &block.kind {
            Kind::Text | Kind::Refusal => json!({"type": "text", "text": ""}),
            Kind::Thinking => json!({"type": "thinking", "thinking": "", "signature": ""}),
            Kind::Redacted => json!({"type": "redacted_thinking", "data": redacted(&block.text())}),
            Kind::Call { id, name } => {
                json!({"type": "tool_use", "id": format!("toolu_{id}"), "name": name, "input": {}})
            }
        };
        out.push_back(event(
            "content_block_start",
            &json!({"type": "content_block_start", "index": at.block, "content_block": content}),
        ));
        if !std::mem::replace(&mut self.pinged, true) {
            out.push_back(sse::encode(Some("ping"), br#"{"type":"ping"}"#));
        }
        if matches!(block.kind, Kind::Call { .. }) {
            out.push_back(delta(at, &json!({"type": "input_json_delta", "partial_json": ""})));
        }
    }

    fn token(&mut self, at: At, block: &Block, (space, word): (&str, &str), out: &mut Events) {
        let (kind, field): (&str, &str) = match &block.kind {
            Kind::Text | Kind::Refusal => ("text_delta", "text"),
            Kind::Thinking => ("thinking_delta", "thinking"),
            Kind::Call { .. } => ("input_json_delta", "partial_json"),
            Kind::Redacted => return,
        };
        let index = at.block.to_string();
        for part in [
            "event: content_block_delta\ndata: {\"type\":\"content_block_delta\",\"index\":",
            &index,
            ",\"delta\":{\"type\":\"",
            kind,
            "\",\"",
            field,
            "\":\"",
            space,
            &*escaped(word),
            "\"}}\n\n",
        ] {
            self.buffer.extend_from_slice(part.as_bytes());
        }
        out.push_back(self.buffer.split().freeze());
    }

    fn close(&mut self, at: At, block: &Block, out: &mut Events) {
        if block.kind == Kind::Thinking {
            let proof = signature(&block.text());
            out.push_back(delta(at, &json!({"type": "signature_delta", "signature": proof})));
        }
        let stop = json!({"type": "content_block_stop", "index": at.block});
        out.push_back(event("content_block_stop", &stop));
    }

    fn end(&mut self, answer: &Answer, out: &mut Events) {
        let (reason, sequence) = stop(answer);
        let mut end = json!({
            "type": "message_delta",
            "delta": {"stop_reason": reason, "stop_sequence": sequence},
        });
        if answer.tell_usage > 0 {
            end["usage"] = usage(answer, answer.usage.output);
        }
        for _ in 0..answer.tell_usage.max(1) {
            out.push_back(event("message_delta", &end));
        }
        if answer.done {
            out.push_back(sse::encode(Some("message_stop"), br#"{"type":"message_stop"}"#));
        }
    }

    fn error(&self) -> Bytes {
        event(
            "error",
            &json!({"type": "error", "error": {"type": "overloaded_error", "message": "Overloaded"}}),
        )
    }

    fn broken(&self) -> Bytes {
        Bytes::from_static(b"event: content_block_delta\ndata: {\"type\":\"content_block_\n\n")
    }
}

fn model(answer: &Answer) -> Value {
    // Written by this program, so it is JSON.
    serde_json::from_str(&answer.model).unwrap_or_default()
}

/// What was cached does not count as input here.
fn usage(answer: &Answer, output: u64) -> Value {
    let usage = &answer.usage;
    json!({
        "input_tokens": usage.prompt.saturating_sub(usage.cached + usage.written),
        "cache_creation_input_tokens": usage.written,
        "cache_read_input_tokens": usage.cached,
        "cache_creation": {"ephemeral_5m_input_tokens": usage.written, "ephemeral_1h_input_tokens": 0},
        "output_tokens": output,
        "service_tier": "standard",
    })
}

fn stop(answer: &Answer) -> (&'static str, Option<&str>) {
    match answer.choices.first().map(|choice| &choice.finish) {
        Some(Finish::Length) => ("max_tokens", None),
        Some(Finish::Sequence(text)) => ("stop_sequence", Some(text)),
        Some(Finish::Calls) => ("tool_use", None),
        Some(Finish::Refusal | Finish::Filter) => ("refusal", None),
        Some(Finish::Stop) | None => ("end_turn", None),
    }
}

/// A whole answer.
pub(in super::super) fn whole(answer: &Answer) -> Bytes {
    let (reason, sequence) = stop(answer);
    let mut message = json!({
        "id": format!("msg_{}", answer.id()),
        "type": "message",
        "role": "assistant",
        "model": model(answer),
        "content": answer.choices.first().map(blocks),
        "stop_reason": reason,
        "stop_sequence": sequence,
    });
    if answer.tell_usage > 0 {
        message["usage"] = usage(answer, answer.usage.output);
    }
    message.to_string().into()
}

fn blocks(choice: &Choice) -> Vec<Value> {
    let blocks = choice.blocks.iter().map(|block| {
        let text = block.text();
        match &block.kind {
            Kind::Text | Kind::Refusal => json!({"type": "text", "text": text}),
            Kind::Thinking => json!({"type": "thinking", "thinking": text, "signature": signature(&text)}),
            Kind::Redacted => json!({"type": "redacted_thinking", "data": redacted(&text)}),
            Kind::Call { id, name } => {
                // Arguments that the limit cut are shown as far as they are whole: not at all.
                let input: Value = serde_json::from_str(&text).unwrap_or_else(|_| json!({}));
                json!({"type": "tool_use", "id": format!("toolu_{id}"), "name": name, "input": input})
            }
        }
    });
    blocks.collect()
}

//! Writes what Converse answers.

use bytes::Bytes;
use serde_json::{Value, json};

use super::super::script::{At, Events, Writer};
use super::frame;
use crate::answer::{Answer, Block, Choice, Finish, Kind, redacted, signature};

/// Writes the messages of a stream.
pub(in super::super) struct ConverseWriter;

fn event(name: &str, data: &Value) -> Bytes {
    frame::event(name, data.to_string().as_bytes())
}

fn delta(at: At, delta: &Value) -> Bytes {
    event(
        "contentBlockDelta",
        &json!({"contentBlockIndex": at.block, "delta": delta}),
    )
}

impl Writer for ConverseWriter {
    fn start(&mut self, _: &Answer, out: &mut Events) {
        out.push_back(event("messageStart", &json!({"role": "assistant"})));
    }

    fn open(&mut self, at: At, block: &Block, out: &mut Events) {
        // Calls alone announce themselves.
        if let Kind::Call { id, name } = &block.kind {
            let start = json!({"toolUse": {"toolUseId": format!("tooluse_{id}"), "name": name}});
            let data = json!({"contentBlockIndex": at.block, "start": start});
            out.push_back(event("contentBlockStart", &data));
        }
    }

    fn token(&mut self, at: At, block: &Block, (space, word): (&str, &str), out: &mut Events) {
        let text = format!("{space}{word}");
        let told = match block.kind {
            Kind::Text | Kind::Refusal => json!({"text": text}),
            Kind::Thinking => json!({"reasoningContent": {"text": text}}),
            Kind::Call { .. } => json!({"toolUse": {"input": text}}),
            Kind::Redacted => return,
        };
        out.push_back(delta(at, &told));
    }

    fn close(&mut self, at: At, block: &Block, out: &mut Events) {
        let proof = match block.kind {
            Kind::Thinking => Some(json!({"signature": signature(&block.text())})),
            Kind::Redacted => Some(json!({"redactedContent": redacted(&block.text())})),
            _ => None,
        };
        if let Some(proof) = proof {
            out.push_back(delta(at, &json!({"reasoningContent": proof})));
        }
        out.push_back(event("contentBlockStop", &json!({"contentBlockIndex": at.block})));
    }

    fn end(&mut self, answer: &Answer, out: &mut Events) {
        if answer.done {
            out.push_back(event("messageStop", &json!({"stopReason": stop_reason(answer)})));
        }
        for _ in 0..answer.tell_usage {
            let metadata = json!({"usage": usage(answer), "metrics": {"latencyMs": 1}});
            out.push_back(event("metadata", &metadata));
        }
    }

    fn error(&self) -> Bytes {
        let message = json!({"message": "The model is overloaded."}).to_string();
        frame::exception("modelStreamErrorException", message.as_bytes())
    }

    /// A message whose guard does not fit.
    fn broken(&self) -> Bytes {
        let mut message = event("contentBlockDelta", &json!({"contentBlockIndex": 0})).to_vec();
        if let Some(last) = message.last_mut() {
            *last ^= 0xFF;
        }
        message.into()
    }
}

/// What was cached does not count as input here.
fn usage(answer: &Answer) -> Value {
    let usage = &answer.usage;
    json!({
        "inputTokens": usage.prompt.saturating_sub(usage.cached + usage.written),
        "outputTokens": usage.output,
        "totalTokens": usage.prompt.saturating_add(usage.output),
        "cacheReadInputTokens": usage.cached,
        "cacheWriteInputTokens": usage.written,
    })
}

fn stop_reason(answer: &Answer) -> &'static str {
    match answer.choices.first().map(|choice| &choice.finish) {
        Some(Finish::Length) => "max_tokens",
        Some(Finish::Sequence(_)) => "stop_sequence",
        Some(Finish::Calls) => "tool_use",
        Some(Finish::Filter) => "content_filtered",
        Some(Finish::Stop | Finish::Refusal) | None => "end_turn",
    }
}

/// A whole answer.
pub(in super::super) fn whole(answer: &Answer) -> Bytes {
    let content = answer.choices.first().map(blocks).unwrap_or_default();
    let mut body = json!({
        "output": {"message": {"role": "assistant", "content": content}},
        "stopReason": stop_reason(answer),
        "metrics": {"latencyMs": 1},
    });
    if answer.tell_usage > 0 {
        body["usage"] = usage(answer);
    }
    body.to_string().into()
}

fn blocks(choice: &Choice) -> Vec<Value> {
    let blocks = choice.blocks.iter().map(|block| {
        let text = block.text();
        match &block.kind {
            Kind::Text | Kind::Refusal => json!({"text": text}),
            Kind::Thinking => {
                json!({"reasoningContent": {"reasoningText": {"text": text, "signature": signature(&text)}}})
            }
            Kind::Redacted => json!({"reasoningContent": {"redactedContent": redacted(&text)}}),
            Kind::Call { id, name } => {
                let input: Value = serde_json::from_str(&text).unwrap_or_else(|_| json!({}));
                json!({"toolUse": {"toolUseId": format!("tooluse_{id}"), "name": name, "input": input}})
            }
        }
    });
    blocks.collect()
}

//! Writes responses.

use bytes::Bytes;
use serde_json::{Map, Value, json};
use tokenweir_llm::sse;

use super::super::script::{At, Events, Writer};
use crate::answer::{Answer, Block, Finish, Kind, id, redacted};
use crate::ask::Echo;
use crate::behaviour::hash;

/// Writes the events of a stream, each with its number.
pub(in super::super) struct ResponseWriter {
    number: u64,
    /// Seed of the items' identifiers.
    seed: u64,
    echo: Echo,
}

impl ResponseWriter {
    pub(in super::super) fn new(answer: &Answer) -> Self {
        Self {
            number: 0,
            seed: answer.hash,
            echo: answer.echo.as_deref().cloned().unwrap_or_default(),
        }
    }

    fn event(&mut self, name: &str, mut data: Value, out: &mut Events) {
        data["type"] = name.into();
        data["sequence_number"] = self.number.into();
        self.number += 1;
        out.push_back(sse::encode(Some(name), data.to_string().as_bytes()));
    }

    /// An event about the one part of an item.
    fn part_event(&mut self, name: &str, at: At, block: &Block, mut data: Value, out: &mut Events) {
        data["item_id"] = item_id(self.seed, at.block, block).into();
        data["output_index"] = at.block.into();
        match block.kind {
            Kind::Thinking => data["summary_index"] = 0.into(),
            Kind::Text | Kind::Refusal => data["content_index"] = 0.into(),
            Kind::Call { .. } | Kind::Redacted => {}
        }
        self.event(name, data, out);
    }
}

impl Writer for ResponseWriter {
    fn start(&mut self, answer: &Answer, out: &mut Events) {
        for name in ["response.created", "response.in_progress"] {
            let response = response(answer, "in_progress", &[]);
            self.event(name, json!({"response": response}), out);
        }
    }

    fn open(&mut self, at: At, block: &Block, out: &mut Events) {
        let item = item(self.seed, at.block, block, &self.echo, false);
        self.event(
            "response.output_item.added",
            json!({"output_index": at.block, "item": item}),
            out,
        );
        match block.kind {
            Kind::Text | Kind::Refusal => {
                let part = json!({"part": part(&block.kind, "")});
                self.part_event("response.content_part.added", at, block, part, out);
            }
            Kind::Thinking if self.echo.summary => {
                let part = json!({"part": {"type": "summary_text", "text": ""}});
                self.part_event("response.reasoning_summary_part.added", at, block, part, out);
            }
            _ => {}
        }
    }

    fn token(&mut self, at: At, block: &Block, (space, word): (&str, &str), out: &mut Events) {
        let delta = format!("{space}{word}");
        match block.kind {
            Kind::Text => {
                let data = json!({"delta": delta, "logprobs": []});
                self.part_event("response.output_text.delta", at, block, data, out);
            }
            Kind::Refusal => self.part_event("response.refusal.delta", at, block, json!({"delta": delta}), out),
            Kind::Thinking if self.echo.summary => {
                let name = "response.reasoning_summary_text.delta";
                self.part_event(name, at, block, json!({"delta": delta}), out);
            }
            Kind::Call { .. } => {
                let name = "response.function_call_arguments.delta";
                self.part_event(name, at, block, json!({"delta": delta}), out);
            }
            Kind::Thinking | Kind::Redacted => {}
        }
    }

    fn close(&mut self, at: At, block: &Block, out: &mut Events) {
        let text = block.text();
        match &block.kind {
            kind @ (Kind::Text | Kind::Refusal) => {
                let (name, done) = if *kind == Kind::Text {
                    ("response.output_text.done", json!({"text": text, "logprobs": []}))
                } else {
                    ("response.refusal.done", json!({"refusal": text}))
                };
                self.part_event(name, at, block, done, out);
                let part = json!({"part": part(kind, &text)});
                self.part_event("response.content_part.done", at, block, part, out);
            }
            Kind::Thinking if self.echo.summary => {
                let name = "response.reasoning_summary_text.done";
                self.part_event(name, at, block, json!({"text": text}), out);
                let part = json!({"part": {"type": "summary_text", "text": text}});
                self.part_event("response.reasoning_summary_part.done", at, block, part, out);
            }
            Kind::Call { name, .. } => {
                let done = json!({"arguments": text, "name": name});
                self.part_event("response.function_call_arguments.done", at, block, done, out);
            }
            Kind::Thinking | Kind::Redacted => {}
        }
        let item = item(self.seed, at.block, block, &self.echo, true);
        self.event(
            "response.output_item.done",
            json!({"output_index": at.block, "item": item}),
            out,
        );
    }

    fn end(&mut self, answer: &Answer, out: &mut Events) {
        let status = status(answer);
        let response = finished(answer);
        for _ in 0..answer.tell_usage.max(1) {
            if answer.done {
                self.event(&format!("response.{status}"), json!({"response": response}), out);
            }
        }
    }

    fn error(&self) -> Bytes {
        let data = json!({
            "type": "error",
            "sequence_number": self.number,
            "code": "server_error",
            "message": "The server had an error while processing your request.",
            "param": null,
        });
        sse::encode(Some("error"), data.to_string().as_bytes())
    }

    fn broken(&self) -> Bytes {
        Bytes::from_static(b"event: response.output_text.delta\ndata: {\"type\":\"response.\n\n")
    }
}

/// A whole answer.
pub(in super::super) fn whole(answer: &Answer) -> Bytes {
    finished(answer).to_string().into()
}

fn finished(answer: &Answer) -> Value {
    let echo = answer.echo.as_deref().cloned().unwrap_or_default();
    let blocks = answer.choices.first().map_or(&[][..], |choice| &choice.blocks);
    let items: Vec<Value> = blocks
        .iter()
        .enumerate()
        .map(|(index, block)| item(answer.hash, index, block, &echo, true))
        .collect();
    let mut response = response(answer, status(answer), &items);
    if answer.tell_usage > 0 {
        let usage = &answer.usage;
        response["usage"] = json!({
            "input_tokens": usage.prompt,
            "input_tokens_details": {"cached_tokens": usage.cached},
            "output_tokens": usage.output,
            "output_tokens_details": {"reasoning_tokens": usage.thoughts},
            "total_tokens": usage.prompt.saturating_add(usage.output),
        });
    }
    response
}

fn status(answer: &Answer) -> &'static str {
    match answer.choices.first().map(|choice| &choice.finish) {
        Some(Finish::Length | Finish::Filter) => "incomplete",
        _ => "completed",
    }
}

fn response(answer: &Answer, status: &str, output: &[Value]) -> Value {
    let incomplete = (status == "incomplete").then(|| {
        let filtered = answer
            .choices
            .first()
            .is_some_and(|choice| choice.finish == Finish::Filter);
        json!({"reason": if filtered { "content_filter" } else { "max_output_tokens" }})
    });
    let model: Value = serde_json::from_str(&answer.model).unwrap_or_default();
    let mut fields = json!({
        "id": format!("resp_{}", answer.id()),
        "object": "response",
        "created_at": answer.created,
        "status": status,
        "error": null,
        "incomplete_details": incomplete,
        "instructions": null,
        "max_output_tokens": null,
        "model": model,
        "output": output,
        "parallel_tool_calls": true,
        "previous_response_id": null,
        "reasoning": {"effort": null, "summary": null},
        "store": false,
        "temperature": 1.0,
        "text": {"format": {"type": "text"}},
        "tool_choice": "auto",
        "tools": [],
        "top_p": 1.0,
        "truncation": "disabled",
        "usage": null,
        "user": null,
        "metadata": {},
    });
    let echoed = answer.echo.as_deref().map_or_else(Map::new, |echo| echo.fields.clone());
    for (name, value) in echoed {
        fields[name] = value;
    }
    fields
}

fn item_id(seed: u64, index: usize, block: &Block) -> String {
    let prefix = match block.kind {
        Kind::Text | Kind::Refusal => "msg",
        Kind::Thinking | Kind::Redacted => "rs",
        Kind::Call { .. } => "fc",
    };
    format!("{prefix}_{}", id(hash(seed, &index.to_le_bytes())))
}

fn part(kind: &Kind, text: &str) -> Value {
    match kind {
        Kind::Refusal => json!({"type": "refusal", "refusal": text}),
        _ => json!({"type": "output_text", "text": text, "annotations": [], "logprobs": []}),
    }
}

fn item(seed: u64, index: usize, block: &Block, echo: &Echo, done: bool) -> Value {
    let own = item_id(seed, index, block);
    let text = if done { block.text() } else { String::new() };
    let status = if done { "completed" } else { "in_progress" };
    match &block.kind {
        kind @ (Kind::Text | Kind::Refusal) => {
            let content: Vec<Value> = done.then(|| part(kind, &text)).into_iter().collect();
            json!({"id": own, "type": "message", "status": status, "role": "assistant", "content": content})
        }
        Kind::Call { id, name } => json!({
            "id": own, "type": "function_call", "status": status, "call_id": format!("call_{id}"), "name": name,
            "arguments": text,
        }),
        Kind::Thinking | Kind::Redacted => {
            let summary = if done && echo.summary {
                json!([{"type": "summary_text", "text": text}])
            } else {
                json!([])
            };
            let mut item = json!({"id": own, "type": "reasoning", "summary": summary});
            if echo.encrypted {
                item["encrypted_content"] = if done { redacted(&text).into() } else { "".into() };
            }
            item
        }
    }
}

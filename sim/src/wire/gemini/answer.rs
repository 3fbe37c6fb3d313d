//! Writes content.

use bytes::Bytes;
use serde_json::{Value, json};
use tokenweir_llm::sse;

use super::super::script::{At, Events, Writer};
use crate::answer::{Answer, Block, Choice, Finish, Kind, signature};

/// Writes the pieces of a stream: events, or the elements of one list.
pub(in super::super) struct ContentWriter {
    /// Without events, the whole body is a list.
    list: bool,
    begun: bool,
    response: Value,
    usage: Value,
}

impl ContentWriter {
    pub(in super::super) fn new(answer: &Answer, list: bool) -> Self {
        let usage = json!({"promptTokenCount": answer.usage.prompt, "totalTokenCount": answer.usage.prompt});
        Self {
            list,
            begun: false,
            response: envelope(answer),
            usage: if answer.tell_usage > 0 { usage } else { Value::Null },
        }
    }

    fn piece(&mut self, data: &Value) -> Bytes {
        if !self.list {
            return sse::encode(None, data.to_string().as_bytes());
        }
        let before = if std::mem::replace(&mut self.begun, true) {
            ",\r\n"
        } else {
            "["
        };
        format!("{before}{data}").into()
    }

    fn part(&mut self, at: At, part: &Value) -> Bytes {
        let mut data = self.response.clone();
        data["candidates"] = json!([{"content": {"parts": [part], "role": "model"}, "index": at.choice}]);
        if !self.usage.is_null() {
            data["usageMetadata"] = self.usage.clone();
        }
        self.piece(&data)
    }
}

impl Writer for ContentWriter {
    fn start(&mut self, _: &Answer, _: &mut Events) {}

    fn open(&mut self, _: At, _: &Block, _: &mut Events) {}

    fn token(&mut self, at: At, block: &Block, (space, word): (&str, &str), out: &mut Events) {
        let text = format!("{space}{word}");
        let part = match block.kind {
            Kind::Text | Kind::Refusal => json!({"text": text}),
            Kind::Thinking => json!({"text": text, "thought": true}),
            // A call is told as a whole.
            Kind::Call { .. } | Kind::Redacted => return,
        };
        let piece = self.part(at, &part);
        out.push_back(piece);
    }

    fn close(&mut self, at: At, block: &Block, out: &mut Events) {
        if let Kind::Call { id, name } = &block.kind {
            let piece = self.part(at, &call(id, name, block, at.call == 0));
            out.push_back(piece);
        }
    }

    fn end(&mut self, answer: &Answer, out: &mut Events) {
        let candidates: Vec<Value> = answer
            .choices
            .iter()
            .enumerate()
            .map(|(index, choice)| {
                let content = json!({"parts": [{"text": ""}], "role": "model"});
                json!({"content": content, "finishReason": finish_reason(&choice.finish), "index": index})
            })
            .collect();
        let mut data = self.response.clone();
        data["candidates"] = candidates.into();
        if answer.tell_usage > 0 {
            data["usageMetadata"] = usage(answer);
        }
        for _ in 0..answer.tell_usage.max(1) {
            if answer.done {
                let piece = self.piece(&data);
                out.push_back(piece);
            }
        }
        if self.list && answer.done {
            out.push_back(Bytes::from_static(b"]"));
        }
    }

    fn error(&self) -> Bytes {
        sse::encode(
            None,
            &super::error_body(503, "The model is overloaded. Please try again later.", None, None),
        )
    }

    fn broken(&self) -> Bytes {
        Bytes::from_static(b"data: {\"candidates\":[{\"content\n\n")
    }
}

fn envelope(answer: &Answer) -> Value {
    let model: Value = serde_json::from_str(&answer.model).unwrap_or_default();
    json!({"modelVersion": model, "responseId": answer.id()})
}

/// Thoughts do not count as candidates here, and what was cached counts as prompt.
fn usage(answer: &Answer) -> Value {
    let usage = &answer.usage;
    let mut told = json!({
        "promptTokenCount": usage.prompt,
        "candidatesTokenCount": usage.output - usage.thoughts,
        "totalTokenCount": usage.prompt.saturating_add(usage.output),
        "promptTokensDetails": [{"modality": "TEXT", "tokenCount": usage.prompt}],
    });
    if usage.thoughts > 0 {
        told["thoughtsTokenCount"] = usage.thoughts.into();
    }
    if usage.cached > 0 {
        told["cachedContentTokenCount"] = usage.cached.into();
    }
    told
}

/// A call. The first of an answer carries the proof of the thought behind them.
fn call(id: &str, name: &str, block: &Block, first: bool) -> Value {
    let args: Value = serde_json::from_str(&block.text()).unwrap_or_else(|_| json!({}));
    let mut part = json!({"functionCall": {"id": id, "name": name, "args": args}});
    if first {
        part["thoughtSignature"] = signature(name).into();
    }
    part
}

const fn finish_reason(finish: &Finish) -> &'static str {
    match finish {
        Finish::Stop | Finish::Sequence(_) | Finish::Calls => "STOP",
        Finish::Length => "MAX_TOKENS",
        Finish::Refusal => "PROHIBITED_CONTENT",
        Finish::Filter => "SAFETY",
    }
}

/// A whole answer.
pub(in super::super) fn whole(answer: &Answer) -> Bytes {
    let candidates: Vec<Value> = answer
        .choices
        .iter()
        .enumerate()
        .map(|(index, choice)| {
            let content = json!({"parts": parts(choice), "role": "model"});
            json!({"content": content, "finishReason": finish_reason(&choice.finish), "index": index})
        })
        .collect();
    let mut response = envelope(answer);
    response["candidates"] = candidates.into();
    if answer.tell_usage > 0 {
        response["usageMetadata"] = usage(answer);
    }
    response.to_string().into()
}

fn parts(choice: &Choice) -> Vec<Value> {
    let mut first = true;
    let blocks = choice.blocks.iter().filter_map(|block| {
        let text = block.text();
        match &block.kind {
            Kind::Text | Kind::Refusal => Some(json!({"text": text})),
            Kind::Thinking => Some(json!({"text": text, "thought": true})),
            Kind::Call { id, name } => Some(call(id, name, block, std::mem::take(&mut first))),
            Kind::Redacted => None,
        }
    });
    blocks.collect()
}

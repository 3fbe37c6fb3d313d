//! The OpenAI wire: chat and text completions, and the list of models.

use std::fmt::Write;

use bytes::{BufMut, Bytes, BytesMut};
use tokenweir_llm::{ErrorKind, OpenAiError};

use super::script::{Answer, Dialect};

/// Room for this many events is taken at a time.
const BLOCK: usize = 8 * 1024;

/// Writes the chunks of a stream. All but the choice is the same in each, and is written once.
pub(super) struct ChunkWriter {
    chat: bool,
    prefix: Vec<u8>,
    suffix: &'static [u8],
    buffer: BytesMut,
}

impl ChunkWriter {
    pub(super) fn new(answer: &Answer) -> Self {
        let chat = answer.dialect == Dialect::Chat;
        let object = if chat {
            "chat.completion.chunk"
        } else {
            "text_completion"
        };
        Self {
            chat,
            prefix: format!("data: {},\"choices\":[", envelope(answer, object)).into_bytes(),
            suffix: if answer.usage {
                b"],\"usage\":null}\n\n"
            } else {
                b"]}\n\n"
            },
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

    /// The chunk that names the role, one a choice. Text completions have none.
    pub(super) fn head(&mut self, answer: &Answer, number: u64) -> Option<Bytes> {
        (self.chat && number < answer.choices).then(|| {
            let index = number.to_string();
            self.event(&[
                b"{\"index\":",
                index.as_bytes(),
                b",\"delta\":{\"role\":\"assistant\",\"content\":\"\",\"refusal\":null},\"logprobs\":null,\"finish_reason\":null}",
            ])
        })
    }

    pub(super) fn token(&mut self, choice: u64, space: &str, word: &str) -> Bytes {
        let index = choice.to_string();
        let (open, close): (&[u8], &[u8]) = if self.chat {
            (
                b",\"delta\":{\"content\":\"",
                b"\"},\"logprobs\":null,\"finish_reason\":null}",
            )
        } else {
            (b",\"text\":\"", b"\",\"logprobs\":null,\"finish_reason\":null}")
        };
        self.event(&[
            b"{\"index\":",
            index.as_bytes(),
            open,
            space.as_bytes(),
            word.as_bytes(),
            close,
        ])
    }

    /// The chunks that end each choice, the usage chunk if it is wanted, and `[DONE]`.
    pub(super) fn tail(&mut self, answer: &Answer, number: u64) -> Option<Bytes> {
        if number < answer.choices {
            let (index, reason) = (number.to_string(), finish_reason(answer));
            let empty: &[u8] = if self.chat { b"\"delta\":{}" } else { b"\"text\":\"\"" };
            return Some(self.event(&[
                b"{\"index\":",
                index.as_bytes(),
                b",",
                empty,
                b",\"logprobs\":null,\"finish_reason\":\"",
                reason.as_bytes(),
                b"\"}",
            ]));
        }
        let usage = u64::from(answer.usage);
        if number < answer.choices + usage {
            let object = if self.chat {
                "chat.completion.chunk"
            } else {
                "text_completion"
            };
            let (envelope, usage) = (envelope(answer, object), usage_object(answer));
            return Some(format!("data: {envelope},\"choices\":[],\"usage\":{usage}}}\n\n").into());
        }
        let last = number == answer.choices + usage;
        (last && answer.done).then(|| Bytes::from_static(b"data: [DONE]\n\n"))
    }
}

/// The start of every object, without the closing brace.
fn envelope(answer: &Answer, object: &str) -> String {
    let prefix = if answer.dialect == Dialect::Chat {
        "chatcmpl"
    } else {
        "cmpl"
    };
    let (id, created, model) = (answer.id(), answer.created, &answer.model);
    format!(
        "{{\"id\":\"{prefix}-{id}\",\"object\":\"{object}\",\"created\":{created},\"model\":{model},\"system_fingerprint\":\"fp_sim\""
    )
}

const fn finish_reason(answer: &Answer) -> &'static str {
    if answer.cut { "length" } else { "stop" }
}

fn usage_object(answer: &Answer) -> String {
    let (prompt, completion) = (answer.prompt_tokens, answer.completion_tokens());
    let total = prompt.saturating_add(completion);
    format!(
        "{{\"prompt_tokens\":{prompt},\"completion_tokens\":{completion},\"total_tokens\":{total},\
         \"prompt_tokens_details\":{{\"cached_tokens\":0,\"audio_tokens\":0}},\
         \"completion_tokens_details\":{{\"reasoning_tokens\":0,\"audio_tokens\":0,\
         \"accepted_prediction_tokens\":0,\"rejected_prediction_tokens\":0}}}}"
    )
}

/// A whole answer.
pub(super) fn whole(answer: &Answer) -> Bytes {
    let chat = answer.dialect == Dialect::Chat;
    let mut out = envelope(answer, if chat { "chat.completion" } else { "text_completion" });
    out.push_str(",\"choices\":[");
    for choice in 0..answer.choices {
        let (comma, text, reason) = (
            if choice == 0 { "" } else { "," },
            answer.text(choice),
            finish_reason(answer),
        );
        // Words are lower-case letters and spaces: nothing needs escaping.
        // Writing to a String cannot fail.
        let _ = if chat {
            write!(
                out,
                "{comma}{{\"index\":{choice},\"message\":{{\"role\":\"assistant\",\"content\":\"{text}\",\"refusal\":null,\
                 \"annotations\":[]}},\"logprobs\":null,\"finish_reason\":\"{reason}\"}}"
            )
        } else {
            write!(
                out,
                "{comma}{{\"index\":{choice},\"text\":\"{text}\",\"logprobs\":null,\"finish_reason\":\"{reason}\"}}"
            )
        };
    }
    out.push(']');
    if answer.usage {
        out.push_str(",\"usage\":");
        out.push_str(&usage_object(answer));
    }
    out.push('}');
    out.into()
}

/// The error that a fault puts into the middle of a stream.
pub(super) fn error_event() -> Bytes {
    OpenAiError::new(
        ErrorKind::Internal,
        "The server had an error while processing your request.",
    )
    .to_sse_event()
}

/// `GET /v1/models`.
pub(super) fn models(names: &[String], created: u64) -> Bytes {
    let list: Vec<serde_json::Value> = names.iter().map(|name| model(name, created)).collect();
    serde_json::json!({"object": "list", "data": list}).to_string().into()
}

/// `GET /v1/models/NAME`.
pub(super) fn model(name: &str, created: u64) -> serde_json::Value {
    serde_json::json!({"id": name, "object": "model", "created": created, "owned_by": "tokenweir-sim"})
}

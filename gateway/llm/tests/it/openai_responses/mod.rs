//! OpenAI Responses as a client's dialect.

mod answers;
mod laws;
mod requests;
mod streamed;
mod translated;

use std::fmt::Write as _;
use std::sync::Arc;

use serde_json::Value;
use tokenweir_llm::conversation::{Part, PartKind, Request};
use tokenweir_llm::dialect::openai_responses::Responses;
use tokenweir_llm::dialect::{ClientDialect, Context};

fn read(body: &str) -> Request {
    Responses::read_request(body.as_bytes()).unwrap()
}

/// The context of an answer to a request.
fn context(body: &str) -> Context {
    Context {
        id: "req-1".into(),
        now_unix: 1_741_476_542,
        request: Arc::new(read(body)),
    }
}

fn json(bytes: &[u8]) -> Value {
    serde_json::from_slice(bytes).unwrap()
}

/// The messages of a request, a part a line.
fn turns(request: &Request) -> String {
    let mut out = String::new();
    for message in &request.messages {
        writeln!(out, "{:?} at {}", message.role, message.at).unwrap();
        for part in &message.parts {
            show(part, 1, &mut out);
        }
    }
    out
}

fn show(part: &Part, depth: usize, out: &mut String) {
    let indent = "  ".repeat(depth);
    let cache = part
        .cache
        .as_ref()
        .map(|cache| format!(" {cache:?}"))
        .unwrap_or_default();
    match &part.kind {
        PartKind::ToolResult(result) => {
            writeln!(out, "{indent}ToolResult of {}{cache} at {}", result.id, part.at).unwrap();
            for part in &result.parts {
                show(part, depth + 1, out);
            }
        }
        kind => writeln!(out, "{indent}{kind:?}{cache} at {}", part.at).unwrap(),
    }
}

/// What nobody else can be asked for, a field a line.
fn extras(request: &Request) -> Vec<String> {
    let shown = request
        .extras
        .iter()
        .map(|extra| format!("{} {}", extra.field, extra.value.get()));
    shown.collect()
}

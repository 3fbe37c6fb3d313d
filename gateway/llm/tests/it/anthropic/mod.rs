//! Anthropic Messages, as clients speak it and as it is spoken to the provider.

mod answers;
mod asked;
mod controls;
mod count;
mod errors;
mod from_chat;
mod laws;
mod made;
mod reads;
mod streams;
mod to_chat;
mod told;
mod writes;

use std::fmt::Write as _;

use serde_json::Value;
use tokenweir_llm::conversation::{Event, Report, Request};
use tokenweir_llm::dialect::{Client, ClientDialect, Context, Messages, ProviderWire, Target, Wire};
use tokenweir_llm::translate::{Translation, read_request};

/// A model that takes all that the dialect had before models differed.
const COMPATIBLE: &str = "kimi-k2";

fn read(body: &Value) -> Request {
    Messages::read_request(body.to_string().as_bytes()).unwrap()
}

fn value(body: &[u8]) -> Value {
    serde_json::from_slice(body).unwrap()
}

/// The body for a model, and the fields that it has no place for.
fn write(request: &Request, model: &str) -> (Value, Vec<String>) {
    let mut report = Report::about(Messages::NAME);
    let target = Target {
        model,
        ..Target::default()
    };
    let body = Messages::write_request(request, &target, &mut report);
    let unsupported = report
        .finish()
        .err()
        .map_or_else(Vec::new, |found| found.fields.iter().map(ToString::to_string).collect());
    (value(&body), unsupported)
}

fn context() -> Context {
    Context {
        id: "req1".into(),
        now_unix: 1_800_000_000,
        request: read(&serde_json::json!({
            "model": "m", "max_tokens": 10, "messages": [{"role": "user", "content": "hello world"}],
        }))
        .into(),
    }
}

/// The events of a stream that comes in these pieces.
fn events(pieces: &[&[u8]]) -> Vec<Event> {
    let mut reader = <Messages as ProviderWire>::stream();
    let mut events = Vec::new();
    for piece in pieces {
        reader.push(piece, &mut events);
    }
    reader.finish(&mut events);
    events
}

/// The stream that events make.
fn stream(events: &[Event]) -> String {
    let mut writer = <Messages as ClientDialect>::stream(context());
    let mut out = Vec::new();
    for event in events {
        writer.write(event, &mut out);
    }
    String::from_utf8(out).unwrap()
}

/// A stream of named events.
fn sse(parts: &[(&str, Value)]) -> String {
    parts.iter().fold(String::new(), |mut text, (name, data)| {
        write!(text, "event: {name}\ndata: {data}\n\n").unwrap();
        text
    })
}

/// A whole answer of a wire for a client.
fn translated_answer(client: Client, wire: Wire, body: &Value) -> Value {
    let translation = Translation::new(client, wire).unwrap();
    let (body, _) = translation.answer(body.to_string().as_bytes(), &context()).unwrap();
    value(&body)
}

/// A stream of a wire for a client that asked for it.
fn translated_stream(client: Client, wire: Wire, ask: &Value, sent: &str) -> String {
    let context = Context {
        request: read_request(client, ask.to_string().as_bytes()).unwrap().into(),
        ..context()
    };
    let mut stream = Translation::new(client, wire).unwrap().stream(context);
    let mut out = Vec::new();
    for piece in sent.as_bytes().chunks(7) {
        stream.push(piece, &mut out);
    }
    stream.finish(&mut out);
    String::from_utf8(out).unwrap()
}

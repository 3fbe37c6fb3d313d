//! Finding the fields of a request that a gateway acts on, against `serde_json` finding the same ones.

use bytes::Bytes;
use divan::Bencher;
use divan::counter::BytesCount;
use serde::Deserialize;
use serde_json::value::RawValue;
use tokenweir_llm::{Edits, FieldPaths, Operation, Peek, Pieces};

/// Bytes of a body: a short question, a conversation, a conversation with an image.
const SIZES: [usize; 3] = [256, 8 * 1024, 128 * 1024];
/// A large body comes in pieces of this size.
const PIECE: usize = 16 * 1024;

fn main() {
    divan::main();
}

fn body(size: usize) -> Bytes {
    // An escape in each line, as prose has.
    let text = "tell me about rivers and weirs, and about all that they do to the land.\\n".repeat(size / 73);
    let body = format!(
        r#"{{"model":"assistant-large","temperature":0.7,"messages":[{{"role":"user","content":"{text}"}}],"stream":true}}"#
    );
    body.into()
}

fn pieces(body: &Bytes) -> Pieces {
    let mut pieces = Pieces::default();
    let mut rest = body.clone();
    while !rest.is_empty() {
        pieces.push(rest.split_to(rest.len().min(PIECE)));
    }
    pieces
}

#[derive(Deserialize)]
struct Wanted<'a> {
    #[serde(borrow)]
    model: &'a RawValue,
    #[serde(borrow)]
    messages: &'a RawValue,
    stream: Option<bool>,
    #[serde(borrow)]
    stream_options: Option<&'a RawValue>,
}

#[divan::bench(args = SIZES)]
fn serde_json(bencher: Bencher<'_, '_>, size: usize) {
    let body = body(size);
    bencher.counter(BytesCount::new(body.len())).bench(|| {
        let wanted: Option<Wanted<'_>> = serde_json::from_slice(divan::black_box(&body)).ok();
        wanted.map(|found| {
            let options = found.stream_options.map(|options| options.get().len());
            (
                found.model.get().len(),
                found.messages.get().len(),
                found.stream,
                options,
            )
        })
    });
}

#[divan::bench(args = SIZES)]
fn peek(bencher: Bencher<'_, '_>, size: usize) {
    let pieces = pieces(&body(size));
    bencher
        .counter(BytesCount::new(pieces.len()))
        .bench(|| Peek::parse(Operation::Chat, divan::black_box(&pieces).clone()).map(|peek| peek.stream()));
}

/// Scalars by their paths, as conditions of routes name them: one, and as many as a route may name.
#[divan::bench(args = [1, 16])]
fn fields(bencher: Bencher<'_, '_>, count: usize) {
    let text = "x".repeat(64);
    let metadata: Vec<String> = (0..128).map(|n| format!(r#""field{n}":"{text}""#)).collect();
    let body = Bytes::from(format!(
        r#"{{"model":"assistant","metadata":{{{}}}}}"#,
        metadata.join(",")
    ));
    let mut paths = FieldPaths::default();
    for n in 0..count {
        paths.add(&format!("metadata.field{n}"));
    }
    let body = pieces(&body);
    bencher
        .counter(BytesCount::new(body.len()))
        .bench(|| paths.read(divan::black_box(&body)).map(|values| values.len()));
}

/// What of `peek` is the look at whether the body is text at all.
#[divan::bench(args = SIZES)]
fn utf8(bencher: Bencher<'_, '_>, size: usize) {
    let pieces = pieces(&body(size));
    bencher.counter(BytesCount::new(pieces.len())).bench(|| {
        divan::black_box(&pieces)
            .iter()
            .all(|piece| simdutf8::compat::from_utf8(piece).is_ok())
    });
}

#[divan::bench(args = SIZES)]
fn peek_and_rewrite(bencher: Bencher<'_, '_>, size: usize) {
    let pieces = pieces(&body(size));
    let edits = Edits {
        model: Some("gpt-5"),
        include_usage: true,
    };
    bencher.counter(BytesCount::new(pieces.len())).bench(|| {
        Peek::parse(Operation::Chat, divan::black_box(&pieces).clone()).map(|peek| peek.rewrite(&edits).len())
    });
}

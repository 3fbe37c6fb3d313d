//! Translation between dialects against `serde_json` parsing and writing the same body: `cargo bench -p tokenweir-llm
//! --bench translate`. Both run in turns, and the table shows the medians with their ratio.

#![expect(clippy::print_stdout, reason = "the table is what it is for")]
#![expect(
    clippy::unwrap_used,
    reason = "a body of its own that cannot be read is a mistake in the bench"
)]

use std::hint::black_box;
use std::sync::Arc;
use std::time::{Duration, Instant};

use serde_json::{Value, json};
use tokenweir_llm::dialect::converse::eventstream::encode;
use tokenweir_llm::dialect::{Client, Context, Target, Wire};
use tokenweir_llm::translate::{Translation, read_request};

/// Bytes of a request: a short question, a conversation, a long one.
const SIZES: [usize; 3] = [256, 8 * 1024, 128 * 1024];
/// Bytes of an answer.
const ANSWER: usize = 2 * 1024;
/// Events of a stream, with one piece of text each.
const EVENTS: usize = 100;
/// How often both are measured in turns, and for how long at least.
const ROUNDS: usize = 15;
const ROUND: Duration = Duration::from_millis(8);

/// A line of text with an escape, as prose has.
const LINE: &str = "tell me about rivers and weirs, and about all that they do to the land.\n";

/// Pairs that differ most in what they make of a body.
const PAIRS: [(Client, Wire); 9] = [
    (Client::ChatCompletions, Wire::Messages),
    (Client::ChatCompletions, Wire::Converse),
    (Client::ChatCompletions, Wire::Gemini),
    (Client::Messages, Wire::ChatCompletions),
    (Client::Messages, Wire::Converse),
    (Client::Messages, Wire::Gemini),
    (Client::Responses, Wire::ChatCompletions),
    (Client::Responses, Wire::Messages),
    (Client::Completions, Wire::ChatCompletions),
];

fn main() {
    println!("| what | client | provider | bytes | serde_json µs | translation µs | ratio |");
    println!("|---|---|---|---|---|---|---|");
    for size in SIZES {
        for (client, wire) in PAIRS {
            let body = request(client, size);
            let translation = Translation::new(client, wire).unwrap();
            let target = Target {
                model: model(wire),
                max_tokens: Some(4096),
                ..Target::default()
            };
            compare("request", (client, wire), &body, 1, || {
                let request = read_request(client, black_box(&body)).unwrap();
                translation.request(&request, &target, false).unwrap().len()
            });
        }
    }
    for (client, wire) in PAIRS {
        let body = answer(wire);
        let (translation, context) = (Translation::new(client, wire).unwrap(), context(client));
        compare("answer", (client, wire), &body, 1, || {
            translation.answer(black_box(&body), &context).unwrap().0.len()
        });
    }
    for (client, wire) in PAIRS {
        let (begin, event, payload) = stream(wire);
        let (translation, context) = (Translation::new(client, wire).unwrap(), context(client));
        compare("stream event", (client, wire), &payload, EVENTS, || {
            let mut stream = translation.stream(context.clone());
            let mut out = Vec::new();
            stream.push(&begin, &mut out);
            for _ in 0..EVENTS {
                out.clear();
                assert!(stream.push(black_box(&event), &mut out).tokens > 0);
            }
            out.len()
        });
    }
}

/// Measures a translation that is made up of so many, and a line of the table.
fn compare(what: &str, pair: (Client, Wire), body: &[u8], of: usize, translate: impl Fn() -> usize) {
    let reparse = || {
        let value: Value = serde_json::from_slice(black_box(body)).unwrap();
        serde_json::to_vec(&value).unwrap().len()
    };
    let mut times: [Vec<f64>; 2] = Default::default();
    for _ in 0..ROUNDS {
        times[0].push(micros(&reparse));
        times[1].push(micros(&translate) / of as f64);
    }
    let [reparsed, translated] = times.map(|mut times| {
        times.sort_by(f64::total_cmp);
        times[ROUNDS / 2]
    });
    println!(
        "| {what} | {:?} | {:?} | {} | {reparsed:.2} | {translated:.2} | {:.2} |",
        pair.0,
        pair.1,
        body.len(),
        translated / reparsed
    );
}

/// How long one call takes.
fn micros(call: &impl Fn() -> usize) -> f64 {
    let begun = Instant::now();
    let mut calls = 0_u32;
    while begun.elapsed() < ROUND {
        black_box(call());
        calls += 1;
    }
    begun.elapsed().as_secs_f64() * 1e6 / f64::from(calls)
}

const fn model(wire: Wire) -> &'static str {
    match wire {
        Wire::ChatCompletions => "gpt-5",
        Wire::Messages => "claude-opus-4-5",
        Wire::Converse => "anthropic.claude-opus-4-5-20251101-v1:0",
        Wire::Gemini => "gemini-3-pro",
    }
}

/// A request of about this size: turns of a user and an assistant in lines.
fn request(client: Client, size: usize) -> Vec<u8> {
    let lines = (size.saturating_sub(100) / LINE.len()).max(1);
    // An odd number of turns, so that the user has the last word.
    let turns = (lines / 6) | 1;
    let said = LINE.repeat(lines / turns);
    let turn = |n| json!({ "role": if n % 2 == 0 { "user" } else { "assistant" }, "content": said });
    let turns: Vec<Value> = (0..turns).map(turn).collect();
    let body = match client {
        Client::ChatCompletions => json!({ "model": "m", "temperature": 0.7, "messages": turns, "stream": true }),
        Client::Messages => json!({ "model": "m", "max_tokens": 4096, "messages": turns, "stream": true }),
        Client::Responses => json!({ "model": "m", "input": turns, "stream": true, "store": false }),
        Client::Completions => json!({ "model": "m", "prompt": LINE.repeat(lines), "stream": true }),
    };
    body.to_string().into_bytes()
}

fn context(client: Client) -> Context {
    Context {
        id: "req1".into(),
        now_unix: 1_700_000_000,
        request: Arc::new(read_request(client, &request(client, 256)).unwrap()),
    }
}

fn answer(wire: Wire) -> Vec<u8> {
    let text = LINE.repeat(ANSWER / LINE.len());
    let body = match wire {
        Wire::ChatCompletions => json!({
            "id": "c", "object": "chat.completion", "created": 1, "model": "m",
            "choices": [{ "index": 0, "message": { "role": "assistant", "content": text }, "finish_reason": "stop" }],
            "usage": { "prompt_tokens": 9, "completion_tokens": 400, "total_tokens": 409 } }),
        Wire::Messages => json!({
            "id": "msg", "type": "message", "role": "assistant", "model": "m",
            "content": [{ "type": "text", "text": text }], "stop_reason": "end_turn", "stop_sequence": null,
            "usage": { "input_tokens": 9, "output_tokens": 400 } }),
        Wire::Converse => json!({
            "output": { "message": { "role": "assistant", "content": [{ "text": text }] } }, "stopReason": "end_turn",
            "usage": { "inputTokens": 9, "outputTokens": 400, "totalTokens": 409 }, "metrics": { "latencyMs": 5 } }),
        Wire::Gemini => json!({
            "candidates": [{ "content": { "role": "model", "parts": [{ "text": text }] }, "finishReason": "STOP", "index": 0 }],
            "usageMetadata": { "promptTokenCount": 9, "candidatesTokenCount": 400, "totalTokenCount": 409 },
            "modelVersion": "m", "responseId": "r" }),
    };
    body.to_string().into_bytes()
}

/// What a stream begins with, an event of it with its framing, and that event's JSON alone.
fn stream(wire: Wire) -> (Vec<u8>, Vec<u8>, Vec<u8>) {
    const TEXT: &str = " rivers and weirs";
    let event = |name: &str, data: &Value| format!("event: {name}\ndata: {data}\n\n").into_bytes();
    let frame = |name: &str, data: &Value| {
        encode(
            &[
                (":event-type", name),
                (":content-type", "application/json"),
                (":message-type", "event"),
            ],
            data.to_string().as_bytes(),
        )
        .to_vec()
    };
    let (begin, event, payload) = match wire {
        Wire::ChatCompletions => {
            let data = json!({ "id": "c", "object": "chat.completion.chunk", "created": 1, "model": "m",
                "choices": [{ "index": 0, "delta": { "content": TEXT }, "finish_reason": null }] });
            (Vec::new(), format!("data: {data}\n\n").into_bytes(), data)
        }
        Wire::Messages => {
            let start = json!({ "type": "message_start", "message": { "id": "msg", "type": "message", "role": "assistant",
                "model": "m", "content": [], "usage": { "input_tokens": 9, "output_tokens": 1 } } });
            let block =
                json!({ "type": "content_block_start", "index": 0, "content_block": { "type": "text", "text": "" } });
            let data =
                json!({ "type": "content_block_delta", "index": 0, "delta": { "type": "text_delta", "text": TEXT } });
            let begin = [event("message_start", &start), event("content_block_start", &block)].concat();
            (begin, event("content_block_delta", &data), data)
        }
        Wire::Converse => {
            let data = json!({ "contentBlockIndex": 0, "delta": { "text": TEXT }, "p": "abcdefgh" });
            (
                frame("messageStart", &json!({ "role": "assistant" })),
                frame("contentBlockDelta", &data),
                data,
            )
        }
        Wire::Gemini => {
            let data = json!({ "candidates": [{ "content": { "role": "model", "parts": [{ "text": TEXT }] }, "index": 0 }],
                "modelVersion": "m", "responseId": "r" });
            (Vec::new(), format!("data: {data}\n\n").into_bytes(), data)
        }
    };
    (begin, event, payload.to_string().into_bytes())
}

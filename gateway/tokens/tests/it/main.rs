//! Tests of the public API.

#![allow(
    clippy::unwrap_used,
    clippy::panic,
    reason = "helpers of tests fail as tests do; the lint's own exception covers test functions alone"
)]

mod laws;
mod published;

use tokenweir_llm::conversation::Request;
use tokenweir_llm::dialect::Client;
use tokenweir_llm::translate::read_request;

/// The encodings are there.
fn loaded() {
    static ONCE: std::sync::Once = std::sync::Once::new();
    ONCE.call_once(|| tokenweir_tokens::load().unwrap().join().unwrap());
}

fn request(body: &serde_json::Value) -> Request {
    read_request(Client::ChatCompletions, body.to_string().as_bytes()).unwrap()
}

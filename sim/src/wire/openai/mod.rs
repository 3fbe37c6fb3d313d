//! OpenAI's APIs, also as Azure and compatible servers have them.

pub(super) mod chat;
pub(super) mod chat_request;
pub(super) mod embeddings;
mod limits;
mod logprobs;
pub(super) mod responses;
pub(super) mod responses_request;
pub(super) mod text_request;

use bytes::Bytes;
use serde_json::{Value, json};

/// `GET /v1/models`.
pub(super) fn models(names: &[String], created: u64) -> Bytes {
    let list: Vec<Value> = names.iter().map(|name| model(name, created)).collect();
    json!({"object": "list", "data": list}).to_string().into()
}

/// `GET /v1/models/NAME`.
pub(super) fn model(name: &str, created: u64) -> Value {
    json!({"id": name, "object": "model", "created": created, "owned_by": "tokenweir-sim"})
}

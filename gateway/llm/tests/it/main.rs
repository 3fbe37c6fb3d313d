//! Tests of the public API: golden answers, laws over all inputs, hostile inputs.

#![allow(
    clippy::unwrap_used,
    clippy::panic,
    reason = "helpers of tests fail as tests do; the lint's own exception covers test functions alone"
)]

mod anthropic;
mod clouds;
mod converse;
mod embeddings;
mod errors;
mod frames;
mod gemini;
mod inspectors;
mod openai;
mod openai_responses;
mod pairs;
mod promises;
mod requests;
mod responses;
mod streams;
mod tokens;
mod wires;

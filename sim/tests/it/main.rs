//! The simulator over real sockets.

#![allow(
    clippy::unwrap_used,
    clippy::panic,
    reason = "helpers of tests fail as tests do; the lint's own exception covers test functions alone"
)]

mod admin;
mod answers;
mod anthropic;
mod bedrock;
mod client;
mod connections;
mod docs;
mod faults;
mod google;
mod latency;
mod openai;
mod proxy;
mod responses;
mod tls;

//! Tests of the public API.

#![allow(
    clippy::unwrap_used,
    clippy::panic,
    reason = "helpers of tests fail as tests do; the lint's own exception covers test functions alone"
)]

mod laws;
mod own;
mod published;

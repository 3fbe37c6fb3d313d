//! Tests of budgets as a whole.
#![expect(
    clippy::expect_used,
    clippy::panic,
    reason = "helpers of tests, which may panic as tests do"
)]

mod budgets;
mod escrow;
mod faults;
mod law;
mod script;
mod server;
mod world;

//! Tests of budgets as a whole.
#![expect(clippy::expect_used, reason = "helpers of tests, which may panic as tests do")]

mod escrow;
mod law;
mod world;

//! End-to-end tests on a real cluster. They share one cluster and one install; each has a namespace of its own.
//!
//! Tests of `parallel` run beside each other. Tests of `serial` disturb the whole cluster (the API server, the install)
//! and run alone. `cargo test -p tokenweir-e2e --test it -- --test-threads=8` runs all of them; `make test` does so after
//! everything else. What a failed test leaves behind for a person stands in `target/e2e/TEST`.

#![allow(
    clippy::expect_used,
    clippy::unwrap_used,
    clippy::panic,
    clippy::print_stderr,
    reason = "the lints exempt test functions, and here the helpers of tests stand beside them"
)]

mod parallel;
mod serial;
mod support;

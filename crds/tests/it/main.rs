//! Integration tests of the API crate; one binary, so that they link once.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    reason = "clippy knows tests by #[test]; the helpers here are part of tests too"
)]

mod check;
mod compile;
mod edge;
mod files;
mod fixtures;
mod pages;
mod rotation;
mod schema;

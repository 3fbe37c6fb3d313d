//! The program from outside. One binary, because each links everything again.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    reason = "a failure of a helper is a failed test"
)]

mod chat;
mod check;
mod cluster;
mod completion;
mod connect;
mod docs;
mod plugin;
mod routes;
mod support;
mod top;
mod trouble;

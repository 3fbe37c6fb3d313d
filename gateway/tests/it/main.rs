//! The gateway from outside: its data path and its control side. One binary, because each links everything again.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    reason = "a failure of a helper is a failed test"
)]

mod control;
mod data;
mod edge;
mod faults;
mod providers_doc;

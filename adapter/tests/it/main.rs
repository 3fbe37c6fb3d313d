//! The whole adapter in one process: a fake API server and fake gateways on loopback, asked over TLS.

// Helpers of tests: a step that fails is a test that fails.
#![allow(clippy::unwrap_used, clippy::panic)]

mod api_server;
mod client;
mod gateway;
#[path = "../../src/fixtures/pki.rs"]
mod pki;
mod world;

mod access;
mod faults;
mod values;

//! Fuzz targets of all that reads foreign bytes: the parsers of streams, the scan of requests, and each dialect.
//!
//! A target takes any bytes and asserts laws of what is made of them, beside that nothing panics:
//!
//! - Pieces that are cut anywhere give the same as the whole. Where to cut follows from the bytes themselves, so an
//!   input is a plain document: a request, an answer, a stream.
//! - What was read and is written can be read again and means the same.
//! - What is written is JSON, or a stream of events with JSON.
//! - A rewrite changes what it is to change and nothing else.
//! - Memory and output are in proportion to the input.
//!
//! `tools/fuzz` runs them under libFuzzer, guided by coverage; the tests of this crate run them on their seeds and on
//! the inputs in `regressions`, each of which once broke a law.

#![allow(
    clippy::unwrap_used,
    clippy::panic,
    clippy::missing_panics_doc,
    reason = "a law that does not hold is a panic, which is how a fuzzer sees it"
)]

pub mod command;
mod json;
mod pieces;
mod proportion;
mod seeds;
mod targets;

// The tests of the crate have the same laws and the same way to write a stream down.
#[path = "../../gateway/llm/tests/it/frames.rs"]
mod frames;
#[path = "../../gateway/llm/tests/it/promises.rs"]
mod promises;

use std::sync::OnceLock;

pub use proportion::in_proportion;
pub use targets::{CANARY, TARGETS, Target};

/// The target of a name.
pub fn target(name: &str) -> Option<&'static Target> {
    TARGETS.iter().chain([&CANARY]).find(|target| target.name == name)
}

static CHOSEN: OnceLock<&'static Target> = OnceLock::new();

/// Chooses the target that the environment's `FUZZ_TARGET` names. Panics if there is none of that name.
pub fn choose() {
    let name = std::env::var("FUZZ_TARGET").unwrap_or_default();
    let Some(target) = target(&name) else {
        panic!("FUZZ_TARGET is '{name}', which is no target");
    };
    CHOSEN.get_or_init(|| target);
}

/// Runs the chosen target on an input.
pub fn run(data: &[u8]) {
    if let Some(target) = CHOSEN.get() {
        (target.run)(data);
    }
}

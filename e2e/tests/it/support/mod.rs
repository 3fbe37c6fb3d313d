//! What the tests share: one cluster, one install, a namespace each.

pub mod held;
pub mod pages;
pub mod pki;
pub mod stack;
pub mod table;
pub mod truth;
pub mod world;

pub use world::{World, alone, beside, busy};

use std::time::Duration;

/// From applied to served.
pub const READY: Duration = Duration::from_secs(90);
/// For what takes a few milliseconds on a calm machine.
pub const SOON: Duration = Duration::from_secs(30);

/// The result of a test: harness errors end it as panics do.
pub type TestResult = Result<(), tokenweir_e2e::harness::HarnessError>;

//! Everything an end-to-end test or the front door does with a cluster: install, apply, wait, reach, call, drive load,
//! read what the HPA would read, and collect what a failure leaves behind.
//!
//! Nothing here sleeps to synchronise: conditions are watched, or asked again until a deadline, and the error of a
//! deadline says what was last seen.

pub mod admin;
pub mod collect;
mod error;
pub mod helm;
pub mod install;
pub mod load;
pub mod manifest;
pub mod metrics;
pub mod namespace;
pub mod objects;
pub mod openai;
pub mod reach;
pub mod wait;

pub use error::{HarnessError, Result};
pub use objects::Objects;

pub(crate) use error::{api, file};

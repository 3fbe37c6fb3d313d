//! Measurements of the gateway, each with one command and its baseline in the same run.
//!
//! - `tokenweir-bench gateway`: the gateway against a [bare proxy](proxy), both in front of the simulator.
//! - `tokenweir-bench change`: how long a changed route takes until all of several gateways serve it.
//! - `tokenweir-bench proxy` and `tokenweir-bench load`: the parts, to be used by hand.
//!
//! All traffic stays on loopback and ends after a given time.

pub mod change;
pub mod cli;
mod error;
pub mod fixture;
pub mod gateway;
pub mod load;
pub mod machine;
pub mod process;
pub mod proxy;
pub mod table;

pub use error::BenchError;

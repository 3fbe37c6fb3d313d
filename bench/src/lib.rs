//! Measurements of the gateway, each with one command and its baseline in the same run.
//!
//! - `tokenweir-bench gateway`: the gateway against a [bare proxy](proxy), both in front of the simulator.
//! - `tokenweir-bench soak`: the gateway's memory over a million requests, and with thousands of streams at once.
//! - `tokenweir-bench change`: how long a changed route takes until all of several gateways serve it.
//! - `tokenweir-bench cluster-change` and `cluster-signals`: the same on a cluster, and the age of what an HPA reads.
//! - `tokenweir-bench proxy` and `tokenweir-bench load`: the parts, to be used by hand.
//!
//! All traffic stays on loopback or in a namespace of its own, and ends after a given time.

pub mod change;
pub mod cli;
pub mod cluster;
mod error;
pub mod fixture;
pub mod gateway;
pub mod load;
pub mod machine;
pub mod peers;
pub mod process;
pub mod proxy;
pub mod runner;
pub mod soak;
pub mod table;

pub use error::BenchError;

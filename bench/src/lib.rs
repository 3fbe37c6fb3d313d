//! Measurements of the gateway, each with one command and its baseline in the same run.
//!
//! - `tokenweir-bench gateway`: the gateway against a [bare proxy](proxy), both in front of a [minimal upstream](upstream).
//! - `tokenweir-bench profile`: what a request costs on the hot path, by function and by system call.
//! - `tokenweir-bench soak`: the gateway's memory over a million requests, and with thousands of streams at once.
//! - `tokenweir-bench change`: how long a changed route takes until all of several gateways serve it.
//! - `tokenweir-bench cluster-change` and `cluster-signals`: the same on a cluster, and the age of what an HPA reads.
//! - `tokenweir-bench proxy`, `upstream` and `load`: the parts, to be used by hand.
//!
//! All traffic stays on loopback or in a namespace of its own, and ends after a given time.

mod arena;
pub mod change;
pub mod cli;
mod closed;
pub mod cluster;
pub mod document;
mod error;
pub mod fixture;
pub mod gateway;
pub mod load;
pub mod machine;
mod open;
pub mod peers;
pub mod process;
pub mod profile;
pub mod proxy;
pub mod runner;
pub mod soak;
pub mod table;
pub mod upstream;

pub use error::BenchError;

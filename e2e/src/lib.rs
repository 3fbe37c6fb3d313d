//! The end-to-end harness: a real Kubernetes to develop and test on, and the command line around it.

pub mod cli;
pub mod cluster;
pub mod harness;
pub mod up;

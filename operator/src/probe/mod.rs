//! Asks every gateway pod which configuration it serves: often after a change until all serve it, seldom otherwise.

mod client;
mod prober;
mod schedule;

pub use client::StatusClient;
pub use prober::Prober;

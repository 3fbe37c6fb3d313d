//! Tests that run beside each other.

mod access;
mod admission;
mod autoscale;
mod charts;
mod faults;
mod policies;
mod serving;
mod streams;

//! Tests that run beside each other.

mod access;
mod admission;
mod autoscale;
mod charts;
mod ctl;
mod egress;
mod faults;
mod pages;
mod policies;
mod readme;
mod routing;
mod serving;
mod streams;
mod tls;

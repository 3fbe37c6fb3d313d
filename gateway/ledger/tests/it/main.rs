//! Tests of the ledger against real disks, processes and databases.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    reason = "a test fails by panicking"
)]

mod child;
mod database;
mod ledger;
mod queries;
mod rows;
mod spool;
mod tls;

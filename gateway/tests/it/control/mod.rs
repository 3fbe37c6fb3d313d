//! The control side, tested through the program itself.

mod admin;
mod cluster;
mod drain;
mod fake_api;
pub mod files;
pub mod http;
pub mod process;
mod snapshots;
mod tenants;
mod traces;

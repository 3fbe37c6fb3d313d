//! The control side, tested through the program itself.

mod admin;
mod cluster;
mod drain;
mod fake_api;
mod files;
mod http;
mod process;
mod snapshots;
mod traces;

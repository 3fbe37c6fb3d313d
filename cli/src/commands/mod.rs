//! One file for each command.

pub mod chat;
pub mod check;
pub mod describe;
mod door;
pub mod get;
pub mod routes;
pub mod version;

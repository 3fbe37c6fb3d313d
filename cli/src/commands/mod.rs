//! One file for each command.

mod admin_args;
pub mod chat;
pub mod check;
pub mod describe;
mod door;
pub mod get;
pub mod plugin;
pub mod prices;
pub mod routes;
pub mod top;
pub mod version;

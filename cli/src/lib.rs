//! `tokenweirctl`: what the platform does, told and tried from a terminal.
//!
//! - [`cli`] is the command line; `commands` has one file for each command.
//! - `complete` tells kubectl how a word of it goes on.
//! - `cluster` reads objects, finds gateway pods, and opens their admin ports through the API server.
//! - `chat` speaks to a gateway as its clients do, `reach` finds the way to it.
//! - `output` turns what was found into tables and text. It does no I/O and reads no clock, so that all of it is shown in
//!   snapshots.

mod chat;
pub mod cli;
mod cluster;
mod commands;
mod complete;
mod error;
mod http;
mod kind;
mod output;
mod reach;

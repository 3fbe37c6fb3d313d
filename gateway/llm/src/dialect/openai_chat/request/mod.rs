//! Requests: read from clients, written for providers.

mod media;
mod read;
mod read_messages;
mod read_options;
mod turns;
mod write;

pub(crate) use media::{audio, source_of_file, source_of_url};
pub(super) use read::read;
pub(crate) use read::read_common;
pub(super) use write::write;

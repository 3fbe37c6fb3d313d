//! Server-sent events: an incremental parser that keeps exact bytes, and an encoder.
//!
//! Concatenating [`Event::raw`] of all events and of the [`Tail`] gives the input again, byte for byte, and cutting the
//! input differently gives the same events.

mod event;
mod parser;

pub use event::{Event, encode};
pub use parser::{Parser, SseError, Tail};

//! A conversation with a model, in the terms that all dialects share.
//!
//! A request in one dialect that goes to a provider of another is read into a [`Request`] and written from it; the
//! answer comes back as an [`Answer`], or as a stream of [`Event`]s. Requests that stay in their dialect never pass
//! through here: their bytes go on as they came.
//!
//! **Nothing is dropped silently.** What a reader knows to be meaningful but the shared terms cannot hold goes into
//! [`Request::extras`] with its value and the place where the client wrote it. A writer takes from the request what its
//! dialect can say, and reports the rest as [`Unsupported`].

mod answer;
mod event;
mod part;
mod request;
mod unsupported;

pub use answer::{Answer, Choice, Finish};
pub use event::{Event, PartStart, StreamError};
pub use part::{CacheControl, Citation, Media, Part, PartKind, Source, ToolCall, ToolResult};
pub use request::{
    Effort, Extra, Format, JsonSchema, Message, Named, Reasoning, Request, Role, Sampling, Tool, ToolChoice,
};
pub use unsupported::{Report, Unsupported};

/// JSON that is passed on as it was written: schemas, arguments, values that no one here looks into.
pub type Json = Box<serde_json::value::RawValue>;

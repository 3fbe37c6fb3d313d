//! What a gateway must understand of the OpenAI wire, and no more.
//!
//! - [`request`] reads the few fields of a request that a gateway acts on, and changes two of them by splicing bytes;
//!   all else reaches the provider as the client wrote it.
//! - [`sse`] cuts a byte stream into events that keep their exact bytes, and writes events.
//! - [`response`] reads usage and the facts of a stream chunk beside the bytes that pass by.
//! - [`error`] writes OpenAI error objects, as a body or as a stream event.
//! - [`tokens`] estimates how many tokens a text has.
//!
//! Nothing here does I/O, reads a clock or panics on foreign bytes. Every parser is linear in its input and none
//! recurses into it, so a deeply nested body costs no stack.

pub mod conversation;
pub mod dialect;
pub mod error;
pub mod request;
pub mod response;
pub mod sse;
pub mod tokens;

pub use error::{ErrorKind, OpenAiError};
pub use request::{Edits, Operation, Peek, RequestError};
pub use response::{Chunk, Payload, Usage};

//! What a gateway must understand of the wires that model providers and their clients speak.
//!
//! Where client and provider speak the same, bytes pass and only a few fields are looked at:
//!
//! - [`request`] reads the few fields of a request that a gateway acts on, and changes two of them by splicing bytes;
//!   all else reaches the provider as the client wrote it.
//! - [`sse`] cuts a byte stream into events that keep their exact bytes, and writes events.
//! - [`response`] reads usage and the facts of a stream chunk beside the bytes that pass by.
//! - [`error`] writes error objects in a client's form, as a body or as a stream event.
//! - [`tokens`] estimates how many tokens a text has.
//!
//! Where they do not, a request is read into a [`conversation`] and written from it, and so is its answer:
//!
//! - [`dialect`] has what each side of each dialect can do.
//! - [`translate`] joins a client's dialect with a provider's.
//! - [`embeddings`] does the same for embeddings.
//!
//! Nothing here does I/O, reads a clock or panics on foreign bytes. Every parser is linear in its input and none
//! recurses into it, so a deeply nested body costs no stack.

pub mod conversation;
pub mod dialect;
pub mod embeddings;
pub mod error;
pub mod request;
pub mod response;
pub mod sse;
pub mod tokens;
pub mod translate;

pub use error::{ErrorForm, ErrorKind, OpenAiError};
pub use request::{Edits, FieldPaths, FieldValue, Operation, Peek, Pieces, RequestError};
pub use response::{Chunk, Payload, Usage};

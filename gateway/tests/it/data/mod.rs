//! The data path from a client's socket to a provider's and back.

mod admission;
mod errors;
mod harness;
mod health;
mod http2;
mod lifecycle;
mod plain;
mod retries;
mod script;
mod streams;

//! Credentials that are made for each request, or that last for an hour.

mod aws;
mod tokens;

pub use aws::{AwsSigner, SignError};
pub use tokens::{Asker, TokenError, Tokens};

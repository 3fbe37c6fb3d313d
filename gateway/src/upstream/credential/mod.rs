//! Credentials that are made for each request, or that last for an hour.

mod aws;
mod google;
mod tokens;

pub use aws::{AwsSigner, SignError};
pub use google::{KeyError, ServiceAccount};
pub use tokens::{TokenError, Tokens};

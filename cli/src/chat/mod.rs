//! A chat with a gateway, as its clients speak with it. What is sent and what comes back is written and read by the
//! dialects of `tokenweir-llm`, so that every dialect has the same few lines here.

mod exchange;
mod wire;

pub use exchange::{Chat, Piece, Told, ask, models};
pub use wire::Speaks;

use crate::http::HttpError;
use crate::reach::ReachError;

/// Why there is no whole answer.
#[derive(Debug, thiserror::Error)]
pub enum ChatError {
    /// The way to the gateway.
    #[error(transparent)]
    Reach(#[from] ReachError),
    /// The connection.
    #[error(transparent)]
    Http(#[from] HttpError),
    /// The gateway, or the provider behind it, says no.
    #[error("the gateway answered {status} {code}: {message}{}", facts(.request_id, .provider, *.retry_after))]
    Refused {
        /// HTTP status.
        status: u16,
        /// Its type or code, such as `model_not_found`.
        code: String,
        /// Its words.
        message: String,
        /// The gateway's id of the request.
        request_id: String,
        /// The provider that was asked last; empty if none was.
        provider: String,
        /// Seconds after which another try makes sense.
        retry_after: Option<u64>,
    },
    /// The stream told of an error.
    #[error("the answer broke off: {message}{}", facts(.request_id, .provider, None))]
    BrokenOff {
        /// What was told.
        message: String,
        /// The gateway's id of the request.
        request_id: String,
        /// The provider that answered.
        provider: String,
    },
    /// Whoever is shown the answer does not want the rest of it.
    #[error("nobody reads the answer any more")]
    Unread,
    /// Not an answer of this dialect.
    #[error("{0}")]
    Malformed(String),
}

fn facts(request_id: &str, provider: &str, retry_after: Option<u64>) -> String {
    let mut facts = Vec::new();
    if !provider.is_empty() {
        facts.push(format!("provider {provider}"));
    }
    if !request_id.is_empty() {
        facts.push(format!("request id {request_id}"));
    }
    if let Some(seconds) = retry_after {
        facts.push(format!("try again after {seconds} s"));
    }
    if facts.is_empty() {
        String::new()
    } else {
        format!(" ({})", facts.join(", "))
    }
}

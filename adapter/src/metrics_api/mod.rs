//! The answers of both metrics APIs, as pure functions: request text → query → values → wire form.

pub mod answer;
pub mod evaluate;
pub mod metric;
pub mod objects;
pub mod parameters;
pub mod quantity;
pub mod selector;
pub mod service;

pub use metric::Metric;
pub use service::MetricsService;

use crate::status;

/// Why a query has no answer.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum QueryError {
    /// The request does not make sense. The text says what would.
    #[error("{0}")]
    BadRequest(String),
    /// There is no such metric, object or value.
    #[error("{0}")]
    NotFound(String),
    /// There are values, but they are too old or not complete. A number would be wrong.
    #[error("{0}")]
    Unavailable(String),
}

impl QueryError {
    /// The answer that a client sees.
    pub fn failure(&self) -> status::Failure {
        match self {
            Self::BadRequest(message) => status::bad_request(message),
            Self::NotFound(message) => status::not_found(message),
            Self::Unavailable(message) => status::unavailable(message),
        }
    }
}

#[cfg(test)]
mod tests;

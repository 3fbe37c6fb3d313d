//! The words that requests are counted under. All come from the configuration or from closed lists, never from clients.

use std::sync::Arc;

pub use tokenweir_llm::Operation;

/// What is known about a request once tenant and route are.
#[derive(Debug, Clone)]
pub struct RequestLabels {
    /// Name of the `Tenant`.
    pub tenant: Arc<str>,
    /// Name of the `ModelRoute`.
    pub route: Arc<str>,
    /// What is asked for.
    pub operation: Operation,
    /// Whether the answer is a stream.
    pub stream: bool,
}

/// Why a request was turned away before tenant and route were known.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Refusal {
    /// No key, or one that nobody has (401).
    Unauthenticated,
    /// The tenant may not use the model (403 or 404).
    Forbidden,
    /// No route serves the model (404).
    ModelNotFound,
    /// No such path or method (404, 405).
    NotFound,
    /// The request itself is wrong (400).
    BadRequest,
    /// The body or the headers are larger than allowed (413, 431).
    TooLarge,
    /// The body did not arrive in time (408).
    BodyTimeout,
    /// The gateway drains (503).
    Draining,
}

impl Refusal {
    /// The value of the label `reason`.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Unauthenticated => "unauthenticated",
            Self::Forbidden => "forbidden",
            Self::ModelNotFound => "model_not_found",
            Self::NotFound => "not_found",
            Self::BadRequest => "bad_request",
            Self::TooLarge => "too_large",
            Self::BodyTimeout => "body_timeout",
            Self::Draining => "draining",
        }
    }
}

/// How a try at a provider failed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum UpstreamErrorKind {
    /// No connection: refused, unreachable, TLS, name not found, or not in time.
    Connect,
    /// The connection broke before an answer.
    Reset,
    /// No first byte in time.
    FirstTokenTimeout,
    /// Silence within the body for too long.
    IdleTimeout,
    /// The whole request took too long.
    TotalTimeout,
    /// The answer broke off after its first byte.
    Interrupted,
    /// The answer is not what the wire allows.
    Malformed,
    /// HTTP 429.
    RateLimited,
    /// HTTP 400 to 499 apart from 429.
    ClientStatus,
    /// HTTP 500 to 599.
    ServerStatus,
    /// The Service has no ready endpoint.
    NoEndpoint,
    /// The provider is out because of what happened before; it was not tried.
    Unhealthy,
    /// The provider has no words for the request, and was not asked. Never counted as a failure of the provider.
    Unsupported,
    /// The gateway has nothing to prove itself with: there is no token, or the request could not be signed.
    Credential,
    /// The conversation does not fit into the model's context.
    ContextOverflow,
}

impl UpstreamErrorKind {
    const ALL: [Self; 15] = [
        Self::Connect,
        Self::Reset,
        Self::FirstTokenTimeout,
        Self::IdleTimeout,
        Self::TotalTimeout,
        Self::Interrupted,
        Self::Malformed,
        Self::RateLimited,
        Self::ClientStatus,
        Self::ServerStatus,
        Self::NoEndpoint,
        Self::Unhealthy,
        Self::Unsupported,
        Self::Credential,
        Self::ContextOverflow,
    ];

    /// A number for it, to keep in an atomic.
    pub fn index(self) -> u8 {
        self as u8
    }

    /// The kind with that number.
    pub fn of_index(index: u8) -> Self {
        Self::ALL.get(usize::from(index)).copied().unwrap_or(Self::Unhealthy)
    }

    /// Whether it speaks against the provider's health. That a limit is reached or a client is wrong does not; nor does
    /// the end of a request's whole time, most of which others may have used.
    pub fn is_sickness(self) -> bool {
        !self.is_answer()
            && !matches!(
                self,
                Self::RateLimited | Self::TotalTimeout | Self::NoEndpoint | Self::Unhealthy | Self::Unsupported
            )
    }

    /// Whether the provider answered as it should, with a no that is about the request.
    pub fn is_answer(self) -> bool {
        matches!(self, Self::ClientStatus | Self::ContextOverflow)
    }

    /// What happened, for a sentence.
    pub fn words(self) -> &'static str {
        match self {
            Self::Connect => "no connection",
            Self::Reset => "the connection broke before an answer",
            Self::FirstTokenTimeout => "no first token in time",
            Self::IdleTimeout => "silence within an answer",
            Self::TotalTimeout => "no answer in the whole time of a request",
            Self::Interrupted => "an answer broke off",
            Self::Malformed => "an answer was malformed",
            Self::RateLimited => "status 429",
            Self::ClientStatus => "a status from 400 to 499",
            Self::ServerStatus => "a status from 500 to 599",
            Self::NoEndpoint => "no ready endpoint",
            Self::Unhealthy => "unhealthy",
            Self::Unsupported => "no words for the request",
            Self::Credential => "no token for the provider",
            Self::ContextOverflow => "a conversation that is too long",
        }
    }

    /// The value of the label `kind`.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Connect => "connect",
            Self::Reset => "reset",
            Self::FirstTokenTimeout => "first_token_timeout",
            Self::IdleTimeout => "idle_timeout",
            Self::TotalTimeout => "total_timeout",
            Self::Interrupted => "interrupted",
            Self::Malformed => "malformed",
            Self::RateLimited => "rate_limited",
            Self::ClientStatus => "client_status",
            Self::ServerStatus => "server_status",
            Self::NoEndpoint => "no_endpoint",
            Self::Unhealthy => "unhealthy",
            Self::Unsupported => "unsupported",
            Self::Credential => "credential",
            Self::ContextOverflow => "context_overflow",
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_kind_of_failure_survives_its_number() {
        for kind in UpstreamErrorKind::ALL {
            assert_eq!(UpstreamErrorKind::of_index(kind.index()), kind);
        }
    }
}

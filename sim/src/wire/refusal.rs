//! Errors on the wire, in the dialect of the endpoint.

use bytes::Bytes;
use http::{HeaderMap, HeaderName, HeaderValue, Response, StatusCode};
use tokenweir_llm::{ErrorKind, OpenAiError, RequestError};

use super::anthropic;
use super::body::SimBody;
use crate::state::Track;

/// An answer that is an error.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Refusal {
    status: u16,
    kind: ErrorKind,
    message: String,
    param: Option<String>,
    retry_after: Option<String>,
}

impl Refusal {
    pub(super) fn new(kind: ErrorKind, message: impl Into<String>) -> Self {
        Self {
            status: kind.status(),
            kind,
            message: message.into(),
            param: None,
            retry_after: None,
        }
    }

    pub(super) fn bad_request(message: &str, param: Option<&str>) -> Self {
        Self {
            param: param.map(str::to_owned),
            ..Self::new(ErrorKind::InvalidRequest, message)
        }
    }

    pub(super) fn model_not_found(model: &str) -> Self {
        Self {
            param: Some("model".into()),
            ..Self::new(
                ErrorKind::ModelNotFound,
                format!("The model `{model}` does not exist or you do not have access to it."),
            )
        }
    }

    /// The error of a fault, with any status.
    pub(super) fn fault(status: u16, retry_after: Option<String>) -> Self {
        let (kind, message) = match status {
            401 => (ErrorKind::Unauthenticated, "Incorrect API key provided."),
            403 => (ErrorKind::Forbidden, "You are not allowed to do this."),
            404 => (ErrorKind::ModelNotFound, "The model does not exist."),
            408 => (ErrorKind::RequestTimeout, "The request timed out."),
            413 => (ErrorKind::TooLarge, "The request is too large."),
            429 => (ErrorKind::RateLimited, "Rate limit reached for requests."),
            400..=499 => (ErrorKind::InvalidRequest, "The request is refused."),
            502 => (ErrorKind::BadUpstream, "Bad gateway."),
            503 | 529 => (ErrorKind::Unavailable, "The server is overloaded."),
            504 => (ErrorKind::UpstreamTimeout, "The gateway timed out."),
            _ => (
                ErrorKind::Internal,
                "The server had an error while processing your request.",
            ),
        };
        Self {
            status,
            kind,
            message: message.into(),
            param: None,
            retry_after,
        }
    }

    /// The answer, in Anthropic's form or OpenAI's.
    pub(super) fn response(self, anthropic: bool, mut track: Track) -> Response<SimBody> {
        let body: Bytes = if anthropic {
            anthropic::error_body(self.status, &self.message, Some("req_sim"))
        } else {
            let error = OpenAiError::new(self.kind, self.message);
            match self.param {
                Some(param) => error.with_param(param).to_body(),
                None => error.to_body(),
            }
        };
        track.status(self.status);
        track.complete();
        let mut response = Response::new(SimBody::whole(body, None));
        *response.status_mut() = StatusCode::from_u16(self.status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
        let headers = response.headers_mut();
        headers.insert(http::header::CONTENT_TYPE, HeaderValue::from_static("application/json"));
        if self.status == 429 {
            rate_limit_headers(headers, self.retry_after.as_deref().unwrap_or("1"));
        }
        if let Some(value) = self.retry_after.and_then(|value| HeaderValue::from_str(&value).ok()) {
            headers.insert(http::header::RETRY_AFTER, value);
        }
        response
    }
}

/// The headers that OpenAI sends beside a 429.
fn rate_limit_headers(headers: &mut HeaderMap, reset: &str) {
    headers.insert(
        HeaderName::from_static("x-ratelimit-limit-requests"),
        HeaderValue::from_static("1"),
    );
    headers.insert(
        HeaderName::from_static("x-ratelimit-remaining-requests"),
        HeaderValue::from_static("0"),
    );
    if let Ok(value) = HeaderValue::from_str(&format!("{reset}s")) {
        headers.insert(HeaderName::from_static("x-ratelimit-reset-requests"), value);
    }
}

impl From<RequestError> for Refusal {
    fn from(error: RequestError) -> Self {
        Self::bad_request(&error.to_string(), error.param())
    }
}

//! OpenAI error objects, as a body and as a stream event.

use bytes::Bytes;
use serde::Serialize;

use crate::sse;

/// What went wrong, in the classes that clients of OpenAI tell apart.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum ErrorKind {
    /// 400: the request cannot be understood.
    InvalidRequest,
    /// 401: no key, or not one that is known.
    Unauthenticated,
    /// 403: the key is known, and what it asks for is not allowed to it.
    Forbidden,
    /// 404: no such path.
    NotFound,
    /// 404: no such model.
    ModelNotFound,
    /// 405: the path exists, the method does not.
    MethodNotAllowed,
    /// 408: the client did not send its request in time.
    RequestTimeout,
    /// 413: the body is larger than allowed.
    TooLarge,
    /// 415: the body is encoded in a way that is not known.
    UnknownEncoding,
    /// 431: the headers are larger than allowed.
    HeadersTooLarge,
    /// 429: a limit is reached.
    RateLimited,
    /// 500: the gateway itself failed.
    Internal,
    /// 502: the provider failed, or broke off.
    BadUpstream,
    /// 503: no capacity, or going away.
    Unavailable,
    /// 504: the provider did not answer in time.
    UpstreamTimeout,
}

impl ErrorKind {
    /// The HTTP status.
    pub const fn status(self) -> u16 {
        match self {
            Self::InvalidRequest => 400,
            Self::Unauthenticated => 401,
            Self::Forbidden => 403,
            Self::NotFound | Self::ModelNotFound => 404,
            Self::MethodNotAllowed => 405,
            Self::RequestTimeout => 408,
            Self::TooLarge => 413,
            Self::UnknownEncoding => 415,
            Self::RateLimited => 429,
            Self::HeadersTooLarge => 431,
            Self::Internal => 500,
            Self::BadUpstream => 502,
            Self::Unavailable => 503,
            Self::UpstreamTimeout => 504,
        }
    }

    /// `error.type` in the body. OpenAI says `invalid_request_error` for all of a client's mistakes, and names the
    /// limited thing in a 429.
    pub const fn error_type(self) -> &'static str {
        match self {
            Self::InvalidRequest
            | Self::Unauthenticated
            | Self::Forbidden
            | Self::NotFound
            | Self::ModelNotFound
            | Self::MethodNotAllowed
            | Self::RequestTimeout
            | Self::TooLarge
            | Self::UnknownEncoding
            | Self::HeadersTooLarge => "invalid_request_error",
            Self::RateLimited => "requests",
            Self::Internal | Self::BadUpstream | Self::Unavailable | Self::UpstreamTimeout => "server_error",
        }
    }

    /// `error.code` in the body; null where OpenAI has none.
    pub const fn code(self) -> Option<&'static str> {
        match self {
            Self::InvalidRequest | Self::Internal => None,
            Self::Unauthenticated => Some("invalid_api_key"),
            Self::Forbidden => Some("permission_denied"),
            Self::NotFound => Some("unknown_url"),
            Self::ModelNotFound => Some("model_not_found"),
            Self::MethodNotAllowed => Some("method_not_supported"),
            Self::RequestTimeout => Some("request_timeout"),
            Self::TooLarge => Some("request_too_large"),
            Self::UnknownEncoding => Some("unsupported_encoding"),
            Self::HeadersTooLarge => Some("headers_too_large"),
            Self::RateLimited => Some("rate_limit_exceeded"),
            Self::BadUpstream => Some("upstream_error"),
            Self::Unavailable => Some("service_unavailable"),
            Self::UpstreamTimeout => Some("upstream_timeout"),
        }
    }
}

/// An error in OpenAI's form: `{"error":{"message","type","param","code"}}`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct OpenAiError {
    kind: ErrorKind,
    message: String,
    param: Option<String>,
    code: Option<&'static str>,
}

#[derive(Serialize)]
struct Envelope<'a> {
    error: Body<'a>,
}

#[derive(Serialize)]
struct Body<'a> {
    message: &'a str,
    r#type: &'static str,
    param: Option<&'a str>,
    code: Option<&'static str>,
}

impl OpenAiError {
    /// An error with the kind's own type and code.
    pub fn new(kind: ErrorKind, message: impl Into<String>) -> Self {
        Self {
            kind,
            message: message.into(),
            param: None,
            code: kind.code(),
        }
    }

    /// Names the parameter at fault.
    #[must_use]
    pub fn with_param(mut self, param: impl Into<String>) -> Self {
        self.param = Some(param.into());
        self
    }

    /// Gives a more exact code than the kind's own.
    #[must_use]
    pub const fn with_code(mut self, code: &'static str) -> Self {
        self.code = Some(code);
        self
    }

    /// What went wrong.
    pub const fn kind(&self) -> ErrorKind {
        self.kind
    }

    /// The HTTP status.
    pub const fn status(&self) -> u16 {
        self.kind.status()
    }

    /// The sentence for a person.
    pub fn message(&self) -> &str {
        &self.message
    }

    /// The JSON body, `application/json`.
    pub fn to_body(&self) -> Bytes {
        let envelope = Envelope {
            error: Body {
                message: &self.message,
                r#type: self.kind.error_type(),
                param: self.param.as_deref(),
                code: self.code,
            },
        };
        // Strings and nulls always serialise; the fallback keeps the promise not to panic without a hidden assumption.
        serde_json::to_vec(&envelope).map_or_else(|_| Bytes::from_static(br#"{"error":{}}"#), Bytes::from)
    }

    /// The error as a stream event, `data: {"error":{…}}`, for a stream that has begun.
    pub fn to_sse_event(&self) -> Bytes {
        sse::encode(None, &self.to_body())
    }
}

impl std::fmt::Display for OpenAiError {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&self.message)
    }
}

impl std::error::Error for OpenAiError {}

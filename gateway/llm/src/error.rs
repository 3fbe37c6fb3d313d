//! Error objects in OpenAI's form and in Anthropic's, as a body and as a stream event.

use bytes::Bytes;
use serde::Serialize;

use crate::{Operation, sse};

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

impl ErrorKind {
    /// `error.type` in Anthropic's form.
    pub const fn anthropic_type(self) -> &'static str {
        match self {
            Self::InvalidRequest
            | Self::MethodNotAllowed
            | Self::RequestTimeout
            | Self::UnknownEncoding
            | Self::HeadersTooLarge => "invalid_request_error",
            Self::Unauthenticated => "authentication_error",
            Self::Forbidden => "permission_error",
            Self::NotFound | Self::ModelNotFound => "not_found_error",
            Self::TooLarge => "request_too_large",
            Self::RateLimited => "rate_limit_error",
            Self::Internal | Self::BadUpstream => "api_error",
            Self::Unavailable => "overloaded_error",
            Self::UpstreamTimeout => "timeout_error",
        }
    }
}

/// The form in which a client expects errors.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum ErrorForm {
    /// `{"error":{"message","type","param","code"}}`.
    #[default]
    OpenAi,
    /// `{"type":"error","error":{"type","message"},"request_id"}`.
    Anthropic,
}

impl From<Operation> for ErrorForm {
    fn from(operation: Operation) -> Self {
        match operation {
            Operation::Messages | Operation::CountTokens => Self::Anthropic,
            Operation::Chat | Operation::TextCompletion | Operation::Embeddings | Operation::Responses => Self::OpenAi,
        }
    }
}

/// An error that any client can be told. At home in OpenAI's form: `{"error":{"message","type","param","code"}}`.
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

#[derive(Serialize)]
struct AnthropicEnvelope<'a> {
    r#type: &'static str,
    error: AnthropicBody<'a>,
    #[serde(skip_serializing_if = "Option::is_none")]
    request_id: Option<&'a str>,
}

#[derive(Serialize)]
struct AnthropicBody<'a> {
    r#type: &'static str,
    message: &'a str,
}

/// The event of a stream of the Responses API. The documented fields stand beside `type`; the object `error` is there
/// too, as the API sends it and as its clients raise it.
#[derive(Serialize)]
struct ResponsesEvent<'a> {
    r#type: &'static str,
    code: Option<&'static str>,
    message: &'a str,
    param: Option<&'a str>,
    sequence_number: u64,
    error: Body<'a>,
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

    /// The JSON body in OpenAI's form, `application/json`.
    pub fn to_body(&self) -> Bytes {
        json(&Envelope { error: self.body() })
    }

    /// The JSON body in a client's form. Anthropic's clients look for the request's id in it.
    pub fn to_body_in(&self, form: ErrorForm, request_id: Option<&str>) -> Bytes {
        match form {
            ErrorForm::OpenAi => self.to_body(),
            ErrorForm::Anthropic => json(&AnthropicEnvelope {
                r#type: "error",
                error: AnthropicBody {
                    r#type: self.kind.anthropic_type(),
                    message: &self.message,
                },
                request_id,
            }),
        }
    }

    /// The error as a stream event in OpenAI's oldest form, `data: {"error":{…}}`, for a stream that has begun.
    pub fn to_sse_event(&self) -> Bytes {
        sse::encode(None, &self.to_body())
    }

    /// The error as a stream event for a client of that operation, after so many events.
    pub fn to_event_of(&self, operation: Operation, events_before: u64) -> Bytes {
        match operation {
            Operation::Chat | Operation::TextCompletion | Operation::Embeddings => self.to_sse_event(),
            Operation::Messages | Operation::CountTokens => {
                sse::encode(Some("error"), &self.to_body_in(ErrorForm::Anthropic, None))
            }
            Operation::Responses => {
                let event = ResponsesEvent {
                    r#type: "error",
                    code: self.code,
                    message: &self.message,
                    param: self.param.as_deref(),
                    sequence_number: events_before,
                    error: self.body(),
                };
                sse::encode(Some("error"), &json(&event))
            }
        }
    }

    fn body(&self) -> Body<'_> {
        Body {
            message: &self.message,
            r#type: self.kind.error_type(),
            param: self.param.as_deref(),
            code: self.code,
        }
    }
}

fn json(value: &impl Serialize) -> Bytes {
    // Strings, numbers and nulls always serialise; the fallback keeps the promise not to panic without a hidden assumption.
    serde_json::to_vec(value).map_or_else(|_| Bytes::from_static(br#"{"error":{}}"#), Bytes::from)
}

impl std::fmt::Display for OpenAiError {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&self.message)
    }
}

impl std::error::Error for OpenAiError {}

//! Errors, both ways.

use serde::Serialize;

use crate::ErrorKind;
use crate::conversation::StreamError;
use crate::dialect::ProviderError;
use crate::dialect::json::{View, encode};

/// What a request that does not fit is told by, in Anthropic's words. Its clients look for them: there is no code.
const TOO_LONG: &str = "prompt is too long";

/// How Anthropic and servers like it say that a conversation does not fit.
const OVERFLOWS: [&str; 4] = [
    TOO_LONG,
    "exceed context limit",
    "context window",
    "maximum context length",
];

#[derive(Serialize)]
struct Envelope<'a> {
    r#type: &'static str,
    error: Body<'a>,
    #[serde(skip_serializing_if = "Option::is_none")]
    request_id: Option<&'a str>,
}

#[derive(Serialize)]
struct Body<'a> {
    r#type: &'static str,
    message: &'a str,
}

/// Writes an error as a body.
pub(super) fn write(error: &ProviderError, request_id: Option<&str>) -> Vec<u8> {
    let message = if error.context_overflow && !error.message.contains(TOO_LONG) {
        &format!("{TOO_LONG}: {}", error.message)
    } else {
        &error.message
    };
    let r#type = match error.code.as_deref() {
        Some("billing_error") => "billing_error",
        _ => name(error.kind),
    };
    encode(&Envelope {
        r#type: "error",
        error: Body { r#type, message },
        request_id,
    })
}

/// Writes an error as the data of a stream's event.
pub(super) fn write_event(error: &StreamError) -> Vec<u8> {
    encode(&Envelope {
        r#type: "error",
        error: Body {
            r#type: name(error.kind),
            message: &error.message,
        },
        request_id: None,
    })
}

/// `error.type`, as Anthropic documents it by status.
const fn name(kind: ErrorKind) -> &'static str {
    match kind {
        ErrorKind::InvalidRequest
        | ErrorKind::MethodNotAllowed
        | ErrorKind::RequestTimeout
        | ErrorKind::UnknownEncoding => "invalid_request_error",
        ErrorKind::Unauthenticated => "authentication_error",
        ErrorKind::Forbidden => "permission_error",
        ErrorKind::NotFound | ErrorKind::ModelNotFound => "not_found_error",
        ErrorKind::TooLarge | ErrorKind::HeadersTooLarge => "request_too_large",
        ErrorKind::RateLimited => "rate_limit_error",
        ErrorKind::Internal | ErrorKind::BadUpstream => "api_error",
        ErrorKind::Unavailable => "overloaded_error",
        ErrorKind::UpstreamTimeout => "timeout_error",
    }
}

/// Reads an answer with an error status.
pub(super) fn read(status: u16, body: &[u8]) -> ProviderError {
    let body = View::parse(body);
    let error = body.as_ref().and_then(|body| body.view("error"));
    let field = |key| error.as_ref().and_then(|error| error.filled(key));
    let r#type = field("type");
    let message =
        field("message").unwrap_or_else(|| format!("the provider answered with status {status} and did not say why"));
    let kind = kind(status, r#type.as_deref(), &message);
    let more_exact = error
        .as_ref()
        .and_then(|error| error.view("details"))
        .and_then(|details| details.filled("error_code"));
    ProviderError {
        context_overflow: kind == ErrorKind::InvalidRequest && overflows(&message),
        kind,
        message,
        code: more_exact.or(r#type),
    }
}

/// Reads the error of a stream's event.
pub(super) fn read_event(data: &View<'_>) -> StreamError {
    let error = data.view("error");
    let field = |key| error.as_ref().and_then(|error| error.filled(key));
    let message = field("message").unwrap_or_else(|| "the provider gave up and did not say why".to_owned());
    StreamError {
        // A stream that has begun has no status of its own.
        kind: kind(500, field("type").as_deref(), &message),
        message,
    }
}

fn kind(status: u16, r#type: Option<&str>, message: &str) -> ErrorKind {
    match r#type {
        Some("authentication_error") => ErrorKind::Unauthenticated,
        Some("permission_error" | "billing_error") => ErrorKind::Forbidden,
        Some("not_found_error") => not_found(message),
        Some("request_too_large") => ErrorKind::TooLarge,
        Some("rate_limit_error") => ErrorKind::RateLimited,
        Some("timeout_error") => ErrorKind::UpstreamTimeout,
        Some("overloaded_error") => ErrorKind::Unavailable,
        Some("api_error") => ErrorKind::BadUpstream,
        Some("invalid_request_error") if status == 413 => ErrorKind::TooLarge,
        Some("invalid_request_error") => ErrorKind::InvalidRequest,
        _ => by_status(status, message),
    }
}

fn by_status(status: u16, message: &str) -> ErrorKind {
    match status {
        401 => ErrorKind::Unauthenticated,
        402 | 403 => ErrorKind::Forbidden,
        404 => not_found(message),
        405 => ErrorKind::MethodNotAllowed,
        408 => ErrorKind::RequestTimeout,
        413 => ErrorKind::TooLarge,
        429 => ErrorKind::RateLimited,
        400..=499 => ErrorKind::InvalidRequest,
        503 | 529 => ErrorKind::Unavailable,
        504 => ErrorKind::UpstreamTimeout,
        _ => ErrorKind::BadUpstream,
    }
}

/// Anthropic says `model: NAME`.
fn not_found(message: &str) -> ErrorKind {
    if message.contains("model") {
        ErrorKind::ModelNotFound
    } else {
        ErrorKind::NotFound
    }
}

fn overflows(message: &str) -> bool {
    let message = message.to_ascii_lowercase();
    OVERFLOWS.iter().any(|words| message.contains(words))
}

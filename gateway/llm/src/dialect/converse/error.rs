//! Errors: an exception's name and a message.

use serde::Deserialize;

use crate::ErrorKind;
use crate::dialect::ProviderError;

#[derive(Default, Deserialize)]
#[serde(default)]
struct Body {
    /// Some front ends of Amazon write it with a capital.
    #[serde(alias = "Message")]
    message: String,
    #[serde(rename = "__type")]
    name: Option<String>,
}

/// The error of an answer. Its name stands in a header of its own, and only sometimes in the body; the status says as
/// much.
pub(super) fn read(status: u16, body: &[u8]) -> ProviderError {
    let Body { message, name } = serde_json::from_slice(body).unwrap_or_default();
    // `com.amazonaws.bedrock#ValidationException`, or with a URL behind a colon.
    let code = name.and_then(|name| {
        let bare = name.rsplit('#').next()?.split(':').next()?;
        Some(bare.to_owned())
    });
    let message = if message.is_empty() {
        format!("the provider answered with status {status}")
    } else {
        message
    };
    let kind = code
        .as_deref()
        .and_then(kind_of_name)
        .unwrap_or_else(|| kind_of_status(status));
    ProviderError {
        context_overflow: kind == ErrorKind::InvalidRequest && overflows(&message),
        kind,
        message,
        code,
    }
}

/// An exception in the middle of a stream.
pub(super) fn of_stream(name: &str, payload: &[u8]) -> (ErrorKind, String) {
    let Body { message, .. } = serde_json::from_slice(payload).unwrap_or_default();
    let kind = kind_of_name(name).unwrap_or(ErrorKind::BadUpstream);
    let message = if message.is_empty() {
        format!("the provider's stream ended with {name}")
    } else {
        message
    };
    (kind, message)
}

/// Names of answers begin with a capital, those of streams do not.
fn kind_of_name(name: &str) -> Option<ErrorKind> {
    let capital = name.chars().next().map(|first| first.to_ascii_uppercase())?;
    let rest = name.get(1..)?;
    Some(match (capital, rest) {
        ('V', "alidationException") => ErrorKind::InvalidRequest,
        ('A', "ccessDeniedException") => ErrorKind::Forbidden,
        ('U', "nrecognizedClientException")
        | ('I', "nvalidSignatureException" | "ncompleteSignature")
        | ('E', "xpiredTokenException")
        | ('M', "issingAuthenticationTokenException") => ErrorKind::Unauthenticated,
        ('R', "esourceNotFoundException") => ErrorKind::ModelNotFound,
        ('T', "hrottlingException" | "ooManyRequestsException") | ('S', "erviceQuotaExceededException") => {
            ErrorKind::RateLimited
        }
        ('M', "odelNotReadyException") | ('S', "erviceUnavailableException") => ErrorKind::Unavailable,
        ('M', "odelTimeoutException") => ErrorKind::UpstreamTimeout,
        ('M', "odelErrorException" | "odelStreamErrorException") | ('I', "nternalServerException") => {
            ErrorKind::BadUpstream
        }
        _ => return None,
    })
}

fn kind_of_status(status: u16) -> ErrorKind {
    match status {
        401 => ErrorKind::Unauthenticated,
        403 => ErrorKind::Forbidden,
        404 => ErrorKind::ModelNotFound,
        408 | 504 => ErrorKind::UpstreamTimeout,
        413 => ErrorKind::TooLarge,
        429 => ErrorKind::RateLimited,
        503 => ErrorKind::Unavailable,
        // The model failed, which is not the client's mistake.
        424 => ErrorKind::BadUpstream,
        400..=499 => ErrorKind::InvalidRequest,
        _ => ErrorKind::BadUpstream,
    }
}

/// Models behind Bedrock say it each in their own words.
fn overflows(message: &str) -> bool {
    const WORDS: [&str; 6] = [
        "input is too long",
        "prompt is too long",
        "too many input tokens",
        "exceed context limit",
        "exceeds the context",
        "maximum context length",
    ];
    let message = message.to_ascii_lowercase();
    WORDS.iter().any(|words| message.contains(words))
}

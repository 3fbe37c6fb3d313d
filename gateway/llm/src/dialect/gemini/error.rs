//! Errors: `google.rpc.Failure` in JSON.

use std::time::Duration;

use serde::Deserialize;

use crate::ErrorKind;
use crate::dialect::ProviderError;

#[derive(Deserialize)]
struct Envelope {
    error: Failure,
}

/// The error as it stands in a body, or in a stream in place of an answer.
#[derive(Default, Deserialize)]
#[serde(default)]
pub(super) struct Failure {
    message: String,
    status: Option<String>,
    code: Option<u16>,
    details: Vec<Detail>,
}

#[derive(Default, Deserialize)]
#[serde(default, rename_all = "camelCase")]
struct Detail {
    reason: Option<String>,
    retry_delay: Option<String>,
}

pub(super) fn read(status: u16, body: &[u8]) -> ProviderError {
    match parse(body) {
        Some(error) => error.read(status),
        None => Failure::default().read(status),
    }
}

/// How long to wait before the next try, where the error says it. Google says it here and not in a header.
pub fn retry_delay(body: &[u8]) -> Option<Duration> {
    let error = parse(body)?;
    let text = error.details.iter().find_map(|detail| detail.retry_delay.as_deref())?;
    let seconds: f64 = text.strip_suffix('s')?.parse().ok()?;
    Duration::try_from_secs_f64(seconds).ok()
}

/// Without `alt=sse` an error of a stream is a list of one, which some proxies keep. The list is tried first, since an
/// object may be read from a list too.
fn parse(body: &[u8]) -> Option<Failure> {
    if let Ok(list) = serde_json::from_slice::<Vec<Envelope>>(body) {
        return list.into_iter().next().map(|first| first.error);
    }
    serde_json::from_slice::<Envelope>(body).ok().map(|one| one.error)
}

impl Failure {
    pub(super) fn read(self, status: u16) -> ProviderError {
        let reason = self.details.into_iter().find_map(|detail| detail.reason);
        let kind = match (self.status.as_deref(), reason.as_deref()) {
            (_, Some("API_KEY_INVALID")) => ErrorKind::Unauthenticated,
            (Some(name), _) => kind_of_name(name).unwrap_or_else(|| kind_of_status(status)),
            (None, _) => kind_of_status(self.code.unwrap_or(status)),
        };
        let message = if self.message.is_empty() {
            format!("the provider answered with status {status}")
        } else {
            self.message
        };
        ProviderError {
            context_overflow: kind == ErrorKind::InvalidRequest && overflows(&message),
            kind,
            message,
            code: self.status,
        }
    }
}

/// "The input token count (1200000) exceeds the maximum number of tokens allowed (1048576)."
fn overflows(message: &str) -> bool {
    message.contains("input token count") && message.contains("exceeds the maximum")
}

fn kind_of_name(name: &str) -> Option<ErrorKind> {
    Some(match name {
        "INVALID_ARGUMENT" | "FAILED_PRECONDITION" | "OUT_OF_RANGE" => ErrorKind::InvalidRequest,
        "UNAUTHENTICATED" => ErrorKind::Unauthenticated,
        "PERMISSION_DENIED" => ErrorKind::Forbidden,
        "NOT_FOUND" => ErrorKind::ModelNotFound,
        "RESOURCE_EXHAUSTED" => ErrorKind::RateLimited,
        "UNAVAILABLE" => ErrorKind::Unavailable,
        "DEADLINE_EXCEEDED" => ErrorKind::UpstreamTimeout,
        "INTERNAL" | "UNKNOWN" | "DATA_LOSS" | "ABORTED" | "CANCELLED" => ErrorKind::BadUpstream,
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
        400..=499 => ErrorKind::InvalidRequest,
        _ => ErrorKind::BadUpstream,
    }
}

//! Google's Gemini API, also on Vertex AI.

mod answer;
mod request;
mod schema;
mod token;
mod vectors;

use bytes::Bytes;
use serde_json::{Value, json};

pub(super) use answer::{ContentWriter, whole};
pub(super) use request::read;
pub(super) use token::grant;
pub(super) use vectors::vectors;

/// An error object, as `google.rpc.Status` is written.
pub(super) fn error_body(status: u16, message: &str, retry_after: Option<&str>, at: Option<&str>) -> Bytes {
    let name = match status {
        400 => "INVALID_ARGUMENT",
        401 => "UNAUTHENTICATED",
        403 => "PERMISSION_DENIED",
        404 => "NOT_FOUND",
        501 => "UNIMPLEMENTED",
        429 => "RESOURCE_EXHAUSTED",
        503 | 529 => "UNAVAILABLE",
        504 => "DEADLINE_EXCEEDED",
        402 | 405..=428 | 430..=499 => "FAILED_PRECONDITION",
        _ => "INTERNAL",
    };
    let mut details: Vec<Value> = Vec::new();
    if let Some(at) = at.filter(|at| !at.is_empty()) {
        let violations = json!([{"field": at, "description": message}]);
        details.push(json!({"@type": "type.googleapis.com/google.rpc.BadRequest", "fieldViolations": violations}));
    }
    if let Some(seconds) = retry_after {
        let delay = format!("{seconds}s");
        details.push(json!({"@type": "type.googleapis.com/google.rpc.RetryInfo", "retryDelay": delay}));
    }
    let mut error = json!({"code": status, "message": message, "status": name});
    if !details.is_empty() {
        error["details"] = details.into();
    }
    json!({"error": error}).to_string().into()
}

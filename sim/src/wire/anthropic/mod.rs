//! Anthropic Messages.

mod answer;
mod content;
mod request;

use bytes::Bytes;
use serde_json::json;

pub(super) use answer::{MessageWriter, whole};
pub(super) use request::read;

/// An error object.
pub(super) fn error_body(status: u16, message: &str, request_id: &str) -> Bytes {
    let kind = match status {
        401 => "authentication_error",
        402 => "billing_error",
        403 => "permission_error",
        404 => "not_found_error",
        413 => "request_too_large",
        429 => "rate_limit_error",
        504 => "timeout_error",
        503 | 529 => "overloaded_error",
        400..=499 => "invalid_request_error",
        _ => "api_error",
    };
    let error = json!({"type": kind, "message": message});
    json!({"type": "error", "error": error, "request_id": request_id})
        .to_string()
        .into()
}

/// `GET /v1/models`.
pub(super) fn models(names: &[String]) -> Bytes {
    let data: Vec<serde_json::Value> = names.iter().map(|name| model(name)).collect();
    let (first, last) = (names.first(), names.last());
    json!({"data": data, "has_more": false, "first_id": first, "last_id": last})
        .to_string()
        .into()
}

/// `GET /v1/models/NAME`.
pub(super) fn model(name: &str) -> serde_json::Value {
    json!({"type": "model", "id": name, "display_name": name, "created_at": "2026-01-01T00:00:00Z"})
}

//! Amazon Bedrock: Converse, ConverseStream, and InvokeModel for embeddings.

mod answer;
mod content;
mod frame;
mod request;
mod sigv4;
mod vectors;

use bytes::Bytes;
use serde_json::json;

pub(super) use answer::{ConverseWriter, whole};
pub(super) use request::read;
pub(super) use sigv4::verify;
pub(super) use vectors::vectors;

/// The name of an error by its status, for the header `x-amzn-errortype`.
pub(super) const fn error_type(status: u16) -> &'static str {
    match status {
        401 => "UnrecognizedClientException",
        403 => "AccessDeniedException",
        404 => "ResourceNotFoundException",
        408 => "ModelTimeoutException",
        424 => "ModelErrorException",
        429 => "ThrottlingException",
        503 | 529 => "ServiceUnavailableException",
        400..=499 => "ValidationException",
        _ => "InternalServerException",
    }
}

/// An error object.
pub(super) fn error_body(message: &str) -> Bytes {
    json!({"message": message}).to_string().into()
}

//! Errors, both ways.

use serde_json::{Value, json};
use tokenweir_llm::ErrorKind;
use tokenweir_llm::dialect::{ClientDialect, Messages, ProviderError, ProviderWire};

use super::value;

fn error(kind: ErrorKind) -> ProviderError {
    ProviderError {
        kind,
        message: "why".to_owned(),
        code: None,
        context_overflow: false,
    }
}

#[test]
fn every_kind_has_the_type_that_anthropic_documents_for_its_status() {
    let kinds = [
        ErrorKind::InvalidRequest,
        ErrorKind::Unauthenticated,
        ErrorKind::Forbidden,
        ErrorKind::NotFound,
        ErrorKind::ModelNotFound,
        ErrorKind::MethodNotAllowed,
        ErrorKind::RequestTimeout,
        ErrorKind::TooLarge,
        ErrorKind::RateLimited,
        ErrorKind::Internal,
        ErrorKind::BadUpstream,
        ErrorKind::Unavailable,
        ErrorKind::UpstreamTimeout,
    ];
    let lines: Vec<String> = (kinds.iter())
        .map(|kind| {
            let body = Messages::write_error(&error(*kind));
            format!("{} {}", kind.status(), String::from_utf8(body).unwrap())
        })
        .collect();
    insta::assert_snapshot!(lines.join("\n"));
}

#[test]
fn an_error_can_name_its_request() {
    let body = Messages::write_error_of(&error(ErrorKind::RateLimited), "req_011");
    assert_eq!(
        value(&body),
        json!({"type": "error", "error": {"type": "rate_limit_error", "message": "why"}, "request_id": "req_011"})
    );
}

#[test]
fn a_conversation_that_does_not_fit_is_told_in_the_words_that_clients_look_for() {
    let overflow = |message: &str| {
        let error = ProviderError {
            message: message.to_owned(),
            code: Some("context_length_exceeded".to_owned()),
            context_overflow: true,
            ..error(ErrorKind::InvalidRequest)
        };
        value(&Messages::write_error(&error))["error"]["message"].clone()
    };
    assert_eq!(
        overflow("This model's maximum context length is 8192 tokens."),
        "prompt is too long: This model's maximum context length is 8192 tokens."
    );
    assert_eq!(overflow("prompt is too long: 9 > 8"), "prompt is too long: 9 > 8");
}

fn said(kind: &str, message: &str) -> Value {
    json!({"type": "error", "error": {"type": kind, "message": message}, "request_id": "req_1"})
}

#[test]
fn every_error_of_the_provider_is_understood() {
    let shown: Vec<String> = [
        (400, said("invalid_request_error", "max_tokens: required")),
        (
            400,
            said(
                "invalid_request_error",
                "prompt is too long: 208310 tokens > 200000 maximum",
            ),
        ),
        (
            400,
            said(
                "invalid_request_error",
                "input length and `max_tokens` exceed context limit: 188240 + 21333 > 200000",
            ),
        ),
        (401, said("authentication_error", "invalid x-api-key")),
        (402, said("billing_error", "Your credit balance is too low.")),
        (403, said("permission_error", "no")),
        (404, said("not_found_error", "model: claude-9")),
        (404, said("not_found_error", "Not found")),
        (413, said("request_too_large", "Request exceeds the maximum size")),
        (429, said("rate_limit_error", "slow down")),
        (500, said("api_error", "Internal server error")),
        (504, said("timeout_error", "timed out")),
        (529, said("overloaded_error", "Overloaded")),
        (
            400,
            json!({"type": "error", "error": {"type": "invalid_request_error", "message": "too many pixels",
                   "details": {"error_code": "image_dimensions_too_large"}}}),
        ),
        (503, json!({"error": {"message": "no capacity"}})),
        (502, json!("<html>")),
        (422, json!({"detail": "x"})),
        (408, json!({})),
    ]
    .iter()
    .map(|(status, body)| {
        let error = Messages::read_error(*status, body.to_string().as_bytes());
        format!(
            "{status} {:?} {:?} overflow={} {}",
            error.kind, error.code, error.context_overflow, error.message
        )
    })
    .collect();
    insta::assert_snapshot!(shown.join("\n"));
}

#[test]
fn a_page_of_html_is_an_error_that_does_not_quote_it() {
    let error = Messages::read_error(502, b"<html><body>secret backend</body></html>");
    assert_eq!(error.kind, ErrorKind::BadUpstream);
    assert!(!error.message.contains("secret"), "{}", error.message);
}

//! Anthropic's wire: `POST /v1/messages`.

use bytes::{Bytes, BytesMut};
use serde::Deserialize;
use serde_json::json;
use tokenweir_llm::sse;

use super::refusal::Refusal;
use super::script::Answer;

/// The fields of a message request that the simulator acts on.
#[derive(Deserialize)]
pub(super) struct MessageRequest {
    pub(super) model: String,
    pub(super) max_tokens: u64,
    #[serde(default)]
    pub(super) stream: bool,
}

/// Reads a message request. Messages are Anthropic's own.
pub(super) fn parse(body: &[u8]) -> Result<MessageRequest, Refusal> {
    #[derive(Deserialize)]
    struct Wire {
        model: Option<String>,
        max_tokens: Option<u64>,
        messages: Option<Vec<serde::de::IgnoredAny>>,
        #[serde(default)]
        stream: Option<bool>,
    }
    let wire: Wire = serde_json::from_slice(body).map_err(|error| Refusal::bad_request(&error.to_string(), None))?;
    let missing = |field: &'static str| Refusal::bad_request(&format!("{field}: Field required"), Some(field));
    let model = wire.model.ok_or_else(|| missing("model"))?;
    let max_tokens = wire.max_tokens.ok_or_else(|| missing("max_tokens"))?;
    if max_tokens == 0 {
        let message = "max_tokens: Input should be greater than or equal to 1";
        return Err(Refusal::bad_request(message, Some("max_tokens")));
    }
    if wire.messages.ok_or_else(|| missing("messages"))?.is_empty() {
        let message = "messages: at least one message is required";
        return Err(Refusal::bad_request(message, Some("messages")));
    }
    Ok(MessageRequest {
        model,
        max_tokens,
        stream: wire.stream.unwrap_or(false),
    })
}

/// The start of a stream, in the order that Anthropic documents: `message_start` with the real count of input tokens, `content_block_start`, `ping`.
pub(super) fn head(answer: &Answer, number: u64) -> Option<Bytes> {
    match number {
        0 => {
            let (id, model, input) = (answer.id(), &answer.model, answer.prompt_tokens);
            let data = format!(
                "{{\"type\":\"message_start\",\"message\":{{\"id\":\"msg_{id}\",\"type\":\"message\",\"role\":\"assistant\",\
                 \"model\":{model},\"content\":[],\"stop_reason\":null,\"stop_sequence\":null,\
                 \"usage\":{{\"input_tokens\":{input},\"cache_creation_input_tokens\":0,\
                 \"cache_read_input_tokens\":0,\"output_tokens\":1}}}}}}"
            );
            Some(sse::encode(Some("message_start"), data.as_bytes()))
        }
        1 => Some(sse::encode(
            Some("content_block_start"),
            br#"{"type":"content_block_start","index":0,"content_block":{"type":"text","text":""}}"#,
        )),
        2 => Some(sse::encode(Some("ping"), br#"{"type":"ping"}"#)),
        _ => None,
    }
}

/// The event of a token.
pub(super) fn token(buffer: &mut BytesMut, space: &str, word: &str) -> Bytes {
    buffer.extend_from_slice(
        b"event: content_block_delta\ndata: {\"type\":\"content_block_delta\",\"index\":0,\
          \"delta\":{\"type\":\"text_delta\",\"text\":\"",
    );
    buffer.extend_from_slice(space.as_bytes());
    buffer.extend_from_slice(word.as_bytes());
    buffer.extend_from_slice(b"\"}}\n\n");
    buffer.split().freeze()
}

/// The end of a stream: `content_block_stop`, `message_delta` with the count of output tokens, `message_stop`.
pub(super) fn tail(answer: &Answer, number: u64) -> Option<Bytes> {
    match number {
        0 => Some(sse::encode(
            Some("content_block_stop"),
            br#"{"type":"content_block_stop","index":0}"#,
        )),
        1 => {
            let (reason, output) = (stop_reason(answer), answer.completion_tokens());
            let usage = if answer.usage {
                format!(",\"usage\":{{\"output_tokens\":{output}}}")
            } else {
                String::new()
            };
            let data = format!(
                "{{\"type\":\"message_delta\",\"delta\":{{\"stop_reason\":\"{reason}\",\"stop_sequence\":null}}{usage}}}"
            );
            Some(sse::encode(Some("message_delta"), data.as_bytes()))
        }
        2 if answer.done => Some(sse::encode(Some("message_stop"), br#"{"type":"message_stop"}"#)),
        _ => None,
    }
}

const fn stop_reason(answer: &Answer) -> &'static str {
    if answer.cut { "max_tokens" } else { "end_turn" }
}

/// A whole answer.
pub(super) fn whole(answer: &Answer) -> Bytes {
    let (id, model, text, reason) = (answer.id(), &answer.model, answer.text(0), stop_reason(answer));
    let usage = if answer.usage {
        format!(
            ",\"usage\":{{\"input_tokens\":{},\"cache_creation_input_tokens\":0,\"cache_read_input_tokens\":0,\"output_tokens\":{}}}",
            answer.prompt_tokens,
            answer.completion_tokens()
        )
    } else {
        String::new()
    };
    format!(
        "{{\"id\":\"msg_{id}\",\"type\":\"message\",\"role\":\"assistant\",\"model\":{model},\
         \"content\":[{{\"type\":\"text\",\"text\":\"{text}\"}}],\"stop_reason\":\"{reason}\",\"stop_sequence\":null{usage}}}"
    )
    .into()
}

/// The error that a fault puts into the middle of a stream.
pub(super) fn error_event() -> Bytes {
    sse::encode(Some("error"), &error_body(529, "Overloaded", None))
}

/// An error object.
pub(super) fn error_body(status: u16, message: &str, request_id: Option<&str>) -> Bytes {
    let kind = match status {
        401 => "authentication_error",
        403 => "permission_error",
        404 => "not_found_error",
        413 => "request_too_large",
        429 => "rate_limit_error",
        504 => "timeout_error",
        529 => "overloaded_error",
        400..=499 => "invalid_request_error",
        _ => "api_error",
    };
    let mut body = json!({"type": "error", "error": {"type": kind, "message": message}});
    if let Some(id) = request_id {
        body["request_id"] = id.into();
    }
    body.to_string().into()
}

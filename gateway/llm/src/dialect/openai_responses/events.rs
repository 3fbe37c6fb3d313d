//! The events of a streamed response, as they are written.

use serde::Serialize;

use super::super::json::encode;
use super::item::{Annotation, Content, Item, Summary};
use super::response::Response;
use crate::conversation::Json;
use crate::sse;

/// What an event says. Each kind has some of the fields.
#[derive(Debug, Default, Serialize)]
pub(super) struct Step<'a> {
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) response: Option<Response<'a>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) item_id: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) output_index: Option<usize>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) content_index: Option<usize>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) summary_index: Option<usize>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) annotation_index: Option<usize>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) item: Option<&'a Item>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) part: Option<Piece<'a>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) annotation: Option<&'a Annotation>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) delta: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) text: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) refusal: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) arguments: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) logprobs: Option<&'a [Json]>,
}

/// What an item is made of.
#[derive(Debug, Serialize)]
#[serde(untagged)]
pub(super) enum Piece<'a> {
    Content(&'a Content),
    Summary(&'a Summary),
}

#[derive(Debug, Serialize)]
struct Numbered<'a> {
    r#type: &'static str,
    sequence_number: u64,
    #[serde(flatten)]
    step: Step<'a>,
}

/// The event that tells of a failure.
///
/// It has two forms at once: the documented one, with its fields beside the type, and the one that OpenAI sends, with
/// an object in which the SDKs look for an error to raise.
#[derive(Debug, Serialize)]
struct ErrorEvent<'a> {
    r#type: &'static str,
    sequence_number: u64,
    code: &'a str,
    message: &'a str,
    param: Option<&'a str>,
    error: ErrorObject<'a>,
}

#[derive(Debug, Serialize)]
struct ErrorObject<'a> {
    r#type: &'a str,
    code: &'a str,
    message: &'a str,
    param: Option<&'a str>,
}

/// Writes events in their order.
#[derive(Debug)]
pub(super) struct Log<'o> {
    pub(super) sequence: &'o mut u64,
    pub(super) out: &'o mut Vec<u8>,
}

impl Log<'_> {
    pub(super) fn emit(&mut self, kind: &'static str, step: Step<'_>) {
        let event = Numbered {
            r#type: kind,
            sequence_number: self.next(),
            step,
        };
        self.write(kind, &encode(&event));
    }

    pub(super) fn error(&mut self, class: &str, code: &str, message: &str) {
        let event = ErrorEvent {
            r#type: "error",
            sequence_number: self.next(),
            code,
            message,
            param: None,
            error: ErrorObject {
                r#type: class,
                code,
                message,
                param: None,
            },
        };
        self.write("error", &encode(&event));
    }

    const fn next(&mut self) -> u64 {
        let number = *self.sequence;
        *self.sequence += 1;
        number
    }

    /// Schemas stand in events as the client wrote them, line breaks included, so the data may have several lines.
    fn write(&mut self, kind: &'static str, data: &[u8]) {
        self.out.extend_from_slice(&sse::encode(Some(kind), data));
    }
}

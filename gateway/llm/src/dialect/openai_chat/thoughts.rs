//! Thoughts and their proofs, in the forms that gateways and servers have agreed on beside OpenAI's API.

use serde::Serialize;
use serde_json::value::RawValue;

use crate::RequestError;
use crate::conversation::{Part, PartKind};
use crate::dialect::json::{Fields, View};

/// One of `thinking_blocks`, as Anthropic has them.
#[derive(Debug, Serialize)]
#[serde(tag = "type", rename_all = "snake_case")]
pub(super) enum Block<'a> {
    Thinking { thinking: &'a str, signature: &'a str },
    RedactedThinking { data: &'a str },
}

/// A block with its place among those of the message.
#[derive(Debug, Serialize)]
pub(super) struct Indexed<'a> {
    pub(super) index: u32,
    #[serde(flatten)]
    pub(super) block: Block<'a>,
}

/// The proof behind a call.
#[derive(Debug, Serialize)]
pub(super) struct CallExtra<'a> {
    google: Google<'a>,
}

#[derive(Debug, Serialize)]
struct Google<'a> {
    thought_signature: &'a str,
}

impl<'a> CallExtra<'a> {
    pub(super) const fn new(signature: &'a str) -> Self {
        Self {
            google: Google {
                thought_signature: signature,
            },
        }
    }
}

/// Reads the value of `extra_content` of a call.
pub(super) fn signature_of_call(raw: &RawValue) -> Option<String> {
    View::of(raw)?.view("google")?.filled("thought_signature")
}

/// The thoughts of a message. The fields repeat each other: those with proofs count, and of those in clear what is not
/// among them.
fn choose(blocks: Vec<PartKind>, details: Vec<PartKind>, clear: Option<String>) -> Vec<PartKind> {
    let mut thoughts = if blocks.is_empty() { details } else { blocks };
    let clear = clear.unwrap_or_default();
    let (before, behind) = around(&clear, &text_of(&thoughts));
    let unproved = |text: &str| PartKind::Thinking {
        text: text.to_owned(),
        signature: None,
    };
    if !before.is_empty() {
        thoughts.insert(0, unproved(before));
    }
    if !behind.is_empty() {
        thoughts.push(unproved(behind));
    }
    thoughts
}

/// What stands before or behind a part of a text, on lines of its own. Empty where the part is not at either end: the
/// two say the same in other words then.
fn around<'a>(whole: &'a str, part: &str) -> (&'a str, &'a str) {
    if part.is_empty() {
        (whole, "")
    } else if let Some(before) = whole.strip_suffix(part).and_then(|rest| rest.strip_suffix('\n')) {
        (before, "")
    } else {
        let behind = whole.strip_prefix(part).and_then(|rest| rest.strip_prefix('\n'));
        ("", behind.unwrap_or_default())
    }
}

/// The text of thoughts, as [`in_clear`] has it.
fn text_of<'a>(thoughts: impl IntoIterator<Item = &'a PartKind>) -> String {
    let text = thoughts.into_iter().filter_map(|thought| match thought {
        PartKind::Thinking { text, .. } if !text.is_empty() => Some(text.as_str()),
        _ => None,
    });
    text.collect::<Vec<_>>().join("\n")
}

/// Takes the thoughts out of a message that a client has sent.
pub(super) fn take(fields: &mut Fields<'_>) -> Result<Vec<PartKind>, RequestError> {
    let blocks = fields.list("thinking_blocks")?.unwrap_or_default();
    let details = fields.list("reasoning_details")?.unwrap_or_default();
    let content = fields.string("reasoning_content")?;
    let clear = fields.string("reasoning")?;
    Ok(choose(
        blocks.into_iter().filter_map(block).collect(),
        details.into_iter().filter_map(detail).collect(),
        content.filter(|text| !text.is_empty()).or(clear),
    ))
}

/// Reads the thoughts of a message that a provider has sent.
pub(super) fn of_message(message: &View<'_>) -> Vec<PartKind> {
    choose(
        message.list("thinking_blocks").into_iter().filter_map(block).collect(),
        message
            .list("reasoning_details")
            .into_iter()
            .filter_map(detail)
            .collect(),
        message
            .filled("reasoning_content")
            .or_else(|| message.filled("reasoning")),
    )
}

/// One of LiteLLM's blocks.
pub(super) fn block(raw: &RawValue) -> Option<PartKind> {
    let block = View::of(raw)?;
    match block.text("type")?.as_str() {
        "thinking" => thought(block.text("thinking"), block.filled("signature")),
        "redacted_thinking" => Some(PartKind::RedactedThinking {
            data: block.filled("data")?,
        }),
        _ => None,
    }
}

/// One of OpenRouter's details.
pub(super) fn detail(raw: &RawValue) -> Option<PartKind> {
    let detail = View::of(raw)?;
    match detail.text("type")?.as_str() {
        "reasoning.text" => thought(detail.text("text"), detail.filled("signature")),
        "reasoning.summary" => thought(detail.text("summary"), None),
        "reasoning.encrypted" => Some(PartKind::RedactedThinking {
            data: detail.filled("data")?,
        }),
        _ => None,
    }
}

fn thought(text: Option<String>, signature: Option<String>) -> Option<PartKind> {
    let text = text.unwrap_or_default();
    (!text.is_empty() || signature.is_some()).then_some(PartKind::Thinking { text, signature })
}

/// The text of all thoughts, for `reasoning_content`; `None` if they have none.
pub(super) fn in_clear(parts: &[Part]) -> Option<String> {
    let text = text_of(parts.iter().map(|part| &part.kind));
    (!text.is_empty()).then_some(text)
}

/// The thoughts that have a proof or are one.
pub(super) fn blocks(parts: &[Part]) -> Vec<Block<'_>> {
    (parts.iter())
        .filter_map(|part| match &part.kind {
            PartKind::Thinking {
                text,
                signature: Some(signature),
            } => Some(Block::Thinking {
                thinking: text,
                signature,
            }),
            PartKind::RedactedThinking { data } => Some(Block::RedactedThinking { data }),
            _ => None,
        })
        .collect()
}

//! An estimate of how many tokens a request has.

use super::estimate;
use crate::conversation::{Json, Message, Part, PartKind, Request, Source, Tool};
use crate::dialect::anthropic::model::Abilities;
use crate::tokens::Vision;

/// What wraps a message, a call or a result.
const WRAPPING: u64 = 4;

/// What a page of a PDF has at most, by Anthropic's documentation: text of up to 3,000 tokens.
const PAGE: u64 = 3000;

/// How much base64 a page of a PDF has: pages of text with few pictures have some tens of KB.
const PAGE_BYTES: u64 = 64 * 1024;

/// A second of sound has some 10 tokens, and some 22 KB of base64 as MP3 of good quality or as samples of a telephone.
const SOUND_BYTES_PER_TOKEN: u64 = 2200;

/// How many tokens the input of a request has, roughly: instructions, messages, functions and media.
///
/// Text is counted by [`estimate`], whose error its module names. An image whose size is known is exact for Anthropic's
/// models; one whose size is not counts as the largest. Documents and sound are only as exact as their size in bytes
/// tells, and what a provider adds by itself (its own prompt for functions) is not counted. Linear in the request.
pub fn estimate_input(request: &Request) -> u64 {
    let vision = Abilities::of(&request.model).vision;
    let messages = request.messages.iter().map(|message| of_message(message, vision));
    let tools = request.tools.iter().map(of_tool);
    messages.chain(tools).fold(0, u64::saturating_add)
}

fn of_message(message: &Message, vision: Vision) -> u64 {
    sum(&message.parts, vision).saturating_add(WRAPPING)
}

fn sum(parts: &[Part], vision: Vision) -> u64 {
    (parts.iter())
        .map(|part| of_part(part, vision))
        .fold(0, u64::saturating_add)
}

fn of_part(part: &Part, vision: Vision) -> u64 {
    match &part.kind {
        PartKind::Text { text, .. } | PartKind::Refusal { text } | PartKind::Thinking { text, .. } => estimate(text),
        PartKind::Image { source, .. } => vision.estimate(source),
        PartKind::Document { source, name, .. } => {
            name.as_deref().map_or(0, estimate).saturating_add(of_document(source))
        }
        PartKind::Audio { source } => match source {
            Source::Inline(media) => bytes(&media.base64).div_ceil(SOUND_BYTES_PER_TOKEN),
            _ => 0,
        },
        PartKind::ToolCall(call) => WRAPPING + estimate(&call.name) + estimate(&call.arguments),
        // Results hold no results: readers do not nest them.
        PartKind::ToolResult(result) => (result.parts.iter())
            .map(|part| match &part.kind {
                PartKind::ToolResult(_) => 0,
                _ => of_part(part, vision),
            })
            .fold(WRAPPING, u64::saturating_add),
        // Encrypted, and not shown to the model again.
        PartKind::RedactedThinking { .. } => 0,
    }
}

fn of_document(source: &Source) -> u64 {
    match source {
        Source::Text(text) => estimate(text),
        // Three bytes for four characters of base64, and four characters a token as text has them on average.
        Source::Inline(media) if media.media_type.starts_with("text/") => bytes(&media.base64) * 3 / 16,
        Source::Inline(media) => bytes(&media.base64).div_ceil(PAGE_BYTES).saturating_mul(PAGE),
        Source::Url(_) | Source::File(_) => PAGE,
    }
}

fn bytes(text: &str) -> u64 {
    u64::try_from(text.len()).unwrap_or(u64::MAX)
}

fn of_tool(tool: &Tool) -> u64 {
    let text = |text: Option<&str>| text.map_or(0, estimate);
    WRAPPING
        .saturating_add(estimate(&tool.name))
        .saturating_add(text(tool.description.as_deref()))
        .saturating_add(text(tool.parameters.as_ref().map(|schema: &Json| schema.get())))
}

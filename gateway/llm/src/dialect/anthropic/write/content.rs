//! What messages hold.

use std::borrow::Cow;

use base64::Engine;
use base64::prelude::BASE64_STANDARD;

use crate::conversation::{Citation, Media, Message, Part, PartKind, Report, Role, Source, ToolCall, ToolResult};
use crate::dialect::anthropic::blocks::{Block, Enabled, Input, WireCitation, WireSource};
use crate::dialect::anthropic::ids;
use crate::dialect::gemini::signature::is_of_gemini;

/// The blocks of a message. May be empty: Anthropic refuses empty text, and it says nothing.
pub(super) fn blocks<'a>(message: &'a Message, report: &mut Report) -> Vec<Block<'a>> {
    (message.parts.iter())
        .filter_map(|part| block(part, message.role, report))
        .collect()
}

fn block<'a>(part: &'a Part, role: Role, report: &mut Report) -> Option<Block<'a>> {
    match (&part.kind, role) {
        (PartKind::Text { text, citations }, _) => said(part, text, citations, report),
        // What the model said when it refused is what it said.
        (PartKind::Refusal { text }, _) => said(part, text, &[], report),
        (PartKind::ToolCall(call), Role::Assistant) => Some(tool_use(call, part, report)),
        (PartKind::ToolResult(result), Role::User) => Some(tool_result(result, part, report)),
        (PartKind::Thinking { text, signature }, Role::Assistant) => thought(text, signature.as_deref()),
        (PartKind::RedactedThinking { data }, Role::Assistant) => Some(Block::RedactedThinking { data }),
        (_, Role::User) => medium(part, report),
        _ => unsupported(part, report),
    }
}

/// A thought without a proof, or with that of another provider, stays away: Anthropic takes only its own back, and shows
/// the model none of an earlier turn, so nothing is lost.
fn thought<'a>(thinking: &'a str, signature: Option<&'a str>) -> Option<Block<'a>> {
    let signature = signature.filter(|signature| !is_of_gemini(signature))?;
    Some(Block::Thinking { thinking, signature })
}

fn unsupported<'a>(part: &Part, report: &mut Report) -> Option<Block<'a>> {
    report.add(&*part.at);
    None
}

fn said<'a>(part: &'a Part, text: &'a str, citations: &'a [Citation], report: &mut Report) -> Option<Block<'a>> {
    if text.trim().is_empty() {
        return None;
    }
    let mut places = Vec::new();
    for citation in citations {
        match citation {
            Citation::Document(_) => places.push(WireCitation::from(citation)),
            // Anthropic takes a page back only with the index of its own search.
            Citation::Url { .. } => report.add(format!("{}.citations", part.at)),
        }
    }
    Some(Block::Text {
        text,
        citations: places,
        cache_control: part.cache.as_ref().map(Into::into),
    })
}

/// An image or a document.
fn medium<'a>(part: &'a Part, report: &mut Report) -> Option<Block<'a>> {
    let cache_control = part.cache.as_ref().map(Into::into);
    let block = match &part.kind {
        PartKind::Image { source, detail } => {
            // Anthropic always looks closely.
            if let Some(detail) = detail
                && !matches!(detail.value.as_str(), "auto" | "high")
            {
                report.add(format!("{}.{}", part.at, detail.field));
            }
            image(source).map(|source| Block::Image { source, cache_control })
        }
        PartKind::Document {
            source,
            name,
            citations,
        } => document(source).map(|source| Block::Document {
            source,
            title: name.as_deref(),
            citations: citations.then_some(Enabled { enabled: true }),
            cache_control,
        }),
        _ => None,
    };
    block.or_else(|| unsupported(part, report))
}

fn image(source: &Source) -> Option<WireSource<'_>> {
    match source {
        Source::Inline(Media { media_type, base64 }) => {
            let media_type = match media_type.as_str() {
                // A common slip that other providers forgive.
                "image/jpg" => "image/jpeg",
                known @ ("image/jpeg" | "image/png" | "image/gif" | "image/webp") => known,
                _ => return None,
            };
            Some(WireSource::Base64 {
                media_type,
                data: base64,
            })
        }
        Source::Url(url) => Some(WireSource::Url { url }),
        Source::File(file_id) => Some(WireSource::File { file_id }),
        Source::Text(_) => None,
    }
}

fn document(source: &Source) -> Option<WireSource<'_>> {
    match source {
        Source::Inline(Media { media_type, base64 }) if media_type == "application/pdf" => Some(WireSource::Base64 {
            media_type,
            data: base64,
        }),
        // All other documents are plain text for Anthropic.
        Source::Inline(Media { media_type, base64 })
            if media_type.starts_with("text/") || media_type == "application/json" =>
        {
            let bytes = BASE64_STANDARD.decode(base64).ok()?;
            Some(plain(Cow::Owned(String::from_utf8(bytes).ok()?)))
        }
        Source::Inline(_) => None,
        Source::Url(url) => Some(WireSource::Url { url }),
        Source::File(file_id) => Some(WireSource::File { file_id }),
        Source::Text(text) => Some(plain(Cow::Borrowed(text))),
    }
}

const fn plain(data: Cow<'_, str>) -> WireSource<'_> {
    WireSource::Text {
        media_type: "text/plain",
        data,
    }
}

fn tool_use<'a>(call: &'a ToolCall, part: &'a Part, report: &mut Report) -> Block<'a> {
    let input = Input::of(&call.arguments);
    if matches!(input, Input::Text(_)) {
        report.add(&*part.at);
    }
    Block::ToolUse {
        id: ids::acceptable(&call.id),
        name: &call.name,
        input,
        cache_control: part.cache.as_ref().map(Into::into),
    }
}

fn tool_result<'a>(result: &'a ToolResult, part: &'a Part, report: &mut Report) -> Block<'a> {
    let content = (result.parts.iter())
        .filter_map(|part| match &part.kind {
            PartKind::Text { text, citations } => said(part, text, citations, report),
            _ => medium(part, report),
        })
        .collect();
    Block::ToolResult {
        tool_use_id: ids::acceptable(&result.id),
        content,
        is_error: result.is_error,
        cache_control: part.cache.as_ref().map(Into::into),
    }
}

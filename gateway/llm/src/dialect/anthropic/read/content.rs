//! What messages hold.

use serde_json::value::RawValue;

use super::{elements, extra};
use crate::RequestError;
use crate::conversation::{CacheControl, Citation, Extra, Media, Part, PartKind, Source, ToolCall, ToolResult};
use crate::dialect::anthropic::ids;
use crate::dialect::json::{Fields, text};
use crate::dialect::media::plain_type;

/// Reads a content: a string, or blocks.
pub(super) fn parts(raw: &RawValue, at: &str, extras: &mut Vec<Extra>) -> Result<Vec<Part>, RequestError> {
    if let Some(text) = text(raw) {
        return Ok(vec![Part::text(text, at)]);
    }
    let mut parts = Vec::new();
    for (index, raw) in blocks(raw, at)? {
        let mut fields = Fields::of(raw, index)?;
        let kind = match fields.required_string("type")?.as_str() {
            "tool_use" => Some(tool_use(&mut fields, extras)?),
            "tool_result" => Some(tool_result(&mut fields, extras)?),
            "thinking" => Some(PartKind::Thinking {
                text: fields.required_string("thinking")?,
                signature: fields.string("signature")?.filter(|signature| !signature.is_empty()),
            }),
            "redacted_thinking" => Some(PartKind::RedactedThinking {
                data: fields.required_string("data")?,
            }),
            other => medium(other, &mut fields, extras)?,
        };
        finish(kind, fields, raw, &mut parts, extras)?;
    }
    Ok(parts)
}

/// The blocks of a result. They hold no calls, results and thoughts, so nothing recurses.
fn result_parts(raw: &RawValue, at: &str, extras: &mut Vec<Extra>) -> Result<Vec<Part>, RequestError> {
    if let Some(text) = text(raw) {
        return Ok(vec![Part::text(text, at)]);
    }
    let mut parts = Vec::new();
    for (index, raw) in blocks(raw, at)? {
        let mut fields = Fields::of(raw, index)?;
        let kind = fields.required_string("type")?;
        let kind = medium(&kind, &mut fields, extras)?;
        finish(kind, fields, raw, &mut parts, extras)?;
    }
    Ok(parts)
}

fn blocks<'a>(raw: &'a RawValue, at: &str) -> Result<impl Iterator<Item = (String, &'a RawValue)>, RequestError> {
    let blocks = elements(raw, at, "a string or an array of blocks")?;
    Ok(blocks
        .into_iter()
        .enumerate()
        .map(move |(index, raw)| (format!("{at}[{index}]"), raw)))
}

/// Adds a block that was read, or the whole block as an extra if the shared terms have no place for it.
fn finish(
    kind: Option<PartKind>,
    mut fields: Fields<'_>,
    raw: &RawValue,
    parts: &mut Vec<Part>,
    extras: &mut Vec<Extra>,
) -> Result<(), RequestError> {
    let Some(kind) = kind else {
        extras.push(extra(fields.at(), raw));
        return Ok(());
    };
    let cache = cache(&mut fields, extras)?;
    parts.push(Part {
        kind,
        cache,
        at: fields.at().into(),
    });
    fields.rest(extras);
    Ok(())
}

/// Takes a cache mark.
pub(super) fn cache(fields: &mut Fields<'_>, extras: &mut Vec<Extra>) -> Result<Option<CacheControl>, RequestError> {
    let Some(mut mark) = fields.object("cache_control")? else {
        return Ok(None);
    };
    if mark.required_string("type")? != "ephemeral" {
        return Err(mark.wrong("type", "'ephemeral'"));
    }
    let ttl = mark.string("ttl")?;
    mark.rest(extras);
    Ok(Some(CacheControl { ttl }))
}

/// Text, an image or a document; `None` for a kind that only Anthropic has.
fn medium(kind: &str, fields: &mut Fields<'_>, extras: &mut Vec<Extra>) -> Result<Option<PartKind>, RequestError> {
    match kind {
        "text" => Ok(Some(PartKind::Text {
            text: fields.required_string("text")?,
            citations: citations(fields)?,
        })),
        "image" => Ok(source(fields)?.map(|source| PartKind::Image { source, detail: None })),
        "document" => {
            let Some(source) = source(fields)? else {
                return Ok(None);
            };
            let citations = match fields.object("citations")? {
                None => false,
                Some(mut citations) => {
                    let enabled = citations.boolean("enabled")?.unwrap_or(false);
                    citations.rest(extras);
                    enabled
                }
            };
            Ok(Some(PartKind::Document {
                source,
                name: fields.string("title")?,
                citations,
            }))
        }
        _ => Ok(None),
    }
}

/// The source of an image or a document; `None` for one made of blocks, which only Anthropic has.
fn source(fields: &mut Fields<'_>) -> Result<Option<Source>, RequestError> {
    let raw = fields.require("source")?;
    let mut source = Fields::of(raw, fields.place("source"))?;
    Ok(Some(match source.required_string("type")?.as_str() {
        "base64" => Source::Inline(Media {
            media_type: media_type(&mut source)?,
            base64: source.required_string("data")?,
        }),
        "url" => Source::Url(source.required_string("url")?),
        "file" => Source::File(source.required_string("file_id")?),
        "text" => Source::Text(source.required_string("data")?),
        _ => return Ok(None),
    }))
}

fn media_type(source: &mut Fields<'_>) -> Result<String, RequestError> {
    let given = source.required_string("media_type")?;
    let plain = plain_type(&given).ok_or_else(|| source.wrong("media_type", "a media type such as image/png"))?;
    Ok(plain.to_owned())
}

fn citations(fields: &mut Fields<'_>) -> Result<Vec<Citation>, RequestError> {
    let place = fields.place("citations");
    (fields.list("citations")?.unwrap_or_default().into_iter().enumerate())
        .map(|(index, raw)| {
            let mut citation = Fields::of(raw, format!("{place}[{index}]"))?;
            if citation.required_string("type")? != "web_search_result_location" {
                return Ok(Citation::Document(raw.to_owned()));
            }
            Ok(Citation::Url {
                url: citation.required_string("url")?,
                title: citation.string("title")?,
                range: None,
                cited_text: citation.string("cited_text")?.filter(|text| !text.is_empty()),
            })
        })
        .collect()
}

fn tool_use(fields: &mut Fields<'_>, extras: &mut Vec<Extra>) -> Result<PartKind, RequestError> {
    let id = fields.required_string("id")?;
    let (id, signature) = ids::split(&id);
    let input = fields.require("input")?;
    if !input.get().starts_with('{') {
        return Err(fields.wrong("input", "an object"));
    }
    // Called by the model itself, which is the only way that other providers know.
    if let Some(raw) = fields.take("caller")? {
        let mut caller = Fields::of(raw, fields.place("caller"))?;
        if caller.required_string("type")? != "direct" {
            extras.push(extra(fields.place("caller"), raw));
        }
    }
    Ok(PartKind::ToolCall(ToolCall {
        id: id.to_owned(),
        name: fields.required_string("name")?,
        arguments: input.get().to_owned(),
        signature,
    }))
}

fn tool_result(fields: &mut Fields<'_>, extras: &mut Vec<Extra>) -> Result<PartKind, RequestError> {
    let id = fields.required_string("tool_use_id")?;
    let parts = match fields.take("content")? {
        None => Vec::new(),
        Some(raw) => result_parts(raw, &fields.place("content"), extras)?,
    };
    Ok(PartKind::ToolResult(ToolResult {
        id: ids::split(&id).0.to_owned(),
        parts,
        is_error: fields.boolean("is_error")?,
    }))
}

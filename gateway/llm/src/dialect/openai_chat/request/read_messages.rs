//! Reads the messages of a client.

use serde_json::value::RawValue;

use super::media;
use super::read_options::{cache, whole};
use crate::RequestError;
use crate::conversation::{Extra, Message, Named, Part, PartKind, Request, Role, Source, ToolCall, ToolResult};
use crate::dialect::json::{Fields, invalid, list, text};
use crate::dialect::openai_chat::{answer, thoughts};

/// Reads `messages`. Results of tools that follow each other become one message of the user.
pub(super) fn read(messages: &[&RawValue], request: &mut Request) -> Result<(), RequestError> {
    let mut after_result = false;
    for (index, raw) in messages.iter().enumerate() {
        let at = format!("messages[{index}]");
        let mut fields = Fields::of(raw, &*at)?;
        let role = fields.required_string("role")?;
        let is_result = role == "tool";
        let (role, parts) = match role.as_str() {
            "system" => (Role::System, content(&mut fields, &mut request.extras, true)?),
            "developer" => (Role::Developer, content(&mut fields, &mut request.extras, true)?),
            "user" => (Role::User, content(&mut fields, &mut request.extras, true)?),
            "assistant" => (Role::Assistant, said(&mut fields, &mut request.extras)?),
            "tool" => (Role::User, vec![result(&mut fields, &mut request.extras)?]),
            // The form that `tool` replaced. Its results name no call, so no other dialect can be told of them.
            "function" => {
                request.extras.push(whole(at, raw));
                continue;
            }
            _ => {
                return Err(invalid(
                    format!("{at}.role"),
                    "one of system, developer, user, assistant, tool",
                ));
            }
        };
        let name = fields.string("name")?;
        match request.messages.last_mut() {
            Some(last) if is_result && after_result => last.parts.extend(parts),
            _ => request.messages.push(Message {
                role,
                parts,
                // Beside a result it would be the function's, which the call has told.
                name: name.filter(|_| !is_result).map(|name| Named::new("name", name)),
                at: at.into(),
            }),
        }
        fields.rest(&mut request.extras);
        after_result = is_result;
    }
    Ok(())
}

/// Reads `content`, and a cache mark beside it, which stands for its end.
fn content(fields: &mut Fields<'_>, extras: &mut Vec<Extra>, required: bool) -> Result<Vec<Part>, RequestError> {
    let place = fields.place("content");
    let mut parts = match fields.take("content")? {
        None if required => return Err(invalid(place, "a string or an array, as it is required")),
        None => Vec::new(),
        Some(raw) => {
            if let Some(text) = text(raw) {
                if text.is_empty() {
                    Vec::new()
                } else {
                    vec![Part::text(text, place)]
                }
            } else {
                let all = list(raw).ok_or_else(|| invalid(&*place, "a string or an array"))?;
                let mut parts = Vec::with_capacity(all.len());
                for (index, raw) in all.into_iter().enumerate() {
                    parts.extend(part(raw, format!("{place}[{index}]"), extras)?);
                }
                parts
            }
        }
    };
    if let Some(last) = parts.last_mut()
        && last.cache.is_none()
    {
        last.cache = cache(fields)?;
    }
    Ok(parts)
}

/// Reads one part; `None` for a kind that the shared terms do not have, which becomes an extra.
fn part(raw: &RawValue, at: String, extras: &mut Vec<Extra>) -> Result<Option<Part>, RequestError> {
    let mut fields = Fields::of(raw, &*at)?;
    let kind = match fields.required_string("type")?.as_str() {
        "text" => PartKind::Text {
            text: fields.required_string("text")?,
            citations: Vec::new(),
        },
        "refusal" => PartKind::Refusal {
            text: fields.required_string("refusal")?,
        },
        "image_url" => {
            let image = fields.require("image_url")?;
            // Some clients send the address itself.
            let (url, detail) = if let Some(url) = text(image) {
                (url, None)
            } else {
                let mut image = Fields::of(image, format!("{at}.image_url"))?;
                let read = (image.required_string("url")?, image.string("detail")?);
                image.rest(extras);
                read
            };
            PartKind::Image {
                source: media::source_of_url(url),
                // What happens without the field.
                detail: (detail.filter(|detail| detail != "auto")).map(|detail| Named::new("detail", detail)),
            }
        }
        "input_audio" => {
            let mut audio = Fields::of(fields.require("input_audio")?, format!("{at}.input_audio"))?;
            let format = audio.required_string("format")?;
            let base64 = audio.required_string("data")?;
            audio.rest(extras);
            PartKind::Audio {
                source: Source::Inline(media::audio(&format, base64)),
            }
        }
        "file" => {
            let mut file = Fields::of(fields.require("file")?, format!("{at}.file"))?;
            let (id, data) = (file.string("file_id")?, file.string("file_data")?);
            let source = match (id, data) {
                (Some(id), None) => Source::File(id),
                (None, Some(data)) => media::source_of_file(data),
                _ => return Err(invalid(file.at(), "either file_id or file_data")),
            };
            let name = file.string("filename")?;
            file.rest(extras);
            PartKind::Document {
                source,
                name,
                citations: false,
            }
        }
        _ => {
            extras.push(whole(at, raw));
            return Ok(None);
        }
    };
    let mut part = Part::new(kind, at);
    part.cache = cache(&mut fields)?;
    fields.rest(extras);
    Ok(Some(part))
}

/// Reads what the model has said: thoughts, text, a refusal, calls.
fn said(fields: &mut Fields<'_>, extras: &mut Vec<Extra>) -> Result<Vec<Part>, RequestError> {
    let at = fields.at().to_owned();
    let mut parts: Vec<Part> = (thoughts::take(fields)?.into_iter())
        .map(|thought| Part::new(thought, &*at))
        .collect();
    let first = parts.len();
    parts.extend(content(fields, extras, false)?);
    // Clients send back the message as they got it, with its annotations.
    let citations = answer::citations(&fields.list("annotations")?.unwrap_or_default());
    if let Some(PartKind::Text { citations: of, .. }) = parts.get_mut(first).map(|part| &mut part.kind) {
        *of = citations;
    }
    if let Some(text) = fields.string("refusal")?.filter(|text| !text.is_empty()) {
        parts.push(Part::new(PartKind::Refusal { text }, fields.place("refusal")));
    }
    for (index, raw) in fields.list("tool_calls")?.unwrap_or_default().into_iter().enumerate() {
        let at = format!("{at}.tool_calls[{index}]");
        let mut call = Fields::of(raw, &*at)?;
        // Many clients leave the type out, as there was only one for long.
        if call.string("type")?.is_some_and(|kind| kind != "function") {
            extras.push(whole(at, raw));
            continue;
        }
        // Its place in the stream, which clients that join deltas leave in.
        call.take("index")?;
        let id = call.required_string("id")?;
        let mut function = call
            .object("function")?
            .ok_or_else(|| call.wrong("function", "an object, as it is required"))?;
        let signature = call.take_if("extra_content", thoughts::signature_of_call)?;
        parts.push(Part::new(
            PartKind::ToolCall(ToolCall {
                id,
                name: function.required_string("name")?,
                arguments: function.string("arguments")?.unwrap_or_default(),
                signature,
            }),
            at,
        ));
        function.rest(extras);
        call.rest(extras);
    }
    Ok(parts)
}

/// Reads what a function gave.
fn result(fields: &mut Fields<'_>, extras: &mut Vec<Extra>) -> Result<Part, RequestError> {
    let id = fields.required_string("tool_call_id")?;
    let mut parts = content(fields, extras, true)?;
    // A mark at the end of the result is one of the result.
    let mark = parts.last_mut().and_then(|last| last.cache.take());
    let mut part = Part::new(
        PartKind::ToolResult(ToolResult {
            id,
            parts,
            is_error: None,
        }),
        fields.at(),
    );
    part.cache = mark;
    Ok(part)
}

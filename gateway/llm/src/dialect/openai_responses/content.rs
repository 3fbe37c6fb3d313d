//! Reads the parts of messages and of tool results.

use serde_json::value::RawValue;

use super::super::json::{Fields, invalid, list, text};
use super::super::openai_chat::{audio as media_of_audio, source_of_file, source_of_url};
use crate::RequestError;
use crate::conversation::{CacheControl, Citation, Extra, Named, Part, PartKind, Source};

/// Reads content: a text, or a list of parts. Parts of a kind that the shared terms do not have are extras.
pub(super) fn read(raw: &RawValue, at: &str, extras: &mut Vec<Extra>) -> Result<Vec<Part>, RequestError> {
    if let Some(text) = text(raw) {
        return Ok(vec![Part::text(text, at)]);
    }
    let Some(list) = list(raw) else {
        return Err(invalid(at, "a string or an array"));
    };
    let mut parts = Vec::with_capacity(list.len());
    for (index, raw) in list.into_iter().enumerate() {
        parts.extend(part(raw, format!("{at}[{index}]"), extras)?);
    }
    Ok(parts)
}

fn part(raw: &RawValue, at: String, extras: &mut Vec<Extra>) -> Result<Option<Part>, RequestError> {
    let mut fields = Fields::of(raw, at.as_str())?;
    let kind = match fields.required_string("type")?.as_str() {
        "input_text" => plain(&mut fields)?,
        "output_text" => answered(&mut fields, extras)?,
        "refusal" => PartKind::Refusal {
            text: fields.required_string("refusal")?,
        },
        "input_image" => image(&mut fields)?,
        "input_file" => file(&mut fields)?,
        "input_audio" => audio(&mut fields, extras)?,
        _ => {
            extras.push(Extra {
                field: at.into(),
                value: raw.to_owned(),
            });
            return Ok(None);
        }
    };
    let cache = breakpoint(&mut fields, extras)?;
    fields.rest(extras);
    let mut part = Part::new(kind, at);
    part.cache = cache;
    Ok(Some(part))
}

fn plain(fields: &mut Fields<'_>) -> Result<PartKind, RequestError> {
    Ok(PartKind::Text {
        text: fields.required_string("text")?,
        citations: Vec::new(),
    })
}

/// A text of an earlier answer. Sources that are files of OpenAI's tell nobody else anything.
fn answered(fields: &mut Fields<'_>, extras: &mut Vec<Extra>) -> Result<PartKind, RequestError> {
    let text = fields.required_string("text")?;
    // Of tokens that were drawn long ago nothing depends on how probable they were.
    fields.take("logprobs")?;
    let mut citations = Vec::new();
    let at = fields.place("annotations");
    for (index, raw) in fields.list("annotations")?.unwrap_or_default().into_iter().enumerate() {
        let mut annotation = Fields::of(raw, format!("{at}[{index}]"))?;
        if annotation.required_string("type")? != "url_citation" {
            continue;
        }
        let (start, end) = (annotation.count("start_index")?, annotation.count("end_index")?);
        citations.push(Citation::Url {
            url: annotation.required_string("url")?,
            title: annotation.string("title")?.filter(|title| !title.is_empty()),
            range: start.zip(end),
            cited_text: None,
        });
        annotation.rest(extras);
    }
    Ok(PartKind::Text { text, citations })
}

fn image(fields: &mut Fields<'_>) -> Result<PartKind, RequestError> {
    let source = match (fields.string("image_url")?, fields.string("file_id")?) {
        (Some(url), None) => source_of_url(url),
        (None, Some(id)) => Source::File(id),
        _ => return Err(fields.wrong("image_url", "either it or file_id")),
    };
    // What holds without it.
    let detail = fields.string("detail")?.filter(|detail| detail != "auto");
    Ok(PartKind::Image {
        source,
        detail: detail.map(|detail| Named::new("detail", detail)),
    })
}

fn file(fields: &mut Fields<'_>) -> Result<PartKind, RequestError> {
    let name = fields.string("filename")?;
    let source = match (
        fields.string("file_data")?,
        fields.string("file_url")?,
        fields.string("file_id")?,
    ) {
        (Some(data), None, None) => source_of_file(data),
        (None, Some(url), None) => Source::Url(url),
        (None, None, Some(id)) => Source::File(id),
        _ => return Err(fields.wrong("file_data", "either it, file_url or file_id")),
    };
    fields.discard(|key, json| (key, json) == ("detail", r#""auto""#));
    Ok(PartKind::Document {
        source,
        name,
        citations: false,
    })
}

fn audio(fields: &mut Fields<'_>, extras: &mut Vec<Extra>) -> Result<PartKind, RequestError> {
    let mut audio = Fields::of(fields.require("input_audio")?, fields.place("input_audio"))?;
    let format = audio.required_string("format")?;
    let source = Source::Inline(media_of_audio(&format, audio.required_string("data")?));
    audio.rest(extras);
    Ok(PartKind::Audio { source })
}

/// A mark for the cache. It names the shortest time that the prefix must stay, so the next longer one that others have
/// fulfils it.
fn breakpoint(fields: &mut Fields<'_>, extras: &mut Vec<Extra>) -> Result<Option<CacheControl>, RequestError> {
    let Some(mut mark) = fields.object("prompt_cache_breakpoint")? else {
        return Ok(None);
    };
    // There is only one mode, `explicit`.
    mark.take("mode")?;
    let ttl = match mark.take("ttl")? {
        None => None,
        Some(raw) if raw.get() == r#""30m""# => Some("1h".to_owned()),
        Some(raw) => {
            extras.push(Extra {
                field: mark.place("ttl").into(),
                value: raw.to_owned(),
            });
            None
        }
    };
    mark.rest(extras);
    Ok(Some(CacheControl { ttl }))
}

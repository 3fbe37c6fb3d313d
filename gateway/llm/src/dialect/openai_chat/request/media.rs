//! Images, sound and files, in the forms of the dialect and in the shared ones.

use std::borrow::Cow;

use serde::Serialize;

use crate::conversation::{Media, Named, PartKind, Source};

/// `https://…`, or a `data:` address, whose bytes are here.
pub(crate) fn source_of_url(url: String) -> Source {
    match inline(&url) {
        Some(media) => Source::Inline(media),
        None => Source::Url(url),
    }
}

/// A file's bytes: a `data:` address, or base64 alone, which the API documents for PDF.
pub(crate) fn source_of_file(data: String) -> Source {
    Source::Inline(inline(&data).unwrap_or_else(|| Media {
        media_type: "application/pdf".to_owned(),
        base64: data,
    }))
}

/// The bytes of a `data:` address in base64; `None` for any other address. Parameters such as `charset` fall out.
fn inline(url: &str) -> Option<Media> {
    let rest = url.strip_prefix("data:")?;
    let (head, base64) = rest.split_once(',')?;
    let head = head.strip_suffix(";base64")?;
    let media_type = head.split(';').next().filter(|kind| !kind.is_empty());
    Some(Media {
        media_type: media_type.unwrap_or("application/octet-stream").to_owned(),
        base64: base64.to_owned(),
    })
}

/// Sound in a format as the API names it.
pub(crate) fn audio(format: &str, base64: String) -> Media {
    let media_type = match format {
        "mp3" => "audio/mpeg".to_owned(),
        other => format!("audio/{other}"),
    };
    Media { media_type, base64 }
}

/// A part of a message as it is written.
#[derive(Debug, Serialize)]
#[serde(tag = "type", rename_all = "snake_case")]
pub(super) enum WirePart<'a> {
    Text { text: Cow<'a, str> },
    ImageUrl { image_url: WireImage<'a> },
    InputAudio { input_audio: WireAudio<'a> },
    File { file: WireFile<'a> },
    Refusal { refusal: &'a str },
}

#[derive(Debug, Serialize)]
pub(super) struct WireImage<'a> {
    url: Cow<'a, str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    detail: Option<&'a str>,
}

#[derive(Debug, Serialize)]
pub(super) struct WireAudio<'a> {
    data: &'a str,
    format: &'static str,
}

#[derive(Debug, Serialize)]
pub(super) struct WireFile<'a> {
    #[serde(skip_serializing_if = "Option::is_none")]
    filename: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    file_data: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    file_id: Option<&'a str>,
}

impl<'a> WirePart<'a> {
    pub(super) fn text(text: impl Into<Cow<'a, str>>) -> Self {
        Self::Text { text: text.into() }
    }
}

/// Writes text or media; `None` for what the API has no form for.
pub(super) fn write(kind: &PartKind) -> Option<WirePart<'_>> {
    match kind {
        PartKind::Text { text, .. } => Some(WirePart::text(text)),
        PartKind::Image { source, detail } => {
            let url = match source {
                Source::Inline(media) => Cow::Owned(data_url(media)),
                Source::Url(url) => Cow::Borrowed(url.as_str()),
                // Images by id exist in the Responses API alone.
                Source::File(_) | Source::Text(_) => return None,
            };
            Some(WirePart::ImageUrl {
                image_url: WireImage {
                    url,
                    detail: detail.as_ref().map(|Named { value, .. }| value.as_str()),
                },
            })
        }
        PartKind::Audio { source } => {
            let Source::Inline(media) = source else {
                return None;
            };
            let format = match media.media_type.as_str() {
                "audio/wav" | "audio/x-wav" | "audio/wave" | "audio/vnd.wave" => "wav",
                "audio/mpeg" | "audio/mp3" => "mp3",
                _ => return None,
            };
            Some(WirePart::InputAudio {
                input_audio: WireAudio {
                    data: &media.base64,
                    format,
                },
            })
        }
        PartKind::Document { source, name, .. } => document(source, name.as_deref()),
        _ => None,
    }
}

fn document<'a>(source: &'a Source, name: Option<&'a str>) -> Option<WirePart<'a>> {
    let file = match source {
        Source::Inline(media) => WireFile {
            // The API demands a name beside bytes.
            filename: name.or(Some(if media.media_type == "application/pdf" {
                "document.pdf"
            } else {
                "document"
            })),
            file_data: Some(data_url(media)),
            file_id: None,
        },
        Source::File(id) => WireFile {
            filename: name,
            file_data: None,
            file_id: Some(id),
        },
        Source::Text(text) => {
            return Some(match name {
                Some(name) => WirePart::text(format!("{name}\n\n{text}")),
                None => WirePart::text(text),
            });
        }
        // Files by address exist in the Responses API alone.
        Source::Url(_) => return None,
    };
    Some(WirePart::File { file })
}

fn data_url(media: &Media) -> String {
    format!("data:{};base64,{}", media.media_type, media.base64)
}

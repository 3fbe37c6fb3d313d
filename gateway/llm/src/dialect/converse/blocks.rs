//! What was said so far, as content blocks.

use std::borrow::Cow;
use std::collections::HashSet;

use serde::Serialize;
use serde_json::value::RawValue;

use crate::conversation::{self, CacheControl, Part, PartKind, Report, Request, Role, Source, ToolCall, ToolResult};
use crate::dialect::anthropic::ids;
use crate::dialect::gemini::signature::is_of_gemini;
use crate::dialect::media;

pub(super) struct Messages<'a> {
    pub(super) system: Vec<System<'a>>,
    pub(super) messages: Vec<Message<'a>>,
}

#[derive(Serialize)]
pub(super) struct Message<'a> {
    role: &'static str,
    content: Vec<Block<'a>>,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
pub(super) enum System<'a> {
    Text(&'a str),
    CachePoint(CachePoint<'a>),
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
pub(super) enum Block<'a> {
    Text(&'a str),
    Image(Media<'a>),
    Audio(Media<'a>),
    Document(Document<'a>),
    ToolUse(ToolUse<'a>),
    ToolResult(Result<'a>),
    ReasoningContent(Reasoning<'a>),
    CachePoint(CachePoint<'a>),
}

#[derive(Serialize)]
pub(super) struct CachePoint<'a> {
    r#type: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    ttl: Option<&'a str>,
}

impl<'a> CachePoint<'a> {
    pub(super) fn new(cache: &'a CacheControl) -> Self {
        Self {
            r#type: "default",
            ttl: cache.ttl.as_deref(),
        }
    }
}

#[derive(Serialize)]
pub(super) struct Media<'a> {
    format: &'static str,
    source: MediaSource<'a>,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
enum MediaSource<'a> {
    /// Base64.
    Bytes(&'a str),
    S3Location {
        uri: &'a str,
    },
    Text(&'a str),
}

#[derive(Serialize)]
pub(super) struct Document<'a> {
    format: &'static str,
    name: String,
    source: MediaSource<'a>,
    #[serde(skip_serializing_if = "Option::is_none")]
    citations: Option<CitationsConfig>,
}

#[derive(Serialize)]
struct CitationsConfig {
    enabled: bool,
}

#[derive(Serialize)]
pub(super) struct ToolUse<'a> {
    #[serde(rename = "toolUseId")]
    id: Cow<'a, str>,
    name: &'a str,
    input: &'a RawValue,
}

#[derive(Serialize)]
pub(super) struct Result<'a> {
    #[serde(rename = "toolUseId")]
    id: Cow<'a, str>,
    content: Vec<Block<'a>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    status: Option<&'static str>,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
pub(super) enum Reasoning<'a> {
    ReasoningText {
        text: &'a str,
        signature: &'a str,
    },
    /// Base64.
    RedactedContent(&'a str),
}

struct Walk<'r> {
    report: &'r mut Report,
    /// Converse refuses two documents of one name.
    names: HashSet<String>,
}

pub(super) fn write<'a>(request: &'a Request, report: &mut Report) -> Messages<'a> {
    let mut system = Vec::new();
    let mut messages: Vec<Message<'a>> = Vec::new();
    let mut walk = Walk {
        report,
        names: HashSet::new(),
    };
    for message in &request.messages {
        if let Some(name) = &message.name {
            walk.report.add(format!("{}.{}", message.at, name.field));
        }
        let role = match message.role {
            Role::System | Role::Developer => {
                if !messages.is_empty() {
                    walk.report.add(message.at.clone());
                }
                walk.system(message, &mut system);
                continue;
            }
            Role::User => "user",
            Role::Assistant => "assistant",
        };
        let mut content = Vec::with_capacity(message.parts.len());
        // Results stand in front, since they answer the calls before. Their order stays, and so does that of the rest.
        let (results, others): (Vec<&Part>, Vec<&Part>) =
            (message.parts.iter()).partition(|part| matches!(part.kind, PartKind::ToolResult(_)));
        for part in results.into_iter().chain(others) {
            content.extend(walk.block(part));
            if let Some(cache) = marked(part) {
                content.push(Block::CachePoint(CachePoint::new(cache)));
            }
        }
        match messages.last_mut() {
            _ if content.is_empty() => {}
            Some(last) if last.role == role => last.content.extend(content),
            _ => messages.push(Message { role, content }),
        }
    }
    Messages { system, messages }
}

/// The cache mark of a part, or of a piece of a result, which has no place for one inside.
fn marked(part: &Part) -> Option<&CacheControl> {
    part.cache.as_ref().or_else(|| match &part.kind {
        PartKind::ToolResult(result) => result.parts.iter().find_map(|piece| piece.cache.as_ref()),
        _ => None,
    })
}

impl Walk<'_> {
    fn system<'a>(&mut self, message: &'a conversation::Message, system: &mut Vec<System<'a>>) {
        for part in &message.parts {
            match &part.kind {
                PartKind::Text { text, .. } if is_blank(text) => {}
                PartKind::Text { text, .. } => system.push(System::Text(text)),
                _ => self.report.add(part.at.clone()),
            }
            if let Some(cache) = &part.cache {
                system.push(System::CachePoint(CachePoint::new(cache)));
            }
        }
    }

    fn block<'a>(&mut self, part: &'a Part) -> Option<Block<'a>> {
        let block = match &part.kind {
            PartKind::Text { text, .. } | PartKind::Refusal { text } if is_blank(text) => return None,
            PartKind::Text { text, .. } | PartKind::Refusal { text } => Some(Block::Text(text)),
            PartKind::Image { source, detail } => {
                if let Some(detail) = detail.as_ref().filter(|detail| detail.value != "auto") {
                    self.report.add(format!("{}.{}", part.at, detail.field));
                }
                media(source, image_format).map(Block::Image)
            }
            PartKind::Audio { source } => media(source, audio_format).map(Block::Audio),
            PartKind::Document {
                source,
                name,
                citations,
            } => self.document(source, name.as_deref(), *citations).map(Block::Document),
            PartKind::ToolCall(call) => tool_use(call).map(Block::ToolUse),
            PartKind::ToolResult(result) => Some(Block::ToolResult(self.result(result))),
            PartKind::Thinking { text, signature } => {
                let signature = signature.as_deref().filter(|signature| !is_of_gemini(signature))?;
                Some(Block::ReasoningContent(Reasoning::ReasoningText { text, signature }))
            }
            PartKind::RedactedThinking { data } => Some(Block::ReasoningContent(Reasoning::RedactedContent(data))),
        };
        if block.is_none() {
            self.report.add(part.at.clone());
        }
        block
    }

    fn result<'a>(&mut self, result: &'a ToolResult) -> Result<'a> {
        let mut content = Vec::with_capacity(result.parts.len());
        for piece in &result.parts {
            match &piece.kind {
                PartKind::Text { .. } | PartKind::Image { .. } | PartKind::Document { .. } => {
                    content.extend(self.block(piece));
                }
                _ => self.report.add(piece.at.clone()),
            }
        }
        Result {
            id: ids::acceptable(&result.id),
            content,
            status: result.is_error.map(|failed| if failed { "error" } else { "success" }),
        }
    }

    fn document<'a>(&mut self, source: &'a Source, name: Option<&str>, citations: bool) -> Option<Document<'a>> {
        let (format, source) = match source {
            Source::Text(text) => ("txt", MediaSource::Text(text)),
            other => {
                let Media { format, source } = media(other, document_format)?;
                (format, source)
            }
        };
        Some(Document {
            format,
            name: self.unique(&document_name(name.unwrap_or_default())),
            source,
            citations: citations.then_some(CitationsConfig { enabled: true }),
        })
    }

    fn unique(&mut self, name: &str) -> String {
        let name = if name.is_empty() { "document" } else { name };
        let mut unique = name.to_owned();
        let mut n = self.names.len() + 1;
        while !self.names.insert(unique.clone()) {
            unique = format!("{name} {n}");
            n += 1;
        }
        unique
    }
}

/// Converse refuses text of white space alone.
fn is_blank(text: &str) -> bool {
    text.trim().is_empty()
}

fn tool_use(call: &ToolCall) -> Option<ToolUse<'_>> {
    Some(ToolUse {
        id: ids::acceptable(&call.id),
        name: &call.name,
        input: media::arguments(&call.arguments)?,
    })
}

/// Media with the format that Converse knows for its type; `None` for other types and for places it does not fetch from.
fn media(source: &Source, format_of: fn(&str) -> Option<&'static str>) -> Option<Media<'_>> {
    let (media_type, source) = match source {
        Source::Inline(media) => (media.media_type.as_str(), MediaSource::Bytes(&media.base64)),
        Source::Url(uri) | Source::File(uri) if uri.starts_with("s3://") => {
            (media::type_of_path(uri)?, MediaSource::S3Location { uri })
        }
        Source::Url(_) | Source::File(_) | Source::Text(_) => return None,
    };
    Some(Media {
        format: format_of(media_type)?,
        source,
    })
}

fn image_format(media_type: &str) -> Option<&'static str> {
    Some(match media::extension_of_type(media_type)? {
        "png" => "png",
        "jpg" => "jpeg",
        "gif" => "gif",
        "webp" => "webp",
        _ => return None,
    })
}

fn audio_format(media_type: &str) -> Option<&'static str> {
    media::extension_of_type(media_type)
        .filter(|extension| ["wav", "mp3", "flac", "ogg", "aac", "m4a", "mp4", "webm"].contains(extension))
}

fn document_format(media_type: &str) -> Option<&'static str> {
    media::extension_of_type(media_type)
        .filter(|extension| ["pdf", "csv", "doc", "docx", "xls", "xlsx", "html", "txt", "md"].contains(extension))
}

/// Converse takes letters, digits, single spaces, hyphens, parentheses and brackets, up to 200 of them.
fn document_name(name: &str) -> Cow<'_, str> {
    const LONGEST: usize = 180;
    let fits = |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '(' | ')' | '[' | ']');
    if name.len() <= LONGEST && name.chars().all(fits) {
        return Cow::Borrowed(name);
    }
    let mut kept = String::new();
    for c in name.chars().take(LONGEST) {
        if fits(c) {
            kept.push(c);
        } else if !kept.is_empty() && !kept.ends_with(' ') {
            kept.push(' ');
        }
    }
    Cow::Owned(kept.trim_end().to_owned())
}

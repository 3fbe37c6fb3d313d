//! What was said so far.

use std::collections::HashMap;

use base64::Engine as _;
use serde::Serialize;
use serde_json::value::RawValue;

use super::{config, signature};
use crate::conversation::{Message, Part, PartKind, Report, Request, Role, Source, ToolCall, ToolResult};
use crate::dialect::Target;
use crate::dialect::media;

pub(super) struct Contents<'a> {
    pub(super) system: Option<Content<'a>>,
    pub(super) contents: Vec<Content<'a>>,
}

#[derive(Serialize)]
pub(super) struct Content<'a> {
    #[serde(skip_serializing_if = "Option::is_none")]
    role: Option<&'static str>,
    parts: Vec<WirePart<'a>>,
}

#[derive(Default, Serialize)]
#[serde(rename_all = "camelCase")]
struct WirePart<'a> {
    #[serde(skip_serializing_if = "Option::is_none")]
    text: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    thought: Option<bool>,
    #[serde(skip_serializing_if = "Option::is_none")]
    inline_data: Option<InlineData<'a>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    file_data: Option<FileData<'a>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    function_call: Option<FunctionCall<'a>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    function_response: Option<FunctionResponse<'a>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    thought_signature: Option<&'a str>,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct InlineData<'a> {
    mime_type: &'a str,
    data: std::borrow::Cow<'a, str>,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct FileData<'a> {
    /// Left out where it cannot be known: the API itself knows the files that were uploaded to it.
    #[serde(skip_serializing_if = "Option::is_none")]
    mime_type: Option<&'static str>,
    file_uri: &'a str,
}

#[derive(Serialize)]
struct FunctionCall<'a> {
    #[serde(skip_serializing_if = "str::is_empty")]
    id: &'a str,
    name: &'a str,
    args: &'a RawValue,
}

#[derive(Serialize)]
struct FunctionResponse<'a> {
    #[serde(skip_serializing_if = "str::is_empty")]
    id: &'a str,
    name: &'a str,
    response: Response,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    parts: Vec<WirePart<'a>>,
}

/// Google reads these two names as what a function gave and as how it failed. The text stays one string even where it is
/// JSON, since references such as `$ref` in an object would be read as such.
#[derive(Serialize)]
#[serde(rename_all = "lowercase")]
enum Response {
    Output(String),
    Error(String),
}

/// What is known of the messages so far.
struct Walk<'a, 'r> {
    report: &'r mut Report,
    /// The names of the calls so far; where an id comes again, the latest.
    calls: HashMap<&'a str, &'a str>,
    /// The model refuses calls without a signature.
    signs_calls: bool,
}

pub(super) fn write<'a>(request: &'a Request, target: &Target<'_>, report: &mut Report) -> Contents<'a> {
    let mut system = Vec::new();
    let mut contents: Vec<Content<'a>> = Vec::new();
    let mut walk = Walk {
        report,
        calls: HashMap::new(),
        signs_calls: config::generation(target.model) >= 3,
    };
    for message in &request.messages {
        if let Some(name) = &message.name {
            walk.report.add(format!("{}.{}", message.at, name.field));
        }
        let parts = walk.message(message);
        if parts.is_empty() {
            continue;
        }
        let role = match message.role {
            Role::System | Role::Developer => {
                if !contents.is_empty() {
                    walk.report.add(message.at.clone());
                }
                system.extend(parts);
                continue;
            }
            Role::User => "user",
            Role::Assistant => "model",
        };
        match contents.last_mut() {
            Some(last) if last.role == Some(role) => last.parts.extend(parts),
            _ => contents.push(Content {
                role: Some(role),
                parts,
            }),
        }
    }
    for content in &mut contents {
        // Results stand behind the calls that they are for. Stable: they keep their order, and so does the rest.
        if content.role == Some("user") {
            content.parts.sort_by_key(|part| part.function_response.is_none());
        }
    }
    Contents {
        system: (!system.is_empty()).then_some(Content {
            role: None,
            parts: system,
        }),
        contents,
    }
}

impl<'a> Walk<'a, '_> {
    fn message(&mut self, message: &'a Message) -> Vec<WirePart<'a>> {
        let mut parts: Vec<WirePart<'a>> = message.parts.iter().filter_map(|part| self.part(part)).collect();
        let calls = parts.iter_mut().find(|part| part.function_call.is_some());
        if let Some(first) = calls
            && self.signs_calls
            && first.thought_signature.is_none()
        {
            first.thought_signature = Some(signature::OF_ANOTHER_MODEL);
        }
        parts
    }

    fn part(&mut self, part: &'a Part) -> Option<WirePart<'a>> {
        match &part.kind {
            PartKind::Text { text, .. } | PartKind::Refusal { text } => {
                // The API refuses parts that hold nothing.
                (!text.is_empty()).then(|| WirePart {
                    text: Some(text),
                    ..WirePart::default()
                })
            }
            PartKind::Image { source, detail } => {
                if let Some(detail) = detail.as_ref().filter(|detail| detail.value != "auto") {
                    self.report.add(format!("{}.{}", part.at, detail.field));
                }
                Some(media_part(source))
            }
            PartKind::Document { source, citations, .. } => {
                if *citations {
                    self.report.add(format!("{}.citations", part.at));
                }
                Some(media_part(source))
            }
            PartKind::Audio { source } => Some(media_part(source)),
            PartKind::ToolCall(call) => self.call(call, part),
            PartKind::ToolResult(result) => self.result(result, part),
            PartKind::Thinking { text, signature } => thought(text, signature.as_deref()),
            // Gemini gives none of these, so another provider did.
            PartKind::RedactedThinking { .. } => None,
        }
    }

    fn call(&mut self, call: &'a ToolCall, part: &Part) -> Option<WirePart<'a>> {
        self.calls.insert(&call.id, &call.name);
        let Some(args) = media::arguments(&call.arguments) else {
            self.report.add(part.at.clone());
            return None;
        };
        Some(WirePart {
            function_call: Some(FunctionCall {
                id: &call.id,
                name: &call.name,
                args,
            }),
            thought_signature: call.signature.as_deref(),
            ..WirePart::default()
        })
    }

    fn result(&mut self, result: &'a ToolResult, part: &Part) -> Option<WirePart<'a>> {
        let Some(name) = self.calls.get(result.id.as_str()).copied() else {
            self.report.add(part.at.clone());
            return None;
        };
        let mut text = String::new();
        let mut parts = Vec::new();
        for piece in &result.parts {
            match &piece.kind {
                PartKind::Text { text: more, .. } => {
                    if !text.is_empty() {
                        text.push('\n');
                    }
                    text.push_str(more);
                }
                PartKind::Image { source, .. } | PartKind::Document { source, .. } | PartKind::Audio { source } => {
                    parts.push(media_part(source));
                }
                _ => self.report.add(piece.at.clone()),
            }
        }
        let response = if result.is_error == Some(true) {
            Response::Error(text)
        } else {
            Response::Output(text)
        };
        Some(WirePart {
            function_response: Some(FunctionResponse {
                id: &result.id,
                name,
                response,
                parts,
            }),
            ..WirePart::default()
        })
    }
}

/// A thought that Gemini signed goes back to it. All others are notes of a turn that is over: Gemini does not ask for
/// them, and other providers' are of no use to it.
fn thought<'a>(text: &'a str, given: Option<&'a str>) -> Option<WirePart<'a>> {
    let signature = given.and_then(signature::own)?;
    Some(WirePart {
        text: Some(text),
        // The signature of a text comes back as an empty text that carries it.
        thought: (!text.is_empty()).then_some(true),
        thought_signature: Some(signature),
        ..WirePart::default()
    })
}

fn media_part(source: &Source) -> WirePart<'_> {
    match source {
        Source::Inline(media) => WirePart {
            inline_data: Some(InlineData {
                mime_type: &media.media_type,
                data: media.base64.as_str().into(),
            }),
            ..WirePart::default()
        },
        Source::Url(uri) | Source::File(uri) => WirePart {
            file_data: Some(FileData {
                mime_type: media::type_of_path(uri),
                file_uri: uri,
            }),
            ..WirePart::default()
        },
        Source::Text(text) => WirePart {
            inline_data: Some(InlineData {
                mime_type: "text/plain",
                data: base64::engine::general_purpose::STANDARD.encode(text).into(),
            }),
            ..WirePart::default()
        },
    }
}

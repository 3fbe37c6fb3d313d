//! Answers in one piece.

use std::collections::BTreeMap;

use super::sources::{self, Found};
use super::wire::{Candidate, Part as WirePart, Reply};
use super::{Gemini, logprobs, signature};
use crate::conversation::{Answer, Choice, Finish, Media, Part, PartKind, Source, ToolCall};
use crate::dialect::{AnswerError, ProviderWire as _};

pub(super) fn read(body: &[u8]) -> Result<Answer, AnswerError> {
    let response: Reply<'_> = serde_json::from_slice(body).map_err(|error| malformed(error.to_string()))?;
    let mut choices = BTreeMap::new();
    for candidate in &response.candidates {
        choices.insert(candidate.index, choice(candidate, response.response_id.as_deref())?);
    }
    let mut choices: Vec<Choice> = choices.into_values().collect();
    if choices.is_empty() {
        if blocked(&response).is_none() {
            return Err(malformed("it has no candidates".to_owned()));
        }
        choices.push(Choice {
            finish: Finish::ContentFilter,
            ..Choice::default()
        });
    }
    Ok(Answer {
        id: response.response_id.unwrap_or_default(),
        model: response.model_version.unwrap_or_default(),
        created: None,
        choices,
        usage: response.usage_metadata.map(|usage| usage.read()).unwrap_or_default(),
    })
}

fn malformed(why: String) -> AnswerError {
    AnswerError::Malformed {
        wire: Gemini::NAME,
        why,
    }
}

/// Why the prompt was not answered at all.
pub(super) fn blocked<'a>(response: &'a Reply<'_>) -> Option<&'a str> {
    response.prompt_feedback.as_ref()?.block_reason.as_deref()
}

fn choice(candidate: &Candidate<'_>, response_id: Option<&str>) -> Result<Choice, AnswerError> {
    let mut parts = Vec::new();
    let mut calls = 0;
    for part in candidate.content.iter().flat_map(|content| &content.parts) {
        add(&mut parts, part, candidate.index, &mut calls, response_id);
    }
    cite(&mut parts, &sources::of(candidate));
    let finish = match candidate.finish_reason.as_deref() {
        Some(reason) => finish(reason, calls > 0).map_err(malformed)?,
        None if calls > 0 => Finish::ToolCalls,
        None => Finish::Stop,
    };
    Ok(Choice {
        parts,
        finish,
        logprobs: candidate.logprobs_result.and_then(logprobs::read),
    })
}

/// Adds a part; text joins the text before it, since Gemini cuts where it likes.
fn add(parts: &mut Vec<Part>, part: &WirePart<'_>, choice: u32, calls: &mut u32, response_id: Option<&str>) {
    if let Some(call) = &part.function_call {
        *calls += 1;
        let kind = PartKind::ToolCall(ToolCall {
            id: call_id(call.id.as_deref(), response_id, choice, *calls),
            name: call.name.clone(),
            arguments: call.args.map_or_else(String::new, |args| args.get().to_owned()),
            signature: part.thought_signature.clone(),
        });
        parts.push(Part::new(kind, ""));
        return;
    }
    let marked = part.thought_signature.as_deref().map(signature::mark);
    if let Some(data) = &part.inline_data {
        parts.push(Part::new(inline(&data.mime_type, &data.data), ""));
    }
    let text = part.text.as_deref().unwrap_or_default();
    if part.thought {
        match parts.last_mut().map(|last| &mut last.kind) {
            Some(PartKind::Thinking {
                text: before,
                signature,
            }) if signature.is_none() && !before.is_empty() => {
                before.push_str(text);
                *signature = marked;
            }
            _ => parts.push(thinking(text, marked)),
        }
        return;
    }
    if !text.is_empty() {
        match parts.last_mut().map(|last| &mut last.kind) {
            Some(PartKind::Text { text: before, .. }) => before.push_str(text),
            _ => parts.push(Part::text(text, "")),
        }
    }
    if marked.is_some() {
        parts.push(thinking("", marked));
    }
}

fn thinking(text: &str, signature: Option<String>) -> Part {
    let kind = PartKind::Thinking {
        text: text.to_owned(),
        signature,
    };
    Part::new(kind, "")
}

fn inline(media_type: &str, base64: &str) -> PartKind {
    let source = Source::Inline(Media {
        media_type: media_type.to_owned(),
        base64: base64.to_owned(),
    });
    if media_type.starts_with("audio/") {
        PartKind::Audio { source }
    } else {
        PartKind::Image { source, detail: None }
    }
}

/// The id that ties a result to its call: the provider's, else one that is unique by the answer and the place.
pub(super) fn call_id(given: Option<&str>, response_id: Option<&str>, choice: u32, call: u32) -> String {
    /// Other dialects allow 40 characters in all.
    const OF_RESPONSE: usize = 24;
    match given {
        Some(id) if !id.is_empty() => id.to_owned(),
        _ => {
            let plain = response_id.unwrap_or_default().chars();
            let response: String = plain
                .filter(|c| c.is_ascii_alphanumeric() || matches!(c, '-' | '_'))
                .take(OF_RESPONSE)
                .collect();
            format!("call_{response}_{choice}_{call}")
        }
    }
}

/// Why it ended; an error says what the model did wrong, so that there is no answer.
pub(super) fn finish(reason: &str, called: bool) -> Result<Finish, String> {
    Ok(match reason {
        "MAX_TOKENS" | "CONTINUATION" => Finish::Length,
        "SAFETY"
        | "RECITATION"
        | "LANGUAGE"
        | "BLOCKLIST"
        | "PROHIBITED_CONTENT"
        | "SPII"
        | "IMAGE_SAFETY"
        | "IMAGE_PROHIBITED_CONTENT"
        | "IMAGE_RECITATION"
        | "MODEL_ARMOR"
        | "ESCALATION"
        | "PUP_LIMITED_DISABLED" => Finish::ContentFilter,
        "MALFORMED_FUNCTION_CALL"
        | "UNEXPECTED_TOOL_CALL"
        | "TOO_MANY_TOOL_CALLS"
        | "MISSING_THOUGHT_SIGNATURE"
        | "MALFORMED_RESPONSE" => {
            return Err(format!("the model ended with {reason}"));
        }
        // STOP also stands for a stop text that was met and for calls; OTHER and what is new tell no more than the end.
        _ if called => Finish::ToolCalls,
        _ => Finish::Stop,
    })
}

/// Puts each source on the text part that it stands in. Places count in bytes over all text of the answer.
fn cite(parts: &mut [Part], found: &[Found]) {
    for source in found {
        let mut before = 0;
        let mut texts = parts.iter_mut().filter_map(|part| match &mut part.kind {
            PartKind::Text { text, citations } => Some((text, citations)),
            _ => None,
        });
        let Some(mut chosen) = texts.next() else {
            return;
        };
        if let Some((start, _)) = source.range {
            for next in texts {
                let end = before + chosen.0.len() as u64;
                if start < end {
                    break;
                }
                before = end;
                chosen = next;
            }
        }
        let (text, citations) = chosen;
        let range = source.range.and_then(|(start, end)| {
            let place = |byte: u64| sources::characters(text, byte.saturating_sub(before));
            Some((place(start)?, place(end)?))
        });
        citations.push(source.citation(range));
    }
}

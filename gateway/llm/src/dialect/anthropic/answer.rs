//! Whole answers, both ways.

use std::borrow::Cow;

use serde::Serialize;

use super::DISPLAY;
use super::blocks::{Block, Input};
use super::ids;
use super::usage::WireUsage;
use crate::conversation::{Answer, Choice, Citation, Finish, Part, PartKind, ToolCall};
use crate::dialect::json::{View, encode};
use crate::dialect::openai_chat::model_of;
use crate::dialect::{AnswerError, Context};
use crate::response::MessageUsage;
use crate::tokens;

/// The dialect's name.
pub(super) const NAME: &str = "Anthropic Messages";

#[derive(Serialize)]
pub(super) struct Message<'a> {
    pub(super) id: Cow<'a, str>,
    pub(super) r#type: &'static str,
    pub(super) role: &'static str,
    pub(super) model: &'a str,
    pub(super) content: Vec<Block<'a>>,
    pub(super) stop_reason: Option<&'static str>,
    pub(super) stop_sequence: Option<&'a str>,
    pub(super) usage: WireUsage,
}

/// Writes a whole answer. The dialect has one choice; more cannot have been asked for.
pub(super) fn write(answer: &Answer, context: &Context) -> Vec<u8> {
    let none = Choice::default();
    let hidden = hides_thoughts(context);
    let choice = answer.choices.first().unwrap_or(&none);
    let refused = choice
        .parts
        .iter()
        .any(|part| matches!(part.kind, PartKind::Refusal { .. }));
    let (stop_reason, stop_sequence) = stop_reason(&choice.finish, refused);
    let mut usage = WireUsage::from(&answer.usage);
    usage.input_tokens = usage.input_tokens.or_else(|| Some(input_estimate(context)));
    usage.output_tokens = usage.output_tokens.or_else(|| Some(output_estimate(&choice.parts)));
    encode(&Message {
        id: message_id(&answer.id, context),
        r#type: "message",
        role: "assistant",
        model: model_of(&answer.model, context),
        content: choice.parts.iter().filter_map(|part| block(part, hidden)).collect(),
        stop_reason: Some(stop_reason),
        stop_sequence,
        usage,
    })
}

/// The id of an answer, in the form that clients know.
pub(super) fn message_id<'a>(id: &'a str, context: &'a Context) -> Cow<'a, str> {
    let id = if id.is_empty() { &*context.id } else { id };
    if id.starts_with("msg_") {
        Cow::Borrowed(id)
    } else {
        Cow::Owned(format!("msg_{id}"))
    }
}

/// The dialect demands a count of the input from the first event on. Where the provider has not told one yet, or never
/// does, this estimate stands there.
pub(super) fn input_estimate(context: &Context) -> u64 {
    tokens::estimate_input(&context.request)
}

fn output_estimate(parts: &[Part]) -> u64 {
    (parts.iter())
        .map(|part| match &part.kind {
            PartKind::Text { text, .. } | PartKind::Thinking { text, .. } | PartKind::Refusal { text } => {
                tokens::estimate(text)
            }
            PartKind::ToolCall(call) => tokens::estimate(&call.name) + tokens::estimate(&call.arguments),
            _ => 0,
        })
        .sum()
}

/// Whether the client asked for thoughts without their text. Their proofs it gets, to send them back.
pub(super) fn hides_thoughts(context: &Context) -> bool {
    context.request.echo.iter().any(|kept| &*kept.field == DISPLAY)
}

/// A part of an answer; `None` for text that is empty, which the dialect would refuse when it comes back, and for a
/// thought of which nothing is left.
fn block(part: &Part, hidden: bool) -> Option<Block<'_>> {
    match &part.kind {
        PartKind::Text { text, citations } => (!text.is_empty()).then(|| Block::Text {
            text,
            citations: citations.iter().map(Into::into).collect(),
            cache_control: None,
        }),
        PartKind::Refusal { text } => (!text.is_empty()).then(|| Block::text(text)),
        PartKind::Thinking { signature: None, .. } if hidden => None,
        PartKind::Thinking { signature, .. } if hidden => Some(Block::Thinking {
            thinking: "",
            signature: signature.as_deref().unwrap_or_default(),
        }),
        PartKind::Thinking { text, signature } => Some(Block::Thinking {
            thinking: text,
            signature: signature.as_deref().unwrap_or_default(),
        }),
        PartKind::RedactedThinking { data } => Some(Block::RedactedThinking { data }),
        PartKind::ToolCall(call) => Some(Block::ToolUse {
            id: ids::with_signature(&call.id, call.signature.as_deref()),
            name: &call.name,
            input: Input::of(&call.arguments),
            cache_control: None,
        }),
        // Models that answer with media are asked for it with fields that the dialect does not have.
        PartKind::Image { .. } | PartKind::Document { .. } | PartKind::Audio { .. } | PartKind::ToolResult(_) => None,
    }
}

/// Why an answer ended, and the stop text. A model that refused in a part of its own has refused, whatever its provider
/// says about the end.
pub(super) fn stop_reason(finish: &Finish, refused: bool) -> (&'static str, Option<&str>) {
    match finish {
        Finish::Stop if refused => ("refusal", None),
        Finish::Stop => ("end_turn", None),
        Finish::StopSequence(text) => ("stop_sequence", text.as_deref()),
        Finish::Length => ("max_tokens", None),
        Finish::ContextFull => ("model_context_window_exceeded", None),
        Finish::ToolCalls => ("tool_use", None),
        Finish::ContentFilter | Finish::Refusal => ("refusal", None),
        Finish::Pause => ("pause_turn", None),
    }
}

/// Reads a whole answer.
pub(super) fn read(body: &[u8]) -> Result<Answer, AnswerError> {
    let malformed = |why: &str| AnswerError::Malformed {
        wire: NAME,
        why: why.to_owned(),
    };
    let view = View::parse(body).ok_or_else(|| malformed("it is not a JSON object"))?;
    if view
        .raw("content")
        .is_none_or(|content| !content.get().starts_with('['))
    {
        return Err(malformed("it has no content"));
    }
    let mut parts: Vec<Part> = view.views("content").filter_map(|block| part(&block)).collect();
    parts.extend(explanation(&view).map(|text| Part::new(PartKind::Refusal { text }, "")));
    let calls = parts.iter().any(|part| matches!(part.kind, PartKind::ToolCall(_)));
    Ok(Answer {
        id: view.text("id").unwrap_or_default(),
        model: view.text("model").unwrap_or_default(),
        created: None,
        choices: vec![Choice {
            parts,
            finish: finish(&view, calls),
            logprobs: None,
        }],
        usage: usage(&view).and_then(|usage| usage.read()).unwrap_or_default(),
    })
}

/// The counts of a message or of an event.
pub(super) fn usage(view: &View<'_>) -> Option<MessageUsage> {
    serde_json::from_str(view.raw("usage")?.get()).ok()
}

/// Why an answer was refused, in the provider's words.
pub(super) fn explanation(view: &View<'_>) -> Option<String> {
    let details = view.view("stop_details")?;
    (details.text("type").as_deref() == Some("refusal"))
        .then(|| details.filled("explanation"))
        .flatten()
}

/// Why an answer ended. One that calls functions waits for them, also where a server that is not Anthropic's says only
/// that the turn is over.
pub(super) fn finish(view: &View<'_>, calls: bool) -> Finish {
    match view.text("stop_reason").as_deref() {
        Some("max_tokens") => Finish::Length,
        Some("tool_use") => Finish::ToolCalls,
        Some("pause_turn") => Finish::Pause,
        Some("refusal") => Finish::Refusal,
        Some("model_context_window_exceeded") => Finish::ContextFull,
        _ if calls => Finish::ToolCalls,
        Some("stop_sequence") => Finish::StopSequence(view.text("stop_sequence")),
        // `end_turn`, and what Anthropic may add.
        _ => Finish::Stop,
    }
}

/// A block of an answer; `None` for those of tools that Anthropic runs, which other dialects cannot ask for.
fn part(block: &View<'_>) -> Option<Part> {
    let kind = match block.text("type")?.as_str() {
        "text" => PartKind::Text {
            text: block.text("text").unwrap_or_default(),
            citations: block.list("citations").into_iter().filter_map(citation).collect(),
        },
        "thinking" => PartKind::Thinking {
            text: block.text("thinking").unwrap_or_default(),
            signature: block.filled("signature"),
        },
        "redacted_thinking" => PartKind::RedactedThinking {
            data: block.text("data")?,
        },
        "tool_use" => PartKind::ToolCall(ToolCall {
            id: block.text("id").unwrap_or_default(),
            name: block.text("name").unwrap_or_default(),
            arguments: block
                .raw("input")
                .map(|input| input.get().to_owned())
                .unwrap_or_default(),
            signature: None,
        }),
        _ => return None,
    };
    Some(Part::new(kind, ""))
}

/// A source of a text.
pub(super) fn citation(raw: &serde_json::value::RawValue) -> Option<Citation> {
    let view = View::of(raw)?;
    if view.text("type")? != "web_search_result_location" {
        return Some(Citation::Document(raw.to_owned()));
    }
    Some(Citation::Url {
        url: view.text("url")?,
        title: view.text("title"),
        range: None,
        cited_text: view.filled("cited_text"),
    })
}

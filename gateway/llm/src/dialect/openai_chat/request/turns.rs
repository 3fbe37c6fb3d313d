//! Writes the messages of a request for a provider.
//!
//! The API wants the results of calls right behind the message that makes them, each as a message of its own that holds
//! text alone, and all calls of one turn in one message. Other dialects are freer, so messages are taken in runs of one
//! speaker: what the model said in several messages becomes one, and of the user's messages the results go first.

use std::borrow::Cow;

use serde::Serialize;

use super::media::{self, WirePart};
use super::write::instructor;
use crate::conversation::{Message, Part, PartKind, Report, Role, ToolCall, ToolResult};
use crate::dialect::ChatFlavor;
use crate::dialect::openai_chat::answer::or_none;
use crate::dialect::openai_chat::thoughts::CallExtra;

#[derive(Debug, Serialize)]
pub(super) struct WireMessage<'a> {
    role: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    name: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    tool_call_id: Option<&'a str>,
    content: Content<'a>,
    #[serde(skip_serializing_if = "Option::is_none")]
    reasoning_content: Option<String>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    tool_calls: Vec<WireCall<'a>>,
}

#[derive(Debug, Serialize)]
#[serde(untagged)]
enum Content<'a> {
    Null,
    Text(Cow<'a, str>),
    Parts(Vec<WirePart<'a>>),
}

#[derive(Debug, Serialize)]
struct WireCall<'a> {
    id: &'a str,
    r#type: &'static str,
    function: WireCalled<'a>,
    #[serde(skip_serializing_if = "Option::is_none")]
    extra_content: Option<CallExtra<'a>>,
}

#[derive(Debug, Serialize)]
struct WireCalled<'a> {
    name: &'a str,
    arguments: &'a str,
}

impl<'a> WireMessage<'a> {
    fn new(role: &'static str, content: Content<'a>) -> Self {
        Self {
            role,
            name: None,
            tool_call_id: None,
            content,
            reasoning_content: None,
            tool_calls: Vec::new(),
        }
    }

    fn named(mut self, message: &'a Message) -> Self {
        self.name = name(message);
        self
    }
}

fn name(message: &Message) -> Option<&str> {
    message.name.as_ref().map(|name| name.value.as_str())
}

impl<'a> Content<'a> {
    /// One text is written as such, which every server takes.
    fn of(mut parts: Vec<WirePart<'a>>) -> Self {
        match parts.pop() {
            None => Self::Text(Cow::Borrowed("")),
            Some(WirePart::Text { text }) if parts.is_empty() => Self::Text(text),
            Some(last) => {
                parts.push(last);
                Self::Parts(parts)
            }
        }
    }
}

/// Writes all messages.
pub(super) fn write<'a>(messages: &'a [Message], flavor: ChatFlavor, report: &mut Report) -> Vec<WireMessage<'a>> {
    let mut out = Vec::with_capacity(messages.len());
    for run in messages.chunk_by(|one, next| in_one_run(one, next, flavor)) {
        match run.first().map(|first| first.role) {
            Some(role @ (Role::System | Role::Developer)) => instructions(run, role, flavor, report, &mut out),
            Some(Role::Assistant) => out.push(assistant(run, flavor, report)),
            Some(Role::User) => user(run, report, &mut out),
            None => {}
        }
    }
    out
}

fn in_one_run(one: &Message, next: &Message, flavor: ChatFlavor) -> bool {
    match (one.role, next.role) {
        (Role::User, Role::User) => true,
        (Role::Assistant, Role::Assistant) => name(one) == name(next),
        // Templates of open models take one message of the system.
        (Role::System | Role::Developer, Role::System | Role::Developer) => {
            flavor == ChatFlavor::Compatible && name(one).is_none() && name(next).is_none()
        }
        _ => false,
    }
}

fn instructions<'a>(
    run: &'a [Message],
    role: Role,
    flavor: ChatFlavor,
    report: &mut Report,
    out: &mut Vec<WireMessage<'a>>,
) {
    let mut texts = Vec::new();
    for part in run.iter().flat_map(|message| &message.parts) {
        match &part.kind {
            PartKind::Text { text, .. } => texts.push(text.as_str()),
            _ => report.add(part.at.clone()),
        }
    }
    let content = if flavor == ChatFlavor::Compatible && texts.len() > 1 {
        Content::Text(texts.join("\n\n").into())
    } else {
        Content::of(texts.into_iter().map(WirePart::text).collect())
    };
    let message = WireMessage::new(instructor(role, flavor), content);
    out.push(run.iter().fold(message, WireMessage::named));
}

fn assistant<'a>(run: &'a [Message], flavor: ChatFlavor, report: &mut Report) -> WireMessage<'a> {
    let compatible = flavor == ChatFlavor::Compatible;
    let mut parts = Vec::new();
    let mut calls = Vec::new();
    let mut thoughts: Vec<&str> = Vec::new();
    for part in run.iter().flat_map(|message| &message.parts) {
        match &part.kind {
            PartKind::Text { text, .. } if text.is_empty() => {}
            PartKind::Text { text, .. } => parts.push(WirePart::text(text)),
            // Compatible servers know no refusals: there it is what the model said.
            PartKind::Refusal { text } if compatible => parts.push(WirePart::text(text)),
            PartKind::Refusal { text } => parts.push(WirePart::Refusal { refusal: text }),
            PartKind::ToolCall(call) => calls.push(write_call(call, compatible)),
            PartKind::Thinking { text, signature: None } if !text.is_empty() => thoughts.push(text),
            // Why these are left out is told where the dialect begins.
            PartKind::Thinking { .. } | PartKind::RedactedThinking { .. } => {}
            _ => report.add(part.at.clone()),
        }
    }
    let behind_calls = compatible && !calls.is_empty() && !thoughts.is_empty();
    let content = if parts.is_empty() && !calls.is_empty() {
        Content::Null
    } else {
        Content::of(parts)
    };
    let mut message = run
        .iter()
        .fold(WireMessage::new("assistant", content), WireMessage::named);
    message.reasoning_content = behind_calls.then(|| thoughts.join("\n"));
    message.tool_calls = calls;
    message
}

fn write_call(call: &ToolCall, compatible: bool) -> WireCall<'_> {
    let signature = call.signature.as_deref().filter(|_| compatible);
    WireCall {
        id: &call.id,
        r#type: "function",
        function: WireCalled {
            name: &call.name,
            arguments: or_none(&call.arguments),
        },
        extra_content: signature.map(CallExtra::new),
    }
}

/// Writes a run of the user's messages: results first, then their media, then what was said beside them.
fn user<'a>(run: &'a [Message], report: &mut Report, out: &mut Vec<WireMessage<'a>>) {
    let mut moved = Vec::new();
    for part in run.iter().flat_map(|message| &message.parts) {
        if let PartKind::ToolResult(result) = &part.kind {
            out.push(write_result(result, &mut moved, report));
        }
    }
    if !moved.is_empty() {
        out.push(WireMessage::new("user", Content::Parts(moved)));
    }
    for message in run {
        let mut results = false;
        let mut parts = Vec::with_capacity(message.parts.len());
        for part in &message.parts {
            if matches!(part.kind, PartKind::ToolResult(_)) {
                results = true;
            } else {
                parts.extend(said(part, report));
            }
        }
        if !parts.is_empty() || !results {
            out.push(WireMessage::new("user", Content::of(parts)).named(message));
        }
    }
}

/// Writes text or media of the user, or reports it.
fn said<'a>(part: &'a Part, report: &mut Report) -> Option<WirePart<'a>> {
    if let PartKind::Document { citations: true, .. } = &part.kind {
        report.add(format!("{}.citations", part.at));
    }
    let written = media::write(&part.kind);
    if written.is_none() {
        report.add(part.at.clone());
    }
    written
}

fn write_result<'a>(result: &'a ToolResult, moved: &mut Vec<WirePart<'a>>, report: &mut Report) -> WireMessage<'a> {
    let mut texts = Vec::new();
    let mut media = Vec::new();
    for part in &result.parts {
        match said(part, report) {
            Some(text @ WirePart::Text { .. }) => texts.push(text),
            Some(other) => media.push(other),
            None => {}
        }
    }
    if !media.is_empty() {
        if texts.is_empty() {
            texts.push(WirePart::text("The result is in the user's next message."));
        }
        moved.push(WirePart::text(format!("Result of the call {}:", result.id)));
        moved.append(&mut media);
    }
    if result.is_error == Some(true) {
        match texts.first_mut() {
            Some(WirePart::Text { text }) => *text = format!("Error: {text}").into(),
            _ => texts.push(WirePart::text("Error")),
        }
    }
    let mut message = WireMessage::new("tool", Content::of(texts));
    message.tool_call_id = Some(&result.id);
    message
}

//! The turns of a conversation and the blocks that they are made of.

use std::collections::HashSet;

use serde_json::value::RawValue;
use tokenweir_llm::tokens::estimate;

use super::super::count::{DOCUMENT, IMAGE, json};
use super::super::fields::{Fields, Item, Mistake};
use super::super::is_base64;
use super::request::{AROUND, is_name, mark};
use crate::answer::{is_own_redacted, signature};
use crate::ask::Ask;

/// What was said so far.
#[derive(Default)]
pub(super) struct Turns {
    /// Calls of the last turn of the assistant that have no result yet.
    open: Vec<String>,
    seen: HashSet<String>,
    /// The text of the user's last message.
    last: String,
    /// The last turn of the assistant calls a function, and does not begin with a thought.
    calls_without_thought: bool,
    /// The conversation ends with words put into the assistant's mouth.
    prefilled: bool,
}

/// What a message's blocks are.
#[derive(Default)]
struct Message {
    text: String,
    calls: Vec<String>,
    /// Something else than a result of a tool has been said.
    other: bool,
    first: Option<String>,
    blocks: usize,
}

impl Turns {
    pub(super) fn read(messages: &Item<'_>, ask: &mut Ask, marks: &mut usize) -> Result<Self, Mistake> {
        let mut turns = Self::default();
        let turns_given = messages.list()?;
        if turns_given.is_empty() {
            return Err(messages.mistake("at least one message is required"));
        }
        let mut previous = None;
        for (number, item) in turns_given.iter().enumerate() {
            let mut fields = item.fields()?;
            let role: String = fields.required("role")?;
            let is_user = match role.as_str() {
                "user" => true,
                "assistant" => false,
                _ => {
                    let why = "Unexpected role. Allowed roles are \"user\" or \"assistant\". The Messages API accepts a \
                               top-level `system` parameter, not \"system\" as an input message role.";
                    return Err(item.mistake(why));
                }
            };
            if number == 0 && !is_user {
                return Err(Mistake::new("messages", "first message must use the \"user\" role"));
            }
            let content = fields.item("content").ok_or_else(|| fields.missing("content"))?;
            fields.finish()?;
            let last = number + 1 == turns_given.len();
            turns.turn(is_user, previous == Some(is_user), last, &content, ask, marks)?;
            previous = Some(is_user);
        }
        turns.settled(messages)?;
        Ok(turns)
    }

    pub(super) fn last_text(&self) -> &str {
        &self.last
    }

    /// With thinking on, the turn that called the tools must begin with its thought.
    pub(super) fn allow_thinking(&self, messages: &Item<'_>) -> Result<(), Mistake> {
        if self.calls_without_thought {
            let why = "Expected `thinking` or `redacted_thinking`, but found `tool_use`. When `thinking` is enabled, a \
                       final `assistant` message must start with a thinking block.";
            return Err(messages.mistake(why));
        }
        if self.prefilled {
            return Err(messages.mistake("prefilling the answer is not supported when thinking is enabled"));
        }
        Ok(())
    }

    /// Every call has its result.
    fn settled(&self, place: &Item<'_>) -> Result<(), Mistake> {
        if self.open.is_empty() {
            return Ok(());
        }
        Err(place.mistake(format!(
            "`tool_use` ids were found without `tool_result` blocks immediately after: {}. Each `tool_use` block must \
             have a corresponding `tool_result` block in the next message.",
            self.open.join(", ")
        )))
    }

    fn turn(
        &mut self,
        is_user: bool,
        again: bool,
        last: bool,
        content: &Item<'_>,
        ask: &mut Ask,
        marks: &mut usize,
    ) -> Result<(), Mistake> {
        if !is_user && !again {
            self.settled(content)?;
        }
        let mut message = Message::default();
        ask.prompt.tokens += AROUND;
        if let Some(text) = content.text() {
            if text.is_empty() && (is_user || !last) {
                return Err(content.mistake(
                    "all messages must have non-empty content except for the optional final assistant message",
                ));
            }
            ask.prompt.add(text.as_bytes(), estimate(&text));
            message.text = text.into_owned();
            message.other = true;
            message.blocks = 1;
        } else {
            for block in content.list()? {
                self.block(is_user, &block, &mut message, ask, marks)?;
            }
        }
        if message.blocks == 0 && (is_user || !last) {
            return Err(content
                .mistake("all messages must have non-empty content except for the optional final assistant message"));
        }
        if is_user {
            // Results come in the message right after the calls, all of them.
            self.settled(content)?;
            self.last = message.text;
            if message.other {
                self.calls_without_thought = false;
            }
            return Ok(());
        }
        if last && message.text.ends_with(char::is_whitespace) {
            return Err(content.mistake("final assistant content cannot end with trailing whitespace"));
        }
        self.prefilled = last;
        self.calls_without_thought =
            !message.calls.is_empty() && !matches!(message.first.as_deref(), Some("thinking" | "redacted_thinking"));
        self.open.extend(message.calls);
        Ok(())
    }

    fn block(
        &mut self,
        is_user: bool,
        item: &Item<'_>,
        message: &mut Message,
        ask: &mut Ask,
        marks: &mut usize,
    ) -> Result<(), Mistake> {
        let mut fields = item.fields()?;
        let kind: String = fields.required("type")?;
        let mut tokens = 0;
        let for_assistant = matches!(kind.as_str(), "tool_use" | "thinking" | "redacted_thinking");
        let for_user = matches!(kind.as_str(), "tool_result" | "image" | "document" | "search_result");
        if (is_user && for_assistant) || (!is_user && for_user) {
            let role = if is_user { "user" } else { "assistant" };
            return Err(item.mistake(format!("`{kind}` blocks are not allowed in `{role}` messages")));
        }
        match kind.as_str() {
            "tool_use" => {
                let id: String = fields.required("id")?;
                let name: String = fields.required("name")?;
                if !is_name(&id, usize::MAX) || !is_name(&name, 128) {
                    return Err(Mistake::new(
                        fields.place("id"),
                        "String should match pattern '^[a-zA-Z0-9_-]+$'",
                    ));
                }
                let input = fields.item("input").ok_or_else(|| fields.missing("input"))?;
                if !input.raw.get().starts_with('{') {
                    return Err(input.mistake("Input should be a valid dictionary"));
                }
                fields.ignore(&["caller"]);
                if !self.seen.insert(id.clone()) {
                    return Err(item.mistake("`tool_use` ids must be unique"));
                }
                tokens += estimate(&name) + json(input.raw);
                message.calls.push(id);
            }
            "tool_result" => tokens += self.result(&mut fields, item, message.other)?,
            "thinking" => {
                let thought: String = fields.required("thinking")?;
                let proof: String = fields.required("signature")?;
                if proof != signature(&thought) {
                    return Err(item.mistake("Invalid `signature` in `thinking` block"));
                }
            }
            "redacted_thinking" => {
                if !is_own_redacted(&fields.required::<String>("data")?) {
                    return Err(item.mistake("Invalid `data` in `redacted_thinking` block"));
                }
            }
            _ => tokens += said(&mut fields, &kind, item, &mut message.text)?,
        }
        message.other |= kind != "tool_result";
        message.first.get_or_insert(kind);
        message.blocks += 1;
        let marked = mark(&mut fields, marks)?;
        fields.finish()?;
        ask.prompt.add(item.raw.get().as_bytes(), tokens);
        if marked {
            ask.prompt.boundary();
        }
        Ok(())
    }

    fn result(&mut self, fields: &mut Fields<'_>, item: &Item<'_>, late: bool) -> Result<u64, Mistake> {
        let id: String = fields.required("tool_use_id")?;
        let Some(at) = self.open.iter().position(|open| *open == id) else {
            return Err(item.mistake(format!(
                "unexpected `tool_use_id` found in `tool_result` blocks: {id}. Each `tool_result` block must have a \
                 corresponding `tool_use` block in the previous message."
            )));
        };
        if late {
            return Err(item.mistake("`tool_result` blocks must come before all other content of their message"));
        }
        self.open.swap_remove(at);
        fields.optional::<bool>("is_error")?;
        let Some(content) = fields.item("content") else {
            return Ok(0);
        };
        if let Some(text) = content.text() {
            return Ok(estimate(&text));
        }
        let mut tokens = 0;
        for part in content.list()? {
            let mut fields = part.fields()?;
            let kind: String = fields.required("type")?;
            tokens += said(&mut fields, &kind, &part, &mut String::new())?;
            mark(&mut fields, &mut 0)?;
            fields.finish()?;
        }
        Ok(tokens)
    }
}

/// Text and media.
fn said(fields: &mut Fields<'_>, kind: &str, item: &Item<'_>, text: &mut String) -> Result<u64, Mistake> {
    match kind {
        "text" => {
            let said: String = fields.required("text")?;
            fields.ignore(&["citations"]);
            if said.is_empty() {
                return Err(item.mistake("text content blocks must be non-empty"));
            }
            text.push_str(&said);
            Ok(estimate(&said))
        }
        "image" => {
            let types = ["image/jpeg", "image/png", "image/gif", "image/webp"];
            source(fields, &["base64", "url", "file"], &types)?;
            Ok(IMAGE)
        }
        "document" => {
            let types = ["application/pdf", "text/plain"];
            fields.ignore(&["citations", "context", "title"]);
            Ok(source(fields, &["base64", "text", "content", "url", "file"], &types)?.unwrap_or(DOCUMENT))
        }
        "search_result" => {
            let content = fields.raw("content").ok_or_else(|| fields.missing("content"))?;
            fields.required::<String>("source")?;
            fields.required::<String>("title")?;
            fields.ignore(&["citations"]);
            Ok(json(content))
        }
        other => Err(item.mistake(format!(
            "Input tag '{other}' found using 'type' does not match any of the expected tags: 'document', 'image', \
             'redacted_thinking', 'search_result', 'text', 'thinking', 'tool_result', 'tool_use'"
        ))),
    }
}

/// Where media is. Gives back the tokens of a text.
fn source(fields: &mut Fields<'_>, kinds: &[&str], types: &[&str]) -> Result<Option<u64>, Mistake> {
    let mut source = fields.object("source")?.ok_or_else(|| fields.missing("source"))?;
    let kind: String = source.required("type")?;
    if !kinds.contains(&kind.as_str()) {
        let why = format!("Input should be one of '{}'", kinds.join("', '"));
        return Err(Mistake::new(source.place("type"), why));
    }
    let mut tokens = None;
    match kind.as_str() {
        "base64" | "text" => {
            let given: String = source.required("media_type")?;
            if !types.contains(&given.as_str()) {
                let why = format!("Input should be '{}'", types.join("' or '"));
                return Err(Mistake::new(source.place("media_type"), why));
            }
            let data: String = source.required("data")?;
            if kind == "text" {
                tokens = Some(estimate(&data));
            } else if !is_base64(&data) {
                return Err(Mistake::new(source.place("data"), "image was not valid base64 data"));
            }
        }
        "url" => {
            let url: String = source.required("url")?;
            if !url.starts_with("https://") {
                return Err(Mistake::new(source.place("url"), "Only HTTPS URLs are supported."));
            }
        }
        "content" => {
            let content: &RawValue = source.raw("content").ok_or_else(|| source.missing("content"))?;
            tokens = Some(json(content));
        }
        _ => {
            source.required::<String>("file_id")?;
        }
    }
    source.finish()?;
    Ok(tokens)
}

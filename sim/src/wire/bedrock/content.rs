//! The turns of a conversation and the blocks that they are made of.

use tokenweir_llm::tokens::estimate;

use super::super::count::{DOCUMENT, IMAGE, PER_MESSAGE, json};
use super::super::fields::{Fields, Item, Mistake};
use super::super::is_base64;
use super::request::{cache_point, is_name};
use crate::answer::{is_own_redacted, signature};
use crate::ask::Ask;

/// What was said so far.
#[derive(Default)]
pub(super) struct Turns {
    /// Calls of the turn before that have no result yet.
    open: Vec<String>,
    /// The text of the user's last message.
    pub(super) last: String,
    pub(super) uses_tools: bool,
}

impl Turns {
    pub(super) fn read(messages: &Item<'_>, ask: &mut Ask) -> Result<Self, Mistake> {
        let mut turns = Self::default();
        let mut previous = None;
        for item in messages.list()? {
            let mut message = item.fields()?;
            let is_user = match message.required::<String>("role")?.as_str() {
                "user" => true,
                "assistant" => false,
                _ => {
                    let why = "Member must satisfy enum value set: [user, assistant]";
                    return Err(Mistake::new(message.place("role"), why));
                }
            };
            if previous.is_none() && !is_user {
                let why = "A conversation must start with a user message. Try again with a conversation that starts with \
                           a user message.";
                return Err(Mistake::new("", why));
            }
            if previous == Some(is_user) {
                let why = "A conversation must alternate between user and assistant roles. Make sure the conversation \
                           alternates between user and assistant roles and try again.";
                return Err(Mistake::new("", why));
            }
            previous = Some(is_user);
            let content = message.item("content").ok_or_else(|| message.missing("content"))?;
            message.finish()?;
            turns.turn(is_user, &content, ask)?;
        }
        if previous.is_none() {
            return Err(messages.mistake("Member must have length greater than or equal to 1"));
        }
        turns.answered(messages)?;
        Ok(turns)
    }

    /// Every call has its result.
    fn answered(&self, place: &Item<'_>) -> Result<(), Mistake> {
        if self.open.is_empty() {
            return Ok(());
        }
        let (at, ids) = (&place.at, self.open.join(", "));
        Err(place.mistake(format!(
            "Expected toolResult blocks at {at} for the following Ids: {ids}"
        )))
    }

    fn turn(&mut self, is_user: bool, content: &Item<'_>, ask: &mut Ask) -> Result<(), Mistake> {
        let mut text = String::new();
        let mut calls = Vec::new();
        let blocks = content.list()?;
        if blocks.is_empty() {
            let why = format!("The content field in the Message object at {} is empty.", content.at);
            return Err(content.mistake(why));
        }
        ask.prompt.tokens += PER_MESSAGE;
        for item in blocks {
            let mut block = item.fields()?;
            let mut point = false;
            let tokens = if let Some(tool) = block.object("toolUse")? {
                self.uses_tools = true;
                call(tool, is_user, &item, &mut calls)?
            } else if let Some(result) = block.object("toolResult")? {
                self.uses_tools = true;
                self.result(result, is_user, &item)?
            } else if let Some(reasoning) = block.object("reasoningContent")? {
                thought(reasoning, is_user, &item)?
            } else if let Some(cache) = block.item("cachePoint") {
                cache_point(&cache)?;
                point = true;
                0
            } else {
                said(&mut block, &item, &mut text)?
            };
            block.finish()?;
            if point {
                ask.prompt.boundary();
            } else {
                ask.prompt.add(item.raw.get().as_bytes(), tokens);
            }
        }
        if is_user {
            self.answered(content)?;
            self.last = text;
        }
        self.open = calls;
        Ok(())
    }

    fn result(&mut self, mut result: Fields<'_>, is_user: bool, item: &Item<'_>) -> Result<u64, Mistake> {
        let id: String = result.required("toolUseId")?;
        let status: Option<String> = result.optional("status")?;
        if status.is_some_and(|status| !matches!(status.as_str(), "success" | "error")) {
            let why = "Member must satisfy enum value set: [success, error]";
            return Err(Mistake::new(result.place("status"), why));
        }
        let Some(at) = self.open.iter().position(|open| *open == id).filter(|_| is_user) else {
            return Err(item.mistake(format!(
                "The number of toolResult blocks at {} exceeds the number of toolUse blocks of previous turn.",
                item.at
            )));
        };
        self.open.swap_remove(at);
        let mut tokens = 0;
        for part in result.list("content")? {
            let mut block = part.fields()?;
            tokens += match block.item("json") {
                Some(value) => json(value.raw),
                None => said(&mut block, &part, &mut String::new())?,
            };
            block.finish()?;
        }
        result.finish()?;
        Ok(tokens)
    }
}

fn call(mut call: Fields<'_>, is_user: bool, item: &Item<'_>, calls: &mut Vec<String>) -> Result<u64, Mistake> {
    let id: String = call.required("toolUseId")?;
    let name: String = call.required("name")?;
    if is_user {
        return Err(item.mistake("toolUse blocks belong to the assistant's messages"));
    }
    if !is_name(&id) || !is_name(&name) {
        let why = "Member must satisfy regular expression pattern: [a-zA-Z0-9_-]+";
        return Err(Mistake::new(call.place("toolUseId"), why));
    }
    let input = call.item("input").ok_or_else(|| call.missing("input"))?;
    if !input.raw.get().starts_with('{') {
        let at = &input.at;
        let why =
            format!("The format of the value at {at} is invalid. Provide a json object for the field and try again.");
        return Err(input.mistake(why));
    }
    call.finish()?;
    calls.push(id);
    Ok(estimate(&name) + json(input.raw))
}

fn thought(mut reasoning: Fields<'_>, is_user: bool, item: &Item<'_>) -> Result<u64, Mistake> {
    if is_user {
        return Err(item.mistake("reasoningContent blocks belong to the assistant's messages"));
    }
    if let Some(mut text) = reasoning.object("reasoningText")? {
        let thought: String = text.required("text")?;
        let proof: Option<String> = text.optional("signature")?;
        if proof.is_none_or(|proof| proof != signature(&thought)) {
            return Err(item.mistake("The reasoning content signature is not valid."));
        }
        text.finish()?;
    } else if !is_own_redacted(&reasoning.required::<String>("redactedContent")?) {
        return Err(item.mistake("The redacted reasoning content is not valid."));
    }
    reasoning.finish()?;
    Ok(0)
}

/// Media by kind: the formats, and the tokens.
const MEDIA: [(&str, &[&str], u64); 3] = [
    ("image", &["png", "jpeg", "gif", "webp"], IMAGE),
    (
        "document",
        &["pdf", "csv", "doc", "docx", "xls", "xlsx", "html", "txt", "md"],
        DOCUMENT,
    ),
    ("video", &["mkv", "mov", "mp4", "webm"], DOCUMENT),
];

/// Text and media.
fn said(block: &mut Fields<'_>, item: &Item<'_>, text: &mut String) -> Result<u64, Mistake> {
    if let Some(said) = block.optional::<String>("text")? {
        if said.trim().is_empty() {
            let at = &item.at;
            let why = format!(
                "The text field in the ContentBlock object at {at} is blank. Add text to the text field, and try again."
            );
            return Err(item.mistake(why));
        }
        text.push_str(&said);
        return Ok(estimate(&said));
    }
    for (kind, formats, tokens) in MEDIA {
        if let Some(found) = block.object(kind)? {
            media(found, kind, formats)?;
            return Ok(tokens);
        }
    }
    if block.object("guardContent")?.is_some() {
        return Ok(0);
    }
    Err(item.mistake("The ContentBlock object must set exactly one of its members"))
}

fn media(mut media: Fields<'_>, kind: &str, formats: &[&str]) -> Result<(), Mistake> {
    let format: Option<String> = media.optional("format")?;
    if format.map_or(kind != "document", |format| !formats.contains(&format.as_str())) {
        let why = format!("Member must satisfy enum value set: [{}]", formats.join(", "));
        return Err(Mistake::new(media.place("format"), why));
    }
    if kind == "document" {
        let name: String = media.required("name")?;
        let fits = |c: char| c.is_alphanumeric() || matches!(c, ' ' | '-' | '(' | ')' | '[' | ']');
        if !name.chars().all(fits) || name.contains("  ") {
            let why = "The document file name can only contain alphanumeric characters, whitespace characters, hyphens, \
                       parentheses, and square brackets. The name can't contain more than one consecutive whitespace \
                       character.";
            return Err(Mistake::new(media.place("name"), why));
        }
        media.ignore(&["citations", "context"]);
    }
    let mut source = media.object("source")?.ok_or_else(|| media.missing("source"))?;
    if let Some(bytes) = source.optional::<String>("bytes")? {
        if !is_base64(&bytes) {
            return Err(Mistake::new(source.place("bytes"), "Unable to decode base64"));
        }
    } else if source.object("s3Location")?.is_none() && source.optional::<String>("text")?.is_none() {
        return Err(source.missing("bytes"));
    }
    source.finish()?;
    media.finish()
}

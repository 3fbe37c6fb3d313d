//! Reads requests for chat completions, as strictly as OpenAI does.

use serde_json::value::RawValue;
use tokenweir_llm::tokens::estimate;

use super::super::count::{DOCUMENT, IMAGE, IMAGE_LOW, PER_MESSAGE, PER_PROMPT, json};
use super::super::fields::{Fields, Item, Mistake};
use super::limits::{self, between, one_of};
use crate::answer::Directives;
use crate::ask::{Ask, Format, Thinking, Tool, ToolChoice};
use crate::behaviour::hash;

/// Fields that are known and have no effect here.
const WITHOUT_EFFECT: &[&str] = &[
    "logit_bias",
    "user",
    "metadata",
    "store",
    "service_tier",
    "modalities",
    "audio",
    "prediction",
    "verbosity",
    "web_search_options",
    "prompt_cache_key",
    "prompt_cache_retention",
    "safety_identifier",
];

/// Reads a body. `model` is the one of the path, where the path names it.
pub(in super::super) fn read(mut fields: Fields<'_>, model: Option<String>, strict: bool) -> Result<Ask, Mistake> {
    let named = fields.optional::<String>("model")?;
    let model = model.or(named).ok_or_else(|| fields.missing("model"))?;
    let mut ask = Ask::of(model);
    let messages = fields.item("messages").ok_or_else(|| fields.missing("messages"))?;
    ask.hash = hash(0, messages.raw.get().as_bytes());
    if let Some(seed) = fields.item("seed") {
        seed.parse::<i64>()?;
        ask.hash = hash(ask.hash, seed.raw.get().as_bytes());
    }
    limits::common(&mut fields, &mut ask)?;
    tools(&mut fields, &mut ask, strict)?;
    format(&mut fields, &mut ask, messages.raw, strict)?;
    let effort = one_of(&mut fields, "reasoning_effort", limits::EFFORTS)?;
    ask.thinking = effort.map_or(Thinking::IfTold, |effort| limits::thinking(&effort));
    logprobs(&mut fields, &mut ask)?;
    let text = Conversation::default().read(&messages, &mut ask, strict)?;
    ask.directives = Directives::parse(&text).map_err(|error| messages.mistake(error.to_string()))?;
    fields.ignore(WITHOUT_EFFECT);
    limits::finish(fields, strict)?;
    Ok(ask)
}

fn tools(fields: &mut Fields<'_>, ask: &mut Ask, strict: bool) -> Result<(), Mistake> {
    for tool in fields.list("tools")? {
        let mut entry = tool.fields()?;
        one_of(&mut entry, "type", &["function"])?.ok_or_else(|| entry.missing("type"))?;
        let function = entry.object("function")?.ok_or_else(|| entry.missing("function"))?;
        ask.tools.push(limits::function(function, strict)?);
        limits::finish(entry, strict)?;
        ask.prompt.add(tool.raw.get().as_bytes(), json(tool.raw));
    }
    if !ask.tools.is_empty() {
        ask.prompt.boundary();
    }
    if let Some(parallel) = fields.item("parallel_tool_calls") {
        ask.parallel = parallel.parse()?;
        if ask.tools.is_empty() {
            return Err(parallel.mistake("'parallel_tool_calls' is only allowed when 'tools' are specified."));
        }
    }
    let Some(choice) = fields.item("tool_choice") else {
        return Ok(());
    };
    if ask.tools.is_empty() {
        return Err(choice.mistake("'tool_choice' is only allowed when 'tools' are specified."));
    }
    ask.tool_choice = match choice.text() {
        Some(word) => limits::choice_word(&choice, &word)?,
        None => named_choice(&choice, &ask.tools)?,
    };
    Ok(())
}

fn named_choice(choice: &Item<'_>, tools: &[Tool]) -> Result<ToolChoice, Mistake> {
    let mut fields = choice.fields()?;
    match fields.required::<String>("type")?.as_str() {
        "function" => {
            let mut function = fields.object("function")?.ok_or_else(|| fields.missing("function"))?;
            limits::chosen(choice, function.required("name")?, tools)
        }
        "allowed_tools" => {
            let mut allowed = fields
                .object("allowed_tools")?
                .ok_or_else(|| fields.missing("allowed_tools"))?;
            let mode: String = allowed.required("mode")?;
            limits::choice_word(choice, &mode)
        }
        other => Err(choice.mistake(format!(
            "Invalid value: '{other}'. Supported values are: 'function' and 'allowed_tools'."
        ))),
    }
}

fn format(fields: &mut Fields<'_>, ask: &mut Ask, messages: &RawValue, strict: bool) -> Result<(), Mistake> {
    let Some(mut format) = fields.object("response_format")? else {
        return Ok(());
    };
    match format.required::<String>("type")?.as_str() {
        "text" => {}
        "json_object" => {
            if !messages.get().to_ascii_lowercase().contains("json") {
                let why = "'messages' must contain the word 'json' in some form, to use 'response_format' of type \
                           'json_object'.";
                return Err(Mistake::new("messages", why));
            }
            ask.format = Format::Object;
        }
        "json_schema" => {
            let schema = format
                .object("json_schema")?
                .ok_or_else(|| format.missing("json_schema"))?;
            ask.format = limits::schema(schema, strict)?;
        }
        other => {
            let why =
                format!("Invalid value: '{other}'. Supported values are: 'json_object', 'json_schema', and 'text'.");
            return Err(Mistake::new("response_format.type", why));
        }
    }
    limits::finish(format, strict)
}

fn logprobs(fields: &mut Fields<'_>, ask: &mut Ask) -> Result<(), Mistake> {
    let wanted = fields.optional::<bool>("logprobs")?.unwrap_or(false);
    let top = between(fields, "top_logprobs", 0.0, 20.0)?;
    if top.is_some() && !wanted {
        return Err(Mistake::new(
            "top_logprobs",
            "'top_logprobs' is only allowed when 'logprobs' is true.",
        ));
    }
    #[allow(
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        reason = "from 0 to 20, as was just checked"
    )]
    let top = top.unwrap_or(0.0) as u64;
    ask.logprobs = wanted.then_some(top);
    Ok(())
}

/// Follows the turns: results must answer the calls right before them, and all of them.
#[derive(Default)]
struct Conversation {
    /// Calls that have no result yet.
    open: Vec<String>,
}

impl Conversation {
    /// Gives back the text of the last message of the user.
    fn read(mut self, messages: &Item<'_>, ask: &mut Ask, strict: bool) -> Result<String, Mistake> {
        let list = messages.list()?;
        if list.is_empty() {
            return Err(messages.mistake("[] is too short - 'messages'"));
        }
        let mut said = String::new();
        for item in &list {
            let mut message = item.fields()?;
            let role: String = message.required("role")?;
            if role != "tool" && !self.open.is_empty() {
                return Err(self.unanswered(item));
            }
            let mut content = Content::default();
            match role.as_str() {
                "system" | "developer" => content.read(&mut message, &["text"], true)?,
                "user" => {
                    content.read(&mut message, &["text", "image_url", "input_audio", "file"], true)?;
                    said.clone_from(&content.text);
                }
                "assistant" => self.assistant(&mut message, &mut content, strict)?,
                "tool" => {
                    let id: String = message.required("tool_call_id")?;
                    let at = self.open.iter().position(|open| *open == id);
                    let at = at.ok_or_else(|| {
                        item.mistake(
                            "messages with role 'tool' must be a response to a preceding message with 'tool_calls'.",
                        )
                    })?;
                    self.open.swap_remove(at);
                    content.read(&mut message, &["text"], true)?;
                }
                other => {
                    let why = format!(
                        "Invalid value: '{other}'. Supported values are: 'system', 'assistant', 'user', 'tool', and \
                         'developer'."
                    );
                    return Err(Mistake::new(message.place("role"), why));
                }
            }
            message.optional::<String>("name")?;
            limits::finish(message, strict)?;
            ask.prompt.add(item.raw.get().as_bytes(), content.tokens + PER_MESSAGE);
            ask.prompt.boundary();
        }
        if !self.open.is_empty() {
            return Err(self.unanswered(messages));
        }
        ask.prompt.tokens += PER_PROMPT;
        Ok(said)
    }

    fn unanswered(&self, item: &Item<'_>) -> Mistake {
        item.mistake(format!(
            "An assistant message with 'tool_calls' must be followed by tool messages responding to each \
             'tool_call_id'. The following tool_call_ids did not have response messages: {}",
            self.open.join(", ")
        ))
    }

    fn assistant(&mut self, message: &mut Fields<'_>, content: &mut Content, strict: bool) -> Result<(), Mistake> {
        let calls = message.item("tool_calls");
        let refusal: Option<String> = message.optional("refusal")?;
        // What reasoning models of compatible servers say and take back.
        for field in ["reasoning_content", "reasoning"] {
            let thought: Option<String> = message.optional(field)?;
            content.tokens += thought.as_deref().map_or(0, estimate);
        }
        message.ignore(&["audio", "annotations", "function_call"]);
        content.read(message, &["text", "refusal"], calls.is_none() && refusal.is_none())?;
        content.tokens += refusal.as_deref().map_or(0, estimate);
        let Some(calls) = calls else { return Ok(()) };
        let list = calls.list()?;
        if list.is_empty() {
            return Err(calls.mistake("[] is too short - 'tool_calls'"));
        }
        for item in list {
            let mut call = item.fields()?;
            let id: String = call.required("id")?;
            one_of(&mut call, "type", &["function"])?.ok_or_else(|| call.missing("type"))?;
            let mut function = call.object("function")?.ok_or_else(|| call.missing("function"))?;
            let name: String = function.required("name")?;
            limits::name(&function.place("name"), &name)?;
            let arguments: String = function.required("arguments")?;
            content.tokens += estimate(&name) + estimate(&arguments);
            limits::finish(function, strict)?;
            limits::finish(call, strict)?;
            if self.open.contains(&id) {
                return Err(item.mistake(format!("Duplicate value for 'tool_call_id': {id}")));
            }
            self.open.push(id);
        }
        Ok(())
    }
}

#[derive(Default)]
struct Content {
    text: String,
    tokens: u64,
}

impl Content {
    fn read(&mut self, message: &mut Fields<'_>, allowed: &[&str], needed: bool) -> Result<(), Mistake> {
        let Some(content) = message.item("content") else {
            return if needed {
                Err(message.missing("content"))
            } else {
                Ok(())
            };
        };
        if let Some(text) = content.text() {
            self.tokens += estimate(&text);
            self.text.push_str(&text);
            return Ok(());
        }
        for part in content.list()? {
            self.part(&part, allowed)?;
        }
        Ok(())
    }

    fn part(&mut self, item: &Item<'_>, allowed: &[&str]) -> Result<(), Mistake> {
        let mut part = item.fields()?;
        let kind: String = part.required("type")?;
        if !allowed.contains(&kind.as_str()) {
            let why = format!(
                "Invalid value: '{kind}'. Supported values are: '{}'.",
                allowed.join("', '")
            );
            return Err(Mistake::new(part.place("type"), why));
        }
        match kind.as_str() {
            "image_url" => {
                let mut image = part.object("image_url")?.ok_or_else(|| part.missing("image_url"))?;
                let url: String = image.required("url")?;
                limits::image_url(&image.place("url"), &url)?;
                let detail = one_of(&mut image, "detail", &["auto", "low", "high"])?;
                self.tokens += if detail.as_deref() == Some("low") {
                    IMAGE_LOW
                } else {
                    IMAGE
                };
            }
            "input_audio" => {
                let mut audio = part.object("input_audio")?.ok_or_else(|| part.missing("input_audio"))?;
                audio.required::<String>("data")?;
                one_of(&mut audio, "format", &["wav", "mp3"])?.ok_or_else(|| audio.missing("format"))?;
                self.tokens += DOCUMENT;
            }
            "file" => {
                part.object("file")?.ok_or_else(|| part.missing("file"))?;
                self.tokens += DOCUMENT;
            }
            kind => {
                let text: String = part.required(kind)?;
                self.tokens += estimate(&text);
                self.text.push_str(&text);
            }
        }
        Ok(())
    }
}

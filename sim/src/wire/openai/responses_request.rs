//! Reads requests for responses, as strictly as OpenAI does. There is no state: what refers to an earlier response is
//! not found.

use std::collections::HashSet;

use serde_json::{Map, Value, json};
use tokenweir_llm::tokens::estimate;

use super::super::count::{DOCUMENT, IMAGE, IMAGE_LOW, PER_MESSAGE, PER_PROMPT, json as json_tokens};
use super::super::fields::{Fields, Item, Mistake};
use super::limits::{self, between, one_of};
use crate::answer::{Directives, is_own_redacted};
use crate::ask::{Ask, Echo, Format, ToolChoice};
use crate::behaviour::hash;

/// Fields that are known and have no effect here.
const WITHOUT_EFFECT: &[&str] = &[
    "background",
    "max_tool_calls",
    "prompt_cache_key",
    "prompt_cache_retention",
    "safety_identifier",
    "service_tier",
    "store",
    "stream_options",
    "truncation",
];
/// Fields that an answer repeats.
const ECHOED: &[&str] = &[
    "instructions",
    "max_output_tokens",
    "metadata",
    "parallel_tool_calls",
    "temperature",
    "tool_choice",
    "tools",
    "top_p",
    "text",
    "user",
];
/// The fewest tokens that an answer may be limited to.
const LEAST_LIMIT: u64 = 16;

/// Reads a body.
pub(in super::super) fn read(mut fields: Fields<'_>, strict: bool) -> Result<Ask, Mistake> {
    let mut ask = Ask::of(fields.required("model")?);
    ask.include_usage = true;
    let mut echo = Echo::default();
    for name in ECHOED {
        if let Some(value) = fields.peek(name) {
            echo.fields.insert((*name).to_owned(), value);
        }
    }
    ask.stream = fields.optional("stream")?.unwrap_or(false);
    ask.max_tokens = fields.optional("max_output_tokens")?;
    if ask.max_tokens.is_some_and(|limit| limit < LEAST_LIMIT) {
        let why = "Invalid 'max_output_tokens': integer below minimum value. Expected a value >= 16.";
        return Err(Mistake::new("max_output_tokens", why));
    }
    between(&mut fields, "temperature", 0.0, 2.0)?;
    between(&mut fields, "top_p", 0.0, 1.0)?;
    between(&mut fields, "top_logprobs", 0.0, 20.0)?;
    fields.optional::<Map<String, Value>>("metadata")?;
    fields.optional::<String>("user")?;
    for name in ["previous_response_id", "conversation", "prompt"] {
        if let Some(item) = fields.item(name) {
            return Err(item.mistake("not found: this server keeps no state"));
        }
    }
    let include: Vec<String> = fields.optional("include")?.unwrap_or_default();
    echo.encrypted = include.iter().any(|wanted| wanted == "reasoning.encrypted_content");
    reasoning(&mut fields, &mut ask, &mut echo)?;
    tools(&mut fields, &mut ask, strict)?;
    text(&mut fields, &mut ask, strict)?;
    let input = fields.item("input").ok_or_else(|| fields.missing("input"))?;
    ask.hash = hash(0, input.raw.get().as_bytes());
    if let Some(instructions) = fields.item("instructions") {
        let text: String = instructions.parse()?;
        ask.hash = hash(ask.hash, text.as_bytes());
        ask.prompt.add(text.as_bytes(), estimate(&text));
        ask.prompt.boundary();
    }
    let last = Items::default().read(&input, &mut ask)?;
    ask.directives = Directives::parse(&last).map_err(|error| input.mistake(error.to_string()))?;
    ask.echo = Some(Box::new(echo));
    fields.ignore(WITHOUT_EFFECT);
    limits::finish(fields, strict)?;
    Ok(ask)
}

fn reasoning(fields: &mut Fields<'_>, ask: &mut Ask, echo: &mut Echo) -> Result<(), Mistake> {
    let Some(mut reasoning) = fields.object("reasoning")? else {
        return Ok(());
    };
    let effort = one_of(&mut reasoning, "effort", limits::EFFORTS)?;
    ask.thinking = limits::thinking(effort.as_deref().unwrap_or("medium"));
    let summary = one_of(&mut reasoning, "summary", &["auto", "concise", "detailed"])?;
    echo.summary = summary.is_some();
    echo.fields
        .insert("reasoning".into(), json!({"effort": effort, "summary": summary}));
    Ok(())
}

fn tools(fields: &mut Fields<'_>, ask: &mut Ask, strict: bool) -> Result<(), Mistake> {
    for item in fields.list("tools")? {
        let mut tool = item.fields()?;
        one_of(&mut tool, "type", &["function"])?.ok_or_else(|| tool.missing("type"))?;
        ask.tools.push(limits::function(tool, strict)?);
        ask.prompt.add(item.raw.get().as_bytes(), json_tokens(item.raw));
    }
    if !ask.tools.is_empty() {
        ask.prompt.boundary();
    }
    ask.parallel = fields.optional("parallel_tool_calls")?.unwrap_or(true);
    let Some(choice) = fields.item("tool_choice") else {
        return Ok(());
    };
    ask.tool_choice = if let Some(word) = choice.text() {
        limits::choice_word(&choice, &word)?
    } else {
        let mut named = choice.fields()?;
        match named.required::<String>("type")?.as_str() {
            "function" => limits::chosen(&choice, named.required("name")?, &ask.tools)?,
            "allowed_tools" => limits::choice_word(&choice, &named.required::<String>("mode")?)?,
            other => return Err(choice.mistake(format!("Invalid value: '{other}'."))),
        }
    };
    if ask.tool_choice == ToolChoice::Required && ask.tools.is_empty() {
        return Err(choice.mistake("Tool choice 'required' must be specified with 'tools' parameter."));
    }
    Ok(())
}

fn text(fields: &mut Fields<'_>, ask: &mut Ask, strict: bool) -> Result<(), Mistake> {
    let Some(mut text) = fields.object("text")? else {
        return Ok(());
    };
    one_of(&mut text, "verbosity", &["low", "medium", "high"])?;
    if let Some(mut format) = text.object("format")? {
        match format.required::<String>("type")?.as_str() {
            "text" => {}
            "json_object" => ask.format = Format::Object,
            "json_schema" => ask.format = limits::schema(format, strict)?,
            other => return Err(Mistake::new("text.format.type", format!("Invalid value: '{other}'."))),
        }
    }
    limits::finish(text, strict)
}

/// Follows the items: a result must have its call before it, and each call a result.
#[derive(Default)]
struct Items {
    calls: Vec<String>,
    answered: HashSet<String>,
    /// The text of the user's last message.
    last: String,
}

impl Items {
    fn read(mut self, input: &Item<'_>, ask: &mut Ask) -> Result<String, Mistake> {
        ask.prompt.tokens += PER_PROMPT;
        if let Some(text) = input.text() {
            ask.prompt.add(text.as_bytes(), estimate(&text) + PER_MESSAGE);
            return Ok(text.into_owned());
        }
        let items = input.list()?;
        if items.is_empty() {
            return Err(input.mistake("expected at least one item"));
        }
        for item in items {
            let tokens = self.item(&item)?;
            ask.prompt.add(item.raw.get().as_bytes(), tokens + PER_MESSAGE);
            ask.prompt.boundary();
        }
        match self.calls.iter().find(|call| !self.answered.contains(*call)) {
            Some(call) => Err(input.mistake(format!("No tool output found for function call {call}."))),
            None => Ok(self.last),
        }
    }

    fn item(&mut self, item: &Item<'_>) -> Result<u64, Mistake> {
        let mut fields = item.fields()?;
        fields.ignore(&["id", "status", "phase"]);
        let kind: Option<String> = fields.optional("type")?;
        match kind.as_deref().unwrap_or("message") {
            "message" => self.message(&mut fields),
            "function_call" => {
                let id: String = fields.required("call_id")?;
                let name: String = fields.required("name")?;
                limits::name(&fields.place("name"), &name)?;
                let arguments: String = fields.required("arguments")?;
                self.calls.push(id);
                Ok(estimate(&name) + estimate(&arguments))
            }
            "function_call_output" => {
                let id: String = fields.required("call_id")?;
                if !self.calls.contains(&id) {
                    let why = format!("No tool call found for function call output with call_id {id}.");
                    return Err(item.mistake(why));
                }
                self.answered.insert(id);
                let output = fields.item("output").ok_or_else(|| fields.missing("output"))?;
                parts(
                    &output,
                    &["input_text", "input_image", "input_file"],
                    &mut String::new(),
                )
            }
            "reasoning" => {
                fields.list("summary")?;
                let encrypted: Option<String> = fields.optional("encrypted_content")?;
                match encrypted {
                    Some(encrypted) if !is_own_redacted(&encrypted) => {
                        Err(item.mistake("The encrypted content could not be verified."))
                    }
                    _ => Ok(0),
                }
            }
            "item_reference" => Err(item.mistake("not found: this server keeps no state")),
            other => Err(Mistake::new(fields.place("type"), format!("Invalid value: '{other}'."))),
        }
    }

    fn message(&mut self, fields: &mut Fields<'_>) -> Result<u64, Mistake> {
        let role = one_of(fields, "role", &["assistant", "system", "developer", "user"])?;
        let role = role.ok_or_else(|| fields.missing("role"))?;
        let content = fields.item("content").ok_or_else(|| fields.missing("content"))?;
        let allowed: &[&str] = match role.as_str() {
            "assistant" => &["output_text", "refusal"],
            _ => &["input_text", "input_image", "input_file", "input_audio"],
        };
        let mut text = String::new();
        let tokens = parts(&content, allowed, &mut text)?;
        if role == "user" {
            self.last = text;
        }
        Ok(tokens)
    }
}

/// A text or a list of parts.
fn parts(content: &Item<'_>, allowed: &[&str], text: &mut String) -> Result<u64, Mistake> {
    if let Some(said) = content.text() {
        text.push_str(&said);
        return Ok(estimate(&said));
    }
    let mut tokens = 0;
    for part in content.list()? {
        let mut fields = part.fields()?;
        let kind: String = fields.required("type")?;
        if !allowed.contains(&kind.as_str()) {
            let why = format!(
                "Invalid value: '{kind}'. Supported values are: '{}'.",
                allowed.join("', '")
            );
            return Err(Mistake::new(fields.place("type"), why));
        }
        tokens += match kind.as_str() {
            "input_image" => {
                let detail = one_of(&mut fields, "detail", &["auto", "low", "high"])?;
                match fields.optional::<String>("image_url")? {
                    Some(url) => limits::image_url(&fields.place("image_url"), &url)?,
                    None => drop(fields.required::<String>("file_id")?),
                }
                if detail.as_deref() == Some("low") {
                    IMAGE_LOW
                } else {
                    IMAGE
                }
            }
            "input_file" | "input_audio" => DOCUMENT,
            kind => {
                let said: String = fields.required(if kind == "refusal" { "refusal" } else { "text" })?;
                text.push_str(&said);
                estimate(&said)
            }
        };
    }
    Ok(tokens)
}

//! Reads requests for messages, as strictly as Anthropic does.

use serde_json::Value;
use serde_json::value::RawValue;
use tokenweir_llm::tokens::estimate;

use super::super::count::{PER_MESSAGE, PER_PROMPT, json};
use super::super::fields::{Fields, Item, Mistake};
use super::content::Turns;
use crate::answer::Directives;
use crate::ask::{Ask, Format, Thinking, Tool, ToolChoice};
use crate::behaviour::hash;

/// Fields that are known and have no effect here.
const WITHOUT_EFFECT: &[&str] = &[
    "service_tier",
    "container",
    "context_management",
    "mcp_servers",
    "inference_geo",
    "betas",
];

/// More marks than this are refused.
const MAX_MARKS: usize = 4;

/// Reads a body. Requests that only count need no limit on the answer. With `beta`, there may be fields that are not
/// known here, since betas bring fields of their own.
pub(in super::super) fn read(mut fields: Fields<'_>, counts: bool, beta: bool) -> Result<Ask, Mistake> {
    let mut ask = Ask::of(fields.required("model")?);
    ask.include_usage = true;
    ask.prompt.marked = true;
    ask.redacts = true;
    ask.stream = fields.optional("stream")?.unwrap_or(false);
    ask.max_tokens = fields.optional("max_tokens")?;
    if ask.max_tokens.is_none() && !counts {
        return Err(fields.missing("max_tokens"));
    }
    if ask.max_tokens == Some(0) {
        return Err(Mistake::new("max_tokens", "Input should be greater than or equal to 1"));
    }
    let messages = fields.item("messages").ok_or_else(|| fields.missing("messages"))?;
    ask.hash = hash(0, messages.raw.get().as_bytes());
    let mut marks = 0;
    tools(&mut fields, &mut ask, &mut marks)?;
    if let Some(system) = fields.item("system") {
        ask.hash = hash(ask.hash, system.raw.get().as_bytes());
        read_system(&system, &mut ask, &mut marks)?;
    }
    sampling(&mut fields, &mut ask)?;
    output(&mut fields, &mut ask)?;
    let turns = Turns::read(&messages, &mut ask, &mut marks)?;
    ask.prompt.tokens += PER_PROMPT;
    if marks > MAX_MARKS {
        let why = format!("A maximum of 4 blocks with cache_control may be provided. Found {marks}.");
        return Err(Mistake::new("", why));
    }
    if matches!(ask.thinking, Thinking::UpTo(_)) {
        turns.allow_thinking(&messages)?;
    }
    ask.directives = Directives::parse(turns.last_text()).map_err(|error| messages.mistake(error.to_string()))?;
    fields.ignore(WITHOUT_EFFECT);
    if !beta {
        fields.finish()?;
    }
    Ok(ask)
}

/// A mark for the prompt cache behind a block. Gives back whether there is one.
pub(super) fn mark(fields: &mut Fields<'_>, marks: &mut usize) -> Result<bool, Mistake> {
    let Some(mut control) = fields.object("cache_control")? else {
        return Ok(false);
    };
    let kind: String = control.required("type")?;
    if kind != "ephemeral" {
        return Err(Mistake::new(control.place("type"), "Input should be 'ephemeral'"));
    }
    let ttl: Option<String> = control.optional("ttl")?;
    if ttl.is_some_and(|ttl| !matches!(ttl.as_str(), "5m" | "1h")) {
        return Err(Mistake::new(control.place("ttl"), "Input should be '5m' or '1h'"));
    }
    control.finish()?;
    *marks += 1;
    Ok(true)
}

fn read_system(system: &Item<'_>, ask: &mut Ask, marks: &mut usize) -> Result<(), Mistake> {
    if let Some(text) = system.text() {
        ask.prompt.add(text.as_bytes(), estimate(&text));
        return Ok(());
    }
    for item in system.list()? {
        let mut block = item.fields()?;
        if block.required::<String>("type")? != "text" {
            return Err(Mistake::new(block.place("type"), "Input should be 'text'"));
        }
        let text: String = block.required("text")?;
        if text.is_empty() {
            return Err(item.mistake("system: text content blocks must be non-empty"));
        }
        block.ignore(&["citations"]);
        let marked = mark(&mut block, marks)?;
        block.finish()?;
        ask.prompt.add(text.as_bytes(), estimate(&text));
        if marked {
            ask.prompt.boundary();
        }
    }
    Ok(())
}

fn tools(fields: &mut Fields<'_>, ask: &mut Ask, marks: &mut usize) -> Result<(), Mistake> {
    for item in fields.list("tools")? {
        let mut tool = item.fields()?;
        let kind: Option<String> = tool.optional("type")?;
        if kind.is_some_and(|kind| kind != "custom") {
            return Err(Mistake::new(
                tool.place("type"),
                "the simulator runs no tools of its own; Input should be 'custom'",
            ));
        }
        let name: String = tool.required("name")?;
        if !is_name(&name, 128) {
            return Err(Mistake::new(
                tool.place("name"),
                "String should match pattern '^[a-zA-Z0-9_-]{1,128}$'",
            ));
        }
        if ask.tools.iter().any(|other| other.name == name) {
            return Err(Mistake::new("tools", "Tool names must be unique."));
        }
        tool.optional::<String>("description")?;
        tool.optional::<bool>("strict")?;
        let schema: Value = tool.required("input_schema")?;
        if schema.get("type") != Some(&Value::from("object")) {
            return Err(Mistake::new(
                tool.place("input_schema.type"),
                "Input should be 'object'",
            ));
        }
        tool.ignore(&[
            "eager_input_streaming",
            "defer_loading",
            "allowed_callers",
            "input_examples",
        ]);
        let marked = mark(&mut tool, marks)?;
        tool.finish()?;
        ask.tools.push(Tool { name, schema });
        ask.prompt.add(item.raw.get().as_bytes(), json(item.raw));
        if marked {
            ask.prompt.boundary();
        }
    }
    let Some(mut choice) = fields.object("tool_choice")? else {
        return Ok(());
    };
    if ask.tools.is_empty() {
        return Err(Mistake::new(
            "tool_choice",
            "tool_choice may only be specified while providing tools.",
        ));
    }
    ask.tool_choice = match choice.required::<String>("type")?.as_str() {
        "auto" => ToolChoice::Auto,
        "any" => ToolChoice::Required,
        "none" => ToolChoice::None,
        "tool" => {
            let name: String = choice.required("name")?;
            if !ask.tools.iter().any(|tool| tool.name == name) {
                return Err(Mistake::new(
                    "tool_choice",
                    format!("Tool '{name}' not found in provided tools"),
                ));
            }
            ToolChoice::Function(name)
        }
        _ => {
            let why = "Input tag should be one of 'auto', 'any', 'tool', 'none'";
            return Err(Mistake::new("tool_choice", why));
        }
    };
    let single = choice.optional("disable_parallel_tool_use")?.unwrap_or(false);
    if single && ask.tool_choice == ToolChoice::None {
        return Err(Mistake::new(
            "tool_choice.none.disable_parallel_tool_use",
            "Extra inputs are not permitted",
        ));
    }
    ask.parallel = !single;
    choice.finish()
}

pub(super) fn is_name(name: &str, most: usize) -> bool {
    let fits = |c: char| c.is_ascii_alphanumeric() || matches!(c, '_' | '-');
    (1..=most).contains(&name.len()) && name.chars().all(fits)
}

fn sampling(fields: &mut Fields<'_>, ask: &mut Ask) -> Result<(), Mistake> {
    let temperature: Option<f64> = fields.optional("temperature")?;
    let top_p: Option<f64> = fields.optional("top_p")?;
    let top_k: Option<u64> = fields.optional("top_k")?;
    for (name, value) in [("temperature", temperature), ("top_p", top_p)] {
        if value.is_some_and(|value| !(0.0..=1.0).contains(&value)) {
            return Err(Mistake::new(name, "range: 0..1"));
        }
    }
    ask.stops = fields.optional("stop_sequences")?.unwrap_or_default();
    if ask.stops.iter().any(|stop| stop.trim().is_empty()) {
        return Err(Mistake::new(
            "stop_sequences",
            "each stop sequence must contain non-whitespace",
        ));
    }
    if let Some(mut metadata) = fields.object("metadata")? {
        metadata.optional::<String>("user_id")?;
        metadata.finish()?;
    }
    let Some(mut thinking) = fields.object("thinking")? else {
        return Ok(());
    };
    match thinking.required::<String>("type")?.as_str() {
        "disabled" => {}
        "adaptive" => ask.thinking = Thinking::UpTo(u64::MAX),
        "enabled" => {
            let budget: u64 = thinking.required("budget_tokens")?;
            if budget < 1024 {
                return Err(Mistake::new(
                    "thinking.enabled.budget_tokens",
                    "Input should be greater than or equal to 1024",
                ));
            }
            if ask.max_tokens.is_some_and(|most| most <= budget) {
                return Err(Mistake::new(
                    "",
                    "`max_tokens` must be greater than `thinking.budget_tokens`.",
                ));
            }
            ask.thinking = Thinking::UpTo(budget);
        }
        _ => {
            let why = "Input tag should be one of 'adaptive', 'disabled', 'enabled'";
            return Err(Mistake::new("thinking", why));
        }
    }
    thinking.ignore(&["display"]);
    thinking.finish()?;
    if matches!(ask.thinking, Thinking::Never | Thinking::IfTold) {
        return Ok(());
    }
    let wrong = if temperature.is_some_and(|value| value < 1.0) {
        "`temperature` may only be set to 1 when thinking is enabled."
    } else if top_k.is_some() {
        "`top_k` must be unset when thinking is enabled."
    } else if top_p.is_some_and(|value| value < 0.95) {
        "`top_p` must be greater than or equal to 0.95 or unset when thinking is enabled."
    } else if matches!(ask.tool_choice, ToolChoice::Required | ToolChoice::Function(_)) {
        "Thinking may not be enabled when tool_choice forces tool use."
    } else {
        return Ok(());
    };
    Err(Mistake::new("", wrong))
}

/// The form of the answer.
fn output(fields: &mut Fields<'_>, ask: &mut Ask) -> Result<(), Mistake> {
    let mut format = fields.object("output_format")?;
    if let Some(mut config) = fields.object("output_config")? {
        let effort: Option<String> = config.optional("effort")?;
        if effort.is_some_and(|effort| !matches!(effort.as_str(), "low" | "medium" | "high" | "xhigh" | "max")) {
            return Err(Mistake::new(
                "output_config.effort",
                "Input should be 'low', 'medium', 'high', 'xhigh' or 'max'",
            ));
        }
        format = config.object("format")?.or(format);
        config.finish()?;
    }
    let Some(mut format) = format else { return Ok(()) };
    if format.required::<String>("type")? != "json_schema" {
        return Err(Mistake::new(format.place("type"), "Input should be 'json_schema'"));
    }
    let raw: &RawValue = format.raw("schema").ok_or_else(|| format.missing("schema"))?;
    let schema: Value =
        serde_json::from_str(raw.get()).map_err(|error| Mistake::new(format.place("schema"), error.to_string()))?;
    if schema.get("type") == Some(&Value::from("object"))
        && schema.get("additionalProperties") != Some(&Value::Bool(false))
    {
        let why = "For 'object' type, 'additionalProperties' must be explicitly set to false";
        return Err(Mistake::new(format.place("schema"), why));
    }
    ask.format = Format::Schema(schema);
    ask.prompt.add(raw.get().as_bytes(), json(raw));
    format.finish()
}

/// Tokens around each message.
pub(super) const AROUND: u64 = PER_MESSAGE;

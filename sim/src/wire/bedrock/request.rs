//! Reads requests for Converse, as strictly as Amazon does, and stricter in one point: fields that the API would pass
//! over are refused, so that a misspelt one shows.

use serde_json::Value;
use tokenweir_llm::tokens::estimate;

use super::super::count::{PER_PROMPT, json};
use super::super::fields::{Fields, Item, Mistake};
use super::content::Turns;
use crate::answer::Directives;
use crate::ask::{Ask, Thinking, Tool, ToolChoice};
use crate::behaviour::hash;

/// Fields that are known and have no effect here.
const WITHOUT_EFFECT: &[&str] = &[
    "additionalModelResponseFieldPaths",
    "guardrailConfig",
    "performanceConfig",
    "promptVariables",
    "requestMetadata",
    "serviceTier",
];

/// Reads a body. The model is the one of the path.
pub(in super::super) fn read(mut fields: Fields<'_>, model: String, stream: bool) -> Result<Ask, Mistake> {
    let mut ask = Ask::of(model);
    ask.stream = stream;
    ask.include_usage = true;
    ask.prompt.marked = true;
    ask.redacts = true;
    let messages = fields.item("messages").ok_or_else(|| fields.missing("messages"))?;
    ask.hash = hash(0, messages.raw.get().as_bytes());
    let config = fields.object("toolConfig")?;
    let has_tools = config.is_some();
    if let Some(config) = config {
        tools(config, &mut ask)?;
    }
    if let Some(system) = fields.item("system") {
        ask.hash = hash(ask.hash, system.raw.get().as_bytes());
        for item in system.list()? {
            read_system(&item, &mut ask)?;
        }
    }
    if let Some(config) = fields.object("inferenceConfig")? {
        inference(config, &mut ask)?;
    }
    if let Some(more) = fields.item("additionalModelRequestFields") {
        additional(&more, &mut ask)?;
    }
    if let Some(mut output) = fields.object("outputConfig")? {
        output_format(&mut output, &mut ask)?;
        output.finish()?;
    }
    let turns = Turns::read(&messages, &mut ask)?;
    if turns.uses_tools && !has_tools {
        let why = "The toolConfig field must be defined when using toolUse and toolResult content blocks.";
        return Err(Mistake::new("", why));
    }
    ask.prompt.tokens += PER_PROMPT;
    ask.directives = Directives::parse(&turns.last).map_err(|error| messages.mistake(error.to_string()))?;
    fields.ignore(WITHOUT_EFFECT);
    fields.finish()?;
    Ok(ask)
}

fn read_system(item: &Item<'_>, ask: &mut Ask) -> Result<(), Mistake> {
    let mut block = item.fields()?;
    if let Some(text) = block.optional::<String>("text")? {
        if text.trim().is_empty() {
            return Err(item.mistake("The text field in the SystemContentBlock object is blank."));
        }
        ask.prompt.add(text.as_bytes(), estimate(&text));
    } else if let Some(point) = block.item("cachePoint") {
        cache_point(&point)?;
        ask.prompt.boundary();
    } else {
        block.ignore(&["guardContent"]);
    }
    block.finish()
}

/// Everything before such a block can be cached.
pub(super) fn cache_point(point: &Item<'_>) -> Result<(), Mistake> {
    let mut fields = point.fields()?;
    if fields.required::<String>("type")? != "default" {
        return Err(Mistake::new(
            fields.place("type"),
            "Member must satisfy enum value set: [default]",
        ));
    }
    fields.ignore(&["ttl"]);
    fields.finish()
}

/// The name of a tool and the id of a call follow one pattern.
pub(super) fn is_name(name: &str) -> bool {
    let fits = |c: char| c.is_ascii_alphanumeric() || matches!(c, '_' | '-');
    (1..=64).contains(&name.len()) && name.chars().all(fits)
}

fn tools(mut config: Fields<'_>, ask: &mut Ask) -> Result<(), Mistake> {
    for item in config.list("tools")? {
        let mut tool = item.fields()?;
        if let Some(point) = tool.item("cachePoint") {
            cache_point(&point)?;
            ask.prompt.boundary();
        } else {
            let spec = tool.object("toolSpec")?.ok_or_else(|| tool.missing("toolSpec"))?;
            ask.tools.push(specification(spec)?);
            ask.prompt.add(item.raw.get().as_bytes(), json(item.raw));
        }
        tool.finish()?;
    }
    if ask.tools.is_empty() {
        let why = "Member must have length greater than or equal to 1";
        return Err(Mistake::new("toolConfig.tools", why));
    }
    if let Some(mut choice) = config.object("toolChoice")? {
        ask.tool_choice = if let Some(mut tool) = choice.object("tool")? {
            let name: String = tool.required("name")?;
            if !ask.tools.iter().any(|known| known.name == name) {
                let why = "the tool is not in toolConfig.tools";
                return Err(Mistake::new("toolConfig.toolChoice.tool.name", why));
            }
            ToolChoice::Function(name)
        } else if choice.object("any")?.is_some() {
            ToolChoice::Required
        } else if choice.object("auto")?.is_some() {
            ToolChoice::Auto
        } else {
            return Err(Mistake::new(
                "toolConfig.toolChoice",
                "one of auto, any and tool must be set",
            ));
        };
        choice.finish()?;
    }
    config.finish()
}

fn specification(mut spec: Fields<'_>) -> Result<Tool, Mistake> {
    let name: String = spec.required("name")?;
    if !is_name(&name) {
        let why = "Member must satisfy regular expression pattern: [a-zA-Z0-9_-]+";
        return Err(Mistake::new(spec.place("name"), why));
    }
    let description: Option<String> = spec.optional("description")?;
    if description.is_some_and(|text| text.is_empty()) {
        let why = "Member must have length greater than or equal to 1";
        return Err(Mistake::new(spec.place("description"), why));
    }
    let mut input = spec.object("inputSchema")?.ok_or_else(|| spec.missing("inputSchema"))?;
    let schema: Value = input.required("json")?;
    if schema.get("type") != Some(&Value::from("object")) {
        let why = "The value at inputSchema.json.type must be one of the following: object.";
        return Err(Mistake::new(input.place("json"), why));
    }
    input.finish()?;
    spec.ignore(&["strict"]);
    spec.finish()?;
    Ok(Tool { name, schema })
}

fn inference(mut config: Fields<'_>, ask: &mut Ask) -> Result<(), Mistake> {
    ask.max_tokens = config.optional("maxTokens")?;
    if ask.max_tokens == Some(0) {
        let why = "Member must have value greater than or equal to 1";
        return Err(Mistake::new("inferenceConfig.maxTokens", why));
    }
    for name in ["temperature", "topP"] {
        let value: Option<f64> = config.optional(name)?;
        if value.is_some_and(|value| !(0.0..=1.0).contains(&value)) {
            return Err(Mistake::new(config.place(name), "Member must have value from 0 to 1"));
        }
    }
    ask.stops = config.optional("stopSequences")?.unwrap_or_default();
    config.finish()
}

/// What goes on to the model as it is: here, the ways to ask for thoughts.
fn additional(more: &Item<'_>, ask: &mut Ask) -> Result<(), Mistake> {
    let mut fields = more.fields()?;
    for name in ["thinking", "reasoning_config", "reasoningConfig"] {
        let Some(mut thinking) = fields.object(name)? else {
            continue;
        };
        match thinking.required::<String>("type")?.as_str() {
            // Nova's way has degrees instead of a budget.
            "enabled" if thinking.optional::<String>("maxReasoningEffort")?.is_some() => {
                ask.thinking = Thinking::UpTo(u64::MAX);
            }
            "enabled" => {
                let budget: u64 = thinking.required("budget_tokens")?;
                if budget < 1024 || ask.max_tokens.is_some_and(|most| most <= budget) {
                    let why = "budget_tokens must be at least 1024, and less than maxTokens";
                    return Err(Mistake::new(thinking.place("budget_tokens"), why));
                }
                ask.thinking = Thinking::UpTo(budget);
            }
            "adaptive" => ask.thinking = Thinking::UpTo(u64::MAX),
            _ => {}
        }
    }
    Ok(())
}

/// Structured output: the schema comes as JSON in a text.
fn output_format(output: &mut Fields<'_>, ask: &mut Ask) -> Result<(), Mistake> {
    output.optional::<String>("effort")?;
    let Some(mut format) = output.object("textFormat")? else {
        return Ok(());
    };
    if format.required::<String>("type")? != "json_schema" {
        let why = "Member must satisfy enum value set: [json_schema]";
        return Err(Mistake::new(format.place("type"), why));
    }
    let mut structure = format.object("structure")?.ok_or_else(|| format.missing("structure"))?;
    let mut schema = structure
        .object("jsonSchema")?
        .ok_or_else(|| structure.missing("jsonSchema"))?;
    let text: String = schema.required("schema")?;
    let value = serde_json::from_str(&text).map_err(|_| Mistake::new(schema.place("schema"), "not a JSON schema"))?;
    ask.format = crate::ask::Format::Schema(value);
    format.finish()
}

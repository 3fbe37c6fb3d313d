//! Reads tools, the form of the answer and reasoning.

use std::collections::HashSet;

use serde_json::value::RawValue;

use crate::RequestError;
use crate::conversation::{
    CacheControl, Effort, Extra, Format, JsonSchema, Named, Reasoning, Request, Tool, ToolChoice,
};
use crate::dialect::json::{Fields, View, invalid, text};

/// Reads `tools`. Those that are not functions become extras.
pub(super) fn tools(top: &mut Fields<'_>, request: &mut Request) -> Result<(), RequestError> {
    for (index, raw) in top.list("tools")?.unwrap_or_default().into_iter().enumerate() {
        let at = format!("tools[{index}]");
        let mut tool = Fields::of(raw, &*at)?;
        if tool.required_string("type")? != "function" {
            request.extras.push(whole(at, raw));
            continue;
        }
        let mut function = tool
            .object("function")?
            .ok_or_else(|| tool.wrong("function", "an object, as it is required"))?;
        // LiteLLM takes the mark in both places.
        let mark = match cache(&mut tool)? {
            Some(mark) => Some(mark),
            None => cache(&mut function)?,
        };
        request.tools.push(Tool {
            name: function.required_string("name")?,
            description: function.string("description")?,
            parameters: function.take("parameters")?.map(ToOwned::to_owned),
            strict: function.boolean("strict")?,
            cache: mark,
            at: at.into(),
        });
        function.rest(&mut request.extras);
        tool.rest(&mut request.extras);
    }
    Ok(())
}

/// Reads `tool_choice`, once the tools are known.
pub(super) fn tool_choice(top: &mut Fields<'_>, request: &mut Request) -> Result<(), RequestError> {
    const FIELD: &str = "tool_choice";
    let Some(raw) = top.take(FIELD)? else {
        return Ok(());
    };
    let choice = match text(raw).as_deref() {
        Some("auto") => Some(ToolChoice::Auto),
        Some("none") => Some(ToolChoice::None),
        // "any" is Mistral's word for it.
        Some("required" | "any") => Some(ToolChoice::Required),
        Some(_) => return Err(invalid(FIELD, "one of auto, none, required, or an object")),
        None => chosen(raw, &request.tools)?,
    };
    match choice {
        Some(value) => request.tool_choice = Some(Named::new(FIELD, value)),
        None => request.extras.push(whole(FIELD, raw)),
    }
    Ok(())
}

/// A choice in the form of an object; `None` for one that the shared terms do not have.
fn chosen(raw: &RawValue, tools: &[Tool]) -> Result<Option<ToolChoice>, RequestError> {
    let mut choice = Fields::of(raw, "tool_choice")?;
    match choice.required_string("type")?.as_str() {
        "function" => {
            let mut function = choice
                .object("function")?
                .ok_or_else(|| choice.wrong("function", "an object, as it is required"))?;
            Ok(Some(ToolChoice::Function(function.required_string("name")?)))
        }
        // All of the tools are no restriction. A smaller set is one that no other dialect has.
        "allowed_tools" => {
            let Some(mut allowed) = choice.object("allowed_tools")? else {
                return Err(choice.wrong("allowed_tools", "an object, as it is required"));
            };
            let names: HashSet<String> = (allowed.list("tools")?.unwrap_or_default().into_iter())
                .filter_map(|tool| View::of(tool)?.view("function")?.text("name"))
                .collect();
            if !tools.iter().all(|tool| names.contains(&tool.name)) {
                return Ok(None);
            }
            Ok(match allowed.string("mode")?.as_deref() {
                Some("required") => Some(ToolChoice::Required),
                Some("auto") | None => Some(ToolChoice::Auto),
                Some(_) => None,
            })
        }
        _ => Ok(None),
    }
}

/// Reads `response_format`.
pub(super) fn format(top: &mut Fields<'_>, request: &mut Request) -> Result<(), RequestError> {
    const FIELD: &str = "response_format";
    let Some(raw) = top.take(FIELD)? else {
        return Ok(());
    };
    let mut format = Fields::of(raw, FIELD)?;
    let value = match format.required_string("type")?.as_str() {
        "text" => Format::Text,
        "json_object" => Format::JsonObject,
        "json_schema" => {
            let mut schema = format
                .object("json_schema")?
                .ok_or_else(|| format.wrong("json_schema", "an object, as it is required"))?;
            let value = JsonSchema {
                name: schema.string("name")?,
                description: schema.string("description")?,
                schema: schema.require("schema")?.to_owned(),
                strict: schema.boolean("strict")?,
            };
            schema.rest(&mut request.extras);
            Format::JsonSchema(value)
        }
        _ => {
            request.extras.push(whole(FIELD, raw));
            return Ok(());
        }
    };
    format.rest(&mut request.extras);
    request.format = Some(Named::new(FIELD, value));
    Ok(())
}

/// Reads `reasoning_effort`, and `thinking` as LiteLLM and DeepSeek have it.
pub(super) fn reasoning(top: &mut Fields<'_>, request: &mut Request) -> Result<(), RequestError> {
    const EFFORT: &str = "reasoning_effort";
    let thinking = match top.object("thinking")? {
        None => None,
        Some(mut thinking) => {
            let kind = thinking.required_string("type")?;
            let budget = thinking.count("budget_tokens")?;
            let value = match (kind.as_str(), budget) {
                ("disabled", _) => Reasoning::Off,
                ("enabled", Some(budget)) => Reasoning::Budget(budget),
                ("enabled" | "adaptive", _) => Reasoning::Adaptive,
                _ => return Err(thinking.wrong("type", "one of enabled, adaptive, disabled")),
            };
            thinking.rest(&mut request.extras);
            Some(value)
        }
    };
    let Some(raw) = top.take(EFFORT)? else {
        request.reasoning = thinking.map(|value| Named::new("thinking", value));
        return Ok(());
    };
    let word = text(raw).ok_or_else(|| invalid(EFFORT, "a string"))?;
    let effort = match word.as_str() {
        "none" => Some(Reasoning::Off),
        "minimal" => Some(Reasoning::Effort(Effort::Minimal)),
        "low" => Some(Reasoning::Effort(Effort::Low)),
        "medium" => Some(Reasoning::Effort(Effort::Medium)),
        "high" => Some(Reasoning::Effort(Effort::High)),
        "xhigh" => Some(Reasoning::Effort(Effort::ExtraHigh)),
        "max" => Some(Reasoning::Effort(Effort::Max)),
        _ => None,
    };
    request.reasoning = match (effort, thinking) {
        // Thinking that is turned on, and to what degree: one thing said in two fields.
        (Some(effort), None | Some(Reasoning::Adaptive)) => Some(Named::new(EFFORT, effort)),
        (_, thinking) => {
            request.extras.push(whole(EFFORT, raw));
            thinking.map(|value| Named::new("thinking", value))
        }
    };
    Ok(())
}

/// Reads a cache mark: `cache_control`, which gateways in front of Anthropic take in Chat Completions, or OpenAI's own
/// `prompt_cache_breakpoint`. One that must live longer than an hour is left where it is, and so becomes an extra.
pub(super) fn cache(fields: &mut Fields<'_>) -> Result<Option<CacheControl>, RequestError> {
    if let Some(mut mark) = fields.object("cache_control")? {
        return Ok(Some(CacheControl {
            ttl: mark.string("ttl")?,
        }));
    }
    fields.take_if("prompt_cache_breakpoint", |raw| {
        let ttl = match View::of(raw)?.text("ttl").as_deref() {
            None => None,
            // It is the least time; the next longer one that others have is an hour.
            Some("30m") => Some("1h".to_owned()),
            Some(_) => return None,
        };
        Some(CacheControl { ttl })
    })
}

/// A value that the shared terms do not have.
pub(super) fn whole(field: impl Into<Box<str>>, raw: &RawValue) -> Extra {
    Extra {
        field: field.into(),
        value: raw.to_owned(),
    }
}

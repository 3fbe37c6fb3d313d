//! Rules that OpenAI's APIs share.

use serde_json::Value;

use super::super::fields::{Fields, Item, Mistake};
use crate::ask::{Ask, Format, Thinking, Tool, ToolChoice};

pub(super) const EFFORTS: &[&str] = &["none", "minimal", "low", "medium", "high", "xhigh"];

/// How much a model thinks with an effort.
pub(super) fn thinking(effort: &str) -> Thinking {
    match effort {
        "none" => Thinking::Never,
        "minimal" => Thinking::UpTo(2),
        "low" => Thinking::UpTo(8),
        _ => Thinking::UpTo(4096),
    }
}

/// The fields that all endpoints for tokens have.
pub(super) fn common(fields: &mut Fields<'_>, ask: &mut Ask) -> Result<(), Mistake> {
    ask.stream = fields.optional("stream")?.unwrap_or(false);
    if let Some(mut options) = fields.object("stream_options")? {
        ask.include_usage = options.optional("include_usage")?.unwrap_or(false);
        options.ignore(&["include_obfuscation"]);
        if !ask.stream {
            let why = "The 'stream_options' parameter is only allowed when 'stream' is enabled.";
            return Err(Mistake::new("stream_options", why));
        }
    }
    let old: Option<u64> = fields.optional("max_tokens")?;
    let new: Option<u64> = fields.optional("max_completion_tokens")?;
    if old.is_some() && new.is_some() {
        let why = "Setting 'max_tokens' and 'max_completion_tokens' at the same time is not supported.";
        return Err(Mistake::new("max_tokens", why));
    }
    ask.max_tokens = new.or(old);
    ask.choices = fields.optional("n")?.unwrap_or(1);
    if !(1..=128).contains(&ask.choices) {
        return Err(Mistake::new("n", "must be from 1 to 128"));
    }
    ask.ignore_eos = fields.optional("ignore_eos")?.unwrap_or(false);
    between(fields, "temperature", 0.0, 2.0)?;
    between(fields, "top_p", 0.0, 1.0)?;
    between(fields, "presence_penalty", -2.0, 2.0)?;
    between(fields, "frequency_penalty", -2.0, 2.0)?;
    if let Some(stop) = fields.item("stop") {
        ask.stops = match stop.text() {
            Some(text) => vec![text.into_owned()],
            None => stop.parse()?,
        };
        if ask.stops.len() > 4 {
            return Err(stop.mistake("expected an array with maximum length 4"));
        }
    }
    Ok(())
}

/// A number within bounds, both included.
pub(super) fn between(fields: &mut Fields<'_>, name: &str, least: f64, most: f64) -> Result<Option<f64>, Mistake> {
    let value: Option<f64> = fields.optional(name)?;
    match value {
        Some(value) if !(least..=most).contains(&value) => {
            let why = format!("expected a value from {least} to {most}, but got {value} instead");
            Err(Mistake::new(fields.place(name), why))
        }
        value => Ok(value),
    }
}

/// One of some words.
pub(super) fn one_of(fields: &mut Fields<'_>, name: &str, words: &[&str]) -> Result<Option<String>, Mistake> {
    let value: Option<String> = fields.optional(name)?;
    match value {
        Some(value) if !words.contains(&value.as_str()) => {
            let why = format!(
                "Invalid value: '{value}'. Supported values are: '{}'.",
                words.join("', '")
            );
            Err(Mistake::new(fields.place(name), why))
        }
        value => Ok(value),
    }
}

/// The name of a function or a schema.
pub(super) fn name(at: &str, name: &str) -> Result<(), Mistake> {
    let fits = |c: char| c.is_ascii_alphanumeric() || matches!(c, '_' | '-');
    if (1..=64).contains(&name.len()) && name.chars().all(fits) {
        return Ok(());
    }
    let why = "expected a string that matches the pattern '^[a-zA-Z0-9_-]+$', with at most 64 characters";
    Err(Mistake::new(at, why))
}

/// A function that the model may call.
pub(super) fn function(mut fields: Fields<'_>, strict: bool) -> Result<Tool, Mistake> {
    let named: String = fields.required("name")?;
    name(&fields.place("name"), &named)?;
    fields.optional::<String>("description")?;
    let exact = fields.optional("strict")?.unwrap_or(false);
    let schema = match fields.item("parameters") {
        Some(parameters) => {
            let schema: Value = parameters.parse()?;
            if schema.get("type") != Some(&Value::from("object")) {
                let why = format!(
                    "Invalid schema for function '{named}': schema must be a JSON Schema of 'type: \"object\"'."
                );
                return Err(parameters.mistake(why));
            }
            if exact {
                exactly(&parameters, &schema, &format!("function '{named}'"))?;
            }
            schema
        }
        None => serde_json::json!({"type": "object"}),
    };
    finish(fields, strict)?;
    Ok(Tool { name: named, schema })
}

/// A schema for the answer.
pub(super) fn schema(mut fields: Fields<'_>, strict: bool) -> Result<Format, Mistake> {
    let named: String = fields.required("name")?;
    name(&fields.place("name"), &named)?;
    fields.optional::<String>("description")?;
    let exact = fields.optional("strict")?.unwrap_or(false);
    let item = fields.item("schema").ok_or_else(|| fields.missing("schema"))?;
    let schema: Value = item.parse()?;
    if exact {
        exactly(&item, &schema, &format!("response_format '{named}'"))?;
    }
    finish(fields, strict)?;
    Ok(Format::Schema(schema))
}

/// What a schema must say to be followed exactly: nothing else is allowed, and everything is required.
fn exactly(item: &Item<'_>, schema: &Value, what: &str) -> Result<(), Mistake> {
    if schema.get("additionalProperties") != Some(&Value::Bool(false)) {
        let why = format!(
            "Invalid schema for {what}: In context=(), 'additionalProperties' is required to be supplied and to be false."
        );
        return Err(item.mistake(why));
    }
    let required = schema.get("required").and_then(Value::as_array);
    let properties = schema.get("properties").and_then(Value::as_object);
    let missing = properties
        .into_iter()
        .flatten()
        .find(|(name, _)| !required.is_some_and(|required| required.iter().any(|entry| entry == name.as_str())));
    match missing {
        Some((name, _)) => Err(item.mistake(format!(
            "Invalid schema for {what}: In context=(), 'required' is required to be supplied and to be an array \
             including every key in properties. Missing '{name}'."
        ))),
        None => Ok(()),
    }
}

pub(super) fn choice_word(item: &Item<'_>, word: &str) -> Result<ToolChoice, Mistake> {
    match word {
        "auto" => Ok(ToolChoice::Auto),
        "none" => Ok(ToolChoice::None),
        "required" => Ok(ToolChoice::Required),
        other => Err(item.mistake(format!(
            "Invalid value: '{other}'. Supported values are: 'none', 'auto', and 'required'."
        ))),
    }
}

/// The one function that must be called.
pub(super) fn chosen(item: &Item<'_>, name: String, tools: &[Tool]) -> Result<ToolChoice, Mistake> {
    if tools.iter().any(|tool| tool.name == name) {
        return Ok(ToolChoice::Function(name));
    }
    Err(item.mistake(format!("Tool choice '{name}' not found in 'tools' parameter.")))
}

/// An image is elsewhere or here; other places do not exist.
pub(super) fn image_url(at: &str, url: &str) -> Result<(), Mistake> {
    let inline = url
        .strip_prefix("data:image/")
        .and_then(|rest| rest.split_once(";base64,"));
    if url.starts_with("https://") || url.starts_with("http://") {
        return Ok(());
    }
    match inline {
        Some((_, data)) if super::super::is_base64(data) => Ok(()),
        _ => Err(Mistake::new(
            at,
            "expected a URL of http, https, or data with an image in base64",
        )),
    }
}

/// Refuses what nobody took, where that is wanted.
pub(super) fn finish(fields: Fields<'_>, strict: bool) -> Result<(), Mistake> {
    if strict { fields.finish() } else { Ok(()) }
}

//! Reads tools and the choice among them.

use serde_json::value::RawValue;

use super::super::json::{Fields, invalid, text};
use crate::RequestError;
use crate::conversation::{Extra, Named, Tool, ToolChoice};

/// Reads the list of tools. Only functions have a counterpart elsewhere: tools that OpenAI runs itself are extras.
pub(super) fn read(list: &[&RawValue], extras: &mut Vec<Extra>) -> Result<Vec<Tool>, RequestError> {
    let mut tools = Vec::with_capacity(list.len());
    for (index, raw) in list.iter().enumerate() {
        let at = format!("tools[{index}]");
        let mut fields = Fields::of(raw, at.as_str())?;
        if fields.required_string("type")? != "function" {
            extras.push(Extra {
                field: at.into(),
                value: (*raw).to_owned(),
            });
            continue;
        }
        let tool = Tool {
            name: fields.required_string("name")?,
            description: fields.string("description")?,
            parameters: fields.take("parameters")?.map(ToOwned::to_owned),
            strict: fields.boolean("strict")?,
            cache: None,
            at: at.into(),
        };
        fields.discard(|key, json| matches!((key, json), ("defer_loading" | "async", "false")));
        fields.rest(extras);
        tools.push(tool);
    }
    Ok(tools)
}

/// Reads the choice. One of a tool that OpenAI runs, or of several, is an extra.
pub(super) fn choice(raw: &RawValue, extras: &mut Vec<Extra>) -> Result<Option<Named<ToolChoice>>, RequestError> {
    const FIELD: &str = "tool_choice";
    if let Some(word) = text(raw) {
        let choice = match word.as_str() {
            "auto" => ToolChoice::Auto,
            "none" => ToolChoice::None,
            "required" => ToolChoice::Required,
            _ => return Err(invalid(FIELD, "auto, none, required or an object")),
        };
        return Ok(Some(Named::new(FIELD, choice)));
    }
    let mut fields = Fields::of(raw, FIELD)?;
    if fields.required_string("type")? != "function" {
        extras.push(Extra {
            field: FIELD.into(),
            value: raw.to_owned(),
        });
        return Ok(None);
    }
    let choice = ToolChoice::Function(fields.required_string("name")?);
    fields.rest(extras);
    Ok(Some(Named::new(FIELD, choice)))
}

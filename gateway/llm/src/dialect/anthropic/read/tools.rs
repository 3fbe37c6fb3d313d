//! Functions, and whether to call them.

use super::{content, extra};
use crate::RequestError;
use crate::conversation::{Extra, Named, Request, Tool, ToolChoice};
use crate::dialect::json::{Fields, list, text};

/// Takes the tools. Those that Anthropic itself runs, or whose form it defines, are extras.
pub(super) fn tools(top: &mut Fields<'_>, extras: &mut Vec<Extra>) -> Result<Vec<Tool>, RequestError> {
    let mut tools = Vec::new();
    for (index, raw) in top.list("tools")?.unwrap_or_default().into_iter().enumerate() {
        let mut fields = Fields::of(raw, format!("tools[{index}]"))?;
        match fields.string("type")?.as_deref() {
            None | Some("custom") => tools.push(tool(fields, extras)?),
            Some(_) => extras.push(extra(fields.at(), raw)),
        }
    }
    Ok(tools)
}

fn tool(mut fields: Fields<'_>, extras: &mut Vec<Extra>) -> Result<Tool, RequestError> {
    let schema = fields.require("input_schema")?;
    if !schema.get().starts_with('{') {
        return Err(fields.wrong("input_schema", "an object"));
    }
    let tool = Tool {
        name: fields.required_string("name")?,
        description: fields.string("description")?,
        parameters: Some(schema.to_owned()),
        strict: fields.boolean("strict")?,
        cache: content::cache(&mut fields, extras)?,
        at: fields.at().into(),
    };
    // Only says in how large pieces arguments are streamed.
    fields.boolean("eager_input_streaming")?;
    if let Some(raw) = fields.take("defer_loading")?
        && raw.get() != "false"
    {
        extras.push(extra(fields.place("defer_loading"), raw));
    }
    if let Some(raw) = fields.take("allowed_callers")? {
        let callers: Vec<_> = list(raw).unwrap_or_default().into_iter().map(text).collect();
        if !matches!(callers.as_slice(), [Some(only)] if only == "direct") {
            extras.push(extra(fields.place("allowed_callers"), raw));
        }
    }
    fields.rest(extras);
    Ok(tool)
}

/// Takes the choice, and whether several calls are allowed at once.
pub(super) fn choice(top: &mut Fields<'_>, request: &mut Request, extras: &mut Vec<Extra>) -> Result<(), RequestError> {
    let Some(mut fields) = top.object("tool_choice")? else {
        return Ok(());
    };
    let choice = match fields.required_string("type")?.as_str() {
        "auto" => ToolChoice::Auto,
        "any" => ToolChoice::Required,
        "none" => ToolChoice::None,
        "tool" => ToolChoice::Function(fields.required_string("name")?),
        _ => return Err(fields.wrong("type", "'auto', 'any', 'tool' or 'none'")),
    };
    request.tool_choice = Some(Named::new("tool_choice", choice));
    request.parallel_tool_calls = fields
        .boolean("disable_parallel_tool_use")?
        .map(|disabled| Named::new("tool_choice.disable_parallel_tool_use", !disabled));
    fields.rest(extras);
    Ok(())
}

//! Functions, and whether to call them.

use std::borrow::Cow;

use serde::Serialize;
use serde_json::value::RawValue;

use super::schema;
use crate::conversation::{Report, Request, Tool, ToolChoice};
use crate::dialect::anthropic::blocks::WireCache;
use crate::dialect::anthropic::model::Abilities;

/// A function.
#[derive(Debug, Serialize)]
pub(super) struct WireTool<'a> {
    name: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    description: Option<&'a str>,
    /// There is none only if it could not be written, which the type of JSON rules out.
    input_schema: Option<Cow<'a, RawValue>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    strict: Option<bool>,
    #[serde(skip_serializing_if = "Option::is_none")]
    cache_control: Option<WireCache<'a>>,
}

impl<'a> From<&'a Tool> for WireTool<'a> {
    fn from(tool: &'a Tool) -> Self {
        Self {
            name: &tool.name,
            description: tool.description.as_deref(),
            input_schema: schema::of_arguments(tool.parameters.as_deref()),
            strict: tool.strict,
            cache_control: tool.cache.as_ref().map(Into::into),
        }
    }
}

/// Whether to call functions.
#[derive(Debug, Serialize)]
pub(super) struct WireChoice<'a> {
    r#type: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    name: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    disable_parallel_tool_use: Option<bool>,
}

impl WireChoice<'_> {
    /// Whether a call is demanded.
    pub(super) fn forces(&self) -> bool {
        matches!(self.r#type, "any" | "tool")
    }
}

/// Writes the choice. Without functions there is nothing to choose, and Anthropic takes none.
pub(super) fn choice<'a>(request: &'a Request, abilities: &Abilities, report: &mut Report) -> Option<WireChoice<'a>> {
    if request.tools.is_empty() {
        if let Some(choice) = &request.tool_choice
            && matches!(choice.value, ToolChoice::Required | ToolChoice::Function(_))
        {
            report.add(choice.field);
        }
        return None;
    }
    let choice = request.tool_choice.as_ref().filter(|choice| {
        let allowed = abilities.forced_tools || !matches!(choice.value, ToolChoice::Required | ToolChoice::Function(_));
        if !allowed {
            report.add(choice.field);
        }
        allowed
    });
    let parallel = request.parallel_tool_calls.map(|parallel| parallel.value);
    let (r#type, name) = match choice.map(|choice| &choice.value) {
        None if parallel == Some(false) => ("auto", None),
        None => return None,
        Some(ToolChoice::Auto) => ("auto", None),
        Some(ToolChoice::None) => ("none", None),
        Some(ToolChoice::Required) => ("any", None),
        Some(ToolChoice::Function(name)) => ("tool", Some(name.as_str())),
    };
    Some(WireChoice {
        r#type,
        name,
        // Where no call may come, there is no field for how many.
        disable_parallel_tool_use: parallel.filter(|_| r#type != "none").map(|parallel| !parallel),
    })
}

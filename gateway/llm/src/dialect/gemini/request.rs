//! Requests.

use serde::Serialize;

use super::config::{self, GenerationConfig};
use super::content::{self, Content, Contents};
use crate::conversation::{Json, Report, Request, Tool, ToolChoice};
use crate::dialect::Target;

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Body<'a> {
    contents: Vec<Content<'a>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    system_instruction: Option<Content<'a>>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    tools: Vec<Tools<'a>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    tool_config: Option<ToolConfig<'a>>,
    #[serde(skip_serializing_if = "GenerationConfig::is_empty")]
    generation_config: GenerationConfig<'a>,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Tools<'a> {
    function_declarations: Vec<Declaration<'a>>,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Declaration<'a> {
    name: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    description: Option<&'a str>,
    /// Takes JSON Schema as it is, while `parameters` is a message of its own that refuses what it does not know.
    #[serde(skip_serializing_if = "Option::is_none")]
    parameters_json_schema: Option<&'a Json>,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct ToolConfig<'a> {
    function_calling_config: CallingConfig<'a>,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct CallingConfig<'a> {
    mode: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    allowed_function_names: Option<[&'a str; 1]>,
}

pub(super) fn write(request: &Request, target: &Target<'_>, report: &mut Report) -> Vec<u8> {
    let Contents { system, contents } = content::write(request, target, report);
    let body = Body {
        contents,
        system_instruction: system,
        tools: tools(&request.tools),
        tool_config: tool_config(request),
        generation_config: config::write(request, target, report),
    };
    if let Some(user) = &request.user {
        report.add(user.field);
    }
    if request.tools.is_empty() {
        if let Some(choice) = request.tool_choice.as_ref().filter(|choice| demands(&choice.value)) {
            report.add(choice.field);
        }
    } else if let Some(parallel) = request.parallel_tool_calls.filter(|parallel| !parallel.value) {
        // Gemini calls several functions at once as it likes.
        report.add(parallel.field);
    }
    for extra in &request.extras {
        report.add(extra.field.clone());
    }
    // Strings, numbers and JSON that was parsed before always serialise.
    serde_json::to_vec(&body).unwrap_or_default()
}

const fn demands(choice: &ToolChoice) -> bool {
    matches!(choice, ToolChoice::Required | ToolChoice::Function(_))
}

fn tools(tools: &[Tool]) -> Vec<Tools<'_>> {
    if tools.is_empty() {
        return Vec::new();
    }
    let function_declarations = tools
        .iter()
        .map(|tool| Declaration {
            name: &tool.name,
            description: tool.description.as_deref(),
            parameters_json_schema: tool.parameters.as_ref(),
        })
        .collect();
    vec![Tools { function_declarations }]
}

/// Without functions there is nothing to choose.
fn tool_config(request: &Request) -> Option<ToolConfig<'_>> {
    if request.tools.is_empty() {
        return None;
    }
    let strict = request.tools.iter().any(|tool| tool.strict == Some(true));
    let (mode, name) = match request.tool_choice.as_ref().map(|choice| &choice.value) {
        None | Some(ToolChoice::Auto) if strict => ("VALIDATED", None),
        None => return None,
        Some(ToolChoice::Auto) => ("AUTO", None),
        Some(ToolChoice::None) => ("NONE", None),
        Some(ToolChoice::Required) => ("ANY", None),
        Some(ToolChoice::Function(name)) => ("ANY", Some([name.as_str()])),
    };
    Some(ToolConfig {
        function_calling_config: CallingConfig {
            mode,
            allowed_function_names: name,
        },
    })
}

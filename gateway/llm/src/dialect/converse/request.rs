//! Requests.

use std::borrow::Cow;

use serde::Serialize;
use serde_json::value::RawValue;

use super::blocks::{self, CachePoint, Message, System};
use super::family::{self, Additional, Fields};
use crate::conversation::{Format, Named, PartKind, Report, Request, Tool, ToolChoice};
use crate::dialect::Target;
use crate::dialect::anthropic::write::schema;

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Body<'a> {
    messages: Vec<Message<'a>>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    system: Vec<System<'a>>,
    #[serde(skip_serializing_if = "InferenceConfig::is_empty")]
    inference_config: InferenceConfig<'a>,
    #[serde(skip_serializing_if = "Option::is_none")]
    tool_config: Option<ToolConfig<'a>>,
    #[serde(skip_serializing_if = "Additional::is_empty")]
    additional_model_request_fields: Additional,
    #[serde(skip_serializing_if = "Option::is_none")]
    output_config: Option<OutputConfig<'a>>,
}

#[derive(Default, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
struct InferenceConfig<'a> {
    #[serde(skip_serializing_if = "Option::is_none")]
    max_tokens: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    temperature: Option<f64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    top_p: Option<f64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    stop_sequences: Option<&'a [String]>,
}

impl InferenceConfig<'_> {
    fn is_empty(&self) -> bool {
        *self == InferenceConfig::default()
    }
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct ToolConfig<'a> {
    tools: Vec<WireTool<'a>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    tool_choice: Option<WireChoice<'a>>,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
enum WireTool<'a> {
    ToolSpec(ToolSpec<'a>),
    CachePoint(CachePoint<'a>),
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct ToolSpec<'a> {
    name: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    description: Option<&'a str>,
    input_schema: InputSchema<'a>,
    #[serde(skip_serializing_if = "Option::is_none")]
    strict: Option<bool>,
}

#[derive(Serialize)]
struct InputSchema<'a> {
    /// There is none only if it could not be written, which the type of JSON rules out.
    json: Option<Cow<'a, RawValue>>,
}

#[derive(Serialize)]
struct Empty {}

#[derive(Serialize)]
#[serde(rename_all = "lowercase")]
enum WireChoice<'a> {
    Auto(Empty),
    Any(Empty),
    Tool { name: &'a str },
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct OutputConfig<'a> {
    #[serde(skip_serializing_if = "Option::is_none")]
    text_format: Option<TextFormat<'a>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    effort: Option<&'static str>,
}

#[derive(Serialize)]
struct TextFormat<'a> {
    r#type: &'static str,
    structure: Structure<'a>,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Structure<'a> {
    json_schema: SchemaText<'a>,
}

#[derive(Serialize)]
struct SchemaText<'a> {
    /// JSON as text.
    schema: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    name: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    description: Option<&'a str>,
}

pub(super) fn write(request: &Request, target: &Target<'_>, report: &mut Report) -> Vec<u8> {
    let blocks::Messages { system, messages } = blocks::write(request, report);
    let fields = family::fields(request, target, report);
    let tool_config = tool_config(request, fields.forced_tools, report);
    let Fields {
        additional,
        effort,
        max_tokens,
        temperature,
        top_p,
        ..
    } = fields;
    let text_format = text_format(request, report);
    let output_config = OutputConfig { text_format, effort };
    let body = Body {
        messages,
        system,
        inference_config: InferenceConfig {
            max_tokens,
            temperature,
            top_p,
            stop_sequences: request.stop.as_ref().map(|stop| stop.value.as_slice()),
        },
        tool_config,
        additional_model_request_fields: additional,
        output_config: (output_config.text_format.is_some() || output_config.effort.is_some()).then_some(output_config),
    };
    report_the_rest(request, report);
    // Strings, numbers and JSON that was parsed before always serialise.
    serde_json::to_vec(&body).unwrap_or_default()
}

fn tool_config<'a>(request: &'a Request, forced_tools: bool, report: &mut Report) -> Option<ToolConfig<'a>> {
    let can_force = forced_tools && !request.tools.is_empty();
    let tool_choice = match request.tool_choice.as_ref() {
        None => None,
        Some(Named { value, field }) => match value {
            ToolChoice::Required | ToolChoice::Function(_) if !can_force => {
                report.add(*field);
                None
            }
            ToolChoice::Auto => Some(WireChoice::Auto(Empty {})),
            ToolChoice::Required => Some(WireChoice::Any(Empty {})),
            ToolChoice::Function(name) => Some(WireChoice::Tool { name }),
            ToolChoice::None if !has_calls(request) => return None,
            ToolChoice::None => {
                report.add(*field);
                None
            }
        },
    };
    if request.tools.is_empty() {
        return None;
    }
    let mut tools = Vec::with_capacity(request.tools.len());
    for tool in &request.tools {
        tools.push(WireTool::ToolSpec(spec(tool)));
        if let Some(cache) = &tool.cache {
            tools.push(WireTool::CachePoint(CachePoint::new(cache)));
        }
    }
    Some(ToolConfig { tools, tool_choice })
}

fn has_calls(request: &Request) -> bool {
    let mut parts = request.messages.iter().flat_map(|message| &message.parts);
    parts.any(|part| matches!(part.kind, PartKind::ToolCall(_) | PartKind::ToolResult(_)))
}

fn spec(tool: &Tool) -> ToolSpec<'_> {
    ToolSpec {
        name: &tool.name,
        description: tool.description.as_deref().filter(|text| !text.is_empty()),
        input_schema: InputSchema {
            // Converse wants the same of a schema as Anthropic: that it is there, and says that it is of an object.
            json: schema::of_arguments(tool.parameters.as_deref()),
        },
        strict: tool.strict.filter(|strict| *strict),
    }
}

fn text_format<'a>(request: &'a Request, report: &mut Report) -> Option<TextFormat<'a>> {
    let Named { field, value } = request.format.as_ref()?;
    let schema = match value {
        Format::Text => return None,
        Format::JsonObject => {
            report.add(*field);
            return None;
        }
        Format::JsonSchema(schema) => schema,
    };
    Some(TextFormat {
        r#type: "json_schema",
        structure: Structure {
            json_schema: SchemaText {
                schema: schema.schema.get(),
                name: schema.name.as_deref(),
                description: schema.description.as_deref(),
            },
        },
    })
}

fn report_the_rest(request: &Request, report: &mut Report) {
    let sampling = &request.sampling;
    let fields = [
        // A penalty of zero is none.
        sampling
            .presence_penalty
            .filter(|value| value.value != 0.0)
            .map(|value| value.field),
        sampling
            .frequency_penalty
            .filter(|value| value.value != 0.0)
            .map(|value| value.field),
        sampling.seed.map(|value| value.field),
        sampling
            .logprobs
            .filter(|wanted| wanted.value)
            .map(|wanted| wanted.field),
        sampling.top_logprobs.filter(|top| top.value > 0).map(|top| top.field),
        request.n.filter(|n| n.value != 1).map(|n| n.field),
        request
            .parallel_tool_calls
            .filter(|parallel| !parallel.value && !request.tools.is_empty())
            .map(|parallel| parallel.field),
        request.user.as_ref().map(|user| user.field),
    ];
    for field in fields.into_iter().flatten() {
        report.add(field);
    }
    for extra in &request.extras {
        report.add(extra.field.clone());
    }
}

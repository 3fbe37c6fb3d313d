//! What a response shows again of its request: the values that were in effect, as far as they are known.

use serde::Serialize;
use serde::ser::{SerializeMap, Serializer};
use serde_json::value::RawValue;

use super::request::kept;
use crate::conversation::{Effort, Format, Json, JsonSchema, PartKind, Reasoning, Request, Tool, ToolChoice};

/// The fields of a response that come from its request.
#[derive(Debug, Serialize)]
pub(super) struct Echo<'a> {
    background: bool,
    instructions: Option<&'a str>,
    max_output_tokens: Option<u64>,
    max_tool_calls: Option<u64>,
    metadata: Option<&'a RawValue>,
    parallel_tool_calls: bool,
    previous_response_id: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    prompt_cache_key: Option<&'a RawValue>,
    reasoning: EchoedReasoning<'a>,
    #[serde(skip_serializing_if = "Option::is_none")]
    safety_identifier: Option<&'a str>,
    service_tier: &'static str,
    store: bool,
    temperature: Option<f64>,
    text: Text<'a>,
    tool_choice: Choice<'a>,
    tools: Vec<Function<'a>>,
    top_logprobs: u64,
    top_p: Option<f64>,
    truncation: &'static str,
    user: Option<&'a str>,
}

#[derive(Debug, Serialize)]
struct EchoedReasoning<'a> {
    effort: Option<&'static str>,
    summary: Option<&'a RawValue>,
}

#[derive(Debug, Serialize)]
struct Text<'a> {
    format: TextFormat<'a>,
}

#[derive(Debug, Serialize)]
#[serde(tag = "type", rename_all = "snake_case")]
enum TextFormat<'a> {
    Text,
    JsonObject,
    JsonSchema {
        description: Option<&'a str>,
        name: &'a str,
        schema: &'a Json,
        strict: bool,
    },
}

#[derive(Debug)]
struct Choice<'a>(Option<&'a ToolChoice>);

impl Serialize for Choice<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match self.0 {
            None | Some(ToolChoice::Auto) => serializer.serialize_str("auto"),
            Some(ToolChoice::None) => serializer.serialize_str("none"),
            Some(ToolChoice::Required) => serializer.serialize_str("required"),
            Some(ToolChoice::Function(name)) => {
                let mut map = serializer.serialize_map(Some(2))?;
                map.serialize_entry("type", "function")?;
                map.serialize_entry("name", name)?;
                map.end()
            }
        }
    }
}

#[derive(Debug, Serialize)]
#[serde(tag = "type", rename = "function")]
struct Function<'a> {
    description: Option<&'a str>,
    name: &'a str,
    parameters: Option<&'a Json>,
    strict: Option<bool>,
}

impl<'a> Echo<'a> {
    pub(super) fn of(request: &'a Request) -> Self {
        let user = |field| {
            let user = request.user.as_ref().filter(|user| user.field == field);
            user.map(|user| user.value.as_str())
        };
        let sampling = &request.sampling;
        Self {
            background: false,
            instructions: instructions(request),
            max_output_tokens: request.max_tokens.map(|limit| limit.value),
            max_tool_calls: None,
            metadata: kept(&request.echo, "metadata"),
            parallel_tool_calls: request.parallel_tool_calls.is_none_or(|parallel| parallel.value),
            previous_response_id: None,
            prompt_cache_key: kept(&request.echo, "prompt_cache_key"),
            reasoning: EchoedReasoning {
                effort: request.reasoning.and_then(|reasoning| effort(reasoning.value)),
                summary: kept(&request.echo, "reasoning.summary"),
            },
            safety_identifier: user("safety_identifier"),
            service_tier: "default",
            store: false,
            temperature: sampling.temperature.map(|temperature| temperature.value),
            text: Text {
                format: format(request),
            },
            tool_choice: Choice(request.tool_choice.as_ref().map(|choice| &choice.value)),
            tools: request.tools.iter().map(function).collect(),
            top_logprobs: sampling.top_logprobs.map_or(0, |count| count.value),
            top_p: sampling.top_p.map(|top_p| top_p.value),
            truncation: "disabled",
            user: user("user"),
        }
    }
}

fn instructions(request: &Request) -> Option<&str> {
    let first = request.messages.first().filter(|first| &*first.at == "instructions")?;
    match &first.parts.first()?.kind {
        PartKind::Text { text, .. } => Some(text),
        _ => None,
    }
}

/// The API's word. Requests in this dialect name efforts only.
const fn effort(reasoning: Reasoning) -> Option<&'static str> {
    match reasoning {
        Reasoning::Off => Some("none"),
        Reasoning::Effort(Effort::Minimal) => Some("minimal"),
        Reasoning::Effort(Effort::Low) => Some("low"),
        Reasoning::Effort(Effort::Medium) => Some("medium"),
        Reasoning::Effort(Effort::High) => Some("high"),
        Reasoning::Effort(Effort::ExtraHigh) => Some("xhigh"),
        Reasoning::Effort(Effort::Max) => Some("max"),
        Reasoning::Adaptive | Reasoning::Budget(_) => None,
    }
}

fn format(request: &Request) -> TextFormat<'_> {
    match request.format.as_ref().map(|format| &format.value) {
        None | Some(Format::Text) => TextFormat::Text,
        Some(Format::JsonObject) => TextFormat::JsonObject,
        Some(Format::JsonSchema(JsonSchema {
            name,
            description,
            schema,
            strict,
        })) => TextFormat::JsonSchema {
            description: description.as_deref(),
            name: name.as_deref().unwrap_or_default(),
            schema,
            strict: strict.unwrap_or(false),
        },
    }
}

fn function(tool: &Tool) -> Function<'_> {
    Function {
        description: tool.description.as_deref(),
        name: &tool.name,
        parameters: tool.parameters.as_ref(),
        strict: tool.strict,
    }
}

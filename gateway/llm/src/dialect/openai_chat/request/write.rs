//! Writes a request for a provider.

use std::collections::BTreeMap;

use serde::Serialize;
use serde_json::value::RawValue;

use super::turns::{self, WireMessage};
use crate::conversation::{Effort, Format, JsonSchema, Named, Reasoning, Report, Request, Role, Tool, ToolChoice};
use crate::dialect::json::encode;
use crate::dialect::{ChatFlavor, Target};

/// Most stop texts that OpenAI takes.
const MOST_STOPS: usize = 4;

/// Extras of other client dialects that mean the same here: their field and ours.
const SHARED_EXTRAS: [(&str, &str); 7] = [
    ("logit_bias", "logit_bias"),
    ("prompt_cache_key", "prompt_cache_key"),
    ("prompt_cache_retention", "prompt_cache_retention"),
    ("safety_identifier", "safety_identifier"),
    ("service_tier", "service_tier"),
    ("text.verbosity", "verbosity"),
    ("verbosity", "verbosity"),
];

/// OpenAI's tiers. Anthropic has a field of the same name with other values.
const TIERS: [&str; 6] = [
    r#""auto""#,
    r#""default""#,
    r#""flex""#,
    r#""scale""#,
    r#""priority""#,
    r#""fast""#,
];

#[derive(Serialize)]
struct WireRequest<'a> {
    model: &'a str,
    messages: Vec<WireMessage<'a>>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    tools: Vec<WireTool<'a>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    tool_choice: Option<WireChoice<'a>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    parallel_tool_calls: Option<bool>,
    #[serde(skip_serializing_if = "Option::is_none")]
    max_tokens: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    max_completion_tokens: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    temperature: Option<f64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    top_p: Option<f64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    top_k: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    presence_penalty: Option<f64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    frequency_penalty: Option<f64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    seed: Option<i64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    logprobs: Option<bool>,
    #[serde(skip_serializing_if = "Option::is_none")]
    top_logprobs: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    stop: Option<&'a [String]>,
    #[serde(skip_serializing_if = "Option::is_none")]
    n: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    response_format: Option<WireFormat<'a>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    reasoning_effort: Option<&'static str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    user: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    stream: Option<bool>,
    #[serde(skip_serializing_if = "Option::is_none")]
    stream_options: Option<StreamOptions>,
    #[serde(flatten)]
    extras: BTreeMap<&'static str, &'a RawValue>,
}

#[derive(Serialize)]
struct StreamOptions {
    include_usage: bool,
}

#[derive(Serialize)]
struct WireTool<'a> {
    r#type: &'static str,
    function: WireFunction<'a>,
}

#[derive(Serialize)]
struct WireFunction<'a> {
    name: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    description: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    parameters: Option<&'a RawValue>,
    #[serde(skip_serializing_if = "Option::is_none")]
    strict: Option<bool>,
}

#[derive(Serialize)]
#[serde(untagged)]
enum WireChoice<'a> {
    Word(&'static str),
    Function {
        r#type: &'static str,
        function: ChosenFunction<'a>,
    },
}

#[derive(Serialize)]
struct ChosenFunction<'a> {
    name: &'a str,
}

#[derive(Serialize)]
#[serde(tag = "type", rename_all = "snake_case")]
enum WireFormat<'a> {
    Text,
    JsonObject,
    JsonSchema { json_schema: WireSchema<'a> },
}

#[derive(Serialize)]
struct WireSchema<'a> {
    name: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    description: Option<&'a str>,
    schema: &'a RawValue,
    #[serde(skip_serializing_if = "Option::is_none")]
    strict: Option<bool>,
}

/// Writes a request, and reports what the wire has no place for.
pub(in crate::dialect::openai_chat) fn write(request: &Request, target: &Target<'_>, report: &mut Report) -> Vec<u8> {
    let compatible = target.chat == ChatFlavor::Compatible;
    let sampling = &request.sampling;
    let most = value(request.max_tokens.as_ref());
    if let Some(top_k) = sampling.top_k.filter(|_| !compatible) {
        report.add(top_k.field);
    }
    let wire = WireRequest {
        model: target.model,
        messages: turns::write(&request.messages, target.chat, report),
        tools: request.tools.iter().map(tool).collect(),
        tool_choice: request.tool_choice.as_ref().map(|choice| choice_of(&choice.value)),
        parallel_tool_calls: value(request.parallel_tool_calls.as_ref()).filter(|_| !request.tools.is_empty()),
        // OpenAI's newer models refuse the old name, and compatible servers may not know the new one.
        max_tokens: most.filter(|_| compatible),
        max_completion_tokens: most.filter(|_| !compatible),
        temperature: value(sampling.temperature.as_ref()),
        top_p: value(sampling.top_p.as_ref()),
        top_k: value(sampling.top_k.as_ref()).filter(|_| compatible),
        presence_penalty: value(sampling.presence_penalty.as_ref()),
        frequency_penalty: value(sampling.frequency_penalty.as_ref()),
        seed: value(sampling.seed.as_ref()),
        logprobs: value(sampling.logprobs.as_ref()),
        top_logprobs: value(sampling.top_logprobs.as_ref()),
        stop: stop(request, compatible, report),
        n: value(request.n.as_ref()),
        response_format: request.format.as_ref().map(|format| format_of(&format.value)),
        reasoning_effort: request.reasoning.and_then(|reasoning| effort(reasoning.value)),
        user: request.user.as_ref().map(|user| user.value.as_str()),
        stream: request.stream.then_some(true),
        // Asked for whatever the client wants: tokens are counted by it.
        stream_options: request.stream.then_some(StreamOptions { include_usage: true }),
        extras: extras(request, compatible, report),
    };
    encode(&wire)
}

fn value<T: Copy>(named: Option<&Named<T>>) -> Option<T> {
    named.map(|named| named.value)
}

fn stop<'a>(request: &'a Request, compatible: bool, report: &mut Report) -> Option<&'a [String]> {
    let stop = request.stop.as_ref()?;
    if stop.value.len() > MOST_STOPS && !compatible {
        report.add(stop.field);
        return None;
    }
    Some(&stop.value)
}

fn tool(tool: &Tool) -> WireTool<'_> {
    WireTool {
        r#type: "function",
        function: WireFunction {
            name: &tool.name,
            description: tool.description.as_deref(),
            parameters: tool.parameters.as_deref(),
            strict: tool.strict,
        },
    }
}

fn choice_of(choice: &ToolChoice) -> WireChoice<'_> {
    match choice {
        ToolChoice::Auto => WireChoice::Word("auto"),
        ToolChoice::None => WireChoice::Word("none"),
        ToolChoice::Required => WireChoice::Word("required"),
        ToolChoice::Function(name) => WireChoice::Function {
            r#type: "function",
            function: ChosenFunction { name },
        },
    }
}

fn format_of(format: &Format) -> WireFormat<'_> {
    match format {
        Format::Text => WireFormat::Text,
        Format::JsonObject => WireFormat::JsonObject,
        Format::JsonSchema(JsonSchema {
            name,
            description,
            schema,
            strict,
        }) => WireFormat::JsonSchema {
            json_schema: WireSchema {
                // The API demands one, and shows it to nobody but the model.
                name: name.as_deref().unwrap_or("answer"),
                description: description.as_deref(),
                schema,
                strict: *strict,
            },
        },
    }
}

/// The effort in the API's words; `None` for what happens without one.
const fn effort(reasoning: Reasoning) -> Option<&'static str> {
    Some(match reasoning {
        Reasoning::Off => "none",
        Reasoning::Adaptive => return None,
        Reasoning::Budget(0..4096) | Reasoning::Effort(Effort::Low) => "low",
        Reasoning::Budget(4096..16384) | Reasoning::Effort(Effort::Medium) => "medium",
        Reasoning::Budget(_) | Reasoning::Effort(Effort::High) => "high",
        Reasoning::Effort(Effort::Minimal) => "minimal",
        Reasoning::Effort(Effort::ExtraHigh) => "xhigh",
        Reasoning::Effort(Effort::Max) => "max",
    })
}

fn extras<'a>(request: &'a Request, compatible: bool, report: &mut Report) -> BTreeMap<&'static str, &'a RawValue> {
    let mut shared = BTreeMap::new();
    for extra in &request.extras {
        let ours = SHARED_EXTRAS.iter().find(|(field, _)| *field == &*extra.field);
        match ours.map(|(_, ours)| *ours) {
            Some("service_tier") if compatible || !TIERS.contains(&extra.value.get()) => {
                report.add(extra.field.clone());
            }
            Some(ours) => {
                shared.insert(ours, &*extra.value);
            }
            None => report.add(extra.field.clone()),
        }
    }
    shared
}

/// How instructions are spoken.
pub(super) const fn instructor(role: Role, flavor: ChatFlavor) -> &'static str {
    match (role, flavor) {
        // The templates of many open models know no developer.
        (Role::Developer, ChatFlavor::OpenAi) => "developer",
        _ => "system",
    }
}

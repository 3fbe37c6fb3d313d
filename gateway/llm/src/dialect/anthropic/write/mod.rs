//! Requests for Anthropic, from clients of other dialects.

mod content;
pub(in crate::dialect) mod controls;
pub(in crate::dialect) mod schema;
mod tools;
mod turns;

use serde::Serialize;

use super::blocks::Block;
use super::model::Abilities;
use crate::conversation::{Report, Request};
use crate::dialect::Target;
use crate::dialect::json::encode;
use controls::{OutputConfig, WireThinking};
use tools::{WireChoice, WireTool};
use turns::{Conversation, Turn};

#[derive(Serialize)]
struct Body<'a> {
    model: &'a str,
    max_tokens: u64,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    system: Vec<Block<'a>>,
    messages: Vec<Turn<'a>>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    tools: Vec<WireTool<'a>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    tool_choice: Option<WireChoice<'a>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    thinking: Option<WireThinking>,
    #[serde(skip_serializing_if = "Option::is_none")]
    output_config: Option<OutputConfig<'a>>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    stop_sequences: Vec<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    temperature: Option<f64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    top_p: Option<f64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    top_k: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    metadata: Option<Metadata<'a>>,
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    stream: bool,
}

#[derive(Serialize)]
struct Metadata<'a> {
    user_id: &'a str,
}

/// Writes a body. What the model does not take is reported.
pub(super) fn write(request: &Request, target: &Target<'_>, report: &mut Report) -> Vec<u8> {
    let abilities = Abilities::of(target.model);
    let conversation = turns::write(&request.messages, &abilities, report);
    let max_tokens = controls::max_tokens(request, target, &abilities);
    let tool_choice = tools::choice(request, &abilities, report);
    let no_budget = tool_choice.as_ref().is_some_and(WireChoice::forces) || conversation.goes_on_without_thought();
    let Conversation { system, turns } = conversation;
    let (thinking, effort) = controls::thinking(request, &abilities, max_tokens, no_budget, report);
    let (temperature, top_p, top_k) = controls::sampling(request, &abilities, thinking.as_ref(), report);
    controls::report_the_rest(request, report);
    encode(&Body {
        model: target.model,
        max_tokens,
        system,
        messages: turns,
        tools: request.tools.iter().map(WireTool::from).collect(),
        tool_choice,
        thinking,
        output_config: controls::output(request, effort, report),
        stop_sequences: controls::stop_sequences(request, report),
        temperature,
        top_p,
        top_k,
        metadata: request.user.as_ref().map(|user| Metadata { user_id: &user.value }),
        stream: request.stream,
    })
}

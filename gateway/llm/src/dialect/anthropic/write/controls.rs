//! How tokens are drawn, how much the model thinks, and the form of the answer.

use std::borrow::Cow;

use serde::Serialize;
use serde_json::value::RawValue;

use super::schema;
use crate::conversation::{Effort, Format, Named, Reasoning, Report, Request};
use crate::dialect::Target;
use crate::dialect::anthropic::model::{Abilities, Efforts, Off, Sampling, Thinking};

/// The least budget that Anthropic takes.
const LEAST_BUDGET: u64 = 1024;

/// How much the model thinks.
#[derive(Debug, Serialize)]
#[serde(tag = "type", rename_all = "snake_case")]
pub(in crate::dialect) enum WireThinking {
    Enabled { budget_tokens: u64 },
    Adaptive,
    Disabled,
    BetweenTools,
}

/// Effort and form.
#[derive(Debug, Serialize)]
pub(super) struct OutputConfig<'a> {
    #[serde(skip_serializing_if = "Option::is_none")]
    effort: Option<&'static str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    format: Option<WireFormat<'a>>,
}

#[derive(Debug, Serialize)]
struct WireFormat<'a> {
    r#type: &'static str,
    schema: Option<Cow<'a, RawValue>>,
}

/// The limit on tokens, which the dialect demands: the client's, else the target's, else one that the model accepts. A
/// budget for thinking comes on top of a limit that the client did not give, so that thinking leaves room to answer.
pub(in crate::dialect) fn max_tokens(request: &Request, target: &Target<'_>, abilities: &Abilities) -> u64 {
    if let Some(given) = request.max_tokens {
        return given.value;
    }
    let default = target.max_tokens.unwrap_or(abilities.max_tokens);
    match request.reasoning.map(|reasoning| reasoning.value) {
        Some(Reasoning::Budget(budget)) if target.max_tokens.is_none() => default.saturating_add(budget),
        _ => default,
    }
}

/// How much the model thinks, and the effort.
///
/// Degrees are steps of each provider's own scale: one that a model does not have becomes the next higher, or the
/// highest. For models that only take budgets a degree is a share of the limit on tokens, as OpenRouter documents it.
///
/// `no_budget`: a call is demanded, or the model is to go on after results of calls without the thought that led to them.
/// Anthropic's models refuse a budget then.
pub(in crate::dialect) fn thinking(
    request: &Request,
    abilities: &Abilities,
    max_tokens: u64,
    no_budget: bool,
    report: &mut Report,
) -> (Option<WireThinking>, Option<&'static str>) {
    let Some(Named { field, value }) = request.reasoning else {
        return (None, None);
    };
    let adaptive = abilities.thinking != Thinking::Budget;
    let (thinking, effort) = match value {
        Reasoning::Off => match abilities.off {
            Off::Disabled => (Some(WireThinking::Disabled), None),
            Off::BetweenTools => (Some(WireThinking::BetweenTools), None),
            Off::Never => (None, None),
        },
        Reasoning::Adaptive => (adaptive.then_some(WireThinking::Adaptive), None),
        Reasoning::Effort(effort) if abilities.efforts == Efforts::None => {
            (budget(share(effort, max_tokens), max_tokens), None)
        }
        Reasoning::Effort(effort) => (
            adaptive.then_some(WireThinking::Adaptive),
            Some(step(effort, abilities.efforts)),
        ),
        Reasoning::Budget(tokens) if abilities.thinking != Thinking::Adaptive => (budget(tokens, max_tokens), None),
        Reasoning::Budget(_) => (None, None),
    };
    let clashes = no_budget && matches!(thinking, Some(WireThinking::Enabled { .. })) && knows_limits(abilities);
    if thinking.is_none() || clashes {
        report.add(field);
        return (None, None);
    }
    (thinking, effort)
}

/// Whether the model has Anthropic's rules for what goes together.
fn knows_limits(abilities: &Abilities) -> bool {
    abilities.sampling != Sampling::Free
}

fn budget(tokens: u64, max_tokens: u64) -> Option<WireThinking> {
    (LEAST_BUDGET..max_tokens)
        .contains(&tokens)
        .then_some(WireThinking::Enabled { budget_tokens: tokens })
}

const fn share(effort: Effort, max_tokens: u64) -> u64 {
    let percent = match effort {
        Effort::Minimal => 10,
        Effort::Low => 20,
        Effort::Medium => 50,
        Effort::High => 80,
        Effort::ExtraHigh | Effort::Max => 95,
    };
    // Limits are far below 2^57; a larger one is capped, not wrapped.
    let tokens = max_tokens.saturating_mul(percent) / 100;
    if tokens < LEAST_BUDGET { LEAST_BUDGET } else { tokens }
}

const fn step(effort: Effort, efforts: Efforts) -> &'static str {
    match effort {
        Effort::Minimal | Effort::Low => "low",
        Effort::Medium => "medium",
        Effort::High => "high",
        Effort::ExtraHigh if matches!(efforts, Efforts::All) => "xhigh",
        Effort::ExtraHigh | Effort::Max => "max",
    }
}

/// `temperature`, `top_p` and `top_k`, as far as the model takes them. A value that is the default says nothing, and is
/// left out where the model takes none.
pub(in crate::dialect) fn sampling(
    request: &Request,
    abilities: &Abilities,
    thinking: Option<&WireThinking>,
    report: &mut Report,
) -> (Option<f64>, Option<f64>, Option<u64>) {
    let thinks = matches!(
        thinking,
        Some(WireThinking::Enabled { .. } | WireThinking::Adaptive | WireThinking::BetweenTools)
    );
    let fixed = abilities.sampling == Sampling::Fixed || (abilities.sampling == Sampling::OneOfTwo && thinks);
    let mut number = |given: Option<Named<f64>>, taken: bool| {
        let given = given?;
        // Anthropic's numbers end at 1, which is the default of both.
        let neutral = (given.value - 1.0).abs() < f64::EPSILON;
        if neutral && abilities.sampling != Sampling::Free {
            return None;
        }
        if given.value > 1.0 || !taken {
            report.add(given.field);
            return None;
        }
        Some(given.value)
    };
    let temperature = number(request.sampling.temperature, !fixed);
    let alone = abilities.sampling == Sampling::Free || temperature.is_none();
    let top_p = number(request.sampling.top_p, !fixed && alone);
    let top_k = request.sampling.top_k.and_then(|given| {
        if fixed {
            report.add(given.field);
        }
        (!fixed).then_some(given.value)
    });
    (temperature, top_p, top_k)
}

/// The effort and the form of the answer.
pub(super) fn output<'a>(
    request: &'a Request,
    effort: Option<&'static str>,
    report: &mut Report,
) -> Option<OutputConfig<'a>> {
    let format = request.format.as_ref().and_then(|format| match &format.value {
        Format::Text => None,
        // Anthropic has no JSON without a schema.
        Format::JsonObject => {
            report.add(format.field);
            None
        }
        Format::JsonSchema(schema) => Some(WireFormat {
            r#type: "json_schema",
            schema: schema::of_answer(schema),
        }),
    });
    (effort.is_some() || format.is_some()).then_some(OutputConfig { effort, format })
}

/// The stop texts. Anthropic refuses those that are only white space.
pub(super) fn stop_sequences<'a>(request: &'a Request, report: &mut Report) -> Vec<&'a str> {
    let Some(stop) = &request.stop else {
        return Vec::new();
    };
    let (taken, refused): (Vec<&str>, Vec<&str>) = (stop.value.iter())
        .map(String::as_str)
        .partition(|text| !text.trim().is_empty());
    if !refused.is_empty() {
        report.add(stop.field);
    }
    taken
}

/// Reports what the dialect has no field for.
pub(super) fn report_the_rest(request: &Request, report: &mut Report) {
    let sampling = &request.sampling;
    if let Some(n) = request.n.filter(|n| n.value != 1) {
        report.add(n.field);
    }
    for penalty in [sampling.presence_penalty, sampling.frequency_penalty] {
        // None at all is what Anthropic does.
        if let Some(penalty) = penalty.filter(|penalty| penalty.value != 0.0) {
            report.add(penalty.field);
        }
    }
    if let Some(seed) = sampling.seed {
        report.add(seed.field);
    }
    if let Some(logprobs) = sampling.logprobs.filter(|logprobs| logprobs.value) {
        report.add(logprobs.field);
    }
    if let Some(top) = sampling.top_logprobs.filter(|top| top.value != 0) {
        report.add(top.field);
    }
    for extra in &request.extras {
        report.add(&*extra.field);
    }
}

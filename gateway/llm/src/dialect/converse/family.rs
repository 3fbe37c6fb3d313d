//! What Converse has no field for, and families of models take in fields of their own.

use serde::Serialize;

use crate::conversation::{Effort, Named, Reasoning, Report, Request, ToolChoice};
use crate::dialect::Target;
use crate::dialect::anthropic::model::Abilities;
use crate::dialect::anthropic::write::controls::{self, WireThinking};

/// Who made a model, by its id: `us.anthropic.claude-sonnet-4-5-20250929-v1:0`. Ids of profiles and imported models do not
/// say it.
enum Family {
    /// With what the model takes.
    Claude(Abilities),
    Nova,
    GptOss,
    Other,
}

impl Family {
    fn of(model: &str) -> Self {
        if model.contains("anthropic.claude") {
            Self::Claude(Abilities::of(model))
        } else if model.contains("amazon.nova-") {
            Self::Nova
        } else if model.contains("openai.gpt-") {
            Self::GptOss
        } else {
            Self::Other
        }
    }
}

/// Fields of the model's own.
#[derive(Default, Serialize)]
pub(super) struct Additional {
    #[serde(skip_serializing_if = "Option::is_none")]
    thinking: Option<WireThinking>,
    #[serde(skip_serializing_if = "Option::is_none")]
    top_k: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    reasoning_effort: Option<&'static str>,
    #[serde(rename = "reasoningConfig", skip_serializing_if = "Option::is_none")]
    reasoning_config: Option<NovaReasoning>,
    #[serde(rename = "inferenceConfig", skip_serializing_if = "Option::is_none")]
    inference: Option<NovaInference>,
}

#[derive(Serialize)]
#[serde(tag = "type", rename_all = "lowercase")]
enum NovaReasoning {
    Disabled,
    Enabled {
        #[serde(rename = "maxReasoningEffort")]
        effort: &'static str,
    },
}

#[derive(Serialize)]
struct NovaInference {
    #[serde(rename = "topK")]
    top_k: u64,
}

/// What depends on the family.
#[derive(Default)]
pub(super) struct Fields {
    pub(super) additional: Additional,
    /// For `outputConfig`.
    pub(super) effort: Option<&'static str>,
    pub(super) max_tokens: Option<u64>,
    pub(super) temperature: Option<f64>,
    pub(super) top_p: Option<f64>,
    /// Whether the model can be made to call a function.
    pub(super) forced_tools: bool,
}

impl Additional {
    pub(super) const fn is_empty(&self) -> bool {
        matches!(
            self,
            Self {
                thinking: None,
                top_k: None,
                reasoning_effort: None,
                reasoning_config: None,
                inference: None,
            }
        )
    }
}

pub(super) fn fields(request: &Request, target: &Target<'_>, report: &mut Report) -> Fields {
    let family = Family::of(target.model);
    if let Family::Claude(abilities) = &family {
        return claude(request, target, abilities, report);
    }
    let temperature = request.sampling.temperature.and_then(|given| {
        // Converse goes up to 1, others up to 2; a smaller value would be another one than asked for.
        if given.value > 1.0 {
            report.add(given.field);
            return None;
        }
        Some(given.value)
    });
    let mut fields = Fields {
        max_tokens: request.max_tokens.map(|limit| limit.value).or(target.max_tokens),
        temperature,
        top_p: request.sampling.top_p.map(|value| value.value),
        forced_tools: true,
        ..Fields::default()
    };
    let additional = &mut fields.additional;
    if let Some(Named { field, value }) = request.sampling.top_k {
        match family {
            Family::Nova => additional.inference = Some(NovaInference { top_k: value }),
            _ => report.add(field),
        }
    }
    if let Some(Named { field, value }) = request.reasoning {
        match (family, value) {
            (Family::Nova, Reasoning::Off) => additional.reasoning_config = Some(NovaReasoning::Disabled),
            (Family::Nova, Reasoning::Effort(effort)) => {
                let effort = three_degrees(effort);
                additional.reasoning_config = Some(NovaReasoning::Enabled { effort });
            }
            (Family::GptOss, Reasoning::Effort(effort)) => additional.reasoning_effort = Some(three_degrees(effort)),
            _ => report.add(field),
        }
    }
    fields
}

/// Claude has the same rules here as at Anthropic itself, under other names.
fn claude(request: &Request, target: &Target<'_>, abilities: &Abilities, report: &mut Report) -> Fields {
    let forced = request
        .tool_choice
        .as_ref()
        .is_some_and(|choice| matches!(choice.value, ToolChoice::Required | ToolChoice::Function(_)));
    let limit = controls::max_tokens(request, target, abilities);
    let (thinking, effort) = controls::thinking(request, abilities, limit, forced && abilities.forced_tools, report);
    let (temperature, top_p, top_k) = controls::sampling(request, abilities, thinking.as_ref(), report);
    // Without thinking there is no limit that must be known; Bedrock's own is the model's.
    let max_tokens = match &thinking {
        None => request.max_tokens.map(|limit| limit.value).or(target.max_tokens),
        Some(_) => Some(limit),
    };
    Fields {
        additional: Additional {
            thinking,
            top_k,
            ..Additional::default()
        },
        effort,
        max_tokens,
        temperature,
        top_p,
        forced_tools: abilities.forced_tools,
    }
}

/// For families whose highest degree is `high`.
fn three_degrees(effort: Effort) -> &'static str {
    match effort {
        Effort::Minimal | Effort::Low => "low",
        Effort::Medium => "medium",
        Effort::High | Effort::ExtraHigh | Effort::Max => "high",
    }
}

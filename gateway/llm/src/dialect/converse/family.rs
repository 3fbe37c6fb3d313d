//! What Converse has no field for, and families of models take in fields of their own.

use serde::Serialize;

use crate::conversation::{Effort, Named, Reasoning, Report, Request};
use crate::dialect::Target;

/// Who made a model, by its id: `us.anthropic.claude-sonnet-4-5-20250929-v1:0`. Ids of profiles and imported models do not
/// say it.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Family {
    Claude {
        /// Takes an effort and thinks as much as it needs; budgets are for those before.
        adaptive: bool,
    },
    Nova,
    GptOss,
    Other,
}

impl Family {
    fn of(model: &str) -> Self {
        if let Some((_, name)) = model.split_once("anthropic.claude-") {
            return Self::Claude {
                adaptive: adaptive(name),
            };
        }
        if model.contains("amazon.nova-") {
            Self::Nova
        } else if model.contains("openai.gpt-") {
            Self::GptOss
        } else {
            Self::Other
        }
    }
}

/// Claude thinks adaptively from 4.6 on: `opus-4-6-v1`, `sonnet-5-…`, but not `sonnet-4-5-20250929-v1:0` or
/// `3-7-sonnet-20250219-v1:0`.
fn adaptive(name: &str) -> bool {
    let mut numbers = name
        .split(['-', ':'])
        .skip_while(|piece| piece.parse::<u32>().is_err())
        .map_while(|piece| piece.parse::<u32>().ok())
        // A date, not a version.
        .filter(|number| *number < 1_000);
    let version = (numbers.next().unwrap_or(0), numbers.next().unwrap_or(0));
    version >= (4, 6)
}

/// Fields of the model's own.
#[derive(Default, PartialEq, Serialize)]
pub(super) struct Additional {
    #[serde(skip_serializing_if = "Option::is_none")]
    thinking: Option<Thinking>,
    #[serde(skip_serializing_if = "Option::is_none")]
    top_k: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    reasoning_effort: Option<&'static str>,
    #[serde(rename = "reasoningConfig", skip_serializing_if = "Option::is_none")]
    reasoning_config: Option<NovaReasoning>,
    #[serde(rename = "inferenceConfig", skip_serializing_if = "Option::is_none")]
    inference: Option<NovaInference>,
}

#[derive(PartialEq, Serialize)]
#[serde(tag = "type", rename_all = "lowercase")]
enum Thinking {
    Disabled,
    Adaptive,
    Enabled { budget_tokens: u64 },
}

#[derive(PartialEq, Serialize)]
#[serde(tag = "type", rename_all = "lowercase")]
enum NovaReasoning {
    Disabled,
    Enabled {
        #[serde(rename = "maxReasoningEffort")]
        effort: &'static str,
    },
}

#[derive(PartialEq, Serialize)]
struct NovaInference {
    #[serde(rename = "topK")]
    top_k: u64,
}

/// What a family takes, and the effort for `outputConfig`.
pub(super) struct Fields {
    pub(super) additional: Additional,
    pub(super) effort: Option<&'static str>,
}

impl Additional {
    pub(super) fn is_empty(&self) -> bool {
        *self == Self::default()
    }
}

pub(super) fn fields(request: &Request, target: &Target<'_>, report: &mut Report) -> Fields {
    let family = Family::of(target.model);
    let mut fields = Fields {
        additional: Additional::default(),
        effort: None,
    };
    let additional = &mut fields.additional;
    if let Some(Named { field, value }) = request.sampling.top_k {
        match family {
            Family::Claude { .. } => additional.top_k = Some(value),
            Family::Nova => additional.inference = Some(NovaInference { top_k: value }),
            Family::GptOss | Family::Other => report.add(field),
        }
    }
    if let Some(Named { field, value }) = request.reasoning {
        match (family, value) {
            (Family::Claude { .. }, Reasoning::Off) => additional.thinking = Some(Thinking::Disabled),
            (Family::Claude { .. }, Reasoning::Budget(budget_tokens)) => {
                additional.thinking = Some(Thinking::Enabled { budget_tokens });
            }
            (Family::Claude { adaptive: true }, Reasoning::Adaptive) => additional.thinking = Some(Thinking::Adaptive),
            (Family::Claude { adaptive: true }, Reasoning::Effort(effort)) => {
                additional.thinking = Some(Thinking::Adaptive);
                fields.effort = Some(claude_effort(effort));
            }
            (Family::Claude { adaptive: false }, Reasoning::Effort(effort)) => {
                let budget_tokens = claude_budget(effort);
                additional.thinking = Some(Thinking::Enabled { budget_tokens });
            }
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

fn claude_effort(effort: Effort) -> &'static str {
    match effort {
        Effort::Minimal | Effort::Low => "low",
        Effort::Medium => "medium",
        Effort::High => "high",
        Effort::ExtraHigh => "xhigh",
        Effort::Max => "max",
    }
}

/// Budgets from the least that Claude takes to the most that its documentation advises without a batch.
fn claude_budget(effort: Effort) -> u64 {
    match effort {
        Effort::Minimal | Effort::Low => 1_024,
        Effort::Medium => 8_192,
        Effort::High => 16_384,
        Effort::ExtraHigh | Effort::Max => 32_000,
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn claude_thinks_adaptively_from_4_6_on() {
        for (model, adaptive) in [
            ("us.anthropic.claude-opus-4-6-v1", true),
            ("anthropic.claude-sonnet-5-20270101-v1:0", true),
            ("global.anthropic.claude-sonnet-4-5-20250929-v1:0", false),
            ("anthropic.claude-3-7-sonnet-20250219-v1:0", false),
            ("anthropic.claude-opus-4-20250514-v1:0", false),
        ] {
            assert!(Family::of(model) == Family::Claude { adaptive }, "{model}");
        }
        assert!(Family::of("eu.amazon.nova-pro-v1:0") == Family::Nova);
        assert!(Family::of("arn:aws:bedrock:us-east-1:1:application-inference-profile/abc") == Family::Other);
    }
}

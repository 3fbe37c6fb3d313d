//! How the answer is made: sampling, limits, its form, and reasoning.

use serde::Serialize;

use crate::conversation::{Effort, Format, Json, Reasoning, Report, Request};
use crate::dialect::Target;

#[derive(Default, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct GenerationConfig<'a> {
    #[serde(skip_serializing_if = "Option::is_none")]
    candidate_count: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    max_output_tokens: Option<u64>,
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
    seed: Option<i32>,
    #[serde(skip_serializing_if = "Option::is_none")]
    stop_sequences: Option<&'a [String]>,
    #[serde(skip_serializing_if = "Option::is_none")]
    response_logprobs: Option<bool>,
    #[serde(skip_serializing_if = "Option::is_none")]
    logprobs: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    response_mime_type: Option<&'static str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    response_json_schema: Option<Schema<'a>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    thinking_config: Option<ThinkingConfig>,
}

/// A schema, compared by its text.
#[derive(Serialize)]
#[serde(transparent)]
struct Schema<'a>(&'a Json);

impl PartialEq for Schema<'_> {
    fn eq(&self, other: &Self) -> bool {
        self.0.get() == other.0.get()
    }
}

#[derive(Default, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
struct ThinkingConfig {
    #[serde(skip_serializing_if = "Option::is_none")]
    include_thoughts: Option<bool>,
    #[serde(skip_serializing_if = "Option::is_none")]
    thinking_budget: Option<i64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    thinking_level: Option<&'static str>,
}

impl GenerationConfig<'_> {
    pub(super) fn is_empty(&self) -> bool {
        *self == GenerationConfig::default()
    }
}

pub(super) fn write<'a>(request: &'a Request, target: &Target<'_>, report: &mut Report) -> GenerationConfig<'a> {
    let sampling = &request.sampling;
    let seed = sampling
        .seed
        .and_then(|seed| i32::try_from(seed.value).map_err(|_| report.add(seed.field)).ok());
    let logprobs = sampling.logprobs.filter(|wanted| wanted.value).map(|_| true);
    let (response_mime_type, response_json_schema) = match request.format.as_ref().map(|format| &format.value) {
        None | Some(Format::Text) => (None, None),
        Some(Format::JsonObject) => (Some("application/json"), None),
        Some(Format::JsonSchema(schema)) => (Some("application/json"), Some(Schema(&schema.schema))),
    };
    GenerationConfig {
        candidate_count: request.n.map(|n| n.value),
        max_output_tokens: request.max_tokens.map(|limit| limit.value).or(target.max_tokens),
        temperature: sampling.temperature.map(|value| value.value),
        top_p: sampling.top_p.map(|value| value.value),
        top_k: sampling.top_k.map(|value| value.value),
        presence_penalty: sampling.presence_penalty.map(|value| value.value),
        frequency_penalty: sampling.frequency_penalty.map(|value| value.value),
        seed,
        stop_sequences: request.stop.as_ref().map(|stop| stop.value.as_slice()),
        response_logprobs: logprobs,
        logprobs: logprobs.and(sampling.top_logprobs).map(|top| top.value),
        response_mime_type,
        response_json_schema,
        thinking_config: request
            .reasoning
            .map(|reasoning| thinking(reasoning.value, generation(target.model))),
    }
}

/// Which generation of Gemini a model is of, by its name: 2 for `gemini-2.5-flash`. Names that do not say it, such as
/// those of tuned models and aliases, count as the newest.
pub(super) fn generation(model: &str) -> u32 {
    model
        .rsplit('/')
        .next()
        .and_then(|name| name.strip_prefix("gemini-"))
        .and_then(|rest| rest.split(['.', '-']).next())
        .and_then(|number| number.parse().ok())
        .unwrap_or(u32::MAX)
}

/// How much to think. What a model cannot do, such as to think not at all, it says itself.
fn thinking(reasoning: Reasoning, generation: u32) -> ThinkingConfig {
    let budget = |tokens: i64| ThinkingConfig {
        include_thoughts: Some(true),
        thinking_budget: Some(tokens),
        thinking_level: None,
    };
    match reasoning {
        Reasoning::Off => ThinkingConfig {
            include_thoughts: None,
            ..budget(0)
        },
        Reasoning::Adaptive if generation < 3 => budget(-1),
        Reasoning::Adaptive => ThinkingConfig {
            include_thoughts: Some(true),
            ..ThinkingConfig::default()
        },
        Reasoning::Budget(tokens) => budget(i64::try_from(tokens).unwrap_or(i64::MAX)),
        // The budgets that Google's own OpenAI-compatible endpoint gives to the degrees.
        Reasoning::Effort(effort) if generation < 3 => budget(match effort {
            Effort::Minimal | Effort::Low => 1_024,
            Effort::Medium => 8_192,
            Effort::High | Effort::ExtraHigh | Effort::Max => 24_576,
        }),
        Reasoning::Effort(effort) => ThinkingConfig {
            include_thoughts: Some(true),
            thinking_budget: None,
            thinking_level: Some(match effort {
                Effort::Minimal => "MINIMAL",
                Effort::Low => "LOW",
                Effort::Medium => "MEDIUM",
                // The highest level that all models with levels have.
                Effort::High | Effort::ExtraHigh | Effort::Max => "HIGH",
            }),
        },
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_generation_is_read_from_the_name_and_unknown_names_are_new() {
        for (model, expected) in [
            ("gemini-2.5-flash", 2),
            ("gemini-2.0-flash-001", 2),
            ("models/gemini-1.5-pro", 1),
            ("gemini-3-pro-preview", 3),
            ("gemini-3.8-flash", 3),
            ("gemini-flash-latest", u32::MAX),
            ("projects/p/locations/l/endpoints/123", u32::MAX),
            ("", u32::MAX),
        ] {
            assert_eq!(generation(model), expected, "{model}");
        }
    }
}

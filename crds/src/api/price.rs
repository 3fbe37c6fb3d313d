//! What a model costs, where the object says it itself.

use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;
use kube::KubeSchema;
use serde::{Deserialize, Serialize};

use crate::rules;

/// What a model costs, in dollars, each rate for a million tokens. A kind of token without a rate of its own costs what the kind
/// that it is part of costs.
#[derive(KubeSchema, Serialize, Deserialize, Clone, Debug, Default, PartialEq, Eq)]
#[serde(rename_all = "camelCase")]
pub struct ModelPrice {
    /// Rates of requests that no tier takes.
    #[serde(flatten)]
    pub rates: TokenRates,

    /// Each image of the input, in dollars, where images cost by the piece. Absent: they come as tokens.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 17))]
    #[x_kube(validation = rules::money("perImage"))]
    pub per_image: Option<String>,

    /// Each request, in dollars, beside its tokens. Absent: nothing.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 17))]
    #[x_kube(validation = rules::money("perRequest"))]
    pub per_request: Option<String>,

    /// Rates by the length of the input: a request whose input, with what was read from caches, has more tokens than a bound
    /// pays the rates of the highest such bound for all of its tokens.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 4))]
    pub tiers: Vec<LengthTier>,

    /// By how much all rates are multiplied for answers of the service tier `batch`, such as "0.5". Absent: by 1.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 17))]
    #[x_kube(validation = rules::money("batchMultiplier"))]
    pub batch_multiplier: Option<String>,

    /// By how much all rates are multiplied for answers of the service tier `flex`. Absent: by 1.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 17))]
    #[x_kube(validation = rules::money("flexMultiplier"))]
    pub flex_multiplier: Option<String>,

    /// By how much all rates are multiplied for answers of the service tier `priority`, such as "1.75". Absent: by 1.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 17))]
    #[x_kube(validation = rules::money("priorityMultiplier"))]
    pub priority_multiplier: Option<String>,
}

/// Rates in dollars for a million tokens.
#[derive(KubeSchema, Serialize, Deserialize, Clone, Debug, Default, PartialEq, Eq)]
pub struct TokenRates {
    /// Tokens of the input. "0" for a model that is free, such as one on a server of your own.
    #[serde(rename = "inputPerMTok")]
    #[schemars(length(max = 17))]
    #[x_kube(validation = rules::money("inputPerMTok"))]
    pub input: String,

    /// Tokens generated.
    #[serde(rename = "outputPerMTok")]
    #[schemars(length(max = 17))]
    #[x_kube(validation = rules::money("outputPerMTok"))]
    pub output: String,

    /// Tokens read from the provider's cache. Absent: as input.
    #[serde(default, skip_serializing_if = "Option::is_none", rename = "cachedInputPerMTok")]
    #[schemars(length(max = 17))]
    #[x_kube(validation = rules::money("cachedInputPerMTok"))]
    pub cached_input: Option<String>,

    /// Tokens written to the provider's cache for five minutes, or however long it keeps them. Absent: as input.
    #[serde(default, skip_serializing_if = "Option::is_none", rename = "cacheWritePerMTok")]
    #[schemars(length(max = 17))]
    #[x_kube(validation = rules::money("cacheWritePerMTok"))]
    pub cache_write: Option<String>,

    /// Tokens written to the provider's cache for an hour. Absent: as those written for less.
    #[serde(default, skip_serializing_if = "Option::is_none", rename = "cacheWrite1hPerMTok")]
    #[schemars(length(max = 17))]
    #[x_kube(validation = rules::money("cacheWrite1hPerMTok"))]
    pub cache_write_1h: Option<String>,

    /// Tokens of sound in the input. Absent: as input.
    #[serde(default, skip_serializing_if = "Option::is_none", rename = "inputAudioPerMTok")]
    #[schemars(length(max = 17))]
    #[x_kube(validation = rules::money("inputAudioPerMTok"))]
    pub input_audio: Option<String>,

    /// Generated tokens of hidden reasoning. Absent: as output.
    #[serde(default, skip_serializing_if = "Option::is_none", rename = "reasoningPerMTok")]
    #[schemars(length(max = 17))]
    #[x_kube(validation = rules::money("reasoningPerMTok"))]
    pub reasoning: Option<String>,

    /// Generated tokens of sound. Absent: as output.
    #[serde(default, skip_serializing_if = "Option::is_none", rename = "outputAudioPerMTok")]
    #[schemars(length(max = 17))]
    #[x_kube(validation = rules::money("outputAudioPerMTok"))]
    pub output_audio: Option<String>,
}

/// Rates of requests with a long input.
#[derive(KubeSchema, Serialize, Deserialize, Clone, Debug, Default, PartialEq, Eq)]
#[serde(rename_all = "camelCase")]
pub struct LengthTier {
    /// They hold for inputs of more tokens than this.
    #[schemars(range(min = 1, max = 1_000_000_000))]
    pub above_input_tokens: u64,

    /// The rates.
    #[serde(flatten)]
    pub rates: TokenRates,
}

/// A price that begins at some time.
#[derive(KubeSchema, Serialize, Deserialize, Clone, Debug, PartialEq, Eq)]
#[serde(rename_all = "camelCase")]
pub struct PriceChange {
    /// Requests that begin at this time or later pay it.
    pub from: Time,

    /// What the model costs from then on.
    pub price: ModelPrice,
}

//! What the ledger knows of one upstream attempt.

use serde::{Deserialize, Serialize};
use tokenweir_config::money::NanoUsd;
use tokenweir_llm::Usage;
use uuid::Uuid;

use crate::Text;

/// The most tokens of one kind that a row counts. No context window comes near it, and sums of a billion rows stay within
/// the integers of the databases, whatever a provider reports.
pub const MAX_TOKENS: u64 = 1_000_000_000;

/// What makes a row the same row when it is sent again.
///
/// The gateway makes the request's part itself. The `x-request-id` of a client cannot serve: a client that sends the
/// same one with each request would have all of them billed as one.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct RowId {
    /// The request, as the gateway names it; a version 7 UUID keeps the database's index in order of time.
    pub request: Uuid,
    /// The number of the attempt within the request, from 0.
    pub attempt: u16,
}

/// One attempt at one provider, and what it cost.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Row {
    /// What makes it the same row when it is sent again.
    pub id: RowId,
    /// When the attempt began: microseconds since 1970 in UTC. A row that is sent again has the same time.
    pub at_us: i64,
    /// The request's id in headers and logs, which may be the client's.
    pub request_id: Text,
    /// Whose money it is: the names of the tenant and all above it, from the top, joined with `/`.
    pub tenant: Text,
    /// The API key's name or id; none for a tenant known by other means.
    pub key: Option<Text>,
    /// Who made the client ask, in the client's words or as a [pseudonym](crate::Pseudonyms).
    pub end_user: Option<Text>,
    /// What it was for, in the client's words.
    pub operation: Option<Text>,
    /// The workflow that it was a step of, in the client's words.
    pub workflow: Option<Text>,
    /// The route that served it.
    pub route: Text,
    /// The provider that was asked.
    pub provider: Text,
    /// The provider's own name of the model.
    pub model: Text,
    /// What was asked of the wire, such as `chat` or `embeddings`.
    pub call: Text,
    /// Whether the answer was a stream.
    pub stream: bool,
    /// The tokens by kind.
    pub tokens: Tokens,
    /// Where the tokens are known from.
    pub usage: UsageSource,
    /// Which price was used; none where no price is known.
    pub price: Option<Text>,
    /// What it cost. None is not zero: the model has no price.
    pub cost: Option<NanoUsd>,
    /// What it did not cost.
    pub saved: Saved,
    /// From the attempt's start to its end, in microseconds.
    pub latency_us: u64,
    /// From the attempt's start to the first token of a stream, in microseconds.
    pub first_token_us: Option<u64>,
    /// The status of the provider's answer; none where no answer came.
    pub status: Option<u16>,
    /// How it ended.
    pub outcome: Outcome,
}

/// How an attempt ended.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Outcome {
    /// With a whole answer.
    Ok,
    /// The client went away. The tokens are those that were seen until then.
    ClientCut,
    /// With an error of this kind, such as `timeout` or `provider_5xx`.
    Error(Text),
}

/// Where the tokens of a row are known from.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum UsageSource {
    /// The provider reported them.
    Reported,
    /// The gateway counted or estimated them.
    Estimated,
    /// Nobody knows them, as for an attempt that never got an answer.
    Unknown,
}

/// What an attempt did not cost.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Saved {
    /// By caches, the provider's prompt cache among them: full price less the price paid.
    pub cache: NanoUsd,
    /// By joining the flight of an equal request.
    pub coalescing: NanoUsd,
}

/// Tokens by kind, as in [`Usage`]: what is not known is none, and none is not zero.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Tokens {
    /// Of the input, those read from and written to caches among them.
    pub prompt: Option<u64>,
    /// Generated, hidden reasoning among them.
    pub completion: Option<u64>,
    /// The provider's own total.
    pub total: Option<u64>,
    /// Of the input, read from the provider's cache.
    pub cached: Option<u64>,
    /// Of the input, written to the provider's cache.
    pub cache_write: Option<u64>,
    /// Of those, written for an hour.
    pub cache_write_1h: Option<u64>,
    /// Of the input, sound.
    pub input_audio: Option<u64>,
    /// Of the generated ones, hidden reasoning.
    pub reasoning: Option<u64>,
    /// Of the generated ones, sound.
    pub output_audio: Option<u64>,
}

impl From<Usage> for Tokens {
    /// The counts as they are, up to [`MAX_TOKENS`].
    fn from(usage: Usage) -> Self {
        let bounded = |count: Option<u64>| count.map(|count| count.min(MAX_TOKENS));
        Self {
            prompt: bounded(usage.prompt_tokens),
            completion: bounded(usage.completion_tokens),
            total: bounded(usage.total_tokens),
            cached: bounded(usage.cached_tokens),
            cache_write: bounded(usage.cache_write_tokens),
            cache_write_1h: bounded(usage.cache_write_1h_tokens),
            input_audio: bounded(usage.input_audio_tokens),
            reasoning: bounded(usage.reasoning_tokens),
            output_audio: bounded(usage.output_audio_tokens),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn counts_that_are_not_known_stay_unknown_and_impossible_ones_are_bounded() {
        let usage = Usage {
            prompt_tokens: Some(u64::MAX),
            completion_tokens: Some(0),
            ..Usage::default()
        };
        let tokens = Tokens::from(usage);
        assert_eq!(tokens.prompt, Some(MAX_TOKENS));
        assert_eq!(tokens.completion, Some(0));
        assert_eq!(tokens.cached, None);
    }
}

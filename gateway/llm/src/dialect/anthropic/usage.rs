//! Token counts, both ways.
//!
//! Anthropic counts what was read from the cache and what was written to it beside `input_tokens`; the shared terms
//! count both as part of the prompt. A count of zero is a count; one that is not known is left out where the dialect
//! allows it.

use serde::Serialize;

use crate::Usage;

/// Counts as they are written.
#[derive(Debug, Clone, Copy, Serialize)]
pub(super) struct WireUsage {
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) input_tokens: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    cache_creation_input_tokens: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    cache_read_input_tokens: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    cache_creation: Option<ByTime>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) output_tokens: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    output_tokens_details: Option<OutputDetails>,
}

#[derive(Debug, Clone, Copy, Serialize)]
struct ByTime {
    ephemeral_5m_input_tokens: u64,
    ephemeral_1h_input_tokens: u64,
}

#[derive(Debug, Clone, Copy, Serialize)]
struct OutputDetails {
    thinking_tokens: u64,
}

impl From<&Usage> for WireUsage {
    fn from(usage: &Usage) -> Self {
        let cached = usage.cached_tokens.unwrap_or(0);
        let written = usage.cache_write_tokens.unwrap_or(0);
        Self {
            input_tokens: usage
                .prompt_tokens
                .map(|prompt| prompt.saturating_sub(cached).saturating_sub(written)),
            cache_creation_input_tokens: usage.cache_write_tokens,
            cache_read_input_tokens: usage.cached_tokens,
            cache_creation: usage.cache_write_1h_tokens.map(|hour| ByTime {
                ephemeral_5m_input_tokens: written.saturating_sub(hour),
                ephemeral_1h_input_tokens: hour,
            }),
            output_tokens: usage.completion_tokens,
            output_tokens_details: usage
                .reasoning_tokens
                .map(|thinking_tokens| OutputDetails { thinking_tokens }),
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::response::MessageUsage;

    fn read(usage: &Usage) -> Option<Usage> {
        let json = serde_json::to_string(&WireUsage::from(usage)).unwrap();
        serde_json::from_str::<MessageUsage>(&json).unwrap().read()
    }

    #[test]
    fn the_cache_counts_beside_the_input_here_and_within_it_there() {
        let usage = Usage {
            prompt_tokens: Some(100),
            completion_tokens: Some(0),
            cached_tokens: Some(70),
            cache_write_tokens: Some(20),
            cache_write_1h_tokens: Some(5),
            ..Usage::default()
        };
        insta::assert_snapshot!(serde_json::to_string(&WireUsage::from(&usage)).unwrap(), @r#"{"input_tokens":10,"cache_creation_input_tokens":20,"cache_read_input_tokens":70,"cache_creation":{"ephemeral_5m_input_tokens":15,"ephemeral_1h_input_tokens":5},"output_tokens":0}"#);
        assert_eq!(read(&usage), Some(usage));
    }

    proptest! {
        #[test]
        fn counts_survive_both_ways(
            input in 0u64..1000,
            output in prop::option::of(0u64..1000),
            read_tokens in prop::option::of(0u64..1000),
            written in prop::option::of((0u64..1000, prop::option::of(0u64..1000))),
            thinking in prop::option::of(0u64..1000),
        ) {
            let written_tokens = written.map(|(five, hour)| five + hour.unwrap_or(0));
            let usage = Usage {
                prompt_tokens: Some(input + read_tokens.unwrap_or(0) + written_tokens.unwrap_or(0)),
                completion_tokens: output,
                cached_tokens: read_tokens,
                cache_write_tokens: written_tokens,
                cache_write_1h_tokens: written.and_then(|(_, hour)| hour),
                reasoning_tokens: thinking,
                ..Usage::default()
            };
            prop_assert_eq!(read(&usage), Some(usage));
        }
    }
}

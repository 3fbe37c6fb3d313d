//! What of a request the choice looks at.

use std::sync::Arc;

use http::{HeaderMap, HeaderName};
use tokenweir_config as config;
use tokenweir_llm::Peek;

use super::hash::Hash64;
use super::prefix::Prefix;
use tokenweir_config::SelectionMode;

/// Bytes of a request for one token of its input. Text in English has about four; JSON around it adds to both sides.
const BYTES_PER_TOKEN: u64 = 4;
/// Tokens that a request without a limit of its own is taken to generate.
const DEFAULT_OUTPUT: u64 = 512;
/// A limit above this is no estimate: clients give the model's own maximum, and answers are far shorter.
const MOST_OUTPUT: u64 = 4_096;

/// How a route chooses among its backends.
#[derive(Debug, Clone, Default)]
pub struct Selection {
    /// By what.
    pub mode: SelectionMode,
    /// Requests with the same value of this header go to the same place.
    pub sticky: Option<HeaderName>,
    /// Requests that begin alike go to the pod that served the others.
    pub prefix_affinity: bool,
}

/// What of one request the choice looks at.
#[derive(Debug, Clone, Default)]
pub struct Wants {
    /// Input and output by estimate.
    pub tokens: u64,
    /// Of these, the input.
    pub input: u64,
    /// Whether the answer is a stream.
    pub stream: bool,
    /// Requests of the same number go to the same place.
    pub affinity: Option<u64>,
    /// How the request begins, if that matters.
    pub prefix: Option<Arc<Prefix>>,
}

impl Selection {
    /// Prepares what the configuration says; `None` if the header's name is none.
    pub fn new(source: &config::Selection) -> Option<Self> {
        Some(Self {
            mode: source.mode,
            sticky: match &source.sticky_header {
                None => None,
                Some(name) => Some(HeaderName::try_from(name.as_str()).ok()?),
            },
            prefix_affinity: source.prefix_affinity,
        })
    }

    /// What the choice looks at in a request.
    pub fn wants(&self, peek: &Peek, headers: &HeaderMap) -> Wants {
        let affinity = self.sticky.as_ref().and_then(|name| headers.get(name));
        Wants {
            tokens: estimate(peek.body().len(), peek.max_tokens(), peek.n()),
            input: input(peek.body().len()),
            stream: peek.stream(),
            affinity: affinity.map(|value| Hash64::of(value.as_bytes())),
            prefix: self
                .prefix_affinity
                .then(|| Prefix::of(&peek.body().to_bytes()))
                .flatten()
                .map(Arc::new),
        }
    }
}

/// Tokens of a request, input and output, by what is known before it is sent.
fn estimate(body: usize, max_tokens: Option<u64>, choices: Option<u64>) -> u64 {
    let output = max_tokens.unwrap_or(DEFAULT_OUTPUT).min(MOST_OUTPUT);
    input(body).saturating_add(output.saturating_mul(choices.unwrap_or(1).clamp(1, 128)))
}

fn input(body: usize) -> u64 {
    u64::try_from(body).unwrap_or(u64::MAX) / BYTES_PER_TOKEN
}

#[cfg(test)]
mod tests {
    use bytes::Bytes;
    use tokenweir_llm::Operation;

    use super::*;

    fn peek(json: &str) -> Peek {
        Peek::parse(Operation::Chat, Bytes::copy_from_slice(json.as_bytes())).unwrap()
    }

    #[test]
    fn tokens_are_estimated_from_the_length_and_the_clients_limit() {
        assert_eq!(estimate(4_000, Some(100), None), 1_100);
        assert_eq!(estimate(4_000, Some(100), Some(3)), 1_300);
        assert_eq!(estimate(0, None, Some(0)), 512);
        assert_eq!(estimate(0, Some(u64::MAX), Some(u64::MAX)), 4_096 * 128);
    }

    #[test]
    fn the_same_header_gives_the_same_affinity_and_no_header_none() {
        let selection = Selection {
            sticky: Some(HeaderName::from_static("x-session")),
            ..Selection::default()
        };
        let peek = peek(r#"{"model":"m","messages":[]}"#);
        let wants = |value: Option<&'static str>| {
            let mut headers = HeaderMap::new();
            if let Some(value) = value {
                headers.insert("x-session", http::HeaderValue::from_static(value));
            }
            selection.wants(&peek, &headers).affinity
        };
        assert_eq!(wants(Some("a")), wants(Some("a")));
        assert_ne!(wants(Some("a")), wants(Some("b")));
        assert_eq!(wants(None), None);
    }
}

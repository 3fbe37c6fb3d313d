//! How the simulator answers: everything that may change while it runs.

mod batch;
mod fault;
mod latency;
mod random;
mod spec;

use std::collections::BTreeMap;
use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

pub(crate) use batch::{Engine, Full, Seat};
pub use fault::{Fault, FaultChain, FaultKind, Malformed};
pub use latency::Latency;
pub(crate) use random::{Random, hash};
pub use spec::SpecError;

/// How the simulator answers. Every field may be changed at run time.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields, default)]
pub struct Behaviour {
    /// Seed of all answers and of drawn latencies.
    pub seed: u64,
    /// The models that exist; another one is a 404. Empty: every name is served.
    pub models: Vec<String>,
    /// How long an answer takes.
    pub latency: Latency,
    /// How many tokens an answer has, unless the request asks for fewer.
    pub output_tokens: OutputTokens,
    /// Faults by model name; `*` stands for every model without an entry of its own.
    pub faults: BTreeMap<String, FaultChain>,
    /// Dimensions of an embedding when the request names none.
    pub embedding_dimensions: usize,
    /// How many requests are kept for `GET /sim/requests`; the oldest go first. 0 records nothing.
    pub record: usize,
    /// Unix time in seconds to put into `created`. Absent: the time of the answer.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub created: Option<u64>,
    /// Refuse fields that OpenAI does not know, as OpenAI does and compatible servers do not. Other wires always do.
    pub strict: bool,
    /// Send each stream event by itself, as real servers do. Otherwise events that are due together go out together.
    pub flush_each_event: bool,
}

impl Default for Behaviour {
    fn default() -> Self {
        Self {
            seed: 0,
            models: Vec::new(),
            latency: Latency::default(),
            output_tokens: OutputTokens { min: 16, max: 48 },
            faults: BTreeMap::new(),
            embedding_dimensions: 256,
            record: 1000,
            created: None,
            strict: false,
            flush_each_event: true,
        }
    }
}

/// A range from which the length of an answer is drawn, both ends included. Written `24` or `16..48`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct OutputTokens {
    /// Fewest tokens.
    pub min: u64,
    /// Most tokens; at least `min`.
    pub max: u64,
}

impl OutputTokens {
    /// The longest answer that can be asked for; it keeps one request from holding gigabytes.
    pub const LIMIT: u64 = 1_000_000;

    pub(crate) fn draw(self, random: &mut Random) -> u64 {
        let span = self.max.saturating_sub(self.min).saturating_add(1);
        self.min.saturating_add(random.below(span))
    }
}

impl FromStr for OutputTokens {
    type Err = SpecError;

    fn from_str(text: &str) -> Result<Self, SpecError> {
        let refuse = || SpecError::Value {
            name: "output tokens".into(),
            given: text.into(),
            expected: "a count such as 24 or a range such as 16..48, at most 1000000",
        };
        let (min, max) = text.split_once("..").unwrap_or((text, text));
        let min: u64 = min.trim().parse().map_err(|_| refuse())?;
        let max: u64 = max.trim().parse().map_err(|_| refuse())?;
        if min == 0 || max < min || max > Self::LIMIT {
            return Err(refuse());
        }
        Ok(Self { min, max })
    }
}

impl TryFrom<String> for OutputTokens {
    type Error = SpecError;

    fn try_from(text: String) -> Result<Self, SpecError> {
        text.parse()
    }
}

impl fmt::Display for OutputTokens {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.min == self.max {
            write!(f, "{}", self.min)
        } else {
            write!(f, "{}..{}", self.min, self.max)
        }
    }
}

impl From<OutputTokens> for String {
    fn from(tokens: OutputTokens) -> Self {
        tokens.to_string()
    }
}

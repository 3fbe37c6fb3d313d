//! What a gateway does when providers fail: the parts of a [`Snapshot`](crate::Snapshot) that say it.

use serde::{Deserialize, Serialize};

/// When a provider, or one of the pods behind it, is taken to be sick, so that nothing is sent to it.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Health {
    /// By requests that fail.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub outlier: Option<Outlier>,
    /// By requests of the gateway's own.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub active_probe: Option<ActiveProbe>,
}

impl Health {
    /// Whether nothing is ever taken to be sick.
    pub fn is_none(&self) -> bool {
        *self == Self::default()
    }
}

/// What fails so often in a row is out for a while.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Outlier {
    /// Failures in a row; 0: never.
    pub consecutive_errors: u32,
    /// How long it is out.
    pub eject_for_ms: u64,
}

/// A request of the gateway's own that says whether a provider is well.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct ActiveProbe {
    /// Path below the provider's base URL, with a leading slash.
    pub path: String,
    /// Time between two probes.
    pub interval_ms: u64,
    /// How long one may take.
    pub timeout_ms: u64,
}

/// How a route chooses among its backends, and among the pods behind them.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Selection {
    /// By what.
    #[serde(default)]
    pub mode: SelectionMode,
    /// Requests with the same value of this header, in lower case, go to the same place.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub sticky_header: Option<String>,
    /// Requests that begin alike go to the pod that served the others, unless it is loaded.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub prefix_affinity: bool,
}

impl Selection {
    /// Whether it is what a route without a word about it has.
    pub fn is_default(&self) -> bool {
        *self == Self::default()
    }
}

/// By what a backend is chosen.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub enum SelectionMode {
    /// In proportion to the weights.
    #[default]
    Weighted,
    /// The one with the fewest tokens on their way for its weight.
    LeastOutstandingTokens,
    /// Of two, drawn by weight, the one that is expected to begin its answer first.
    LeastLatency,
}

/// When a second try begins beside one that has no answer yet.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum Hedge {
    /// After so many milliseconds.
    AfterMs(u64),
    /// Once so many in a hundred of the route's answers would have begun, from 1 to 99.
    Percentile(u8),
}

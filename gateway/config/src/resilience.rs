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

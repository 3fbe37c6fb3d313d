//! Where a model name leads: the part of a [`Snapshot`](crate::Snapshot) that says it.

use serde::{Deserialize, Serialize};

use crate::headers::HeaderChanges;
use crate::matching::RouteMatch;
use crate::resilience::{Hedge, Selection};

/// A name that clients ask for, and where it leads.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Route {
    /// The model name or glob (`*` stands for any characters) that clients send.
    pub model: String,
    /// Which requests for it the route takes; empty: all that no other route takes.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub matches: Vec<RouteMatch>,
    /// Targets chosen by weight. Empty: the route takes its requests, so that no other one does, and nobody may answer them.
    pub backends: Vec<Backend>,
    /// Targets tried in order when a backend fails before its first byte.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub fallbacks: Vec<Backend>,
    /// Changes of what goes to providers.
    #[serde(default, skip_serializing_if = "HeaderChanges::is_none")]
    pub request_headers: HeaderChanges,
    /// Changes of what goes back to clients.
    #[serde(default, skip_serializing_if = "HeaderChanges::is_none")]
    pub response_headers: HeaderChanges,
    /// How a backend is chosen.
    #[serde(default, skip_serializing_if = "Selection::is_default")]
    pub selection: Selection,
    /// When and how often to try again.
    pub retry: Retry,
    /// Priority in the queue for tenants without one: higher leaves first. 0 is normal.
    #[serde(default)]
    pub priority: i32,
    /// Leave out what a target's dialect cannot express, instead of refusing the request.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub drop_unsupported: bool,
}

impl Route {
    /// Whether it says what a gateway of format 2 would not see and could not do without.
    pub(crate) fn is_special(&self) -> bool {
        self.backends.is_empty()
            || !self.matches.is_empty()
            || !self.request_headers.is_none()
            || !self.response_headers.is_none()
    }
}

/// A target of a route.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Backend {
    /// Provider by name.
    pub provider: String,
    /// Model name sent to the provider; absent: what the client sent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub model: Option<String>,
    /// Share of the traffic relative to the other backends. 0: none. Fallbacks ignore it.
    #[serde(default)]
    pub weight: u32,
    /// How far away it is: it gets nothing while a nearer one is well and has room. Fallbacks, which come in their order,
    /// ignore it.
    #[serde(default, skip_serializing_if = "is_near")]
    pub distance: u32,
}

#[expect(
    clippy::trivially_copy_pass_by_ref,
    reason = "serde passes what it may leave out by reference"
)]
pub(crate) fn is_near(distance: &u32) -> bool {
    *distance == 0
}

/// When and how often to try again before the first byte has gone to the client.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Retry {
    /// Further tries on the same backends after the first; fallbacks come after them.
    pub attempts: u32,
    /// Wait before the first further try; doubles with each, with full jitter.
    pub base_ms: u64,
    /// Upper bound of the wait.
    pub max_ms: u64,
    /// What counts as a failure worth another try.
    pub on: Vec<RetryOn>,
    /// When a second try begins beside the first; absent: never.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub hedge: Option<Hedge>,
}

/// A failure that is worth another try.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub enum RetryOn {
    /// HTTP 429 from the provider.
    #[serde(rename = "429")]
    TooManyRequests,
    /// HTTP 500 to 599 from the provider.
    #[serde(rename = "5xx")]
    ServerError,
    /// No connection, or one that broke before an answer.
    #[serde(rename = "connect")]
    Connect,
    /// No first byte in time.
    #[serde(rename = "firstTokenTimeout")]
    FirstTokenTimeout,
}

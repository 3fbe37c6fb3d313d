//! How a route chooses among its backends.

use kube::KubeSchema;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::rules;

/// How one of the backends is chosen, and one of the pods behind it.
#[derive(KubeSchema, Serialize, Deserialize, Clone, Debug, Default, PartialEq, Eq)]
#[x_kube(validation = rules::rule(
    "!(has(self.sticky) && self.prefixAffinity)",
    "sticky (by %s) and prefixAffinity both choose the pod; keep one of them",
    &["self.sticky.header"],
))]
#[serde(rename_all = "camelCase")]
pub struct Selection {
    /// By what a backend is chosen.
    #[serde(default)]
    pub mode: SelectionMode,

    /// Requests with the same value of a header go to the same backend, and to the same pod behind it, while that is well
    /// and has room: what it keeps of a prompt is used again. Requests without the header are chosen by `mode`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub sticky: Option<Sticky>,

    /// Behind a Service, requests that begin alike go to the pod that served the others, unless it has far more to do than
    /// the rest. Each gateway pod remembers for itself.
    #[serde(default)]
    pub prefix_affinity: bool,
}

/// By what a backend is chosen. Those that are out get nothing while another is well.
#[derive(JsonSchema, Serialize, Deserialize, Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum SelectionMode {
    /// In proportion to the weights.
    #[default]
    Weighted,
    /// The backend with the fewest tokens on their way for its weight, as this gateway pod sees it: input and the most that
    /// a request may generate, by estimate.
    LeastOutstandingTokens,
    /// Of two backends, drawn by weight, the one that is expected to begin its answer first: by the time to its first token
    /// of late and by the requests on their way.
    LeastLatency,
}

/// What keeps requests together.
#[derive(KubeSchema, Serialize, Deserialize, Clone, Debug, PartialEq, Eq)]
#[serde(rename_all = "camelCase")]
pub struct Sticky {
    /// Name of the header.
    #[schemars(length(min = 1, max = 64))]
    #[x_kube(
        validation = rules::header_name(),
        validation = rules::rule(
            "!(self.lowerAscii() in ['authorization', 'x-api-key', 'api-key', 'cookie'])",
            "the header '%s' proves who the client is; choose one that names a session",
            &["self"],
        )
    )]
    pub header: String,
}

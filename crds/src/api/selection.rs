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
), validation = rules::rule(
    "!has(self.regions) || self.regions.size() == 0 || self.region != 'Any'",
    "regions (%s) are given and region is %s, so they would do nothing; write region: Prefer or region: Require",
    &["self.regions", "self.region"],
))]
#[serde(rename_all = "camelCase")]
pub struct Selection {
    /// By what a backend is chosen.
    #[serde(default)]
    pub mode: SelectionMode,

    /// Whether the regions of providers matter, before anything else.
    #[serde(default)]
    pub region: RegionMode,

    /// The regions that are preferred, in this order, or required. Absent: that of the gateway.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 8), inner(length(min = 1, max = 63)))]
    #[x_kube(
        merge_strategy = ListMerge::Atomic,
        validation = rules::rule(
            "self.all(r, r.matches('^[a-z0-9]([-a-z0-9]*[a-z0-9])?$'))",
            "%s are not names of regions; use lower-case letters, digits and '-', such as eu-central-1",
            &["self.filter(r, !r.matches('^[a-z0-9]([-a-z0-9]*[a-z0-9])?$'))"],
        )
    )]
    pub regions: Vec<String>,

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

/// Whether the regions of providers matter.
#[derive(JsonSchema, Serialize, Deserialize, Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum RegionMode {
    /// They do not.
    #[default]
    Any,
    /// A backend in the first of the regions is chosen if one is well and has room, else one in the next, and one that is in
    /// none of them last. A second try beside the first goes no farther than the first.
    Prefer,
    /// Nothing is sent to a provider that is not in one of the regions, by fallback or otherwise.
    Require,
}

/// What keeps requests together.
#[derive(KubeSchema, Serialize, Deserialize, Clone, Debug, PartialEq, Eq)]
#[serde(rename_all = "camelCase")]
pub struct Sticky {
    /// Name of the header.
    #[schemars(length(min = 1, max = 64))]
    #[x_kube(
        validation = rules::header_name(),
        validation = rules::header_of_no_credential("choose one that names a session")
    )]
    pub header: String,
}

//! `ScalingPolicy`: how many.

use k8s_openapi::apimachinery::pkg::apis::meta::v1::{Condition, Time};
use kube::{CustomResource, KubeSchema};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::api::Signal;
use crate::{Duration, rules};

/// How many pods a gateway has, by live signals.
#[derive(CustomResource, KubeSchema, Serialize, Deserialize, Clone, Debug, PartialEq)]
#[kube(
    group = "tokenweir.dev",
    version = "v1alpha1",
    kind = "ScalingPolicy",
    plural = "scalingpolicies",
    singular = "scalingpolicy",
    shortname = "sp",
    category = "tokenweir",
    namespaced,
    doc = "How many pods a gateway has, by live signals.",
    status = "ScalingPolicyStatus",
    derive = "PartialEq",
    validation = rules::name_within(63),
    printcolumn(name = "Target", type_ = "string", json_path = ".spec.targetRef.name"),
    printcolumn(name = "Min", type_ = "integer", json_path = ".spec.replicas.min"),
    printcolumn(name = "Max", type_ = "integer", json_path = ".spec.replicas.max"),
    printcolumn(name = "Current", type_ = "integer", json_path = ".status.currentReplicas"),
    printcolumn(name = "Desired", type_ = "integer", json_path = ".status.desiredReplicas"),
    // A column shows one value, so the other signals are left to `kubectl describe`.
    printcolumn(name = "First signal", type_ = "string", json_path = ".status.signals[0].name"),
    printcolumn(name = "Value", type_ = "string", json_path = ".status.signals[0].value"),
    printcolumn(name = "Aim", type_ = "string", json_path = ".status.signals[0].target"),
    printcolumn(name = "Ready", type_ = "string", json_path = ".status.conditions[?(@.type==\"Ready\")].status"),
    printcolumn(name = "Age", type_ = "date", json_path = ".metadata.creationTimestamp"),
    printcolumn(name = "State", type_ = "string", json_path = ".status.conditions[?(@.type==\"Ready\")].message", priority = 1)
)]
#[serde(rename_all = "camelCase")]
pub struct ScalingPolicySpec {
    /// What is scaled.
    pub target_ref: TargetRef,

    /// Between how many pods.
    pub replicas: ReplicaRange,

    /// By what, and how fast.
    pub horizontal: Horizontal,
}

/// What is scaled: an LLMGateway of the same namespace.
#[derive(KubeSchema, Serialize, Deserialize, Clone, Debug, PartialEq, Eq)]
#[x_kube(validation = rules::rule(
    "self.kind == 'LLMGateway' && self.apiVersion.startsWith('tokenweir.dev/')",
    "the target is %s of %s; it must be an LLMGateway of tokenweir.dev/v1alpha1",
    &["self.kind", "self.apiVersion"],
))]
#[serde(rename_all = "camelCase")]
pub struct TargetRef {
    /// Group and version.
    #[schemars(length(min = 1, max = 128))]
    pub api_version: String,
    /// Kind.
    #[schemars(length(min = 1, max = 63))]
    pub kind: String,
    /// Name.
    #[schemars(length(min = 1, max = 63))]
    pub name: String,
}

/// Between how many pods.
#[derive(KubeSchema, Serialize, Deserialize, Clone, Debug, PartialEq, Eq)]
#[x_kube(validation = rules::rule(
    "self.min <= self.max",
    "min (%s) is above max (%s); raise max or lower min",
    &["self.min", "self.max"],
))]
#[serde(rename_all = "camelCase")]
pub struct ReplicaRange {
    /// At least so many.
    #[schemars(range(min = 1, max = 1000))]
    pub min: i32,
    /// At most so many.
    #[schemars(range(min = 1, max = 1000))]
    pub max: i32,
}

/// By what is scaled, and how fast.
#[derive(KubeSchema, Serialize, Deserialize, Clone, Debug, PartialEq)]
#[serde(rename_all = "camelCase")]
pub struct Horizontal {
    /// What is measured. Each signal gives a number of pods, and the largest counts.
    #[schemars(length(min = 1, max = 10))]
    #[x_kube(merge_strategy = ListMerge::Atomic)]
    pub signals: Vec<Signal>,

    /// How old a live value may be. An older one is an error, and the number of pods stays as it is.
    #[serde(default = "default_max_signal_age")]
    #[x_kube(validation = rules::duration_between("maxSignalAge", "1s", "5m"))]
    pub max_signal_age: Duration,

    /// How pods are added.
    #[serde(default)]
    pub scale_up: ScaleUp,

    /// How pods are removed.
    #[serde(default)]
    pub scale_down: ScaleDown,
}

fn default_max_signal_age() -> Duration {
    Duration::from_secs(5)
}

/// How pods are added. In each period the pods may grow by `percent` or by `pods`, whichever `select` says.
#[derive(KubeSchema, Serialize, Deserialize, Clone, Debug, PartialEq, Eq)]
#[serde(rename_all = "camelCase")]
pub struct ScaleUp {
    /// How long more pods must be wanted before they are added.
    #[serde(default)]
    #[x_kube(validation = rules::whole_seconds("stabilization", "0s", "1h"))]
    pub stabilization: Duration,
    /// Percent of the present pods that may be added in one period.
    #[serde(default = "up_percent")]
    #[schemars(range(min = 1, max = 100_000))]
    pub percent: i32,
    /// Pods that may be added in one period.
    #[serde(default = "up_pods")]
    #[schemars(range(min = 1, max = 1000))]
    pub pods: i32,
    /// Length of a period.
    #[serde(default = "up_period")]
    #[x_kube(validation = rules::whole_seconds("period", "1s", "30m"))]
    pub period: Duration,
    /// `Max`: the larger of the two steps. `Min`: the smaller one. `Disabled`: none.
    #[serde(default = "up_select")]
    pub select: SelectPolicy,
}

/// How pods are removed. In each period the pods may shrink by `percent` or by `pods`, whichever `select` says.
#[derive(KubeSchema, Serialize, Deserialize, Clone, Debug, PartialEq, Eq)]
#[serde(rename_all = "camelCase")]
pub struct ScaleDown {
    /// How long fewer pods must be enough before some are removed.
    #[serde(default = "down_stabilization")]
    #[x_kube(validation = rules::whole_seconds("stabilization", "0s", "1h"))]
    pub stabilization: Duration,
    /// Percent of the present pods that may be removed in one period.
    #[serde(default = "down_percent")]
    #[schemars(range(min = 1, max = 100))]
    pub percent: i32,
    /// Pods that may be removed in one period.
    #[serde(default = "down_pods")]
    #[schemars(range(min = 1, max = 1000))]
    pub pods: i32,
    /// Length of a period.
    #[serde(default = "down_period")]
    #[x_kube(validation = rules::whole_seconds("period", "1s", "30m"))]
    pub period: Duration,
    /// `Max`: the larger of the two steps. `Min`: the smaller one. `Disabled`: none.
    #[serde(default = "down_select")]
    pub select: SelectPolicy,
}

/// Which of the two steps counts.
#[derive(JsonSchema, Serialize, Deserialize, Clone, Copy, Debug, PartialEq, Eq)]
pub enum SelectPolicy {
    /// The larger step.
    Max,
    /// The smaller step.
    Min,
    /// No step at all.
    Disabled,
}

impl SelectPolicy {
    /// The name that Kubernetes has for it.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Max => "Max",
            Self::Min => "Min",
            Self::Disabled => "Disabled",
        }
    }
}

/// One direction of scaling, up or down.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ScaleRule {
    /// How long a change must be wanted.
    pub stabilization: Duration,
    /// Percent of the present pods in one period.
    pub percent: i32,
    /// Pods in one period.
    pub pods: i32,
    /// Length of a period.
    pub period: Duration,
    /// Which of the two steps counts.
    pub select: SelectPolicy,
}

impl From<&ScaleUp> for ScaleRule {
    fn from(up: &ScaleUp) -> Self {
        Self {
            stabilization: up.stabilization,
            percent: up.percent,
            pods: up.pods,
            period: up.period,
            select: up.select,
        }
    }
}

impl From<&ScaleDown> for ScaleRule {
    fn from(down: &ScaleDown) -> Self {
        Self {
            stabilization: down.stabilization,
            percent: down.percent,
            pods: down.pods,
            period: down.period,
            select: down.select,
        }
    }
}

impl Default for ScaleUp {
    fn default() -> Self {
        Self {
            stabilization: Duration::ZERO,
            percent: up_percent(),
            pods: up_pods(),
            period: up_period(),
            select: up_select(),
        }
    }
}

impl Default for ScaleDown {
    fn default() -> Self {
        Self {
            stabilization: down_stabilization(),
            percent: down_percent(),
            pods: down_pods(),
            period: down_period(),
            select: down_select(),
        }
    }
}

fn up_percent() -> i32 {
    100
}

fn up_pods() -> i32 {
    4
}

fn up_period() -> Duration {
    Duration::from_secs(30)
}

fn up_select() -> SelectPolicy {
    SelectPolicy::Max
}

fn down_stabilization() -> Duration {
    Duration::from_secs(300)
}

fn down_percent() -> i32 {
    50
}

fn down_pods() -> i32 {
    2
}

fn down_period() -> Duration {
    Duration::from_secs(60)
}

fn down_select() -> SelectPolicy {
    SelectPolicy::Min
}

/// What a `ScalingPolicy` does.
#[derive(KubeSchema, Serialize, Deserialize, Clone, Debug, Default, PartialEq)]
#[serde(rename_all = "camelCase")]
pub struct ScalingPolicyStatus {
    /// Pods that exist.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub current_replicas: Option<i32>,
    /// Pods that the signals ask for, inside the bounds.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub desired_replicas: Option<i32>,
    /// Signals in the order of the spec.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[x_kube(merge_strategy = ListMerge::Atomic)]
    pub signals: Vec<SignalStatus>,
    /// When the number of pods was last changed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub last_scale_time: Option<Time>,
    /// The generation of the spec that this status is about.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub observed_generation: Option<i64>,
    /// `Accepted`, `ResolvedRefs` and `Ready`.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[x_kube(merge_strategy = ListMerge::Map(vec!["type".into()]))]
    pub conditions: Vec<Condition>,
}

/// A signal as the HorizontalPodAutoscaler sees it.
#[derive(KubeSchema, Serialize, Deserialize, Clone, Debug, Default, PartialEq, Eq)]
#[serde(rename_all = "camelCase")]
pub struct SignalStatus {
    /// Name of the signal.
    pub name: String,
    /// Last value. Absent: none was read.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub value: Option<String>,
    /// Value aimed at.
    pub target: String,
}

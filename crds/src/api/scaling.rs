//! `ScalingPolicy`: how many.

use k8s_openapi::apimachinery::pkg::api::resource::Quantity;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::{Condition, Time};
use kube::{CustomResource, KubeSchema};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::api::NameRef;
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
    cel,
    doc = "How many pods a gateway has, by live signals.",
    status = "ScalingPolicyStatus",
    derive = "PartialEq",
    validation = rules::name_within(63),
    printcolumn(name = "Target", type_ = "string", json_path = ".spec.targetRef.name"),
    printcolumn(name = "Min", type_ = "integer", json_path = ".spec.replicas.min"),
    printcolumn(name = "Max", type_ = "integer", json_path = ".spec.replicas.max"),
    printcolumn(name = "Current", type_ = "integer", json_path = ".status.currentReplicas"),
    printcolumn(name = "Desired", type_ = "integer", json_path = ".status.desiredReplicas"),
    printcolumn(name = "Signals", type_ = "string", json_path = ".status.signals[*].value"),
    printcolumn(name = "Ready", type_ = "string", json_path = ".status.conditions[?(@.type==\"Ready\")].status"),
    printcolumn(name = "Age", type_ = "date", json_path = ".metadata.creationTimestamp")
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

/// One thing that is measured: exactly one of the fields.
#[derive(KubeSchema, Serialize, Deserialize, Clone, Debug, Default, PartialEq)]
#[x_kube(validation = rules::exactly_one(&[
    "queueDepth", "inFlight", "tokenRate", "requestRate", "queueWait", "ttft", "resource",
]))]
#[serde(rename_all = "camelCase")]
pub struct Signal {
    /// Requests that wait for admission.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub queue_depth: Option<Count>,
    /// Requests that were admitted and have not ended.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub in_flight: Option<Count>,
    /// Tokens a second, prompt and completion together.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub token_rate: Option<Rate>,
    /// Requests a second.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub request_rate: Option<Rate>,
    /// How long requests of the gateway wait for admission.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub queue_wait: Option<Latency>,
    /// Time to the first byte of an answer of the gateway.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ttft: Option<Latency>,
    /// Compute resources that the pods use.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub resource: Option<ResourceSignal>,
}

/// What a [`Signal`] measures.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum SignalKind<'a> {
    /// Requests that wait.
    QueueDepth(&'a Count),
    /// Requests that were admitted and have not ended.
    InFlight(&'a Count),
    /// Tokens a second.
    TokenRate(&'a Rate),
    /// Requests a second.
    RequestRate(&'a Rate),
    /// How long requests wait.
    QueueWait(&'a Latency),
    /// Time to the first byte.
    Ttft(&'a Latency),
    /// Compute resources.
    Resource(&'a ResourceSignal),
}

impl Signal {
    /// What is measured, or nothing where not exactly one field is given; the schema does not let such a signal in.
    pub fn kind(&self) -> Option<SignalKind<'_>> {
        let mut given = [
            self.queue_depth.as_ref().map(SignalKind::QueueDepth),
            self.in_flight.as_ref().map(SignalKind::InFlight),
            self.token_rate.as_ref().map(SignalKind::TokenRate),
            self.request_rate.as_ref().map(SignalKind::RequestRate),
            self.queue_wait.as_ref().map(SignalKind::QueueWait),
            self.ttft.as_ref().map(SignalKind::Ttft),
            self.resource.as_ref().map(SignalKind::Resource),
        ]
        .into_iter()
        .flatten();
        given.next().filter(|_| given.next().is_none())
    }
}

/// A number of requests.
#[derive(KubeSchema, Serialize, Deserialize, Clone, Debug, PartialEq)]
#[x_kube(validation = rules::at_most_one_scope())]
#[serde(rename_all = "camelCase")]
pub struct Count {
    /// How many each pod should have on average.
    #[schemars(extend("maxLength" = 32))]
    #[x_kube(validation = rules::positive_quantity())]
    pub per_replica: Quantity,

    /// Over which of the three interfaces of the HorizontalPodAutoscaler the value goes.
    #[serde(default)]
    pub via: MetricSource,

    /// Count one tenant only.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub tenant_ref: Option<NameRef>,

    /// Count one route only.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub route_ref: Option<NameRef>,
}

/// A number of events a second.
#[derive(KubeSchema, Serialize, Deserialize, Clone, Debug, PartialEq)]
#[x_kube(validation = rules::at_most_one_scope())]
#[serde(rename_all = "camelCase")]
pub struct Rate {
    /// How many a second each pod should have on average.
    #[schemars(extend("maxLength" = 32))]
    #[x_kube(validation = rules::positive_quantity())]
    pub per_replica: Quantity,

    /// Over how long the rate is taken.
    #[serde(default)]
    pub window: Window,

    /// Over which of the three interfaces of the HorizontalPodAutoscaler the value goes.
    #[serde(default)]
    pub via: MetricSource,

    /// Count one tenant only.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub tenant_ref: Option<NameRef>,

    /// Count one route only.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub route_ref: Option<NameRef>,
}

/// A time that most requests should stay under.
#[derive(KubeSchema, Serialize, Deserialize, Clone, Debug, PartialEq, Eq)]
#[serde(rename_all = "camelCase")]
pub struct Latency {
    /// The time that should be met.
    #[x_kube(validation = rules::duration_between("target", "1ms", "1h"))]
    pub target: Duration,

    /// The share of requests that should meet it. A string: `"0.95"`.
    #[serde(default)]
    pub quantile: Quantile,
}

/// Compute resources that the pods use, as a share of what they request.
#[derive(KubeSchema, Serialize, Deserialize, Clone, Debug, PartialEq, Eq)]
#[serde(rename_all = "camelCase")]
pub struct ResourceSignal {
    /// Which resource.
    pub name: ResourceName,

    /// Percent of the request that the pods should use on average.
    #[schemars(range(min = 1, max = 100))]
    pub utilization: i32,
}

/// A compute resource.
#[derive(JsonSchema, Serialize, Deserialize, Clone, Copy, Debug, PartialEq, Eq)]
#[serde(rename_all = "camelCase")]
pub enum ResourceName {
    /// Processor time.
    Cpu,
    /// Memory.
    Memory,
}

impl ResourceName {
    /// The name that Kubernetes has for it.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Cpu => "cpu",
            Self::Memory => "memory",
        }
    }
}

/// Interfaces of the HorizontalPodAutoscaler.
#[derive(JsonSchema, Serialize, Deserialize, Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum MetricSource {
    /// One value a pod, from `custom.metrics.k8s.io`. Pods that are not ready are reckoned with as Kubernetes does.
    #[default]
    Pods,
    /// One value for the gateway, from `custom.metrics.k8s.io`.
    Object,
    /// One value for the gateway, from `external.metrics.k8s.io`.
    External,
}

/// Over how long a rate is taken.
#[derive(JsonSchema, Serialize, Deserialize, Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Window {
    /// One second.
    #[serde(rename = "1s")]
    OneSecond,
    /// Ten seconds.
    #[default]
    #[serde(rename = "10s")]
    TenSeconds,
    /// One minute.
    #[serde(rename = "60s")]
    OneMinute,
}

impl Window {
    /// The value of the metric label `window`.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::OneSecond => "1s",
            Self::TenSeconds => "10s",
            Self::OneMinute => "60s",
        }
    }
}

/// A share of requests.
#[derive(JsonSchema, Serialize, Deserialize, Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Quantile {
    /// Half of them.
    #[serde(rename = "0.5")]
    P50,
    /// 90%.
    #[serde(rename = "0.9")]
    P90,
    /// 95%.
    #[default]
    #[serde(rename = "0.95")]
    P95,
    /// 99%.
    #[serde(rename = "0.99")]
    P99,
}

impl Quantile {
    /// The value of the metric label `quantile`.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::P50 => "0.5",
            Self::P90 => "0.9",
            Self::P95 => "0.95",
            Self::P99 => "0.99",
        }
    }
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

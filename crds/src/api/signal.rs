//! What a `ScalingPolicy` measures.

use k8s_openapi::apimachinery::pkg::api::resource::Quantity;
use kube::KubeSchema;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::api::NameRef;
use crate::{Duration, rules};

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

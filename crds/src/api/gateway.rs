//! `LLMGateway`: a data plane.

use std::collections::BTreeMap;

use k8s_openapi::api::core::v1::Toleration;
use k8s_openapi::apimachinery::pkg::api::resource::Quantity;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::Condition;
use kube::{CustomResource, KubeSchema};
use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::{Deserialize, Serialize};

use crate::api::{EgressProxy, GatewayLimits, Listener};
use crate::{Duration, rules};

/// A data plane: a set of gateway pods that serve the routes which name it.
#[derive(CustomResource, KubeSchema, Serialize, Deserialize, Clone, Debug, Default, PartialEq)]
#[kube(
    group = "tokenweir.dev",
    version = "v1alpha1",
    kind = "LLMGateway",
    plural = "llmgateways",
    singular = "llmgateway",
    shortname = "llmgw",
    category = "tokenweir",
    namespaced,
    doc = "A data plane: a set of gateway pods that serve the model routes which name it.",
    status = "LLMGatewayStatus",
    derive = "PartialEq",
    validation = rules::name_is_service_name(),
    validation = rules::name_within(40),
    scale(
        spec_replicas_path = ".spec.replicas",
        status_replicas_path = ".status.replicas",
        label_selector_path = ".status.selector"
    ),
    printcolumn(name = "Ready", type_ = "integer", json_path = ".status.readyReplicas", description = "pods that are ready"),
    printcolumn(name = "Replicas", type_ = "integer", json_path = ".status.replicas", description = "pods that exist"),
    printcolumn(name = "Generation", type_ = "integer", json_path = ".status.configGeneration", description = "newest configuration"),
    printcolumn(name = "Live", type_ = "integer", json_path = ".status.podsOnGeneration", description = "pods that serve the newest configuration"),
    printcolumn(name = "Refs", type_ = "string", json_path = ".status.conditions[?(@.type==\"ResolvedRefs\")].status"),
    printcolumn(name = "Programmed", type_ = "string", json_path = ".status.conditions[?(@.type==\"Programmed\")].status"),
    printcolumn(name = "URL", type_ = "string", json_path = ".status.addresses[0]"),
    printcolumn(name = "Age", type_ = "date", json_path = ".metadata.creationTimestamp"),
    printcolumn(name = "References", type_ = "string", json_path = ".status.conditions[?(@.type==\"ResolvedRefs\")].message", priority = 1),
    printcolumn(name = "State", type_ = "string", json_path = ".status.conditions[?(@.type==\"Programmed\")].message", priority = 1)
)]
#[serde(rename_all = "camelCase")]
pub struct LLMGatewaySpec {
    /// Number of pods. Left alone once a ScalingPolicy targets the gateway.
    #[serde(default = "default_replicas")]
    #[schemars(range(min = 0, max = 1000))]
    pub replicas: i32,

    /// Sockets of the data plane.
    #[serde(default = "default_listeners")]
    #[schemars(length(min = 1, max = 8))]
    #[x_kube(merge_strategy = ListMerge::Map(vec!["port".into()]))]
    pub listeners: Vec<Listener>,

    /// How many requests are let in, and where the others wait.
    #[serde(default)]
    pub admission: Admission,

    /// The region in which the pods run, by the name that providers use. What routes prefer or require whose
    /// `selection.region` names no other.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 63))]
    #[x_kube(validation = rules::region())]
    pub region: Option<String>,

    /// What clients may cost each pod.
    #[serde(default)]
    pub limits: GatewayLimits,

    /// The proxy on the way to providers outside of the cluster. Absent: none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub proxy: Option<EgressProxy>,

    /// How the pods run.
    #[serde(default)]
    pub pod: PodTemplate,

    /// Logs and traces.
    #[serde(default)]
    pub telemetry: Telemetry,
}

fn default_replicas() -> i32 {
    2
}

fn default_listeners() -> Vec<Listener> {
    vec![Listener {
        port: 8080,
        ..Listener::default()
    }]
}

/// How many requests each pod lets in, and where the others wait.
#[derive(KubeSchema, Serialize, Deserialize, Clone, Debug, PartialEq, Eq)]
#[serde(rename_all = "camelCase")]
pub struct Admission {
    /// Requests that one pod forwards at a time.
    #[serde(default = "default_max_in_flight")]
    #[schemars(range(min = 1, max = 1_000_000))]
    pub max_in_flight: u32,

    /// The waiting room of each pod.
    #[serde(default)]
    pub queue: Queue,

    /// Limits on each tenant that has none of its own.
    #[serde(default)]
    pub per_tenant: PerTenant,
}

impl Default for Admission {
    fn default() -> Self {
        Self {
            max_in_flight: default_max_in_flight(),
            queue: Queue::default(),
            per_tenant: PerTenant::default(),
        }
    }
}

fn default_max_in_flight() -> u32 {
    1000
}

/// The waiting room of a pod.
#[derive(KubeSchema, Serialize, Deserialize, Clone, Debug, PartialEq, Eq)]
#[serde(rename_all = "camelCase")]
pub struct Queue {
    /// Requests that may wait in one pod; one more is answered with 429. 0: nobody waits.
    #[serde(default = "default_max_depth")]
    #[schemars(range(min = 0, max = 1_000_000))]
    pub max_depth: u32,

    /// How long a request may wait; then it is answered with 429.
    #[serde(default = "default_max_wait")]
    #[x_kube(validation = rules::duration_between("maxWait", "1ms", "1h"))]
    pub max_wait: Duration,

    /// Who leaves first. `PriorityFair`: higher priority first, inside one priority the tenants take turns. `FIFO`: first come, first served.
    #[serde(default)]
    pub order: QueueOrder,
}

impl Default for Queue {
    fn default() -> Self {
        Self {
            max_depth: default_max_depth(),
            max_wait: default_max_wait(),
            order: QueueOrder::default(),
        }
    }
}

fn default_max_depth() -> u32 {
    2000
}

fn default_max_wait() -> Duration {
    Duration::from_secs(30)
}

/// Who leaves the queue first.
#[derive(JsonSchema, Serialize, Deserialize, Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum QueueOrder {
    /// Higher priority first; inside one priority the tenants take turns.
    #[default]
    PriorityFair,
    /// First come, first served.
    #[serde(rename = "FIFO")]
    Fifo,
}

/// Limits on each tenant that has none of its own.
#[derive(KubeSchema, Serialize, Deserialize, Clone, Debug, Default, PartialEq, Eq)]
#[serde(rename_all = "camelCase")]
pub struct PerTenant {
    /// Requests of one tenant that one pod forwards at a time. Absent: no limit.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 1, max = 1_000_000))]
    pub max_in_flight: Option<u32>,
}

/// How the pods run.
#[derive(KubeSchema, Serialize, Deserialize, Clone, Debug, PartialEq)]
#[serde(rename_all = "camelCase")]
pub struct PodTemplate {
    /// Compute resources of the gateway container.
    #[serde(default)]
    pub resources: Resources,

    /// Labels that a node must have.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    #[schemars(extend("maxProperties" = 32))]
    pub node_selector: BTreeMap<String, String>,

    /// Taints that the pods tolerate.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 32))]
    #[x_kube(merge_strategy = ListMerge::Atomic)]
    pub tolerations: Vec<Toleration>,

    /// Over what the pods are spread evenly, as far as possible.
    #[serde(default)]
    pub topology_spread: TopologySpread,

    /// How long a pod that ends may take to finish its streams.
    #[serde(default = "default_grace_period")]
    #[x_kube(validation = rules::duration_between("terminationGracePeriod", "10s", "1h"))]
    pub termination_grace_period: Duration,
}

impl Default for PodTemplate {
    fn default() -> Self {
        Self {
            resources: Resources::default(),
            node_selector: BTreeMap::new(),
            tolerations: Vec::new(),
            topology_spread: TopologySpread::default(),
            termination_grace_period: default_grace_period(),
        }
    }
}

fn default_grace_period() -> Duration {
    Duration::from_secs(60)
}

/// Compute resources of a container.
#[derive(KubeSchema, Serialize, Deserialize, Clone, Debug, PartialEq)]
#[x_kube(validation = rules::requests_within_limits())]
#[serde(rename_all = "camelCase")]
pub struct Resources {
    /// What the scheduler sets aside, such as `{cpu: 100m, memory: 64Mi}`.
    #[serde(default = "default_requests")]
    #[schemars(schema_with = "resource_list")]
    pub requests: BTreeMap<String, Quantity>,

    /// What the container may use at most. Absent: no limit.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    #[schemars(schema_with = "resource_list")]
    pub limits: BTreeMap<String, Quantity>,
}

impl Default for Resources {
    fn default() -> Self {
        Self {
            requests: default_requests(),
            limits: BTreeMap::new(),
        }
    }
}

fn default_requests() -> BTreeMap<String, Quantity> {
    BTreeMap::from([
        ("cpu".to_owned(), Quantity("100m".to_owned())),
        ("memory".to_owned(), Quantity("64Mi".to_owned())),
    ])
}

/// Quantities by resource, without the long description that comes with the type.
fn resource_list(_: &mut SchemaGenerator) -> Schema {
    json_schema!({
        "type": "object",
        "maxProperties": 16,
        "additionalProperties": {"x-kubernetes-int-or-string": true, "maxLength": 32},
        "x-kubernetes-validations": [rules::quantities()],
    })
}

/// Over what the pods are spread.
#[derive(JsonSchema, Serialize, Deserialize, Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum TopologySpread {
    /// Zones, and nodes inside a zone.
    #[default]
    Zone,
    /// Nodes.
    Hostname,
    /// Left to the scheduler.
    None,
}

/// Logs and traces.
#[derive(KubeSchema, Serialize, Deserialize, Clone, Debug, Default, PartialEq, Eq)]
#[serde(rename_all = "camelCase")]
pub struct Telemetry {
    /// Where traces go. Absent: nowhere.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub otlp: Option<Otlp>,

    /// One log line a request.
    #[serde(default)]
    pub access_log: AccessLog,
}

/// A receiver of traces by OTLP over HTTP.
#[derive(KubeSchema, Serialize, Deserialize, Clone, Debug, PartialEq, Eq)]
#[serde(rename_all = "camelCase")]
pub struct Otlp {
    /// Base URL of the collector, such as `http://collector:4318`.
    #[schemars(length(min = 1, max = 512))]
    #[x_kube(validation = rules::http_url())]
    pub endpoint: String,
}

/// Whether each request gives a log line.
#[derive(JsonSchema, Serialize, Deserialize, Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum AccessLog {
    /// One JSON object a request, without its content.
    #[default]
    #[serde(rename = "JSON")]
    Json,
    /// No log lines.
    // Not `Off`: kubectl reads YAML 1.1, where an unquoted `Off` is a boolean.
    None,
}

/// What an `LLMGateway` does.
#[derive(KubeSchema, Serialize, Deserialize, Clone, Debug, Default, PartialEq)]
#[serde(rename_all = "camelCase")]
pub struct LLMGatewayStatus {
    /// Pods that exist.
    #[serde(default)]
    pub replicas: i32,
    /// Pods that are ready.
    #[serde(default)]
    pub ready_replicas: i32,
    /// Label selector of the pods, for the scale subresource.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub selector: Option<String>,
    /// Generation of the newest configuration. Rises by one with each change of what is served.
    #[serde(default)]
    pub config_generation: i64,
    /// Pods that say they serve that generation.
    #[serde(default)]
    pub pods_on_generation: i32,
    /// Names of the pods that do not serve it yet.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[x_kube(merge_strategy = ListMerge::Atomic)]
    pub lagging_pods: Vec<String>,
    /// URLs under which clients in the cluster reach the gateway.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[x_kube(merge_strategy = ListMerge::Atomic)]
    pub addresses: Vec<String>,
    /// The generation of the spec that this status is about.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub observed_generation: Option<i64>,
    /// `Accepted`, `ResolvedRefs`, `Programmed` and `Ready`.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[x_kube(merge_strategy = ListMerge::Map(vec!["type".into()]))]
    pub conditions: Vec<Condition>,
}

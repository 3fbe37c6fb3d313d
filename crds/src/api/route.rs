//! `ModelRoute`: the model name that clients ask for.

use k8s_openapi::apimachinery::pkg::apis::meta::v1::Condition;
use kube::{CustomResource, KubeSchema};
use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::de::{Error as _, Unexpected};
use serde::{Deserialize, Deserializer, Serialize};

use crate::api::{HeaderChanges, NameRef, RouteMatch, Selection};
use crate::own_headers::{TO_CLIENTS, TO_PROVIDERS};
use crate::{Duration, rules};

/// A model name that clients ask for, and the providers that answer.
#[derive(CustomResource, KubeSchema, Serialize, Deserialize, Clone, Debug, PartialEq)]
#[kube(
    group = "tokenweir.dev",
    version = "v1alpha1",
    kind = "ModelRoute",
    plural = "modelroutes",
    singular = "modelroute",
    shortname = "mr",
    category = "tokenweir",
    namespaced,
    doc = "A model name that clients ask for, and the providers that answer.",
    status = "ModelRouteStatus",
    derive = "PartialEq",
    validation = rules::name_within(63),
    printcolumn(name = "Model", type_ = "string", json_path = ".spec.model"),
    printcolumn(name = "Priority", type_ = "string", json_path = ".spec.priority"),
    printcolumn(name = "Accepted", type_ = "string", json_path = ".status.conditions[?(@.type==\"Accepted\")].status"),
    printcolumn(name = "Refs", type_ = "string", json_path = ".status.conditions[?(@.type==\"ResolvedRefs\")].status"),
    printcolumn(name = "Programmed", type_ = "string", json_path = ".status.conditions[?(@.type==\"Programmed\")].status"),
    printcolumn(name = "Healthy", type_ = "string", json_path = ".status.conditions[?(@.type==\"Healthy\")].status"),
    printcolumn(name = "Age", type_ = "date", json_path = ".metadata.creationTimestamp"),
    printcolumn(name = "References", type_ = "string", json_path = ".status.conditions[?(@.type==\"ResolvedRefs\")].message", priority = 1),
    printcolumn(name = "State", type_ = "string", json_path = ".status.conditions[?(@.type==\"Programmed\")].message", priority = 1),
    printcolumn(name = "Health", type_ = "string", json_path = ".status.conditions[?(@.type==\"Healthy\")].message", priority = 1)
)]
#[serde(rename_all = "camelCase")]
pub struct ModelRouteSpec {
    /// The model name that clients send. `*` stands for any characters; an exact name goes before a glob, a longer glob before a shorter one.
    #[schemars(length(min = 1, max = 256))]
    #[x_kube(validation = rules::model_name())]
    pub model: String,

    /// Which requests for the model the route takes: those that fit one of these entries. Absent: all. Several routes may
    /// have one model, and one of them no `match`: what no other one takes is its own. Of several entries that fit the one
    /// with the most headers counts, then the one with the most fields of the body, then the one of the oldest route.
    #[serde(default, rename = "match", skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 8))]
    #[x_kube(merge_strategy = ListMerge::Atomic)]
    pub matches: Vec<RouteMatch>,

    /// The gateways that serve the route.
    #[schemars(length(min = 1, max = 16))]
    #[x_kube(merge_strategy = ListMerge::Map(vec!["name".into()]))]
    pub gateway_refs: Vec<NameRef>,

    /// Providers that answer, chosen by weight.
    #[schemars(length(min = 1, max = 16))]
    #[x_kube(
        merge_strategy = ListMerge::Atomic,
        validation = rules::rule(
            "self.exists(b, b.weight > 0)",
            "every backend (%s in all) has weight 0, so no request could be served; give one a weight above 0",
            &["self.size()"],
        )
    )]
    pub backends: Vec<RouteBackend>,

    /// Providers tried in order when the chosen backend fails before its first byte.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 8))]
    #[x_kube(merge_strategy = ListMerge::Atomic)]
    pub fallbacks: Vec<FallbackTarget>,

    /// Changes of what goes to providers, at every try. Not of what proves the gateway to them, describes the body, belongs to
    /// the connection, is signed or traces the request.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[x_kube(
        validation = TO_PROVIDERS.kept_out_of("set"),
        validation = TO_PROVIDERS.kept_out_of("add"),
        validation = TO_PROVIDERS.kept_out_of_names("remove")
    )]
    pub request_headers: Option<HeaderChanges>,

    /// Changes of what goes back to clients, with answers and errors alike. Not of what describes the body, belongs to the
    /// connection or is the gateway's own.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[x_kube(
        validation = TO_CLIENTS.kept_out_of("set"),
        validation = TO_CLIENTS.kept_out_of("add"),
        validation = TO_CLIENTS.kept_out_of_names("remove")
    )]
    pub response_headers: Option<HeaderChanges>,

    /// How one of the backends is chosen, and one of the pods behind it.
    #[serde(default)]
    pub selection: Selection,

    /// When and how often a request is tried again before its first byte.
    #[serde(default)]
    pub retry: Retry,

    /// Place in the queue of requests whose tenant has no priority of its own.
    #[serde(default)]
    pub priority: Priority,

    /// What to do with a field of a request that the provider's dialect cannot express: `false` refuses the request and
    /// names the field, `true` leaves the field out.
    #[serde(default)]
    pub drop_unsupported: bool,
}

/// A provider that answers, with its share.
#[derive(KubeSchema, Serialize, Deserialize, Clone, Debug, PartialEq, Eq)]
#[serde(rename_all = "camelCase")]
pub struct RouteBackend {
    /// The ModelProvider.
    pub provider_ref: NameRef,

    /// Model name or alias at the provider. Absent: what the client sent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 256))]
    #[x_kube(validation = rules::model_name(), validation = rules::model_name_without_glob())]
    pub model: Option<String>,

    /// Share of the requests relative to the other backends. 0: none.
    #[serde(default = "default_weight")]
    #[schemars(range(min = 0, max = 1000))]
    pub weight: u32,
}

fn default_weight() -> u32 {
    1
}

/// A provider to fall back to.
#[derive(KubeSchema, Serialize, Deserialize, Clone, Debug, PartialEq, Eq)]
#[serde(rename_all = "camelCase")]
pub struct FallbackTarget {
    /// The ModelProvider.
    pub provider_ref: NameRef,

    /// Model name or alias at the provider. Absent: what the client sent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 256))]
    #[x_kube(validation = rules::model_name(), validation = rules::model_name_without_glob())]
    pub model: Option<String>,
}

/// When and how often a request is tried again before its first byte.
#[derive(KubeSchema, Serialize, Deserialize, Clone, Debug, PartialEq, Eq)]
#[serde(rename_all = "camelCase")]
pub struct Retry {
    /// Further tries on the backends after the first one; fallbacks come after them.
    #[serde(default = "default_attempts")]
    #[schemars(range(min = 0, max = 10))]
    pub attempts: u32,

    /// Wait between tries.
    #[serde(default)]
    pub backoff: Backoff,

    /// What counts as a failure worth another try: `429`, `5xx`, `connect`, `firstTokenTimeout`.
    // Not named `on`: kubectl reads YAML 1.1, where an unquoted `on` is a boolean, and would send a field `true`.
    #[serde(default = "default_retry_on")]
    #[schemars(length(max = 4))]
    #[x_kube(
        merge_strategy = ListMerge::Atomic,
        validation = rules::rule(
            "self.all(a, self.exists_one(b, string(a) == string(b)))",
            "an entry stands twice in %s; name each failure once",
            &["self"],
        )
    )]
    pub when: Vec<RetryOn>,

    /// A request without a first byte after this time is sent a second time, to another backend or pod if there is one;
    /// the one that answers first is the answer, the other is cancelled. A duration such as `2s`, or a percentile of the
    /// route's own times to the first byte, such as `p95`. Counts against the route's budget of retries. Absent: never.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 32))]
    #[x_kube(validation = rules::hedge())]
    pub hedge_after: Option<String>,
}

impl Default for Retry {
    fn default() -> Self {
        Self {
            attempts: default_attempts(),
            backoff: Backoff::default(),
            when: default_retry_on(),
            hedge_after: None,
        }
    }
}

fn default_attempts() -> u32 {
    2
}

fn default_retry_on() -> Vec<RetryOn> {
    vec![
        RetryOn::TooManyRequests,
        RetryOn::ServerError,
        RetryOn::Connect,
        RetryOn::FirstTokenTimeout,
    ]
}

/// Wait between tries.
#[derive(KubeSchema, Serialize, Deserialize, Clone, Debug, PartialEq, Eq)]
#[x_kube(validation = rules::not_longer("base", "max"))]
#[serde(rename_all = "camelCase")]
pub struct Backoff {
    /// Before the first further try. Doubles with each one, with full jitter.
    #[serde(default = "default_base")]
    #[x_kube(validation = rules::duration_between("base", "1ms", "1m"))]
    pub base: Duration,

    /// Upper bound of the wait.
    #[serde(default = "default_max")]
    #[x_kube(validation = rules::duration_between("max", "1ms", "10m"))]
    pub max: Duration,
}

impl Default for Backoff {
    fn default() -> Self {
        Self {
            base: default_base(),
            max: default_max(),
        }
    }
}

fn default_base() -> Duration {
    Duration::from_millis(100)
}

fn default_max() -> Duration {
    Duration::from_secs(2)
}

/// A failure that is worth another try.
#[derive(Serialize, Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
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

impl<'de> Deserialize<'de> for RetryOn {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        // YAML reads an unquoted 429 as a number.
        #[derive(Deserialize)]
        #[serde(untagged)]
        enum Written {
            Number(u64),
            Text(String),
        }
        const KNOWN: &[&str] = &["429", "5xx", "connect", "firstTokenTimeout"];
        match Written::deserialize(deserializer)? {
            Written::Number(429) => Ok(Self::TooManyRequests),
            Written::Number(other) => Err(D::Error::invalid_value(Unexpected::Unsigned(other), &"429")),
            Written::Text(text) => match text.as_str() {
                "429" => Ok(Self::TooManyRequests),
                "5xx" => Ok(Self::ServerError),
                "connect" => Ok(Self::Connect),
                "firstTokenTimeout" => Ok(Self::FirstTokenTimeout),
                other => Err(D::Error::unknown_variant(other, KNOWN)),
            },
        }
    }
}

impl JsonSchema for RetryOn {
    fn inline_schema() -> bool {
        true
    }

    fn schema_name() -> std::borrow::Cow<'static, str> {
        "RetryOn".into()
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        let rule = rules::rule(
            "string(self) in ['429', '5xx', 'connect', 'firstTokenTimeout']",
            "'%s' is not a failure to retry on; the failures are 429, 5xx, connect and firstTokenTimeout",
            &["self"],
        );
        json_schema!({
            "x-kubernetes-int-or-string": true,
            "maxLength": 32,
            "x-kubernetes-validations": [rule],
        })
    }
}

/// Place in the queue.
#[derive(JsonSchema, Serialize, Deserialize, Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Priority {
    /// Leaves last.
    Low,
    /// Between the two others.
    #[default]
    Normal,
    /// Leaves first.
    High,
}

impl Priority {
    /// The number in a compiled configuration: higher leaves first, 0 is normal.
    pub const fn rank(self) -> i32 {
        match self {
            Self::Low => -1,
            Self::Normal => 0,
            Self::High => 1,
        }
    }
}

/// What is known about a `ModelRoute`.
#[derive(KubeSchema, Serialize, Deserialize, Clone, Debug, Default, PartialEq)]
#[serde(rename_all = "camelCase")]
pub struct ModelRouteStatus {
    /// The generation of the spec that this status is about.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub observed_generation: Option<i64>,
    /// `Accepted`, `ResolvedRefs`, `Programmed` and `Healthy`.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[x_kube(merge_strategy = ListMerge::Map(vec!["type".into()]))]
    pub conditions: Vec<Condition>,
}

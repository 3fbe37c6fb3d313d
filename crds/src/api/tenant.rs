//! `Tenant`: who is asking.

use k8s_openapi::apimachinery::pkg::apis::meta::v1::{Condition, Time};
use kube::{CustomResource, KubeSchema};
use serde::{Deserialize, Serialize};

use crate::Span;
use crate::api::{NameRef, Priority, SecretKeyRef};
use crate::rules;

/// Somebody who may ask, by API key, at every gateway of the namespace; or a group of those.
#[derive(CustomResource, KubeSchema, Serialize, Deserialize, Clone, Debug, PartialEq)]
#[kube(
    group = "tokenweir.dev",
    version = "v1alpha1",
    kind = "Tenant",
    plural = "tenants",
    singular = "tenant",
    shortname = "tn",
    category = "tokenweir",
    namespaced,
    doc = "Somebody who may ask, by API key, at every gateway of the namespace; or a group of those.",
    status = "TenantStatus",
    derive = "PartialEq",
    validation = rules::name_within(63),
    validation = rules::not_its_own_parent(),
    printcolumn(name = "Display name", type_ = "string", json_path = ".spec.displayName"),
    printcolumn(name = "Parent", type_ = "string", json_path = ".spec.parentRef.name"),
    printcolumn(name = "Priority", type_ = "string", json_path = ".spec.limits.priority"),
    printcolumn(name = "Max in flight", type_ = "integer", json_path = ".spec.limits.maxInFlight"),
    printcolumn(name = "Accepted", type_ = "string", json_path = ".status.conditions[?(@.type==\"Accepted\")].status"),
    printcolumn(name = "Refs", type_ = "string", json_path = ".status.conditions[?(@.type==\"ResolvedRefs\")].status"),
    printcolumn(name = "Programmed", type_ = "string", json_path = ".status.conditions[?(@.type==\"Programmed\")].status"),
    printcolumn(name = "Age", type_ = "date", json_path = ".metadata.creationTimestamp"),
    printcolumn(name = "References", type_ = "string", json_path = ".status.conditions[?(@.type==\"ResolvedRefs\")].message", priority = 1),
    printcolumn(name = "State", type_ = "string", json_path = ".status.conditions[?(@.type==\"Programmed\")].message", priority = 1)
)]
#[serde(rename_all = "camelCase")]
pub struct TenantSpec {
    /// Name for people, shown by `kubectl get tenants`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 128))]
    pub display_name: Option<String>,

    /// The tenant that this one belongs to, such as the organisation of a team: up to 8 levels. What a tenant above does not
    /// allow (`models.allow`), none below it may do. A tenant is not served while one above it is missing.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub parent_ref: Option<NameRef>,

    /// How the tenant proves who it is. Absent: nobody asks as this tenant, only as one of those below it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub auth: Option<TenantAuth>,

    /// Models that the tenant may ask for.
    #[serde(default)]
    pub models: TenantModels,

    /// Limits on what the tenant may do.
    #[serde(default)]
    pub limits: TenantLimits,
}

impl TenantSpec {
    /// Its API keys.
    pub fn api_keys(&self) -> &[ApiKey] {
        self.auth.as_ref().map_or(&[], |auth| &auth.api_keys)
    }
}

/// How a tenant proves who it is.
#[derive(KubeSchema, Serialize, Deserialize, Clone, Debug, PartialEq)]
#[serde(rename_all = "camelCase")]
pub struct TenantAuth {
    /// API keys. Each one alone is enough, so a key is replaced by adding its successor first.
    #[schemars(length(min = 1, max = 16))]
    #[x_kube(merge_strategy = ListMerge::Map(vec!["name".into()]))]
    pub api_keys: Vec<ApiKey>,
}

/// An API key of a tenant.
#[derive(KubeSchema, Serialize, Deserialize, Clone, Debug, PartialEq)]
#[serde(rename_all = "camelCase")]
#[x_kube(validation = rules::rotates_what_is_minted())]
pub struct ApiKey {
    /// Name of the key inside the tenant.
    #[schemars(length(min = 1, max = 63))]
    #[x_kube(validation = rules::rule(
        "self.matches('^[a-z0-9]([-a-z0-9]*[a-z0-9])?$')",
        "'%s' cannot be part of a Secret's name; use lower-case letters, digits and '-', beginning and ending with a letter or digit",
        &["self"],
    ))]
    pub name: String,

    /// The Secret field that holds the key. Absent: a key is made and put into the field `apiKey` of the Secret
    /// `TENANT-KEY`, where TENANT is the tenant's name and KEY the name of this key.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub secret_ref: Option<SecretKeyRef>,

    /// What the key may be used for. Absent: everything that the tenant may do. Else what one of these allows, and no more:
    /// `models:GLOB` everything that can be asked of the models of these names, `chat:GLOB` answers alone (chat completions,
    /// completions, responses, messages), `embeddings:GLOB` embeddings alone.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(min = 1, max = 16), inner(length(min = 1, max = 267)))]
    #[x_kube(
        merge_strategy = ListMerge::Set,
        validation = rules::rule(
            r"self.all(s, s.matches('^(models|chat|embeddings):[^\\s]+$'))",
            "%s cannot be a scope; write models:, chat: or embeddings: and a model name or glob, such as models:assistant-*",
            &[r"self.filter(s, !s.matches('^(models|chat|embeddings):[^\\s]+$'))"],
        )
    )]
    pub scopes: Vec<String>,

    /// Makes a successor again and again, and puts it into the same field of the same Secret. Only for keys that are made
    /// here. Without a cluster nobody does it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub rotate: Option<KeyRotation>,

    /// When the key stops working. Absent: never.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub expires: Option<Time>,
}

/// When a key gets a successor.
#[derive(KubeSchema, Serialize, Deserialize, Clone, Debug, PartialEq, Eq)]
#[serde(rename_all = "camelCase")]
pub struct KeyRotation {
    /// How old a key becomes before the next one is made.
    pub every: Span,
    /// How long the key before still works then, so that clients have time to read the new one.
    #[serde(default = "default_overlap")]
    pub overlap: Span,
}

fn default_overlap() -> Span {
    Span::from_hours(24)
}

/// Field of a minted Secret that holds the API key.
pub const MINTED_KEY_FIELD: &str = "apiKey";
/// Field of a minted Secret that holds when the key was made, in RFC 3339. Without it, that is when the Secret was.
pub const ISSUED_AT_FIELD: &str = "issuedAt";
/// Field of a minted Secret that holds the key before, while it still works.
pub const PREVIOUS_KEY_FIELD: &str = "previousApiKey";
/// Field of a minted Secret that holds until when the key before works, in RFC 3339.
pub const PREVIOUS_UNTIL_FIELD: &str = "previousUntil";

impl ApiKey {
    /// The Secret field that holds this key of `tenant`: the one named, or the one that is minted.
    pub fn secret(&self, tenant: &str) -> SecretKeyRef {
        self.secret_ref.clone().unwrap_or_else(|| SecretKeyRef {
            name: format!("{tenant}-{}", self.name),
            key: MINTED_KEY_FIELD.to_owned(),
        })
    }
}

/// Models that a tenant may ask for.
#[derive(KubeSchema, Serialize, Deserialize, Clone, Debug, PartialEq, Eq)]
#[serde(rename_all = "camelCase")]
pub struct TenantModels {
    /// Model names as clients send them. `*` stands for any characters. Empty: none.
    #[serde(default = "default_allow")]
    #[schemars(length(max = 64), inner(length(min = 1, max = 256)))]
    #[x_kube(
        merge_strategy = ListMerge::Set,
        validation = rules::rule(
            r"self.all(m, m.matches('^[^\\s]+$'))",
            "white space in %s; a model name or glob has none",
            &[r"self.filter(m, !m.matches('^[^\\s]+$'))"],
        )
    )]
    pub allow: Vec<String>,
}

impl Default for TenantModels {
    fn default() -> Self {
        Self { allow: default_allow() }
    }
}

fn default_allow() -> Vec<String> {
    vec!["*".to_owned()]
}

/// Limits on what a tenant may do.
#[derive(KubeSchema, Serialize, Deserialize, Clone, Debug, Default, PartialEq, Eq)]
#[serde(rename_all = "camelCase")]
pub struct TenantLimits {
    /// Requests that one gateway pod forwards at a time. Absent: the gateway's `admission.perTenant`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 1, max = 1_000_000))]
    pub max_in_flight: Option<u32>,

    /// Place in the queue. Absent: that of the route.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub priority: Option<Priority>,
}

/// What is known about an API key.
#[derive(KubeSchema, Serialize, Deserialize, Clone, Debug, PartialEq, Eq)]
#[serde(rename_all = "camelCase")]
pub struct ApiKeyStatus {
    /// Name of the key inside the tenant.
    pub name: String,
    /// When it was made.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub issued_at: Option<Time>,
    /// When it stops working. Absent: never.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub expires_at: Option<Time>,
    /// When it gets a successor. Absent: never.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub next_rotation: Option<Time>,
    /// Until when the key before it works. Absent: there is none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub previous_until: Option<Time>,
}

/// What is known about a `Tenant`.
#[derive(KubeSchema, Serialize, Deserialize, Clone, Debug, Default, PartialEq)]
#[serde(rename_all = "camelCase")]
pub struct TenantStatus {
    /// The generation of the spec that this status is about.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub observed_generation: Option<i64>,
    /// The keys that are made here.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[x_kube(merge_strategy = ListMerge::Map(vec!["name".into()]))]
    pub keys: Vec<ApiKeyStatus>,
    /// `Accepted`, `ResolvedRefs` and `Programmed`.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[x_kube(merge_strategy = ListMerge::Map(vec!["type".into()]))]
    pub conditions: Vec<Condition>,
}

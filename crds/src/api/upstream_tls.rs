//! TLS towards a provider.

use kube::KubeSchema;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::api::SecretNameRef;
use crate::rules;

/// TLS towards a provider, where trusting the public authorities is not enough.
#[derive(KubeSchema, Serialize, Deserialize, Clone, Debug, Default, PartialEq, Eq)]
#[x_kube(validation = rules::rule(
    "!(has(self.caSecretRef) && has(self.caConfigMapRef))",
    "caSecretRef (%s) and caConfigMapRef (%s) are both given; keep one of them",
    &["self.caSecretRef.name", "self.caConfigMapRef.name"],
))]
#[serde(rename_all = "camelCase")]
pub struct ProviderTls {
    /// The field of a Secret with the authorities, in PEM, that are trusted instead of the public ones.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ca_secret_ref: Option<CaRef>,

    /// The same from a ConfigMap.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ca_config_map_ref: Option<CaRef>,

    /// The Secret of type `kubernetes.io/tls` with which the gateway proves itself to the provider (mutual TLS). A change is used by
    /// the next connection.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub client_certificate_secret_ref: Option<SecretNameRef>,

    /// The name that the provider's certificate must have. Absent: the host of `endpoint`, or `NAME.NAMESPACE.svc` of a Service.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 253))]
    #[x_kube(validation = rules::rule(
        "self.matches('^[0-9A-Za-z]([-0-9A-Za-z.]*[0-9A-Za-z])?$')",
        "'%s' is not a host name; write for example vllm.llm.svc",
        &["self"],
    ))]
    pub server_name: Option<String>,
}

/// A field of a Secret or ConfigMap that holds certificates in PEM.
#[derive(KubeSchema, Serialize, Deserialize, Clone, Debug, PartialEq, Eq)]
#[serde(rename_all = "camelCase")]
pub struct CaRef {
    /// Name of the object.
    #[schemars(length(min = 1, max = 253))]
    pub name: String,
    /// Key in its data.
    #[serde(default = "default_ca_key")]
    #[schemars(length(min = 1, max = 253))]
    pub key: String,
}

fn default_ca_key() -> String {
    "ca.crt".to_owned()
}

/// What the pods of a Service speak.
#[derive(JsonSchema, Serialize, Deserialize, Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Scheme {
    /// Without TLS.
    #[default]
    #[serde(rename = "HTTP")]
    Http,
    /// With TLS.
    #[serde(rename = "HTTPS")]
    Https,
}

//! The snapshot itself.
//!
//! Durations are integers of milliseconds with the suffix `_ms`; names are those of the custom resources. Every list is
//! sorted by name, so that equal configuration gives equal bytes and thereby an equal digest.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::credential::Credential;
use crate::edge::{KeyPair, Limits, Proxy, UpstreamTls};
use crate::price::Price;
use crate::resilience::Health;
use crate::route::Route;

/// The newest format that this build understands.
///
/// A change that an older gateway could misread raises it; a field that an older gateway may ignore does not. A snapshot is
/// written in the oldest format that says all it has ([`Snapshot::oldest_format`]), so that gateways of the release before
/// go on with everything that they know.
pub const FORMAT: u32 = 4;

/// Everything that one gateway serves.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Snapshot {
    /// The format: 4 where a tenant stands below another, or a key has scopes, whose rules a gateway of format 3 would not see; 3 where a route does not take every request for its model, changes headers or has no backends, which a gateway of format 2
    /// would not see or not take; 2 where there is TLS beyond that of public endpoints, or a proxy, which a gateway of format 1 would not see, or a
    /// provider that does not speak OpenAI's wire, which it would not know; else 1.
    pub format: u32,
    /// Rises by one with each change of content. The operator counts it; a gateway reports the one it serves.
    pub generation: u64,
    /// Which gateway this is for.
    pub gateway: GatewayRef,
    /// Sockets of the data plane. Never empty.
    pub listeners: Vec<Listener>,
    /// Limits on the whole gateway.
    pub admission: Admission,
    /// What one client may cost.
    #[serde(default)]
    pub limits: Limits,
    /// Logs and traces.
    #[serde(default)]
    pub telemetry: Telemetry,
    /// Where tokens come from, by provider name.
    pub providers: BTreeMap<String, Provider>,
    /// What clients may ask for, by route name.
    pub routes: BTreeMap<String, Route>,
    /// Who may ask, by tenant name.
    pub tenants: BTreeMap<String, Tenant>,
    /// Key of the API-key hashes, base64 (32 bytes). See [`crate::keys`].
    pub key_hash_key: String,
    /// Key that verifies callers of the admin port, base64 (32 bytes); absent in file mode, where the admin port listens
    /// on loopback only. See [`crate::admin_token`].
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub admin_key: Option<String>,
}

/// Why a snapshot cannot be served.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum SnapshotError {
    /// The bytes are not a snapshot.
    #[error("the snapshot is not valid JSON of this format: {0}")]
    Malformed(String),
    /// A newer operator wrote it.
    #[error("the snapshot has format {found}, this gateway understands up to {FORMAT}")]
    TooNew {
        /// The format found.
        found: u32,
    },
    /// A name points nowhere.
    #[error("route {route} names provider {provider}, which the snapshot does not have")]
    DanglingProvider {
        /// The route.
        route: String,
        /// The provider that is missing.
        provider: String,
    },
    /// A name points nowhere.
    #[error("tenant {tenant} stands below tenant {ancestor}, which the snapshot does not have")]
    DanglingTenant {
        /// The tenant.
        tenant: String,
        /// The tenant above it that is missing.
        ancestor: String,
    },
    /// Nothing to listen on.
    #[error("the snapshot has no listener")]
    NoListener,
}

impl Snapshot {
    /// Parses and checks a snapshot.
    ///
    /// The format is looked at first, so that a newer snapshot is reported as such and not as malformed.
    pub fn from_json(bytes: &[u8]) -> Result<Self, SnapshotError> {
        #[derive(Deserialize)]
        struct Head {
            format: u32,
        }
        let head: Head = serde_json::from_slice(bytes).map_err(|e| SnapshotError::Malformed(e.to_string()))?;
        if head.format > FORMAT {
            return Err(SnapshotError::TooNew { found: head.format });
        }
        let snapshot: Self = serde_json::from_slice(bytes).map_err(|e| SnapshotError::Malformed(e.to_string()))?;
        snapshot.check()?;
        Ok(snapshot)
    }

    /// Serialises the snapshot; equal snapshots give equal bytes.
    pub fn to_json(&self) -> Result<Vec<u8>, SnapshotError> {
        serde_json::to_vec(self).map_err(|e| SnapshotError::Malformed(e.to_string()))
    }

    /// The oldest format that says all that this snapshot has.
    pub fn oldest_format(&self) -> u32 {
        let secured = self.listeners.iter().any(|listener| listener.tls.is_some());
        let special = |provider: &Provider| {
            let first_kinds = matches!(provider.kind, ProviderKind::OpenAI | ProviderKind::OpenAICompatible);
            provider.tls.is_some() || provider.proxy.is_some() || !first_kinds
        };
        let narrowed =
            |tenant: &Tenant| !tenant.ancestors.is_empty() || tenant.keys.iter().any(|key| !key.scopes.is_empty());
        if self.tenants.values().any(narrowed) {
            4
        } else if self.routes.values().any(Route::is_special) {
            3
        } else if secured || self.providers.values().any(special) {
            2
        } else {
            1
        }
    }

    /// True if both configure the same, whatever their generations.
    pub fn same_content(&self, other: &Self) -> bool {
        let mut copy = other.clone();
        copy.generation = self.generation;
        *self == copy
    }

    fn check(&self) -> Result<(), SnapshotError> {
        if self.listeners.is_empty() {
            return Err(SnapshotError::NoListener);
        }
        for (name, route) in &self.routes {
            for backend in route.backends.iter().chain(&route.fallbacks) {
                if !self.providers.contains_key(&backend.provider) {
                    return Err(SnapshotError::DanglingProvider {
                        route: name.clone(),
                        provider: backend.provider.clone(),
                    });
                }
            }
        }
        for (name, tenant) in &self.tenants {
            for ancestor in &tenant.ancestors {
                if !self.tenants.contains_key(ancestor) {
                    return Err(SnapshotError::DanglingTenant {
                        tenant: name.clone(),
                        ancestor: ancestor.clone(),
                    });
                }
            }
        }
        Ok(())
    }
}

/// Which gateway a snapshot is for.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct GatewayRef {
    /// Namespace of the `LLMGateway`.
    pub namespace: String,
    /// Its name.
    pub name: String,
}

/// One socket of the data plane. HTTP/1.1 and HTTP/2 are told apart by ALPN with TLS, without it by the preface.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Listener {
    /// TCP port.
    pub port: u16,
    /// The certificate with which it speaks TLS; absent: it speaks plain HTTP.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub tls: Option<KeyPair>,
}

/// Limits on the whole gateway pod and on each tenant without limits of its own.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Admission {
    /// Requests that one pod forwards at a time.
    pub max_in_flight: u32,
    /// Where requests wait when the pod, the tenant or all backends of the route are full.
    pub queue: Queue,
    /// In-flight limit on each tenant that has none of its own.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub per_tenant_max_in_flight: Option<u32>,
}

/// The waiting room of a pod.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Queue {
    /// Requests that may wait; one more gets 429.
    pub max_depth: u32,
    /// How long one may wait; then it gets 429.
    pub max_wait_ms: u64,
    /// Who goes first.
    pub order: Order,
}

/// Who leaves the queue first.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum Order {
    /// Higher priority first; inside one priority tenants take turns; inside one tenant first come, first served.
    PriorityFair,
    /// First come, first served.
    Fifo,
}

/// Logs and traces of a gateway.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Telemetry {
    /// OTLP/HTTP endpoint for traces, such as `http://collector:4318`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub otlp_endpoint: Option<String>,
    /// Write one log line a request.
    #[serde(default)]
    pub access_log: bool,
}

/// Where tokens come from.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Provider {
    /// The wire that the provider speaks.
    pub kind: ProviderKind,
    /// Where it is.
    pub upstream: Upstream,
    /// How the gateway proves itself to the provider; absent: not at all.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub credential: Option<Credential>,
    /// Of Azure OpenAI: the version of the API whose paths name deployments, such as `2024-10-21`; absent: the v1 API,
    /// whose paths are those of OpenAI. Other kinds have none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub azure_api_version: Option<String>,
    /// The region in which it answers, as far as that is known.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub region: Option<String>,
    /// Models by the provider's own names. Empty: any model name is passed on.
    #[serde(default)]
    pub models: Vec<Model>,
    /// Limits on what the gateway sends.
    #[serde(default)]
    pub limits: ProviderLimits,
    /// How long the gateway waits for what.
    pub timeouts: Timeouts,
    /// When the gateway takes it to be sick.
    #[serde(default, skip_serializing_if = "Health::is_none")]
    pub health: Health,
    /// TLS, where it is special.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub tls: Option<UpstreamTls>,
    /// The proxy on the way; absent: none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub proxy: Option<Proxy>,
}

/// The wire that a provider speaks.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum ProviderKind {
    /// OpenAI itself.
    OpenAI,
    /// Anything that speaks OpenAI's wire: vLLM, Ollama, llama.cpp, TGI.
    OpenAICompatible,
    /// Anthropic's Messages API.
    Anthropic,
    /// OpenAI's models at Azure.
    AzureOpenAI,
    /// Amazon Bedrock: Converse, and `invoke` for embeddings.
    Bedrock,
    /// Google's Gemini API.
    Gemini,
    /// Gemini on Google's Vertex AI.
    Vertex,
}

impl ProviderKind {
    /// All of them.
    pub const ALL: [Self; Self::Vertex as usize + 1] = [
        Self::OpenAI,
        Self::OpenAICompatible,
        Self::Anthropic,
        Self::AzureOpenAI,
        Self::Bedrock,
        Self::Gemini,
        Self::Vertex,
    ];
}

/// Where a provider is.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum Upstream {
    /// One base URL, with the path prefix that stands before `/chat/completions` or `/messages`.
    Endpoint {
        /// For example `https://api.openai.com/v1`. No slash at its end.
        url: String,
    },
    /// The ready pods behind a Service, each a backend of its own.
    Service(ServiceRef),
}

/// A Service whose endpoints the gateway watches.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct ServiceRef {
    /// Its namespace: that of the gateway.
    pub namespace: String,
    /// Its name.
    pub name: String,
    /// The Service's port number.
    pub port: u16,
    /// Path prefix before `/chat/completions`, such as `/v1`. May be empty; no slash at its end.
    pub path: String,
}

/// A model of a provider.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Model {
    /// The provider's own name for it.
    pub name: String,
    /// Other names under which a route's backend may ask for it.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub aliases: Vec<String>,
    /// What the object says that it costs, by time. Empty: what the bundled tables say.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub prices: Vec<Price>,
}

/// Limits on what one gateway pod sends to a provider.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct ProviderLimits {
    /// Requests at a time; absent: no limit.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub max_in_flight: Option<u32>,
    /// Requests in a minute; absent: no limit.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub requests_per_minute: Option<u64>,
    /// Tokens in a minute, by estimate; absent: no limit.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub tokens_per_minute: Option<u64>,
}

/// How long the gateway waits for what, in milliseconds.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Timeouts {
    /// TCP and TLS handshake.
    pub connect_ms: u64,
    /// Of a stream: from the request's end to the first byte of the body. An answer in one piece comes when all of it was
    /// generated, and has the time of the whole request.
    pub first_token_ms: u64,
    /// Between two chunks of a body.
    pub idle_ms: u64,
    /// The whole request.
    pub total_ms: u64,
}

/// Who may ask.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Tenant {
    /// Names of the tenants above it, the root first; with its own name behind them they are its path. Their rules hold too.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub ancestors: Vec<String>,
    /// API keys, by their hashes.
    pub keys: Vec<TenantKey>,
    /// Globs of the model names the tenant may ask for. Empty: none.
    pub allow_models: Vec<String>,
    /// Limits.
    #[serde(default)]
    pub limits: TenantLimits,
}

/// An API key of a tenant.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct TenantKey {
    /// Name of the key in the tenant, for logs.
    pub name: String,
    /// `HMAC-SHA256(key_hash_key, api key)`, base64. See [`crate::keys`].
    pub hash: String,
    /// Unix time in seconds from which the key is refused.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub expires_unix: Option<i64>,
    /// What the key may be used for, one of these at least; empty: everything that the tenant may do.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub scopes: Vec<KeyScope>,
}

/// One thing that an API key may be used for.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct KeyScope {
    /// What may be asked.
    pub area: ScopeArea,
    /// Glob of the names of models that may be asked.
    pub models: String,
}

/// What may be asked of models.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum ScopeArea {
    /// Everything.
    Models,
    /// Answers, whatever the dialect, and what they would cost.
    Chat,
    /// Embeddings.
    Embeddings,
}

/// Limits on a tenant, for each gateway pod.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct TenantLimits {
    /// Requests at a time; absent: the gateway's own limit for each tenant.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub max_in_flight: Option<u32>,
    /// Priority in the queue; absent: the route's.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub priority: Option<i32>,
}

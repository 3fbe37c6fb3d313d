//! `ModelProvider`: where tokens come from.

use k8s_openapi::apimachinery::pkg::apis::meta::v1::Condition;
use kube::{CustomResource, KubeSchema};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use tokenweir_config::ProviderKind;

use crate::api::{Aws, Google, ModelPrice, PriceChange, ProviderHealth, ProviderTls, Scheme, SecretKeyRef};
use crate::{Duration, rules};

/// Where OpenAI itself answers: the endpoint of a provider of type `OpenAI` that names none.
pub const OPENAI_ENDPOINT: &str = "https://api.openai.com/v1";
/// Where Anthropic itself answers: the endpoint of a provider of type `Anthropic` that names none.
pub const ANTHROPIC_ENDPOINT: &str = "https://api.anthropic.com/v1";

/// A server that answers model requests: a provider's own API, or anything that speaks the wire of one.
#[derive(CustomResource, KubeSchema, Serialize, Deserialize, Clone, Debug, PartialEq)]
#[kube(
    group = "tokenweir.dev",
    version = "v1alpha1",
    kind = "ModelProvider",
    plural = "modelproviders",
    singular = "modelprovider",
    shortname = "mp",
    category = "tokenweir",
    namespaced,
    doc = "A server that answers model requests: a provider's own API, or anything that speaks the wire of one.",
    status = "ModelProviderStatus",
    derive = "PartialEq",
    validation = rules::name_within(63),
    printcolumn(name = "Type", type_ = "string", json_path = ".spec.type"),
    printcolumn(name = "Endpoint", type_ = "string", json_path = ".spec.endpoint"),
    printcolumn(name = "Service", type_ = "string", json_path = ".spec.backendRef.name"),
    printcolumn(name = "Accepted", type_ = "string", json_path = ".status.conditions[?(@.type==\"Accepted\")].status"),
    printcolumn(name = "Refs", type_ = "string", json_path = ".status.conditions[?(@.type==\"ResolvedRefs\")].status"),
    printcolumn(name = "Programmed", type_ = "string", json_path = ".status.conditions[?(@.type==\"Programmed\")].status"),
    printcolumn(name = "Healthy", type_ = "string", json_path = ".status.conditions[?(@.type==\"Healthy\")].status"),
    printcolumn(name = "Age", type_ = "date", json_path = ".metadata.creationTimestamp"),
    printcolumn(name = "References", type_ = "string", json_path = ".status.conditions[?(@.type==\"ResolvedRefs\")].message", priority = 1),
    printcolumn(name = "State", type_ = "string", json_path = ".status.conditions[?(@.type==\"Programmed\")].message", priority = 1),
    printcolumn(name = "Health", type_ = "string", json_path = ".status.conditions[?(@.type==\"Healthy\")].message", priority = 1)
)]
#[x_kube(
    validation = rules::rule(
        "!(has(self.endpoint) && has(self.backendRef))",
        "endpoint (%s) and backendRef (%s) are both given; keep one of them",
        &["self.endpoint", "self.backendRef.name"],
    ),
    validation = rules::rule(
        "self.type in ['OpenAI', 'Anthropic', 'Bedrock', 'Gemini', 'Vertex'] || has(self.endpoint) || has(self.backendRef)",
        "a provider of type %s needs endpoint (a URL) or backendRef (a Service); neither is given",
        &["self.type"],
    ),
    validation = rules::rule(
        "!(self.type in ['OpenAI', 'Anthropic', 'Gemini', 'Vertex']) || has(self.endpoint) || has(self.backendRef) || has(self.credentials)",
        "a provider of type %s without endpoint is the public API of that name, which needs an API key; give credentials.secretRef",
        &["self.type"],
    ),
    validation = rules::rule(
        "!(self.type in ['AzureOpenAI', 'Bedrock', 'Gemini', 'Vertex']) || !has(self.backendRef)",
        "a provider of type %s is reached at an endpoint, not at a Service (%s)",
        &["self.type", "self.backendRef.name"],
    ),
    validation = rules::rule(
        "(self.type == 'Bedrock') == has(self.aws)",
        "a provider of type %s has aws %s; it belongs to providers of type Bedrock, and to all of them",
        &["self.type", "has(self.aws) ? 'given' : 'not given'"],
    ),
    validation = rules::rule(
        "self.type != 'Bedrock' || !has(self.aws) || has(self.credentials) != has(self.aws.secretRef)",
        "a provider of type Bedrock needs either aws.secretRef (keys that sign requests) or credentials.secretRef (an API key of \
         Bedrock); %s given",
        &["has(self.credentials) ? 'both are' : 'neither is'"],
    ),
    validation = rules::rule(
        "(self.type == 'Vertex') == has(self.google)",
        "a provider of type %s has google %s; it belongs to providers of type Vertex, and to all of them",
        &["self.type", "has(self.google) ? 'given' : 'not given'"],
    ),
    validation = rules::rule(
        "!(self.type in ['Bedrock', 'Vertex']) || !has(self.health) || !has(self.health.activeProbe)",
        "a provider of type %s takes no health.activeProbe: its requests are signed or carry tokens, and there is no path that \
         costs nothing",
        &["self.type"],
    ),
    validation = rules::rule(
        "self.type == 'AzureOpenAI' || !has(self.azure)",
        "azure is for providers of type AzureOpenAI; this one has type %s",
        &["self.type"],
    ),
    validation = rules::rule(
        "self.type in ['Anthropic', 'AzureOpenAI'] || !has(self.credentials) || !has(self.credentials.scheme) || \
         (self.type in ['OpenAI', 'OpenAICompatible', 'Bedrock'] && self.credentials.scheme != 'ApiKey')",
        "a provider of type %s takes its key in one way alone; leave out credentials.scheme",
        &["self.type"],
    ),
    validation = rules::rule(
        "!has(self.tls) || (has(self.endpoint) ? self.endpoint.startsWith('https://') : (!has(self.backendRef) || self.backendRef.scheme == 'HTTPS'))",
        "tls is given, and the provider is spoken to without TLS (%s); write https:// in endpoint or scheme: HTTPS in backendRef, or leave tls out",
        &["has(self.endpoint) ? self.endpoint : 'backendRef ' + self.backendRef.name"],
    )
)]
#[serde(rename_all = "camelCase")]
pub struct ModelProviderSpec {
    /// The wire that the provider speaks. `OpenAICompatible`: vLLM, Ollama, llama.cpp, TGI and others. Requests in
    /// another dialect than the provider's are translated.
    #[serde(rename = "type")]
    pub provider_type: ProviderType,

    /// Base URL, with the path that stands before `/chat/completions` or `/messages`. Without `endpoint` and `backendRef`
    /// type `OpenAI` is `https://api.openai.com/v1`, and type `Anthropic` is `https://api.anthropic.com/v1`. For type
    /// `AzureOpenAI` the resource, such as `https://NAME.openai.azure.com`; the API's path is added if the URL has none.
    /// Types `Bedrock`, `Gemini` and `Vertex` know where they are; `endpoint` is for private ones, such as a VPC endpoint. For
    /// `Gemini` it has the version of the API, `/v1beta`, at its end.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 512))]
    #[x_kube(validation = rules::http_url())]
    pub endpoint: Option<String>,

    /// A Service of the namespace instead of an endpoint: its ready pods are balanced by least outstanding requests.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub backend_ref: Option<BackendRef>,

    /// TLS towards the provider. Absent: the public authorities are trusted.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub tls: Option<ProviderTls>,

    /// How the gateway proves itself to the provider. Absent: not at all.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub credentials: Option<Credentials>,

    /// What only Azure OpenAI has.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub azure: Option<Azure>,

    /// What only Amazon Bedrock has, and always.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub aws: Option<Aws>,

    /// What only Vertex AI has, and always.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub google: Option<Google>,

    /// The region in which the provider answers, by any name that gateways and routes use too, such as `eu-central-1`.
    /// Absent: `aws.region` of type `Bedrock`, except for inference profiles across regions; `google.location` of type `Vertex`
    /// unless that is `global`; and else in none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 63))]
    #[x_kube(validation = rules::region())]
    pub region: Option<String>,

    /// Models that the provider has. Empty: any name is passed on.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 64))]
    #[x_kube(
        merge_strategy = ListMerge::Map(vec!["name".into()]),
        validation = rules::rule(
            "self.all(m, !has(m.aliases) || m.aliases.all(a, self.exists_one(n, n.name == a || (has(n.aliases) && a in n.aliases))))",
            "an alias is also the name or an alias of another model; see the aliases of %s",
            &["self.filter(m, has(m.aliases) && !m.aliases.all(a, self.exists_one(n, n.name == a || (has(n.aliases) && a in n.aliases)))).map(m, m.name)"],
        )
    )]
    pub models: Vec<ProviderModel>,

    /// Limits on what each gateway pod sends.
    #[serde(default)]
    pub limits: ProviderLimits,

    /// How long the gateway waits for what.
    #[serde(default)]
    pub timeouts: ProviderTimeouts,

    /// When the provider is taken to be sick, so that nothing is sent to it.
    #[serde(default)]
    pub health: ProviderHealth,
}

impl ModelProviderSpec {
    /// The region in which the provider answers, as far as it is in one; for type `Bedrock` that of its endpoint, from which
    /// the id of a model may lead on.
    pub fn region(&self) -> Option<&str> {
        let of_cloud = || match self.provider_type {
            ProviderType::Bedrock => self.aws.as_ref().map(|aws| aws.region.as_str()),
            ProviderType::Vertex => {
                let location = self.google.as_ref().map(|google| google.location.as_str());
                location.filter(|location| *location != "global")
            }
            _ => None,
        };
        self.region.as_deref().or_else(of_cloud)
    }
}

/// The wire that a provider speaks.
#[derive(JsonSchema, Serialize, Deserialize, Clone, Copy, Debug, PartialEq, Eq)]
pub enum ProviderType {
    /// OpenAI itself.
    OpenAI,
    /// Anything that speaks OpenAI's wire.
    OpenAICompatible,
    /// Anthropic's Messages API.
    Anthropic,
    /// OpenAI's models at Azure. The names of models are those of deployments.
    AzureOpenAI,
    /// Amazon Bedrock. The names of models are ids of models, inference profiles or their ARNs.
    Bedrock,
    /// Google's Gemini API.
    Gemini,
    /// Gemini on Google's Vertex AI.
    Vertex,
}

impl From<ProviderType> for ProviderKind {
    fn from(provider: ProviderType) -> Self {
        match provider {
            ProviderType::OpenAI => Self::OpenAI,
            ProviderType::OpenAICompatible => Self::OpenAICompatible,
            ProviderType::Anthropic => Self::Anthropic,
            ProviderType::AzureOpenAI => Self::AzureOpenAI,
            ProviderType::Bedrock => Self::Bedrock,
            ProviderType::Gemini => Self::Gemini,
            ProviderType::Vertex => Self::Vertex,
        }
    }
}

/// A Service whose pods answer.
#[derive(KubeSchema, Serialize, Deserialize, Clone, Debug, PartialEq, Eq)]
#[serde(rename_all = "camelCase")]
pub struct BackendRef {
    /// Name of the Service.
    #[schemars(length(min = 1, max = 63))]
    pub name: String,

    /// Port number of the Service.
    #[schemars(range(min = 1, max = 65535))]
    pub port: u16,

    /// Whether the pods speak TLS.
    #[serde(default)]
    pub scheme: Scheme,

    /// Path before `/chat/completions` or `/messages`. May be empty.
    #[serde(default = "default_path")]
    #[schemars(length(max = 128))]
    #[x_kube(validation = rules::rule(
        r"self == '' || self.matches('^/[^?#\\s]*$')",
        "the path '%s' does not begin with '/' or has characters that do not belong into a path; write for example /v1",
        &["self"],
    ))]
    pub path: String,
}

fn default_path() -> String {
    "/v1".to_owned()
}

/// How the gateway proves itself to a provider.
#[derive(KubeSchema, Serialize, Deserialize, Clone, Debug, PartialEq, Eq)]
#[serde(rename_all = "camelCase")]
pub struct Credentials {
    /// The Secret field with the API key; for type `Vertex` with the JSON key of a service account. A change reaches the
    /// pods without a restart.
    pub secret_ref: SecretKeyRef,

    /// How the key is sent. Absent: as the type's own clients do, which is `ApiKey` for `Anthropic` and `AzureOpenAI`, and
    /// `Bearer` for `OpenAI`, `OpenAICompatible` and `Bedrock`. Types `Gemini` and `Vertex` have one way alone.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub scheme: Option<CredentialScheme>,
}

/// How a key is sent.
#[derive(JsonSchema, Serialize, Deserialize, Clone, Copy, Debug, PartialEq, Eq)]
pub enum CredentialScheme {
    /// `authorization: Bearer KEY`; for Azure OpenAI and Anthropic this is a token of OAuth.
    Bearer,
    /// The provider's own header: `x-api-key` of Anthropic, `api-key` of Azure OpenAI.
    ApiKey,
}

/// What only Azure OpenAI has.
#[derive(KubeSchema, Serialize, Deserialize, Clone, Debug, Default, PartialEq, Eq)]
#[serde(rename_all = "camelCase")]
pub struct Azure {
    /// Version of the API whose paths name deployments, such as `2024-10-21`. Absent: the v1 API, which needs no version.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 32))]
    #[x_kube(validation = rules::rule(
        r"self.matches('^[0-9]{4}-[0-9]{2}-[0-9]{2}(-preview)?$')",
        "'%s' is not a version of the API; write a date such as 2024-10-21, or 2025-04-01-preview",
        &["self"],
    ))]
    pub api_version: Option<String>,
}

/// A model of a provider.
#[derive(KubeSchema, Serialize, Deserialize, Clone, Debug, Default, PartialEq, Eq)]
#[serde(rename_all = "camelCase")]
pub struct ProviderModel {
    /// The provider's own name for it.
    #[schemars(length(min = 1, max = 128))]
    #[x_kube(validation = rules::model_name())]
    pub name: String,

    /// Other names under which a route may ask for it.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 8), inner(length(min = 1, max = 128)))]
    #[x_kube(merge_strategy = ListMerge::Set)]
    pub aliases: Vec<String>,

    /// What it costs. Absent: what the bundled tables of prices say about its name; without a price there it is counted in
    /// tokens and is not free.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub price: Option<ModelPrice>,

    /// What it costs from some times on, in place of what held before.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 4))]
    pub price_changes: Vec<PriceChange>,
}

/// Limits on what each gateway pod sends.
#[derive(KubeSchema, Serialize, Deserialize, Clone, Debug, Default, PartialEq, Eq)]
#[serde(rename_all = "camelCase")]
pub struct ProviderLimits {
    /// Requests at a time from one pod. Absent: no limit.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 1, max = 1_000_000))]
    pub max_in_flight: Option<u32>,

    /// Requests in a minute from one pod, with what six seconds hold at once after a pause. Absent: no limit.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 1, max = 10_000_000))]
    pub requests_per_minute: Option<u64>,

    /// Tokens in a minute from one pod, input and output by estimate, with what six seconds hold at once after a pause.
    /// Absent: no limit. By itself the gateway leaves a provider alone that says in its headers that it is exhausted.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 1, max = 1_000_000_000_000i64))]
    pub tokens_per_minute: Option<u64>,
}

/// How long the gateway waits for what.
#[derive(KubeSchema, Serialize, Deserialize, Clone, Debug, PartialEq, Eq)]
#[x_kube(
    validation = rules::not_longer("connect", "firstToken"),
    validation = rules::not_longer("firstToken", "total"),
    validation = rules::not_longer("idle", "total")
)]
#[serde(rename_all = "camelCase")]
pub struct ProviderTimeouts {
    /// TCP and TLS handshake.
    #[serde(default = "default_connect")]
    #[x_kube(validation = rules::duration_between("connect", "1ms", "1h"))]
    pub connect: Duration,

    /// For streams: from the end of the request to the first byte of the answer's body. An answer in one piece comes when all of it
    /// was generated, and has the whole `total` time.
    #[serde(default = "default_first_token")]
    #[x_kube(validation = rules::duration_between("firstToken", "1ms", "24h"))]
    pub first_token: Duration,

    /// Between two pieces of the answer.
    #[serde(default = "default_idle")]
    #[x_kube(validation = rules::duration_between("idle", "1ms", "24h"))]
    pub idle: Duration,

    /// The whole request.
    #[serde(default = "default_total")]
    #[x_kube(validation = rules::duration_between("total", "1ms", "24h"))]
    pub total: Duration,
}

impl Default for ProviderTimeouts {
    fn default() -> Self {
        Self {
            connect: default_connect(),
            first_token: default_first_token(),
            idle: default_idle(),
            total: default_total(),
        }
    }
}

fn default_connect() -> Duration {
    Duration::from_secs(2)
}

fn default_first_token() -> Duration {
    Duration::from_secs(30)
}

fn default_idle() -> Duration {
    Duration::from_secs(30)
}

fn default_total() -> Duration {
    Duration::from_secs(600)
}

/// What is known about a `ModelProvider`.
#[derive(KubeSchema, Serialize, Deserialize, Clone, Debug, Default, PartialEq)]
#[serde(rename_all = "camelCase")]
pub struct ModelProviderStatus {
    /// The generation of the spec that this status is about.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub observed_generation: Option<i64>,
    /// `Accepted`, `ResolvedRefs`, `Programmed`, `Healthy` and `Priced`.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[x_kube(merge_strategy = ListMerge::Map(vec!["type".into()]))]
    pub conditions: Vec<Condition>,
}

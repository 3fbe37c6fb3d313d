//! The kinds of `tokenweir.dev/v1alpha1`.
//!
//! A field stands here once it works. Defaults and rules are part of the schema, so that `kubectl explain` and
//! `kubectl get -o yaml` show them and the API server enforces them.

mod cloud;
mod edge;
mod gateway;
mod header_changes;
mod health;
mod matching;
mod price;
mod provider;
mod refs;
mod route;
mod scaling;
mod selection;
mod signal;
mod tenant;
mod upstream_tls;

pub use cloud::{Aws, AwsSecretRef, Google};
pub use edge::{EgressProxy, GatewayLimits, Listener, Protocol};
pub use gateway::{
    AccessLog, Admission, LLMGateway, LLMGatewaySpec, LLMGatewayStatus, Otlp, PerTenant, PodTemplate, Queue,
    QueueOrder, Resources, Telemetry, TopologySpread,
};
pub use header_changes::{HeaderChanges, HeaderLine};
pub use health::{ActiveProbe, Outlier, ProviderHealth};
pub use matching::{BodyMatch, HeaderMatch, MatchType, RouteMatch};
pub use price::{LengthTier, ModelPrice, PriceChange, TokenRates};
pub use provider::{
    ANTHROPIC_ENDPOINT, Azure, BackendRef, CredentialScheme, Credentials, ModelProvider, ModelProviderSpec,
    ModelProviderStatus, OPENAI_ENDPOINT, ProviderLimits, ProviderModel, ProviderTimeouts, ProviderType,
};
pub use refs::{NameRef, SecretKeyRef, SecretNameRef};
pub use route::{
    Backoff, FallbackTarget, ModelRoute, ModelRouteSpec, ModelRouteStatus, Priority, Retry, RetryOn, RouteBackend,
};
pub use scaling::{
    Horizontal, ReplicaRange, ScaleDown, ScaleRule, ScaleUp, ScalingPolicy, ScalingPolicySpec, ScalingPolicyStatus,
    SelectPolicy, SignalStatus, TargetRef,
};
pub use selection::{RegionMode, Selection, SelectionMode, Sticky};
pub use signal::{
    Count, Latency, MetricSource, Quantile, Rate, ResourceName, ResourceSignal, Signal, SignalKind, Window,
};
pub use tenant::{
    ApiKey, ApiKeyStatus, ISSUED_AT_FIELD, KeyRotation, MINTED_KEY_FIELD, PREVIOUS_KEY_FIELD, PREVIOUS_UNTIL_FIELD,
    Tenant, TenantAuth, TenantLimits, TenantModels, TenantSpec, TenantStatus,
};
pub use upstream_tls::{CaRef, ProviderTls, Scheme};

/// API group of all kinds.
pub const GROUP: &str = "tokenweir.dev";
/// The version served and stored.
pub const VERSION: &str = "v1alpha1";

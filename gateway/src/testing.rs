//! Configurations for unit tests.

use std::collections::BTreeMap;

use tokenweir_config::{
    Admission, Backend, FORMAT, GatewayRef, Limits, Listener, Order, Provider, ProviderKind, ProviderLimits, Queue,
    Retry, Route, Snapshot, Telemetry, Tenant, TenantLimits, Timeouts, Upstream,
};

/// A configuration with one provider `sim`, one route `chat` for the model `assistant`, and one tenant `acme`.
pub(crate) fn snapshot(generation: u64) -> Snapshot {
    Snapshot {
        format: FORMAT,
        generation,
        gateway: GatewayRef {
            namespace: "llm".into(),
            name: "edge".into(),
        },
        listeners: vec![Listener { port: 8080, tls: None }],
        admission: Admission {
            max_in_flight: 100,
            queue: Queue {
                max_depth: 100,
                max_wait_ms: 1_000,
                order: Order::PriorityFair,
            },
            per_tenant_max_in_flight: None,
        },
        limits: Limits::default(),
        telemetry: Telemetry::default(),
        providers: BTreeMap::from([(
            "sim".into(),
            Provider {
                kind: ProviderKind::OpenAICompatible,
                upstream: Upstream::Endpoint {
                    url: "http://127.0.0.1:1/v1".into(),
                },
                credential: None,
                azure_api_version: None,
                region: None,
                models: vec![],
                limits: ProviderLimits::default(),
                timeouts: Timeouts {
                    connect_ms: 1_000,
                    first_token_ms: 1_000,
                    idle_ms: 1_000,
                    total_ms: 5_000,
                },
                health: tokenweir_config::Health::default(),
                tls: None,
                proxy: None,
            },
        )]),
        routes: BTreeMap::from([(
            "chat".into(),
            Route {
                model: "assistant".into(),
                matches: vec![],
                backends: vec![Backend {
                    provider: "sim".into(),
                    model: None,
                    weight: 1,
                    distance: 0,
                }],
                fallbacks: vec![],
                request_headers: tokenweir_config::HeaderChanges::default(),
                response_headers: tokenweir_config::HeaderChanges::default(),
                selection: tokenweir_config::Selection::default(),
                retry: Retry {
                    attempts: 0,
                    base_ms: 100,
                    max_ms: 100,
                    on: vec![],
                    hedge: None,
                },
                priority: 0,
                drop_unsupported: false,
            },
        )]),
        tenants: BTreeMap::from([(
            "acme".into(),
            Tenant {
                ancestors: vec![],
                keys: vec![],
                allow_models: vec!["*".into()],
                limits: TenantLimits::default(),
            },
        )]),
        key_hash_key: "AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA=".into(),
        admin_key: None,
    }
}

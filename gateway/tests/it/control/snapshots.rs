//! Configurations as the operator writes them.

use std::collections::BTreeMap;

use tokenweir_config::admin_token::{AdminKey, Scope, derive_admin_key};
use tokenweir_config::keys::KeyHasher;
use tokenweir_config::shards::{SecretData, Set, split};
use tokenweir_config::{
    Admission, Backend, FORMAT, GatewayRef, Listener, Order, Provider, ProviderKind, ProviderLimits, Queue, Retry,
    Route, Snapshot, Telemetry, Tenant, TenantKey, TenantLimits, Timeouts, Upstream,
};

pub const API_KEY: &str = "twk_test";
const KEY_HASH_KEY: &str = "AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA=";

fn admin_key() -> String {
    derive_admin_key(&[7; 32], "llm", "edge")
}

/// A token for the admin port.
pub fn token(scope: Scope) -> String {
    let now = std::time::SystemTime::now()
        .duration_since(std::time::UNIX_EPOCH)
        .unwrap()
        .as_secs();
    AdminKey::new(&admin_key())
        .unwrap()
        .mint(scope, now.try_into().unwrap())
}

/// The route `assistant` to `upstream`, which is asked for `model`, and the tenant `acme` with [`API_KEY`].
pub fn snapshot(generation: u64, upstream: Upstream, model: &str) -> Snapshot {
    let hash = KeyHasher::new(KEY_HASH_KEY).unwrap().hash_base64(API_KEY.as_bytes());
    Snapshot {
        format: FORMAT,
        generation,
        gateway: GatewayRef {
            namespace: "llm".into(),
            name: "edge".into(),
        },
        listeners: vec![Listener { port: 0, tls: None }],
        admission: Admission {
            max_in_flight: 100,
            queue: Queue {
                max_depth: 100,
                max_wait_ms: 10_000,
                order: Order::PriorityFair,
            },
            per_tenant_max_in_flight: None,
        },
        limits: tokenweir_config::Limits::default(),
        telemetry: Telemetry::default(),
        providers: BTreeMap::from([(
            "sim".into(),
            Provider {
                kind: ProviderKind::OpenAICompatible,
                upstream,
                credential: None,
                azure_api_version: None,
                region: None,
                models: vec![],
                limits: ProviderLimits::default(),
                timeouts: Timeouts {
                    connect_ms: 2_000,
                    first_token_ms: 30_000,
                    idle_ms: 30_000,
                    total_ms: 60_000,
                },
                health: tokenweir_config::Health::default(),
                tls: None,
                proxy: None,
            },
        )]),
        routes: BTreeMap::from([(
            "assistant".into(),
            Route {
                model: "assistant".into(),
                matches: vec![],
                request_headers: tokenweir_config::HeaderChanges::default(),
                response_headers: tokenweir_config::HeaderChanges::default(),
                backends: vec![Backend {
                    provider: "sim".into(),
                    model: Some(model.into()),
                    weight: 1,
                    distance: 0,
                }],
                fallbacks: vec![],
                selection: tokenweir_config::Selection::default(),
                retry: Retry {
                    attempts: 0,
                    base_ms: 1,
                    max_ms: 1,
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
                keys: vec![TenantKey {
                    name: "ci".into(),
                    hash,
                    expires_unix: None,
                    scopes: vec![],
                }],
                allow_models: vec!["*".into()],
                limits: TenantLimits::default(),
            },
        )]),
        key_hash_key: KEY_HASH_KEY.into(),
        admin_key: Some(admin_key()),
    }
}

/// The Secrets of a snapshot by name, shards first and the index last.
pub fn secrets(snapshot: &Snapshot, set: Set) -> Vec<(String, SecretData)> {
    let json = snapshot.to_json().unwrap();
    let sharded = split("edge", snapshot.generation, &json, set).unwrap();
    let mut secrets: Vec<_> = sharded.shards.into_iter().collect();
    secrets.push((sharded.index_name, sharded.index));
    secrets
}

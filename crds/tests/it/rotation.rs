//! Keys that were made by the operator, and the ones before them.

use std::collections::BTreeSet;

use k8s_openapi::api::core::v1::Secret;
use serde_json::{Value, json};
use tokenweir_config::TenantKey;
use tokenweir_config::admin_token::derive_key_hash_key;
use tokenweir_config::keys::KeyHasher;
use tokenweir_crds::api::{LLMGateway, Tenant};
use tokenweir_crds::compile::{ConfigMaps, Inputs, Keys, Kind, Secrets, compile};

const NEW: &str = "twk_new-key-of-acme-here";
const OLD: &str = "twk_old-key-of-acme-here";

/// The keys of a tenant with this entry and this Secret, and what is wrong.
fn keys(entry: &Value, data: &Value) -> (Vec<TenantKey>, Vec<String>) {
    let object = |kind: &str, name: &str, spec: &Value| {
        json!({
            "apiVersion": "tokenweir.dev/v1alpha1", "kind": kind, "metadata": {"name": name, "namespace": "llm"}, "spec": spec,
        })
    };
    let gateway: LLMGateway = serde_json::from_value(object("LLMGateway", "edge", &json!({}))).unwrap();
    let spec = json!({"auth": {"apiKeys": [entry]}});
    let tenant: Tenant = serde_json::from_value(object("Tenant", "acme", &spec)).unwrap();
    let secret = json!({"metadata": {"name": "acme-ci", "namespace": "llm"}, "stringData": data});
    let secrets: Secrets = [serde_json::from_value::<Secret>(secret).unwrap()].iter().collect();
    let hash_key = derive_key_hash_key(&[7; 32], "llm", "edge");
    let compiled = compile(&Inputs {
        gateway: &gateway,
        gateways: BTreeSet::from(["edge".to_owned()]),
        providers: vec![],
        routes: vec![],
        tenants: vec![&tenant],
        secrets: &secrets,
        config_maps: &ConfigMaps::default(),
        keys: &Keys::new(hash_key, None).unwrap(),
        generation: 1,
    });
    let problems = &compiled.verdict(Kind::Tenant, "acme").unwrap().problems;
    let problems = problems.iter().map(ToString::to_string).collect();
    (compiled.snapshot.tenants["acme"].keys.clone(), problems)
}

fn hash(key: &str) -> String {
    let hasher = KeyHasher::new(&derive_key_hash_key(&[7; 32], "llm", "edge")).unwrap();
    hasher.hash_base64(key.as_bytes())
}

#[test]
fn the_key_before_works_until_its_end_and_no_longer_than_its_entry() {
    let both = json!({"apiKey": NEW, "previousApiKey": OLD, "previousUntil": "2026-12-01T00:00:00Z"});
    let entry = json!({"name": "ci", "scopes": ["chat:*"], "rotate": {"every": "90d"}});
    let (found, problems) = keys(&entry, &both);
    assert_eq!(problems, [""; 0]);
    let facts = |keys: &[TenantKey]| -> Vec<(String, Option<i64>, usize)> {
        let facts = keys
            .iter()
            .map(|key| (key.hash.clone(), key.expires_unix, key.scopes.len()));
        facts.collect()
    };
    assert_eq!(
        facts(&found),
        [(hash(OLD), Some(1_796_083_200), 1), (hash(NEW), None, 1)]
    );

    let entry = json!({"name": "ci", "expires": "2026-11-01T00:00:00Z", "rotate": {"every": "90d"}});
    let ends: Vec<_> = keys(&entry, &both).0.iter().map(|key| key.expires_unix).collect();
    assert_eq!(ends, [Some(1_793_491_200); 2]);

    // What has no end that can be read, is no key, or is of a Secret that the tenant names itself, is not taken.
    for odd in [
        json!({"apiKey": NEW, "previousApiKey": OLD}),
        json!({"apiKey": NEW, "previousApiKey": OLD, "previousUntil": "soon"}),
        json!({"apiKey": NEW, "previousApiKey": "short", "previousUntil": "2026-12-01T00:00:00Z"}),
        json!({"apiKey": NEW, "previousApiKey": NEW, "previousUntil": "2026-12-01T00:00:00Z"}),
    ] {
        assert_eq!(keys(&json!({"name": "ci"}), &odd).0.len(), 1, "{odd}");
    }
    let named = json!({"name": "ci", "secretRef": {"name": "acme-ci", "key": "apiKey"}});
    assert_eq!(keys(&named, &both).0.len(), 1);
}

#[test]
fn an_overlap_that_is_longer_than_a_key_lives_is_told() {
    let entry = json!({"name": "ci", "rotate": {"every": "1d", "overlap": "36h"}});
    let (found, problems) = keys(&entry, &json!({"apiKey": NEW}));
    assert_eq!(found.len(), 1, "and the key is served");
    assert_eq!(
        problems,
        [
            "spec.auth.apiKeys[0].rotate.overlap: the overlap of 36h is longer than a key lives, which is 1d; it ends with the \
          key's successor"
        ]
    );
}

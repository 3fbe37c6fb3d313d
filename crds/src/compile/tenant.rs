//! Tenants and their keys.

use std::collections::BTreeMap;
use std::collections::btree_map::Entry;

use k8s_openapi::jiff::Timestamp;
use tokenweir_config::{KeyScope, ScopeArea, Tenant, TenantKey, TenantLimits};

use super::hierarchy::ancestors;
use super::inputs::by_age;
use super::{Inputs, Problem};
use crate::api::{PREVIOUS_KEY_FIELD, PREVIOUS_UNTIL_FIELD, Priority, SecretKeyRef, TenantSpec};
use crate::conditions::Reason;

/// Fewer characters can be guessed.
const MIN_KEY_LENGTH: usize = 16;

pub(super) struct Tenants<'a> {
    /// Tenants, without the keys that cannot be used, and without those of which it is not known who stands above them.
    pub served: BTreeMap<String, Tenant>,
    /// Mistakes by tenant; each tenant has an entry.
    pub problems: BTreeMap<&'a str, Vec<Problem>>,
}

pub(super) fn tenants<'a>(inputs: &'a Inputs<'_>) -> Tenants<'a> {
    let mut served = BTreeMap::new();
    let mut problems = BTreeMap::new();
    let mut owners: BTreeMap<String, (&str, String)> = BTreeMap::new();
    let all = inputs.by_name(&inputs.tenants);
    for (name, object) in by_age(&all) {
        let mut found = Vec::new();
        let ancestors = ancestors(&all, name).map_err(|problem| found.push(problem));
        let mut tenant = tenant(inputs, name, &object.spec, &mut owners, &mut found);
        // Without them nobody could say what it may do, so it may do nothing.
        if let Ok(ancestors) = ancestors {
            tenant.ancestors = ancestors;
            served.insert(name.to_owned(), tenant);
        }
        problems.insert(name, found);
    }
    Tenants { served, problems }
}

fn tenant<'a>(
    inputs: &Inputs<'_>,
    name: &'a str,
    spec: &TenantSpec,
    owners: &mut BTreeMap<String, (&'a str, String)>,
    problems: &mut Vec<Problem>,
) -> Tenant {
    let mut keys = Vec::new();
    for (index, key) in spec.api_keys().iter().enumerate() {
        let field = format!("spec.auth.apiKeys[{index}]");
        if let Some(rotate) = key.rotate.as_ref().filter(|rotate| rotate.overlap > rotate.every) {
            let message = format!(
                "the overlap of {} is longer than a key lives, which is {}; it ends with the key's successor",
                rotate.overlap, rotate.every
            );
            problems.push(Problem::invalid(
                Reason::Invalid,
                format!("{field}.rotate.overlap"),
                message,
            ));
        }
        let reference = key.secret(name);
        let value = match inputs.secrets.credential(&reference) {
            Ok(value) => value,
            Err(error) => {
                let message = format!("Secret {}, key {}: {error}", reference.name, reference.key);
                problems.push(Problem::unresolved(error.reason(), field, message));
                continue;
            }
        };
        if value.len() < MIN_KEY_LENGTH {
            let message = format!(
                "the API key in Secret {}, key {} has {} characters; it needs at least {MIN_KEY_LENGTH}",
                reference.name,
                reference.key,
                value.len()
            );
            problems.push(Problem::unresolved(Reason::SecretInvalid, field, message));
            continue;
        }
        let hash = inputs.keys.hash(value);
        if let Some((owner, owner_key)) = owners.get(&hash) {
            let message =
                format!("the API key is that of Tenant {owner}, key {owner_key}; each key needs a value of its own");
            problems.push(Problem::invalid(Reason::Conflict, field, message));
            continue;
        }
        owners.insert(hash.clone(), (name, key.name.clone()));
        let mut scopes: Vec<KeyScope> = key.scopes.iter().filter_map(|text| scope(text)).collect();
        if scopes.len() < key.scopes.len() {
            // The schema refuses it, and a key is not to do more than was meant.
            let message = "a scope is none of models:, chat: and embeddings: with a model name or glob";
            problems.push(Problem::invalid(Reason::Invalid, format!("{field}.scopes"), message));
            continue;
        }
        scopes.sort();
        scopes.dedup();
        let expires_unix = key.expires.as_ref().map(|time| time.0.as_second());
        if key.secret_ref.is_none()
            && let Some((before, until)) = previous(inputs, &reference.name)
            && let Entry::Vacant(free) = owners.entry(inputs.keys.hash(before))
        {
            keys.push(TenantKey {
                name: key.name.clone(),
                hash: free.key().clone(),
                // Gateways let go of it in time, also while the operator is away.
                expires_unix: Some(expires_unix.map_or(until, |end| end.min(until))),
                scopes: scopes.clone(),
            });
            free.insert((name, key.name.clone()));
        }
        keys.push(TenantKey {
            name: key.name.clone(),
            hash,
            expires_unix,
            scopes,
        });
    }
    keys.sort_by(|a, b| a.name.cmp(&b.name));
    let mut allow_models = spec.models.allow.clone();
    allow_models.sort();
    allow_models.dedup();
    Tenant {
        ancestors: Vec::new(),
        keys,
        allow_models,
        limits: TenantLimits {
            max_in_flight: spec.limits.max_in_flight,
            priority: spec.limits.priority.map(Priority::rank),
        },
    }
}

/// The key before a minted one, with the Unix time in seconds at which it ends.
fn previous<'a>(inputs: &'a Inputs<'_>, secret: &str) -> Option<(&'a str, i64)> {
    let field = |key: &str| SecretKeyRef {
        name: secret.to_owned(),
        key: key.to_owned(),
    };
    let key = inputs.secrets.credential(&field(PREVIOUS_KEY_FIELD)).ok()?;
    let until: Timestamp = inputs.secrets.text(&field(PREVIOUS_UNTIL_FIELD)).ok()?.parse().ok()?;
    (key.len() >= MIN_KEY_LENGTH).then_some((key, until.as_second()))
}

/// A scope as it is written.
fn scope(text: &str) -> Option<KeyScope> {
    let (area, models) = text.split_once(':')?;
    let area = match area {
        "models" => ScopeArea::Models,
        "chat" => ScopeArea::Chat,
        "embeddings" => ScopeArea::Embeddings,
        _ => return None,
    };
    let models = models.to_owned();
    (!models.is_empty()).then_some(KeyScope { area, models })
}

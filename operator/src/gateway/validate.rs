//! Second step, pure: compiles, and decides what is to be.

use std::collections::{BTreeMap, BTreeSet};

use k8s_openapi::apimachinery::pkg::apis::meta::v1::OwnerReference;
use kube::{Resource as _, ResourceExt as _};
use serde::Serialize;
use tokenweir_config::Snapshot;
use tokenweir_crds::api::{LLMGateway, LLMGatewaySpec};
use tokenweir_crds::certificate::Identity;
use tokenweir_crds::compile::{self, Inputs, Kind};

use super::dereference::Found;
use super::error::GatewayError;
use super::snapshot::{self, Plan};
use crate::board::{Certificate, Entry, PartKey, Seat};
use crate::kubernetes::fingerprint;
use crate::watch::inner;

/// A gateway that has been judged.
pub struct Valid<'a> {
    /// Its namespace.
    pub namespace: String,
    /// Its name.
    pub name: String,
    /// The owner of everything that is made for it.
    pub owner: OwnerReference,
    /// What it asks for.
    pub spec: &'a LLMGatewaySpec,
    /// What to do about the configuration; absent: the gateway itself is wrong, and everything stays as it is.
    pub plan: Option<Plan>,
    /// What the board is told once the configuration is written.
    pub seat: Seat,
    /// Pods that the Deployment is to have; absent: somebody else decides.
    pub replicas: Option<i32>,
}

/// Judges a gateway and what it depends on.
pub fn validate<'a>(gateway: &'a LLMGateway, found: &Found) -> Result<Valid<'a>, GatewayError> {
    let namespace = gateway.namespace().ok_or(GatewayError::Incomplete("namespace"))?;
    let name = gateway.metadata.name.clone().ok_or(GatewayError::Incomplete("name"))?;
    let owner = gateway
        .controller_owner_ref(&())
        .ok_or(GatewayError::Incomplete("uid"))?;
    let recorded = gateway
        .status
        .as_ref()
        .and_then(|status| u64::try_from(status.config_generation).ok())
        .unwrap_or(0);
    let before = snapshot::Before::read(&name, found.index.as_deref(), &found.shards, recorded);

    let compiled = compile::compile(&Inputs {
        gateway,
        gateways: found.gateways.clone(),
        providers: inner(&found.providers),
        routes: inner(&found.routes),
        tenants: inner(&found.tenants),
        secrets: &found.secrets,
        config_maps: &found.config_maps,
        keys: &found.keys.compile,
        generation: before.generation(),
    });
    let own = compiled.verdict(Kind::LLMGateway, &name).cloned();
    let accepted = compiled.gateway_accepted();
    let versions = versions(found);
    let mut snapshot = compiled.snapshot;
    let plan = if accepted {
        Some(snapshot::plan(&name, &mut snapshot, &before)?)
    } else {
        None
    };
    let mut entries = BTreeMap::new();
    for verdict in compiled.verdicts {
        if verdict.kind == Kind::LLMGateway {
            continue;
        }
        let part = PartKey {
            kind: verdict.kind,
            name: verdict.name.clone(),
        };
        let entry = Entry {
            observed_generation: versions.get(&part).copied().flatten(),
            fingerprint: if verdict.served {
                content(&snapshot, &part)?
            } else {
                None
            },
            verdict,
            since: snapshot.generation,
            exact: matches!(plan, Some(Plan::Write { .. })),
        };
        entries.insert(part, entry);
    }
    let seat = Seat {
        written: plan.as_ref().map(Plan::written),
        own: own.map(|verdict| (gateway.metadata.generation, verdict)),
        certificates: certificates(&gateway.spec, &snapshot),
        entries: entries.into(),
        admin_key: found.keys.admin.clone(),
        ..Seat::default()
    };
    // A Deployment that is not there yet begins with what the gateway says; from then on an autoscaler decides.
    let replicas = (!found.autoscaled || found.live.deployment.is_none()).then_some(gateway.spec.replicas);
    Ok(Valid {
        namespace,
        name,
        owner,
        spec: &gateway.spec,
        plan,
        seat,
        replicas,
    })
}

/// The certificates that the snapshot has, each with the Secret that it came from.
fn certificates(spec: &LLMGatewaySpec, snapshot: &Snapshot) -> Vec<Certificate> {
    let served = snapshot.listeners.iter();
    served
        .filter_map(|served| {
            let pair = served.tls.as_ref()?;
            let listener = spec.listeners.iter().find(|listener| listener.port == served.port)?;
            let identity = Identity::from_pem(pair.certificate.as_bytes(), pair.key.as_bytes()).ok()?;
            Some(Certificate {
                port: served.port,
                secret: listener.tls_secret_ref.as_ref()?.name.clone(),
                validity: identity.validity,
            })
        })
        .collect()
}

/// Generations of the objects that were compiled.
fn versions(found: &Found) -> BTreeMap<PartKey, Option<i64>> {
    let providers = inner(&found.providers)
        .into_iter()
        .map(|object| (Kind::ModelProvider, object.name_any(), object.metadata.generation));
    let routes = inner(&found.routes)
        .into_iter()
        .map(|object| (Kind::ModelRoute, object.name_any(), object.metadata.generation));
    let tenants = inner(&found.tenants)
        .into_iter()
        .map(|object| (Kind::Tenant, object.name_any(), object.metadata.generation));
    providers
        .chain(routes)
        .chain(tenants)
        .map(|(kind, name, generation)| (PartKey { kind, name }, generation))
        .collect()
}

/// A number that changes with what the snapshot has of an object; nothing where it has nothing.
fn content(snapshot: &Snapshot, part: &PartKey) -> Result<Option<u64>, serde_json::Error> {
    fn of<T: Serialize>(value: Option<&T>) -> Result<Option<u64>, serde_json::Error> {
        value
            .map(|value| serde_json::to_value(value).map(|json| fingerprint(&json)))
            .transpose()
    }
    match part.kind {
        Kind::ModelProvider => of(snapshot.providers.get(&part.name)),
        Kind::ModelRoute => of(snapshot.routes.get(&part.name)),
        Kind::Tenant => of(snapshot.tenants.get(&part.name)),
        Kind::LLMGateway => Ok(None),
    }
}

/// Names that the snapshot of `name` may use, the index aside, out of `existing`, and that `kept` does not use.
pub fn leftover(existing: &BTreeSet<String>, kept: &[String]) -> Vec<String> {
    existing.iter().filter(|shard| !kept.contains(shard)).cloned().collect()
}

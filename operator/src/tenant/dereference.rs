//! First step: which Secrets of minted keys exist.

use std::collections::BTreeMap;
use std::sync::Arc;

use k8s_openapi::api::core::v1::Secret;
use kube::ResourceExt as _;
use tokenweir_crds::api::Tenant;

use crate::context::Context;
use crate::parts::PartError;

/// Secrets of minted keys that exist, by name.
pub struct Found {
    pub secrets: BTreeMap<String, Arc<Secret>>,
}

pub async fn dereference(context: &Context, tenant: &Tenant) -> Result<Found, PartError> {
    let namespace = tenant.namespace().ok_or(PartError::Incomplete("namespace"))?;
    let name = tenant.name_any();
    let minted = tenant.spec.api_keys().iter().filter(|key| key.secret_ref.is_none());
    let names: Vec<String> = minted.map(|key| key.secret(&name).name).collect();
    let secrets = context.secrets.get_all(&namespace, names).await?;
    Ok(Found { secrets })
}

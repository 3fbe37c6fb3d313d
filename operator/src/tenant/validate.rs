//! Second step, pure: which keys are to be minted, and what is in the way.

use k8s_openapi::apimachinery::pkg::apis::meta::v1::OwnerReference;
use kube::{Resource as _, ResourceExt as _};
use tokenweir_crds::api::Tenant;

use super::dereference::Found;
use crate::kubernetes::is_owned_by;
use crate::parts::PartError;

/// A Secret with the name of a minted key that belongs to somebody else. The key in it, if there is one, is not taken for
/// the tenant's by accident: the tenant has to name it.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error(
    "spec.auth.apiKeys[{index}]: Secret {secret} exists and is not owned by this tenant; give secretRef to use it, or rename the key"
)]
pub struct Blocked {
    index: usize,
    secret: String,
}

/// What is to be done for a tenant.
#[derive(Debug, PartialEq)]
pub struct Valid {
    /// Its namespace.
    pub namespace: String,
    /// Owner of the Secrets.
    pub owner: OwnerReference,
    /// Names of Secrets that are to be made, with the names of their keys.
    pub missing: Vec<(String, String)>,
    /// Names of Secrets with keys that were made here, with the places of their keys in the spec.
    pub minted: Vec<(String, usize)>,
    /// Keys that cannot be minted.
    pub blocked: Vec<Blocked>,
}

/// Decides what is missing. A Secret that exists is never touched, whatever is in it: the key may be in use.
pub fn validate(tenant: &Tenant, found: &Found) -> Result<Valid, PartError> {
    let namespace = tenant.namespace().ok_or(PartError::Incomplete("namespace"))?;
    let owner = tenant.controller_owner_ref(&()).ok_or(PartError::Incomplete("uid"))?;
    let (mut missing, mut minted, mut blocked) = (Vec::new(), Vec::new(), Vec::new());
    for (index, key) in tenant.spec.api_keys().iter().enumerate() {
        if key.secret_ref.is_some() {
            continue;
        }
        let name = key.secret(&tenant.name_any()).name;
        match found.secrets.get(&name) {
            None => missing.push((name, key.name.clone())),
            Some(secret) if is_owned_by(secret.owner_references(), &owner) => minted.push((name, index)),
            Some(_) => blocked.push(Blocked { index, secret: name }),
        }
    }
    Ok(Valid {
        namespace,
        owner,
        missing,
        minted,
        blocked,
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use k8s_openapi::api::core::v1::Secret;
    use serde_json::json;
    use std::sync::Arc;

    fn tenant() -> Tenant {
        serde_json::from_value(json!({
            "apiVersion": "tokenweir.dev/v1alpha1", "kind": "Tenant",
            "metadata": {"name": "acme", "namespace": "llm", "uid": "u1"},
            "spec": {"auth": {"apiKeys": [{"name": "ci"}, {"name": "own", "secretRef": {"name": "mine", "key": "k"}}]}},
        }))
        .unwrap()
    }

    fn found(owner: Option<OwnerReference>) -> Found {
        let mut secret = Secret::default();
        secret.metadata.owner_references = owner.map(|owner| vec![owner]);
        Found {
            secrets: [("acme-ci".to_owned(), Arc::new(secret))].into(),
        }
    }

    #[test]
    fn a_key_without_a_secret_is_minted_once() {
        let none = Found {
            secrets: std::collections::BTreeMap::new(),
        };
        let valid = validate(&tenant(), &none).unwrap();
        assert_eq!(valid.missing, [("acme-ci".to_owned(), "ci".to_owned())]);
        let owned = validate(&tenant(), &found(tenant().controller_owner_ref(&()))).unwrap();
        assert_eq!((owned.missing.len(), owned.blocked.len()), (0, 0));
    }

    #[test]
    fn a_foreign_secret_of_that_name_is_left_alone_and_told() {
        let valid = validate(&tenant(), &found(None)).unwrap();
        assert!(valid.missing.is_empty());
        assert!(valid.blocked[0].to_string().contains("apiKeys[0]"));
        assert!(valid.blocked[0].to_string().contains("acme-ci"));
    }
}

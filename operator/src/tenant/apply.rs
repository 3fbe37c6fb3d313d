//! Fourth step: makes the Secrets, and never overwrites one.

use k8s_openapi::api::core::v1::Secret;
use kube::api::{Patch, PatchParams, PostParams};
use kube::{Api, Resource as _, ResourceExt as _};
use tokenweir_crds::api::Tenant;

use super::FIELD_MANAGER;
use super::rotate::{self, Change};
use crate::context::Context;
use crate::kubernetes::ApplyError;
use crate::parts::PartError;

/// Changes the Secret of a key, unless somebody else was faster: then there is another one to judge.
pub async fn rotate(context: &Context, tenant: &Tenant, secret: &Secret, change: &Change) -> Result<(), PartError> {
    let namespace = tenant.namespace().ok_or(PartError::Incomplete("namespace"))?;
    let api: Api<Secret> = Api::namespaced(context.client.clone(), &namespace);
    let name = secret.name_any();
    let params = PatchParams {
        field_manager: Some(FIELD_MANAGER.to_owned()),
        ..PatchParams::default()
    };
    match api
        .patch(&name, &params, &Patch::Merge(rotate::patch(secret, change)))
        .await
    {
        Ok(_) => {}
        Err(kube::Error::Api(status)) if matches!(status.code, 404 | 409) => return Ok(()),
        Err(source) => return Err(ApplyError::answered("Secret".to_owned(), name, source).into()),
    }
    if let Change::Successor { until, .. } = change {
        let note = format!("made a new API key in Secret {name}; the one before works until {until}");
        context.events.normal(&tenant.object_ref(&()), "KeyRotated", note).await;
    }
    Ok(())
}

/// Creates each Secret. One that came to be in the meantime stays as it is, and the key that was made for it is dropped
/// unseen.
pub async fn apply(context: &Context, tenant: &Tenant, secrets: Vec<Secret>) -> Result<(), PartError> {
    let namespace = tenant.namespace().ok_or(PartError::Incomplete("namespace"))?;
    let api: Api<Secret> = Api::namespaced(context.client.clone(), &namespace);
    let params = PostParams {
        field_manager: Some(FIELD_MANAGER.to_owned()),
        ..PostParams::default()
    };
    for secret in secrets {
        let name = secret.name_any();
        match api.create(&params, &secret).await {
            Ok(_) => {
                let note = format!("made an API key in Secret {name}");
                context.events.normal(&tenant.object_ref(&()), "KeyMinted", note).await;
            }
            Err(kube::Error::Api(status)) if status.is_already_exists() => {}
            Err(source) => {
                let kind = "Secret".to_owned();
                return Err(ApplyError::answered(kind, name, source).into());
            }
        }
    }
    Ok(())
}

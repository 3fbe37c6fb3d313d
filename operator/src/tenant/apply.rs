//! Fourth step: makes the Secrets, and never overwrites one.

use k8s_openapi::api::core::v1::Secret;
use kube::api::PostParams;
use kube::{Api, Resource as _, ResourceExt as _};
use tokenweir_crds::api::Tenant;

use super::FIELD_MANAGER;
use crate::context::Context;
use crate::kubernetes::ApplyError;
use crate::parts::PartError;

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

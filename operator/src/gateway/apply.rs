//! Fourth step: makes the cluster as it was decided.

use std::sync::Arc;

use k8s_openapi::ByteString;
use k8s_openapi::api::apps::v1::Deployment;
use k8s_openapi::api::core::v1::Secret;
use kube::{Api, ResourceExt as _};
use tokenweir_config::shards::SecretData;

use super::build::{Owned, metadata};
use super::dereference::{Found, Live};
use super::error::GatewayError;
use super::replicas::{hand_over, holds_replicas};
use super::snapshot::Plan;
use super::validate::{Valid, leftover};
use crate::board::{GatewayKey, Seat};
use crate::context::Context;
use crate::kubernetes::Applier;
use crate::kubernetes::{ApplyError, is_owned_by};

/// Applies everything. The configuration goes first: that is what somebody waits for.
pub async fn apply(
    context: &Context,
    applier: &Applier,
    valid: &Valid<'_>,
    owned: Owned,
    found: Found,
) -> Result<(), GatewayError> {
    let key = GatewayKey {
        namespace: valid.namespace.clone(),
        name: valid.name.clone(),
    };
    let Some(plan) = &valid.plan else {
        // The gateway itself is wrong: its status says so, and what runs goes on.
        context.board.configured(&key, valid.seat.clone());
        return Ok(());
    };
    let steps = Steps {
        context,
        applier,
        valid,
    };
    match plan {
        Plan::Write { sharded, .. } => {
            // Shards before the index that names them.
            for (name, data) in &sharded.shards {
                steps.write_secret(name, data, None).await?;
            }
            steps
                .write_secret(&sharded.index_name, &sharded.index, found.index.clone())
                .await?;
        }
        Plan::Keep { shards, .. } => steps.clean_up(&key, &leftover(&found.shards, shards)).await?,
    }
    context.board.configured(&key, valid.seat.clone());
    context.prober.wake(&key);

    // No `..`: an object that is added must be applied.
    let Owned {
        account,
        role,
        binding,
        data_service,
        admin_service,
        network_policy,
        budget,
        deployment,
    } = owned;
    let Live {
        deployment: live_deployment,
        data_service: live_data_service,
        admin_service: live_admin_service,
        account: live_account,
        role: live_role,
        binding: live_binding,
        budget: live_budget,
        network_policy: live_network_policy,
    } = found.live;
    let us = &valid.owner;
    applier.apply(us, &account, live_account).await?;
    applier.apply(us, &role, live_role).await?;
    applier.apply(us, &binding, live_binding).await?;
    applier.apply(us, &network_policy, live_network_policy).await?;
    applier.apply(us, &data_service, live_data_service).await?;
    applier.apply(us, &admin_service, live_admin_service).await?;
    applier.apply(us, &budget, live_budget).await?;
    steps.apply_deployment(deployment, live_deployment).await
}

struct Steps<'a> {
    context: &'a Context,
    applier: &'a Applier,
    valid: &'a Valid<'a>,
}

impl Steps<'_> {
    async fn write_secret(&self, name: &str, data: &SecretData, live: Option<Arc<Secret>>) -> Result<(), GatewayError> {
        let secret = Secret {
            metadata: metadata(self.valid, name),
            type_: Some("tokenweir.dev/snapshot".into()),
            data: Some(
                data.iter()
                    .map(|(key, bytes)| (key.clone(), ByteString(bytes.clone())))
                    .collect(),
            ),
            ..Secret::default()
        };
        let written = self.applier.apply(&self.valid.owner, &secret, live).await?;
        self.context.secrets.wrote((*written).clone());
        Ok(())
    }

    /// Deletes shards of an older write once no pod needs them any more.
    async fn clean_up(&self, key: &GatewayKey, leftover: &[String]) -> Result<(), GatewayError> {
        let live = |seat: Seat| seat.written == self.valid.seat.written && seat.liveness.is_some_and(|l| l.is_live());
        if leftover.is_empty() || !self.context.board.seat(key).is_some_and(live) {
            return Ok(());
        }
        for name in leftover {
            if let Some(shard) = self.context.secrets.fetch(&self.valid.namespace, name).await? {
                self.applier.delete(&self.valid.owner, &*shard).await?;
                self.context.secrets.forget(&self.valid.namespace, name);
            }
        }
        Ok(())
    }

    async fn apply_deployment(&self, desired: Deployment, live: Option<Arc<Deployment>>) -> Result<(), GatewayError> {
        let owner = &self.valid.owner;
        if self.valid.replicas.is_some() {
            self.applier.apply(owner, &desired, live).await?;
            return Ok(());
        }
        let name = desired.name_any();
        let client = self.context.client.clone();
        let api: Api<Deployment> = Api::namespaced(client, &self.valid.namespace);
        if let Some(live) = &live
            && !holds_replicas(live)
            && self.applier.is_applied(&desired, live)
        {
            return Ok(());
        }
        // What the watch has seen may be old, and letting go of `replicas` by mistake would reset them.
        let mut now = api.get(&name).await.map_err(GatewayError::Handover)?;
        if !is_owned_by(now.owner_references(), owner) {
            let kind = "Deployment".to_owned();
            return Err(ApplyError::NotOwned { kind, name }.into());
        }
        if holds_replicas(&now) {
            now = hand_over(&api, &now).await.map_err(GatewayError::Handover)?;
            tracing::info!(deployment = %name, "handing replicas over to the autoscaler");
        }
        // Fails, and is tried again, if anybody scales in between.
        let version = now.resource_version();
        self.applier
            .apply_at(owner, &desired, Some(Arc::new(now)), version)
            .await?;
        Ok(())
    }
}

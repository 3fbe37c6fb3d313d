//! `ScalingPolicy`: owns a HorizontalPodAutoscaler on the Deployment of a gateway, and says what that one does.

mod apply;
mod build;
mod dereference;
mod error;
mod status;
mod validate;

use kube::core::error_boundary::InvalidObject;
use kube::runtime::controller::Action;
use tokenweir_crds::api::ScalingPolicy;

pub use dereference::is_autoscaled;
pub use error::ScalingError;

use crate::context::Context;
use crate::kubernetes::{Applier, Statuses, patch_unreadable};
use crate::runtime::Reconciler;
use crate::watch::names;

const FIELD_MANAGER: &str = "tokenweir/scalingpolicy";

/// Reconciles scaling policies.
pub struct ScalingReconciler {
    context: Context,
    applier: Applier,
    statuses: Statuses,
}

impl ScalingReconciler {
    /// A reconciler over the given handles.
    pub fn new(context: Context) -> Self {
        let applier = Applier::new(context.client.clone(), FIELD_MANAGER);
        let statuses = Statuses::new(context.client.clone(), FIELD_MANAGER);
        Self {
            context,
            applier,
            statuses,
        }
    }
}

impl Reconciler for ScalingReconciler {
    type Object = ScalingPolicy;
    type Error = ScalingError;

    fn name(&self) -> &'static str {
        names::POLICY
    }

    async fn reconcile(&self, policy: &ScalingPolicy) -> Result<Action, ScalingError> {
        if policy.metadata.deletion_timestamp.is_some() {
            return Ok(Action::await_change());
        }
        let found = dereference::dereference(&self.context, policy)?;
        let valid = validate::validate(policy, &found)?;
        let autoscaler = build::build(&valid);
        let applied = apply::apply(&self.applier, &valid, autoscaler, &found).await;
        status::write(&self.context, &self.statuses, &valid, &applied).await?;
        applied.map(|_| Action::await_change()).map_err(ScalingError::Apply)
    }

    async fn unreadable(&self, object: &InvalidObject) -> Result<(), ScalingError> {
        let now = self.context.clock.now();
        patch_unreadable::<ScalingPolicy>(
            &self.context.client,
            FIELD_MANAGER,
            &object.metadata,
            &object.error,
            now,
        )
        .await
        .map(drop)
        .map_err(ScalingError::Status)
    }
}

#[cfg(test)]
mod tests;

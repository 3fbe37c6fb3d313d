//! `Tenant`: mints the API keys that have no Secret, and says what gateways say.

mod apply;
mod build;
mod dereference;
mod validate;

use kube::core::error_boundary::InvalidObject;
use kube::runtime::controller::Action;
use tokenweir_crds::api::{Tenant, TenantStatus};
use tokenweir_crds::conditions::{Finding, Reason};

use crate::context::Context;
use crate::kubernetes::{Statuses, patch_unreadable};
use crate::parts::{self, Judged, PartError, Subject, judge};
use crate::runtime::Reconciler;
use crate::watch::names;

const FIELD_MANAGER: &str = "tokenweir/tenant";
/// Why a gateway has nothing of a tenant that is right in itself.
const IDLE: &str = "no gateway serves this tenant";

/// Reconciles tenants.
pub struct TenantReconciler {
    context: Context,
    statuses: Statuses,
}

impl TenantReconciler {
    /// A reconciler over the given handles.
    pub fn new(context: Context) -> Self {
        let statuses = Statuses::new(context.client.clone(), FIELD_MANAGER);
        Self { context, statuses }
    }

    async fn status(&self, tenant: &Tenant, blocked: Option<Finding>) -> Result<(), PartError> {
        let Some(found) = parts::dereference(&self.context, Subject::Tenant(tenant)).await? else {
            return Ok(());
        };
        let mut judged: Judged = judge(&found, IDLE);
        if let Some(blocked) = blocked {
            judged.accepted = blocked;
        }
        let generation = tenant.metadata.generation;
        let before = self.statuses.latest(tenant, tenant.status.as_ref());
        let conditions = before
            .as_ref()
            .map(|status| status.conditions.as_slice())
            .unwrap_or_default();
        let status = TenantStatus {
            observed_generation: generation,
            conditions: judged.conditions(conditions, generation, self.context.clock.now()),
        };
        self.statuses
            .write(tenant, before.as_ref(), &status)
            .await
            .map(drop)
            .map_err(PartError::Status)
    }
}

impl Reconciler for TenantReconciler {
    type Object = Tenant;
    type Error = PartError;

    fn name(&self) -> &'static str {
        names::TENANT
    }

    async fn reconcile(&self, tenant: &Tenant) -> Result<Action, PartError> {
        if tenant.metadata.deletion_timestamp.is_some() {
            return Ok(Action::await_change());
        }
        let found = dereference::dereference(&self.context, tenant).await?;
        let valid = validate::validate(tenant, &found)?;
        let secrets = build::build(&valid)?;
        apply::apply(&self.context, tenant, secrets).await?;
        let blocked = valid
            .blocked
            .first()
            .map(|blocked| Finding::fails(Reason::NotOwned, blocked.to_string()));
        self.status(tenant, blocked).await?;
        Ok(Action::await_change())
    }

    async fn unreadable(&self, object: &InvalidObject) -> Result<(), PartError> {
        let now = self.context.clock.now();
        patch_unreadable::<Tenant>(
            &self.context.client,
            FIELD_MANAGER,
            &object.metadata,
            &object.error,
            now,
        )
        .await
        .map(drop)
        .map_err(PartError::Status)
    }
}

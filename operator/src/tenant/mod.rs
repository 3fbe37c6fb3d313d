//! `Tenant`: mints the API keys that have no Secret, makes their successors in time, and says what gateways say.

mod apply;
mod build;
mod dereference;
mod rotate;
mod validate;

use k8s_openapi::jiff::{SignedDuration, Timestamp};
use kube::core::error_boundary::InvalidObject;
use kube::runtime::controller::Action;
use tokenweir_config::keys::generate_api_key;
use tokenweir_crds::api::{ApiKeyStatus, Tenant, TenantStatus};
use tokenweir_crds::conditions::{Finding, Reason};

use self::dereference::Found;
use self::rotate::Change;
use self::validate::Valid;
use crate::context::Context;
use crate::kubernetes::{Statuses, patch_unreadable};
use crate::parts::{self, Judged, PartError, Subject, judge};
use crate::runtime::Reconciler;
use crate::watch::names;

const FIELD_MANAGER: &str = "tokenweir/tenant";
/// A time that has just passed, or is about to, is looked at again after this.
const SOONEST: SignedDuration = SignedDuration::from_secs(1);
/// A time that is far away is looked at again after this, since clocks may be set.
const LATEST: SignedDuration = SignedDuration::from_hours(24);
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

    /// Makes the successors that are due, and ends what they have outlived. Says what is known of each key, and when there is
    /// something to do again.
    async fn rotate(
        &self,
        tenant: &Tenant,
        found: &Found,
        valid: &Valid,
        now: Timestamp,
    ) -> Result<(Vec<ApiKeyStatus>, Option<Timestamp>), PartError> {
        let (mut statuses, mut next) = (Vec::new(), None);
        for (name, index) in &valid.minted {
            let (Some(key), Some(secret)) = (tenant.spec.api_keys().get(*index), found.secrets.get(name)) else {
                continue;
            };
            let turn = rotate::turn(key, secret, now);
            let change = match &key.rotate {
                Some(rotate) if turn.successor => Some(rotate::successor(rotate, generate_api_key()?, now)),
                _ if turn.forget => Some(Change::Forget),
                _ => None,
            };
            if let Some(change) = change {
                // The news of it brings the tenant here again.
                apply::rotate(&self.context, tenant, secret, &change).await?;
            }
            next = next.into_iter().chain(turn.next).min();
            statuses.push(turn.status);
        }
        statuses.sort_by(|a, b| a.name.cmp(&b.name));
        Ok((statuses, next))
    }

    async fn status(
        &self,
        tenant: &Tenant,
        blocked: Option<Finding>,
        keys: Vec<ApiKeyStatus>,
    ) -> Result<(), PartError> {
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
            keys,
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
        let now = self.context.clock.now();
        let secrets = build::build(&valid, now)?;
        apply::apply(&self.context, tenant, secrets).await?;
        let (keys, next) = self.rotate(tenant, &found, &valid, now).await?;
        let blocked = valid
            .blocked
            .first()
            .map(|blocked| Finding::fails(Reason::NotOwned, blocked.to_string()));
        self.status(tenant, blocked, keys).await?;
        Ok(next.map_or_else(Action::await_change, |next| {
            let wait = next.duration_since(now).clamp(SOONEST, LATEST);
            Action::requeue(wait.unsigned_abs())
        }))
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

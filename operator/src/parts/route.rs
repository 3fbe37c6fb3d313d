//! `ModelRoute`: its status.

use kube::ResourceExt as _;
use kube::core::error_boundary::InvalidObject;
use kube::runtime::controller::Action;
use tokenweir_crds::api::{ModelRoute, ModelRouteStatus, NameRef};
use tokenweir_crds::conditions::Finding;

use super::{Found, PartError, Subject, dereference, judge, provider_health};
use crate::board::route_healthy;
use crate::context::Context;
use crate::kubernetes::{Statuses, patch_unreadable};
use crate::runtime::Reconciler;
use crate::watch::names;

const FIELD_MANAGER: &str = "tokenweir/modelroute";
/// Why a gateway has nothing of a route that is right in itself.
const IDLE: &str = "no gateway serves this route";

/// Reconciles routes.
pub struct RouteReconciler {
    context: Context,
    statuses: Statuses,
}

impl RouteReconciler {
    /// A reconciler over the given handles.
    pub fn new(context: Context) -> Self {
        let statuses = Statuses::new(context.client.clone(), FIELD_MANAGER);
        Self { context, statuses }
    }

    fn health(&self, route: &ModelRoute, found: &Found) -> Finding {
        let namespace = route.namespace().unwrap_or_default();
        let of = |reference: &NameRef| {
            let health = provider_health(&self.context, &namespace, found, &reference.name);
            (reference.name.clone(), health)
        };
        let weighted = route.spec.backends.iter().filter(|backend| backend.weight > 0);
        let backends: Vec<_> = weighted.map(|backend| of(&backend.provider_ref)).collect();
        let fallbacks: Vec<_> = route
            .spec
            .fallbacks
            .iter()
            .map(|target| of(&target.provider_ref))
            .collect();
        route_healthy(&backends, &fallbacks)
    }
}

impl Reconciler for RouteReconciler {
    type Object = ModelRoute;
    type Error = PartError;

    fn name(&self) -> &'static str {
        names::ROUTE
    }

    async fn reconcile(&self, object: &ModelRoute) -> Result<Action, PartError> {
        let Some(found) = dereference(&self.context, Subject::Route(object)).await? else {
            return Ok(Action::await_change());
        };
        let generation = object.metadata.generation;
        let before = self.statuses.latest(object, object.status.as_ref());
        let conditions = before
            .as_ref()
            .map(|status| status.conditions.as_slice())
            .unwrap_or_default();
        let judged = judge(&found, IDLE).with_health(self.health(object, &found));
        let status = ModelRouteStatus {
            observed_generation: generation,
            conditions: judged.conditions(conditions, generation, self.context.clock.now()),
        };
        self.statuses
            .write(object, before.as_ref(), &status)
            .await
            .map_err(PartError::Status)?;
        Ok(Action::await_change())
    }

    async fn unreadable(&self, object: &InvalidObject) -> Result<(), PartError> {
        let now = self.context.clock.now();
        patch_unreadable::<ModelRoute>(
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

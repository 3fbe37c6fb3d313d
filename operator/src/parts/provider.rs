//! `ModelProvider`: its status.

use std::collections::{BTreeMap, BTreeSet};

use k8s_openapi::api::core::v1::Service;
use kube::ResourceExt as _;
use kube::core::error_boundary::InvalidObject;
use kube::runtime::controller::Action;
use tokenweir_crds::api::{ModelProvider, ModelProviderStatus};
use tokenweir_crds::compile::check_backend_ref;
use tokenweir_prices::bundled;

use super::prices::priced;
use super::{PartError, Subject, dereference, judge, provider_health};
use crate::context::Context;
use crate::kubernetes::{Statuses, patch_unreadable};
use crate::runtime::Reconciler;
use crate::watch::{in_namespace, names};

const FIELD_MANAGER: &str = "tokenweir/modelprovider";
/// Why a gateway has nothing of a provider that is right in itself.
const IDLE: &str = "no route of a gateway uses this provider";

/// Reconciles providers.
pub struct ProviderReconciler {
    context: Context,
    statuses: Statuses,
}

impl ProviderReconciler {
    /// A reconciler over the given handles.
    pub fn new(context: Context) -> Self {
        let statuses = Statuses::new(context.client.clone(), FIELD_MANAGER);
        Self { context, statuses }
    }

    /// Ports of all Services of a namespace.
    fn services(&self, namespace: &str) -> BTreeMap<String, BTreeSet<u16>> {
        let services = &self.context.caches.services;
        let ports = |service: &Service| -> BTreeSet<u16> {
            let spec = service.spec.iter();
            spec.flat_map(|spec| spec.ports.iter().flatten())
                .filter_map(|port| u16::try_from(port.port).ok())
                .collect()
        };
        services
            .state_filter(|service| in_namespace(service, namespace))
            .iter()
            .map(|service| (service.name_any(), ports(service)))
            .collect()
    }
}

impl Reconciler for ProviderReconciler {
    type Object = ModelProvider;
    type Error = PartError;

    fn name(&self) -> &'static str {
        names::PROVIDER
    }

    async fn reconcile(&self, object: &ModelProvider) -> Result<Action, PartError> {
        let Some(mut found) = dereference(&self.context, Subject::Provider(object)).await? else {
            return Ok(Action::await_change());
        };
        // Gateways follow the endpoints themselves, so this is told and changes nothing about what is served.
        let namespace = object.namespace().unwrap_or_default();
        let services = self.services(&namespace);
        found.verdict.problems.extend(check_backend_ref(object, &services));
        let generation = object.metadata.generation;
        let before = self.statuses.latest(object, object.status.as_ref());
        let conditions = before
            .as_ref()
            .map(|status| status.conditions.as_slice())
            .unwrap_or_default();
        let health = provider_health(&self.context, &namespace, &found, &object.name_any());
        let now = self.context.clock.now();
        let judged = judge(&found, IDLE)
            .with_health(health)
            .with_prices(priced(&object.spec, bundled(), now));
        let status = ModelProviderStatus {
            observed_generation: generation,
            conditions: judged.conditions(conditions, generation, now),
        };
        self.statuses
            .write(object, before.as_ref(), &status)
            .await
            .map_err(PartError::Status)?;
        Ok(Action::await_change())
    }

    async fn unreadable(&self, object: &InvalidObject) -> Result<(), PartError> {
        let now = self.context.clock.now();
        patch_unreadable::<ModelProvider>(
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

//! `LLMGateway`: compiles the configuration and owns the data plane, in five steps.
//!
//! `dereference` and `apply` talk to the API server, `validate` and `build` are pure. The fifth step, `status`, runs as a
//! loop of its own, because most of what it says changes without anything to compile: pods come, go and confirm.

mod apply;
mod build;
mod dereference;
mod error;
mod replicas;
mod snapshot;
mod status;
mod validate;

use std::time::Duration;

use kube::core::error_boundary::InvalidObject;
use kube::runtime::controller::Action;
use tokenweir_crds::api::LLMGateway;
use tokenweir_crds::conditions::{Finding, Reason};

pub use error::GatewayError;
pub use status::GatewayStatusReconciler;

use crate::board::GatewayKey;
use crate::context::Context;
use crate::kubernetes::{Applier, ApplyError, patch_unreadable};
use crate::runtime::Reconciler;
use crate::watch::find;

/// Field manager of everything that this controller applies.
pub const FIELD_MANAGER: &str = "tokenweir/llmgateway";

/// Changes come in groups, as when a folder is applied. The first one waits this long for the others.
const COALESCE: Duration = Duration::from_millis(10);

/// A look without a reason, in case a change was missed.
const RESYNC: Duration = Duration::from_mins(10);

/// Reconciles gateways.
pub struct GatewayReconciler {
    context: Context,
    applier: Applier,
}

impl GatewayReconciler {
    /// A reconciler over the given handles.
    pub fn new(context: Context) -> Self {
        let applier = Applier::new(context.client.clone(), FIELD_MANAGER);
        Self { context, applier }
    }

    async fn steps(&self, gateway: &LLMGateway) -> Result<(), GatewayError> {
        let found = dereference::dereference(&self.context, gateway).await?;
        let valid = validate::validate(gateway, &found)?;
        let owned = build::build(&valid, &self.context.settings);
        // On the heap: every owned object lies in this future.
        Box::pin(apply::apply(&self.context, &self.applier, &valid, owned, found)).await
    }
}

impl Reconciler for GatewayReconciler {
    type Object = LLMGateway;
    type Error = GatewayError;

    fn name(&self) -> &'static str {
        crate::watch::names::GATEWAY
    }

    async fn reconcile(&self, gateway: &LLMGateway) -> Result<Action, GatewayError> {
        if gateway.metadata.deletion_timestamp.is_some() {
            // Its owned objects go with it, and its pods drain as they end.
            return Ok(Action::await_change());
        }
        tokio::time::sleep(COALESCE).await;
        let key = key(gateway);
        let result = self.steps(gateway).await;
        if find(&self.context.caches.gateways, &key.namespace, &key.name).is_none() {
            // Deleted in the meantime: what was just said about it must not outlive it.
            self.context.board.forget(&key);
            self.context.prober.forget(&key);
            return Ok(Action::await_change());
        }
        match result {
            Ok(()) => {
                self.context.board.faulted(&key, None);
                Ok(Action::requeue(RESYNC))
            }
            Err(error) => {
                if let Some(finding) = fault(&error) {
                    self.context.board.faulted(&key, Some(finding));
                }
                Err(error)
            }
        }
    }

    async fn unreadable(&self, object: &InvalidObject) -> Result<(), GatewayError> {
        let now = self.context.clock.now();
        patch_unreadable::<LLMGateway>(
            &self.context.client,
            FIELD_MANAGER,
            &object.metadata,
            &object.error,
            now,
        )
        .await
        .map(drop)
        .map_err(GatewayError::Status)
    }
}

/// What a person should read about a failure. Failures to reach the API server pass by themselves and are left out.
fn fault(error: &GatewayError) -> Option<Finding> {
    let reason = match error {
        GatewayError::Apply(ApplyError::NotOwned { .. }) => Reason::NotOwned,
        // A conflict means that somebody was faster, and the next try reads what they wrote.
        GatewayError::Apply(ApplyError::Api {
            source: kube::Error::Api(status),
            ..
        }) if !status.is_conflict() => Reason::ApplyFailed,
        GatewayError::Snapshot(_) => Reason::TooLarge,
        _ => return None,
    };
    Some(Finding::fails(reason, error.to_string()))
}

/// The board's key of a gateway.
fn key(gateway: &LLMGateway) -> GatewayKey {
    GatewayKey {
        namespace: gateway.metadata.namespace.clone().unwrap_or_default(),
        name: gateway.metadata.name.clone().unwrap_or_default(),
    }
}

//! The adapter's serving certificate: issued by a CA of our own, rotated, and made known to the API server.
//!
//! The CA lies in a Secret that only the operator reads. The serving certificate, its key and the bundle of CAs lie in the
//! Secret that the adapter watches. The bundle is also put into the APIServices. A CA that is replaced stays in the bundle until it ends,
//! and a certificate of the new one is used only after every APIService has it, so no request ever meets a certificate that its
//! reader does not know.

mod apply;
mod dereference;
mod issue;
mod plan;
mod x509;

use std::time::{Duration, Instant};

use futures::{StreamExt as _, stream};
use k8s_openapi::api::core::v1::Secret;
use k8s_openapi::kube_aggregator::pkg::apis::apiregistration::v1::APIService;
use kube::Api;
use kube::runtime::WatchStreamExt as _;
use kube::runtime::watcher::watch_object;
use tokio_util::sync::CancellationToken;

use crate::context::Context;
use crate::runtime::{Class, ReconcileError, WatchBackoff};
use crate::telemetry::{Metrics, Outcome};

/// Field manager of everything that this controller writes.
const FIELD_MANAGER: &str = "tokenweir/certificates";
/// Secret with the CA and its key.
pub const CA_SECRET: &str = "tokenweir-adapter-ca";
/// Secret with the serving certificate, its key and the bundle of CAs.
pub const TLS_SECRET: &str = "tokenweir-adapter-tls";
/// Service of the adapter.
pub const ADAPTER_SERVICE: &str = "tokenweir-adapter";
/// APIServices of the adapter.
pub const API_SERVICES: [&str; 3] = [
    "v1beta1.custom.metrics.k8s.io",
    "v1beta2.custom.metrics.k8s.io",
    "v1beta1.external.metrics.k8s.io",
];
/// Name in logs and metrics.
const NAME: &str = "certificates";
/// A look without a reason: rotation is due by the clock.
const RESYNC: Duration = Duration::from_mins(1);
/// Between two tries after a failure.
const RETRY: Duration = Duration::from_secs(2);

/// Why certificates are not as they should be.
#[derive(Debug, thiserror::Error)]
pub enum CertificateError {
    /// The API server refused or did not answer.
    #[error("{what} cannot be read or written: {source}")]
    Api {
        /// Which object.
        what: &'static str,
        /// The answer.
        #[source]
        source: kube::Error,
    },
    /// A Secret of that name is somebody else's.
    #[error("secret {0} exists and was not made by the operator; delete it, or turn --manage-certificates off")]
    NotOwned(&'static str),
    /// A certificate could not be made.
    #[error("a certificate cannot be issued: {0}")]
    Issue(#[from] rcgen::Error),
}

impl ReconcileError for CertificateError {
    fn reason(&self) -> &'static str {
        match self {
            Self::Api { .. } => "ApiFailed",
            Self::NotOwned(_) => "NotOwned",
            Self::Issue(_) => "IssueFailed",
        }
    }

    fn class(&self) -> Class {
        Class::Transient
    }
}

/// Keeps the certificates.
pub struct CertificateReconciler {
    context: Context,
    metrics: Metrics,
}

impl CertificateReconciler {
    /// A reconciler over the given handles.
    pub fn new(context: Context, metrics: Metrics) -> Self {
        Self { context, metrics }
    }

    async fn reconcile(&self) -> Result<(), CertificateError> {
        let settings = &self.context.settings;
        let found = dereference::dereference(&self.context.client, &settings.install_namespace).await?;
        let now = self.context.clock.now();
        let names = issue::names(&settings.install_namespace, &settings.cluster_domain);
        let plan = plan::plan(&found, &names, now);
        let material = issue::build(&found, plan, &names, now)?;
        apply::apply(&self.context.client, &settings.install_namespace, &found, &material).await?;
        if plan.new_ca || plan.new_serving {
            tracing::info!(ca = plan.new_ca, serving = plan.new_serving, "issued certificates");
        }
        for (name, pem) in [
            ("ca", &material.ca.certificate),
            ("adapter", &material.serving.certificate),
        ] {
            if let Some(facts) = x509::first(pem) {
                self.metrics.certificate_expiry(name, facts.not_after.as_second());
            }
        }
        Ok(())
    }
}

/// Runs until `shutdown`: looks when one of the objects changes, when rotation may be due, and after a failure.
pub async fn run(reconciler: CertificateReconciler, metrics: Metrics, shutdown: CancellationToken) {
    let mut changes = changes(&reconciler.context);
    loop {
        let begun = Instant::now();
        let result = reconciler.reconcile().await;
        let pause = match &result {
            Ok(()) => {
                metrics.reconciled(NAME, Outcome::Success, begun.elapsed());
                RESYNC
            }
            Err(error) => {
                metrics.reconciled(NAME, Outcome::Error, begun.elapsed());
                metrics.failed(NAME, error.reason());
                tracing::warn!(controller = NAME, reason = error.reason(), %error, "reconciliation failed");
                RETRY
            }
        };
        tokio::select! {
            () = shutdown.cancelled() => return,
            () = tokio::time::sleep(pause) => {}
            _ = changes.next() => {}
        }
    }
}

/// Something happened to one of the objects. What, the next look finds out.
fn changes(context: &Context) -> stream::BoxStream<'static, ()> {
    let secrets: Api<Secret> = Api::namespaced(context.watch_client.clone(), &context.settings.install_namespace);
    let services: Api<APIService> = Api::all(context.watch_client.clone());
    let mut streams: Vec<stream::BoxStream<'static, ()>> = Vec::new();
    for name in [CA_SECRET, TLS_SECRET] {
        let events = watch_object(secrets.clone(), name).backoff(WatchBackoff::default());
        streams.push(events.map(drop).boxed());
    }
    for name in API_SERVICES {
        let events = watch_object(services.clone(), name).backoff(WatchBackoff::default());
        streams.push(events.map(drop).boxed());
    }
    // A failed watch backs off by itself, so a look after each failure is no storm.
    stream::select_all(streams).boxed()
}

#[cfg(test)]
mod tests;

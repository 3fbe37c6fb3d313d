//! The loop around a reconciler.

use std::collections::HashMap;
use std::convert::Infallible;
use std::fmt::Debug;
use std::future::Future;
use std::sync::Arc;
use std::time::Instant;

use futures::{Stream, StreamExt as _};
use k8s_openapi::NamespaceResourceScope;
use kube::Resource;
use kube::core::{DeserializeGuard, error_boundary::InvalidObject};
use kube::runtime::controller::{self, Action};
use kube::runtime::reflector::{Lookup as _, ObjectRef, Store};
use parking_lot::Mutex;
use tokio_util::sync::CancellationToken;

use super::backoff::after_failures;
use super::queue::Waiting;
use crate::telemetry::{Metrics, Outcome};

/// An object, or what is known of one that cannot be read as its kind.
pub type Guarded<K> = DeserializeGuard<K>;

/// Objects reconciled at a time by one controller. Reconciling waits for the API server most of the time.
const CONCURRENCY: u16 = 32;

/// Why a reconciliation failed.
pub trait ReconcileError: std::error::Error + Send + Sync + 'static {
    /// The metric label, from a closed set.
    fn reason(&self) -> &'static str;

    /// What is to be done about it.
    fn class(&self) -> Class;
}

/// What is to be done about a failure.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Class {
    /// Try again, later with each failure in a row.
    Transient,
    /// Only a change of objects can help, so trying again is pointless.
    Invalid,
    /// Nothing: it is how things end.
    Expected,
}

/// Brings the cluster in line with one object.
pub trait Reconciler: Send + Sync + 'static {
    /// The kind.
    type Object: Resource<DynamicType = (), Scope = NamespaceResourceScope> + Clone + Debug + Send + Sync + 'static;
    /// What can go wrong.
    type Error: ReconcileError;

    /// Name in logs and metrics.
    fn name(&self) -> &'static str;

    /// Reconciles an object.
    fn reconcile(&self, object: &Self::Object) -> impl Future<Output = Result<Action, Self::Error>> + Send;

    /// Says on an object that cannot be read that it cannot.
    fn unreadable(&self, object: &InvalidObject) -> impl Future<Output = Result<(), Self::Error>> + Send;
}

/// How often objects have failed in a row.
struct Failures<K: Resource<DynamicType = ()>>(Arc<Mutex<HashMap<ObjectRef<K>, u32>>>);

impl<K: Resource<DynamicType = ()>> Clone for Failures<K> {
    fn clone(&self) -> Self {
        Self(self.0.clone())
    }
}

impl<K: Resource<DynamicType = ()>> Failures<K> {
    fn clear(&self, object: &ObjectRef<K>) {
        self.0.lock().remove(object);
    }

    /// Counts one more and says how many there are.
    fn count(&self, object: ObjectRef<K>) -> u32 {
        let mut counts = self.0.lock();
        let count = counts.entry(object).or_default();
        *count = count.saturating_add(1);
        *count
    }
}

/// A failure with what is needed to decide on the next try.
#[derive(Debug, thiserror::Error)]
#[error(transparent)]
struct Failed<E: std::error::Error + 'static>(E);

/// Runs a reconciler over `queue` until `shutdown`; reconciliations that have begun are finished.
pub async fn run<R: Reconciler>(
    reconciler: Arc<R>,
    store: Store<Guarded<R::Object>>,
    queue: impl Stream<Item = Result<ObjectRef<Guarded<R::Object>>, Infallible>> + Send + 'static,
    waiting: Waiting<Guarded<R::Object>>,
    metrics: Metrics,
    shutdown: CancellationToken,
) {
    let name = reconciler.name();
    let failures: Failures<Guarded<R::Object>> = Failures(Arc::default());
    let counted = failures.clone();
    let gone_failures = failures.clone();
    let reconcile = {
        let (metrics, waiting, store) = (metrics.clone(), waiting.clone(), store.clone());
        move |object: Arc<Guarded<R::Object>>, reconciler: Arc<R>| {
            let (metrics, waiting, failures, store) =
                (metrics.clone(), waiting.clone(), failures.clone(), store.clone());
            Box::pin(async move {
                let reference = object.to_object_ref(());
                waiting.taken(&reference);
                // What changed between the look-up and `taken` was not queued again: read the newest.
                let object = store.get(&reference).unwrap_or(object);
                let begun = Instant::now();
                let result = match &object.0 {
                    Ok(object) => reconciler.reconcile(object).await,
                    Err(invalid) => reconciler.unreadable(invalid).await.map(|()| Action::await_change()),
                };
                let outcome = match &result {
                    Ok(_) if object.0.is_err() => Outcome::Invalid,
                    Ok(_) => Outcome::Success,
                    Err(error) => match error.class() {
                        Class::Transient => Outcome::Error,
                        Class::Invalid => Outcome::Invalid,
                        Class::Expected => Outcome::Success,
                    },
                };
                metrics.reconciled(name, outcome, begun.elapsed());
                match &result {
                    Ok(_) => failures.clear(&reference),
                    Err(error) if error.class() == Class::Expected => {
                        tracing::debug!(controller = name, object = %reference, %error, "nothing left to do");
                    }
                    Err(error) => {
                        metrics.failed(name, error.reason());
                        tracing::warn!(controller = name, object = %reference, reason = error.reason(), %error, "reconciliation failed");
                    }
                }
                result.map_err(Failed)
            })
        }
    };
    let error_policy = move |object: Arc<Guarded<R::Object>>, failed: &Failed<R::Error>, _: Arc<R>| {
        if failed.0.class() != Class::Transient {
            return Action::await_change();
        }
        Action::requeue(after_failures(counted.count(object.to_object_ref(()))))
    };
    let queue = Box::pin(queue.take_until(shutdown.cancelled_owned()));
    let config = controller::Config::default().concurrency(CONCURRENCY);
    controller::applier(reconcile, error_policy, reconciler, store, queue, config)
        .for_each(|result| {
            match result {
                // Gone by the time its turn came: not an error, and it may come back under the same name.
                Err(controller::Error::ObjectNotFound(gone)) => {
                    let mut reference = ObjectRef::new(&gone.name);
                    reference.namespace.clone_from(&gone.namespace);
                    waiting.taken(&reference);
                    gone_failures.clear(&reference);
                }
                Err(controller::Error::RunnerError(error)) => {
                    tracing::error!(controller = name, %error, "the controller cannot run");
                }
                // Failures of the reconciler were logged where they happened.
                _ => {}
            }
            futures::future::ready(())
        })
        .await;
}

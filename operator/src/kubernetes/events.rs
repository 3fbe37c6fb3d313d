//! Events: what a person who runs `kubectl describe` wants to have been told.

use k8s_openapi::api::core::v1::ObjectReference;
use kube::Client;
use kube::runtime::events::{Event, EventType, Recorder, Reporter};

/// Publishes events. A failure is logged and never fails a reconciliation.
#[derive(Clone)]
pub struct Events {
    recorder: Recorder,
}

impl Events {
    /// Events that come from this replica.
    pub fn new(client: Client, instance: String) -> Self {
        let reporter = Reporter {
            controller: "tokenweir.dev/operator".into(),
            instance: Some(instance),
        };
        Self {
            recorder: Recorder::new(client, reporter),
        }
    }

    /// Something went as it should.
    pub async fn normal(&self, about: &ObjectReference, reason: &str, note: String) {
        self.publish(EventType::Normal, about, reason, note).await;
    }

    /// Something wants attention.
    pub async fn warning(&self, about: &ObjectReference, reason: &str, note: String) {
        self.publish(EventType::Warning, about, reason, note).await;
    }

    async fn publish(&self, type_: EventType, about: &ObjectReference, reason: &str, note: String) {
        let event = Event {
            type_,
            reason: reason.to_owned(),
            note: Some(note),
            action: "Reconcile".into(),
            secondary: None,
        };
        if let Err(error) = self.recorder.publish(&event, about).await {
            tracing::warn!(%error, reason, "the event could not be published");
        }
    }
}

//! Watches the gateway pods of the whole cluster and keeps one subscription to each.

use std::collections::{HashMap, HashSet};
use std::pin::pin;
use std::sync::Arc;

use futures::StreamExt;
use k8s_openapi::api::core::v1::Pod;
use kube::runtime::{WatchStreamExt, watcher};
use kube::{Api, Client};
use tokenweir_config::names::GATEWAY_LABEL;
use tokio::sync::Notify;
use tokio_util::sync::CancellationToken;

use super::store::{PodEntry, PodInfo};
use super::subscribe::{Subscriber, subscribe};
use crate::backoff::Backoff;
use crate::named::{WATCH_SECONDS, chain};

/// Reads what matters from a pod; `None` for a pod that serves no gateway any more.
pub fn pod_info(pod: Pod) -> Option<PodInfo> {
    let labels = pod.metadata.labels.unwrap_or_default();
    let status = pod.status.unwrap_or_default();
    if matches!(status.phase.as_deref(), Some("Succeeded" | "Failed")) {
        return None;
    }
    let conditions = status.conditions.unwrap_or_default();
    Some(PodInfo {
        namespace: pod.metadata.namespace?,
        name: pod.metadata.name?,
        uid: pod.metadata.uid.unwrap_or_default(),
        gateway: labels.get(GATEWAY_LABEL).filter(|name| !name.is_empty())?.clone(),
        labels,
        ip: status.pod_ip.and_then(|ip| ip.parse().ok()),
        ready: conditions
            .iter()
            .any(|condition| condition.type_ == "Ready" && condition.status == "True"),
        terminating: pod.metadata.deletion_timestamp.is_some(),
    })
}

type PodKey = (String, String);

/// A running subscription.
struct Running {
    entry: Arc<PodEntry>,
    stop: CancellationToken,
    /// Told when the pod changes, so that a pause between attempts ends early.
    changed: Arc<Notify>,
}

impl Drop for Running {
    fn drop(&mut self) {
        self.stop.cancel();
    }
}

/// Follows pod events: fills the store, starts and ends subscriptions.
struct Supervisor {
    subscriber: Arc<Subscriber>,
    running: HashMap<PodKey, Running>,
    /// Pods seen in a listing that is under way.
    listing: HashSet<PodKey>,
    stop: CancellationToken,
}

impl Supervisor {
    fn handle(&mut self, event: watcher::Event<Pod>) {
        match event {
            watcher::Event::Init => self.listing.clear(),
            watcher::Event::InitApply(pod) => {
                if let Some(key) = self.apply(pod) {
                    self.listing.insert(key);
                }
            }
            watcher::Event::InitDone => {
                let gone: Vec<PodKey> = self
                    .running
                    .keys()
                    .filter(|key| !self.listing.contains(*key))
                    .cloned()
                    .collect();
                for key in gone {
                    self.remove(&key);
                }
                self.listing = HashSet::new();
                self.subscriber.store.set_listed();
            }
            watcher::Event::Apply(pod) => {
                self.apply(pod);
            }
            watcher::Event::Delete(pod) => {
                if let (Some(namespace), Some(name)) = (pod.metadata.namespace, pod.metadata.name) {
                    self.remove(&(namespace, name));
                }
            }
        }
    }

    fn apply(&mut self, pod: Pod) -> Option<PodKey> {
        let key = (pod.metadata.namespace.clone()?, pod.metadata.name.clone()?);
        let Some(info) = pod_info(pod) else {
            self.remove(&key);
            return None;
        };
        let has_address = info.ip.is_some();
        let entry = self.subscriber.store.upsert(info);
        match self.running.get(&key) {
            Some(running) if Arc::ptr_eq(&running.entry, &entry) => running.changed.notify_one(),
            _ => {
                let running = Running {
                    entry: Arc::clone(&entry),
                    stop: self.stop.child_token(),
                    changed: Arc::new(Notify::new()),
                };
                if has_address {
                    let (stop, changed) = (running.stop.clone(), Arc::clone(&running.changed));
                    tokio::spawn(subscribe(Arc::clone(&self.subscriber), entry, changed, stop));
                }
                self.running.insert(key.clone(), running);
            }
        }
        Some(key)
    }

    fn remove(&mut self, key: &PodKey) {
        self.running.remove(key);
        self.subscriber.store.remove(&key.0, &key.1);
    }
}

/// Watches pods until `stop`. While the API server is away, pods and streams stay as they are.
pub async fn watch_pods(client: Client, subscriber: Arc<Subscriber>, stop: CancellationToken) {
    let config = watcher::Config::default().labels(GATEWAY_LABEL).timeout(WATCH_SECONDS);
    let events = watcher(Api::<Pod>::all(client), config).backoff(Backoff::for_watches());
    let mut events = pin!(events);
    let mut supervisor = Supervisor {
        subscriber,
        running: HashMap::new(),
        listing: HashSet::new(),
        stop: stop.clone(),
    };
    loop {
        let event = tokio::select! {
            () = stop.cancelled() => return,
            event = events.next() => event,
        };
        match event {
            Some(Ok(event)) => supervisor.handle(event),
            Some(Err(error)) => tracing::warn!(error = %chain(&error), "cannot watch pods; trying again"),
            None => return,
        }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn pod(extra: &serde_json::Value) -> Pod {
        let mut pod = json!({
            "metadata": {"namespace": "llm", "name": "edge-1", "uid": "u", "labels": {"tokenweir.dev/gateway": "edge"}},
            "status": {"phase": "Running", "podIP": "10.0.0.7", "conditions": [{"type": "Ready", "status": "True"}]},
        });
        for (key, value) in extra.as_object().unwrap() {
            for (field, value) in value.as_object().unwrap() {
                pod[key][field] = value.clone();
            }
        }
        serde_json::from_value(pod).unwrap()
    }

    #[test]
    fn a_running_pod_is_read_with_its_readiness() {
        let info = pod_info(pod(&json!({}))).unwrap();
        assert!(info.counts());
        assert_eq!(info.ip, Some([10, 0, 0, 7].into()));
        assert_eq!(info.gateway, "edge");
    }

    #[test]
    fn a_pod_that_is_unready_or_terminating_does_not_count() {
        let unready = pod_info(pod(
            &json!({"status": {"conditions": [{"type": "Ready", "status": "False"}]}}),
        ));
        assert!(!unready.unwrap().counts());
        let terminating = pod_info(pod(&json!({"metadata": {"deletionTimestamp": "2026-01-01T00:00:00Z"}})));
        assert!(!terminating.unwrap().counts());
    }

    #[test]
    fn a_pod_that_ended_or_names_no_gateway_is_none_of_ours() {
        assert!(pod_info(pod(&json!({"status": {"phase": "Failed"}}))).is_none());
        assert!(pod_info(pod(&json!({"metadata": {"labels": {"tokenweir.dev/gateway": ""}}}))).is_none());
    }
}

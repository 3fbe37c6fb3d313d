//! One task for each gateway that asks its pods.

use std::collections::{BTreeMap, HashMap};
use std::net::IpAddr;
use std::sync::Arc;

use futures::{StreamExt as _, stream};
use k8s_openapi::api::core::v1::Pod;
use kube::ResourceExt as _;
use kube::runtime::reflector::Store;
use parking_lot::Mutex;
use tokenweir_config::admin_token::AdminKey;
use tokenweir_config::names::GATEWAY_LABEL;
use tokenweir_config::status::Status;
use tokio::sync::Notify;
use tokio_util::sync::CancellationToken;

use super::client::StatusClient;
use super::schedule::Schedule;
use crate::board::{Board, GatewayKey, PodReport, Written};
use crate::clock::Clock;

/// Pods asked at a time for one gateway.
const CONCURRENT_QUESTIONS: usize = 64;

/// Keeps the board's knowledge of pods fresh.
pub struct Prober {
    board: Arc<Board>,
    pods: Store<Pod>,
    client: StatusClient,
    clock: Clock,
    shutdown: CancellationToken,
    tasks: Mutex<HashMap<GatewayKey, Task>>,
}

struct Task {
    wake: Arc<Notify>,
    stop: CancellationToken,
}

impl Drop for Task {
    fn drop(&mut self) {
        self.stop.cancel();
    }
}

impl Prober {
    /// A prober that ends with `shutdown`.
    pub fn new(
        board: Arc<Board>,
        pods: Store<Pod>,
        client: StatusClient,
        clock: Clock,
        shutdown: CancellationToken,
    ) -> Self {
        Self {
            board,
            pods,
            client,
            clock,
            shutdown,
            tasks: Mutex::default(),
        }
    }

    /// The configuration or the pods of a gateway changed: ask now. Begins to watch over a gateway at the first call.
    pub fn wake(self: &Arc<Self>, key: &GatewayKey) {
        let mut tasks = self.tasks.lock();
        let task = tasks.entry(key.clone()).or_insert_with(|| {
            let task = Task {
                wake: Arc::new(Notify::new()),
                stop: self.shutdown.child_token(),
            };
            tokio::spawn(
                self.clone()
                    .watch_over(key.clone(), task.wake.clone(), task.stop.clone()),
            );
            task
        });
        task.wake.notify_one();
    }

    /// Pods of a gateway changed; a gateway that was never configured is left alone.
    pub fn pods_changed(&self, key: &GatewayKey) {
        if let Some(task) = self.tasks.lock().get(key) {
            task.wake.notify_one();
        }
    }

    /// The gateway is gone.
    pub fn forget(&self, key: &GatewayKey) {
        self.tasks.lock().remove(key);
    }

    async fn watch_over(self: Arc<Self>, key: GatewayKey, wake: Arc<Notify>, stop: CancellationToken) {
        let mut schedule = Schedule::default();
        let mut settled = false;
        loop {
            tokio::select! {
                () = stop.cancelled() => return,
                () = wake.notified() => schedule = Schedule::default(),
                () = tokio::time::sleep(schedule.next(settled)) => {}
            }
            settled = self.round(&key).await;
        }
    }

    /// Asks all pods once. True: everything is live, or there is nothing to ask about.
    async fn round(&self, key: &GatewayKey) -> bool {
        let Some(seat) = self.board.seat(key) else { return true };
        let (Some(written), Ok(admin)) = (seat.written, AdminKey::new(&seat.admin_key)) else {
            return true;
        };
        let now = self.clock.now().as_second();
        let reports: BTreeMap<String, PodReport> = stream::iter(self.pods_of(key))
            .map(|pod| {
                let (written, admin) = (&written, &admin);
                async move {
                    let answer = match pod.ip {
                        Some(ip) => self.client.ask(ip, admin, now).await.ok(),
                        None => None,
                    };
                    (pod.name, report(written, pod.ready, answer.as_ref()))
                }
            })
            .buffer_unordered(CONCURRENT_QUESTIONS)
            .collect()
            .await;
        self.board.observed(key, &written, &reports);
        let settled = reports.values().all(|report| report.serving.as_ref() == Some(&written));
        tracing::trace!(gateway = %key.name, generation = written.generation, settled, "asked the pods");
        settled
    }

    fn pods_of(&self, key: &GatewayKey) -> Vec<Asked> {
        self.pods
            .state_filter(|pod| {
                pod.namespace().as_deref() == Some(key.namespace.as_str())
                    && pod.labels().get(GATEWAY_LABEL) == Some(&key.name)
                    && is_running(pod)
            })
            .iter()
            .map(|pod| Asked {
                name: pod.name_any(),
                ip: ip(pod),
                ready: is_ready(pod),
            })
            .collect()
    }
}

struct Asked {
    name: String,
    ip: Option<IpAddr>,
    ready: bool,
}

/// A pod that ends serves what it began, and no configuration reaches it that would matter.
fn is_running(pod: &Pod) -> bool {
    let phase = pod.status.as_ref().and_then(|status| status.phase.as_deref());
    pod.metadata.deletion_timestamp.is_none() && !matches!(phase, Some("Succeeded" | "Failed"))
}

fn ip(pod: &Pod) -> Option<IpAddr> {
    pod.status.as_ref()?.pod_ip.as_ref()?.parse().ok()
}

fn is_ready(pod: &Pod) -> bool {
    pod.status
        .iter()
        .flat_map(|status| status.conditions.iter().flatten())
        .any(|condition| condition.type_ == "Ready" && condition.status == "True")
}

fn report(written: &Written, ready: bool, answer: Option<&Status>) -> PodReport {
    let Some(status) = answer else {
        return PodReport {
            ready,
            ..PodReport::default()
        };
    };
    PodReport {
        ready,
        serving: status.serving.as_ref().map(|serving| Written {
            generation: serving.generation,
            digest: serving.digest.clone(),
        }),
        refused: status
            .rejected
            .as_ref()
            .filter(|rejected| {
                rejected
                    .generation
                    .is_none_or(|generation| generation == written.generation)
            })
            .map(|rejected| rejected.reason.clone()),
        providers: status.providers.clone(),
    }
}

#[cfg(test)]
mod tests;

//! The loop: load, signals, the HPA, more pods, and back.

use std::time::{Duration, Instant};

use futures::TryStreamExt;
use k8s_openapi::api::autoscaling::v2::HorizontalPodAutoscaler;
use kube::api::ListParams;
use kube::runtime::WatchStreamExt;
use kube::runtime::watcher::{self, watcher};
use tokenweir_e2e::harness::load::Load;
use tokenweir_e2e::harness::metrics::{self, HpaView};
use tokenweir_e2e::harness::openai::{Chat, Connections};
use tokenweir_e2e::harness::{HarnessError, wait};
use tokio::sync::watch;

use crate::support::stack::{self, MODEL, Stack};
use crate::support::{READY, SOON, TestResult, World, busy};

/// The window after which pods go, in the policies of these tests.
const WINDOW: Duration = Duration::from_secs(12);
/// Clients of the load step: one pod forwards four of their requests at a time.
const CLIENTS: usize = 16;
/// What the project promises between a load step and the HPA's answer, over the HPA's own period.
const PROMISE: Duration = Duration::from_secs(1);

fn policy(signal: &str) -> String {
    format!(
        r"
apiVersion: tokenweir.dev/v1alpha1
kind: ScalingPolicy
metadata: {{name: edge}}
spec:
  targetRef: {{apiVersion: tokenweir.dev/v1alpha1, kind: LLMGateway, name: edge}}
  replicas: {{min: 1, max: 4}}
  horizontal:
    signals: [{signal}]
    scaleUp: {{stabilization: 0s, percent: 400, pods: 4, period: 5s, select: Max}}
    scaleDown: {{stabilization: {window}s, percent: 100, pods: 4, period: 5s, select: Max}}
",
        window = WINDOW.as_secs()
    )
}

/// Everything that an HPA said, with the time at which it was heard.
struct Heard {
    views: watch::Receiver<Vec<(Instant, HpaView)>>,
    task: tokio::task::JoinHandle<()>,
}

impl Heard {
    /// Listens to the HPA that the policy `edge` owns.
    async fn start(world: &World) -> Result<Self, HarnessError> {
        let name = wait::poll("the policy's HPA", READY, || async {
            let list = world
                .api::<HorizontalPodAutoscaler>()
                .list(&ListParams::default())
                .await;
            let list = list.map_err(|e| e.to_string())?;
            list.items
                .first()
                .and_then(|hpa| hpa.metadata.name.clone())
                .ok_or_else(|| "none".to_owned())
        })
        .await?;
        let (sender, views) = watch::channel(Vec::new());
        let fields = format!("metadata.name={name}");
        let stream = watcher(
            world.api::<HorizontalPodAutoscaler>(),
            watcher::Config::default().fields(&fields),
        );
        let task = tokio::spawn(async move {
            let mut stream = std::pin::pin!(stream.default_backoff().applied_objects());
            loop {
                if let Ok(Some(hpa)) = stream.try_next().await {
                    sender.send_modify(|views: &mut Vec<_>| views.push((Instant::now(), metrics::view(&hpa))));
                }
            }
        });
        Ok(Self { views, task })
    }

    /// Waits for a view and returns when it was heard.
    async fn until(
        &mut self,
        what: &str,
        limit: Duration,
        check: impl Fn(&HpaView) -> bool,
    ) -> Result<Instant, HarnessError> {
        let since = Instant::now();
        let found = self.views.wait_for(|views| {
            let current = views.last().is_some_and(|(_, view)| check(view));
            current || views.iter().any(|(at, view)| *at >= since && check(view))
        });
        let outcome = tokio::time::timeout(limit, found).await.map(|found| {
            let views = found.expect("the listener lives as long as this");
            let later = views.iter().find(|(at, view)| *at >= since && check(view));
            later.or_else(|| views.last()).map_or(since, |(at, _)| *at)
        });
        outcome.map_err(|_| HarnessError::Timeout {
            what: format!("the HPA to {what}"),
            limit,
            last: format!("{:?}", self.views.borrow().last()),
        })
    }

    fn most_wanted(&self) -> i32 {
        self.views
            .borrow()
            .iter()
            .map(|(_, view)| view.desired)
            .max()
            .unwrap_or_default()
    }
}

impl Drop for Heard {
    fn drop(&mut self) {
        self.task.abort();
    }
}

/// A policy with one signal, a load step of the tenant `acme`, and everything that must follow from it. `quiet` is a load
/// that must not scale anything.
async fn follows_load(world: &World, signal: &str, quiet: bool) -> TestResult {
    let stack = Stack {
        replicas: 1,
        max_in_flight: 4,
        first_ms: 100,
        token_ms: 40,
        ..Stack::default()
    };
    let running = stack.start(world).await?;
    world.apply(&policy(signal)).await?;
    let sync = world.cluster.hpa_sync().unwrap_or(Duration::from_secs(15));
    let mut heard = Heard::start(world).await?;
    let calm = |view: &HpaView| view.desired == 1 && view.active.as_ref().is_some_and(|(active, _)| *active);
    heard.until("read its signal and want one pod", READY, calm).await?;

    let chat = Chat::new(MODEL, 20);
    let longest = Duration::from_secs(90);
    if quiet {
        // Another tenant's load is not what the policy looks at.
        let load = Load::closed(&running.other_client(Connections::PerRequest), &chat, CLIENTS, longest);
        wait::poll("a queue of the other tenant", SOON, || async {
            let depth = queue(world).await?;
            if depth >= 8.0 {
                Ok(())
            } else {
                Err(format!("{depth} wait"))
            }
        })
        .await?;
        // Three looks of the HPA. It is told by its own status that it looked; here nothing changes in it.
        tokio::time::sleep(sync * 3).await;
        load.abort().await;
        assert_eq!(heard.most_wanted(), 1, "another tenant's load scaled the gateway");
    }

    let step = Instant::now();
    let load = Load::closed(&running.client(Connections::PerRequest), &chat, CLIENTS, longest);
    let rise = heard.until("want more pods", sync * 3, |view| view.desired > 1).await?;
    let after = rise.duration_since(step);
    assert!(
        after <= sync + PROMISE,
        "the HPA wanted more pods only after {after:?}; its period is {sync:?}"
    );

    wait::poll("more pods to be ready", READY, || async {
        let pods = stack::pods(world).await.map_err(|e| e.chain())?;
        let ready = pods.iter().filter(|pod| stack::is_ready(pod)).count();
        if ready >= 2 {
            Ok(())
        } else {
            Err(format!("{ready} ready"))
        }
    })
    .await?;
    wait::poll("every pod to serve and the queue to shrink", SOON, || async {
        let samples = in_flight(world).await?;
        let serving = samples.iter().filter(|sample| sample.value > 0.0).count();
        let depth = queue(world).await?;
        let shrunk = depth < (CLIENTS - 4) as f64 / 2.0;
        if serving >= 2 && shrunk {
            Ok(())
        } else {
            Err(format!("{serving} pods serve, {depth} wait"))
        }
    })
    .await?;

    let tally = load.finish().await;
    assert_eq!((tally.failed, tally.refused), (0, 0), "{:?}", tally.failures);
    let calm = Instant::now();
    let fall = heard
        .until(
            "want one pod again",
            WINDOW + sync * 3 + Duration::from_secs(15),
            |view| view.desired == 1,
        )
        .await?;
    let after = fall.duration_since(calm);
    // The window looks back at what was wanted before; a token rate over ten seconds falls later than a queue.
    assert!(
        after + sync + Duration::from_secs(2) >= WINDOW,
        "pods went after {after:?}, before the window of {WINDOW:?}"
    );
    stack::ready_pods(world, 1, READY).await?;
    let gateway = stack::object(world, "LLMGateway", "edge").await?;
    world
        .objects
        .wait_condition(&gateway, "Ready", "True", READY)
        .await
        .map(|_| ())
}

/// Requests that wait in the whole gateway.
async fn queue(world: &World) -> Result<f64, String> {
    let resource = "llmgateways.tokenweir.dev";
    let samples = metrics::of_object(&world.client, &world.namespace, resource, "edge", "queue_depth", "").await;
    match samples {
        Ok(samples) if samples.len() == 1 => Ok(samples[0].value),
        other => Err(format!("{other:?}")),
    }
}

async fn in_flight(world: &World) -> Result<Vec<metrics::Sample>, String> {
    let selector = "tokenweir.dev/gateway=edge";
    let samples = metrics::of_pods(&world.client, &world.namespace, selector, "in_flight", "").await;
    samples.map_err(|error| error.chain())
}

#[test]
fn queue_depth_through_pods_scales_up_within_a_period_and_down_after_the_window() {
    busy(async |world| follows_load(&world, "{queueDepth: {perReplica: 4, via: Pods}}", false).await);
}

#[test]
fn queue_depth_through_the_object_scales_up_within_a_period_and_down_after_the_window() {
    busy(async |world| follows_load(&world, "{queueDepth: {perReplica: 4, via: Object}}", false).await);
}

#[test]
fn queue_depth_of_one_tenant_through_external_scales_for_its_load_alone() {
    let signal = "{queueDepth: {perReplica: 4, via: External, tenantRef: {name: acme}}}";
    busy(async |world| follows_load(&world, signal, true).await);
}

#[test]
fn token_rate_scales_up_within_a_period_and_down_after_the_window() {
    busy(async |world| follows_load(&world, "{tokenRate: {perReplica: 30, window: 1s}}", false).await);
}

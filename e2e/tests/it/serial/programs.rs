//! The operator or an adapter goes away.

use std::time::Duration;

use k8s_openapi::api::apps::v1::Deployment;
use k8s_openapi::api::core::v1::Pod;
use kube::Api;
use kube::api::{DeleteParams, ListParams, Patch, PatchParams};
use tokenweir_e2e::harness::load::Load;
use tokenweir_e2e::harness::openai::{Chat, Connections};
use tokenweir_e2e::harness::{HarnessError, install, metrics, namespace, wait};

use crate::support::held::{assert_whole, hold, long_chat};
use crate::support::stack::{self, MODEL, Stack};
use crate::support::truth::{self, Watchdog};
use crate::support::{READY, TestResult, World, alone};

/// In-flight 12 of 6 a pod is two pods: what the HPA wants as long as every value is right. A zero would be one pod.
pub const POLICY: &str = "
apiVersion: tokenweir.dev/v1alpha1
kind: ScalingPolicy
metadata: {name: edge}
spec:
  targetRef: {apiVersion: tokenweir.dev/v1alpha1, kind: LLMGateway, name: edge}
  replicas: {min: 1, max: 4}
  horizontal:
    signals: [{inFlight: {perReplica: 6}}]
    scaleDown: {stabilization: 0s, percent: 100, pods: 4, period: 1s, select: Max}
";
/// Streams that are held.
pub const HELD: usize = 12;

fn api(action: &'static str) -> impl FnOnce(kube::Error) -> HarnessError {
    move |source| HarnessError::Api {
        action: action.to_owned(),
        source: Box::new(source),
    }
}

/// Pods of one of the programs.
pub async fn program_pods(world: &World, program: &str) -> Result<Vec<Pod>, HarnessError> {
    let pods: Api<Pod> = Api::namespaced(world.client.clone(), install::NAMESPACE);
    let labels = ListParams::default().labels(&format!("app.kubernetes.io/component={program}"));
    Ok(pods.list(&labels).await.map_err(api("list pods of a program"))?.items)
}

/// Waits until a program has its two pods ready.
pub async fn program_ready(world: &World, program: &str) -> TestResult {
    wait::poll(format!("two ready pods of the {program}"), READY, || async {
        let pods = program_pods(world, program).await.map_err(|e| e.chain())?;
        let ready = pods.iter().filter(|pod| stack::is_ready(pod)).count();
        if ready == 2 && pods.len() == 2 {
            Ok(())
        } else {
            Err(format!("{ready} of {}", pods.len()))
        }
    })
    .await
}

/// The Deployment of a program, and what it takes to scale it.
async fn scale(world: &World, program: &str, replicas: i32) -> TestResult {
    let deployments: Api<Deployment> = Api::namespaced(world.client.clone(), install::NAMESPACE);
    let labels = ListParams::default().labels(&format!("app.kubernetes.io/component={program}"));
    let found = deployments.list(&labels).await.map_err(api("list Deployments"))?.items;
    let name = found
        .first()
        .and_then(|deployment| deployment.metadata.name.clone())
        .expect("a Deployment");
    let patch = serde_json::json!({"spec": {"replicas": replicas}});
    deployments
        .patch_scale(&name, &PatchParams::default(), &Patch::Merge(&patch))
        .await
        .map_err(api("scale a Deployment"))?;
    wait::poll(format!("{replicas} pods of the {program}"), READY, || async {
        let pods = program_pods(world, program).await.map_err(|e| e.chain())?;
        let ready = pods.iter().filter(|pod| stack::is_ready(pod)).count();
        let wanted = usize::try_from(replicas).unwrap_or_default();
        if ready == wanted && pods.len() == wanted {
            Ok(())
        } else {
            Err(format!("{ready} of {}", pods.len()))
        }
    })
    .await
}

/// Waits until the HPA of the policy wants two pods and says that it can scale.
pub async fn hpa_steady(world: &World) -> Result<String, HarnessError> {
    wait::poll("the HPA to want two pods", READY, || async {
        let list = world
            .objects
            .list("autoscaling/v2", "HorizontalPodAutoscaler", &world.namespace)
            .await;
        let list = list.map_err(|e| e.chain())?;
        let name = list
            .first()
            .and_then(|hpa| hpa.metadata.name.clone())
            .ok_or("there is no HPA")?;
        let view = metrics::hpa(&world.client, &world.namespace, &name)
            .await
            .map_err(|e| e.chain())?;
        let read = view.metrics.iter().any(|(_, average)| (average - 6.0).abs() < 0.01);
        if view.desired == 2 && view.current == 2 && read {
            Ok(name)
        } else {
            Err(format!("{view:?}"))
        }
    })
    .await
}

#[test]
fn a_deleted_adapter_replica_leaves_no_gap_and_no_wrong_value() {
    alone(async |world| {
        let running = Stack {
            token_ms: 100,
            ..Stack::default()
        }
        .start(&world)
        .await?;
        program_ready(&world, "adapter").await?;
        let chat = long_chat(45, 100);
        let mut streams = hold(&running.client(Connections::PerRequest), &chat, HELD).await;
        truth::settle(&world.client, &world.namespace, 2, HELD as f64).await?;
        world.apply(POLICY).await?;
        let hpa = hpa_steady(&world).await?;
        let watchdog = Watchdog::start(&world.client, &world.namespace, 2, Some(&hpa));
        let gone = stack::name(&program_pods(&world, "adapter").await?[0]);
        let pods: Api<Pod> = Api::namespaced(world.client.clone(), install::NAMESPACE);
        pods.delete(&gone, &DeleteParams::default())
            .await
            .map_err(api("delete an adapter pod"))?;
        program_ready(&world, "adapter").await?;
        watchdog.rounds(40).await?;
        assert_eq!(streams.running(), HELD, "the streams were too short for this machine");
        watchdog.assert_never_wrong(12.0..=12.0);
        assert_whole(streams, chat.max_tokens).await;
        Ok(())
    });
}

#[test]
fn without_the_operator_clients_are_served_and_the_gateway_scales() {
    alone(async |world| {
        let running = Stack {
            token_ms: 100,
            ..Stack::default()
        }
        .start(&world)
        .await?;
        world.apply(POLICY).await?;
        let chat = long_chat(40, 100);
        let streams = hold(&running.client(Connections::PerRequest), &chat, HELD).await;
        hpa_steady(&world).await?;
        let short = Chat {
            limit: Duration::from_secs(20),
            ..Chat::new(MODEL, 3)
        };
        let load = Load::closed(
            &running.other_client(Connections::KeepAlive),
            &short,
            1,
            Duration::from_secs(90),
        );
        scale(&world, "operator", 0).await?;
        // Twelve more: twenty-four of six a pod are four pods, without an operator.
        let more = hold(&running.client(Connections::PerRequest), &chat, HELD).await;
        let scaled = stack::ready_pods(&world, 4, READY).await;
        scale(&world, "operator", 2).await?;
        scaled?;
        program_ready(&world, "operator").await?;
        assert_whole(streams, chat.max_tokens).await;
        assert_whole(more, chat.max_tokens).await;
        let tally = load.finish().await;
        assert_eq!(tally.failures, Vec::<String>::new());
        stack::ready(&world).await.map(|_| ())
    });
}

#[test]
fn the_next_operator_takes_over_when_the_leader_is_deleted() {
    alone(async |world| {
        Stack {
            replicas: 1,
            ..Stack::default()
        }
        .start(&world)
        .await?;
        program_ready(&world, "operator").await?;
        let pods: Api<Pod> = Api::namespaced(world.client.clone(), install::NAMESPACE);
        let old: Vec<_> = program_pods(&world, "operator")
            .await?
            .iter()
            .map(stack::name)
            .collect();
        for name in &old {
            pods.delete(name, &DeleteParams::default())
                .await
                .map_err(api("delete an operator pod"))?;
        }
        world
            .apply(
                &Stack {
                    replicas: 2,
                    ..Stack::default()
                }
                .gateway(),
            )
            .await?;
        stack::ready_pods(&world, 2, READY).await?;
        program_ready(&world, "operator").await
    });
}

/// A pod that says it is a gateway and gives no signals.
const SILENT_GATEWAY: &str = "
apiVersion: v1
kind: Pod
metadata: {name: silent, labels: {tokenweir.dev/gateway: silent}}
spec:
  terminationGracePeriodSeconds: 1
  containers: [{name: sim, image: tokenweir/sim, resources: {requests: {cpu: 5m, memory: 16Mi}}}]
";

#[test]
fn a_namespace_ends_while_the_adapter_has_no_data() {
    alone(async |world| {
        world.apply(SILENT_GATEWAY).await?;
        wait::watch(world.api::<Pod>(), "silent", "a pod that runs", READY, |pod| {
            let ready = pod.is_some_and(stack::is_ready);
            if ready { Ok(()) } else { Err("not ready".to_owned()) }
        })
        .await?;
        let selector = "tokenweir.dev/gateway=silent";
        let samples = metrics::of_pods(&world.client, &world.namespace, selector, "queue_depth", "").await;
        assert!(
            !samples.is_ok_and(|samples| !samples.is_empty()),
            "a number from a pod that gives no signals"
        );
        let doomed = namespace::create(&world.client, "doomed").await?;
        let started = std::time::Instant::now();
        namespace::remove(&world.objects, &doomed).await?;
        assert!(
            started.elapsed() < Duration::from_secs(30),
            "it took {:?}",
            started.elapsed()
        );
        Ok(())
    });
}

#[test]
fn a_namespace_that_was_deleted_while_no_adapter_ran_ends_once_one_runs_again() {
    alone(async |world| {
        let doomed = namespace::create(&world.client, "doomed").await?;
        scale(&world, "adapter", 0).await?;
        let deleted = namespace::delete(&world.client, &doomed).await;
        // Kubernetes holds a namespace until every API group answers: nothing an adapter that does not run can change.
        scale(&world, "adapter", 2).await?;
        deleted?;
        namespace::wait_gone(&world.objects, &doomed, READY).await
    });
}

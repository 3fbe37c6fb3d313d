//! The cluster itself, without anything installed in it: it is ready, runs pods, finding it again changes nothing, and its
//! parts stop and start alone.
//!
//! A test binary of its own: cargo runs it before the one that installs, and no other test runs beside these.

#![allow(clippy::unwrap_used, reason = "helpers of a test end it as the test itself would")]

use std::time::Duration;

use k8s_openapi::api::core::v1::{Namespace, Node, Pod};
use kube::api::{DeleteParams, ListParams, PostParams};
use kube::{Api, Client, ResourceExt};
use serde_json::{Value, json};
use tokenweir_e2e::cluster::local::{self, layout::Layout};
use tokenweir_e2e::cluster::{Cluster, ClusterError, Folders, Options, Part, Progress, find_or_start, images, until};
use tokio::sync::Mutex;

/// One test at a time: one of them stops a part.
static TURN: Mutex<()> = Mutex::const_new(());

async fn cluster() -> Cluster {
    find_or_start(Options::from_env(Progress::quiet())).await.unwrap()
}

fn typed<T: serde::de::DeserializeOwned>(value: Value) -> T {
    serde_json::from_value(value).unwrap()
}

/// Whether an object's status has this condition.
fn has_condition(status: &Value, kind: &str) -> bool {
    let conditions = status["conditions"].as_array().into_iter().flatten();
    let mut found = conditions.filter(|condition| condition["type"] == kind);
    found.any(|condition| condition["status"] == "True")
}

async fn create_pod(client: &Client, namespace: &str, image: &str) -> Result<(), ClusterError> {
    let pod = json!({
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": { "name": "waits" },
        "spec": {
            "terminationGracePeriodSeconds": 1,
            "containers": [{ "name": "waits", "image": image, "imagePullPolicy": "IfNotPresent" }],
        },
    });
    let pods: Api<Pod> = Api::namespaced(client.clone(), namespace);
    // The controller that gives a namespace its service account needs a moment.
    until("the pod to be accepted", Duration::from_secs(30), async || {
        let created = pods.create(&PostParams::default(), &typed(pod.clone())).await;
        Ok(created.map(drop).map_err(|error| error.to_string()))
    })
    .await
}

/// Runs a test in a namespace of its own, which is gone afterwards.
async fn in_namespace(
    client: &Client,
    purpose: &str,
    test: impl AsyncFnOnce(&str) -> Result<(), ClusterError>,
) -> Result<(), ClusterError> {
    let name = format!("cluster-{purpose}-{}", std::process::id());
    let namespaces: Api<Namespace> = Api::all(client.clone());
    let object = typed(json!({ "metadata": { "name": name } }));
    namespaces.create(&PostParams::default(), &object).await?;
    let result = test(&name).await;
    namespaces.delete(&name, &DeleteParams::default()).await?;
    result?;
    until("the namespace to be gone", Duration::from_mins(1), async || {
        let found = namespaces.get_opt(&name).await?;
        Ok(found.map_or(Ok(()), |namespace| Err(format!("{:?}", namespace.status))))
    })
    .await
}

async fn pod_ready(client: &Client, namespace: &str) -> Result<(), ClusterError> {
    let pods: Api<Pod> = Api::namespaced(client.clone(), namespace);
    until("the pod to be ready", Duration::from_mins(1), async || {
        let status = json!(pods.get_status("waits").await?.status);
        Ok(if has_condition(&status, "Ready") {
            Ok(())
        } else {
            Err(status.to_string())
        })
    })
    .await
}

async fn pause(cluster: &Cluster) -> String {
    let image = images::pause(&Folders::from_env(), &Progress::quiet()).await.unwrap();
    cluster.load_images(&[image]).await.unwrap()[0].reference()
}

#[tokio::test]
async fn the_cluster_is_ready_and_runs_a_pod_from_an_image_that_no_registry_has() {
    let _turn = TURN.lock().await;
    let cluster = cluster().await;
    let client = cluster.client().await.unwrap();
    let nodes = Api::<Node>::all(client.clone())
        .list(&ListParams::default())
        .await
        .unwrap();
    assert!(!nodes.items.is_empty());
    for node in &nodes {
        assert!(
            has_condition(&json!(node.status), "Ready"),
            "{} is not ready",
            node.name_any()
        );
    }
    let image = pause(&cluster).await;
    in_namespace(&client, "runs-a-pod", async |namespace| {
        create_pod(&client, namespace, &image).await?;
        pod_ready(&client, namespace).await
    })
    .await
    .unwrap();
}

#[tokio::test]
async fn a_part_stops_and_starts_alone() {
    let _turn = TURN.lock().await;
    let cluster = cluster().await;
    let Ok(log) = cluster.part_log(Part::Scheduler) else {
        // Another kind of cluster: its parts are not ours to stop, which is what the refusal says.
        assert!(matches!(
            cluster.start_part(Part::Scheduler),
            Err(ClusterError::NotLocal { .. })
        ));
        return;
    };
    assert!(log.is_file());
    let client = cluster.client().await.unwrap();
    let image = pause(&cluster).await;
    let layout = Layout::new(Folders::from_env().cluster()).unwrap();
    let running = |wanted: Part| {
        local::parts(&layout)
            .unwrap()
            .into_iter()
            .find(|state| state.part == wanted)
            .and_then(|state| state.pid)
    };
    let (scheduler, kubelet) = (running(Part::Scheduler), running(Part::Kubelet));
    assert!(scheduler.is_some() && kubelet.is_some());
    cluster.stop_part(Part::Scheduler).await.unwrap();
    assert_eq!(running(Part::Scheduler), None);
    let outcome = in_namespace(&client, "schedules", async |namespace| {
        create_pod(&client, namespace, &image).await?;
        let pods: Api<Pod> = Api::namespaced(client.clone(), namespace);
        let waiting = pods.get("waits").await?;
        assert_eq!(waiting.spec.and_then(|spec| spec.node_name), None);
        cluster.start_part(Part::Scheduler)?;
        pod_ready(&client, namespace).await
    })
    .await;
    // Whatever happened above, the cluster is left whole.
    cluster.start_part(Part::Scheduler).unwrap();
    outcome.unwrap();
    assert!(running(Part::Scheduler).is_some() && running(Part::Scheduler) != scheduler);
    assert_eq!(running(Part::Kubelet), kubelet);
}

#[tokio::test]
async fn finding_a_running_cluster_again_changes_nothing() {
    let _turn = TURN.lock().await;
    let first = cluster().await;
    let layout = Layout::new(Folders::from_env().cluster()).unwrap();
    let before = local::parts(&layout).unwrap();
    let second = cluster().await;
    assert!(!second.was_started());
    assert_eq!(second.kubeconfig(), first.kubeconfig());
    assert_eq!(second.hpa_sync(), first.hpa_sync());
    assert_eq!(local::parts(&layout).unwrap(), before);
}

#[tokio::test]
async fn kubectl_and_helm_of_the_cluster_speak_to_it() {
    let _turn = TURN.lock().await;
    let cluster = cluster().await;
    for (program, arguments) in [
        (cluster.kubectl(), ["get", "--raw=/readyz"]),
        (cluster.helm(), ["list", "--all-namespaces"]),
    ] {
        let mut command = tokio::process::Command::new(program);
        let output = command
            .args(arguments)
            .env("KUBECONFIG", cluster.kubeconfig())
            .output()
            .await
            .unwrap();
        assert!(
            output.status.success(),
            "{}: {}",
            program.display(),
            String::from_utf8_lossy(&output.stderr)
        );
    }
}

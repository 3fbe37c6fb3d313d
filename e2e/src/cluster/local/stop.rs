//! Stops the local cluster and leaves the machine as it was.

use std::time::Duration;

use k8s_openapi::api::core::v1::Pod;
use kube::api::{DeleteParams, ListParams};
use kube::{Api, Client, ResourceExt};
use tokio::process::Command;
use tokio::time::Instant;

use super::baseline::Baseline;
use super::layout::Layout;
use super::{is_running, parts, stop_part, sweep};
use crate::cluster::error::{Result, file};
use crate::cluster::lock::FileLock;
use crate::cluster::parts::Part;
use crate::cluster::progress::Progress;
use crate::cluster::{command, kubeconfig};

/// How long pods get to end in the orderly way before what is left of them is removed by force.
const PODS_GRACE: Duration = Duration::from_secs(15);

/// Stops the cluster and returns whether there was one. The logs of the parts stay.
pub(crate) async fn down(layout: &Layout, progress: &Progress) -> Result<bool> {
    let lock = layout.lock();
    if !layout.root().exists() {
        return Ok(false);
    }
    // The lock file itself stays: whoever waits for it would otherwise hold a lock that nobody else can see.
    let _held = FileLock::acquire(&lock, || {
        progress.step("waiting for another start or stop of the cluster");
    })
    .await?;
    let existed = layout.settings().exists() || is_running(layout)?;
    if existed {
        progress.step("stopping the local cluster");
        end_pods(layout, progress).await;
    }
    clean(layout).await?;
    if existed {
        progress.step("the local cluster is stopped");
    }
    Ok(existed)
}

/// Stops every part, in the order in which none of them undoes what another does, and removes all that is left.
pub(super) async fn clean(layout: &Layout) -> Result<()> {
    for part in Part::ALL.into_iter().rev().filter(|part| *part != Part::Containerd) {
        stop_part(layout, part).await?;
    }
    stop_part(layout, Part::Containerd).await?;
    let baseline = Baseline::load(layout)?;
    sweep::sweep(layout, baseline.as_ref()).await?;
    if let Some(baseline) = &baseline {
        baseline.restore();
    }
    remove_state(layout)
}

/// Lets the kubelet end all pods, so that networks, mounts and cgroups go the way they came. Best effort: whatever
/// does not end is removed by force afterwards.
async fn end_pods(layout: &Layout, progress: &Progress) {
    let running = |wanted: Part| {
        parts(layout).is_ok_and(|parts| parts.iter().any(|state| state.part == wanted && state.pid.is_some()))
    };
    if ![Part::ApiServer, Part::Etcd, Part::Kubelet, Part::Containerd]
        .into_iter()
        .all(running)
    {
        return;
    }
    // Nothing may make new pods from here on.
    for part in [Part::ControllerManager, Part::Scheduler] {
        if let Err(error) = stop_part(layout, part).await {
            progress.step(format!("{part} did not stop: {error}"));
        }
    }
    if let Ok(Err(error)) = tokio::time::timeout(PODS_GRACE, delete_pods(layout)).await {
        progress.step(format!(
            "pods did not end in the orderly way ({error}); removing them by force"
        ));
    }
}

async fn delete_pods(layout: &Layout) -> Result<()> {
    let client = kubeconfig::client(&layout.kubeconfig()).await?;
    for pod in Api::<Pod>::all(client.clone()).list(&ListParams::default()).await? {
        delete_pod(&client, &pod).await?;
    }
    let deadline = Instant::now() + PODS_GRACE;
    while Instant::now() < deadline {
        let mut list = Command::new("ctr");
        list.arg("--address").arg(layout.containerd_socket());
        // Tasks, not containers: the kubelet keeps the records of ended containers for a minute.
        let left = command::output(list.args(["--namespace", "k8s.io", "tasks", "list", "--quiet"])).await?;
        if left.trim().is_empty() {
            break;
        }
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    Ok(())
}

async fn delete_pod(client: &Client, pod: &Pod) -> Result<()> {
    let pods: Api<Pod> = Api::namespaced(client.clone(), &pod.namespace().unwrap_or_default());
    match pods
        .delete(&pod.name_any(), &DeleteParams::default().grace_period(1))
        .await
    {
        Err(kube::Error::Api(status)) if status.code == 404 => Ok(()),
        other => other.map(drop).map_err(Into::into),
    }
}

/// Removes the state folder but for the logs, which are what one looks for after a failure.
fn remove_state(layout: &Layout) -> Result<()> {
    let root = layout.root();
    let entries = match std::fs::read_dir(root) {
        Ok(entries) => entries,
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(()),
        Err(error) => return Err(file("read", root)(error)),
    };
    // The settings and the baseline go last: until then a second attempt finds what it needs.
    let last = [layout.settings(), layout.baseline()];
    for entry in entries {
        let path = entry.map_err(file("read", root))?.path();
        if path == layout.logs() || last.contains(&path) {
            continue;
        }
        let removed = if path.is_dir() {
            std::fs::remove_dir_all(&path)
        } else {
            std::fs::remove_file(&path)
        };
        removed.map_err(file("remove", &path))?;
    }
    for path in last.iter().filter(|path| path.exists()) {
        std::fs::remove_file(path).map_err(file("remove", path))?;
    }
    Ok(())
}

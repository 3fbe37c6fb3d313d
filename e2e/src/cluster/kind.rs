//! A cluster in containers, where a container engine answers.

use std::path::{Path, PathBuf};

use serde_json::json;
use tokio::process::Command;

use super::choice::Engine;
use super::command;
use super::error::{Result, file};
use super::images::ImageRef;
use super::process::write_atomic;
use super::progress::Progress;

/// The name of the cluster in kind.
pub(crate) const NAME: &str = "tokenweir";

/// The first container engine that answers.
pub(crate) async fn find_engine() -> Option<Engine> {
    for (program, engine) in [("docker", Engine::Docker), ("podman", Engine::Podman)] {
        if command::succeeds(Command::new(program).arg("info")).await {
            return Some(engine);
        }
    }
    None
}

/// One kind cluster.
#[derive(Debug, Clone)]
pub(crate) struct KindCluster {
    program: PathBuf,
    engine: Engine,
}

impl KindCluster {
    pub(crate) fn new(program: PathBuf, engine: Engine) -> Self {
        Self { program, engine }
    }

    fn command(&self) -> Command {
        let mut command = Command::new(&self.program);
        let provider = match self.engine {
            Engine::Docker => "docker",
            Engine::Podman => "podman",
        };
        command.env("KIND_EXPERIMENTAL_PROVIDER", provider);
        command
    }

    /// Whether the cluster exists.
    pub(crate) async fn exists(&self) -> Result<bool> {
        let existing = command::output(self.command().args(["get", "clusters"])).await?;
        Ok(existing.lines().any(|line| line == NAME))
    }

    /// Finds or creates the cluster, writes its kubeconfig, and returns whether it was created.
    pub(crate) async fn up(&self, kubeconfig: &Path, hpa_sync_seconds: u64, progress: &Progress) -> Result<bool> {
        if self.exists().await? {
            let text = command::output(self.command().args(["get", "kubeconfig", "--name", NAME])).await?;
            super::kubeconfig::write(kubeconfig, &text)?;
            return Ok(false);
        }
        progress.step("creating a kind cluster");
        let folder = kubeconfig.parent().unwrap_or(Path::new("."));
        std::fs::create_dir_all(folder).map_err(file("create", folder))?;
        let path = folder.join("kind.json");
        write_atomic(&path, config(hpa_sync_seconds).to_string().as_bytes())?;
        let mut create = self.command();
        create
            .args(["create", "cluster", "--name", NAME, "--wait", "180s", "--config"])
            .arg(&path);
        command::streamed(create.arg("--kubeconfig").arg(kubeconfig)).await?;
        Ok(true)
    }

    /// Copies images to the cluster's nodes.
    pub(crate) async fn load(&self, images: &[ImageRef]) -> Result<()> {
        for image in images {
            command::output(
                self.command()
                    .args(["load", "image-archive", "--name", NAME])
                    .arg(&image.archive),
            )
            .await?;
        }
        Ok(())
    }

    /// Deletes the cluster and returns whether there was one.
    pub(crate) async fn down(&self, progress: &Progress) -> Result<bool> {
        let existing = command::output(self.command().args(["get", "clusters"])).await?;
        if !existing.lines().any(|line| line == NAME) {
            return Ok(false);
        }
        progress.step("deleting the kind cluster");
        command::output(self.command().args(["delete", "cluster", "--name", NAME]))
            .await
            .map(|_| true)
    }
}

/// The configuration of the cluster: the HPA's period is the one thing that differs from kind's own.
fn config(hpa_sync_seconds: u64) -> serde_json::Value {
    let (name, value) = ("horizontal-pod-autoscaler-sync-period", format!("{hpa_sync_seconds}s"));
    // Which version of kubeadm's configuration is patched depends on the node's Kubernetes; kind passes over the other.
    let patch = |version: &str, arguments: serde_json::Value| {
        let patch = json!({
            "apiVersion": format!("kubeadm.k8s.io/{version}"),
            "kind": "ClusterConfiguration",
            "controllerManager": { "extraArgs": arguments },
        });
        patch.to_string()
    };
    json!({
        "kind": "Cluster",
        "apiVersion": "kind.x-k8s.io/v1alpha4",
        "nodes": [{ "role": "control-plane" }],
        "kubeadmConfigPatches": [
            patch("v1beta3", json!({ name: value })),
            patch("v1beta4", json!([{ "name": name, "value": value }])),
        ],
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn both_versions_of_the_node_configuration_get_the_period() {
        let config = config(7);
        let patches: Vec<serde_json::Value> = config["kubeadmConfigPatches"]
            .as_array()
            .unwrap()
            .iter()
            .map(|patch| serde_json::from_str(patch.as_str().unwrap()).unwrap())
            .collect();
        let arguments = |index: usize| &patches[index]["controllerManager"]["extraArgs"];
        assert_eq!(patches[0]["apiVersion"], "kubeadm.k8s.io/v1beta3");
        assert_eq!(*arguments(0), json!({ "horizontal-pod-autoscaler-sync-period": "7s" }));
        assert_eq!(patches[1]["apiVersion"], "kubeadm.k8s.io/v1beta4");
        assert_eq!(
            *arguments(1),
            json!([{ "name": "horizontal-pod-autoscaler-sync-period", "value": "7s" }])
        );
    }
}

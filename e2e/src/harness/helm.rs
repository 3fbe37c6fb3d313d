//! Helm, as its command: install, upgrade, roll back, test, remove. A release that already is what is wanted is left as
//! it is.

use std::path::{Path, PathBuf};
use std::time::Duration;

use serde::Deserialize;
use serde_json::Value;
use tokio::process::Command;

use super::error::{HarnessError, Result, file};
use crate::cluster::command::output;
use crate::cluster::hash::Hasher;
use crate::cluster::{Cluster, ClusterError};

/// A chart to install under a release name.
#[derive(Debug, Clone)]
pub struct Release {
    /// The release's name.
    pub name: String,
    /// The namespace that holds it; created if need be.
    pub namespace: String,
    /// The chart's folder.
    pub chart: PathBuf,
    /// Values on top of the chart's own.
    pub values: Value,
}

/// What helm knows about an installed release.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
pub struct ReleaseStatus {
    /// Counts installs, upgrades and rollbacks from 1.
    #[serde(rename = "version")]
    pub revision: u32,
    /// More about the revision.
    pub info: ReleaseInfo,
}

/// More about a revision.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
pub struct ReleaseInfo {
    /// `deployed`, `failed`, `pending-upgrade`, ….
    pub status: String,
    /// What [`Helm::ensure`] wrote there: the fingerprint of chart and values.
    #[serde(default)]
    pub description: String,
}

/// Runs helm against one cluster.
#[derive(Debug, Clone)]
pub struct Helm {
    program: PathBuf,
    kubeconfig: PathBuf,
}

impl Helm {
    /// Helm for `cluster`.
    pub fn new(cluster: &Cluster) -> Self {
        Self {
            program: cluster.helm().to_owned(),
            kubeconfig: cluster.kubeconfig().to_owned(),
        }
    }

    /// Installs or upgrades a release and waits until its workloads are ready, unless it already is deployed from the
    /// same chart and values. Returns whether anything was done.
    pub async fn ensure(&self, release: &Release, limit: Duration) -> Result<bool> {
        let fingerprint = fingerprint(release)?;
        if let Some(status) = self.status(&release.name, &release.namespace).await?
            && status.info.status == "deployed"
            && status.info.description == fingerprint
        {
            return Ok(false);
        }
        self.upgrade(release, limit).await?;
        Ok(true)
    }

    /// Installs or upgrades a release, whatever is there, and waits until its workloads are ready.
    pub async fn upgrade(&self, release: &Release, limit: Duration) -> Result<()> {
        let values = values_file(&release.values)?;
        let seconds = format!("{}s", limit.as_secs());
        let mut command = self.command(&["upgrade", "--install", &release.name]);
        command
            .arg(&release.chart)
            .args(["--namespace", &release.namespace, "--create-namespace"]);
        command.arg("--values").arg(values.path());
        command.args(["--wait", "--timeout", &seconds, "--description", &fingerprint(release)?]);
        output(&mut command).await?;
        Ok(())
    }

    /// What is known about a release; `None` if there is none of that name.
    pub async fn status(&self, name: &str, namespace: &str) -> Result<Option<ReleaseStatus>> {
        match output(&mut self.command(&["status", name, "--namespace", namespace, "--output", "json"])).await {
            Ok(text) => serde_json::from_str(&text)
                .map(Some)
                .map_err(|e| HarnessError::Manifest {
                    origin: format!("the status of release {name}"),
                    reason: e.to_string(),
                }),
            Err(ClusterError::Command { output, .. }) if output.contains("not found") => Ok(None),
            Err(error) => Err(error.into()),
        }
    }

    /// Goes back to a revision and waits until its workloads are ready.
    pub async fn rollback(&self, name: &str, namespace: &str, revision: u32, limit: Duration) -> Result<()> {
        let (revision, seconds) = (revision.to_string(), format!("{}s", limit.as_secs()));
        let arguments = [
            "rollback",
            name,
            &revision,
            "--namespace",
            namespace,
            "--wait",
            "--timeout",
            seconds.as_str(),
        ];
        output(&mut self.command(&arguments)).await?;
        Ok(())
    }

    /// Runs the chart's own tests and returns what they said.
    pub async fn test(&self, name: &str, namespace: &str, limit: Duration) -> Result<String> {
        let seconds = format!("{}s", limit.as_secs());
        Ok(
            output(&mut self.command(&["test", name, "--namespace", namespace, "--timeout", &seconds, "--logs"]))
                .await?,
        )
    }

    /// The manifests of a release as helm would apply them.
    pub async fn template(&self, release: &Release) -> Result<String> {
        let values = values_file(&release.values)?;
        let mut command = self.command(&["template", &release.name]);
        command
            .arg(&release.chart)
            .args(["--namespace", &release.namespace, "--include-crds"]);
        command.arg("--values").arg(values.path());
        Ok(output(&mut command).await?)
    }

    /// The manifests of the installed revision.
    pub async fn manifest(&self, name: &str, namespace: &str) -> Result<String> {
        Ok(output(&mut self.command(&["get", "manifest", name, "--namespace", namespace])).await?)
    }

    /// Removes a release and waits until its objects are gone. Returns whether there was one.
    pub async fn uninstall(&self, name: &str, namespace: &str, limit: Duration) -> Result<bool> {
        if self.status(name, namespace).await?.is_none() {
            return Ok(false);
        }
        let seconds = format!("{}s", limit.as_secs());
        output(&mut self.command(&[
            "uninstall",
            name,
            "--namespace",
            namespace,
            "--wait",
            "--timeout",
            &seconds,
        ]))
        .await?;
        Ok(true)
    }

    fn command(&self, arguments: &[&str]) -> Command {
        let mut command = Command::new(&self.program);
        command.arg("--kubeconfig").arg(&self.kubeconfig).args(arguments);
        command
    }
}

fn values_file(values: &Value) -> Result<tempfile::NamedTempFile> {
    let temporary = std::env::temp_dir();
    // JSON is YAML.
    let values_file = tempfile::Builder::new()
        .prefix("tokenweir-values-")
        .suffix(".yaml")
        .tempfile()
        .map_err(file("create a file in", &temporary))?;
    std::fs::write(values_file.path(), values.to_string()).map_err(file("write", values_file.path()))?;
    Ok(values_file)
}

/// A hash of the chart's files and the values.
fn fingerprint(release: &Release) -> Result<String> {
    let mut hasher = Hasher::default();
    hasher.add(release.values.to_string().as_bytes());
    for path in files_below(&release.chart)? {
        let content = std::fs::read(&path).map_err(file("read", &path))?;
        let name = path.strip_prefix(&release.chart).unwrap_or(&path);
        hasher.add(name.to_string_lossy().as_bytes()).add(&content);
    }
    Ok(format!("chart and values {}", hasher.finish()))
}

fn files_below(folder: &Path) -> Result<Vec<PathBuf>> {
    let mut files = Vec::new();
    for entry in std::fs::read_dir(folder).map_err(file("read", folder))? {
        let path = entry.map_err(file("read", folder))?.path();
        if path.is_dir() {
            files.extend(files_below(&path)?);
        } else {
            files.push(path);
        }
    }
    files.sort();
    Ok(files)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_fingerprint_changes_with_the_chart_and_with_the_values() {
        let folder = tempfile::tempdir().unwrap();
        let write = |text: &str| std::fs::write(folder.path().join("Chart.yaml"), text).unwrap();
        let release = |values: Value| Release {
            name: "r".to_owned(),
            namespace: "n".to_owned(),
            chart: folder.path().to_owned(),
            values,
        };
        write("version: 1");
        let first = fingerprint(&release(serde_json::json!({"a": 1}))).unwrap();
        assert_eq!(first, fingerprint(&release(serde_json::json!({"a": 1}))).unwrap());
        assert_ne!(first, fingerprint(&release(serde_json::json!({"a": 2}))).unwrap());
        write("version: 2");
        assert_ne!(first, fingerprint(&release(serde_json::json!({"a": 1}))).unwrap());
    }

    #[test]
    fn helms_status_is_read() {
        let status: ReleaseStatus = serde_json::from_str(
            r#"{"name":"tokenweir","version":3,"info":{"status":"deployed","description":"chart and values ab"}}"#,
        )
        .unwrap();
        assert_eq!((status.revision, status.info.status.as_str()), (3, "deployed"));
    }
}

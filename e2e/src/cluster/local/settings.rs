//! The settings of one local cluster, kept so that another process can start and stop its parts.

use std::path::PathBuf;

use serde::{Deserialize, Serialize};

use super::layout::Layout;
use super::machine::Snapshotter;
use crate::cluster::error::{ClusterError, Result, file};
use crate::cluster::process::write_atomic;

/// What the parts are started with.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Settings {
    /// The boot of the machine in which the cluster was started; in another one all its processes are gone.
    pub(crate) boot: String,
    /// How often the HPA controller looks, in seconds.
    pub(crate) hpa_sync_seconds: u64,
    /// Whether metrics-server is installed.
    pub(crate) metrics_server: bool,
    /// The folder with the Kubernetes programs.
    pub(crate) kubernetes: PathBuf,
    /// The folder with etcd.
    pub(crate) etcd: PathBuf,
    /// The folder with the CNI plugins of the system.
    pub(crate) cni_plugins: PathBuf,
    /// The image that holds a pod's namespaces.
    pub(crate) pause_image: String,
    /// The resolver file that pods with `dnsPolicy: Default` get.
    pub(crate) resolver: PathBuf,
    /// How containerd keeps images.
    #[serde(default)]
    pub(crate) snapshotter: Snapshotter,
    /// The nameservers CoreDNS forwards to.
    pub(crate) nameservers: Vec<String>,
}

impl Settings {
    /// Reads the settings of a cluster that was started; `None` where none was.
    pub(crate) fn load(layout: &Layout) -> Result<Option<Self>> {
        let path = layout.settings();
        match std::fs::read(&path) {
            Ok(bytes) => serde_json::from_slice(&bytes)
                .map(Some)
                .map_err(|source| ClusterError::State { path, source }),
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(None),
            Err(error) => Err(file("read", &path)(error)),
        }
    }

    pub(crate) fn store(&self, layout: &Layout) -> Result<()> {
        let path = layout.settings();
        let bytes = serde_json::to_vec_pretty(self).map_err(|source| ClusterError::State {
            path: path.clone(),
            source,
        })?;
        write_atomic(&path, &bytes)
    }
}

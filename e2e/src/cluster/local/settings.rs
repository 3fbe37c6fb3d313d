//! The settings of one local cluster, kept so that another process can start and stop its parts.

use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

use super::layout::Layout;
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

/// The id of this boot of the machine.
pub(crate) fn boot_id() -> Result<String> {
    let path = Path::new("/proc/sys/kernel/random/boot_id");
    Ok(std::fs::read_to_string(path)
        .map_err(file("read", path))?
        .trim()
        .to_owned())
}

/// Where Debian, Ubuntu and others put the CNI plugins.
pub(crate) fn find_cni_plugins() -> Result<PathBuf> {
    ["/usr/lib/cni", "/opt/cni/bin", "/usr/libexec/cni"]
        .map(PathBuf::from)
        .into_iter()
        .find(|folder| folder.join("ptp").is_file() && folder.join("host-local").is_file())
        .ok_or_else(|| {
            ClusterError::Foreign("the CNI plugins are not installed: run tools/setup, which installs them".to_owned())
        })
}

/// The resolver file to hand to pods, and the nameservers in it that a pod can reach.
pub(crate) fn find_resolver() -> (PathBuf, Vec<String>) {
    // systemd-resolved's stub listens on the machine's loopback, which a pod cannot reach; its upstream file lists the
    // real servers.
    let candidates = ["/run/systemd/resolve/resolv.conf", "/etc/resolv.conf"].map(PathBuf::from);
    for path in candidates {
        let nameservers = nameservers(&std::fs::read_to_string(&path).unwrap_or_default());
        if !nameservers.is_empty() {
            return (path, nameservers);
        }
    }
    (PathBuf::from("/etc/resolv.conf"), Vec::new())
}

fn nameservers(resolver: &str) -> Vec<String> {
    resolver
        .lines()
        .filter_map(|line| line.trim().strip_prefix("nameserver"))
        .filter_map(|rest| rest.trim().parse::<std::net::IpAddr>().ok())
        .filter(|address| !address.is_loopback())
        .map(|address| address.to_string())
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nameservers_on_the_loopback_are_left_out() {
        let text = "# comment\nsearch a.b\nnameserver 127.0.0.53\nnameserver 192.0.2.53\n nameserver ::1\nnameserver nonsense\n";
        assert_eq!(nameservers(text), ["192.0.2.53"]);
    }
}

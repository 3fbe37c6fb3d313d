//! What the machine was like before the cluster started, so that it can be like that again.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};
use tokio::process::Command;

use super::layout::Layout;
use crate::cluster::command;
use crate::cluster::error::{ClusterError, Result, file};
use crate::cluster::process::write_atomic;

/// Kernel settings that the parts change: kubelet the first six, kube-proxy and the CNI plugins the rest.
const SYSCTLS: [&str; 9] = [
    "vm/overcommit_memory",
    "vm/panic_on_oom",
    "kernel/panic",
    "kernel/panic_on_oops",
    "kernel/keys/root_maxkeys",
    "kernel/keys/root_maxbytes",
    "net/ipv4/ip_forward",
    "net/ipv4/conf/all/route_localnet",
    "net/ipv4/vs/conntrack",
];

/// Folders outside the state folder that containerd, kubelet and the CNI library make.
const FOLDERS: [&str; 13] = [
    "/run/containerd/runc/k8s.io",
    "/run/containerd/runc",
    "/run/containerd/s",
    "/run/containerd",
    "/var/lib/cni/results",
    "/var/lib/cni/cache",
    "/var/lib/cni",
    "/var/log/containers",
    "/var/log/pods",
    "/run/netns",
    "/opt/containerd",
    "/var/lib/kubelet/device-plugins",
    "/var/lib/kubelet",
];

/// The machine before the start.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Baseline {
    sysctls: BTreeMap<String, String>,
    missing_folders: Vec<PathBuf>,
    /// The names of firewall chains, per command and table, as `iptables nat NAME`.
    pub(super) chains: BTreeSet<String>,
}

impl Baseline {
    /// Looks at the machine.
    pub(super) async fn take() -> Result<Self> {
        let sysctls = SYSCTLS
            .iter()
            .filter_map(|name| Some(((*name).to_owned(), std::fs::read_to_string(sysctl(name)).ok()?)))
            .collect();
        let missing_folders = FOLDERS
            .iter()
            .map(PathBuf::from)
            .filter(|folder| !folder.exists())
            .collect();
        let mut chains = BTreeSet::new();
        for family in super::sweep::FAMILIES {
            let text = command::output(&mut Command::new(format!("{family}-save"))).await?;
            chains.extend(
                super::sweep::chains(&text)
                    .into_iter()
                    .map(|(table, name)| format!("{family} {table} {name}")),
            );
        }
        Ok(Self {
            sysctls,
            missing_folders,
            chains,
        })
    }

    /// Reads what an earlier start saw; `None` where there was none.
    pub(super) fn load(layout: &Layout) -> Result<Option<Self>> {
        let path = layout.baseline();
        match std::fs::read(&path) {
            Ok(bytes) => serde_json::from_slice(&bytes)
                .map(Some)
                .map_err(|source| ClusterError::State { path, source }),
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(None),
            Err(error) => Err(file("read", &path)(error)),
        }
    }

    pub(super) fn store(&self, layout: &Layout) -> Result<()> {
        let path = layout.baseline();
        let bytes = serde_json::to_vec(self).map_err(|source| ClusterError::State {
            path: path.clone(),
            source,
        })?;
        write_atomic(&path, &bytes)
    }

    /// Sets the kernel settings back and removes the folders that were not there and are empty now.
    pub(super) fn restore(&self) {
        for (name, value) in &self.sysctls {
            let path = sysctl(name);
            if std::fs::read_to_string(&path).is_ok_and(|now| now != *value) {
                // One setting that cannot be put back is no reason to leave the others.
                let _ = std::fs::write(&path, value);
            }
        }
        for folder in &self.missing_folders {
            // Fails on a folder that somebody else has come to use, which is what is wanted.
            let _ = std::fs::remove_dir(folder);
        }
    }
}

fn sysctl(name: &str) -> PathBuf {
    Path::new("/proc/sys").join(name)
}

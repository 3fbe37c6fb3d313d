//! The addresses, names and files of the local cluster.

use std::path::{Path, PathBuf};

use crate::cluster::error::{ClusterError, Result};
use crate::cluster::parts::Part;

/// The name of the only node.
pub const NODE_NAME: &str = "tokenweir-node";
/// The address on which the node and the control plane listen. It is on a link of its own, so that nothing can be
/// reached from outside the machine and nothing depends on which network the machine is in.
pub const NODE_ADDRESS: &str = "10.245.0.1";
/// The link that carries [`NODE_ADDRESS`]: a bridge without ports, which every kernel with containers has.
pub const NODE_LINK: &str = "tw-node";
/// The addresses of pods.
pub const POD_RANGE: &str = "10.244.0.0/24";
/// The addresses of Services.
pub const SERVICE_RANGE: &str = "10.96.0.0/16";
/// The address of the `kubernetes` Service: always the first of the range.
pub const API_SERVICE_ADDRESS: &str = "10.96.0.1";
/// The address of the DNS Service.
pub const DNS_ADDRESS: &str = "10.96.0.10";
/// The domain of Services.
pub const DOMAIN: &str = "cluster.local";
/// The port of the API server.
pub const API_PORT: u16 = 6443;
/// The port on which etcd serves its one client.
pub const ETCD_PORT: u16 = 2379;
/// The port etcd wants for other members, of which there are none.
pub const ETCD_PEER_PORT: u16 = 2380;

/// The longest path below the state folder that is a Unix socket.
const LONGEST_SOCKET: &str = "kubelet/device-plugins/kubelet.sock";
/// The kernel's limit on the path of a Unix socket, with its final zero byte.
const SOCKET_LIMIT: usize = 108;

/// The files of one local cluster.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Layout {
    root: PathBuf,
}

impl Layout {
    /// The layout below a state folder. The folder need not exist.
    pub fn new(root: PathBuf) -> Result<Self> {
        if root.as_os_str().len() + LONGEST_SOCKET.len() + 1 >= SOCKET_LIMIT {
            return Err(ClusterError::PathTooLong(root));
        }
        Ok(Self { root })
    }

    /// The state folder itself.
    pub fn root(&self) -> &Path {
        &self.root
    }

    /// The administrator's kubeconfig.
    pub fn kubeconfig(&self) -> PathBuf {
        self.root.join("kubeconfig")
    }

    /// The settings the cluster was started with.
    pub(crate) fn settings(&self) -> PathBuf {
        self.root.join("cluster.json")
    }

    /// What the machine was like before the start.
    pub(crate) fn baseline(&self) -> PathBuf {
        self.root.join("baseline.json")
    }

    /// The lock that start and stop hold; outside the folder because stop removes that.
    pub(crate) fn lock(&self) -> PathBuf {
        self.root.with_extension("lock")
    }

    /// The folder with one log per part.
    pub fn logs(&self) -> PathBuf {
        self.root.join("logs")
    }

    /// The log of a part.
    pub fn log(&self, part: Part) -> PathBuf {
        self.logs().join(format!("{part}.log"))
    }

    /// The record of a part's process.
    pub(crate) fn record(&self, part: Part) -> PathBuf {
        self.root.join("run").join(format!("{part}.json"))
    }

    /// A file of the certificates' folder.
    pub(crate) fn pki(&self, name: &str) -> PathBuf {
        self.root.join("pki").join(name)
    }

    /// A configuration file.
    pub(crate) fn config(&self, name: &str) -> PathBuf {
        self.root.join("config").join(name)
    }

    /// The data folder of a part.
    pub(crate) fn data(&self, name: &str) -> PathBuf {
        self.root.join(name)
    }

    /// The socket of containerd.
    pub fn containerd_socket(&self) -> PathBuf {
        self.root.join("containerd/containerd.sock")
    }

    /// The folders that must exist before any part starts.
    pub(crate) fn folders(&self) -> Vec<PathBuf> {
        [
            "run",
            "logs",
            "pki",
            "config",
            "config/cni",
            "etcd",
            "containerd",
            "kubelet",
            "cni",
        ]
        .map(|name| self.root.join(name))
        .into()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_path_whose_sockets_would_not_fit_is_refused_with_the_variable_that_helps() {
        assert!(Layout::new(PathBuf::from("/root/.local/state/tokenweir/cluster")).is_ok());
        let error = Layout::new(PathBuf::from(format!("/{}", "x".repeat(80))))
            .unwrap_err()
            .to_string();
        assert!(error.contains("TOKENWEIR_STATE"), "{error}");
    }
}

//! The parts of the local cluster that run as processes of the machine.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

use super::error::ClusterError;

/// One long-running part of the local cluster.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Part {
    /// The container runtime.
    Containerd,
    /// The store behind the API server.
    Etcd,
    /// `kube-apiserver`.
    ApiServer,
    /// `kube-controller-manager`, which also runs the HPA.
    ControllerManager,
    /// `kube-scheduler`.
    Scheduler,
    /// `kube-proxy`.
    Proxy,
    /// The kubelet.
    Kubelet,
}

impl Part {
    /// All parts, in the order in which they start.
    pub const ALL: [Self; 7] = [
        Self::Containerd,
        Self::Etcd,
        Self::ApiServer,
        Self::ControllerManager,
        Self::Scheduler,
        Self::Proxy,
        Self::Kubelet,
    ];

    /// The name by which commands, logs and records call the part.
    pub fn name(self) -> &'static str {
        match self {
            Self::Containerd => "containerd",
            Self::Etcd => "etcd",
            Self::ApiServer => "kube-apiserver",
            Self::ControllerManager => "kube-controller-manager",
            Self::Scheduler => "kube-scheduler",
            Self::Proxy => "kube-proxy",
            Self::Kubelet => "kubelet",
        }
    }
}

impl fmt::Display for Part {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(self.name())
    }
}

impl FromStr for Part {
    type Err = ClusterError;

    fn from_str(given: &str) -> Result<Self, Self::Err> {
        Self::ALL
            .into_iter()
            .find(|part| part.name() == given)
            .ok_or_else(|| ClusterError::UnknownPart {
                given: given.to_owned(),
                known: Self::ALL.map(Self::name).join(", "),
            })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_part_is_found_by_its_name() {
        for part in Part::ALL {
            assert_eq!(part.name().parse::<Part>().unwrap(), part);
        }
    }

    #[test]
    fn an_unknown_part_is_refused_with_the_names_that_exist() {
        let error = "apiserver".parse::<Part>().unwrap_err().to_string();
        assert!(
            error.contains("\"apiserver\"") && error.contains("kube-apiserver, kube-controller-manager"),
            "{error}"
        );
    }
}

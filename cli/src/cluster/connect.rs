//! Which cluster, and which namespaces of it.

use std::time::Duration;

use kube::config::{KubeConfigOptions, Kubeconfig, KubeconfigError};
use kube::{Client, Config};

use super::{Ask, ClusterError};
use crate::cli::Global;

/// An API server that does not take a connection within this time is not there; a person waits for it.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(5);

/// Which namespaces are looked at.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Scope {
    All,
    Namespace(String),
}

impl Scope {
    /// The namespace, if it is one.
    pub fn namespace(&self) -> Option<&str> {
        match self {
            Self::All => None,
            Self::Namespace(name) => Some(name),
        }
    }
}

/// An API server and where to look in it.
#[derive(Clone)]
pub struct Access {
    pub client: Client,
    pub scope: Scope,
    /// How long one answer may take.
    pub limit: Duration,
}

impl Access {
    /// Waits for the answer to one question to the API server, as long as it may take. What the server says no to is
    /// left to the caller.
    ///
    /// The client has no such limit of its own: a limit on reads would end streams as well.
    pub async fn within<T>(
        &self,
        ask: &Ask<'_>,
        asking: impl Future<Output = kube::Result<T>>,
    ) -> Result<kube::Result<T>, ClusterError> {
        let answer = tokio::time::timeout(self.limit, asking).await;
        answer.map_err(|_| ClusterError::Late {
            what: ask.to_string(),
            limit: self.limit,
        })
    }

    /// The same, with what the server's no means.
    pub async fn answer<T>(
        &self,
        ask: &Ask<'_>,
        asking: impl Future<Output = kube::Result<T>>,
    ) -> Result<T, ClusterError> {
        let answer = self.within(ask, asking).await?;
        answer.map_err(|error| ClusterError::of(ask, error))
    }
}

/// Opens the cluster that flags and environment name, as kubectl does: `--kubeconfig`, else `KUBECONFIG`, else
/// `~/.kube/config`; inside a pod without any of these the cluster around it.
pub async fn connect(global: &Global) -> Result<Access, ClusterError> {
    let mut config = match kubeconfig(global) {
        Ok(kubeconfig) => {
            let options = KubeConfigOptions {
                context: global.context.clone(),
                ..KubeConfigOptions::default()
            };
            Config::from_custom_kubeconfig(kubeconfig, &options).await?
        }
        // A pod has no kubeconfig, and a context cannot be meant there.
        Err(error) if global.kubeconfig.is_none() && global.context.is_none() => {
            Config::incluster().map_err(|_| ClusterError::from(error))?
        }
        Err(error) => return Err(error.into()),
    };
    config.connect_timeout = Some(CONNECT_TIMEOUT);
    let scope = match (&global.namespace, global.all_namespaces) {
        (_, true) => Scope::All,
        (Some(namespace), false) => Scope::Namespace(namespace.clone()),
        (None, false) => Scope::Namespace(config.default_namespace.clone()),
    };
    let client = Client::try_from(config).map_err(|source| ClusterError::Client(Box::new(source)))?;
    Ok(Access {
        client,
        scope,
        limit: global.request_timeout,
    })
}

fn kubeconfig(global: &Global) -> Result<Kubeconfig, KubeconfigError> {
    match &global.kubeconfig {
        Some(path) => Kubeconfig::read_from(path),
        None => Kubeconfig::read(),
    }
}

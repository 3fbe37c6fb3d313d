//! Which cluster, and which namespaces of it.

use std::time::Duration;

use kube::config::{AuthInfo, KubeConfigOptions};
use kube::{Client, Config};

use super::client::client;
use super::kubeconfig::{self, Found};
use super::proxy::{self, Environment};
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
    let mut proxy_url = None;
    let mut config = match kubeconfig::read(global.kubeconfig.as_deref())? {
        Found::Config(kubeconfig) => {
            let options = KubeConfigOptions {
                context: global.context.clone(),
                ..KubeConfigOptions::default()
            };
            proxy_url = kubeconfig::proxy_url(&kubeconfig, global.context.as_deref());
            Config::from_custom_kubeconfig(*kubeconfig, &options).await?
        }
        // A pod has no kubeconfig, and a context cannot be meant there.
        Found::Nothing(files) => match Config::incluster() {
            Ok(config) if global.context.is_none() => config,
            _ => return Err(ClusterError::no_kubeconfig(&files)),
        },
    };
    impersonate(&mut config.auth_info, global)?;
    config.connect_timeout = Some(CONNECT_TIMEOUT);
    let proxy = match proxy_url {
        Some(url) => Some(proxy::named(&url, &config.cluster_url).ok_or(ClusterError::ProxyUrl)?),
        None => Environment::read().proxy_to(&config.cluster_url),
    };
    let scope = match (&global.namespace, global.all_namespaces) {
        (_, true) => Scope::All,
        (Some(namespace), false) => Scope::Namespace(namespace.clone()),
        (None, false) => Scope::Namespace(config.default_namespace.clone()),
    };
    let client = client(config, proxy.as_ref()).map_err(|source| ClusterError::Client(Box::new(source)))?;
    Ok(Access {
        client,
        scope,
        limit: global.request_timeout,
    })
}

/// Names of the contexts that the kubeconfig has.
pub fn contexts(global: &Global) -> Result<Vec<String>, ClusterError> {
    Ok(match kubeconfig::read(global.kubeconfig.as_deref())? {
        Found::Config(config) => config.contexts.into_iter().map(|context| context.name).collect(),
        Found::Nothing(_) => Vec::new(),
    })
}

/// Asks as somebody else. Each flag takes the place of what the kubeconfig says.
fn impersonate(user: &mut AuthInfo, global: &Global) -> Result<(), ClusterError> {
    if let Some(name) = &global.impersonate {
        user.impersonate = Some(name.clone());
    }
    if let Some(uid) = &global.impersonate_uid {
        user.impersonate_uid = Some(uid.clone());
    }
    if !global.impersonate_groups.is_empty() {
        user.impersonate_groups = Some(global.impersonate_groups.clone());
    }
    // The API server would take the groups for nothing, and answer as to whoever really asks.
    let whose = user.impersonate.as_deref().unwrap_or_default();
    let more = user.impersonate_uid.is_some() || user.impersonate_groups.as_ref().is_some_and(|g| !g.is_empty());
    if whose.is_empty() && more {
        return Err(ClusterError::NobodyToBe);
    }
    Ok(())
}

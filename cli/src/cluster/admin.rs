//! The admin ports of gateway pods, reached through the API server and opened with tokens of the install's root key.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use futures::StreamExt as _;
use http::StatusCode;
use k8s_openapi::api::core::v1::Secret;
use kube::Api;
use tokenweir_config::admin_token::{AdminKey, Scope as TokenScope, derive_admin_key};
use tokenweir_config::keys::decode_32;
use tokenweir_config::names::{ADMIN_PORT, ROOT_KEY_FIELD, ROOT_KEY_SECRET, SIGNALS_PATH, STATUS_PATH};
use tokenweir_config::status::Status;

use super::{Access, Ask, ClusterError, GatewayPod, forward};
use crate::http::{HttpError, body, get, send};
use crate::reach::ReachError;

/// A pod answers from memory; what takes longer is the way to it.
const ANSWER_LIMIT: Duration = Duration::from_secs(5);
/// A status report has some hundred bytes for each provider and route.
const MAX_STATUS: usize = 16 * 1024 * 1024;

/// Pods that are asked at a time; each costs the API server a connection.
const AT_ONCE: usize = 16;

/// Why one pod could not be asked. The others may answer.
#[derive(Debug, thiserror::Error)]
pub enum PodError {
    /// The way to it.
    #[error(transparent)]
    Cluster(#[from] ClusterError),
    /// The way to an address.
    #[error(transparent)]
    Reach(#[from] ReachError),
    /// The conversation.
    #[error(transparent)]
    Http(#[from] HttpError),
    /// It refuses.
    #[error("the admin port answered {0}; its token may be over, or made from another root key")]
    Refused(StatusCode),
    /// It took too long.
    #[error("no answer within {} s", ANSWER_LIMIT.as_secs())]
    Silent,
    /// Not a report.
    #[error("the answer is not a status report: {0}")]
    Malformed(#[from] serde_json::Error),
}

/// Opens the admin ports of all gateways.
#[derive(Clone)]
pub struct Admin {
    access: Access,
    root_key: [u8; 32],
}

impl Admin {
    /// Reads the root key of the install.
    pub async fn open(access: &Access, install_namespace: &str) -> Result<Self, ClusterError> {
        let ask = Ask {
            verbs: &["get"],
            group: "",
            resource: "secrets",
            name: Some(ROOT_KEY_SECRET),
            namespace: Some(install_namespace),
        };
        let api: Api<Secret> = Api::namespaced(access.client.clone(), install_namespace);
        let secret = access.answer(&ask, api.get(ROOT_KEY_SECRET)).await;
        let secret = secret.map_err(|error| match error {
            ClusterError::NotFound { .. } => ClusterError::Unusable(format!(
                "there is no Secret {install_namespace}/{ROOT_KEY_SECRET}, from which the keys of the admin ports are \
                 derived; name the namespace of the install with --install-namespace"
            )),
            other => other,
        })?;
        let field = secret.data.as_ref().and_then(|data| data.get(ROOT_KEY_FIELD));
        let text = field
            .and_then(|bytes| std::str::from_utf8(&bytes.0).ok())
            .unwrap_or_default();
        let root_key = decode_32(text.trim()).map_err(|error| {
            let place = format!("field {ROOT_KEY_FIELD} of Secret {install_namespace}/{ROOT_KEY_SECRET}");
            ClusterError::Unusable(format!("{place} is not a root key: {error}"))
        })?;
        Ok(Self {
            access: access.clone(),
            root_key,
        })
    }

    /// What a pod says about itself; `with_routes` asks for its routes, too.
    pub async fn status(&self, pod: &GatewayPod, with_routes: bool) -> Result<Status, PodError> {
        let path = if with_routes {
            tokenweir_config::names::STATUS_WITH_ROUTES
        } else {
            STATUS_PATH
        };
        let asking = async { read_status(self.ask(pod, path, TokenScope::Status).await?).await };
        in_time(asking).await
    }

    /// Asks pods side by side, and returns what each said in the order in which they were given.
    pub async fn ask_all(&self, pods: &[GatewayPod], with_routes: bool) -> Vec<(GatewayPod, Result<Status, PodError>)> {
        let asking = pods
            .iter()
            .map(|pod| async move { (pod.clone(), self.status(pod, with_routes).await) });
        futures::stream::iter(asking).buffered(AT_ONCE).collect().await
    }

    /// Begins to read the live signals of a pod.
    pub async fn signals(&self, pod: &GatewayPod) -> Result<http::Response<hyper::body::Incoming>, PodError> {
        self.ask(pod, SIGNALS_PATH, TokenScope::Signals).await
    }

    /// Sends a GET to the admin port of a pod.
    async fn ask(
        &self,
        pod: &GatewayPod,
        path: &str,
        scope: TokenScope,
    ) -> Result<http::Response<hyper::body::Incoming>, PodError> {
        let stream = forward(&self.access, &pod.namespace, &pod.name, ADMIN_PORT).await?;
        let key = AdminKey::new(&derive_admin_key(&self.root_key, &pod.namespace, &pod.gateway))
            .map_err(|error| ClusterError::Unusable(format!("the admin key cannot be derived: {error}")))?;
        let token = key.mint(scope, now_unix());
        let request = get(path, Some(&token))?;
        Ok(send(stream, &pod.name, request).await?)
    }
}

/// Ends a question that takes longer than a pod ever does.
pub async fn in_time<T>(asking: impl Future<Output = Result<T, PodError>>) -> Result<T, PodError> {
    tokio::time::timeout(ANSWER_LIMIT, asking)
        .await
        .unwrap_or(Err(PodError::Silent))
}

/// The report in an answer of an admin port.
pub async fn read_status(answer: http::Response<hyper::body::Incoming>) -> Result<Status, PodError> {
    if answer.status() != StatusCode::OK {
        return Err(PodError::Refused(answer.status()));
    }
    Ok(serde_json::from_slice(&body(answer, MAX_STATUS).await?)?)
}

fn now_unix() -> i64 {
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    i64::try_from(now.as_secs()).unwrap_or(i64::MAX)
}

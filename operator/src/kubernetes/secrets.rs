//! Secrets by name, read once per version.
//!
//! The watch over Secrets is for their metadata alone, so the content of Secrets that nobody refers to never reaches this
//! process's memory. What is referred to is fetched, and fetched again only when its `resourceVersion` moved.

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;

use futures::{StreamExt as _, TryStreamExt as _, stream};
use k8s_openapi::api::core::v1::Secret;
use kube::core::PartialObjectMeta;
use kube::runtime::reflector::{ObjectRef, Store};
use kube::{Api, Client, ResourceExt};
use parking_lot::Mutex;

/// Secrets that are fetched at a time when many are new, as after a start.
const CONCURRENT_READS: usize = 16;

/// A Secret could not be read.
#[derive(Debug, thiserror::Error)]
#[error("secret {namespace}/{name} could not be read: {source}")]
pub struct SecretError {
    namespace: String,
    name: String,
    #[source]
    source: kube::Error,
}

/// Reads Secrets through a cache.
pub struct Secrets {
    client: Client,
    metadata: Store<PartialObjectMeta<Secret>>,
    cached: Mutex<HashMap<(String, String), Arc<Secret>>>,
}

impl Secrets {
    /// `metadata` is the store of a metadata watch over all Secrets that may be asked for.
    pub fn new(client: Client, metadata: Store<PartialObjectMeta<Secret>>) -> Self {
        Self {
            client,
            metadata,
            cached: Mutex::default(),
        }
    }

    /// The Secret, or nothing if there is none.
    pub async fn get(&self, namespace: &str, name: &str) -> Result<Option<Arc<Secret>>, SecretError> {
        let key = (namespace.to_owned(), name.to_owned());
        let Some(metadata) = self.metadata.get(&ObjectRef::new(name).within(namespace)) else {
            return Ok(None);
        };
        if let Some(cached) = self.cached.lock().get(&key)
            && cached.resource_version() == metadata.resource_version()
        {
            return Ok(Some(cached.clone()));
        }
        self.fetch(namespace, name).await
    }

    /// Asks the API server, whatever the watch has seen so far.
    pub async fn fetch(&self, namespace: &str, name: &str) -> Result<Option<Arc<Secret>>, SecretError> {
        let api: Api<Secret> = Api::namespaced(self.client.clone(), namespace);
        let found = api.get_opt(name).await.map_err(|source| SecretError {
            namespace: namespace.to_owned(),
            name: name.to_owned(),
            source,
        })?;
        let key = (namespace.to_owned(), name.to_owned());
        let mut cached = self.cached.lock();
        Ok(if let Some(secret) = found {
            let secret = Arc::new(secret);
            cached.insert(key, secret.clone());
            Some(secret)
        } else {
            cached.remove(&key);
            None
        })
    }

    /// Several Secrets of a namespace by name; those that do not exist are left out.
    pub async fn get_all(
        &self,
        namespace: &str,
        names: impl IntoIterator<Item = String>,
    ) -> Result<BTreeMap<String, Arc<Secret>>, SecretError> {
        stream::iter(names)
            .map(|name| async move {
                let found = self.get(namespace, &name).await?;
                Ok(found.map(|secret| (name, secret)))
            })
            .buffer_unordered(CONCURRENT_READS)
            .try_filter_map(|found| async move { Ok(found) })
            .try_collect()
            .await
    }

    /// True if exactly this version of a Secret is cached, so that the news of it is none.
    pub fn knows(&self, metadata: &PartialObjectMeta<Secret>) -> bool {
        let key = (metadata.namespace().unwrap_or_default(), metadata.name_any());
        self.cached
            .lock()
            .get(&key)
            .is_some_and(|cached| cached.resource_version() == metadata.resource_version())
    }

    /// Takes in a Secret that this process has just written.
    pub fn wrote(&self, secret: Secret) {
        let key = (secret.namespace().unwrap_or_default(), secret.name_any());
        self.cached.lock().insert(key, Arc::new(secret));
    }

    /// Drops what is cached of a Secret that is gone.
    pub fn forget(&self, namespace: &str, name: &str) {
        self.cached.lock().remove(&(namespace.to_owned(), name.to_owned()));
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::kubernetes::fake::{Fake, answer};
    use kube::api::ObjectMeta;
    use kube::core::PartialObjectMetaExt as _;
    use kube::runtime::{reflector, watcher};
    use serde_json::json;

    fn metadata(version: &str) -> PartialObjectMeta<Secret> {
        ObjectMeta {
            name: Some("openai".into()),
            namespace: Some("llm".into()),
            resource_version: Some(version.into()),
            ..ObjectMeta::default()
        }
        .into_response_partial()
    }

    fn secret(version: &str) -> serde_json::Value {
        json!({"metadata": {"name": "openai", "namespace": "llm", "resourceVersion": version}})
    }

    #[tokio::test]
    async fn a_secret_is_fetched_once_per_version_and_not_at_all_when_the_watch_has_none() {
        let (store, mut writer) = reflector::store();
        let (client, requests) = Fake::serve(vec![answer(200, &secret("1")), answer(200, &secret("2"))]);
        let secrets = Secrets::new(client, store);
        assert!(secrets.get("llm", "openai").await.unwrap().is_none());
        writer.apply_watcher_event(&watcher::Event::Apply(metadata("1")));
        for _ in 0..3 {
            assert!(secrets.get("llm", "openai").await.unwrap().is_some());
        }
        writer.apply_watcher_event(&watcher::Event::Apply(metadata("2")));
        let all = secrets
            .get_all("llm", ["openai".to_owned(), "missing".to_owned()])
            .await
            .unwrap();
        assert_eq!(all["openai"].resource_version().as_deref(), Some("2"));
        assert_eq!(all.len(), 1);
        assert_eq!(requests.finish().await.len(), 2);
    }
}

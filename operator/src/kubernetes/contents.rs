//! Secrets and ConfigMaps by name, read once per version.
//!
//! The watches over them are for their metadata alone, so the content of those that nobody refers to never reaches this
//! process's memory. What is referred to is fetched, and fetched again only when its `resourceVersion` moved.

use std::collections::{BTreeMap, HashMap};
use std::fmt::Debug;
use std::sync::Arc;

use futures::{StreamExt as _, TryStreamExt as _, stream};
use k8s_openapi::NamespaceResourceScope;
use k8s_openapi::api::core::v1::{ConfigMap, Secret};
use kube::core::PartialObjectMeta;
use kube::runtime::reflector::{ObjectRef, Store};
use kube::{Api, Client, Resource, ResourceExt};
use parking_lot::Mutex;
use serde::de::DeserializeOwned;

/// Objects that are fetched at a time when many are new, as after a start.
const CONCURRENT_READS: usize = 16;

/// A Secret or ConfigMap could not be read.
#[derive(Debug, thiserror::Error)]
#[error("{what} could not be read: {source}")]
pub struct ContentError {
    /// Kind, namespace and name.
    what: String,
    #[source]
    source: kube::Error,
}

/// Content of Secrets.
pub type Secrets = Contents<Secret>;
/// Content of ConfigMaps.
pub type ConfigMaps = Contents<ConfigMap>;

/// Reads objects of one kind through a cache.
pub struct Contents<K: Resource<DynamicType = ()> + 'static> {
    client: Client,
    metadata: Store<PartialObjectMeta<K>>,
    cached: Mutex<HashMap<(String, String), Arc<K>>>,
}

impl<K> Contents<K>
where
    K: Resource<DynamicType = (), Scope = NamespaceResourceScope>
        + Clone
        + Debug
        + DeserializeOwned
        + Send
        + Sync
        + 'static,
{
    /// `metadata` is the store of a metadata watch over all objects that may be asked for.
    pub fn new(client: Client, metadata: Store<PartialObjectMeta<K>>) -> Self {
        Self {
            client,
            metadata,
            cached: Mutex::default(),
        }
    }

    /// The object, or nothing if there is none.
    pub async fn get(&self, namespace: &str, name: &str) -> Result<Option<Arc<K>>, ContentError> {
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
    pub async fn fetch(&self, namespace: &str, name: &str) -> Result<Option<Arc<K>>, ContentError> {
        let api: Api<K> = Api::namespaced(self.client.clone(), namespace);
        let found = api.get_opt(name).await.map_err(|source| ContentError {
            what: format!("{} {namespace}/{name}", K::kind(&())),
            source,
        })?;
        let key = (namespace.to_owned(), name.to_owned());
        let mut cached = self.cached.lock();
        Ok(if let Some(object) = found {
            let object = Arc::new(object);
            cached.insert(key, object.clone());
            Some(object)
        } else {
            cached.remove(&key);
            None
        })
    }

    /// Several objects of a namespace by name; those that do not exist are left out.
    pub async fn get_all(
        &self,
        namespace: &str,
        names: impl IntoIterator<Item = String>,
    ) -> Result<BTreeMap<String, Arc<K>>, ContentError> {
        stream::iter(names)
            .map(|name| async move {
                let found = self.get(namespace, &name).await?;
                Ok(found.map(|object| (name, object)))
            })
            .buffer_unordered(CONCURRENT_READS)
            .try_filter_map(|found| async move { Ok(found) })
            .try_collect()
            .await
    }

    /// True if exactly this version of an object is cached, so that the news of it is none.
    pub fn knows(&self, metadata: &PartialObjectMeta<K>) -> bool {
        let key = (metadata.namespace().unwrap_or_default(), metadata.name_any());
        self.cached
            .lock()
            .get(&key)
            .is_some_and(|cached| cached.resource_version() == metadata.resource_version())
    }

    /// Takes in an object that this process has just written.
    pub fn wrote(&self, object: K) {
        let key = (object.namespace().unwrap_or_default(), object.name_any());
        self.cached.lock().insert(key, Arc::new(object));
    }

    /// Drops what is cached of an object that is gone.
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

//! Server-side apply of owned objects: only what changed, and never what belongs to somebody else.

use std::collections::HashMap;
use std::fmt::Debug;
use std::hash::{DefaultHasher, Hash, Hasher};
use std::sync::Arc;
use std::time::{Duration, Instant};

use k8s_openapi::NamespaceResourceScope;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::OwnerReference;
use kube::api::{Patch, PatchParams};
use kube::core::Status;
use kube::{Api, Client, Resource, ResourceExt};
use parking_lot::Mutex;
use serde::Serialize;
use serde::de::DeserializeOwned;

use super::covers::covers;

/// Why an owned object is not as it should be.
#[derive(Debug, thiserror::Error)]
pub enum ApplyError {
    /// It exists, and we did not make it.
    #[error("{kind} {name} exists and is not owned by this object; delete or rename one of the two")]
    NotOwned {
        /// Kind of the object in the way.
        kind: String,
        /// Its name.
        name: String,
    },
    /// The API server refused it or could not be reached.
    #[error("{kind} {name} could not be applied: {}", plain(source))]
    Api {
        /// Kind of the object.
        kind: String,
        /// Its name.
        name: String,
        /// The answer.
        #[source]
        source: kube::Error,
    },
    /// Its namespace is being deleted, and its owner with it.
    #[error("{kind} {name} is not made any more: its namespace is being deleted")]
    Ending {
        /// Kind of the object.
        kind: String,
        /// Its name.
        name: String,
    },
    /// It cannot be written as JSON.
    #[error("{kind} {name} could not be serialised: {source}")]
    Serialise {
        /// Kind of the object.
        kind: String,
        /// Its name.
        name: String,
        /// The cause.
        #[source]
        source: serde_json::Error,
    },
}

impl ApplyError {
    /// What an answer of the API server means for an object.
    pub fn answered(kind: String, name: String, source: kube::Error) -> Self {
        let ending = |status: &Status| {
            let causes = status.details.iter().flat_map(|details| &details.causes);
            causes.into_iter().any(|cause| cause.reason == "NamespaceTerminating")
        };
        match &source {
            kube::Error::Api(status) if ending(status) => Self::Ending { kind, name },
            _ => Self::Api { kind, name, source },
        }
    }
}

/// What an API server said, without the structure around it: the text stands in conditions and events.
fn plain(error: &kube::Error) -> String {
    match error {
        kube::Error::Api(status) if !status.message.is_empty() => status.message.clone(),
        other => other.to_string(),
    }
}

/// An object that can be owned: namespaced, with a static type.
pub trait Owned:
    Resource<DynamicType = (), Scope = NamespaceResourceScope> + Serialize + DeserializeOwned + Clone + Debug
{
}

impl<K> Owned for K where
    K: Resource<DynamicType = (), Scope = NamespaceResourceScope> + Serialize + DeserializeOwned + Clone + Debug
{
}

/// Applies objects under one field manager and remembers what it applied, so that a reconciliation without a change costs
/// no request.
pub struct Applier {
    client: Client,
    manager: &'static str,
    applied: Mutex<Memory>,
}

/// What was applied, by object.
#[derive(Default)]
struct Memory {
    entries: HashMap<Key, Entry>,
    /// The size at which entries of objects that are gone are looked for.
    prune_at: usize,
}

struct Entry {
    hash: u64,
    used: Instant,
}

/// An entry that was not used for so long is dropped. Longer than the pause between two looks at a gateway without a
/// reason; should the object live on, it is applied once more, which changes nothing.
const UNUSED: Duration = Duration::from_mins(30);
/// Fewer entries are not worth a look.
const PRUNE_FROM: usize = 1024;

impl Memory {
    fn knows(&mut self, key: &Key, hash: u64) -> bool {
        let Some(entry) = self.entries.get_mut(key) else {
            return false;
        };
        entry.used = Instant::now();
        entry.hash == hash
    }

    fn remember(&mut self, key: Key, hash: u64) {
        let used = Instant::now();
        self.entries.insert(key, Entry { hash, used });
        if self.entries.len() > self.prune_at.max(PRUNE_FROM) {
            self.entries.retain(|_, entry| entry.used.elapsed() < UNUSED);
            self.prune_at = self.entries.len() * 2;
        }
    }
}

#[derive(PartialEq, Eq, Hash)]
struct Key {
    kind: String,
    namespace: String,
    name: String,
    uid: String,
}

impl Applier {
    /// An applier under the field manager `manager`.
    pub fn new(client: Client, manager: &'static str) -> Self {
        Self {
            client,
            manager,
            applied: Mutex::default(),
        }
    }

    /// Makes the object in the cluster be as `desired`, which must carry its namespace, its name and `owner`.
    ///
    /// `live` is what a watch last said; without it the API server is asked. The result is the object as the API server
    /// has it.
    pub async fn apply<K: Owned>(
        &self,
        owner: &OwnerReference,
        desired: &K,
        live: Option<Arc<K>>,
    ) -> Result<Arc<K>, ApplyError> {
        self.apply_at(owner, desired, live, None).await
    }

    /// As [`Applier::apply`], and fails with a conflict if the object is not at `version` any more.
    pub async fn apply_at<K: Owned>(
        &self,
        owner: &OwnerReference,
        desired: &K,
        live: Option<Arc<K>>,
        version: Option<String>,
    ) -> Result<Arc<K>, ApplyError> {
        let (kind, name) = (K::kind(&()).into_owned(), desired.name_any());
        let mut json = serde_json::to_value(desired).map_err(|source| ApplyError::Serialise {
            kind: kind.clone(),
            name: name.clone(),
            source,
        })?;
        let api_error = |source| ApplyError::answered(kind.clone(), name.clone(), source);
        let namespace = desired.namespace().unwrap_or_default();
        let api: Api<K> = Api::namespaced(self.client.clone(), &namespace);
        let live = match live {
            Some(live) => Some(live),
            None => api.get_opt(&name).await.map_err(api_error)?.map(Arc::new),
        };
        let hash = fingerprint(&json);
        if let Some(live) = live {
            if !is_owned_by(live.owner_references(), owner) {
                return Err(ApplyError::NotOwned { kind, name });
            }
            if self.is_current(&*live, &json, hash) {
                return Ok(live);
            }
        }
        if let Some(version) = version {
            json["metadata"]["resourceVersion"] = version.into();
        }
        let params = PatchParams::apply(self.manager).force();
        let applied = api
            .patch(&name, &params, &Patch::Apply(&json))
            .await
            .map_err(api_error)?;
        tracing::debug!(%kind, %namespace, %name, "applied");
        self.applied.lock().remember(key(&applied), hash);
        Ok(Arc::new(applied))
    }

    /// True if [`Applier::apply`] would find nothing to do.
    pub fn is_applied<K: Owned>(&self, desired: &K, live: &K) -> bool {
        serde_json::to_value(desired).is_ok_and(|json| self.is_current(live, &json, fingerprint(&json)))
    }

    fn is_current<K: Owned>(&self, live: &K, desired: &serde_json::Value, hash: u64) -> bool {
        self.applied.lock().knows(&key(live), hash)
            && serde_json::to_value(live).is_ok_and(|live| covers(&live, desired))
    }

    /// Deletes an object if it is there and belongs to `owner`.
    pub async fn delete<K: Owned>(&self, owner: &OwnerReference, live: &K) -> Result<(), ApplyError> {
        if !is_owned_by(live.owner_references(), owner) {
            return Ok(());
        }
        let name = live.name_any();
        let api: Api<K> = Api::namespaced(self.client.clone(), &live.namespace().unwrap_or_default());
        self.applied.lock().entries.remove(&key(live));
        match api.delete(&name, &kube::api::DeleteParams::default()).await {
            Ok(_) => Ok(()),
            Err(kube::Error::Api(status)) if status.is_not_found() => Ok(()),
            Err(source) => Err(ApplyError::answered(K::kind(&()).into_owned(), name, source)),
        }
    }
}

/// True if `owner` controls an object with these references.
pub fn is_owned_by(references: &[OwnerReference], owner: &OwnerReference) -> bool {
    references.iter().any(|reference| reference.uid == owner.uid)
}

/// A number that changes with the content.
pub fn fingerprint(json: &serde_json::Value) -> u64 {
    let mut hasher = DefaultHasher::new();
    json.to_string().hash(&mut hasher);
    hasher.finish()
}

fn key<K: Resource<DynamicType = ()>>(object: &K) -> Key {
    Key {
        kind: K::kind(&()).into_owned(),
        namespace: object.namespace().unwrap_or_default(),
        name: object.name_any(),
        uid: object.uid().unwrap_or_default(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::kubernetes::fake::{Fake, answer, owner_reference};
    use k8s_openapi::api::core::v1::ServiceAccount;
    use kube::api::ObjectMeta;
    use serde_json::json;

    fn account(owner: Option<&OwnerReference>) -> ServiceAccount {
        ServiceAccount {
            metadata: ObjectMeta {
                name: Some("edge-gateway".into()),
                namespace: Some("llm".into()),
                uid: Some("account".into()),
                owner_references: owner.map(|owner| vec![owner.clone()]),
                ..ObjectMeta::default()
            },
            ..ServiceAccount::default()
        }
    }

    #[tokio::test]
    async fn an_object_that_is_not_there_is_created_by_server_side_apply() {
        let owner = owner_reference("gateway");
        let desired = account(Some(&owner));
        let (client, requests) = Fake::serve(vec![
            answer(404, &json!({"kind": "Status", "code": 404, "reason": "NotFound"})),
            answer(200, &serde_json::to_value(&desired).unwrap()),
        ]);
        Applier::new(client, "tokenweir/test")
            .apply(&owner, &desired, None)
            .await
            .unwrap();
        let requests = requests.finish().await;
        assert_eq!(requests[1].method, "PATCH");
        assert!(
            requests[1].uri.contains("fieldManager=tokenweir%2Ftest"),
            "{}",
            requests[1].uri
        );
        assert!(requests[1].uri.contains("force=true"));
    }

    #[tokio::test]
    async fn a_write_on_a_version_names_it_and_is_remembered_without_it() {
        let owner = owner_reference("gateway");
        let desired = account(Some(&owner));
        let (client, requests) = Fake::serve(vec![answer(200, &serde_json::to_value(&desired).unwrap())]);
        let applier = Applier::new(client, "tokenweir/test");
        let live = Arc::new(desired.clone());
        let live = applier
            .apply_at(&owner, &desired, Some(live), Some("41".into()))
            .await
            .unwrap();
        assert!(applier.is_applied(&desired, &live));
        assert_eq!(requests.finish().await[0].body["metadata"]["resourceVersion"], "41");
    }

    #[tokio::test]
    async fn a_namespace_that_ends_is_not_a_failure() {
        let owner = owner_reference("gateway");
        let refused = json!({
            "kind": "Status", "code": 403, "reason": "Forbidden", "message": "unable to create new content",
            "details": {"causes": [{"reason": "NamespaceTerminating", "message": "is being terminated"}]},
        });
        let (client, _requests) = Fake::serve(vec![
            answer(404, &json!({"kind": "Status", "code": 404, "reason": "NotFound"})),
            answer(403, &refused),
        ]);
        let applied = Applier::new(client, "tokenweir/test")
            .apply(&owner, &account(Some(&owner)), None)
            .await;
        assert!(matches!(applied, Err(ApplyError::Ending { .. })), "{applied:?}");
    }

    #[tokio::test]
    async fn an_object_of_somebody_else_is_left_alone_and_named() {
        let owner = owner_reference("gateway");
        for foreign in [account(None), account(Some(&owner_reference("stranger")))] {
            let (client, requests) = Fake::serve(vec![]);
            let error = Applier::new(client, "tokenweir/test")
                .apply(&owner, &account(Some(&owner)), Some(Arc::new(foreign)))
                .await
                .unwrap_err();
            assert!(matches!(error, ApplyError::NotOwned { .. }));
            assert!(error.to_string().contains("ServiceAccount edge-gateway"), "{error}");
            assert!(requests.finish().await.is_empty());
        }
    }

    #[tokio::test]
    async fn an_unchanged_object_costs_no_request_and_a_drifted_one_is_applied_again() {
        let owner = owner_reference("gateway");
        let desired = account(Some(&owner));
        let stored = serde_json::to_value(&desired).unwrap();
        let (client, requests) = Fake::serve(vec![answer(200, &stored), answer(200, &stored)]);
        let applier = Applier::new(client, "tokenweir/test");
        let live = applier
            .apply(&owner, &desired, Some(Arc::new(desired.clone())))
            .await
            .unwrap();
        applier.apply(&owner, &desired, Some(live)).await.unwrap();
        let mut changed = desired.clone();
        changed.automount_service_account_token = Some(true);
        let mut wanted = desired.clone();
        wanted.automount_service_account_token = Some(false);
        applier.apply(&owner, &wanted, Some(Arc::new(changed))).await.unwrap();
        assert_eq!(requests.finish().await.len(), 2);
    }
}

//! Writing status: only when it says something new.

use std::collections::HashMap;
use std::fmt::Debug;

use k8s_openapi::NamespaceResourceScope;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::Condition;
use k8s_openapi::jiff::Timestamp;
use kube::api::{Patch, PatchParams};
use kube::core::{ApiResource, DynamicObject, ObjectMeta};
use kube::{Api, Client, Resource, ResourceExt};
use parking_lot::Mutex;
use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::{Value, json};
use tokenweir_crds::conditions::{ConditionType, Finding, Reason, set_condition};

/// Writes status under one field manager.
pub struct Statuses {
    client: Client,
    manager: &'static str,
    /// What was written to objects whose watch has not told of it yet, by uid.
    ahead: Mutex<HashMap<String, Ahead>>,
}

struct Ahead {
    version: u64,
    status: Value,
}

impl Statuses {
    /// A writer under the field manager `manager`.
    pub fn new(client: Client, manager: &'static str) -> Self {
        Self {
            client,
            manager,
            ahead: Mutex::default(),
        }
    }

    /// The status of an object: the cached one, or the one written last if the cache does not have that yet.
    ///
    /// Judging by an older status would find "nothing new to say" right after something else was said.
    pub fn latest<K, S>(&self, object: &K, cached: Option<&S>) -> Option<S>
    where
        K: Resource,
        S: DeserializeOwned + Clone,
    {
        let mut ahead = self.ahead.lock();
        if let Some(uid) = object.meta().uid.as_ref()
            && let Some(written) = ahead.get(uid)
        {
            // Versions of one object are comparable numbers.
            if version(object).is_some_and(|seen| seen < written.version) {
                return serde_json::from_value(written.status.clone()).ok();
            }
            ahead.remove(uid);
        }
        cached.cloned()
    }

    /// Writes `status` unless it says the same as `before`, which [`Statuses::latest`] gave, `lastTransitionTime` aside. True: it
    /// was written.
    pub async fn write<K, S>(&self, object: &K, before: Option<&S>, status: &S) -> Result<bool, kube::Error>
    where
        K: Resource<DynamicType = (), Scope = NamespaceResourceScope> + Clone + DeserializeOwned + Debug,
        S: Serialize,
    {
        let after = serde_json::to_value(status).map_err(kube::Error::SerdeError)?;
        let before = serde_json::to_value(before).map_err(kube::Error::SerdeError)?;
        if without_times(before) == without_times(after.clone()) {
            return Ok(false);
        }
        let api: Api<K> = Api::namespaced(self.client.clone(), &object.namespace().unwrap_or_default());
        let (api_version, kind) = (K::api_version(&()), K::kind(&()));
        let written = patch(&api, &api_version, &kind, &object.name_any(), self.manager, &after).await?;
        if let Some(written) = &written
            && let (Some(uid), Some(version)) = (written.uid(), version(written))
        {
            let status = after;
            self.ahead.lock().insert(uid, Ahead { version, status });
        }
        Ok(written.is_some())
    }
}

fn version<K: Resource>(object: &K) -> Option<u64> {
    object.meta().resource_version.as_ref()?.parse().ok()
}

/// Says on an object that cannot be read as its kind that it cannot, and why.
pub async fn patch_unreadable<K>(
    client: &Client,
    manager: &'static str,
    metadata: &ObjectMeta,
    error: &str,
    now: Timestamp,
) -> Result<bool, kube::Error>
where
    K: Resource<DynamicType = (), Scope = NamespaceResourceScope> + Clone + DeserializeOwned + Debug,
{
    let (Some(namespace), Some(name)) = (metadata.namespace.as_deref(), metadata.name.as_deref()) else {
        return Ok(false);
    };
    let api: Api<DynamicObject> = Api::namespaced_with(client.clone(), namespace, &ApiResource::erase::<K>(&()));
    let Some(live) = api.get_opt(name).await? else {
        return Ok(false);
    };
    let before = live.data.get("status").cloned().unwrap_or_default();
    let mut conditions: Vec<Condition> = before
        .get("conditions")
        .and_then(|conditions| serde_json::from_value(conditions.clone()).ok())
        .unwrap_or_default();
    let finding = Finding::fails(
        Reason::Unreadable,
        format!("the object cannot be read and is left out: {error}"),
    );
    let generation = metadata.generation;
    set_condition(&mut conditions, ConditionType::Accepted, &finding, generation, now);
    let mut status = before.clone();
    if !status.is_object() {
        status = json!({});
    }
    status["conditions"] = json!(conditions);
    status["observedGeneration"] = json!(generation);
    if without_times(before) == without_times(status.clone()) {
        return Ok(false);
    }
    patch(&api, &K::api_version(&()), &K::kind(&()), name, manager, &status)
        .await
        .map(|written| written.is_some())
}

async fn patch<K>(
    api: &Api<K>,
    api_version: &str,
    kind: &str,
    name: &str,
    manager: &str,
    status: &Value,
) -> Result<Option<K>, kube::Error>
where
    K: Clone + DeserializeOwned + Debug,
{
    let body = json!({"apiVersion": api_version, "kind": kind, "metadata": {"name": name}, "status": status});
    match api
        .patch_status(name, &PatchParams::apply(manager).force(), &Patch::Apply(body))
        .await
    {
        Ok(object) => Ok(Some(object)),
        // Deleted in the meantime: there is nothing left to say.
        Err(kube::Error::Api(status)) if status.is_not_found() => Ok(None),
        Err(error) => Err(error),
    }
}

/// The status without the times at which its conditions began.
fn without_times(mut status: Value) -> Value {
    if let Some(conditions) = status.get_mut("conditions").and_then(Value::as_array_mut) {
        for condition in conditions.iter_mut().filter_map(Value::as_object_mut) {
            condition.remove("lastTransitionTime");
        }
    }
    status
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::kubernetes::fake::{Fake, answer};
    use tokenweir_crds::api::{ModelRoute, ModelRouteStatus};

    fn route(version: &str, message: &str) -> ModelRoute {
        serde_json::from_value(json!({
            "apiVersion": "tokenweir.dev/v1alpha1", "kind": "ModelRoute",
            "metadata": {"name": "chat", "namespace": "llm", "uid": "u", "resourceVersion": version},
            "spec": {"model": "m", "gatewayRefs": [{"name": "edge"}], "backends": [{"providerRef": {"name": "p"}}]},
            "status": status(message),
        }))
        .unwrap()
    }

    fn status(message: &str) -> ModelRouteStatus {
        let mut conditions = Vec::new();
        let finding = Finding::fails(Reason::Pending, message);
        set_condition(
            &mut conditions,
            ConditionType::Programmed,
            &finding,
            None,
            Timestamp::UNIX_EPOCH,
        );
        ModelRouteStatus {
            observed_generation: None,
            conditions,
        }
    }

    #[tokio::test]
    async fn going_back_to_what_an_old_cache_says_is_written() {
        let answers = ["2", "3"].map(|version| answer(200, &json!(route(version, "any"))));
        let (client, requests) = Fake::serve(answers.to_vec());
        let statuses = Statuses::new(client, "tokenweir/test");
        // The cache stays at version 1, which says "first", through both writes.
        let cached = route("1", "first");
        for (message, is_news) in [("first", false), ("second", true), ("first", true), ("first", false)] {
            let before = statuses.latest(&cached, cached.status.as_ref());
            let written = statuses
                .write(&cached, before.as_ref(), &status(message))
                .await
                .unwrap();
            assert_eq!(written, is_news, "{message}");
        }
        assert_eq!(requests.finish().await.len(), 2);
        let caught_up = route("3", "of somebody else");
        let seen: Option<ModelRouteStatus> = statuses.latest(&caught_up, caught_up.status.as_ref());
        assert_eq!(seen, caught_up.status);
    }

    #[tokio::test]
    async fn an_unreadable_object_is_told_once_and_keeps_its_other_conditions() {
        let mut object = json!(route("1", "older"));
        let metadata: ObjectMeta = serde_json::from_value(object["metadata"].clone()).unwrap();
        let (client, requests) = Fake::serve(vec![answer(200, &object), answer(200, &object)]);
        let now = Timestamp::UNIX_EPOCH;
        let told = patch_unreadable::<ModelRoute>(&client, "tokenweir/test", &metadata, "spec.model: wrong", now).await;
        assert!(told.unwrap());
        let sent = requests.finish().await[1].body["status"].clone();
        let text = sent.to_string();
        assert!(
            text.contains("Unreadable") && text.contains("spec.model: wrong"),
            "{text}"
        );
        assert!(text.contains("older"), "{text}");

        object["status"] = sent;
        let (client, requests) = Fake::serve(vec![answer(200, &object)]);
        let later = Timestamp::UNIX_EPOCH + std::time::Duration::from_mins(1);
        let told =
            patch_unreadable::<ModelRoute>(&client, "tokenweir/test", &metadata, "spec.model: wrong", later).await;
        assert!(!told.unwrap());
        assert_eq!(requests.finish().await.len(), 1);
    }

    #[test]
    fn a_status_that_differs_in_times_alone_says_the_same() {
        let at = |time: &str| json!({"conditions": [{"type": "Ready", "status": "True", "lastTransitionTime": time}]});
        assert_eq!(
            without_times(at("2026-01-01T00:00:00Z")),
            without_times(at("2026-02-01T00:00:00Z"))
        );
        let mut other = at("2026-01-01T00:00:00Z");
        other["conditions"][0]["status"] = json!("False");
        assert_ne!(without_times(at("2026-01-01T00:00:00Z")), without_times(other));
    }
}

//! Any object of any kind: server-side apply, read, delete, and waiting on its conditions.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use kube::api::{DeleteParams, ListParams, Patch, PatchParams, ValidationDirective};
use kube::core::{DynamicObject, GroupVersionKind, TypeMeta};
use kube::discovery::{self, ApiResource, Scope};
use kube::{Api, Client};
use serde_json::Value;
use tokio::sync::Mutex;

use super::error::{HarnessError, Result, api};
use super::wait;

/// What an object's condition says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Condition {
    /// `True`, `False` or `Unknown`.
    pub status: String,
    /// The reason in one word.
    pub reason: String,
    /// A sentence for a person.
    pub message: String,
    /// Whether it speaks of the object's current spec.
    pub current: bool,
}

/// Access to objects of all kinds on behalf of one field manager. Cheap to clone.
#[derive(Clone)]
pub struct Objects {
    client: Client,
    manager: String,
    kinds: Arc<Mutex<HashMap<GroupVersionKind, (ApiResource, Scope)>>>,
}

impl Objects {
    /// Objects through `client`; what is applied belongs to the field manager `manager`.
    pub fn new(client: Client, manager: impl Into<String>) -> Self {
        Self {
            client,
            manager: manager.into(),
            kinds: Arc::default(),
        }
    }

    /// The client that all requests go through.
    pub fn client(&self) -> &Client {
        &self.client
    }

    /// The API of a kind, named as in a manifest: `apiVersion` and `kind`. `namespace` is left out for cluster kinds.
    pub async fn api(&self, api_version: &str, kind: &str, namespace: &str) -> Result<Api<DynamicObject>> {
        let types = TypeMeta {
            api_version: api_version.to_owned(),
            kind: kind.to_owned(),
        };
        let (resource, scope) = self.kind(&types).await?;
        Ok(match scope {
            Scope::Namespaced => Api::namespaced_with(self.client.clone(), namespace, &resource),
            Scope::Cluster => Api::all_with(self.client.clone(), &resource),
        })
    }

    /// Applies one object by server-side apply, taking over fields that others set. Unknown fields are an error.
    pub async fn apply(&self, object: &DynamicObject) -> Result<DynamicObject> {
        self.server_side_apply(object, false).await
    }

    /// Applies one object if that would change anything, and returns whether it did.
    ///
    /// An apply that changes nothing can still write: with defaults inside an atomic list the API server takes the list for
    /// changed, and the object gets a new version. So the API server is asked first what would come out.
    pub async fn ensure(&self, object: &DynamicObject) -> Result<bool> {
        let name = name_of(object)?;
        let before = self.api_of(object).await?.get_opt(name).await;
        if let Some(before) = before.map_err(api(format!("read {}", describe(object))))? {
            let after = self.server_side_apply(object, true).await?;
            if content(&before) == content(&after) {
                return Ok(false);
            }
        }
        self.apply(object).await.map(|_| true)
    }

    /// Asks the API server whether it would take a new object. Unknown fields are an error.
    pub async fn would_create(&self, object: &DynamicObject) -> Result<DynamicObject> {
        let objects = self.api_of(object).await?;
        let action = format!("create {}", describe(object));
        let path = format!(
            "{}?dryRun=All&fieldValidation=Strict&fieldManager={}",
            objects.resource_url(),
            self.manager
        );
        let unsent = |reason: String| HarnessError::Manifest {
            origin: describe(object),
            reason,
        };
        let body = serde_json::to_vec(object).map_err(|e| unsent(e.to_string()))?;
        let request = http::Request::post(path)
            .header("content-type", "application/json")
            .body(body)
            .map_err(|e| unsent(e.to_string()))?;
        self.client.request(request).await.map_err(api(action))
    }

    /// Applies objects in their order.
    pub async fn apply_all(&self, objects: &[DynamicObject]) -> Result<Vec<DynamicObject>> {
        let mut applied = Vec::with_capacity(objects.len());
        for object in objects {
            applied.push(self.apply(object).await?);
        }
        Ok(applied)
    }

    /// Reads one object; `None` if it does not exist.
    pub async fn get(
        &self,
        api_version: &str,
        kind: &str,
        namespace: &str,
        name: &str,
    ) -> Result<Option<DynamicObject>> {
        let objects = self.api(api_version, kind, namespace).await?;
        objects
            .get_opt(name)
            .await
            .map_err(api(format!("read {kind} {namespace}/{name}")))
    }

    /// Lists the objects of a kind in a namespace.
    pub async fn list(&self, api_version: &str, kind: &str, namespace: &str) -> Result<Vec<DynamicObject>> {
        let objects = self.api(api_version, kind, namespace).await?;
        let list = objects
            .list(&ListParams::default())
            .await
            .map_err(api(format!("list {kind} in {namespace}")))?;
        Ok(list.items)
    }

    /// Deletes an object. It is no error if it does not exist, nor if its kind is not known to the cluster.
    pub async fn delete(&self, object: &DynamicObject) -> Result<()> {
        let action = format!("delete {}", describe(object));
        let objects = match self.api_of(object).await {
            Ok(objects) => objects,
            Err(error) if error.api_code() == Some(404) => return Ok(()),
            Err(HarnessError::Api { source, .. }) if matches!(*source, kube::Error::Discovery(_)) => return Ok(()),
            Err(error) => return Err(error),
        };
        // Foreground, so that waiting for the object's end waits for what it owns as well.
        match objects.delete(name_of(object)?, &DeleteParams::foreground()).await {
            Err(kube::Error::Api(status)) if status.code == 404 => Ok(()),
            other => other.map(|_| ()).map_err(api(action)),
        }
    }

    /// Deletes objects in reverse order and waits until each is gone.
    pub async fn delete_all(&self, objects: &[DynamicObject], limit: Duration) -> Result<()> {
        for object in objects.iter().rev() {
            self.delete(object).await?;
        }
        for object in objects.iter().rev() {
            // A kind that is gone has no objects.
            if let Ok(found) = self.api_of(object).await {
                gone(found, name_of(object)?, limit).await?;
            }
        }
        Ok(())
    }

    /// Watches an object until `check` accepts it; see [`wait::watch`].
    pub async fn wait<T>(
        &self,
        api_version: &str,
        kind: &str,
        namespace: &str,
        name: &str,
        limit: Duration,
        check: impl FnMut(Option<&DynamicObject>) -> Result<T, String>,
    ) -> Result<T> {
        let objects = self.api(api_version, kind, namespace).await?;
        wait::watch(objects, name, format!("{kind} {namespace}/{name}"), limit, check).await
    }

    /// Waits until a condition has a status for the object's current generation, and returns it.
    pub async fn wait_condition(
        &self,
        object: &DynamicObject,
        condition_type: &str,
        status: &str,
        limit: Duration,
    ) -> Result<Condition> {
        let objects = self.api_of(object).await?;
        let what = format!("{} to be {condition_type}={status}", describe(object));
        wait::watch(objects, name_of(object)?, what, limit, |found| {
            let found = found.ok_or("it does not exist")?;
            match condition(found, condition_type) {
                Some(c) if c.status == status && c.current => Ok(c),
                Some(c) => Err(format!(
                    "{condition_type}={} {} ({}){}",
                    c.status,
                    c.reason,
                    c.message,
                    if c.current { "" } else { ", of an older spec" }
                )),
                None => Err(format!("no condition {condition_type}")),
            }
        })
        .await
    }

    /// The API to which an object belongs, in the object's namespace.
    pub async fn api_of(&self, object: &DynamicObject) -> Result<Api<DynamicObject>> {
        let types = types_of(object)?;
        self.api(
            &types.api_version,
            &types.kind,
            object.metadata.namespace.as_deref().unwrap_or("default"),
        )
        .await
    }

    async fn server_side_apply(&self, object: &DynamicObject, dry_run: bool) -> Result<DynamicObject> {
        let objects = self.api_of(object).await?;
        let parameters = PatchParams {
            dry_run,
            force: true,
            field_manager: Some(self.manager.clone()),
            field_validation: Some(ValidationDirective::Strict),
        };
        objects
            .patch(name_of(object)?, &parameters, &Patch::Apply(object))
            .await
            .map_err(api(format!("apply {}", describe(object))))
    }

    async fn kind(&self, types: &TypeMeta) -> Result<(ApiResource, Scope)> {
        let gvk = GroupVersionKind::try_from(types).map_err(|e| HarnessError::Manifest {
            origin: format!("apiVersion {:?}", types.api_version),
            reason: e.to_string(),
        })?;
        if let Some(known) = self.kinds.lock().await.get(&gvk) {
            return Ok(known.clone());
        }
        // Not under the lock: a slow answer for one kind must not hold up the others.
        let (resource, capabilities) = discovery::pinned_kind(&self.client, &gvk)
            .await
            .map_err(api(format!("find the kind {} {}", types.api_version, types.kind)))?;
        let found = (resource, capabilities.scope);
        self.kinds.lock().await.insert(gvk, found.clone());
        Ok(found)
    }
}

/// Waits until no object of that name is left.
pub async fn gone(objects: Api<DynamicObject>, name: &str, limit: Duration) -> Result<()> {
    wait::watch(
        objects,
        name,
        format!("the end of {name}"),
        limit,
        |found| match found {
            None => Ok(()),
            Some(object) => Err(format!("it is there, finalizers {:?}", object.metadata.finalizers)),
        },
    )
    .await
}

/// An object without the book-keeping of the API server.
fn content(object: &DynamicObject) -> DynamicObject {
    let mut object = object.clone();
    object.metadata.managed_fields = None;
    object.metadata.resource_version = None;
    object.metadata.generation = None;
    object
}

/// A condition from `status.conditions`.
pub fn condition(object: &DynamicObject, condition_type: &str) -> Option<Condition> {
    let found = object
        .data
        .pointer("/status/conditions")?
        .as_array()?
        .iter()
        .find(|c| c.get("type").and_then(Value::as_str) == Some(condition_type))?;
    let text = |field: &str| found.get(field).and_then(Value::as_str).unwrap_or_default().to_owned();
    let observed = found.get("observedGeneration").and_then(Value::as_i64);
    Some(Condition {
        status: text("status"),
        reason: text("reason"),
        message: text("message"),
        current: observed.is_none() || observed == object.metadata.generation,
    })
}

/// `Kind namespace/name` of an object.
pub fn describe(object: &DynamicObject) -> String {
    let kind = object.types.as_ref().map_or("object", |types| types.kind.as_str());
    let name = object.metadata.name.as_deref().unwrap_or("without a name");
    match &object.metadata.namespace {
        Some(namespace) => format!("{kind} {namespace}/{name}"),
        None => format!("{kind} {name}"),
    }
}

fn types_of(object: &DynamicObject) -> Result<&TypeMeta> {
    object.types.as_ref().ok_or_else(|| HarnessError::Missing {
        object: describe(object),
        missing: "apiVersion and kind".to_owned(),
    })
}

fn name_of(object: &DynamicObject) -> Result<&str> {
    object.metadata.name.as_deref().ok_or_else(|| HarnessError::Missing {
        object: describe(object),
        missing: "name".to_owned(),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn object(observed: i64) -> DynamicObject {
        serde_json::from_value(serde_json::json!({
            "apiVersion": "tokenweir.dev/v1alpha1", "kind": "Tenant",
            "metadata": {"name": "acme", "namespace": "llm", "generation": 2},
            "status": {"conditions": [{"type": "Ready", "status": "True", "reason": "Ready", "message": "m", "observedGeneration": observed}]}
        }))
        .unwrap()
    }

    #[test]
    fn a_condition_of_an_older_spec_is_not_current() {
        assert!(condition(&object(2), "Ready").unwrap().current);
        assert!(!condition(&object(1), "Ready").unwrap().current);
        assert_eq!(condition(&object(1), "Accepted"), None);
    }

    #[test]
    fn an_object_is_described_by_kind_and_name() {
        assert_eq!(describe(&object(1)), "Tenant llm/acme");
    }
}

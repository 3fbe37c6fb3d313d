//! Objects of our kinds, read as loosely as possible: one that is odd is shown, not stumbled over.

use k8s_openapi::api::core::v1::Namespace;
use kube::Api;
use kube::api::ListParams;
use kube::core::DynamicObject;

use super::{Access, Ask, ClusterError, Scope};
use crate::kind::Kind;

/// Objects that are asked for at a time.
const PAGE: u32 = 500;

/// All objects of a kind, sorted by namespace and name.
pub async fn list(access: &Access, kind: Kind) -> Result<Vec<DynamicObject>, ClusterError> {
    let resource = kind.resource();
    let api: Api<DynamicObject> = match &access.scope {
        Scope::All => Api::all_with(access.client.clone(), &resource),
        Scope::Namespace(name) => Api::namespaced_with(access.client.clone(), name, &resource),
    };
    let ask = Ask {
        verbs: &["list"],
        group: &resource.group,
        resource: &resource.plural,
        name: None,
        namespace: access.scope.namespace(),
    };
    let mut found = Vec::new();
    let mut page = ListParams::default().limit(PAGE);
    loop {
        let list = access.answer(&ask, api.list(&page)).await?;
        found.extend(list.items);
        match list.metadata.continue_.filter(|token| !token.is_empty()) {
            Some(token) => page = page.continue_token(&token),
            None => break,
        }
    }
    // Items of a list do not say what they are.
    for object in &mut found {
        object.types = Some(kube::core::TypeMeta {
            api_version: resource.api_version.clone(),
            kind: resource.kind.clone(),
        });
    }
    let place = |object: &DynamicObject| (object.metadata.namespace.clone(), object.metadata.name.clone());
    found.sort_by_key(place);
    Ok(found)
}

/// Names of all namespaces.
pub async fn namespaces(access: &Access) -> Result<Vec<String>, ClusterError> {
    let ask = Ask {
        verbs: &["list"],
        group: "",
        resource: "namespaces",
        name: None,
        namespace: None,
    };
    let api: Api<Namespace> = Api::all(access.client.clone());
    let list = access.answer(&ask, api.list_metadata(&ListParams::default())).await?;
    Ok(list
        .items
        .into_iter()
        .filter_map(|object| object.metadata.name)
        .collect())
}

/// One object by name; it needs a namespace.
pub async fn find(access: &Access, kind: Kind, name: &str) -> Result<DynamicObject, ClusterError> {
    let Some(namespace) = access.scope.namespace() else {
        return Err(ClusterError::Unusable(format!(
            "{} {name} may stand in many namespaces; name one with -n",
            kind.name()
        )));
    };
    let resource = kind.resource();
    let api: Api<DynamicObject> = Api::namespaced_with(access.client.clone(), namespace, &resource);
    let ask = Ask {
        verbs: &["get"],
        group: &resource.group,
        resource: &resource.plural,
        name: Some(name),
        namespace: Some(namespace),
    };
    access.answer(&ask, api.get(name)).await
}

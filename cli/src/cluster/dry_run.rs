//! What the API server would say to objects, without changing anything.

use std::collections::{BTreeSet, HashMap};

use kube::Api;
use kube::api::{Patch, PatchParams};
use kube::core::{ApiResource, DynamicObject, GroupVersionKind};
use kube::discovery::{ApiCapabilities, Scope as KindScope, oneshot};
use tokenweir_crds::file::{Document, FileError, Note};

use super::{Access, Ask, ClusterError};

/// Who would own the fields; nothing is written, so that nobody does.
const MANAGER: &str = "tokenweirctl";

/// What the API server said.
#[derive(Debug, Default)]
pub struct Judged {
    pub findings: Vec<FileError>,
    pub notes: Vec<Note>,
    /// Objects that it would take.
    pub accepted: usize,
}

/// Asks for each object whether it would be taken, by an apply on the server that is not carried out.
pub async fn dry_run(access: &Access, documents: &[Document]) -> Result<Judged, ClusterError> {
    let mut judged = Judged::default();
    let mut known: HashMap<GroupVersionKind, Option<(ApiResource, ApiCapabilities)>> = HashMap::new();
    let namespaces: BTreeSet<&str> = documents.iter().filter_map(namespace_made).collect();
    for document in documents {
        let object: DynamicObject = match serde_json::from_value(document.object.clone()) {
            Ok(object) => object,
            Err(error) => {
                judged
                    .findings
                    .push(document.mistake("", format!("this is not a Kubernetes object: {error}")));
                continue;
            }
        };
        let Some(kind) = object
            .types
            .as_ref()
            .and_then(|types| GroupVersionKind::try_from(types).ok())
        else {
            judged
                .findings
                .push(document.mistake("apiVersion", "apiVersion and kind are needed"));
            continue;
        };
        let found = if let Some(found) = known.get(&kind) {
            found.clone()
        } else {
            let found = discover(access, &kind).await?;
            known.insert(kind.clone(), found.clone());
            found
        };
        let Some((resource, capabilities)) = found else {
            let message = format!("this cluster has no kind {} of {}", kind.kind, kind.api_version());
            judged.findings.push(document.mistake("kind", message));
            continue;
        };
        judge(
            access,
            document,
            object,
            &resource,
            &capabilities,
            &namespaces,
            &mut judged,
        )
        .await?;
    }
    Ok(judged)
}

fn namespace_made(document: &Document) -> Option<&str> {
    let object = &document.object;
    (object["kind"] == "Namespace").then(|| object.pointer("/metadata/name")?.as_str())?
}

async fn discover(
    access: &Access,
    kind: &GroupVersionKind,
) -> Result<Option<(ApiResource, ApiCapabilities)>, ClusterError> {
    let ask = Ask {
        verbs: &["get"],
        group: &kind.group,
        resource: "API resources",
        name: None,
        namespace: None,
    };
    match access.within(&ask, oneshot::pinned_kind(&access.client, kind)).await? {
        Ok(found) => Ok(Some(found)),
        Err(kube::Error::Discovery(_)) => Ok(None),
        Err(kube::Error::Api(status)) if status.code == 404 => Ok(None),
        Err(error) => Err(ClusterError::of(&ask, error)),
    }
}

async fn judge(
    access: &Access,
    document: &Document,
    mut object: DynamicObject,
    resource: &ApiResource,
    capabilities: &ApiCapabilities,
    made: &BTreeSet<&str>,
    judged: &mut Judged,
) -> Result<(), ClusterError> {
    let name = object.metadata.name.clone().unwrap_or_default();
    if name.is_empty() {
        judged
            .findings
            .push(document.mistake("metadata.name", "a name is needed"));
        return Ok(());
    }
    let (api, namespace): (Api<DynamicObject>, Option<String>) = match capabilities.scope {
        KindScope::Cluster => (Api::all_with(access.client.clone(), resource), None),
        KindScope::Namespaced => {
            let namespace = object.metadata.namespace.clone();
            let namespace = namespace.unwrap_or_else(|| access.scope.namespace().unwrap_or("default").to_owned());
            (
                Api::namespaced_with(access.client.clone(), &namespace, resource),
                Some(namespace),
            )
        }
    };
    // Apply takes neither; both come along with what `get -o yaml` printed.
    object.metadata.managed_fields = None;
    object.metadata.resource_version = None;
    let parameters = PatchParams {
        dry_run: true,
        force: true,
        field_manager: Some(MANAGER.to_owned()),
        field_validation: Some(kube::api::ValidationDirective::Strict),
    };
    let ask = Ask {
        verbs: &["patch", "create"],
        group: &resource.group,
        resource: &resource.plural,
        name: Some(&name),
        namespace: namespace.as_deref(),
    };
    let patch = Patch::Apply(&object);
    let Err(error) = access.within(&ask, api.patch(&name, &parameters, &patch)).await? else {
        judged.accepted += 1;
        return Ok(());
    };
    // An API server that is busy or broken has said nothing about the file.
    let status = match &error {
        kube::Error::Api(status) if is_judgement(status.code) => status,
        _ => return Err(ClusterError::of(&ask, error)),
    };
    let details = status.details.as_ref();
    let lacks_namespace = status.code == 404 && details.is_some_and(|details| details.kind == "namespaces");
    if lacks_namespace && namespace.as_deref().is_some_and(|namespace| made.contains(namespace)) {
        let namespace = namespace.as_deref().unwrap_or_default();
        judged.notes.push(Note {
            file: document.file.clone(),
            line: document.mistake("", "").line,
            message: format!(
                "{} {name} could not be asked about: its namespace {namespace} is still to be made",
                resource.kind
            ),
        });
        return Ok(());
    }
    let causes = details.map(|details| details.causes.as_slice()).unwrap_or_default();
    let causes: Vec<_> = causes.iter().filter(|cause| !cause.field.is_empty()).collect();
    if causes.is_empty() {
        judged.findings.push(document.mistake("", status.message.clone()));
    }
    let told = causes
        .iter()
        .map(|cause| document.mistake(&cause.field, cause.message.clone()));
    judged.findings.extend(told);
    Ok(())
}

/// Whether an answer of this status is about the object, and not about who asks, or how the API server is.
fn is_judgement(status: u16) -> bool {
    matches!(status, 400 | 404 | 409 | 413 | 422)
}

//! Fourth step: stores what was issued, and tells the API server.

use k8s_openapi::ByteString;
use k8s_openapi::api::core::v1::Secret;
use k8s_openapi::kube_aggregator::pkg::apis::apiregistration::v1::APIService;
use kube::api::ObjectMeta;
use kube::api::{Patch, PatchParams};
use kube::{Api, Client};
use serde_json::json;

use super::dereference::{Found, Pair};
use super::issue::Material;
use super::{CA_SECRET, CertificateError, FIELD_MANAGER, TLS_SECRET};
use crate::watch::{MANAGED_BY, MANAGED_BY_LABEL};

/// Writes what differs from what was found.
pub async fn apply(
    client: &Client,
    namespace: &str,
    found: &Found,
    material: &Material,
) -> Result<(), CertificateError> {
    // The CA first: a certificate whose CA was lost could not be followed by another of the same CA.
    if found.ca.as_ref() != Some(&material.ca) {
        store(client, namespace, CA_SECRET, &material.ca, None).await?;
    }
    if found.serving.as_ref() != Some(&material.serving) || found.bundle != material.bundle {
        store(client, namespace, TLS_SECRET, &material.serving, Some(&material.bundle)).await?;
    }
    let services: Api<APIService> = Api::all(client.clone());
    let params = PatchParams::apply(FIELD_MANAGER).force();
    for (name, _) in found.published.iter().filter(|(_, bundle)| *bundle != material.bundle) {
        let body = json!({
            "apiVersion": "apiregistration.k8s.io/v1",
            "kind": "APIService",
            "metadata": {"name": name},
            "spec": {"caBundle": ByteString(material.bundle.clone().into_bytes())},
        });
        services
            .patch(name, &params, &Patch::Apply(&body))
            .await
            .map_err(|source| CertificateError::Api { what: name, source })?;
        tracing::info!(apiservice = name, "told the API server which CA the adapter has");
    }
    Ok(())
}

async fn store(
    client: &Client,
    namespace: &str,
    name: &'static str,
    pair: &Pair,
    bundle: Option<&String>,
) -> Result<(), CertificateError> {
    let bytes = |text: &String| ByteString(text.clone().into_bytes());
    let mut data = vec![
        ("tls.crt".to_owned(), bytes(&pair.certificate)),
        ("tls.key".to_owned(), bytes(&pair.key)),
    ];
    data.extend(bundle.map(|bundle| ("ca.crt".to_owned(), bytes(bundle))));
    let secret = Secret {
        metadata: ObjectMeta {
            name: Some(name.to_owned()),
            namespace: Some(namespace.to_owned()),
            labels: Some([(MANAGED_BY_LABEL.to_owned(), MANAGED_BY.to_owned())].into()),
            ..ObjectMeta::default()
        },
        type_: Some("kubernetes.io/tls".into()),
        data: Some(data.into_iter().collect()),
        ..Secret::default()
    };
    let api: Api<Secret> = Api::namespaced(client.clone(), namespace);
    api.patch(name, &PatchParams::apply(FIELD_MANAGER).force(), &Patch::Apply(&secret))
        .await
        .map(drop)
        .map_err(|source| CertificateError::Api { what: name, source })
}

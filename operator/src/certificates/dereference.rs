//! First step: what there is.

use k8s_openapi::api::core::v1::Secret;
use k8s_openapi::kube_aggregator::pkg::apis::apiregistration::v1::APIService;
use kube::{Api, Client, ResourceExt as _};

use super::{ADAPTER_SERVICE, API_SERVICES, CA_SECRET, CertificateError, TLS_SECRET};
use crate::watch::{MANAGED_BY, MANAGED_BY_LABEL};

/// A certificate and its key, both PEM.
#[derive(Clone, PartialEq, Eq)]
pub struct Pair {
    /// The certificate.
    pub certificate: String,
    /// The key.
    pub key: String,
}

impl std::fmt::Debug for Pair {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Pair")
            .field("certificate", &self.certificate)
            .finish_non_exhaustive()
    }
}

/// What there is.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Found {
    /// The CA.
    pub ca: Option<Pair>,
    /// The serving certificate.
    pub serving: Option<Pair>,
    /// The CAs that the adapter's Secret lists, PEM.
    pub bundle: String,
    /// The CAs that each APIService of the adapter lists, PEM, by its name.
    pub published: Vec<(&'static str, String)>,
}

/// Reads Secrets and APIServices.
pub async fn dereference(client: &Client, namespace: &str) -> Result<Found, CertificateError> {
    let ca = secret(client, namespace, CA_SECRET).await?;
    let tls = secret(client, namespace, TLS_SECRET).await?;
    let mut found = Found {
        ca: ca.as_ref().and_then(pair),
        serving: tls.as_ref().and_then(pair),
        bundle: tls
            .as_ref()
            .and_then(|secret| text(secret, "ca.crt"))
            .unwrap_or_default(),
        published: Vec::new(),
    };
    let services: Api<APIService> = Api::all(client.clone());
    for name in API_SERVICES {
        let service = services
            .get_opt(name)
            .await
            .map_err(|source| CertificateError::Api { what: name, source })?;
        if let Some(service) = service.filter(|service| is_ours(service, namespace)) {
            let bundle = service.spec.and_then(|spec| spec.ca_bundle);
            let text = bundle
                .and_then(|bytes| String::from_utf8(bytes.0).ok())
                .unwrap_or_default();
            found.published.push((name, text));
        }
    }
    Ok(found)
}

/// An APIService may belong to another adapter; that one's CA is not ours to change.
fn is_ours(service: &APIService, namespace: &str) -> bool {
    service
        .spec
        .as_ref()
        .and_then(|spec| spec.service.as_ref())
        .is_some_and(|service| {
            service.name.as_deref() == Some(ADAPTER_SERVICE) && service.namespace.as_deref() == Some(namespace)
        })
}

async fn secret(client: &Client, namespace: &str, name: &'static str) -> Result<Option<Secret>, CertificateError> {
    let api: Api<Secret> = Api::namespaced(client.clone(), namespace);
    let secret = api
        .get_opt(name)
        .await
        .map_err(|source| CertificateError::Api { what: name, source })?;
    match secret {
        Some(secret) if secret.labels().get(MANAGED_BY_LABEL).map(String::as_str) != Some(MANAGED_BY) => {
            Err(CertificateError::NotOwned(name))
        }
        secret => Ok(secret),
    }
}

fn pair(secret: &Secret) -> Option<Pair> {
    Some(Pair {
        certificate: text(secret, "tls.crt")?,
        key: text(secret, "tls.key")?,
    })
}

fn text(secret: &Secret, key: &str) -> Option<String> {
    let bytes = secret.data.as_ref()?.get(key)?;
    String::from_utf8(bytes.0.clone()).ok()
}

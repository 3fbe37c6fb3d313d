//! Which Secrets and ConfigMaps objects name, so that they can be fetched and watched.

use std::collections::BTreeSet;

use kube::ResourceExt as _;

use crate::api::{LLMGateway, ModelProvider, Tenant};

/// Names of the Secrets that these objects name, minted ones included.
pub fn referenced_secrets<'a>(
    gateway: &LLMGateway,
    providers: impl IntoIterator<Item = &'a ModelProvider>,
    tenants: impl IntoIterator<Item = &'a Tenant>,
) -> BTreeSet<String> {
    let mut names = BTreeSet::new();
    names.extend(gateway_secrets(gateway).map(str::to_owned));
    for provider in providers {
        names.extend(provider_secrets(provider).map(str::to_owned));
    }
    for tenant in tenants {
        let name = tenant.name_any();
        names.extend(tenant.spec.api_keys().iter().map(|key| key.secret(&name).name));
    }
    names
}

/// Names of the ConfigMaps that these objects name.
pub fn referenced_config_maps<'a>(providers: impl IntoIterator<Item = &'a ModelProvider>) -> BTreeSet<String> {
    let named = providers.into_iter().filter_map(provider_config_map);
    named.map(str::to_owned).collect()
}

/// Names of the Secrets that a gateway itself names.
pub fn gateway_secrets(gateway: &LLMGateway) -> impl Iterator<Item = &str> {
    let listeners = gateway.spec.listeners.iter();
    let certificates = listeners.filter_map(|listener| listener.tls_secret_ref.as_ref());
    let proxy = gateway.spec.proxy.iter().filter_map(|proxy| proxy.secret_ref.as_ref());
    certificates.chain(proxy).map(|secret| secret.name.as_str())
}

/// Names of the Secrets that a provider names.
pub fn provider_secrets(provider: &ModelProvider) -> impl Iterator<Item = &str> {
    let credentials = provider.spec.credentials.iter();
    let credentials = credentials.map(|credentials| credentials.secret_ref.name.as_str());
    let tls = provider.spec.tls.iter();
    let client = tls
        .clone()
        .filter_map(|tls| tls.client_certificate_secret_ref.as_ref())
        .map(|secret| secret.name.as_str());
    let ca = tls
        .filter_map(|tls| tls.ca_secret_ref.as_ref())
        .map(|ca| ca.name.as_str());
    let aws = provider.spec.aws.iter().filter_map(|aws| aws.secret_ref.as_ref());
    credentials
        .chain(client)
        .chain(ca)
        .chain(aws.map(|secret| secret.name.as_str()))
}

/// Name of the ConfigMap that a provider names.
pub fn provider_config_map(provider: &ModelProvider) -> Option<&str> {
    let ca = provider.spec.tls.as_ref()?.ca_config_map_ref.as_ref()?;
    Some(&ca.name)
}

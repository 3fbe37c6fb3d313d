//! Providers.

use std::collections::{BTreeMap, BTreeSet};

use tokenweir_config::{
    ActiveProbe, Credential, HeaderCredential, Health, Model, Outlier, Provider, ProviderLimits, ServiceRef, Timeouts,
    Upstream,
};

use super::egress::Egress;
use super::{Inputs, Problem, cloud, edge, price};
use crate::api::{
    self, ANTHROPIC_ENDPOINT, CredentialScheme, ModelProvider, ModelProviderSpec, OPENAI_ENDPOINT, ProviderType,
};
use crate::conditions::Reason;

pub(super) struct Providers<'a> {
    /// Providers that routes may use.
    pub usable: BTreeMap<String, Provider>,
    /// Mistakes by provider; each provider has an entry.
    pub problems: BTreeMap<&'a str, Vec<Problem>>,
    /// Those whose region is only that of their endpoint, from which the id of a model may lead on to others.
    roaming: BTreeSet<&'a str>,
}

impl Providers<'_> {
    /// The region in which a usable provider answers for a model, by its name or an alias; no model: for whichever the client
    /// names.
    pub(super) fn region(&self, name: &str, model: Option<&str>) -> Option<&str> {
        let provider = self.usable.get(name)?;
        let mut models = provider.models.iter();
        let stays = match model {
            Some(asked) => cloud::stays_in_region(own_name(provider, asked).unwrap_or(asked)),
            None => !provider.models.is_empty() && models.all(|model| cloud::stays_in_region(&model.name)),
        };
        let region = provider.region.as_deref()?;
        (!self.roaming.contains(name) || stays).then_some(region)
    }
}

pub(super) fn providers<'a>(inputs: &'a Inputs<'_>, egress: Option<&Egress<'_>>) -> Providers<'a> {
    let mut usable = BTreeMap::new();
    let mut problems = BTreeMap::new();
    let mut roaming = BTreeSet::new();
    for (name, object) in inputs.by_name(&inputs.providers) {
        if object.spec.provider_type == ProviderType::Bedrock && object.spec.region.is_none() {
            roaming.insert(name);
        }
        match provider(inputs, egress, &object.spec) {
            Ok(provider) => {
                usable.insert(name.to_owned(), provider);
                problems.insert(name, Vec::new());
            }
            Err(problem) => {
                problems.insert(name, vec![problem]);
            }
        }
    }
    Providers {
        usable,
        problems,
        roaming,
    }
}

fn provider(inputs: &Inputs<'_>, egress: Option<&Egress<'_>>, spec: &ModelProviderSpec) -> Result<Provider, Problem> {
    let credential = match cloud::credential(inputs, spec)? {
        Some(credential) => Some(credential),
        None => key(inputs, spec)?,
    };
    let upstream = upstream(inputs, spec)?;
    let proxy = match &upstream {
        Upstream::Endpoint { url } => egress.and_then(|egress| egress.for_url(url)),
        Upstream::Service(_) => None,
    };
    Ok(Provider {
        kind: spec.provider_type.into(),
        upstream,
        credential,
        region: spec.region().map(str::to_owned),
        azure_api_version: spec.azure.as_ref().and_then(|azure| azure.api_version.clone()),
        models: models(spec)?,
        limits: ProviderLimits {
            max_in_flight: spec.limits.max_in_flight,
            requests_per_minute: spec.limits.requests_per_minute,
            tokens_per_minute: spec.limits.tokens_per_minute,
        },
        timeouts: Timeouts {
            connect_ms: spec.timeouts.connect.as_millis(),
            first_token_ms: spec.timeouts.first_token.as_millis(),
            idle_ms: spec.timeouts.idle.as_millis(),
            total_ms: spec.timeouts.total.as_millis(),
        },
        health: health(&spec.health),
        tls: edge::upstream_tls(inputs, spec)?,
        proxy,
    })
}

fn health(spec: &api::ProviderHealth) -> Health {
    let outlier = &spec.outlier;
    Health {
        outlier: (outlier.consecutive_errors > 0).then(|| Outlier {
            consecutive_errors: outlier.consecutive_errors,
            eject_for_ms: outlier.eject_for.as_millis(),
        }),
        active_probe: spec.active_probe.as_ref().map(|probe| ActiveProbe {
            path: probe.path.clone(),
            interval_ms: probe.interval.as_millis(),
            timeout_ms: probe.timeout.as_millis(),
        }),
    }
}

/// The key of a provider that is in no cloud.
fn key(inputs: &Inputs<'_>, spec: &ModelProviderSpec) -> Result<Option<Credential>, Problem> {
    let Some(credentials) = &spec.credentials else {
        return Ok(None);
    };
    let reference = &credentials.secret_ref;
    let secret = inputs.secrets.credential(reference).map_err(|error| {
        let message = format!("Secret {}, key {}: {error}", reference.name, reference.key);
        Problem::unresolved(error.reason(), "spec.credentials.secretRef", message)
    })?;
    Ok(Some(credential(spec.provider_type, credentials.scheme, secret)))
}

/// How a key is sent: as the object says, else as the provider's own clients do.
fn credential(provider: ProviderType, scheme: Option<CredentialScheme>, secret: &str) -> Credential {
    let own_header = match provider {
        ProviderType::Anthropic => Some("x-api-key"),
        ProviderType::AzureOpenAI => Some("api-key"),
        _ => None,
    };
    match own_header {
        Some(name) if scheme != Some(CredentialScheme::Bearer) => Credential::Header(HeaderCredential {
            name: name.to_owned(),
            value: secret.to_owned(),
        }),
        _ => Credential::Bearer(secret.to_owned()),
    }
}

/// The base URL of an endpoint. Azure's resources are known by their host alone, below which the API has a path of its
/// own; an endpoint with a path is taken at its word.
fn base_url(spec: &ModelProviderSpec, url: &str) -> String {
    let url = url.trim_end_matches('/');
    let has_path = url.split_once("://").is_some_and(|(_, rest)| rest.contains('/'));
    if spec.provider_type != ProviderType::AzureOpenAI || has_path {
        return url.to_owned();
    }
    let version = spec.azure.as_ref().and_then(|azure| azure.api_version.as_ref());
    format!("{url}/openai{}", if version.is_some() { "" } else { "/v1" })
}

fn upstream(inputs: &Inputs<'_>, spec: &ModelProviderSpec) -> Result<Upstream, Problem> {
    if let Some(url) = cloud::base_url(spec) {
        return Ok(Upstream::Endpoint { url });
    }
    match (&spec.endpoint, &spec.backend_ref) {
        (Some(url), None) => Ok(Upstream::Endpoint {
            url: base_url(spec, url),
        }),
        (None, Some(service)) => Ok(Upstream::Service(ServiceRef {
            namespace: inputs.namespace().to_owned(),
            name: service.name.clone(),
            port: service.port,
            path: service.path.trim_end_matches('/').to_owned(),
        })),
        (None, None) if spec.provider_type == ProviderType::OpenAI => Ok(Upstream::Endpoint {
            url: OPENAI_ENDPOINT.to_owned(),
        }),
        (None, None) if spec.provider_type == ProviderType::Anthropic => Ok(Upstream::Endpoint {
            url: ANTHROPIC_ENDPOINT.to_owned(),
        }),
        // The schema refuses the rest; an object from before a change of the schema may still be so.
        (None, None) => Err(Problem::invalid(
            Reason::Invalid,
            "spec.endpoint",
            "neither endpoint nor backendRef is given; give one",
        )),
        (Some(_), Some(_)) => Err(Problem::invalid(
            Reason::Invalid,
            "spec.endpoint",
            "endpoint and backendRef are both given; keep one",
        )),
    }
}

/// What is wrong with a provider's Service, given the port numbers of every Service of its namespace by name.
///
/// Apart from [`super::compile`], because it changes nothing about what is served: gateways follow the endpoints themselves,
/// and a Service that appears is used at once. Without a cluster there is no Service to look for.
pub fn check_backend_ref(provider: &ModelProvider, services: &BTreeMap<String, BTreeSet<u16>>) -> Option<Problem> {
    let backend = provider.spec.backend_ref.as_ref()?;
    let name = &backend.name;
    let Some(ports) = services.get(name) else {
        let message = format!("Service {name} does not exist in this namespace");
        return Some(Problem::unresolved(
            Reason::ServiceNotFound,
            "spec.backendRef.name",
            message,
        ));
    };
    if ports.contains(&backend.port) {
        return None;
    }
    let known: Vec<String> = ports.iter().map(u16::to_string).collect();
    let message = format!(
        "Service {name} has no port {}; it has {}",
        backend.port,
        known.join(", ")
    );
    Some(Problem::unresolved(
        Reason::ServiceNotFound,
        "spec.backendRef.port",
        message,
    ))
}

fn models(spec: &ModelProviderSpec) -> Result<Vec<Model>, Problem> {
    let of = |(index, model): (usize, &api::ProviderModel)| {
        Ok(Model {
            name: model.name.clone(),
            aliases: model.aliases.clone(),
            prices: price::prices(model, index)?,
        })
    };
    let mut models: Vec<Model> = spec.models.iter().enumerate().map(of).collect::<Result<_, _>>()?;
    for model in &mut models {
        model.aliases.sort();
    }
    models.sort_by(|a, b| a.name.cmp(&b.name));
    Ok(models)
}

/// The provider's own name for what a route asks for, or nothing if it has no such model.
pub(super) fn own_name<'a>(provider: &'a Provider, asked: &'a str) -> Option<&'a str> {
    if provider.models.is_empty() {
        return Some(asked);
    }
    let by_name = provider.models.iter().find(|model| model.name == asked);
    by_name
        .or_else(|| {
            provider
                .models
                .iter()
                .find(|model| model.aliases.iter().any(|alias| alias == asked))
        })
        .map(|model| model.name.as_str())
}

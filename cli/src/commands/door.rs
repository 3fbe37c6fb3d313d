//! Which gateway is asked, and with whose key.

use std::path::PathBuf;

use clap::Args;
use k8s_openapi::api::core::v1::Secret;
use kube::Api;
use kube::core::DynamicObject;
use tokenweir_crds::api::{LLMGatewaySpec, Listener, Protocol, TenantSpec};

use crate::cli::Context;
use crate::cluster::{self, Access, Ask, ClusterError};
use crate::error::CtlError;
use crate::kind::Kind;
use crate::reach::{Base, Place};

/// The environment variable that holds a key.
const KEY_VARIABLE: &str = "TOKENWEIR_API_KEY";

/// Which gateway is asked, and with whose key.
#[derive(Debug, Args)]
pub struct DoorArgs {
    /// Gateway to ask [default: the only one of the namespace]
    #[arg(long, value_name = "NAME", help_heading = "Gateway")]
    gateway: Option<String>,

    /// Ask the gateway at this URL, and no cluster
    #[arg(long, value_name = "URL", conflicts_with = "gateway", help_heading = "Gateway")]
    url: Option<Base>,

    /// Tenant whose key is read from its Secret [default: the only one of the namespace]
    #[arg(long, value_name = "NAME", conflicts_with = "url", help_heading = "Gateway")]
    tenant: Option<String>,

    /// Which of the tenant's keys [default: the first one]
    #[arg(long, value_name = "NAME", requires = "tenant", help_heading = "Gateway")]
    key: Option<String>,

    /// File with an API key [default: the environment variable TOKENWEIR_API_KEY, else that of the tenant]
    #[arg(long, value_name = "FILE", conflicts_with = "tenant", help_heading = "Gateway")]
    key_file: Option<PathBuf>,
}

/// The way to a gateway, and what opens it.
pub struct Door {
    pub place: Place,
    pub key: String,
}

impl DoorArgs {
    /// Finds both, in the cluster as far as they were not given.
    pub async fn find(&self, context: &Context) -> Result<Door, CtlError> {
        let given = self.given_key()?;
        if let Some(base) = &self.url {
            let key = given.ok_or_else(|| {
                CtlError::Usage(format!(
                    "an API key is needed: set {KEY_VARIABLE}, or name a file with --key-file"
                ))
            })?;
            return Ok(Door {
                place: Place::Address(base.clone()),
                key,
            });
        }
        let access = cluster::connect(&context.global).await?;
        let place = place(&access, self.gateway.as_deref()).await?;
        let key = match given {
            Some(key) => key,
            None => tenant_key(&access, self.tenant.as_deref(), self.key.as_deref()).await?,
        };
        Ok(Door { place, key })
    }

    fn given_key(&self) -> Result<Option<String>, CtlError> {
        if let Some(path) = &self.key_file {
            let text = std::fs::read_to_string(path).map_err(CtlError::io(path.display().to_string()))?;
            return Ok(Some(text.trim().to_owned()));
        }
        // Whoever names a tenant means its key.
        let variable = std::env::var(KEY_VARIABLE).ok().filter(|_| self.tenant.is_none());
        Ok(variable.map(|key| key.trim().to_owned()).filter(|key| !key.is_empty()))
    }
}

/// The object of a name, or the only one that there is.
async fn only(access: &Access, kind: Kind, name: Option<&str>, flag: &str) -> Result<DynamicObject, CtlError> {
    if let Some(name) = name {
        return Ok(cluster::find(access, kind, name).await?);
    }
    let Some(namespace) = access.scope.namespace() else {
        return Err(CtlError::Usage("name one namespace with -n".to_owned()));
    };
    let mut found = cluster::list(access, kind).await?;
    if found.len() > 1 {
        let names: Vec<String> = found.into_iter().filter_map(|object| object.metadata.name).collect();
        let (kind, names) = (kind.name(), names.join(", "));
        return Err(CtlError::Usage(format!(
            "there are several {kind}s: {names}; name one with {flag}"
        )));
    }
    found.pop().ok_or_else(|| {
        let kind = kind.name();
        ClusterError::Unusable(format!(
            "there is no {kind} in namespace {namespace}; name another one with -n"
        ))
        .into()
    })
}

fn spec<T: serde::de::DeserializeOwned>(object: &DynamicObject, kind: Kind) -> Result<T, CtlError> {
    let spec = object.data.get("spec").cloned().unwrap_or_default();
    serde_json::from_value(spec).map_err(|error| {
        let name = object.metadata.name.as_deref().unwrap_or_default();
        ClusterError::Unusable(format!("{} {name} cannot be read: {error}", kind.name())).into()
    })
}

/// A listener of a ready pod of the gateway; one without TLS if there is one.
async fn place(access: &Access, gateway: Option<&str>) -> Result<Place, CtlError> {
    let object = only(access, Kind::Gateway, gateway, "--gateway").await?;
    let (name, namespace) = (
        object.metadata.name.clone().unwrap_or_default(),
        object.metadata.namespace.clone().unwrap_or_default(),
    );
    let listeners = spec::<LLMGatewaySpec>(&object, Kind::Gateway)?.listeners;
    let plain = listeners.iter().find(|listener| listener.protocol == Protocol::Http);
    let listener: &Listener = plain
        .or(listeners.first())
        .ok_or_else(|| ClusterError::Unusable(format!("LLMGateway {name} has no listener")))?;
    let pods = cluster::gateway_pods(access, &access.scope, Some(&name)).await?;
    let pod = pods.iter().find(|pod| pod.ready).ok_or_else(|| {
        ClusterError::Unusable(format!(
            "no pod of LLMGateway {name} is ready ({} are there); `tokenweirctl describe gateway {name}` tells more",
            pods.len()
        ))
    })?;
    Ok(Place::Pod {
        access: access.clone(),
        namespace: pod.namespace.clone(),
        pod: pod.name.clone(),
        port: listener.port,
        secure: (listener.protocol == Protocol::Https).then(|| format!("{name}.{namespace}.svc")),
    })
}

/// A key of a tenant, from the Secret that holds it.
async fn tenant_key(access: &Access, tenant: Option<&str>, key: Option<&str>) -> Result<String, CtlError> {
    let object = only(access, Kind::Tenant, tenant, "--tenant").await?;
    let name = object.metadata.name.clone().unwrap_or_default();
    let namespace = object.metadata.namespace.clone().unwrap_or_default();
    let spec = spec::<TenantSpec>(&object, Kind::Tenant)?;
    let keys = spec.api_keys();
    if keys.is_empty() {
        return Err(CtlError::Usage(format!(
            "tenant {name} has no keys; name one of those below it with --tenant"
        )));
    }
    let wanted = keys.iter().find(|found| key.is_none_or(|key| found.name == key));
    let wanted = wanted.ok_or_else(|| {
        let names: Vec<&str> = keys.iter().map(|key| key.name.as_str()).collect();
        CtlError::Usage(format!(
            "tenant {name} does not have this key; it has {}",
            names.join(", ")
        ))
    })?;
    let reference = wanted.secret(&name);
    let ask = Ask {
        verbs: &["get"],
        group: "",
        resource: "secrets",
        name: Some(&reference.name),
        namespace: Some(&namespace),
    };
    let api: Api<Secret> = Api::namespaced(access.client.clone(), &namespace);
    let secret = access.answer(&ask, api.get(&reference.name)).await?;
    let field = secret.data.as_ref().and_then(|data| data.get(&reference.key));
    let text = field
        .and_then(|bytes| std::str::from_utf8(&bytes.0).ok())
        .map(str::trim);
    let text = text.filter(|text| !text.is_empty()).ok_or_else(|| {
        let (secret, field) = (&reference.name, &reference.key);
        ClusterError::Unusable(format!(
            "Secret {namespace}/{secret} has no API key in its field {field}"
        ))
    })?;
    Ok(text.to_owned())
}

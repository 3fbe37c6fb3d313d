//! The edges of a gateway: listeners with their certificates, limits, and TLS towards providers.

use tokenweir_config::{KeyPair, Limits, Listener, UpstreamTls};

use super::Problem;
use super::inputs::{Inputs, SecretError};
use crate::api::{
    CaRef, GatewayLimits, LLMGatewaySpec, ModelProviderSpec, Protocol, ProviderTls, Scheme, SecretNameRef,
};
use crate::certificate::{Identity, authorities};
use crate::conditions::Reason;

/// Field names of a Secret of type `kubernetes.io/tls`.
const CERTIFICATE: &str = "tls.crt";
const KEY: &str = "tls.key";

/// The listeners that can be opened, by port; and what is wrong with the others.
pub(super) fn listeners(inputs: &Inputs<'_>, spec: &LLMGatewaySpec, problems: &mut Vec<Problem>) -> Vec<Listener> {
    let mut listeners: Vec<Listener> = Vec::new();
    for (index, listener) in spec.listeners.iter().enumerate() {
        let field = format!("spec.listeners[{index}]");
        let port = listener.port;
        // The schema refuses these; an object from before a change of the schema may still have one.
        if port == 0 || port == tokenweir_config::names::ADMIN_PORT || port == tokenweir_config::names::TELEMETRY_PORT {
            let message = format!("port {port} cannot be used for listeners; choose another one");
            problems.push(Problem::invalid(Reason::Invalid, format!("{field}.port"), message));
            continue;
        }
        if listeners.iter().any(|other| other.port == port) {
            let message = format!("port {port} stands twice; each listener needs its own");
            problems.push(Problem::invalid(Reason::Invalid, format!("{field}.port"), message));
            continue;
        }
        let tls = match (listener.protocol, &listener.tls_secret_ref) {
            (Protocol::Http, _) => None,
            (Protocol::Https, None) => {
                let message = "HTTPS needs a certificate; give tlsSecretRef";
                problems.push(Problem::invalid(
                    Reason::Invalid,
                    format!("{field}.tlsSecretRef"),
                    message,
                ));
                continue;
            }
            (Protocol::Https, Some(secret)) => match key_pair(inputs, secret, &format!("{field}.tlsSecretRef.name")) {
                Ok(pair) => Some(pair),
                Err(problem) => {
                    problems.push(problem);
                    continue;
                }
            },
        };
        listeners.push(Listener { port, tls });
    }
    listeners.sort_by_key(|listener| listener.port);
    listeners
}

/// Limits; what is not a number of bytes, which the schema refuses, is as if it were not there.
pub(super) fn limits(spec: &GatewayLimits) -> Limits {
    let default = Limits::default();
    Limits {
        max_body_bytes: bytes(&spec.max_body_bytes.0).unwrap_or(default.max_body_bytes),
        max_connections: spec.max_connections,
    }
}

/// A whole number of bytes, with or without a unit.
fn bytes(quantity: &str) -> Option<u64> {
    let end = quantity.find(|c: char| !c.is_ascii_digit()).unwrap_or(quantity.len());
    let (number, unit) = quantity.split_at(end);
    let factor: u64 = match unit {
        "" => 1,
        "k" => 1_000,
        "M" => 1_000_000,
        "G" => 1_000_000_000,
        "Ki" => 1 << 10,
        "Mi" => 1 << 20,
        "Gi" => 1 << 30,
        _ => return None,
    };
    number.parse::<u64>().ok()?.checked_mul(factor)
}

/// TLS towards a provider, where it is special.
pub(super) fn upstream_tls(inputs: &Inputs<'_>, spec: &ModelProviderSpec) -> Result<Option<UpstreamTls>, Problem> {
    let service = spec
        .backend_ref
        .as_ref()
        .filter(|service| service.scheme == Scheme::Https);
    if spec.tls.is_none() && service.is_none() {
        return Ok(None);
    }
    let tls = spec.tls.clone().unwrap_or_default();
    let client = match &tls.client_certificate_secret_ref {
        None => None,
        Some(secret) => Some(key_pair(inputs, secret, "spec.tls.clientCertificateSecretRef.name")?),
    };
    let own_name = service.map(|service| format!("{}.{}.svc", service.name, inputs.namespace()));
    Ok(Some(UpstreamTls {
        server_name: tls.server_name.clone().or(own_name),
        ca: ca(inputs, &tls)?,
        client,
    }))
}

fn ca(inputs: &Inputs<'_>, tls: &ProviderTls) -> Result<Option<String>, Problem> {
    let (reference, found, field, reason) = match (&tls.ca_secret_ref, &tls.ca_config_map_ref) {
        (None, None) => return Ok(None),
        (Some(reference), _) => (
            reference,
            inputs.secrets.bytes(&reference.name, &reference.key),
            "spec.tls.caSecretRef",
            Reason::SecretInvalid,
        ),
        (None, Some(reference)) => {
            let found = inputs.config_maps.text(&reference.name, &reference.key);
            let found = found.map(str::as_bytes).map_err(|error| {
                let reason = if error == SecretError::NotFound {
                    Reason::ConfigMapNotFound
                } else {
                    Reason::ConfigMapInvalid
                };
                let message = format!(
                    "ConfigMap {}, key {}: {}",
                    reference.name,
                    reference.key,
                    in_config_map(error)
                );
                Problem::unresolved(reason, "spec.tls.caConfigMapRef", message)
            })?;
            return bundle(
                reference,
                found,
                "ConfigMap",
                "spec.tls.caConfigMapRef",
                Reason::ConfigMapInvalid,
            )
            .map(Some);
        }
    };
    let found = found.map_err(|error| {
        let message = format!("Secret {}, key {}: {error}", reference.name, reference.key);
        Problem::unresolved(error.reason(), field, message)
    })?;
    bundle(reference, found, "Secret", field, reason).map(Some)
}

fn in_config_map(error: SecretError) -> &'static str {
    match error {
        SecretError::NotFound => "the ConfigMap does not exist",
        SecretError::NoKey => "the ConfigMap has no such key",
        SecretError::Empty | SecretError::NotText => "the value is empty",
    }
}

fn bundle(reference: &CaRef, pem: &[u8], kind: &str, field: &str, reason: Reason) -> Result<String, Problem> {
    let wrong = |what: &dyn std::fmt::Display| {
        let message = format!("{kind} {}, key {}: {what}", reference.name, reference.key);
        Problem::unresolved(reason, field, message)
    };
    authorities(pem).map_err(|error| wrong(&error))?;
    let text = std::str::from_utf8(pem).map_err(|_| wrong(&SecretError::NotText))?;
    Ok(text.trim().to_owned())
}

/// A certificate with its key from a Secret, checked to belong together.
fn key_pair(inputs: &Inputs<'_>, secret: &SecretNameRef, field: &str) -> Result<KeyPair, Problem> {
    let part = |key: &str| {
        inputs.secrets.bytes(&secret.name, key).map_err(|error| {
            let message = format!("Secret {}, key {key}: {error}", secret.name);
            Problem::unresolved(error.reason(), field, message)
        })
    };
    let (certificate, key) = (part(CERTIFICATE)?, part(KEY)?);
    let wrong = |what: &dyn std::fmt::Display| {
        let message = format!("Secret {}: {what}", secret.name);
        Problem::unresolved(Reason::CertificateInvalid, field, message)
    };
    Identity::from_pem(certificate, key).map_err(|error| wrong(&error))?;
    let text = |bytes: &[u8]| std::str::from_utf8(bytes).map(|text| text.trim().to_owned());
    Ok(KeyPair {
        certificate: text(certificate).map_err(|_| wrong(&SecretError::NotText))?,
        key: text(key).map_err(|_| wrong(&SecretError::NotText))?,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes_have_decimal_and_binary_units() {
        assert_eq!(bytes("1024"), Some(1024));
        assert_eq!(bytes("2k"), Some(2_000));
        assert_eq!(bytes("16Mi"), Some(16 * 1024 * 1024));
        for wrong in ["", "Mi", "1.5Mi", "-1", "1e3", "16mi", "99999999999999999999"] {
            assert_eq!(bytes(wrong), None, "{wrong}");
        }
    }
}

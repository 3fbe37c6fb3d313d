//! The aggregator: a client certificate that vouches for the user in the headers.
//!
//! The TLS layer takes any client certificate, or none, and only checks that the client holds its key. Whether the
//! certificate comes from the request-header CA is judged here, for each request, by the CA of that moment: when it
//! rotates, open connections follow.

use std::collections::BTreeMap;
use std::sync::Arc;

use http::HeaderMap;
use k8s_openapi::api::core::v1::ConfigMap;
use percent_encoding::percent_decode_str;
use rustls::RootCertStore;
use rustls::server::WebPkiClientVerifier;
use rustls::server::danger::ClientCertVerifier;
use rustls_pki_types::pem::PemObject;
use rustls_pki_types::{CertificateDer, UnixTime};
use x509_parser::prelude::{FromDer, X509Certificate};

use super::User;

/// Namespace of the ConfigMap that says whom to trust.
pub const NAMESPACE: &str = "kube-system";
/// Name of that ConfigMap.
pub const CONFIG_MAP: &str = "extension-apiserver-authentication";

/// The certificates that a connection's client showed: its own first.
pub type PeerCertificates = Arc<[CertificateDer<'static>]>;

/// Why the ConfigMap says nothing usable.
#[derive(Debug, thiserror::Error)]
pub enum FrontProxyError {
    /// There is no request-header CA.
    #[error("requestheader-client-ca-file is missing")]
    NoCa,
    /// The CA is no PEM.
    #[error("requestheader-client-ca-file is not PEM")]
    Pem(#[from] rustls_pki_types::pem::Error),
    /// A certificate of the CA is unusable.
    #[error("requestheader-client-ca-file holds an unusable certificate")]
    Certificate(#[from] rustls::Error),
    /// The CA cannot be used to verify.
    #[error("requestheader-client-ca-file cannot be used to verify")]
    Verifier(#[from] rustls::server::VerifierBuilderError),
    /// A list is no JSON list of strings.
    #[error("{field} is not a JSON list of strings")]
    List {
        /// Which.
        field: &'static str,
        /// What the parser says.
        #[source]
        source: serde_json::Error,
    },
}

/// Whom the API server vouches through.
#[derive(Debug)]
pub struct FrontProxy {
    verifier: Arc<dyn ClientCertVerifier>,
    /// Common names of the proxies; empty for any.
    allowed_names: Vec<String>,
    username_headers: Vec<String>,
    uid_headers: Vec<String>,
    group_headers: Vec<String>,
    extra_prefixes: Vec<String>,
}

impl FrontProxy {
    /// Reads the ConfigMap.
    pub fn from_config_map(config_map: &ConfigMap) -> Result<Self, FrontProxyError> {
        let empty = BTreeMap::new();
        let data = config_map.data.as_ref().unwrap_or(&empty);
        let pem = data.get("requestheader-client-ca-file").ok_or(FrontProxyError::NoCa)?;
        let mut roots = RootCertStore::empty();
        for certificate in CertificateDer::pem_slice_iter(pem.as_bytes()) {
            roots.add(certificate?)?;
        }
        if roots.is_empty() {
            return Err(FrontProxyError::NoCa);
        }
        let list = |field: &'static str| {
            let text = data
                .get(field)
                .map_or("[]", |text| if text.is_empty() { "[]" } else { text });
            serde_json::from_str::<Vec<String>>(text).map_err(|source| FrontProxyError::List { field, source })
        };
        Ok(Self {
            verifier: WebPkiClientVerifier::builder(Arc::new(roots)).build()?,
            allowed_names: list("requestheader-allowed-names")?,
            username_headers: list("requestheader-username-headers")?,
            uid_headers: list("requestheader-uid-headers")?,
            group_headers: list("requestheader-group-headers")?,
            extra_prefixes: list("requestheader-extra-headers-prefix")?,
        })
    }

    /// The user that the aggregator vouches for; `None` if the client is not the aggregator or names no user.
    pub fn authenticate(&self, peer: &PeerCertificates, headers: &HeaderMap) -> Option<User> {
        let (own, chain) = peer.split_first()?;
        self.verifier.verify_client_cert(own, chain, UnixTime::now()).ok()?;
        if !self.allowed_names.is_empty() {
            let name = common_name(own)?;
            if !self.allowed_names.contains(&name) {
                return None;
            }
        }
        let name = first(headers, &self.username_headers)?;
        let mut groups = Vec::new();
        for header in &self.group_headers {
            groups.extend(values(headers, header));
        }
        let uid = first(headers, &self.uid_headers).unwrap_or_default();
        Some(User {
            name,
            uid,
            groups,
            extra: self.extra(headers),
        })
    }

    fn extra(&self, headers: &HeaderMap) -> BTreeMap<String, Vec<String>> {
        let mut extra: BTreeMap<String, Vec<String>> = BTreeMap::new();
        for (header, value) in headers {
            let prefixes = self.extra_prefixes.iter().filter(|prefix| !prefix.is_empty());
            for prefix in prefixes.map(|prefix| prefix.to_ascii_lowercase()) {
                // Header names cannot carry every character of a key, so the aggregator escapes the others.
                let Some(key) = header.as_str().strip_prefix(&prefix) else {
                    continue;
                };
                let key = percent_decode_str(key).decode_utf8_lossy().into_owned();
                extra
                    .entry(key)
                    .or_default()
                    .push(String::from_utf8_lossy(value.as_bytes()).into_owned());
            }
        }
        extra
    }
}

/// The first header of a list that has a value.
fn first(headers: &HeaderMap, names: &[String]) -> Option<String> {
    names
        .iter()
        .find_map(|name| values(headers, name).find(|value| !value.is_empty()))
}

fn values<'a>(headers: &'a HeaderMap, name: &str) -> impl Iterator<Item = String> + use<'a> {
    headers
        .get_all(name)
        .iter()
        .map(|value| String::from_utf8_lossy(value.as_bytes()).into_owned())
}

fn common_name(certificate: &CertificateDer<'_>) -> Option<String> {
    let (_, certificate) = X509Certificate::from_der(certificate).ok()?;
    let name = certificate.subject().iter_common_name().next()?.as_str().ok()?;
    Some(name.to_owned())
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::fixtures::pki::Authority;

    fn front_proxy(authority: &Authority) -> FrontProxy {
        let config_map = json!({"data": {
            "requestheader-client-ca-file": authority.pem(),
            "requestheader-allowed-names": "[\"front-proxy-client\"]",
            "requestheader-username-headers": "[\"X-Remote-User\"]",
            "requestheader-group-headers": "[\"X-Remote-Group\"]",
            "requestheader-uid-headers": "",
            "requestheader-extra-headers-prefix": "[\"X-Remote-Extra-\"]",
        }});
        FrontProxy::from_config_map(&serde_json::from_value(config_map).unwrap()).unwrap()
    }

    fn headers(list: &[(&'static str, &str)]) -> HeaderMap {
        list.iter()
            .map(|(name, value)| (http::HeaderName::from_static(name), value.parse().unwrap()))
            .collect()
    }

    #[test]
    fn the_aggregator_vouches_for_a_user() {
        tokenweir_process::install_crypto_provider();
        let authority = Authority::new("front-proxy-ca");
        let mut headers = headers(&[
            ("x-remote-user", "jo"),
            ("x-remote-group", "dev"),
            ("x-remote-extra-example.org%2frole", "reader"),
            ("x-remote-uid", "not configured"),
        ]);
        headers.append("x-remote-group", "ops".parse().unwrap());
        let user = front_proxy(&authority)
            .authenticate(&authority.client("front-proxy-client").0, &headers)
            .unwrap();
        assert_eq!(user.name, "jo");
        assert_eq!(user.groups, ["dev", "ops"]);
        assert_eq!(user.uid, "");
        assert_eq!(
            user.extra,
            BTreeMap::from([("example.org/role".to_owned(), vec!["reader".to_owned()])])
        );
    }

    #[test]
    fn nobody_else_does() {
        tokenweir_process::install_crypto_provider();
        let authority = Authority::new("front-proxy-ca");
        let other = Authority::new("front-proxy-ca");
        let front_proxy = front_proxy(&authority);
        let vouching = headers(&[("x-remote-user", "system:admin")]);
        let none: PeerCertificates = Arc::new([]);
        assert_eq!(front_proxy.authenticate(&none, &vouching), None);
        assert_eq!(
            front_proxy.authenticate(&other.client("front-proxy-client").0, &vouching),
            None
        );
        assert_eq!(
            front_proxy.authenticate(&authority.client("somebody").0, &vouching),
            None
        );
        assert_eq!(
            front_proxy.authenticate(&authority.client("front-proxy-client").0, &HeaderMap::new()),
            None
        );
    }

    #[test]
    fn a_config_map_that_says_nothing_usable_is_refused() {
        tokenweir_process::install_crypto_provider();
        let read = |data: serde_json::Value| {
            FrontProxy::from_config_map(&serde_json::from_value(json!({ "data": data })).unwrap())
        };
        assert!(matches!(read(json!({})), Err(FrontProxyError::NoCa)));
        assert!(matches!(
            read(json!({"requestheader-client-ca-file": "x"})),
            Err(FrontProxyError::NoCa)
        ));
        let pem = Authority::new("ca").pem();
        let broken = json!({"requestheader-client-ca-file": pem, "requestheader-allowed-names": "front"});
        assert!(matches!(read(broken), Err(FrontProxyError::List { .. })));
    }
}

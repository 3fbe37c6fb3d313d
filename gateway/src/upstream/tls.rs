//! TLS towards providers.

use std::sync::Arc;

use hyper_rustls::ConfigBuilderExt as _;
use rustls::client::WantsClientCert;
use rustls::sign::SingleCertAndKey;
use rustls::{ClientConfig, ConfigBuilder};
use tokenweir_config::UpstreamTls;
use tokenweir_crds::certificate::{CertificateError, Identity, authorities};

/// What is offered in ALPN.
const PROTOCOLS: [&[u8]; 2] = [b"h2", b"http/1.1"];

/// A client configuration that trusts the system's certificate authorities, else (in an image that has none) Mozilla's,
/// and speaks HTTP/2 and HTTP/1.1.
///
/// Needs the process's crypto provider to be installed.
pub fn client_config() -> Arc<ClientConfig> {
    finish(public_authorities().with_no_client_auth())
}

/// A client configuration that trusts other authorities, or proves itself with a certificate; `None` if the provider asks
/// for neither, so that the common one does.
///
/// Needs the process's crypto provider to be installed.
pub fn special_config(tls: &UpstreamTls) -> Result<Option<Arc<ClientConfig>>, CertificateError> {
    if tls.ca.is_none() && tls.client.is_none() {
        return Ok(None);
    }
    let trusting = match &tls.ca {
        Some(pem) => ClientConfig::builder().with_root_certificates(authorities(pem.as_bytes())?),
        None => public_authorities(),
    };
    let config = match &tls.client {
        Some(pair) => {
            let identity = Identity::from_pem(pair.certificate.as_bytes(), pair.key.as_bytes())?;
            trusting.with_client_cert_resolver(Arc::new(SingleCertAndKey::from(identity.key)))
        }
        None => trusting.with_no_client_auth(),
    };
    Ok(Some(finish(config)))
}

fn public_authorities() -> ConfigBuilder<ClientConfig, WantsClientCert> {
    match ClientConfig::builder().with_native_roots() {
        Ok(builder) => builder,
        Err(error) => {
            tracing::info!(%error, "the system has no certificate authorities; using the built-in ones");
            ClientConfig::builder().with_webpki_roots()
        }
    }
}

fn finish(mut config: ClientConfig) -> Arc<ClientConfig> {
    config.alpn_protocols = PROTOCOLS.map(<[u8]>::to_vec).to_vec();
    Arc::new(config)
}

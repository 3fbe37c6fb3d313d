//! TLS towards a gateway.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use rustls::{ClientConfig, RootCertStore};
use rustls_pki_types::pem::PemObject as _;
use rustls_pki_types::{CertificateDer, ServerName};
use tokio_rustls::TlsConnector;

use super::Stream;

/// Why there is no TLS.
#[derive(Debug, thiserror::Error)]
pub enum TlsError {
    /// The file of authorities.
    #[error("{path} has no certificate authority that can be used: {why}")]
    Authorities {
        /// The file.
        path: PathBuf,
        /// What is wrong.
        why: String,
    },
    /// The system's authorities.
    #[error("this machine has no certificate authorities: {0}; name a file of them with --ca-file")]
    NoAuthorities(std::io::Error),
    /// The name to check the certificate against.
    #[error("{0:?} is not a name that a certificate can have")]
    Name(String),
    /// The handshake.
    #[error("TLS with {name} failed: {source}; --ca-file names who is trusted, --server-name the name to expect")]
    Handshake {
        /// The name that was expected.
        name: String,
        /// What went wrong.
        source: std::io::Error,
    },
    /// The configuration.
    #[error("TLS cannot be set up: {0}")]
    Setup(#[from] rustls::Error),
}

/// Speaks TLS over a stream, with a server that must have the name. `authorities` is a PEM file; without one those of this
/// machine are trusted.
pub async fn wrap(stream: Stream, name: &str, authorities: Option<&Path>) -> Result<Stream, TlsError> {
    let server = ServerName::try_from(name.to_owned()).map_err(|_| TlsError::Name(name.to_owned()))?;
    let config = Arc::new(config(authorities)?);
    let secured = TlsConnector::from(config).connect(server, stream).await;
    let secured = secured.map_err(|source| TlsError::Handshake {
        name: name.to_owned(),
        source,
    })?;
    Ok(Box::new(secured))
}

fn config(authorities: Option<&Path>) -> Result<ClientConfig, TlsError> {
    let builder = ClientConfig::builder_with_provider(Arc::new(rustls::crypto::ring::default_provider()))
        .with_safe_default_protocol_versions()?;
    let Some(path) = authorities else {
        use hyper_rustls::ConfigBuilderExt as _;
        let builder = builder.with_native_roots().map_err(TlsError::NoAuthorities)?;
        return Ok(builder.with_no_client_auth());
    };
    let failed = |why: String| TlsError::Authorities {
        path: path.to_owned(),
        why,
    };
    let mut roots = RootCertStore::empty();
    for certificate in CertificateDer::pem_file_iter(path).map_err(|error| failed(error.to_string()))? {
        let certificate = certificate.map_err(|error| failed(error.to_string()))?;
        roots.add(certificate).map_err(|error| failed(error.to_string()))?;
    }
    if roots.is_empty() {
        return Err(failed("it holds none".to_owned()));
    }
    Ok(builder.with_root_certificates(roots).with_no_client_auth())
}

//! TLS of the server: its own certificate, which may change at any time, and the certificates of clients, which are
//! asked for and judged later (see [`crate::auth::front_proxy`]).

pub mod certificate;
mod clients;
pub mod source;

use std::sync::Arc;

use rustls::ServerConfig;
use rustls::crypto::CryptoProvider;

pub use certificate::ServingCertificate;

/// No crypto provider is installed in this process.
#[derive(Debug, Clone, Copy, thiserror::Error)]
#[error("no crypto provider is installed")]
pub struct NoProvider;

/// The server's TLS configuration. It stays the same when the certificate changes.
pub fn server_config(certificate: Arc<ServingCertificate>) -> Result<ServerConfig, NoProvider> {
    let provider = CryptoProvider::get_default().ok_or(NoProvider)?;
    let verifier = Arc::new(clients::AnyClient::new(provider));
    let mut config = ServerConfig::builder()
        .with_client_cert_verifier(verifier)
        .with_cert_resolver(certificate);
    config.alpn_protocols = vec![b"h2".to_vec(), b"http/1.1".to_vec()];
    Ok(config)
}

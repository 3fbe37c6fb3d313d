//! TLS towards providers.

use std::sync::Arc;

use hyper_rustls::ConfigBuilderExt as _;
use rustls::ClientConfig;

/// A client configuration that trusts the system's certificate authorities, else (in an image that has none) Mozilla's,
/// and speaks HTTP/2 and HTTP/1.1.
///
/// Needs the process's crypto provider to be installed.
pub fn client_config() -> Arc<ClientConfig> {
    let mut config = match ClientConfig::builder().with_native_roots() {
        Ok(builder) => builder.with_no_client_auth(),
        Err(error) => {
            tracing::info!(%error, "the system has no certificate authorities; using the built-in ones");
            ClientConfig::builder().with_webpki_roots().with_no_client_auth()
        }
    };
    config.alpn_protocols = vec![b"h2".to_vec(), b"http/1.1".to_vec()];
    Arc::new(config)
}

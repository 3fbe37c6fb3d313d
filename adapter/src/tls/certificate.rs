//! The serving certificate, swapped without touching open connections.

use std::sync::Arc;

use arc_swap::ArcSwapOption;
use rustls::crypto::CryptoProvider;
use rustls::server::{ClientHello, ResolvesServerCert};
use rustls::sign::CertifiedKey;
use rustls_pki_types::pem::PemObject;
use rustls_pki_types::{CertificateDer, PrivateKeyDer};

/// Why a certificate cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum CertificateError {
    /// Not PEM.
    #[error("the certificate or key is not PEM")]
    Pem(#[from] rustls_pki_types::pem::Error),
    /// There is no certificate.
    #[error("there is no certificate")]
    Empty,
    /// The key is of no kind that is known, or is not the certificate's.
    #[error("the key does not fit the certificate")]
    Key(#[from] rustls::Error),
    /// No crypto provider is installed in this process.
    #[error(transparent)]
    Provider(#[from] super::NoProvider),
}

/// The certificate that new connections get.
#[derive(Debug, Default)]
pub struct ServingCertificate {
    current: ArcSwapOption<CertifiedKey>,
}

impl ServingCertificate {
    /// Swaps the certificate. On an error the current one stays.
    pub fn set(&self, certificate_pem: &[u8], key_pem: &[u8]) -> Result<(), CertificateError> {
        let chain = CertificateDer::pem_slice_iter(certificate_pem).collect::<Result<Vec<_>, _>>()?;
        if chain.is_empty() {
            return Err(CertificateError::Empty);
        }
        let key = PrivateKeyDer::from_pem_slice(key_pem)?;
        let provider = CryptoProvider::get_default().ok_or(super::NoProvider)?;
        let certified = CertifiedKey::from_der(chain, key, provider)?;
        self.current.store(Some(Arc::new(certified)));
        Ok(())
    }

    /// Whether there is a certificate.
    pub fn is_set(&self) -> bool {
        self.current.load().is_some()
    }
}

impl ResolvesServerCert for ServingCertificate {
    fn resolve(&self, _: ClientHello<'_>) -> Option<Arc<CertifiedKey>> {
        self.current.load_full()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fixtures::pki::Authority;

    #[test]
    fn a_bad_certificate_leaves_the_good_one_in_place() {
        tokenweir_process::install_crypto_provider();
        let (one, other) = (
            Authority::new("a").server("localhost"),
            Authority::new("b").server("localhost"),
        );
        let serving = ServingCertificate::default();
        assert!(!serving.is_set());
        assert!(matches!(
            serving.set(b"", one.1.as_bytes()),
            Err(CertificateError::Empty)
        ));
        assert!(matches!(
            serving.set(one.0.as_bytes(), other.1.as_bytes()),
            Err(CertificateError::Key(_))
        ));
        assert!(!serving.is_set());
        serving.set(one.0.as_bytes(), one.1.as_bytes()).unwrap();
        assert!(serving.set(one.0.as_bytes(), b"junk").is_err());
        assert!(serving.is_set());
    }
}

//! Certificates and keys in PEM: what Secrets of type `kubernetes.io/tls` and bundles of authorities hold.
//!
//! Operator, file mode and gateway read them here, so that what the one accepts the other can serve.

use jiff::Timestamp;
use rustls::RootCertStore;
use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::sign::CertifiedKey;
use x509_parser::prelude::{FromDer as _, X509Certificate};

/// Why certificates or a key cannot be used. No message repeats any of a key.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum CertificateError {
    /// No PEM block of a certificate, or one that is damaged.
    #[error("there is no certificate in PEM form")]
    NoCertificate,
    /// A PEM block holds something else than a certificate.
    #[error("a certificate cannot be read")]
    Malformed,
    /// No PEM block of a private key.
    #[error("there is no private key in PEM form")]
    NoKey,
    /// A kind of key that TLS here cannot use.
    #[error("the private key cannot be used; write an unencrypted RSA, ECDSA or Ed25519 key")]
    UnusableKey,
    /// The key is that of another certificate.
    #[error("the private key does not belong to the certificate")]
    Mismatch,
}

/// A certificate with its key, ready for handshakes.
#[derive(Debug)]
pub struct Identity {
    /// Chain and key.
    pub key: CertifiedKey,
    /// From when to when the first certificate holds.
    pub validity: Validity,
}

/// From when to when a certificate holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Validity {
    /// The first moment.
    pub from: Timestamp,
    /// The last moment.
    pub until: Timestamp,
}

impl Identity {
    /// Reads a chain and its key, and checks that they belong together. What comes first in the chain is taken for the own
    /// certificate. Needs no crypto provider to be installed.
    pub fn from_pem(certificate: &[u8], key: &[u8]) -> Result<Self, CertificateError> {
        let chain = chain(certificate)?;
        let validity = chain
            .first()
            .and_then(|first| validity(first))
            .ok_or(CertificateError::Malformed)?;
        let key = PrivateKeyDer::from_pem_slice(key).map_err(|_| CertificateError::NoKey)?;
        let key = rustls::crypto::ring::sign::any_supported_type(&key).map_err(|_| CertificateError::UnusableKey)?;
        let key = CertifiedKey::new(chain, key);
        key.keys_match().map_err(|_| CertificateError::Mismatch)?;
        Ok(Self { key, validity })
    }
}

/// Reads a bundle of authorities.
pub fn authorities(pem: &[u8]) -> Result<RootCertStore, CertificateError> {
    let mut roots = RootCertStore::empty();
    for certificate in chain(pem)? {
        roots.add(certificate).map_err(|_| CertificateError::Malformed)?;
    }
    Ok(roots)
}

/// The certificates of a PEM text; at least one.
fn chain(pem: &[u8]) -> Result<Vec<CertificateDer<'static>>, CertificateError> {
    let chain: Vec<_> = CertificateDer::pem_slice_iter(pem)
        .collect::<Result<_, _>>()
        .map_err(|_| CertificateError::NoCertificate)?;
    if chain.is_empty() {
        return Err(CertificateError::NoCertificate);
    }
    Ok(chain)
}

fn validity(der: &[u8]) -> Option<Validity> {
    let (_, certificate) = X509Certificate::from_der(der).ok()?;
    let validity = certificate.validity();
    Some(Validity {
        from: Timestamp::from_second(validity.not_before.timestamp()).ok()?,
        until: Timestamp::from_second(validity.not_after.timestamp()).ok()?,
    })
}

#[cfg(test)]
mod tests {
    use rcgen::{CertificateParams, KeyPair, date_time_ymd};

    use super::*;

    fn issued(key: &KeyPair) -> String {
        let mut params = CertificateParams::new(vec!["edge.llm.svc".to_owned()]).unwrap();
        params.not_before = date_time_ymd(2026, 1, 1);
        params.not_after = date_time_ymd(2026, 3, 1);
        params.self_signed(key).unwrap().pem()
    }

    #[test]
    fn a_chain_and_its_key_are_read_with_the_time_in_which_they_hold() {
        let key = KeyPair::generate().unwrap();
        let identity = Identity::from_pem(issued(&key).as_bytes(), key.serialize_pem().as_bytes()).unwrap();
        assert_eq!(identity.key.cert.len(), 1);
        assert_eq!(identity.validity.from.to_string(), "2026-01-01T00:00:00Z");
        assert_eq!(identity.validity.until.to_string(), "2026-03-01T00:00:00Z");
    }

    #[test]
    fn every_mistake_is_told_apart() {
        let (key, other) = (KeyPair::generate().unwrap(), KeyPair::generate().unwrap());
        let (certificate, key) = (issued(&key), key.serialize_pem());
        let error =
            |certificate: &str, key: &str| Identity::from_pem(certificate.as_bytes(), key.as_bytes()).unwrap_err();
        assert_eq!(error("", &key), CertificateError::NoCertificate);
        assert_eq!(error(&key, &key), CertificateError::NoCertificate);
        assert_eq!(error(&certificate, ""), CertificateError::NoKey);
        assert_eq!(error(&certificate, &certificate), CertificateError::NoKey);
        assert_eq!(error(&certificate, &other.serialize_pem()), CertificateError::Mismatch);
        let nonsense = "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n";
        assert_eq!(error(nonsense, &key), CertificateError::Malformed);
        let nonsense = "-----BEGIN PRIVATE KEY-----\nAAAA\n-----END PRIVATE KEY-----\n";
        assert_eq!(error(&certificate, nonsense), CertificateError::UnusableKey);
    }

    #[test]
    fn a_bundle_has_every_authority_in_it() {
        let bundle = issued(&KeyPair::generate().unwrap()) + &issued(&KeyPair::generate().unwrap());
        assert_eq!(authorities(bundle.as_bytes()).unwrap().len(), 2);
        assert_eq!(authorities(b"no bundle").unwrap_err(), CertificateError::NoCertificate);
    }
}

//! A socket of the data plane, ready to be opened.

use std::sync::Arc;

use rustls::ServerConfig;
use rustls::crypto::ring;
use rustls::sign::SingleCertAndKey;
use tokenweir_config as config;
use tokenweir_crds::certificate::Identity;

use super::PlanError;

/// What is offered in ALPN, the preferred one first.
const PROTOCOLS: [&[u8]; 2] = [b"h2", b"http/1.1"];

/// A socket of the data plane.
#[derive(Debug)]
pub struct Listener {
    /// TCP port.
    pub port: u16,
    /// TLS, with the certificate; `None`: plain HTTP.
    pub tls: Option<Arc<ServerConfig>>,
    /// Unix time in seconds at which the certificate ends.
    pub certificate_until: Option<i64>,
    source: config::Listener,
}

impl Listener {
    /// Prepares a socket. One whose certificate has not changed keeps what its clients resume their sessions with.
    pub(super) fn new(source: &config::Listener, previous: Option<&Self>) -> Result<Self, PlanError> {
        let port = source.port;
        let (tls, certificate_until) = match (&source.tls, previous) {
            (None, _) => (None, None),
            (Some(_), Some(previous)) if previous.source == *source => {
                (previous.tls.clone(), previous.certificate_until)
            }
            (Some(pair), _) => {
                let identity = Identity::from_pem(pair.certificate.as_bytes(), pair.key.as_bytes())
                    .map_err(|why| PlanError::Certificate { port, why })?;
                let until = identity.validity.until.as_second();
                (
                    Some(server_config(identity).map_err(|_| PlanError::Tls { port })?),
                    Some(until),
                )
            }
        };
        Ok(Self {
            port,
            tls,
            certificate_until,
            source: source.clone(),
        })
    }
}

fn server_config(identity: Identity) -> Result<Arc<ServerConfig>, rustls::Error> {
    let mut config = ServerConfig::builder_with_provider(Arc::new(ring::default_provider()))
        .with_safe_default_protocol_versions()?
        .with_no_client_auth()
        .with_cert_resolver(Arc::new(SingleCertAndKey::from(identity.key)));
    config.alpn_protocols = PROTOCOLS.map(<[u8]>::to_vec).to_vec();
    // Sessions are kept by the clients, sealed: nothing to hold for each of them, and any worker resumes them.
    config.ticketer = ring::Ticketer::new()?;
    Ok(Arc::new(config))
}

#[cfg(test)]
mod tests {
    use rcgen::{CertifiedKey, generate_simple_self_signed};

    use super::*;

    fn source() -> config::Listener {
        let CertifiedKey { cert, signing_key } = generate_simple_self_signed(["edge".to_owned()]).unwrap();
        config::Listener {
            port: 8443,
            tls: Some(config::KeyPair {
                certificate: cert.pem(),
                key: signing_key.serialize_pem(),
            }),
        }
    }

    #[test]
    fn an_unchanged_certificate_keeps_its_sessions_and_a_new_one_does_not() {
        let source = source();
        let before = Listener::new(&source, None).unwrap();
        let same = Listener::new(&source, Some(&before)).unwrap();
        let rotated = Listener::new(&self::source(), Some(&before)).unwrap();
        let config = |listener: &Listener| listener.tls.clone().unwrap();
        assert!(Arc::ptr_eq(&config(&before), &config(&same)));
        assert!(!Arc::ptr_eq(&config(&before), &config(&rotated)));
        assert_eq!(before.certificate_until, same.certificate_until);
    }

    #[test]
    fn a_key_that_does_not_fit_is_refused_with_its_port() {
        let mut wrong = source();
        wrong.tls.as_mut().unwrap().key = source().tls.unwrap().key;
        assert_eq!(
            Listener::new(&wrong, None).unwrap_err().to_string(),
            "the certificate of port 8443 cannot be used: the private key does not belong to the certificate"
        );
    }
}

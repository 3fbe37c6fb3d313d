//! What proves the gateway to a provider, ready to be put on a request.

use std::sync::Arc;

use http::{HeaderMap, HeaderName, HeaderValue, header};
use tokenweir_config as config;
use tokenweir_config::service_account::ServiceAccount;

use crate::upstream::Proxy;
use crate::upstream::credential::{AwsSigner, Tokens};

/// How the gateway proves itself. Its `Debug` form never shows the secret.
#[derive(Debug, Clone)]
pub enum Credential {
    /// A header that is the same for every request; its value is marked as sensitive.
    Header(HeaderName, HeaderValue),
    /// Each request is signed once it is complete.
    Aws(Arc<AwsSigner>),
    /// A token that lasts for a while, shared by all workers.
    Tokens(Arc<Tokens>),
}

impl Credential {
    /// Prepares a credential; `None` if it does not fit into a header, or is no key. Token servers are behind the proxy too.
    pub(super) fn new(source: &config::Credential, proxy: Option<&Proxy>) -> Option<Self> {
        let (name, mut value) = match source {
            config::Credential::Aws(keys) => return Some(Self::Aws(Arc::new(AwsSigner::new(keys)))),
            config::Credential::ServiceAccount(key) => {
                let account = ServiceAccount::from_json(key).ok()?;
                return Some(Self::Tokens(Tokens::new(account, proxy.cloned())));
            }
            config::Credential::Bearer(secret) => (
                header::AUTHORIZATION,
                HeaderValue::from_str(&format!("Bearer {secret}")).ok()?,
            ),
            config::Credential::Header(header) => {
                (header.name.parse().ok()?, HeaderValue::from_str(&header.value).ok()?)
            }
        };
        value.set_sensitive(true);
        Some(Self::Header(name, value))
    }

    /// Puts the proof on a request, if it is the same for all of them.
    pub fn apply(&self, headers: &mut HeaderMap) {
        if let Self::Header(name, value) = self {
            headers.insert(name, value.clone());
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_credential_is_a_sensitive_header_and_never_in_debug_output() {
        for (source, name, value) in [
            (
                config::Credential::Bearer("s3cret".into()),
                "authorization",
                "Bearer s3cret",
            ),
            (
                config::Credential::Header(config::HeaderCredential {
                    name: "x-api-key".into(),
                    value: "s3cret".into(),
                }),
                "x-api-key",
                "s3cret",
            ),
        ] {
            let credential = Credential::new(&source, None).unwrap();
            let mut headers = HeaderMap::new();
            credential.apply(&mut headers);
            assert_eq!(headers[name], value);
            assert!(headers[name].is_sensitive());
            assert!(!format!("{credential:?} {headers:?}").contains("s3cret"));
        }
    }
}

//! What proves the gateway to a provider, ready to be put on a request.

use http::{HeaderMap, HeaderName, HeaderValue, header};
use tokenweir_config as config;

/// How the gateway proves itself. Its `Debug` form never shows the secret.
#[derive(Debug)]
pub enum Credential {
    /// A header that is the same for every request; its value is marked as sensitive.
    Header(HeaderName, HeaderValue),
}

impl Credential {
    /// Prepares a credential; `None` if it does not fit into a header.
    pub(super) fn new(source: &config::Credential) -> Option<Self> {
        let (name, mut value) = match source {
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

    /// Puts the proof on a request.
    pub fn apply(&self, headers: &mut HeaderMap) {
        match self {
            Self::Header(name, value) => {
                headers.insert(name, value.clone());
            }
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
            let credential = Credential::new(&source).unwrap();
            let mut headers = HeaderMap::new();
            credential.apply(&mut headers);
            assert_eq!(headers[name], value);
            assert!(headers[name].is_sensitive());
            assert!(!format!("{credential:?} {headers:?}").contains("s3cret"));
        }
    }
}

//! What proves a gateway to a provider.

use serde::{Deserialize, Serialize};

/// A provider's secret, and how it is used. Its `Debug` form never shows the secret.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum Credential {
    /// `authorization: Bearer SECRET`.
    Bearer(String),
    /// Another header, verbatim.
    Header(HeaderCredential),
    /// Each request is signed for Amazon Bedrock.
    Aws(AwsCredential),
    /// The key file of a Google service account, for which access tokens are fetched. See
    /// [`ServiceAccount`](crate::service_account::ServiceAccount).
    ServiceAccount(String),
}

/// A credential in a header of the provider's own.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct HeaderCredential {
    /// Header name in lower case.
    pub name: String,
    /// Secret value.
    pub value: String,
}

/// AWS keys and the region that signatures name.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct AwsCredential {
    /// Id of the access key.
    pub access_key_id: String,
    /// Secret access key.
    pub secret_access_key: String,
    /// Session token of temporary keys.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub session_token: Option<String>,
    /// The region.
    pub region: String,
}

impl std::fmt::Debug for Credential {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Bearer(_) => f.write_str("Bearer(<redacted>)"),
            Self::Header(header) => header.fmt(f),
            Self::Aws(keys) => keys.fmt(f),
            Self::ServiceAccount(_) => f.write_str("ServiceAccount(<redacted>)"),
        }
    }
}

impl std::fmt::Debug for HeaderCredential {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Header({}: <redacted>)", self.name)
    }
}

impl std::fmt::Debug for AwsCredential {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Aws({} in {}: <redacted>)", self.access_key_id, self.region)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_secret_is_in_debug_output() {
        for credential in [
            Credential::Bearer("s3cret".into()),
            Credential::Header(HeaderCredential {
                name: "api-key".into(),
                value: "s3cret".into(),
            }),
            Credential::Aws(AwsCredential {
                access_key_id: "AKIDEXAMPLE".into(),
                secret_access_key: "s3cret".into(),
                session_token: Some("s3cret".into()),
                region: "eu-central-1".into(),
            }),
            Credential::ServiceAccount("s3cret".into()),
        ] {
            let shown = format!("{credential:?}");
            assert!(!shown.contains("s3cret") && shown.contains("redacted"), "{shown}");
        }
    }
}

//! Providers in a cloud: their credentials and their endpoints.

use tokenweir_config::service_account::ServiceAccount;
use tokenweir_config::{AwsCredential, Credential, HeaderCredential};

use super::{Inputs, Problem};
use crate::api::{Aws, ModelProviderSpec, ProviderType, SecretKeyRef};
use crate::conditions::Reason;

/// Where the Gemini API answers.
const GEMINI_ENDPOINT: &str = "https://generativelanguage.googleapis.com/v1beta";

/// The base URL of a provider that needs no `endpoint`, below `endpoint` if there is one; `None` for the other types.
pub(super) fn base_url(spec: &ModelProviderSpec) -> Option<String> {
    let given = spec.endpoint.as_deref().map(|url| url.trim_end_matches('/').to_owned());
    match spec.provider_type {
        ProviderType::Gemini => Some(given.unwrap_or_else(|| GEMINI_ENDPOINT.to_owned())),
        ProviderType::Bedrock => given.or_else(|| spec.aws.as_ref().map(Aws::endpoint)),
        ProviderType::Vertex => {
            let google = spec.google.as_ref()?;
            let base = given.unwrap_or_else(|| google.endpoint());
            Some(format!("{base}{}", google.path()))
        }
        _ => None,
    }
}

/// The credential of a provider in a cloud; the outer `None` for the other types.
pub(super) fn credential(inputs: &Inputs<'_>, spec: &ModelProviderSpec) -> Result<Option<Credential>, Problem> {
    let key = spec.credentials.as_ref().map(|credentials| &credentials.secret_ref);
    match spec.provider_type {
        ProviderType::Gemini => {
            let Some(key) = key else { return Ok(None) };
            let value = header(inputs, key, "spec.credentials.secretRef")?;
            let name = "x-goog-api-key".to_owned();
            Ok(Some(Credential::Header(HeaderCredential { name, value })))
        }
        ProviderType::Vertex => {
            let Some(key) = key else { return Ok(None) };
            service_account(inputs, key).map(Some)
        }
        ProviderType::Bedrock => match (key, &spec.aws) {
            (None, Some(aws)) => {
                let Some(keys) = &aws.secret_ref else { return Ok(None) };
                let take = |reference: &SecretKeyRef| header(inputs, reference, "spec.aws.secretRef");
                Ok(Some(Credential::Aws(AwsCredential {
                    access_key_id: take(&keys.access_key_id())?,
                    secret_access_key: take(&keys.secret_access_key())?,
                    session_token: keys.session_token().as_ref().map(take).transpose()?,
                    region: aws.region.clone(),
                })))
            }
            (Some(key), _) => {
                header(inputs, key, "spec.credentials.secretRef").map(|key| Some(Credential::Bearer(key)))
            }
            (None, None) => Ok(None),
        },
        _ => Ok(None),
    }
}

fn header(inputs: &Inputs<'_>, reference: &SecretKeyRef, field: &'static str) -> Result<String, Problem> {
    let value = inputs.secrets.credential(reference);
    let value = value.map_err(|error| unusable(reference, error.reason(), field, &error.to_string()))?;
    Ok(value.to_owned())
}

fn service_account(inputs: &Inputs<'_>, reference: &SecretKeyRef) -> Result<Credential, Problem> {
    const FIELD: &str = "spec.credentials.secretRef";
    let text = inputs.secrets.text(reference);
    let text = text.map_err(|error| unusable(reference, error.reason(), FIELD, &error.to_string()))?;
    ServiceAccount::from_json(text)
        .map_err(|error| unusable(reference, Reason::SecretInvalid, FIELD, &error.to_string()))?;
    Ok(Credential::ServiceAccount(text.to_owned()))
}

fn unusable(reference: &SecretKeyRef, reason: Reason, field: &'static str, error: &str) -> Problem {
    let message = format!("Secret {}, key {}: {error}", reference.name, reference.key);
    Problem::unresolved(reason, field, message)
}

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

/// Whether Bedrock answers for a model in the region of the endpoint, as far as the model's id tells.
///
/// An inference profile sends a request on to any of several regions. It is known by the geography before the maker's name
/// (`eu.anthropic.…`, `global.amazon.…`); no maker has a name as short. An ARN may be that of a profile, or of a prompt or a
/// router in front of one, unless it is that of a model.
pub(super) fn stays_in_region(model: &str) -> bool {
    if let Some(arn) = model.strip_prefix("arn:") {
        // What follows is partition, service, region, account and resource.
        let mut parts = arn.splitn(5, ':').skip(1);
        let (service, resource) = (parts.next(), parts.nth(2));
        let kind = resource.and_then(|resource| resource.split('/').next());
        return match service {
            Some("bedrock") => kind.is_some_and(|kind| kind.ends_with("-model") || kind == "custom-model-deployment"),
            Some("sagemaker") => kind == Some("endpoint"),
            _ => false,
        };
    }
    let Some((first, _)) = model.split_once('.') else {
        return true;
    };
    let of_a_country = first.len() == 2 || first.as_bytes().get(2) == Some(&b'-');
    !(of_a_country || matches!(first, "global" | "apac"))
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_model_answers_in_its_region_and_an_inference_profile_in_several() {
        for model in [
            "anthropic.claude-sonnet-4-5-20250929-v1:0",
            "ai21.jamba-1-5-large-v1:0",
            "zai.glm-4.6",
            "arn:aws:bedrock:eu-central-1::foundation-model/anthropic.claude-3-haiku-20240307-v1:0",
            "arn:aws:bedrock:eu-central-1:123456789012:provisioned-model/abc",
            "arn:aws:bedrock:eu-central-1:123456789012:imported-model/abc",
            "arn:aws:bedrock:eu-central-1:123456789012:custom-model-deployment/abc",
            "arn:aws:sagemaker:eu-central-1:123456789012:endpoint/abc",
            "a-name-without-dots",
        ] {
            assert!(stays_in_region(model), "{model}");
        }
        for profile in [
            "global.anthropic.claude-sonnet-4-5-20250929-v1:0",
            "us.anthropic.claude-sonnet-4-5-20250929-v1:0",
            "eu.amazon.nova-lite-v1:0",
            "apac.amazon.nova-lite-v1:0",
            "jp.anthropic.claude-haiku-4-5-20251001-v1:0",
            "au.anthropic.claude-haiku-4-5-20251001-v1:0",
            "us-gov.anthropic.claude-3-haiku-20240307-v1:0",
            "arn:aws:bedrock:us-east-1:123456789012:inference-profile/us.anthropic.claude-3-haiku-20240307-v1:0",
            "arn:aws:bedrock:us-east-1:123456789012:application-inference-profile/abc",
            "arn:aws:bedrock:us-east-1:123456789012:prompt/ABCDEFGHIJ:1",
            "arn:aws:bedrock:us-east-1:123456789012:default-prompt-router/meta.llama:1",
            "arn:aws:bedrock",
        ] {
            assert!(!stays_in_region(profile), "{profile}");
        }
    }
}

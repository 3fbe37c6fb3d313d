//! What providers in a cloud need beside an endpoint and a key: places, and credentials of the cloud's own.

use kube::KubeSchema;
use serde::{Deserialize, Serialize};

use super::SecretKeyRef;
use crate::rules;

/// Where Amazon Bedrock is, and the keys that sign requests.
#[derive(KubeSchema, Serialize, Deserialize, Clone, Debug, PartialEq, Eq)]
#[serde(rename_all = "camelCase")]
pub struct Aws {
    /// The region, such as `eu-central-1`. Signatures name it, and without `endpoint` requests go to it.
    #[schemars(length(min = 1, max = 32))]
    #[x_kube(validation = rules::rule(
        "self.matches('^[a-z]{2,3}(-[a-z]+)+-[0-9]+$')",
        "'%s' is not a region of AWS; write for example eu-central-1",
        &["self"],
    ))]
    pub region: String,

    /// The Secret with the keys that sign requests. Absent: `credentials` names an API key of Bedrock, which is sent as
    /// it is.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub secret_ref: Option<AwsSecretRef>,
}

/// A Secret with AWS keys, and under which names they are in it. A change reaches the pods without a restart.
#[derive(KubeSchema, Serialize, Deserialize, Clone, Debug, PartialEq, Eq)]
#[serde(rename_all = "camelCase")]
pub struct AwsSecretRef {
    /// Name of the Secret.
    #[schemars(length(min = 1, max = 253))]
    pub name: String,

    /// Key of the access key's id.
    #[serde(default = "default_access_key_id")]
    #[schemars(length(min = 1, max = 253))]
    pub access_key_id_key: String,

    /// Key of the secret access key.
    #[serde(default = "default_secret_access_key")]
    #[schemars(length(min = 1, max = 253))]
    pub secret_access_key_key: String,

    /// Key of the session token of temporary keys. Absent: the keys are not temporary.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 253))]
    pub session_token_key: Option<String>,
}

impl AwsSecretRef {
    /// The access key's id.
    pub fn access_key_id(&self) -> SecretKeyRef {
        self.field(&self.access_key_id_key)
    }

    /// The secret access key.
    pub fn secret_access_key(&self) -> SecretKeyRef {
        self.field(&self.secret_access_key_key)
    }

    /// The session token, if there is one.
    pub fn session_token(&self) -> Option<SecretKeyRef> {
        self.session_token_key.as_deref().map(|key| self.field(key))
    }

    fn field(&self, key: &str) -> SecretKeyRef {
        SecretKeyRef {
            name: self.name.clone(),
            key: key.to_owned(),
        }
    }
}

fn default_access_key_id() -> String {
    "accessKeyId".to_owned()
}

fn default_secret_access_key() -> String {
    "secretAccessKey".to_owned()
}

/// Where Vertex AI is.
#[derive(KubeSchema, Serialize, Deserialize, Clone, Debug, PartialEq, Eq)]
#[serde(rename_all = "camelCase")]
pub struct Google {
    /// The id or number of the project that is asked and billed.
    #[schemars(length(min = 1, max = 64))]
    #[x_kube(validation = rules::rule(
        "self.matches('^([a-z][-a-z0-9]*[a-z0-9]|[0-9]+)$')",
        "'%s' is not a project of Google Cloud; write its id, such as my-project, or its number",
        &["self"],
    ))]
    pub project: String,

    /// The location, such as `europe-west4`, or `global`. Without `endpoint` requests go to it.
    #[serde(default = "default_location")]
    #[schemars(length(min = 1, max = 32))]
    #[x_kube(validation = rules::rule(
        "self.matches('^[a-z]+(-[a-z]+[0-9]+)?$')",
        "'%s' is not a location of Vertex AI; write for example europe-west4, us or global",
        &["self"],
    ))]
    pub location: String,
}

fn default_location() -> String {
    "global".to_owned()
}

impl Aws {
    /// Where Bedrock answers in this region.
    pub fn endpoint(&self) -> String {
        let region = &self.region;
        // China's regions are a partition of their own, with names of their own.
        let domain = if region.starts_with("cn-") {
            "amazonaws.com.cn"
        } else {
            "amazonaws.com"
        };
        format!("https://bedrock-runtime.{region}.{domain}")
    }
}

impl Google {
    /// Where Vertex AI answers for this location.
    pub fn endpoint(&self) -> String {
        match self.location.as_str() {
            "global" => "https://aiplatform.googleapis.com".to_owned(),
            // Locations of several regions.
            location @ ("us" | "eu") => format!("https://aiplatform.{location}.rep.googleapis.com"),
            location => format!("https://{location}-aiplatform.googleapis.com"),
        }
    }

    /// The path before `/publishers/google/models`. Calls have ids in this version of the API alone, which is why Google's
    /// own packages use it.
    pub fn path(&self) -> String {
        format!("/v1beta1/projects/{}/locations/{}", self.project, self.location)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_region_and_location_has_its_endpoint() {
        let aws = |region: &str| Aws {
            region: region.to_owned(),
            secret_ref: None,
        };
        assert_eq!(
            aws("eu-central-1").endpoint(),
            "https://bedrock-runtime.eu-central-1.amazonaws.com"
        );
        assert_eq!(
            aws("cn-north-1").endpoint(),
            "https://bedrock-runtime.cn-north-1.amazonaws.com.cn"
        );
        let google = |location: &str| Google {
            project: "p".to_owned(),
            location: location.to_owned(),
        };
        for (location, endpoint) in [
            ("global", "https://aiplatform.googleapis.com"),
            ("eu", "https://aiplatform.eu.rep.googleapis.com"),
            ("europe-west4", "https://europe-west4-aiplatform.googleapis.com"),
        ] {
            assert_eq!(google(location).endpoint(), endpoint);
        }
        assert_eq!(google("us").path(), "/v1beta1/projects/p/locations/us");
    }
}

//! Third step: Secrets with new keys. Pure but for the randomness in them.

use std::collections::BTreeMap;

use k8s_openapi::ByteString;
use k8s_openapi::api::core::v1::Secret;
use k8s_openapi::jiff::Timestamp;
use kube::api::ObjectMeta;
use tokenweir_config::keys::generate_api_key;
use tokenweir_crds::api::{ISSUED_AT_FIELD, MINTED_KEY_FIELD};

use super::validate::Valid;
use crate::parts::PartError;
use crate::watch::{MANAGED_BY, MANAGED_BY_LABEL};

/// Builds a Secret with a fresh key for each that is missing.
pub fn build(valid: &Valid, now: Timestamp) -> Result<Vec<Secret>, PartError> {
    valid
        .missing
        .iter()
        .map(|(name, key_name)| {
            let labels = [
                (MANAGED_BY_LABEL, MANAGED_BY),
                ("tokenweir.dev/tenant", valid.owner.name.as_str()),
                ("tokenweir.dev/api-key", key_name),
            ];
            Ok(Secret {
                metadata: ObjectMeta {
                    name: Some(name.clone()),
                    namespace: Some(valid.namespace.clone()),
                    labels: Some(labels.map(|(key, value)| (key.to_owned(), value.to_owned())).into()),
                    owner_references: Some(vec![valid.owner.clone()]),
                    ..ObjectMeta::default()
                },
                type_: Some("Opaque".into()),
                data: Some(BTreeMap::from([
                    (
                        MINTED_KEY_FIELD.to_owned(),
                        ByteString(generate_api_key()?.into_bytes()),
                    ),
                    (ISSUED_AT_FIELD.to_owned(), ByteString(now.to_string().into_bytes())),
                ])),
                ..Secret::default()
            })
        })
        .collect()
}

//! What the compiler reads.

use std::collections::{BTreeMap, BTreeSet};

use k8s_openapi::api::core::v1::{ConfigMap, Secret};
use kube::{Resource, ResourceExt as _};
use tokenweir_config::keys::{KeyError, KeyHasher, decode_32};

use crate::api::{LLMGateway, ModelProvider, ModelRoute, SecretKeyRef, Tenant};
use crate::conditions::Reason;

/// Everything of one namespace that one gateway's configuration depends on.
#[derive(Debug, Clone)]
pub struct Inputs<'a> {
    /// The gateway to compile.
    pub gateway: &'a LLMGateway,
    /// Names of all gateways of the namespace.
    pub gateways: BTreeSet<String>,
    /// All providers of the namespace.
    pub providers: Vec<&'a ModelProvider>,
    /// All routes of the namespace.
    pub routes: Vec<&'a ModelRoute>,
    /// All tenants of the namespace.
    pub tenants: Vec<&'a Tenant>,
    /// The Secrets that [`referenced_secrets`] names, as far as they exist.
    pub secrets: &'a Secrets,
    /// The ConfigMaps that [`referenced_config_maps`] names, as far as they exist.
    pub config_maps: &'a ConfigMaps,
    /// Keys of the gateway.
    pub keys: &'a Keys,
    /// Number of the snapshot.
    pub generation: u64,
}

impl Inputs<'_> {
    /// Namespace of the gateway; empty where it has none.
    pub(super) fn namespace(&self) -> &str {
        self.gateway.metadata.namespace.as_deref().unwrap_or_default()
    }

    /// Name of the gateway; empty where it has none.
    pub(super) fn gateway_name(&self) -> &str {
        self.gateway.metadata.name.as_deref().unwrap_or_default()
    }

    /// Objects of the gateway's namespace by name. The order of the input does not show.
    pub(super) fn by_name<'b, K: Resource>(&self, objects: &'b [&'b K]) -> BTreeMap<&'b str, &'b K> {
        objects
            .iter()
            .filter(|object| object.meta().namespace.as_deref().unwrap_or_default() == self.namespace())
            .filter_map(|object| object.meta().name.as_deref().map(|name| (name, *object)))
            .collect()
    }
}

/// Sorts what claims one thing: the oldest first, and of the equally old the first by name.
pub(super) fn by_age<'b, K: Resource>(objects: &BTreeMap<&'b str, &'b K>) -> Vec<(&'b str, &'b K)> {
    let mut sorted: Vec<_> = objects.iter().map(|(name, object)| (*name, *object)).collect();
    // The sort is stable and the map is sorted by name. An object without a time is not in a cluster, and none is.
    sorted.sort_by_key(|(_, object)| object.creation_timestamp().map(|time| time.0));
    sorted
}

/// Keys of a gateway.
#[derive(Clone)]
pub struct Keys {
    key_hash_key: String,
    admin_key: Option<String>,
    hasher: KeyHasher,
}

impl std::fmt::Debug for Keys {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Keys(<redacted>)")
    }
}

impl Keys {
    /// Takes the two base64 keys of a snapshot; see [`tokenweir_config::admin_token`].
    pub fn new(key_hash_key: String, admin_key: Option<String>) -> Result<Self, KeyError> {
        let hasher = KeyHasher::new(&key_hash_key)?;
        if let Some(key) = &admin_key {
            decode_32(key)?;
        }
        Ok(Self {
            key_hash_key,
            admin_key,
            hasher,
        })
    }

    pub(super) fn key_hash_key(&self) -> &str {
        &self.key_hash_key
    }

    pub(super) fn admin_key(&self) -> Option<&str> {
        self.admin_key.as_deref()
    }

    pub(super) fn hash(&self, api_key: &str) -> String {
        self.hasher.hash_base64(api_key.as_bytes())
    }
}

/// Secrets of one namespace.
#[derive(Clone, Default, PartialEq, Eq)]
pub struct Secrets(BTreeMap<String, BTreeMap<String, Vec<u8>>>);

impl std::fmt::Debug for Secrets {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_set().entries(self.0.keys()).finish()
    }
}

/// Why a field of a Secret cannot be used.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum SecretError {
    /// No such Secret.
    #[error("the Secret does not exist")]
    NotFound,
    /// No such key in it.
    #[error("the Secret has no such key")]
    NoKey,
    /// Nothing in it.
    #[error("the value is empty")]
    Empty,
    /// Not visible ASCII, which is all that an HTTP header can carry safely.
    #[error("the value has characters other than visible ASCII")]
    NotText,
}

impl SecretError {
    pub(super) fn reason(self) -> Reason {
        match self {
            Self::NotFound => Reason::SecretNotFound,
            Self::NoKey | Self::Empty | Self::NotText => Reason::SecretInvalid,
        }
    }
}

impl Secrets {
    /// Adds a Secret, or puts it in the place of one with the same name. `stringData` wins over `data`, as in a cluster.
    pub fn insert(&mut self, secret: &Secret) {
        let mut data: BTreeMap<String, Vec<u8>> = BTreeMap::new();
        data.extend(
            secret
                .data
                .iter()
                .flatten()
                .map(|(key, value)| (key.clone(), value.0.clone())),
        );
        data.extend(
            secret
                .string_data
                .iter()
                .flatten()
                .map(|(key, value)| (key.clone(), value.clone().into_bytes())),
        );
        self.0.insert(secret.name_any(), data);
    }

    /// Adds a Secret with one text field.
    pub fn insert_text(&mut self, name: &str, key: &str, value: &str) {
        self.0
            .entry(name.to_owned())
            .or_default()
            .insert(key.to_owned(), value.as_bytes().to_vec());
    }

    /// True if there is a Secret of that name.
    pub fn contains(&self, name: &str) -> bool {
        self.0.contains_key(name)
    }

    /// A field as it is.
    pub(super) fn bytes(&self, name: &str, key: &str) -> Result<&[u8], SecretError> {
        let value = self.0.get(name).ok_or(SecretError::NotFound)?;
        let value = value.get(key).ok_or(SecretError::NoKey)?;
        if value.is_empty() {
            return Err(SecretError::Empty);
        }
        Ok(value)
    }

    /// A text of any form, such as a key file. White space around it is cut off.
    pub fn text(&self, reference: &SecretKeyRef) -> Result<&str, SecretError> {
        let value = self.0.get(&reference.name).ok_or(SecretError::NotFound)?;
        let value = value.get(&reference.key).ok_or(SecretError::NoKey)?;
        let text = std::str::from_utf8(value).map_err(|_| SecretError::NotText)?.trim();
        if text.is_empty() {
            Err(SecretError::Empty)
        } else {
            Ok(text)
        }
    }

    /// A credential. White space around it is cut off: many Secrets are made with a line break at the end.
    pub fn credential(&self, reference: &SecretKeyRef) -> Result<&str, SecretError> {
        let text = self.text(reference)?;
        if !text.bytes().all(|byte| byte.is_ascii_graphic()) {
            return Err(SecretError::NotText);
        }
        Ok(text)
    }
}

impl<'a> FromIterator<&'a Secret> for Secrets {
    fn from_iter<T: IntoIterator<Item = &'a Secret>>(iter: T) -> Self {
        let mut secrets = Self::default();
        for secret in iter {
            secrets.insert(secret);
        }
        secrets
    }
}

/// ConfigMaps of one namespace.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct ConfigMaps(BTreeMap<String, BTreeMap<String, String>>);

impl ConfigMaps {
    /// A field as it is.
    pub(super) fn text(&self, name: &str, key: &str) -> Result<&str, SecretError> {
        let value = self.0.get(name).ok_or(SecretError::NotFound)?;
        let value = value.get(key).ok_or(SecretError::NoKey)?;
        if value.is_empty() {
            return Err(SecretError::Empty);
        }
        Ok(value)
    }
}

impl<'a> FromIterator<&'a ConfigMap> for ConfigMaps {
    fn from_iter<T: IntoIterator<Item = &'a ConfigMap>>(iter: T) -> Self {
        let data = |map: &ConfigMap| (map.name_any(), map.data.clone().unwrap_or_default());
        Self(iter.into_iter().map(data).collect())
    }
}

//! The root key: one Secret in the install namespace from which the keys of all gateways derive.
//!
//! It is made once and never overwritten. Who deletes it gets a new one, and every gateway a new configuration with keys
//! derived from that.

use std::sync::Arc;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use futures::StreamExt as _;
use k8s_openapi::ByteString;
use k8s_openapi::api::core::v1::Secret;
use kube::api::{ObjectMeta, PostParams};
use kube::runtime::WatchStreamExt as _;
use kube::runtime::watcher::watch_object;
use kube::{Api, Client};
use parking_lot::RwLock;
use tokenweir_config::admin_token::{derive_admin_key, derive_key_hash_key};
use tokenweir_config::keys::{KeyError, decode_32, generate_secret};
use tokenweir_config::names::{ROOT_KEY_FIELD, ROOT_KEY_SECRET};
use tokenweir_crds::compile::Keys;
use tokio_util::sync::CancellationToken;

use crate::runtime::WatchBackoff;
use crate::watch::{MANAGED_BY, MANAGED_BY_LABEL};

/// There is no root key to derive from.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum RootKeyMissing {
    /// It has not been read yet.
    #[error("the root key has not been read yet")]
    NotRead,
    /// The derived keys are not keys.
    #[error("the derived keys cannot be used: {0}")]
    Derived(#[from] KeyError),
}

/// Why the root key cannot be had.
#[derive(Debug, thiserror::Error)]
pub enum RootKeyError {
    /// The API server refused or did not answer.
    #[error("secret {ROOT_KEY_SECRET} cannot be read or made: {0}")]
    Api(#[from] kube::Error),
    /// No randomness.
    #[error("no root key can be made: {0}")]
    Random(#[from] KeyError),
    /// The Secret has another content than 32 bytes in base64.
    #[error("secret {ROOT_KEY_SECRET} has no usable field {ROOT_KEY_FIELD}; delete it, and a new one is made")]
    Malformed,
}

/// Keys of one gateway.
#[derive(Clone)]
pub struct GatewayKeys {
    /// For the compiler.
    pub compile: Keys,
    /// Base64 key of the admin port.
    pub admin: String,
}

/// The key as it is now. Clones share it.
#[derive(Clone, Default)]
pub struct RootKey {
    bytes: Arc<RwLock<Option<[u8; 32]>>>,
}

impl RootKey {
    /// A root key that is known already.
    #[cfg(test)]
    pub fn of(bytes: [u8; 32]) -> Self {
        Self {
            bytes: Arc::new(RwLock::new(Some(bytes))),
        }
    }

    /// Derives the keys of a gateway.
    pub fn derive(&self, namespace: &str, gateway: &str) -> Result<GatewayKeys, RootKeyMissing> {
        let root = self.bytes.read().ok_or(RootKeyMissing::NotRead)?;
        let admin = derive_admin_key(&root, namespace, gateway);
        let hash = derive_key_hash_key(&root, namespace, gateway);
        Ok(GatewayKeys {
            compile: Keys::new(hash, Some(admin.clone()))?,
            admin,
        })
    }

    /// Reads the Secret, or makes it. Safe beside another process that does the same: the first one wins.
    pub async fn ensure(&self, client: &Client, namespace: &str) -> Result<(), RootKeyError> {
        let api: Api<Secret> = Api::namespaced(client.clone(), namespace);
        let secret = match api.get_opt(ROOT_KEY_SECRET).await? {
            Some(secret) => secret,
            None => match api.create(&PostParams::default(), &new_secret()?).await {
                Ok(secret) => {
                    tracing::info!(secret = ROOT_KEY_SECRET, "made the root key");
                    secret
                }
                Err(kube::Error::Api(status)) if status.is_already_exists() => api.get(ROOT_KEY_SECRET).await?,
                Err(error) => return Err(error.into()),
            },
        };
        let bytes = parse(&secret)?;
        *self.bytes.write() = Some(bytes);
        Ok(())
    }

    /// Watches over the Secret until `shutdown`: makes it again if it is deleted, and calls `changed` whenever there is another
    /// key.
    pub async fn keep(
        &self,
        client: Client,
        namespace: String,
        changed: impl Fn() + Send,
        shutdown: CancellationToken,
    ) {
        let api: Api<Secret> = Api::namespaced(client.clone(), &namespace);
        let watch = watch_object(api, ROOT_KEY_SECRET).backoff(WatchBackoff::default());
        let mut watch = std::pin::pin!(watch);
        loop {
            let event = tokio::select! {
                () = shutdown.cancelled() => return,
                event = watch.next() => event,
            };
            match event {
                None => return,
                Some(Ok(_)) => {
                    let before = *self.bytes.read();
                    if let Err(error) = self.ensure(&client, &namespace).await {
                        tracing::error!(%error, "the root key is not as it should be");
                    }
                    if *self.bytes.read() != before {
                        changed();
                    }
                }
                Some(Err(error)) => tracing::warn!(%error, "the watch over the root key broke and is taken up again"),
            }
        }
    }
}

fn parse(secret: &Secret) -> Result<[u8; 32], RootKeyError> {
    let data = secret.data.as_ref().and_then(|data| data.get(ROOT_KEY_FIELD));
    let text = data
        .and_then(|bytes| std::str::from_utf8(&bytes.0).ok())
        .ok_or(RootKeyError::Malformed)?;
    decode_32(text.trim()).map_err(|_| RootKeyError::Malformed)
}

fn new_secret() -> Result<Secret, KeyError> {
    let key = generate_secret()?;
    debug_assert!(STANDARD.decode(&key).is_ok());
    Ok(Secret {
        metadata: ObjectMeta {
            name: Some(ROOT_KEY_SECRET.to_owned()),
            labels: Some([(MANAGED_BY_LABEL.to_owned(), MANAGED_BY.to_owned())].into()),
            ..ObjectMeta::default()
        },
        data: Some([(ROOT_KEY_FIELD.to_owned(), ByteString(key.into_bytes()))].into()),
        ..Secret::default()
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::kubernetes::fake::{Fake, answer};
    use serde_json::json;

    fn stored(key: &str) -> serde_json::Value {
        json!({"metadata": {"name": ROOT_KEY_SECRET}, "data": {ROOT_KEY_FIELD: STANDARD.encode(key)}})
    }

    #[tokio::test]
    async fn a_key_that_another_replica_made_first_is_taken() {
        let theirs = STANDARD.encode([9; 32]);
        let (client, requests) = Fake::serve(vec![
            answer(404, &json!({"kind": "Status", "code": 404, "reason": "NotFound"})),
            answer(409, &json!({"kind": "Status", "code": 409, "reason": "AlreadyExists"})),
            answer(200, &stored(&theirs)),
        ]);
        let key = RootKey::default();
        key.ensure(&client, "tokenweir-system").await.unwrap();
        assert_eq!(*key.bytes.read(), Some([9; 32]));
        let methods: Vec<String> = requests.finish().await.into_iter().map(|r| r.method).collect();
        assert_eq!(methods, ["GET", "POST", "GET"]);
    }

    #[tokio::test]
    async fn a_secret_of_another_content_is_refused_and_never_overwritten() {
        let (client, requests) = Fake::serve(vec![answer(200, &stored("short"))]);
        let key = RootKey::default();
        let error = key.ensure(&client, "tokenweir-system").await.unwrap_err();
        assert!(matches!(error, RootKeyError::Malformed));
        assert_eq!(requests.finish().await.len(), 1);
        assert!(key.derive("llm", "edge").is_err());
    }

    #[test]
    fn gateways_get_keys_of_their_own() {
        let key = RootKey::of([1; 32]);
        assert_ne!(
            key.derive("llm", "a").unwrap().admin,
            key.derive("llm", "b").unwrap().admin
        );
    }
}

//! The key from which the tokens for all gateways' admin ports are derived.

use k8s_openapi::api::core::v1::Secret;
use kube::{Api, Client};
use tokenweir_config::names::{ROOT_KEY_FIELD, ROOT_KEY_SECRET};
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;

use crate::named::follow;

/// The raw root key; `None` until the operator has made it.
pub type RootKey = Option<Vec<u8>>;

/// Keeps `key` equal to the Secret of the root key in `namespace` until `stop`.
pub async fn follow_root_key(client: Client, namespace: &str, key: watch::Sender<RootKey>, stop: CancellationToken) {
    let api: Api<Secret> = Api::namespaced(client, namespace);
    follow(&api, ROOT_KEY_SECRET, &stop, |secret| {
        let found = secret
            .and_then(|secret| secret.data?.remove(ROOT_KEY_FIELD))
            .map(|bytes| bytes.0);
        let found = found.filter(|bytes| !bytes.is_empty());
        if found.is_none() {
            // The last key may still open the gateways; without one at all, streams wait.
            tracing::warn!(
                secret = ROOT_KEY_SECRET,
                field = ROOT_KEY_FIELD,
                "the root key is missing"
            );
            return;
        }
        key.send_if_modified(|current| {
            let changed = *current != found;
            *current = found;
            changed
        });
    })
    .await;
}

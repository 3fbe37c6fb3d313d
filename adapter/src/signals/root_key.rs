//! The key from which the tokens for all gateways' admin ports are derived.

use k8s_openapi::api::core::v1::Secret;
use kube::{Api, Client};
use tokenweir_config::keys::decode_32;
use tokenweir_config::names::{ROOT_KEY_FIELD, ROOT_KEY_SECRET};
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;

use crate::named::follow;

/// The root key; `None` until the operator has made it.
pub type RootKey = Option<[u8; 32]>;

/// Keeps `key` equal to the Secret of the root key in `namespace` until `stop`.
pub async fn follow_root_key(client: Client, namespace: &str, key: watch::Sender<RootKey>, stop: CancellationToken) {
    let api: Api<Secret> = Api::namespaced(client, namespace);
    follow(&api, ROOT_KEY_SECRET, &stop, |secret| {
        let Some(found) = secret.and_then(|secret| read(&secret)) else {
            // The last key may still open the gateways; without one at all, streams wait.
            tracing::warn!(
                secret = ROOT_KEY_SECRET,
                field = ROOT_KEY_FIELD,
                "the root key is missing or no key"
            );
            return;
        };
        key.send_if_modified(|current| {
            let changed = *current != Some(found);
            *current = Some(found);
            changed
        });
    })
    .await;
}

/// The key in a Secret: 32 bytes in base64, beneath the base64 of the Secret itself.
fn read(secret: &Secret) -> RootKey {
    let field = secret.data.as_ref()?.get(ROOT_KEY_FIELD)?;
    decode_32(std::str::from_utf8(&field.0).ok()?.trim()).ok()
}

#[cfg(test)]
mod tests {
    use k8s_openapi::ByteString;
    use tokenweir_config::keys::generate_secret;

    use super::*;

    fn secret(text: &str) -> Secret {
        let data = [(ROOT_KEY_FIELD.to_owned(), ByteString(text.as_bytes().to_vec()))].into();
        Secret {
            data: Some(data),
            ..Secret::default()
        }
    }

    #[test]
    fn a_key_is_read_as_the_operator_writes_it() {
        let written = generate_secret().unwrap();
        assert_eq!(read(&secret(&written)), Some(decode_32(&written).unwrap()));
        assert_eq!(
            read(&secret(&format!("{written}\n"))),
            Some(decode_32(&written).unwrap())
        );
        for broken in ["", "short", "c2hvcnQ="] {
            assert_eq!(read(&secret(broken)), None, "{broken}");
        }
        assert_eq!(read(&Secret::default()), None);
    }
}

//! The service account whose assertions are taken, and the tokens that were given for them.

use std::collections::HashMap;
use std::path::Path;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use parking_lot::Mutex;
use ring::rsa::KeyPair;
use ring::signature::{KeyPair as _, RSA_PKCS1_2048_8192_SHA256, UnparsedPublicKey};
use rustls::pki_types::PrivateKeyDer;
use rustls::pki_types::pem::PemObject as _;
use serde::Deserialize;
use tokio::time::Instant;

use super::unix_seconds;

/// How many tokens are kept; a client needs one at a time.
const MOST: usize = 1000;

/// The key file of a service account, as Google gives it out.
#[derive(Deserialize)]
struct KeyFile {
    client_email: String,
    private_key: String,
    private_key_id: Option<String>,
    token_uri: String,
}

/// Why a key file is of no use.
#[derive(Debug, thiserror::Error)]
pub(crate) enum KeyFileError {
    #[error(transparent)]
    Read(#[from] std::io::Error),
    #[error("not the key file of a service account: {0}")]
    Parse(#[from] serde_json::Error),
    #[error("the private key is not RSA in PKCS#8")]
    Key,
}

/// A service account.
#[derive(Debug)]
pub(crate) struct ServiceAccount {
    pub(crate) email: String,
    pub(crate) key_id: Option<String>,
    pub(crate) token_uri: String,
    public_key: Vec<u8>,
    lifetime: Duration,
    given: AtomicU64,
    tokens: Mutex<HashMap<String, Instant>>,
}

impl ServiceAccount {
    /// Reads a key file. Of its private key only the public part is kept.
    pub(crate) fn read(path: &Path, lifetime: Duration) -> Result<Self, KeyFileError> {
        let file: KeyFile = serde_json::from_slice(&std::fs::read(path)?)?;
        let key = match PrivateKeyDer::from_pem_slice(file.private_key.as_bytes()) {
            Ok(PrivateKeyDer::Pkcs8(key)) => KeyPair::from_pkcs8(key.secret_pkcs8_der()).ok(),
            _ => None,
        };
        Ok(Self {
            email: file.client_email,
            key_id: file.private_key_id,
            token_uri: file.token_uri,
            public_key: key.ok_or(KeyFileError::Key)?.public_key().as_ref().to_vec(),
            lifetime,
            given: AtomicU64::new(0),
            tokens: Mutex::default(),
        })
    }

    /// Whether the account's key has signed a text.
    pub(crate) fn has_signed(&self, text: &[u8], proof: &[u8]) -> bool {
        let key = UnparsedPublicKey::new(&RSA_PKCS1_2048_8192_SHA256, &self.public_key);
        key.verify(text, proof).is_ok()
    }

    /// A new token, and how many seconds it is valid.
    pub(crate) fn issue(&self) -> (String, u64) {
        let number = self.given.fetch_add(1, Ordering::Relaxed) + 1;
        let token = format!("ya29.sim-{}-{number}", unix_seconds());
        let mut tokens = self.tokens.lock();
        if tokens.len() >= MOST {
            tokens.clear();
        }
        tokens.insert(token.clone(), Instant::now() + self.lifetime);
        (token, self.lifetime.as_secs())
    }

    /// Whether a token was given and is still valid.
    pub(crate) fn knows(&self, token: &str) -> bool {
        self.tokens
            .lock()
            .get(token)
            .is_some_and(|until| *until > Instant::now())
    }
}

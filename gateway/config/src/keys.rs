//! API keys: made once, shown once, stored only as keyed hashes.
//!
//! A snapshot carries `HMAC-SHA256(hash key, api key)`. Whoever reads a snapshot cannot turn a hash back into a key, and
//! whoever reads only the hashes cannot even test guesses without the hash key.

use base64::Engine as _;
use base64::engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD};
use ring::hmac;
use ring::rand::{SecureRandom, SystemRandom};

/// What every minted API key begins with, so that secret scanners can find a leaked one.
pub const API_KEY_PREFIX: &str = "twk_";

/// A 32-byte hash of an API key.
pub type KeyHash = [u8; 32];

/// Why a key could not be made or read.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum KeyError {
    /// The operating system gave no randomness.
    #[error("the system's random source failed")]
    Random,
    /// Not base64, or not 32 bytes.
    #[error("not 32 bytes of base64")]
    Encoding,
}

/// Makes 32 random bytes, in base64.
pub fn generate_secret() -> Result<String, KeyError> {
    Ok(STANDARD.encode(random_32()?))
}

/// Makes a new API key: [`API_KEY_PREFIX`] and 32 random bytes in URL-safe base64.
pub fn generate_api_key() -> Result<String, KeyError> {
    Ok(format!("{API_KEY_PREFIX}{}", URL_SAFE_NO_PAD.encode(random_32()?)))
}

/// Decodes 32 bytes of base64, as in `key_hash_key`, `hash` and `admin_key`.
pub fn decode_32(text: &str) -> Result<[u8; 32], KeyError> {
    STANDARD
        .decode(text)
        .ok()
        .and_then(|bytes| bytes.try_into().ok())
        .ok_or(KeyError::Encoding)
}

/// Hashes API keys under one hash key. Make one per snapshot: it holds the prepared HMAC state.
#[derive(Clone)]
pub struct KeyHasher(hmac::Key);

impl std::fmt::Debug for KeyHasher {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("KeyHasher(<redacted>)")
    }
}

impl KeyHasher {
    /// Prepares a hasher from the base64 `key_hash_key` of a snapshot.
    pub fn new(key_hash_key: &str) -> Result<Self, KeyError> {
        Ok(Self(hmac::Key::new(hmac::HMAC_SHA256, &decode_32(key_hash_key)?)))
    }

    /// Hashes an API key.
    ///
    /// Looking the result up in a hash table leaks nothing useful by timing: without the hash key an attacker cannot
    /// choose inputs whose hashes share a prefix.
    pub fn hash(&self, api_key: &[u8]) -> KeyHash {
        let mut out = [0; 32];
        out.copy_from_slice(hmac::sign(&self.0, api_key).as_ref());
        out
    }

    /// Hashes an API key into the base64 form of a snapshot.
    pub fn hash_base64(&self, api_key: &[u8]) -> String {
        STANDARD.encode(self.hash(api_key))
    }
}

fn random_32() -> Result<[u8; 32], KeyError> {
    let mut bytes = [0; 32];
    SystemRandom::new().fill(&mut bytes).map_err(|_| KeyError::Random)?;
    Ok(bytes)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_hash_depends_on_the_key_and_on_the_hash_key() {
        let one = KeyHasher::new(&STANDARD.encode([1; 32])).unwrap();
        let two = KeyHasher::new(&STANDARD.encode([2; 32])).unwrap();
        assert_eq!(one.hash(b"a"), one.hash(b"a"));
        assert_ne!(one.hash(b"a"), one.hash(b"b"));
        assert_ne!(one.hash(b"a"), two.hash(b"a"));
        assert_eq!(decode_32(&one.hash_base64(b"a")).unwrap(), one.hash(b"a"));
    }

    #[test]
    fn generated_keys_differ_and_carry_the_prefix() {
        let (a, b) = (generate_api_key().unwrap(), generate_api_key().unwrap());
        assert_ne!(a, b);
        assert!(a.starts_with(API_KEY_PREFIX));
        assert_eq!(decode_32(&generate_secret().unwrap()).unwrap().len(), 32);
    }

    #[test]
    fn a_hash_key_of_the_wrong_length_is_refused() {
        assert_eq!(KeyHasher::new("c2hvcnQ=").unwrap_err(), KeyError::Encoding);
    }
}

//! Who may use the admin port of a gateway pod.
//!
//! The operator and the adapter share one root key. For each gateway they derive a key of its own, which the snapshot
//! carries, so that a gateway that leaks its key opens no other gateway. Callers mint tokens that name one scope and end
//! soon:
//!
//! `tw1.SCOPE.EXPIRES.MAC` with `MAC = base64url(HMAC-SHA256(gateway key, "tw1.SCOPE.EXPIRES"))`
//!
//! No API server is asked, so status and signals work while it is away.

use base64::Engine as _;
use base64::engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD};
use ring::hmac;

use crate::keys::{KeyError, decode_32};

/// How long a minted token is valid, in seconds. Covers clock differences between nodes, and is short enough that a token
/// seen on the wire is soon worthless. A signal stream that has begun is not cut when its token ends.
pub const LIFETIME_SECONDS: i64 = 60;

/// What a token allows.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Scope {
    /// Read `/status`.
    Status,
    /// Subscribe to live signals.
    Signals,
}

impl Scope {
    fn as_str(self) -> &'static str {
        match self {
            Self::Status => "status",
            Self::Signals => "signals",
        }
    }

    fn parse(text: &str) -> Option<Self> {
        match text {
            "status" => Some(Self::Status),
            "signals" => Some(Self::Signals),
            _ => None,
        }
    }
}

/// Why a caller is turned away.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum Denied {
    /// Answer 401.
    #[error("the token is missing, forged or over")]
    Unauthenticated,
    /// Answer 403.
    #[error("the token does not allow this")]
    Forbidden,
}

/// Derives the base64 admin key of one gateway from the raw root key.
pub fn derive_admin_key(root_key: &[u8], namespace: &str, gateway: &str) -> String {
    let root = hmac::Key::new(hmac::HMAC_SHA256, root_key);
    // A slash cannot stand in a Kubernetes name, so the message is unambiguous.
    STANDARD.encode(hmac::sign(&root, format!("admin/{namespace}/{gateway}").as_bytes()).as_ref())
}

/// Derives the base64 key under which one gateway's API keys are hashed, from the raw root key. See [`crate::keys`].
pub fn derive_key_hash_key(root_key: &[u8], namespace: &str, gateway: &str) -> String {
    let root = hmac::Key::new(hmac::HMAC_SHA256, root_key);
    STANDARD.encode(hmac::sign(&root, format!("keys/{namespace}/{gateway}").as_bytes()).as_ref())
}

/// Mints and verifies the tokens of one gateway.
#[derive(Clone)]
pub struct AdminKey(hmac::Key);

impl std::fmt::Debug for AdminKey {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("AdminKey(<redacted>)")
    }
}

impl AdminKey {
    /// Prepares the base64 `admin_key` of a snapshot.
    pub fn new(admin_key: &str) -> Result<Self, KeyError> {
        Ok(Self(hmac::Key::new(hmac::HMAC_SHA256, &decode_32(admin_key)?)))
    }

    /// Mints a token that ends [`LIFETIME_SECONDS`] after `now_unix` (seconds).
    pub fn mint(&self, scope: Scope, now_unix: i64) -> String {
        let head = format!("tw1.{}.{}", scope.as_str(), now_unix + LIFETIME_SECONDS);
        let mac = URL_SAFE_NO_PAD.encode(hmac::sign(&self.0, head.as_bytes()).as_ref());
        format!("{head}.{mac}")
    }

    /// Checks a token against the scope that the request needs. The MAC is compared in constant time.
    pub fn verify(&self, token: &str, needed: Scope, now_unix: i64) -> Result<(), Denied> {
        let (head, mac) = token.rsplit_once('.').ok_or(Denied::Unauthenticated)?;
        let mac = URL_SAFE_NO_PAD.decode(mac).map_err(|_| Denied::Unauthenticated)?;
        hmac::verify(&self.0, head.as_bytes(), &mac).map_err(|_| Denied::Unauthenticated)?;
        let mut parts = head.split('.');
        let (Some("tw1"), Some(scope), Some(expires), None) = (parts.next(), parts.next(), parts.next(), parts.next())
        else {
            return Err(Denied::Unauthenticated);
        };
        let expires: i64 = expires.parse().map_err(|_| Denied::Unauthenticated)?;
        if now_unix >= expires {
            return Err(Denied::Unauthenticated);
        }
        if Scope::parse(scope) == Some(needed) {
            Ok(())
        } else {
            Err(Denied::Forbidden)
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn key(gateway: &str) -> AdminKey {
        AdminKey::new(&derive_admin_key(&[7; 32], "llm", gateway)).unwrap()
    }

    #[test]
    fn a_token_opens_its_scope_until_it_ends() {
        let token = key("edge").mint(Scope::Status, 1_000);
        assert_eq!(
            key("edge").verify(&token, Scope::Status, 1_000 + LIFETIME_SECONDS - 1),
            Ok(())
        );
        assert_eq!(
            key("edge").verify(&token, Scope::Signals, 1_000),
            Err(Denied::Forbidden)
        );
        assert_eq!(
            key("edge").verify(&token, Scope::Status, 1_000 + LIFETIME_SECONDS),
            Err(Denied::Unauthenticated)
        );
    }

    #[test]
    fn a_token_of_another_gateway_or_a_changed_one_is_refused() {
        let token = key("edge").mint(Scope::Status, 1_000);
        assert_eq!(
            key("other").verify(&token, Scope::Status, 1_000),
            Err(Denied::Unauthenticated)
        );
        let forged = token.replace("status", "signals");
        assert_eq!(
            key("edge").verify(&forged, Scope::Signals, 1_000),
            Err(Denied::Unauthenticated)
        );
        for junk in ["", "tw1", "a.b", "tw1.status.9999999999.", "....", "tw1.status.x.AAAA"] {
            assert_eq!(
                key("edge").verify(junk, Scope::Status, 0),
                Err(Denied::Unauthenticated),
                "{junk}"
            );
        }
    }
}

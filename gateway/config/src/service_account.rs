//! Google's service accounts: a key file, and the signed assertion that is exchanged for an access token.
//!
//! The compiler reads a key to say what is wrong with it, the gateway to sign.

use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use ring::rand::SystemRandom;
use ring::signature::{RSA_PKCS1_SHA256, RsaKeyPair};
use rustls_pki_types::PrivatePkcs8KeyDer;
use rustls_pki_types::pem::PemObject as _;
use serde::{Deserialize, Serialize};

/// What a token is asked for.
const SCOPE: &str = "https://www.googleapis.com/auth/cloud-platform";
/// How long an assertion is good for: the longest that Google takes.
const LIFETIME: Duration = Duration::from_hours(1);

/// Why a key file is of no use. Never quotes it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum ServiceAccountError {
    /// It is not the JSON of a service account's key.
    #[error("the key is not the JSON of a service account with client_email, private_key and token_uri")]
    Form,
    /// `private_key` is no RSA key in PKCS#8.
    #[error("private_key is not an RSA key in PKCS #8 PEM")]
    PrivateKey,
    /// `token_uri` is not an http or https URL.
    #[error("token_uri is not an http or https URL")]
    TokenUri,
    /// The machine gave no random numbers.
    #[error("the assertion cannot be signed")]
    Signature,
}

/// A service account and its private key. Its `Debug` form never shows the key.
pub struct ServiceAccount {
    email: String,
    key_id: Option<String>,
    key: RsaKeyPair,
    token_uri: String,
}

#[derive(Deserialize)]
struct KeyFile {
    client_email: String,
    private_key: String,
    private_key_id: Option<String>,
    token_uri: String,
}

#[derive(Serialize)]
struct Header<'a> {
    alg: &'static str,
    typ: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    kid: Option<&'a str>,
}

#[derive(Serialize)]
struct Claims<'a> {
    iss: &'a str,
    scope: &'static str,
    aud: &'a str,
    iat: u64,
    exp: u64,
}

impl ServiceAccount {
    /// Reads a key file as Google gives it out.
    pub fn from_json(text: &str) -> Result<Self, ServiceAccountError> {
        let file: KeyFile = serde_json::from_str(text).map_err(|_| ServiceAccountError::Form)?;
        let der = PrivatePkcs8KeyDer::from_pem_slice(file.private_key.as_bytes())
            .map_err(|_| ServiceAccountError::PrivateKey)?;
        let key = RsaKeyPair::from_pkcs8(der.secret_pkcs8_der()).map_err(|_| ServiceAccountError::PrivateKey)?;
        let schemes = ["https://", "http://"];
        let rest = schemes.iter().find_map(|scheme| file.token_uri.strip_prefix(scheme));
        // Visible ASCII and a host: what every client of HTTP takes as a URL.
        let is_url = rest.is_some_and(|rest| !rest.starts_with('/') && !rest.is_empty())
            && file.token_uri.bytes().all(|byte| byte.is_ascii_graphic());
        if !is_url {
            return Err(ServiceAccountError::TokenUri);
        }
        Ok(Self {
            email: file.client_email,
            key_id: file.private_key_id,
            key,
            token_uri: file.token_uri,
        })
    }

    /// Where tokens are asked for.
    pub fn token_uri(&self) -> &str {
        &self.token_uri
    }

    /// A signed assertion: a JSON web token of RS256. `unix` is the time since 1970.
    pub fn assertion(&self, unix: Duration) -> Result<String, ServiceAccountError> {
        let encode = |json: &[u8]| URL_SAFE_NO_PAD.encode(json);
        let header = Header {
            alg: "RS256",
            typ: "JWT",
            kid: self.key_id.as_deref(),
        };
        let claims = Claims {
            iss: &self.email,
            scope: SCOPE,
            aud: &self.token_uri,
            iat: unix.as_secs(),
            exp: (unix + LIFETIME).as_secs(),
        };
        let header = serde_json::to_vec(&header).map_err(|_| ServiceAccountError::Form)?;
        let claims = serde_json::to_vec(&claims).map_err(|_| ServiceAccountError::Form)?;
        let mut token = format!("{}.{}", encode(&header), encode(&claims));
        let mut signature = vec![0; self.key.public().modulus_len()];
        self.key
            .sign(
                &RSA_PKCS1_SHA256,
                &SystemRandom::new(),
                token.as_bytes(),
                &mut signature,
            )
            .map_err(|_| ServiceAccountError::Signature)?;
        token.push('.');
        token.push_str(&encode(&signature));
        Ok(token)
    }
}

impl std::fmt::Debug for ServiceAccount {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("ServiceAccount")
            .field("email", &self.email)
            .field("token_uri", &self.token_uri)
            .finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use ring::signature::{RSA_PKCS1_2048_8192_SHA256, UnparsedPublicKey};

    use super::*;

    /// A key made for these tests alone.
    const PEM: &str = include_str!("../testdata/service-account.pem");

    fn key_file(token_uri: &str) -> String {
        serde_json::json!({
            "type": "service_account",
            "client_email": "gateway@project.iam.gserviceaccount.com",
            "private_key_id": "k1",
            "private_key": PEM,
            "token_uri": token_uri,
        })
        .to_string()
    }

    #[test]
    fn an_assertion_is_signed_and_says_who_asks_whom_for_what_and_until_when() {
        let account = ServiceAccount::from_json(&key_file("https://oauth2.googleapis.com/token")).unwrap();
        let token = account.assertion(Duration::from_secs(1_700_000_000)).unwrap();
        let (signed, signature) = token.rsplit_once('.').unwrap();
        let decode = |text: &str| URL_SAFE_NO_PAD.decode(text).unwrap();
        UnparsedPublicKey::new(&RSA_PKCS1_2048_8192_SHA256, account.key.public().as_ref())
            .verify(signed.as_bytes(), &decode(signature))
            .unwrap();
        let (header, claims) = signed.split_once('.').unwrap();
        let json = |text: &str| serde_json::from_slice::<serde_json::Value>(&decode(text)).unwrap();
        assert_eq!(
            json(header),
            serde_json::json!({"alg": "RS256", "typ": "JWT", "kid": "k1"})
        );
        assert_eq!(
            json(claims),
            serde_json::json!({
                "iss": "gateway@project.iam.gserviceaccount.com",
                "scope": "https://www.googleapis.com/auth/cloud-platform",
                "aud": "https://oauth2.googleapis.com/token",
                "iat": 1_700_000_000,
                "exp": 1_700_003_600,
            })
        );
    }

    #[test]
    fn a_key_that_is_of_no_use_says_what_is_wrong_and_nothing_of_itself() {
        let broken = key_file("https://h/").replace("PRIVATE KEY", "PUBLIC KEY");
        for (text, error) in [
            ("s3cret", ServiceAccountError::Form),
            ("{}", ServiceAccountError::Form),
            (&broken, ServiceAccountError::PrivateKey),
            (&key_file("ftp://h/"), ServiceAccountError::TokenUri),
            (&key_file("/token"), ServiceAccountError::TokenUri),
        ] {
            assert_eq!(ServiceAccount::from_json(text).unwrap_err(), error);
        }
        let shown = format!("{:?}", ServiceAccount::from_json(&key_file("https://h/")).unwrap());
        assert!(shown.contains("gateway@project") && !shown.contains("key"), "{shown}");
    }
}

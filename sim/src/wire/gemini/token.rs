//! Google's endpoint for the tokens of service accounts: a signed assertion for a bearer token (RFC 7523).

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde::Deserialize;
use serde_json::{Value, json};

use crate::state::{ServiceAccount, unix_seconds};

const GRANT: &str = "urn:ietf:params:oauth:grant-type:jwt-bearer";
/// An assertion lives for an hour at most.
const LONGEST: u64 = 3600;
/// Clocks may differ so much.
const SKEW: u64 = 300;

#[derive(Deserialize)]
struct Header {
    alg: String,
    kid: Option<String>,
}

#[derive(Deserialize)]
struct Claims {
    iss: String,
    aud: String,
    scope: Option<String>,
    iat: u64,
    exp: u64,
}

/// Answers a form with a status and a body: a token, or why there is none.
pub(in super::super) fn grant(account: Option<&ServiceAccount>, form: &[u8]) -> (u16, Value) {
    match checked(account, form) {
        Ok(account) => {
            let (token, seconds) = account.issue();
            (
                200,
                json!({"access_token": token, "expires_in": seconds, "token_type": "Bearer"}),
            )
        }
        Err((error, why)) => (400, json!({"error": error, "error_description": why})),
    }
}

type Denied = (&'static str, &'static str);

fn checked<'a>(account: Option<&'a ServiceAccount>, form: &[u8]) -> Result<&'a ServiceAccount, Denied> {
    let account = account.ok_or(("invalid_client", "no service account is configured"))?;
    let text = std::str::from_utf8(form).map_err(|_| ("invalid_request", "not a form"))?;
    let field = |name| super::super::route::parameter(Some(text), name);
    if field("grant_type").as_deref() != Some(GRANT) {
        return Err(("unsupported_grant_type", "Invalid grant_type"));
    }
    let assertion = field("assertion").ok_or(("invalid_request", "Missing parameter: assertion"))?;
    let (signed, proof) = assertion
        .rsplit_once('.')
        .ok_or(("invalid_grant", "Invalid JWT: not three parts"))?;
    let (header, claims) = signed
        .split_once('.')
        .ok_or(("invalid_grant", "Invalid JWT: not three parts"))?;
    let header: Header = decoded(header)?;
    let claims: Claims = decoded(claims)?;
    let proof = URL_SAFE_NO_PAD
        .decode(proof)
        .map_err(|_| ("invalid_grant", "Invalid JWT: the signature is not base64url"))?;
    let known_key = header.kid.is_none() || header.kid == account.key_id;
    if header.alg != "RS256" || !known_key || !account.has_signed(signed.as_bytes(), &proof) {
        return Err(("invalid_grant", "Invalid JWT Signature."));
    }
    if claims.iss != account.email {
        return Err(("invalid_grant", "Invalid grant: account not found"));
    }
    if claims.aud != account.token_uri {
        return Err((
            "invalid_grant",
            "Invalid JWT: Failed audience check. The right audience is the token URI.",
        ));
    }
    if claims.scope.is_none_or(|scope| scope.is_empty()) {
        return Err(("invalid_scope", "Empty or missing scope not allowed."));
    }
    let now = unix_seconds();
    let in_time = claims.iat <= now + SKEW && claims.exp + SKEW >= now && claims.exp > claims.iat;
    if !in_time || claims.exp - claims.iat > LONGEST {
        let why = "Invalid JWT: Token must be a short-lived token (60 minutes) and in a reasonable timeframe.";
        return Err(("invalid_grant", why));
    }
    Ok(account)
}

fn decoded<T: serde::de::DeserializeOwned>(part: &str) -> Result<T, Denied> {
    let bytes = URL_SAFE_NO_PAD.decode(part).ok();
    bytes
        .and_then(|bytes| serde_json::from_slice(&bytes).ok())
        .ok_or(("invalid_grant", "Invalid JWT: a part is not JSON in base64url"))
}

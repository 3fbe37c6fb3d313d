//! Whether a request is signed as Amazon wants it (Signature Version 4).

use std::fmt::Write;

use http::request::Parts;
use ring::{digest, hmac};

use super::super::route::decoded;
use crate::config::AwsKeys;
use crate::state::unix_seconds;

/// What clocks may differ, in seconds.
const SKEW: i64 = 300;

/// Why a request is refused, in the words of the API.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub(in super::super) enum Unsigned {
    #[error("Missing Authentication Token")]
    Missing,
    #[error("Authorization header requires {0}")]
    Incomplete(&'static str),
    #[error("Credential should be scoped to a valid region and the service 'bedrock'")]
    Scope,
    #[error("Signature expired or not yet current")]
    Time,
    #[error("The security token included in the request is invalid.")]
    Unknown,
    #[error("The request signature we calculated does not match the signature you provided.")]
    Mismatch,
}

/// The parts of an `Authorization` header.
struct Signed<'a> {
    key: &'a str,
    date: &'a str,
    region: &'a str,
    headers: &'a str,
    signature: &'a str,
}

/// Checks the shape of a signature, and against known keys the signature itself.
pub(in super::super) fn verify(parts: &Parts, body: &[u8], keys: Option<&AwsKeys>) -> Result<(), Unsigned> {
    let header = |name: &str| parts.headers.get(name).and_then(|value| value.to_str().ok());
    let signed = parse(header("authorization").ok_or(Unsigned::Missing)?)?;
    let at = header("x-amz-date").ok_or(Unsigned::Incomplete("existence of a 'X-Amz-Date' header"))?;
    let zoned = format!("{}+0000", at.strip_suffix('Z').unwrap_or_default());
    let time = jiff::fmt::strtime::parse("%Y%m%dT%H%M%S%z", zoned)
        .and_then(|parsed| parsed.to_timestamp())
        .map_err(|_| Unsigned::Time)?;
    let now = i64::try_from(unix_seconds()).unwrap_or(i64::MAX);
    if (time.as_second() - now).abs() > SKEW || !at.starts_with(signed.date) {
        return Err(Unsigned::Time);
    }
    let names: Vec<&str> = signed.headers.split(';').collect();
    if !names.contains(&"host") || !names.contains(&"x-amz-date") || !names.is_sorted() {
        return Err(Unsigned::Incomplete(
            "'host' and 'x-amz-date' in 'SignedHeaders', in order",
        ));
    }
    let Some(keys) = keys else { return Ok(()) };
    let token_fits = keys.session_token.as_deref() == header("x-amz-security-token");
    if signed.key != keys.access_key_id || !token_fits {
        return Err(Unsigned::Unknown);
    }
    if keys.session_token.is_some() && !names.contains(&"x-amz-security-token") {
        return Err(Unsigned::Incomplete("'x-amz-security-token' in 'SignedHeaders'"));
    }
    let hash = hex(digest::digest(&digest::SHA256, canonical(parts, body, &names).as_bytes()).as_ref());
    let (date, region) = (signed.date, signed.region);
    let text = format!("AWS4-HMAC-SHA256\n{at}\n{date}/{region}/bedrock/aws4_request\n{hash}");
    let mac = |key: &[u8], text: &str| hmac::sign(&hmac::Key::new(hmac::HMAC_SHA256, key), text.as_bytes());
    let mut key = mac(format!("AWS4{}", keys.secret_access_key).as_bytes(), date);
    for part in [region, "bedrock", "aws4_request"] {
        key = mac(key.as_ref(), part);
    }
    if hex(mac(key.as_ref(), &text).as_ref()) == signed.signature {
        Ok(())
    } else {
        Err(Unsigned::Mismatch)
    }
}

fn parse(authorization: &str) -> Result<Signed<'_>, Unsigned> {
    let rest = authorization
        .strip_prefix("AWS4-HMAC-SHA256")
        .ok_or(Unsigned::Missing)?;
    let field = |name: &'static str| {
        let mut parts = rest.split(',').map(str::trim);
        parts.find_map(|part| part.strip_prefix(name)?.strip_prefix('='))
    };
    let credential = field("Credential").ok_or(Unsigned::Incomplete("'Credential' parameter"))?;
    let headers = field("SignedHeaders").ok_or(Unsigned::Incomplete("'SignedHeaders' parameter"))?;
    let signature = field("Signature").ok_or(Unsigned::Incomplete("'Signature' parameter"))?;
    if signature.len() != 64 || !signature.bytes().all(|byte| matches!(byte, b'0'..=b'9' | b'a'..=b'f')) {
        return Err(Unsigned::Incomplete("'Signature' parameter in hexadecimal digits"));
    }
    let scope: Vec<&str> = credential.split('/').collect();
    let [key, date, region, "bedrock", "aws4_request"] = scope[..] else {
        return Err(Unsigned::Scope);
    };
    Ok(Signed {
        key,
        date,
        region,
        headers,
        signature,
    })
}

/// The request as it is signed. The path is encoded once more, as every service but S3 wants it.
fn canonical(parts: &Parts, body: &[u8], names: &[&str]) -> String {
    let mut out = format!("{}\n{}\n", parts.method, encoded(parts.uri.path(), true));
    let pairs = parts.uri.query().into_iter().flat_map(|query| query.split('&'));
    let mut query: Vec<String> = pairs
        .map(|pair| pair.split_once('=').unwrap_or((pair, "")))
        .map(|(name, value)| format!("{}={}", encoded(&decoded(name), false), encoded(&decoded(value), false)))
        .collect();
    query.sort();
    out.push_str(&query.join("&"));
    out.push('\n');
    for name in names {
        let values = parts.headers.get_all(*name).iter().map(|value| {
            let text = String::from_utf8_lossy(value.as_bytes()).into_owned();
            text.split_whitespace().collect::<Vec<_>>().join(" ")
        });
        let mut value = values.collect::<Vec<_>>().join(",");
        if *name == "host" && value.is_empty() {
            // HTTP/2 tells the host apart from the headers.
            value = parts.uri.authority().map_or_else(String::new, ToString::to_string);
        }
        // Writing to a String cannot fail.
        let _ = writeln!(out, "{name}:{value}");
    }
    let hash = hex(digest::digest(&digest::SHA256, body).as_ref());
    let _ = write!(out, "\n{}\n{hash}", names.join(";"));
    out
}

/// Percent-encodes all that is not unreserved; slashes stay in paths.
fn encoded(text: &str, path: bool) -> String {
    let mut out = String::with_capacity(text.len());
    for byte in text.bytes() {
        if byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'.' | b'_' | b'~') || (path && byte == b'/') {
            out.push(char::from(byte));
        } else {
            // Writing to a String cannot fail.
            let _ = write!(out, "%{byte:02X}");
        }
    }
    out
}

fn hex(bytes: &[u8]) -> String {
    bytes
        .iter()
        .fold(String::with_capacity(2 * bytes.len()), |mut out, byte| {
            // Writing to a String cannot fail.
            let _ = write!(out, "{byte:02x}");
            out
        })
}

//! Signatures of Amazon's requests: Signature Version 4 for Amazon Bedrock.

use std::time::{Duration, UNIX_EPOCH};

use aws_credential_types::Credentials;
use aws_sigv4::http_request::{SignableBody, SignableRequest, SigningSettings, sign};
use aws_sigv4::sign::v4::SigningParams;
use aws_smithy_runtime_api::client::identity::Identity;
use http::{HeaderMap, HeaderName, HeaderValue};

/// The service in the scope of a signature.
const SERVICE: &str = "bedrock";

/// Why a request cannot be signed.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum SignError {
    /// The signer does not take the request.
    #[error("the request cannot be signed: {0}")]
    Request(String),
    /// The session token does not fit into a header.
    #[error("the signature does not fit into a header")]
    Header,
}

/// Signs requests with the keys of one account for one region. Its `Debug` form never shows the secret.
#[derive(Debug)]
pub struct AwsSigner {
    identity: Identity,
    region: Box<str>,
}

impl AwsSigner {
    /// A signer. The session token is that of temporary keys.
    pub fn new(access_key_id: &str, secret_access_key: &str, session_token: Option<&str>, region: &str) -> Self {
        let session_token = session_token.map(str::to_owned);
        let credentials = Credentials::new(access_key_id, secret_access_key, session_token, None, "tokenweir");
        Self {
            identity: credentials.into(),
            region: region.into(),
        }
    }

    /// Puts the signature of a POST request on its headers: host, time and session token are signed, and the body.
    ///
    /// `uri` is the whole one, as it is sent; `unix` is the time since 1970.
    pub fn apply(&self, uri: &str, body: &[u8], unix: Duration, headers: &mut HeaderMap) -> Result<(), SignError> {
        let wrong = |error: &dyn std::fmt::Display| SignError::Request(error.to_string());
        let params = SigningParams::builder()
            .identity(&self.identity)
            .region(&self.region)
            .name(SERVICE)
            .time(UNIX_EPOCH + unix)
            .settings(SigningSettings::default())
            .build()
            .map_err(|error| wrong(&error))?
            .into();
        let request = SignableRequest::new("POST", uri, std::iter::empty(), SignableBody::Bytes(body))
            .map_err(|error| wrong(&error))?;
        let (instructions, _) = sign(request, &params).map_err(|error| wrong(&error))?.into_parts();
        for (name, value) in instructions.headers() {
            let name = HeaderName::from_bytes(name.as_bytes()).map_err(|_| SignError::Header)?;
            let mut value = HeaderValue::from_str(value).map_err(|_| SignError::Header)?;
            value.set_sensitive(true);
            headers.insert(name, value);
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The keys and the time of Amazon's published test suite.
    const KEY: &str = "AKIDEXAMPLE";
    const SECRET: &str = "wJalrXUtnFEMI/K7MDENG+bPxRfiCYEXAMPLEKEY";
    const TIME: Duration = Duration::from_mins(24_015_636);

    fn signed(signer: &AwsSigner, uri: &str, body: &[u8], time: Duration) -> HeaderMap {
        let mut headers = HeaderMap::new();
        signer.apply(uri, body, time, &mut headers).unwrap();
        headers
    }

    /// Signature Version 4 in the words of its specification, by other means than the crate's.
    fn by_the_book(path: &str, token: Option<&str>, body: &[u8]) -> String {
        use ring::{digest, hmac};
        let hex = |bytes: &[u8]| {
            bytes
                .iter()
                .fold(String::new(), |text, byte| format!("{text}{byte:02x}"))
        };
        let hash = |bytes: &[u8]| hex(digest::digest(&digest::SHA256, bytes).as_ref());
        let mac = |key: &[u8], text: &str| hmac::sign(&hmac::Key::new(hmac::HMAC_SHA256, key), text.as_bytes());
        let (token_line, token_name) = match token {
            Some(token) => (format!("x-amz-security-token:{token}\n"), ";x-amz-security-token"),
            None => (String::new(), ""),
        };
        let canonical = format!(
            "POST\n{path}\n\nhost:bedrock-runtime.us-east-1.amazonaws.com\nx-amz-date:20150830T123600Z\n{token_line}\n\
             host;x-amz-date{token_name}\n{}",
            hash(body)
        );
        let scope = "20150830/us-east-1/bedrock/aws4_request";
        let text = format!(
            "AWS4-HMAC-SHA256\n20150830T123600Z\n{scope}\n{}",
            hash(canonical.as_bytes())
        );
        let mut key = mac(format!("AWS4{SECRET}").as_bytes(), "20150830");
        for part in ["us-east-1", "bedrock", "aws4_request"] {
            key = mac(key.as_ref(), part);
        }
        format!(
            "AWS4-HMAC-SHA256 Credential={KEY}/{scope}, SignedHeaders=host;x-amz-date{token_name}, Signature={}",
            hex(mac(key.as_ref(), &text).as_ref())
        )
    }

    #[test]
    fn a_signature_is_that_of_the_specification_with_the_path_encoded_twice() {
        let uri = "https://bedrock-runtime.us-east-1.amazonaws.com/model/anthropic.claude-v2%3A1/converse";
        let path = "/model/anthropic.claude-v2%253A1/converse";
        let body = br#"{"messages":[]}"#;
        let headers = signed(&AwsSigner::new(KEY, SECRET, None, "us-east-1"), uri, body, TIME);
        assert_eq!(headers["authorization"], by_the_book(path, None, body));
        assert_eq!(headers["x-amz-date"], "20150830T123600Z");
        assert_eq!(headers.get("x-amz-security-token"), None);

        let headers = signed(
            &AwsSigner::new(KEY, SECRET, Some("FwoG/t=="), "us-east-1"),
            uri,
            body,
            TIME,
        );
        assert_eq!(headers["authorization"], by_the_book(path, Some("FwoG/t=="), body));
        assert_eq!(headers["x-amz-security-token"], "FwoG/t==");
    }

    #[test]
    fn body_time_path_and_region_all_change_the_signature() {
        let uri = "https://h/model/a/converse";
        let signer = AwsSigner::new(KEY, SECRET, None, "us-east-1");
        let base = signed(&signer, uri, b"x", TIME)["authorization"].clone();
        for other in [
            signed(&signer, uri, b"y", TIME),
            signed(&signer, uri, b"x", TIME + Duration::from_secs(1)),
            signed(&signer, "https://h/model/b/converse", b"x", TIME),
            signed(&AwsSigner::new(KEY, SECRET, None, "eu-west-1"), uri, b"x", TIME),
        ] {
            assert_ne!(other["authorization"], base);
        }
    }

    #[test]
    fn the_secret_is_in_no_debug_output_and_the_headers_are_sensitive() {
        let signer = AwsSigner::new(KEY, SECRET, Some("t0ken"), "us-east-1");
        let headers = signed(&signer, "https://h/", b"", TIME);
        let shown = format!("{signer:?} {headers:?}");
        assert!(!shown.contains(SECRET) && !shown.contains("t0ken"), "{shown}");
    }

    #[test]
    fn what_cannot_be_signed_is_an_error() {
        let mut headers = HeaderMap::new();
        let signer = AwsSigner::new(KEY, SECRET, Some("a\nb"), "us-east-1");
        assert!(signer.apply("https://h/", b"", TIME, &mut headers).is_err());
        let signer = AwsSigner::new(KEY, SECRET, None, "us-east-1");
        assert!(signer.apply("not a uri", b"", TIME, &mut headers).is_err());
    }
}

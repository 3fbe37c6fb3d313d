//! Signatures of Amazon's requests: Signature Version 4 for Amazon Bedrock.

use std::time::{Duration, UNIX_EPOCH};

use aws_credential_types::Credentials;
use aws_sigv4::http_request::{SignableBody, SignableRequest, SigningSettings, sign};
use aws_sigv4::sign::v4::SigningParams;
use aws_smithy_runtime_api::client::identity::Identity;
use http::{HeaderMap, HeaderName, HeaderValue};
use tokenweir_config::AwsCredential;

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
    /// A signer with these keys.
    pub fn new(keys: &AwsCredential) -> Self {
        let (id, secret) = (keys.access_key_id.clone(), keys.secret_access_key.clone());
        Self {
            identity: Credentials::new(id, secret, keys.session_token.clone(), None, "tokenweir").into(),
            region: keys.region.as_str().into(),
        }
    }

    /// Puts the signature of a POST request on its headers: host, time and session token are signed, and the body.
    ///
    /// `host` is the value of that header and `path` the path with its query, both as they are sent; `unix` is the time
    /// since 1970.
    pub fn apply(
        &self,
        host: &str,
        path: &str,
        body: &[u8],
        unix: Duration,
        headers: &mut HeaderMap,
    ) -> Result<(), SignError> {
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
        let uri = format!("https://{host}{path}");
        let request = SignableRequest::new("POST", uri, std::iter::once(("host", host)), SignableBody::Bytes(body))
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

    const HOST: &str = "bedrock-runtime.us-east-1.amazonaws.com";

    fn signer(session_token: Option<&str>, region: &str) -> AwsSigner {
        AwsSigner::new(&AwsCredential {
            access_key_id: KEY.into(),
            secret_access_key: SECRET.into(),
            session_token: session_token.map(str::to_owned),
            region: region.into(),
        })
    }

    fn signed(signer: &AwsSigner, path: &str, body: &[u8], time: Duration) -> HeaderMap {
        let mut headers = HeaderMap::new();
        signer.apply(HOST, path, body, time, &mut headers).unwrap();
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
        let uri = "/model/anthropic.claude-v2%3A1/converse";
        let path = "/model/anthropic.claude-v2%253A1/converse";
        let body = br#"{"messages":[]}"#;
        let headers = signed(&signer(None, "us-east-1"), uri, body, TIME);
        assert_eq!(headers["authorization"], by_the_book(path, None, body));
        assert_eq!(headers["x-amz-date"], "20150830T123600Z");
        assert_eq!(headers.get("x-amz-security-token"), None);

        let headers = signed(&signer(Some("FwoG/t=="), "us-east-1"), uri, body, TIME);
        assert_eq!(headers["authorization"], by_the_book(path, Some("FwoG/t=="), body));
        assert_eq!(headers["x-amz-security-token"], "FwoG/t==");
    }

    #[test]
    fn body_time_path_and_region_all_change_the_signature() {
        let uri = "/model/a/converse";
        let here = signer(None, "us-east-1");
        let base = signed(&here, uri, b"x", TIME)["authorization"].clone();
        for other in [
            signed(&here, uri, b"y", TIME),
            signed(&here, uri, b"x", TIME + Duration::from_secs(1)),
            signed(&here, "/model/b/converse", b"x", TIME),
            signed(&signer(None, "eu-west-1"), uri, b"x", TIME),
        ] {
            assert_ne!(other["authorization"], base);
        }
    }

    #[test]
    fn the_secret_is_in_no_debug_output_and_the_headers_are_sensitive() {
        let signer = signer(Some("t0ken"), "us-east-1");
        let headers = signed(&signer, "/", b"", TIME);
        let shown = format!("{signer:?} {headers:?}");
        assert!(!shown.contains(SECRET) && !shown.contains("t0ken"), "{shown}");
    }

    #[test]
    fn what_cannot_be_signed_is_an_error() {
        let mut headers = HeaderMap::new();
        let broken = signer(Some("a\nb"), "us-east-1");
        assert!(broken.apply(HOST, "/", b"", TIME, &mut headers).is_err());
        let whole = signer(None, "us-east-1");
        assert!(whole.apply("no host", "/", b"", TIME, &mut headers).is_err());
    }
}

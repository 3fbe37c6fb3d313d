//! Who asks: an API key in `authorization: Bearer`, or in `x-api-key` as Anthropic's clients send it.

use http::{HeaderMap, HeaderName, header};

use crate::plan::{Caller, KeyTable};

const X_API_KEY: HeaderName = HeaderName::from_static("x-api-key");

/// Why nobody is known.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum Unauthenticated {
    /// No key was sent.
    #[error("you did not provide an API key; send it as \"authorization: Bearer KEY\" or \"x-api-key: KEY\"")]
    NoKey,
    /// Nobody has this key, or it is over. Which of both is not told.
    #[error("the API key is not known or no longer valid")]
    UnknownKey,
}

/// Finds the caller of a request.
pub fn authenticate<'a>(keys: &'a KeyTable, headers: &HeaderMap, now_unix: i64) -> Result<&'a Caller, Unauthenticated> {
    let key = bearer(headers)
        .or_else(|| api_key(headers))
        .ok_or(Unauthenticated::NoKey)?;
    keys.find(key, now_unix).ok_or(Unauthenticated::UnknownKey)
}

/// The token after the scheme, which is written in any case (RFC 9110, section 11.1).
fn bearer(headers: &HeaderMap) -> Option<&[u8]> {
    const SCHEME: &[u8] = b"bearer ";
    let value = headers.get(header::AUTHORIZATION)?.as_bytes();
    let (scheme, token) = value.split_at_checked(SCHEME.len())?;
    let token = token.trim_ascii();
    (scheme.eq_ignore_ascii_case(SCHEME) && !token.is_empty()).then_some(token)
}

fn api_key(headers: &HeaderMap) -> Option<&[u8]> {
    let key = headers.get(X_API_KEY)?.as_bytes().trim_ascii();
    (!key.is_empty()).then_some(key)
}

#[cfg(test)]
mod tests {
    use http::HeaderValue;

    use super::*;

    #[test]
    fn the_key_is_what_follows_the_scheme() {
        for (value, expected) in [
            (&b"Bearer k"[..], Some(&b"k"[..])),
            (b"bEARER  k ", Some(b"k")),
            (b"Bearer ", None),
            (b"Bearer", None),
            (b"Basic k", None),
            (b"", None),
            (b"Bearer \xff\xfe", Some(b"\xff\xfe")),
        ] {
            let headers = HeaderMap::from_iter([(header::AUTHORIZATION, HeaderValue::from_bytes(value).unwrap())]);
            assert_eq!(bearer(&headers), expected, "{value:?}");
        }
        assert_eq!(bearer(&HeaderMap::new()), None);
    }

    #[test]
    fn anthropics_header_holds_the_key_alone() {
        let with = |value| HeaderMap::from_iter([(X_API_KEY, HeaderValue::from_static(value))]);
        assert_eq!(api_key(&with(" k ")), Some(&b"k"[..]));
        assert_eq!(api_key(&with("")), None);
        assert_eq!(api_key(&HeaderMap::new()), None);
    }
}

//! Responses.

use bytes::Bytes;
use http::header::{CACHE_CONTROL, CONTENT_TYPE, ETAG, VARY, WWW_AUTHENTICATE};
use http::{HeaderValue, Response, StatusCode};
use http_body_util::Full;

use crate::discovery::Document;
use crate::status::Failure;

/// A whole response.
pub type Answered = Response<Full<Bytes>>;

/// A body of some type.
pub fn body(code: StatusCode, content_type: &'static str, body: impl Into<Bytes>) -> Answered {
    let mut response = Response::new(Full::new(body.into()));
    *response.status_mut() = code;
    let headers = response.headers_mut();
    headers.insert(CONTENT_TYPE, HeaderValue::from_static(content_type));
    // What is answered differs from moment to moment and from caller to caller.
    headers.insert(CACHE_CONTROL, HeaderValue::from_static("no-cache, private"));
    response
}

/// A failure as a `metav1.Status`.
pub fn failure(failure: &Failure) -> Answered {
    let code = StatusCode::from_u16(failure.code).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
    // A status is text and numbers; if it could not be written, the code would still say what matters.
    let text = serde_json::to_vec(&failure.to_status()).unwrap_or_default();
    let mut response = body(code, "application/json", text);
    if code == StatusCode::UNAUTHORIZED {
        response
            .headers_mut()
            .insert(WWW_AUTHENTICATE, HeaderValue::from_static("Bearer"));
    }
    response
}

/// A fixed document, or 304 if the client has it.
pub fn document(document: &Document, if_none_match: Option<&str>) -> Answered {
    let known = if_none_match.is_some_and(|tags| document.matches(tags));
    let mut response = if known {
        let mut response = Response::new(Full::default());
        *response.status_mut() = StatusCode::NOT_MODIFIED;
        response
    } else {
        body(StatusCode::OK, document.content_type, document.body.clone())
    };
    let headers = response.headers_mut();
    headers.insert(VARY, HeaderValue::from_static("Accept"));
    headers.insert(CACHE_CONTROL, HeaderValue::from_static("public"));
    if let Ok(tag) = HeaderValue::from_str(&document.etag()) {
        headers.insert(ETAG, tag);
    }
    response
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_document_that_the_client_has_is_not_sent_again() {
        let text = Document::json("application/json", &"text").unwrap();
        let first = document(&text, None);
        assert_eq!(first.status(), StatusCode::OK);
        let tag = first.headers()[ETAG].to_str().unwrap().to_owned();
        let second = document(&text, Some(&tag));
        assert_eq!(second.status(), StatusCode::NOT_MODIFIED);
        assert_eq!(second.headers()[ETAG].to_str().unwrap(), tag);
        assert_eq!(document(&text, Some("\"other\"")).status(), StatusCode::OK);
    }
}

//! Answers of the control ports.

use bytes::Bytes;
use http::header::{ALLOW, CONTENT_TYPE, WWW_AUTHENTICATE};
use http::{HeaderValue, Method, Response, StatusCode};
use http_body_util::{BodyExt as _, Full};
use serde::Serialize;
use tokenweir_config::admin_token::Denied;

use crate::net::Body;

/// A whole body.
pub fn full(status: StatusCode, content_type: &'static str, body: impl Into<Bytes>) -> Response<Body> {
    let mut response = Response::new(Full::new(body.into()).boxed_unsync());
    *response.status_mut() = status;
    response
        .headers_mut()
        .insert(CONTENT_TYPE, HeaderValue::from_static(content_type));
    response
}

/// A line of text.
pub fn text(status: StatusCode, line: &str) -> Response<Body> {
    full(status, "text/plain; charset=utf-8", format!("{line}\n"))
}

/// A JSON document.
pub fn json(status: StatusCode, value: &impl Serialize) -> Response<Body> {
    match serde_json::to_vec(value) {
        Ok(mut body) => {
            body.push(b'\n');
            full(status, "application/json", body)
        }
        Err(error) => text(StatusCode::INTERNAL_SERVER_ERROR, &error.to_string()),
    }
}

/// No such path.
pub fn not_found() -> Response<Body> {
    text(StatusCode::NOT_FOUND, "not found")
}

/// The path exists, but not with this method.
pub fn only(method: &Method) -> Response<Body> {
    let mut response = text(StatusCode::METHOD_NOT_ALLOWED, &format!("only {method} is allowed"));
    if let Ok(value) = HeaderValue::from_str(method.as_str()) {
        response.headers_mut().insert(ALLOW, value);
    }
    response
}

/// The caller may not.
pub fn denied(denied: Denied) -> Response<Body> {
    match denied {
        Denied::Unauthenticated => {
            let mut response = text(StatusCode::UNAUTHORIZED, &denied.to_string());
            response
                .headers_mut()
                .insert(WWW_AUTHENTICATE, HeaderValue::from_static("Bearer"));
            response
        }
        Denied::Forbidden => text(StatusCode::FORBIDDEN, &denied.to_string()),
    }
}

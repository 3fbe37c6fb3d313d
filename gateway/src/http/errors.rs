//! Errors in the form that the client knows.

use bytes::Bytes;
use http::{HeaderValue, Response, StatusCode, header};
use serde::Deserialize;
use serde::de::IgnoredAny;
use tokenweir_llm::{ErrorForm, ErrorKind, OpenAiError};

use super::body::BodyError;
use super::{MAX_HEAD_BYTES, headers};
use crate::admission::Rejected;
use crate::auth::Unauthenticated;
use crate::encoding::Coding;
use crate::meter::UpstreamErrorKind;
use crate::relay::GatewayBody;
use crate::upstream::{ErrorAnswer, Failure};

/// When to come back to a gateway that drains, in seconds: by then a load balancer has turned to another one.
const RETRY_WHILE_DRAINING: u64 = 1;
/// When to come back to a Service without endpoints: soon, as endpoints change within seconds.
const RETRY_WITHOUT_ENDPOINT: u64 = 1;
/// Anthropic's status for being overloaded.
const OVERLOADED: u16 = 529;
/// Characters of a client's text that an error repeats.
const SHOWN_CHARS: usize = 100;

/// How one client is told of errors.
#[derive(Debug, Clone, Copy)]
pub struct Teller<'a> {
    /// The form of the body.
    pub form: ErrorForm,
    /// The request's id.
    pub request_id: &'a HeaderValue,
}

/// An answer with a JSON body.
pub fn json(body: Bytes) -> Response<GatewayBody> {
    let mut response = Response::new(GatewayBody::whole(body));
    response
        .headers_mut()
        .insert(header::CONTENT_TYPE, HeaderValue::from_static("application/json"));
    response
}

impl Teller<'_> {
    fn body_of(self, error: &OpenAiError) -> Bytes {
        error.to_body_in(self.form, self.request_id.to_str().ok())
    }

    /// An answer with an error object as its body.
    pub fn answer(self, error: &OpenAiError) -> Response<GatewayBody> {
        let mut response = json(self.body_of(error));
        *response.status_mut() = StatusCode::from_u16(error.status()).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
        response
    }

    /// An answer with `retry-after`.
    fn answer_later(self, error: &OpenAiError, seconds: u64) -> Response<GatewayBody> {
        let mut response = self.answer(error);
        response
            .headers_mut()
            .insert(header::RETRY_AFTER, HeaderValue::from(seconds));
        response
    }

    /// The headers are too large.
    pub fn headers_too_large(self) -> Response<GatewayBody> {
        let message = format!("the headers are larger than {MAX_HEAD_BYTES} bytes");
        self.answer(&OpenAiError::new(ErrorKind::HeadersTooLarge, message))
    }

    /// No path of ours.
    pub fn not_found(self, path: &str) -> Response<GatewayBody> {
        let message = format!("unknown request URL: {}", shown(path));
        self.answer(&OpenAiError::new(ErrorKind::NotFound, message))
    }

    /// A path of ours with another method.
    pub fn method_not_allowed(self, allowed: &'static str) -> Response<GatewayBody> {
        let message = format!("this URL takes {allowed} requests only");
        let mut response = self.answer(&OpenAiError::new(ErrorKind::MethodNotAllowed, message));
        response
            .headers_mut()
            .insert(header::ALLOW, HeaderValue::from_static(allowed));
        response
    }

    /// No key, or not one that is known.
    pub fn unauthenticated(self, why: Unauthenticated) -> Response<GatewayBody> {
        let mut response = self.answer(&OpenAiError::new(ErrorKind::Unauthenticated, why.to_string()));
        response
            .headers_mut()
            .insert(header::WWW_AUTHENTICATE, HeaderValue::from_static("Bearer"));
        response
    }

    /// No such model, or not for this tenant. Which of both is not told, so that nobody can find out what others use.
    pub fn model_not_found(self, model: &str) -> Response<GatewayBody> {
        let message = format!(
            "the model '{}' does not exist or you do not have access to it",
            shown(model)
        );
        self.answer(&OpenAiError::new(ErrorKind::ModelNotFound, message).with_param("model"))
    }

    /// There are routes for the model, and none of them takes the request.
    pub fn no_route_matches(self, model: &str) -> Response<GatewayBody> {
        let message = format!("no route for the model '{}' matches this request", shown(model));
        self.answer(&OpenAiError::new(ErrorKind::ModelNotFound, message).with_param("model"))
    }

    /// The body could not be read.
    pub fn body(self, why: BodyError) -> Response<GatewayBody> {
        let kind = match why {
            BodyError::TooLarge { .. } => ErrorKind::TooLarge,
            BodyError::Timeout { .. } => ErrorKind::RequestTimeout,
            BodyError::UnknownCoding => ErrorKind::UnknownEncoding,
            BodyError::Damaged(_) | BodyError::BrokenOff => ErrorKind::InvalidRequest,
        };
        let mut response = self.answer(&OpenAiError::new(kind, why.to_string()));
        if why == BodyError::UnknownCoding {
            response.headers_mut().insert(header::ACCEPT_ENCODING, Coding::READABLE);
        }
        response
    }

    /// The queue is full, or the wait was too long.
    pub fn rejected(self, why: Rejected) -> Response<GatewayBody> {
        let (Rejected::QueueFull { retry_after } | Rejected::WaitOver { retry_after }) = why;
        let message = format!("{why}; try again in {retry_after} s");
        self.answer_later(&OpenAiError::new(ErrorKind::RateLimited, message), retry_after)
    }

    /// The gateway is about to end.
    pub fn draining(self) -> Response<GatewayBody> {
        let error = OpenAiError::new(ErrorKind::Unavailable, "this gateway is shutting down; try again");
        self.answer_later(&error, RETRY_WHILE_DRAINING)
    }

    /// The provider failed: its own answer if it gave one, else an error that says what happened.
    pub fn failed(self, failure: Failure) -> Response<GatewayBody> {
        if let Some(answer) = failure.answer {
            return self.passed_on(answer);
        }
        if let Some(refusal) = failure.refusal {
            return self.answer(&refusal);
        }
        let error = OpenAiError::new(kind_of(failure.kind), sentence(failure.kind));
        if matches!(
            failure.kind,
            UpstreamErrorKind::NoEndpoint | UpstreamErrorKind::Unhealthy
        ) {
            return self.answer_later(&error, RETRY_WITHOUT_ENDPOINT);
        }
        self.answer(&error)
    }

    /// A provider's error with its status, headers and body, translated if the client speaks another dialect. A body that is not in the form of an API, such as the HTML
    /// of a load balancer, is replaced by one that is.
    fn passed_on(self, error: ErrorAnswer) -> Response<GatewayBody> {
        let request_id = self.request_id.to_str().unwrap_or_default();
        let translated = error
            .translated
            .and_then(|pair| pair.error(error.status.as_u16(), &error.body, request_id));
        let mut response = if let Some(body) = translated {
            json(body)
        } else if is_error_object(&error.body) {
            Response::new(GatewayBody::whole(error.body))
        } else {
            let message = format!("the provider answered with status {}", error.status.as_u16());
            json(self.body_of(&OpenAiError::new(kind_of_status(error.status), message)))
        };
        let own_type = response.headers().get(header::CONTENT_TYPE).cloned();
        *response.status_mut() = match error.status.as_u16() {
            // Only Anthropic's clients know this one.
            OVERLOADED if self.form != ErrorForm::Anthropic => StatusCode::SERVICE_UNAVAILABLE,
            _ => error.status,
        };
        *response.headers_mut() = error.headers;
        headers::to_client(response.headers_mut());
        if let Some(own_type) = own_type {
            response.headers_mut().insert(header::CONTENT_TYPE, own_type);
            response.headers_mut().remove(header::CONTENT_ENCODING);
        }
        response
    }
}

fn is_error_object(body: &[u8]) -> bool {
    #[derive(Deserialize)]
    struct Envelope {
        #[serde(rename = "error")]
        _error: IgnoredAny,
    }
    // A list would do as a struct for serde.
    body.trim_ascii_start().starts_with(b"{") && serde_json::from_slice::<Envelope>(body).is_ok()
}

fn kind_of(kind: UpstreamErrorKind) -> ErrorKind {
    use UpstreamErrorKind as Kind;
    match kind {
        Kind::FirstTokenTimeout | Kind::IdleTimeout | Kind::TotalTimeout => ErrorKind::UpstreamTimeout,
        Kind::NoEndpoint | Kind::Unhealthy => ErrorKind::Unavailable,
        Kind::Unsupported | Kind::ContextOverflow => ErrorKind::InvalidRequest,
        Kind::Connect
        | Kind::Credential
        | Kind::Reset
        | Kind::Interrupted
        | Kind::Malformed
        | Kind::RateLimited
        | Kind::ClientStatus
        | Kind::ServerStatus => ErrorKind::BadUpstream,
    }
}

fn sentence(kind: UpstreamErrorKind) -> &'static str {
    use UpstreamErrorKind as Kind;
    match kind {
        Kind::Connect => "the provider could not be connected",
        Kind::Reset => "the provider closed the connection without an answer",
        Kind::FirstTokenTimeout => "the provider did not begin its answer in time",
        Kind::IdleTimeout => "the provider stopped sending in the middle of its answer",
        Kind::TotalTimeout => "the provider did not answer in the time that a request may take",
        Kind::Interrupted => "the provider broke off in the middle of its answer",
        Kind::Malformed => "the provider's answer could not be understood",
        Kind::NoEndpoint => "the provider has no endpoint that is ready",
        Kind::ContextOverflow => "the conversation is longer than the model's context",
        Kind::Unhealthy => "the provider is out because its last requests failed",
        Kind::RateLimited | Kind::ClientStatus | Kind::ServerStatus => "the provider answered with an error",
        Kind::Unsupported => "the provider does not support the request",
        Kind::Credential => "the gateway cannot prove itself to the provider",
    }
}

fn kind_of_status(status: StatusCode) -> ErrorKind {
    match status.as_u16() {
        401 => ErrorKind::Unauthenticated,
        403 => ErrorKind::Forbidden,
        404 => ErrorKind::NotFound,
        408 => ErrorKind::RequestTimeout,
        413 => ErrorKind::TooLarge,
        429 => ErrorKind::RateLimited,
        400..=499 => ErrorKind::InvalidRequest,
        503 => ErrorKind::Unavailable,
        504 => ErrorKind::UpstreamTimeout,
        _ => ErrorKind::BadUpstream,
    }
}

fn shown(text: &str) -> String {
    let mut shown: String = text.chars().take(SHOWN_CHARS).collect();
    if shown.len() < text.len() {
        shown.push('…');
    }
    shown
}

#[cfg(test)]
mod tests {
    use http::HeaderMap;
    use http_body_util::BodyExt as _;

    use super::*;

    fn provider_says(status: u16, content_type: &'static str, body: &'static str) -> Response<GatewayBody> {
        let headers = HeaderMap::from_iter([
            (header::CONTENT_TYPE, HeaderValue::from_static(content_type)),
            (header::RETRY_AFTER, HeaderValue::from_static("7")),
        ]);
        let status = StatusCode::from_u16(status).unwrap();
        let teller = Teller {
            form: ErrorForm::OpenAi,
            request_id: &HeaderValue::from_static("req_1"),
        };
        teller.passed_on(ErrorAnswer {
            status,
            headers,
            body: Bytes::from_static(body.as_bytes()),
            translated: None,
        })
    }

    async fn text(response: Response<GatewayBody>) -> String {
        String::from_utf8(response.into_body().collect().await.unwrap().to_bytes().to_vec()).unwrap()
    }

    #[tokio::test]
    async fn a_providers_error_object_goes_to_the_client_as_it_is() {
        let body = r#"{"error":{"message":"slow down","type":"tokens","extra":1}}"#;
        let response = provider_says(429, "application/json", body);
        assert_eq!(response.status(), 429);
        assert_eq!(response.headers()[header::RETRY_AFTER], "7");
        assert_eq!(text(response).await, body);
    }

    #[tokio::test]
    async fn an_error_that_is_not_in_openais_form_gets_it() {
        for body in ["<html>bad gateway</html>", "", "{\"detail\":\"no\"}", "[1]"] {
            let response = provider_says(502, "text/html", body);
            assert_eq!(response.status(), 502);
            assert_eq!(response.headers()[header::CONTENT_TYPE], "application/json");
            assert_eq!(response.headers()[header::RETRY_AFTER], "7");
            let json: serde_json::Value = serde_json::from_str(&text(response).await).unwrap();
            assert_eq!(json["error"]["message"], "the provider answered with status 502");
        }
    }

    #[test]
    fn an_error_repeats_only_the_beginning_of_a_clients_text() {
        assert_eq!(shown("é"), "é");
        assert_eq!(shown(&"é".repeat(1_000)).chars().count(), SHOWN_CHARS + 1);
    }
}

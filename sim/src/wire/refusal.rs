//! Errors on the wire, in the form of the API that was called.

use bytes::Bytes;
use http::header::{CONTENT_TYPE, RETRY_AFTER};
use http::{HeaderMap, HeaderName, HeaderValue, Response, StatusCode};
use serde_json::json;
use tokenweir_llm::{ErrorKind, OpenAiError};

use super::body::SimBody;
use super::fields::Mistake;
use super::route::Api;
use super::{anthropic, bedrock, gemini};
use crate::state::Track;

/// An answer that is an error.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Refusal {
    status: u16,
    kind: ErrorKind,
    message: String,
    /// The field at fault.
    at: Option<String>,
    code: Option<&'static str>,
    retry_after: Option<String>,
    headers: Option<Box<HeaderMap>>,
}

impl Refusal {
    pub(super) fn new(kind: ErrorKind, message: impl Into<String>) -> Self {
        Self {
            status: kind.status(),
            kind,
            message: message.into(),
            at: None,
            code: None,
            retry_after: None,
            headers: None,
        }
    }

    pub(super) fn bad_request(message: &str, at: Option<&str>) -> Self {
        Self {
            at: at.map(str::to_owned),
            ..Self::new(ErrorKind::InvalidRequest, message)
        }
    }

    pub(super) fn model_not_found(model: &str) -> Self {
        Self {
            at: Some("model".into()),
            ..Self::new(
                ErrorKind::ModelNotFound,
                format!("The model `{model}` does not exist or you do not have access to it."),
            )
        }
    }

    /// Azure's filter found the prompt wanting.
    pub(super) fn filtered() -> Self {
        Self {
            at: Some("prompt".into()),
            code: Some("content_filter"),
            ..Self::new(
                ErrorKind::InvalidRequest,
                "The response was filtered due to the prompt triggering Azure OpenAI's content management policy. \
                 Please modify your prompt and retry.",
            )
        }
    }

    /// A limit is used up. `headers` say which, and until when.
    pub(super) fn limited(retry_after: u64, headers: HeaderMap) -> Self {
        Self {
            retry_after: Some(retry_after.to_string()),
            headers: Some(Box::new(headers)),
            ..Self::new(ErrorKind::RateLimited, "Rate limit reached for requests.")
        }
    }

    /// The error of a fault, with any status.
    pub(super) fn fault(status: u16, retry_after: Option<String>) -> Self {
        let (kind, message) = match status {
            401 => (ErrorKind::Unauthenticated, "Incorrect API key provided."),
            403 => (ErrorKind::Forbidden, "You are not allowed to do this."),
            404 => (ErrorKind::ModelNotFound, "The model does not exist."),
            408 => (ErrorKind::RequestTimeout, "The request timed out."),
            413 => (ErrorKind::TooLarge, "The request is too large."),
            429 => (ErrorKind::RateLimited, "Rate limit reached for requests."),
            400..=499 => (ErrorKind::InvalidRequest, "The request is refused."),
            502 => (ErrorKind::BadUpstream, "Bad gateway."),
            503 | 529 => (ErrorKind::Unavailable, "The server is overloaded."),
            504 => (ErrorKind::UpstreamTimeout, "The gateway timed out."),
            _ => (
                ErrorKind::Internal,
                "The server had an error while processing your request.",
            ),
        };
        let mut headers = HeaderMap::new();
        if status == 429 {
            exhausted(&mut headers, retry_after.as_deref().unwrap_or("1"));
        }
        Self {
            status,
            retry_after,
            headers: Some(Box::new(headers)),
            ..Self::new(kind, message)
        }
    }

    /// The answer, in the form of an API.
    pub(super) fn response(self, api: Api, mut track: Track) -> Response<SimBody> {
        track.status(self.status);
        track.complete();
        let error_type = bedrock::error_type(self.status);
        let mut response = Response::new(SimBody::whole(self.body(api), None));
        *response.status_mut() = StatusCode::from_u16(self.status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
        let headers = response.headers_mut();
        *headers = self.headers.map(|headers| *headers).unwrap_or_default();
        headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
        if let Some(value) = self.retry_after.and_then(|value| HeaderValue::from_str(&value).ok()) {
            headers.insert(RETRY_AFTER, value);
        }
        if api == Api::Bedrock {
            headers.insert(
                HeaderName::from_static("x-amzn-errortype"),
                HeaderValue::from_static(error_type),
            );
        }
        if api == Api::Anthropic {
            headers.insert(
                HeaderName::from_static("request-id"),
                HeaderValue::from_static("req_sim"),
            );
        }
        response
    }

    fn body(&self, api: Api) -> Bytes {
        let placed = match &self.at {
            Some(at) if !at.is_empty() && !self.message.starts_with(at.as_str()) => format!("{at}: {}", self.message),
            _ => self.message.clone(),
        };
        match api {
            Api::Anthropic => anthropic::error_body(self.status, &placed, "req_sim"),
            Api::Google | Api::Vertex => gemini::error_body(
                self.status,
                &self.message,
                self.retry_after.as_deref(),
                self.at.as_deref(),
            ),
            Api::Bedrock => bedrock::error_body(&placed),
            Api::Azure if matches!(self.kind, ErrorKind::NotFound | ErrorKind::ModelNotFound) => {
                let message = "The API deployment for this resource does not exist.";
                json!({"error": {"code": "DeploymentNotFound", "message": message}})
                    .to_string()
                    .into()
            }
            Api::Azure if self.kind == ErrorKind::Unauthenticated => {
                json!({"error": {"code": "401", "message": placed}}).to_string().into()
            }
            Api::Azure if self.code == Some("content_filter") => {
                let result = json!({"violence": {"filtered": true, "severity": "high"}});
                let inner = json!({"code": "ResponsibleAIPolicyViolation", "content_filter_result": result});
                let error = json!({
                    "message": placed, "type": null, "param": "prompt", "code": "content_filter", "status": 400,
                    "innererror": inner,
                });
                json!({"error": error}).to_string().into()
            }
            Api::OpenAi | Api::Azure => {
                let mut error = OpenAiError::new(self.kind, placed);
                if let Some(at) = self.at.as_ref().filter(|at| !at.is_empty()) {
                    error = error.with_param(at.as_str());
                }
                if let Some(code) = self.code {
                    error = error.with_code(code);
                }
                error.to_body()
            }
        }
    }
}

/// The headers that OpenAI sends beside a 429.
fn exhausted(headers: &mut HeaderMap, reset: &str) {
    headers.insert(
        HeaderName::from_static("x-ratelimit-limit-requests"),
        HeaderValue::from_static("1"),
    );
    headers.insert(
        HeaderName::from_static("x-ratelimit-remaining-requests"),
        HeaderValue::from_static("0"),
    );
    if let Ok(value) = HeaderValue::from_str(&format!("{reset}s")) {
        headers.insert(HeaderName::from_static("x-ratelimit-reset-requests"), value);
    }
}

impl From<Mistake> for Refusal {
    fn from(mistake: Mistake) -> Self {
        Self {
            at: Some(mistake.at),
            ..Self::new(ErrorKind::InvalidRequest, mistake.why)
        }
    }
}

//! A request as the client sent it, and what is made of it for each provider.

use http::{HeaderMap, HeaderValue, Request, header};
use tokenweir_llm::{Edits, ErrorKind, OpenAiError, Operation, Peek, Pieces};

use super::pool::UpstreamBody;
use crate::http::headers;
use crate::plan::{Line, Passage, Provider};

/// A request as the client sent it, ready to be sent to any provider.
#[derive(Debug)]
pub struct Outgoing {
    /// What is asked for.
    pub operation: Operation,
    /// The body and what is known of it.
    pub peek: Peek,
    /// The client's headers.
    pub headers: HeaderMap,
    /// The client's query.
    pub query: Option<Box<str>>,
    /// The request's id.
    pub request_id: HeaderValue,
    /// The trace context of the gateway's own span, in place of the client's.
    pub traceparent: Option<HeaderValue>,
}

/// A request made ready for one provider.
#[derive(Debug)]
pub(super) struct Prepared<'a> {
    /// What is asked of the provider, in its own dialect.
    pub operation: Operation,
    /// The provider's name of the model.
    pub model: &'a str,
    /// The body.
    pub body: Pieces,
}

/// The coding that is none.
const IDENTITY: HeaderValue = HeaderValue::from_static("identity");

impl Outgoing {
    /// Whether the gateway asks the provider for a usage chunk that the client did not ask for.
    pub fn adds_usage(&self) -> bool {
        self.peek.stream() && self.operation.asks_for_usage() && self.peek.include_usage() != Some(true)
    }

    /// Makes the request ready for a provider. The error is the client's: the provider could not be asked for it in any
    /// words.
    pub(super) fn prepare<'a>(&self, provider: &Provider, model: &'a str) -> Result<Prepared<'a>, Box<OpenAiError>> {
        match provider.passage(self.operation) {
            Passage::Passed => Ok(Prepared {
                operation: self.operation,
                model,
                body: self.body(model),
            }),
            Passage::Translated(..) | Passage::Embedded | Passage::Counted | Passage::Missing => {
                Err(Box::new(self.missing()))
            }
        }
    }

    fn missing(&self) -> OpenAiError {
        let message = format!(
            "the provider of the model '{}' does not serve requests to /v1{}",
            self.peek.model(),
            self.operation.path()
        );
        OpenAiError::new(ErrorKind::InvalidRequest, message).with_param("model")
    }

    fn body(&self, model: &str) -> Pieces {
        let edits = Edits {
            model: (model != self.peek.model()).then_some(model),
            include_usage: self.adds_usage(),
        };
        self.peek.rewrite(&edits)
    }

    /// The request as it goes on the wire.
    pub(super) fn request(&self, provider: &Provider, prepared: &Prepared<'_>, http2: bool) -> Request<UpstreamBody> {
        let uris = provider.target.uris();
        let line = Line {
            operation: prepared.operation,
            model: prepared.model,
            query: self.query.as_deref(),
            stream: self.peek.stream(),
        };
        let mut request = Request::new(UpstreamBody::from(prepared.body.clone()));
        *request.method_mut() = http::Method::POST;
        *request.headers_mut() = headers::to_provider(&self.headers);
        if provider.is_in_cloud() {
            headers::to_cloud(request.headers_mut());
        }
        if http2 {
            *request.version_mut() = http::Version::HTTP_2;
            *request.uri_mut() = uris.absolute_form(&line);
        } else {
            *request.uri_mut() = uris.origin_form(&line);
            request.headers_mut().insert(header::HOST, uris.host.clone());
        }
        let headers = request.headers_mut();
        // Without a word on it a provider may choose any coding.
        headers.insert(header::ACCEPT_ENCODING, IDENTITY);
        headers.insert(headers::X_REQUEST_ID, self.request_id.clone());
        if let Some(traceparent) = &self.traceparent {
            headers.insert(headers::TRACEPARENT, traceparent.clone());
        }
        provider.introduce(headers);
        request
    }
}

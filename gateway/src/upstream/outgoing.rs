//! A request as the client sent it, and what is made of it for each provider.

use std::sync::Arc;

use bytes::Bytes;
use http::{HeaderMap, HeaderValue, Request, header};
use tokenweir_llm::{Edits, ErrorKind, OpenAiError, Operation, Peek, Pieces};
use tokio::time::Instant;

use super::pool::UpstreamBody;
pub use super::translation::{Conversation, Pair};
use crate::http::headers;
use crate::plan::{HeaderChanges, Line, Passage, Provider};

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
    /// When the client no longer waits.
    pub deadline: Option<Instant>,
    /// Unix time in seconds.
    pub now_unix: u64,
    /// Leave out what a target cannot express, instead of refusing the request.
    pub drop_unsupported: bool,
    /// What the route changes about headers.
    pub changes: Option<Arc<HeaderChanges>>,
    /// The body as a conversation, once a target speaks another dialect than the client.
    pub conversation: Conversation,
}

/// What is to be done for a provider to answer.
#[derive(Debug)]
pub(super) enum Step<'a> {
    /// Send this.
    Send(Prepared<'a>),
    /// Nothing: the gateway has the answer.
    Answered(Bytes),
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
    /// Bodies of further requests that belong to the same, where the provider takes only so much in one.
    pub more: Vec<Pieces>,
    /// Between whose words the answer is to be translated; `None`: both are the same.
    pub translated: Option<Pair>,
    /// The client's fields that the provider has no words for and that the route leaves out.
    pub dropped: Vec<Box<str>>,
}

impl<'a> Prepared<'a> {
    /// The same with another body alone.
    pub(super) fn part(&self, body: &Pieces) -> Prepared<'a> {
        Prepared {
            operation: self.operation,
            model: self.model,
            body: body.clone(),
            more: Vec::new(),
            translated: self.translated,
            dropped: Vec::new(),
        }
    }
}

/// The coding that is none.
const IDENTITY: HeaderValue = HeaderValue::from_static("identity");

impl Outgoing {
    /// Whether the answer is to come as a stream.
    pub(super) fn streams(&self) -> bool {
        self.peek.stream() && self.operation.client().is_some()
    }

    /// Whether the gateway asks the provider for a usage chunk that the client did not ask for.
    pub fn adds_usage(&self) -> bool {
        self.peek.stream() && self.operation.asks_for_usage() && self.peek.include_usage() != Some(true)
    }

    /// Makes the request ready for a provider. The error is the client's: the provider could not be asked for it in any
    /// words.
    pub(super) fn prepare<'a>(&self, provider: &Provider, model: &'a str) -> Result<Step<'a>, Box<OpenAiError>> {
        match provider.passage(self.operation) {
            Passage::Passed => Ok(Step::Send(Prepared {
                operation: self.operation,
                model,
                body: self.body(model),
                more: Vec::new(),
                translated: None,
                dropped: Vec::new(),
            })),
            Passage::Translated(client, wire) => {
                let pair = Pair::Conversation(client, wire);
                let body = self.translated_body(client, wire, model, provider.chat_flavor())?;
                Ok(Step::Send(pair.prepared(model, body)))
            }
            Passage::Embedded => {
                let wire = provider.embeddings(model).ok_or_else(|| Box::new(self.missing()))?;
                let body = self.embeddings_body(wire, model)?;
                Ok(Step::Send(Pair::Embeddings(wire).prepared(model, body)))
            }
            Passage::Counted => Ok(Step::Answered(self.counted(model)?)),
            Passage::Missing => Err(Box::new(self.missing())),
        }
    }

    pub(super) fn missing(&self) -> OpenAiError {
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
            // A query is meant for the API that the client speaks.
            query: self.query.as_deref().filter(|_| prepared.translated.is_none()),
            stream: self.streams(),
        };
        let mut request = Request::new(UpstreamBody::from(prepared.body.clone()));
        *request.method_mut() = http::Method::POST;
        *request.headers_mut() = headers::to_provider(&self.headers);
        if prepared.translated.is_some() {
            headers::to_other_dialect(request.headers_mut());
        }
        if provider.is_in_cloud() {
            headers::to_cloud(request.headers_mut());
        }
        // Before all that the gateway says itself, so that nothing of it can be changed.
        if let Some(changes) = &self.changes {
            changes.apply(request.headers_mut());
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

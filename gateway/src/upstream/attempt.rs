//! One try at one provider, up to the first byte of its answer.

use std::net::SocketAddr;
use std::time::Duration;

use bytes::{Bytes, BytesMut};
use http::{HeaderMap, HeaderValue, Request, Response, header, response};
use http_body_util::{BodyExt as _, Full};
use hyper::body::{Body as _, Incoming};
use tokenweir_llm::{Edits, Operation, Peek};
use tokio::time::Instant;

use super::Upstreams;
use super::balance::{Balancer, Outstanding};
use super::failure::{ErrorAnswer, Failure};
use super::place::Place;
use super::pool::{Lease, UpstreamBody};
use super::settle;
use crate::http::headers;
use crate::meter::UpstreamErrorKind;
use crate::plan::{Backend, Provider, Target};

/// An answer that is not a stream is read up to this size before it goes to the client, so that a failure in its middle
/// can still be tried elsewhere. What is larger is passed on as it comes.
const HELD_BYTES: usize = 1024 * 1024;
/// Of an answer with an error status no more than this is read.
const ERROR_BYTES: usize = 1024 * 1024;
/// A request on a connection that was idle may meet its end on the way. If the connection breaks within this time without
/// any answer, that is what happened, and the request goes on a new one at once.
const IDLE_RACE: Duration = Duration::from_millis(500);

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

/// An answer of which the first bytes are here.
#[derive(Debug)]
pub struct Answer {
    /// Status and headers as the provider sent them.
    pub head: response::Parts,
    /// Whether it is a stream of events.
    pub events: bool,
    /// The body.
    pub body: AnswerBody,
}

/// The body of an answer.
#[derive(Debug)]
pub enum AnswerBody {
    /// All of it.
    Whole(Bytes),
    /// Its beginning, and where the rest comes from.
    Begun {
        /// What has come so far; not empty.
        first: Bytes,
        /// The rest.
        rest: Rest,
    },
}

/// The rest of an answer, and what is held until it has been read. Dropping it cancels the request at the provider.
#[derive(Debug)]
pub struct Rest {
    /// The provider's body.
    pub body: Incoming,
    /// Silence that is allowed.
    pub idle: Duration,
    /// When the whole request must be done.
    pub deadline: Instant,
    lease: Lease,
    outstanding: Option<Outstanding>,
}

impl Rest {
    /// The body has been read to its end: the connection is free for the next request.
    pub fn finish(self) {
        drop(self.outstanding);
        self.lease.recycle();
    }
}

impl Outgoing {
    /// Whether the gateway asks the provider for a usage chunk that the client did not ask for.
    pub fn adds_usage(&self) -> bool {
        self.peek.stream() && self.operation != Operation::Embeddings && self.peek.include_usage() != Some(true)
    }

    fn body(&self, model: &str) -> Bytes {
        let edits = Edits {
            model: (model != self.peek.model()).then_some(model),
            include_usage: self.adds_usage(),
        };
        self.peek.rewrite(&edits)
    }

    fn request(&self, provider: &Provider, http2: bool, body: Bytes) -> Request<UpstreamBody> {
        let uris = provider.target.uris();
        let query = self.query.as_deref();
        let mut request = Request::new(Full::new(body));
        *request.method_mut() = http::Method::POST;
        *request.headers_mut() = headers::to_provider(&self.headers);
        if http2 {
            *request.version_mut() = http::Version::HTTP_2;
            *request.uri_mut() = uris.absolute_form(self.operation, query);
        } else {
            *request.uri_mut() = uris.origin_form(self.operation, query);
            request.headers_mut().insert(header::HOST, uris.host.clone());
        }
        let headers = request.headers_mut();
        headers.insert(headers::X_REQUEST_ID, self.request_id.clone());
        if let Some(traceparent) = &self.traceparent {
            headers.insert(headers::TRACEPARENT, traceparent.clone());
        }
        if let Some((name, value)) = &provider.credential {
            headers.insert(name, value.clone());
        }
        request
    }
}

impl Upstreams {
    /// Sends a request to a backend and waits for the first byte of its answer.
    ///
    /// `started` is when the request as a whole was admitted; `failed` the endpoints that failed it before, to which one
    /// is added if this one fails.
    pub(super) async fn attempt(
        &self,
        outgoing: &Outgoing,
        backend: &Backend,
        model: &str,
        started: Instant,
        failed: &mut Vec<SocketAddr>,
    ) -> Result<Answer, Failure> {
        let provider = &*backend.provider;
        let deadline = started + provider.timeouts.total;
        if Instant::now() >= deadline {
            return Err(UpstreamErrorKind::TotalTimeout.into());
        }
        match &provider.target {
            Target::Endpoint { origin, .. } => self.exchange(outgoing, provider, model, origin, None, deadline).await,
            Target::Service { service, balancer, .. } => {
                let ready = self.endpoints.get(service);
                let (outstanding, tried) = balancer
                    .choose(&ready, failed, provider.outlier.as_ref())
                    .ok_or(UpstreamErrorKind::NoEndpoint)?;
                let place = outstanding.place().clone();
                let result = self
                    .exchange(outgoing, provider, model, &place, Some(outstanding), deadline)
                    .await;
                if result.is_err() {
                    failed.push(tried.address());
                }
                let outcome = result.as_ref().err().map(|failure| failure.kind);
                settle::endpoint(provider, balancer, tried, outcome);
                result
            }
        }
    }

    /// Whether a Service has an endpoint that did not fail this request.
    pub(super) fn has_other_endpoint(&self, backend: &Backend, failed: &[SocketAddr]) -> bool {
        match &backend.provider.target {
            Target::Endpoint { .. } => false,
            Target::Service { service, .. } => Balancer::has_other(&self.endpoints.get(service), failed),
        }
    }

    async fn exchange(
        &self,
        outgoing: &Outgoing,
        provider: &Provider,
        model: &str,
        place: &Place,
        outstanding: Option<Outstanding>,
        deadline: Instant,
    ) -> Result<Answer, Failure> {
        let body = outgoing.body(model);
        let (response, lease, sent) = self.send(outgoing, provider, place, body, deadline).await?;
        let (head, body) = response.into_parts();
        let rest = Rest {
            body,
            idle: provider.timeouts.idle,
            deadline,
            lease,
            outstanding,
        };
        if !head.status.is_success() {
            let body = match read(rest, ERROR_BYTES, deadline).await {
                Ok(AnswerBody::Whole(body)) => body,
                // A body that is too long or breaks off is left out; the status still says what happened.
                Ok(AnswerBody::Begun { .. }) | Err(_) => Bytes::new(),
            };
            let answer = ErrorAnswer {
                status: head.status,
                headers: head.headers,
                body,
            };
            return Err(Failure::of_answer(answer));
        }
        let events = is_event_stream(&head.headers);
        let body = if events {
            begin(rest, deadline.min(sent + provider.timeouts.first_token)).await?
        } else {
            read(rest, HELD_BYTES, deadline).await?
        };
        Ok(Answer { head, events, body })
    }

    /// Sends the request and waits for the head of the answer. Also says when the request was sent.
    async fn send(
        &self,
        outgoing: &Outgoing,
        provider: &Provider,
        place: &Place,
        body: Bytes,
        deadline: Instant,
    ) -> Result<(Response<Incoming>, Lease, Instant), Failure> {
        let connect = provider
            .timeouts
            .connect
            .min(deadline.saturating_duration_since(Instant::now()));
        let failed = |error| {
            tracing::debug!(
                provider = &*provider.name,
                error = &error as &dyn std::error::Error,
                "no connection"
            );
            Failure::from(UpstreamErrorKind::Connect)
        };
        let mut lease = self.pools.lease(place, connect).await.map_err(failed)?;
        loop {
            let sent = Instant::now();
            // The time to the first token is a promise of streams. An answer in one piece comes when all of it was
            // generated, for which it has the whole time of the request.
            let limit = if outgoing.peek.stream() {
                sent + provider.timeouts.first_token
            } else {
                deadline
            };
            let request = outgoing.request(provider, lease.is_http2(), body.clone());
            let Ok(result) = tokio::time::timeout_at(limit.min(deadline), lease.send(request)).await else {
                return Err(timeout_kind(deadline).into());
            };
            let mut error = match result {
                Ok(response) => return Ok((response, lease, sent)),
                Err(error) => error,
            };
            let unsent = error.take_message().is_some();
            let error = error.into_error();
            tracing::debug!(provider = &*provider.name, %error, "a request got no answer");
            if lease.is_reused() && (unsent || sent.elapsed() < IDLE_RACE && is_broken_connection(&error)) {
                lease = self.pools.lease_new(place, connect).await.map_err(failed)?;
                continue;
            }
            let kind = if error.is_parse() {
                UpstreamErrorKind::Malformed
            } else {
                UpstreamErrorKind::Reset
            };
            return Err(kind.into());
        }
    }
}

/// Whether a connection ended without an answer, as opposed to an answer that is wrong.
fn is_broken_connection(error: &hyper::Error) -> bool {
    !error.is_parse() && !error.is_user() && !error.is_timeout()
}

fn timeout_kind(deadline: Instant) -> UpstreamErrorKind {
    if Instant::now() >= deadline {
        UpstreamErrorKind::TotalTimeout
    } else {
        UpstreamErrorKind::FirstTokenTimeout
    }
}

fn is_event_stream(headers: &HeaderMap) -> bool {
    const EVENT_STREAM: &[u8] = b"text/event-stream";
    headers.get(header::CONTENT_TYPE).is_some_and(|value| {
        value
            .as_bytes()
            .get(..EVENT_STREAM.len())
            .is_some_and(|start| start.eq_ignore_ascii_case(EVENT_STREAM))
    })
}

/// Waits for the first bytes of a stream.
async fn begin(mut rest: Rest, first_by: Instant) -> Result<AnswerBody, Failure> {
    loop {
        let Ok(frame) = tokio::time::timeout_at(first_by, rest.body.frame()).await else {
            return Err(timeout_kind(rest.deadline).into());
        };
        match frame
            .transpose()
            .map_err(|_| UpstreamErrorKind::Interrupted)?
            .map(hyper::body::Frame::into_data)
        {
            Some(Ok(first)) if !first.is_empty() => return Ok(AnswerBody::Begun { first, rest }),
            // An empty frame or trailers: neither is a first byte.
            Some(_) => {}
            None => {
                // A stream without a single event is no answer.
                rest.finish();
                return Err(UpstreamErrorKind::Malformed.into());
            }
        }
    }
}

/// Reads a body to its end, or up to a size from which it is passed on as it comes.
async fn read(mut rest: Rest, limit: usize, first_by: Instant) -> Result<AnswerBody, Failure> {
    let mut first = Bytes::new();
    let mut more = BytesMut::new();
    let mut wait_until = first_by;
    loop {
        if rest.body.is_end_stream() {
            rest.finish();
            return Ok(AnswerBody::Whole(join(first, more)));
        }
        let Ok(frame) = tokio::time::timeout_at(wait_until, rest.body.frame()).await else {
            let over = Instant::now() >= rest.deadline;
            return Err(if over {
                UpstreamErrorKind::TotalTimeout
            } else {
                UpstreamErrorKind::IdleTimeout
            }
            .into());
        };
        match frame
            .transpose()
            .map_err(|_| UpstreamErrorKind::Interrupted)?
            .map(hyper::body::Frame::into_data)
        {
            // The usual case is a body that comes in one piece: it is not copied.
            Some(Ok(data)) if first.is_empty() => first = data,
            Some(Ok(data)) => {
                if more.is_empty() {
                    more.extend_from_slice(&first);
                }
                more.extend_from_slice(&data);
            }
            Some(Err(_trailers)) => {}
            None => {
                rest.finish();
                return Ok(AnswerBody::Whole(join(first, more)));
            }
        }
        if first.len().max(more.len()) > limit {
            return Ok(AnswerBody::Begun {
                first: join(first, more),
                rest,
            });
        }
        wait_until = rest.deadline.min(Instant::now() + rest.idle);
    }
}

/// `more` holds all that came once there was a second piece.
fn join(first: Bytes, more: BytesMut) -> Bytes {
    if more.is_empty() { first } else { more.freeze() }
}

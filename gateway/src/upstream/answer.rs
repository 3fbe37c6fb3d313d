//! An answer as it comes in: all of it, or its beginning and where the rest comes from.

use std::future::poll_fn;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use bytes::{Bytes, BytesMut};
use http::{HeaderMap, HeaderValue, header, response};
use hyper::body::{Body as _, Frame, Incoming};
use tokenweir_llm::Usage;
use tokio::time::Instant;
use tokio::time::error::Elapsed;

use super::balance::Outstanding;
use super::failure::Failure;
use super::outgoing::Pair;
use super::pool::Lease;
use super::settle::Verdict;
use crate::health::Loss;
use crate::meter::UpstreamErrorKind;

/// The type of a body that was translated.
pub(super) const JSON: HeaderValue = HeaderValue::from_static("application/json");

/// An answer of which the first bytes are here.
#[derive(Debug)]
pub struct Answer {
    /// Status and headers as the provider sent them.
    pub head: response::Parts,
    /// Whether it is a stream of events.
    pub events: bool,
    /// The body. A stream is still in the provider's words, all else in the client's.
    pub body: AnswerBody,
    /// Between whose words it was or is to be translated; `None`: both are the same.
    pub translated: Option<Pair>,
    /// What a whole answer that was translated has cost. Boxed, as all answers are moved about and few are translated.
    pub usage: Option<Box<Usage>>,
    /// The client's fields that the provider has never seen, as it has no words for them.
    pub dropped: Vec<Box<str>>,
}

impl Answer {
    /// An answer that the gateway gives by itself.
    pub(super) fn own(json: Bytes) -> Self {
        let (mut head, ()) = http::Response::new(()).into_parts();
        head.headers.insert(header::CONTENT_TYPE, JSON);
        Self {
            head,
            events: false,
            body: AnswerBody::Whole(json),
            translated: None,
            usage: None,
            dropped: Vec::new(),
        }
    }
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
    pub(super) lease: Lease,
    pub(super) outstanding: Option<Outstanding>,
    /// What is to be said of the provider's health once it is over; `None`: nothing.
    pub(super) verdict: Option<Verdict>,
    /// The loss of the connection that carried it together with others, once that has happened.
    pub(super) lost: Option<Arc<Loss>>,
}

impl Rest {
    /// The next piece of the body. An error may be that of the whole connection, which is kept in mind.
    pub fn poll_frame(&mut self, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, hyper::Error>>> {
        let polled = Pin::new(&mut self.body).poll_frame(cx);
        if let Poll::Ready(Some(Err(error))) = &polled {
            self.lost = self.lease.lost_by(error);
        }
        polled
    }

    /// The data of the next piece; `None` at the end, and nothing of what is no data. Waits no longer than `until`.
    async fn data(&mut self, until: Instant) -> Result<Result<Option<Bytes>, Failure>, Elapsed> {
        let frame = tokio::time::timeout_at(until, poll_fn(|cx| self.poll_frame(cx))).await?;
        Ok(match frame.transpose() {
            Ok(frame) => Ok(frame.map(|frame| frame.into_data().unwrap_or_default())),
            Err(_) => Err(Failure::broken_off(self.lost.take())),
        })
    }

    /// The body has been read to its end: the connection is free for the next request.
    pub fn finish(self) {
        drop(self.outstanding);
        self.lease.recycle();
        if let Some(verdict) = self.verdict {
            verdict.came_whole();
        }
    }

    /// The client has all it waits for, though the body is not over: the connection is of no more use.
    pub fn enough(self) {
        if let Some(verdict) = self.verdict {
            verdict.came_whole();
        }
    }

    /// The provider failed in the middle of the body. Its connection is closed, or its HTTP/2 stream reset.
    pub fn broke_off(self, kind: UpstreamErrorKind) {
        if let Some(verdict) = self.verdict {
            verdict.broke_off(kind, self.lost.as_deref());
        }
    }

    /// However it ends, it says nothing about the provider's health: the provider itself said what went wrong, which may be
    /// the request.
    pub fn acquit(&mut self) {
        self.verdict = None;
    }
}

pub(super) fn timeout_kind(deadline: Instant) -> UpstreamErrorKind {
    if Instant::now() >= deadline {
        UpstreamErrorKind::TotalTimeout
    } else {
        UpstreamErrorKind::FirstTokenTimeout
    }
}

pub(super) fn is_event_stream(headers: &HeaderMap) -> bool {
    /// Amazon has framing of its own.
    const EVENT_STREAMS: [&[u8]; 2] = [b"text/event-stream", b"application/vnd.amazon.eventstream"];
    EVENT_STREAMS.iter().any(|kind| is_of_type(headers, kind))
}

/// Whether an answer is a page, as load balancers and portals show it. No model answers so, whatever the status says.
pub(super) fn is_page(headers: &HeaderMap) -> bool {
    is_of_type(headers, b"text/html")
}

fn is_of_type(headers: &HeaderMap, wanted: &[u8]) -> bool {
    headers.get(header::CONTENT_TYPE).is_some_and(|value| {
        let start = value.as_bytes().get(..wanted.len());
        start.is_some_and(|start| start.eq_ignore_ascii_case(wanted))
    })
}

/// Waits for the first bytes of a stream.
pub(super) async fn begin(mut rest: Rest, first_by: Instant) -> Result<AnswerBody, Failure> {
    loop {
        let Ok(data) = rest.data(first_by).await else {
            return Err(timeout_kind(rest.deadline).into());
        };
        match data? {
            Some(first) if !first.is_empty() => return Ok(AnswerBody::Begun { first, rest }),
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
pub(super) async fn read(mut rest: Rest, limit: usize, first_by: Instant) -> Result<AnswerBody, Failure> {
    let mut first = Bytes::new();
    let mut more = BytesMut::new();
    let mut wait_until = first_by;
    loop {
        if rest.body.is_end_stream() {
            rest.finish();
            return Ok(AnswerBody::Whole(join(first, more)));
        }
        let Ok(data) = rest.data(wait_until).await else {
            let over = Instant::now() >= rest.deadline;
            return Err(if over {
                UpstreamErrorKind::TotalTimeout
            } else {
                UpstreamErrorKind::IdleTimeout
            }
            .into());
        };
        match data? {
            // The usual case is a body that comes in one piece: it is not copied.
            Some(data) if first.is_empty() => first = data,
            Some(data) => {
                if more.is_empty() {
                    more.extend_from_slice(&first);
                }
                more.extend_from_slice(&data);
            }
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

//! One try at one provider, up to the first byte of its answer.

use std::time::Duration;

use bytes::Bytes;
use futures::StreamExt as _;
use futures::stream::FuturesOrdered;
use http::Response;
use hyper::body::Incoming;
use tokio::time::Instant;

use super::Upstreams;
use super::answer::{Answer, AnswerBody, Rest, begin, is_event_stream, is_page, read, timeout_kind};
use super::around::Avoid;
use super::balance::{Balancer, EndpointTry, Outstanding};
use super::failure::{ErrorAnswer, Failure};
use super::outgoing::{Outgoing, Prepared};
use super::place::Place;
use super::pool::Lease;
use super::ratelimit::heed;
use super::undo::{is_plain, undo};
use crate::http::headers;
use crate::meter::UpstreamErrorKind;
use crate::plan::{Backend, Provider, Target};
use crate::selection::Wants;

/// An answer that is not a stream is read up to this size before it goes to the client, so that a failure in its middle
/// can still be tried elsewhere. What is larger is passed on as it comes.
const HELD_BYTES: usize = 1024 * 1024;
/// An answer that is translated is read whole up to this size; what is larger is no answer of a model.
const TRANSLATED_BYTES: usize = 16 * 1024 * 1024;
/// Of an answer with an error status no more than this is read.
const ERROR_BYTES: usize = 1024 * 1024;
/// Of requests that belong to the same so many are under way at a time: faster than one by one, and no flood of what counts
/// as one request.
const PARTS_AT_A_TIME: usize = 4;
/// A request on a connection that was idle may meet its end on the way. If the connection breaks within this time without
/// any answer, that is what happened, and the request goes on a new one at once.
const IDLE_RACE: Duration = Duration::from_millis(500);

impl Upstreams {
    /// Sends a request to a backend and waits for the first byte of its answer.
    ///
    /// `started` is when the request as a whole was admitted; `wants` what the choice of a pod looks at; `avoid` the
    /// endpoints that failed it before, to which one is added if this one fails. Gives the endpoint too, of which nothing has
    /// been said yet.
    pub(super) async fn attempt(
        &self,
        outgoing: &Outgoing,
        prepared: &Prepared<'_>,
        backend: &Backend,
        started: Instant,
        wants: &Wants,
        avoid: &Avoid,
    ) -> (Result<Answer, Failure>, Option<EndpointTry>) {
        let provider = &*backend.provider;
        let mut deadline = started + provider.timeouts.total;
        if let Some(client) = outgoing.deadline {
            deadline = deadline.min(client);
        }
        if Instant::now() >= deadline {
            return (Err(UpstreamErrorKind::TotalTimeout.into()), None);
        }
        match &provider.target {
            Target::Endpoint { origin, .. } => {
                let exchange = self.exchange(outgoing, prepared, provider, origin, None, deadline);
                (exchange.await, None)
            }
            Target::Service { service, balancer, .. } => {
                let ready = self.endpoints.get(service);
                let chosen = balancer.choose(&ready, &avoid.list(), wants, provider.outlier.as_ref());
                let Some((outstanding, tried)) = chosen else {
                    return (Err(UpstreamErrorKind::NoEndpoint.into()), None);
                };
                avoid.chosen(tried.address());
                let place = outstanding.place().clone();
                let result = self
                    .exchange(outgoing, prepared, provider, &place, Some(outstanding), deadline)
                    .await;
                if result.is_err() {
                    avoid.failed(tried.address());
                }
                (result, Some(tried))
            }
        }
    }

    /// Whether a Service has an endpoint that did not fail this request.
    pub(super) fn has_other_endpoint(&self, backend: &Backend, avoid: &Avoid) -> bool {
        match &backend.provider.target {
            Target::Endpoint { .. } => false,
            Target::Service { service, .. } => Balancer::has_other(&self.endpoints.get(service), &avoid.list()),
        }
    }

    /// Sends a request, or several that belong to the same, and gives the answer in the client's words.
    async fn exchange(
        &self,
        outgoing: &Outgoing,
        prepared: &Prepared<'_>,
        provider: &Provider,
        place: &Place,
        outstanding: Option<Outstanding>,
        deadline: Instant,
    ) -> Result<Answer, Failure> {
        let answer = self
            .exchange_one(outgoing, prepared, provider, place, outstanding, deadline)
            .await?;
        let Some(pair) = prepared.translated else {
            return Ok(answer);
        };
        let more = if prepared.more.is_empty() {
            Vec::new()
        } else {
            // Boxed, as few requests are several.
            Box::pin(self.exchange_more(outgoing, prepared, provider, place, deadline)).await?
        };
        Ok(outgoing.translate(pair, answer, &more)?)
    }

    /// Sends the further requests, some at a time, once the first one was answered. The first failure is that of all.
    async fn exchange_more(
        &self,
        outgoing: &Outgoing,
        prepared: &Prepared<'_>,
        provider: &Provider,
        place: &Place,
        deadline: Instant,
    ) -> Result<Vec<Bytes>, Failure> {
        let mut left = prepared.more.iter();
        let mut under_way = FuturesOrdered::new();
        let mut bodies = Vec::with_capacity(prepared.more.len());
        loop {
            for body in left.by_ref().take(PARTS_AT_A_TIME - under_way.len()) {
                under_way.push_back(self.exchange_part(outgoing, prepared.part(body), provider, place, deadline));
            }
            match under_way.next().await {
                Some(body) => bodies.push(body?),
                None => return Ok(bodies),
            }
        }
    }

    async fn exchange_part(
        &self,
        outgoing: &Outgoing,
        part: Prepared<'_>,
        provider: &Provider,
        place: &Place,
        deadline: Instant,
    ) -> Result<Bytes, Failure> {
        let answer = self
            .exchange_one(outgoing, &part, provider, place, None, deadline)
            .await?;
        match answer.body {
            AnswerBody::Whole(body) => Ok(body),
            AnswerBody::Begun { .. } => Err(UpstreamErrorKind::Malformed.into()),
        }
    }

    async fn exchange_one(
        &self,
        outgoing: &Outgoing,
        prepared: &Prepared<'_>,
        provider: &Provider,
        place: &Place,
        outstanding: Option<Outstanding>,
        deadline: Instant,
    ) -> Result<Answer, Failure> {
        let (response, lease, sent) = self.send(outgoing, prepared, provider, place, deadline).await?;
        let (mut head, body) = response.into_parts();
        let rest = Rest {
            body,
            idle: provider.timeouts.idle,
            deadline,
            lease,
            outstanding,
            verdict: None,
            lost: None,
        };
        if !head.status.is_success() {
            let body = match read(rest, ERROR_BYTES, deadline).await {
                Ok(AnswerBody::Whole(body)) => body,
                // A body that is too long or breaks off is left out; the status still says what happened.
                Ok(AnswerBody::Begun { .. }) | Err(_) => Bytes::new(),
            };
            let (mut headers, mut body) = (head.headers, body);
            if !is_plain(&headers) {
                body = Box::pin(undo(&mut headers, body)).await.unwrap_or_default();
            }
            provider.say_when(&mut headers, &body);
            heed(provider, head.status, &headers);
            let answer = ErrorAnswer {
                status: head.status,
                headers,
                body,
                translated: prepared.translated,
            };
            return Err(Failure::of_answer(answer));
        }
        let events = is_event_stream(&head.headers);
        let plain = is_plain(&head.headers);
        // The events of a compressed stream could be read by nobody on the way. What is passed on may be what the client
        // did not ask for; what is translated has to be understood.
        let understood = prepared.translated.is_none() || events == outgoing.streams();
        if is_page(&head.headers) || events && !plain || !understood {
            return Err(UpstreamErrorKind::Malformed.into());
        }
        heed(provider, head.status, &head.headers);
        let body = if events {
            begin(rest, deadline.min(sent + provider.timeouts.first_token)).await?
        } else {
            let most = if prepared.translated.is_some() {
                TRANSLATED_BYTES
            } else {
                HELD_BYTES
            };
            read(rest, most, deadline).await?
        };
        let body = match body {
            body if plain => body,
            AnswerBody::Whole(body) => {
                let body = Box::pin(undo(&mut head.headers, body)).await;
                AnswerBody::Whole(body.ok_or(UpstreamErrorKind::Malformed)?)
            }
            // Too large to be held, and the client may not know the coding.
            AnswerBody::Begun { .. } => return Err(UpstreamErrorKind::Malformed.into()),
        };
        Ok(Answer {
            head,
            events,
            body,
            translated: prepared.translated,
            usage: None,
            dropped: prepared.dropped.clone(),
        })
    }

    /// Sends the request and waits for the head of the answer. Also says when the request was sent.
    async fn send(
        &self,
        outgoing: &Outgoing,
        prepared: &Prepared<'_>,
        provider: &Provider,
        place: &Place,
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
            // A client that gives little time must not speak against the provider.
            Failure::from(if Instant::now() >= deadline {
                UpstreamErrorKind::TotalTimeout
            } else {
                UpstreamErrorKind::Connect
            })
        };
        let token = self.token(provider, deadline).await?;
        let mut lease = self.pools.lease(place, connect).await.map_err(failed)?;
        let mut again = false;
        loop {
            let sent = Instant::now();
            // The time to the first token is a promise of streams. An answer in one piece comes when all of it was
            // generated, for which it has the whole time of the request.
            let limit = if outgoing.peek.stream() {
                sent + provider.timeouts.first_token
            } else {
                deadline
            };
            let mut request = outgoing.request(provider, prepared, lease.is_http2());
            if matches!(provider.target, Target::Service { .. }) {
                let left = headers::seconds(deadline.saturating_duration_since(sent));
                request.headers_mut().insert(headers::X_REQUEST_TIMEOUT, left);
            }
            self.prove(provider, token.as_ref(), &prepared.body, &mut request)?;
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
            let lost = lease.lost_by(&error);
            let idle_race = lease.is_reused() && (unsent || sent.elapsed() < IDLE_RACE && is_broken_connection(&error));
            if idle_race || !again && was_not_begun(&error) {
                again = true;
                lease = Box::pin(self.pools.lease_new(place, connect)).await.map_err(failed)?;
                continue;
            }
            let kind = if error.is_parse() {
                UpstreamErrorKind::Malformed
            } else {
                UpstreamErrorKind::Reset
            };
            return Err(Failure { lost, ..kind.into() });
        }
    }
}

/// Whether the other side says that it did not begin a request: it refused the HTTP/2 stream, or went away in peace and
/// named an earlier stream as its last.
fn was_not_begun(error: &hyper::Error) -> bool {
    let cause = std::error::Error::source(error).and_then(|cause| cause.downcast_ref::<h2::Error>());
    cause.is_some_and(|cause| {
        let refused = cause.reason() == Some(h2::Reason::REFUSED_STREAM);
        refused || cause.is_go_away() && cause.is_remote() && cause.reason() == Some(h2::Reason::NO_ERROR)
    })
}

/// Whether a connection ended without an answer, as opposed to an answer that is wrong.
fn is_broken_connection(error: &hyper::Error) -> bool {
    !error.is_parse() && !error.is_user() && !error.is_timeout()
}

//! A request for tokens, from its head to the beginning of its answer.

use std::sync::Arc;
use std::sync::atomic::Ordering::Relaxed;
use std::time::Duration;

use http::request::Parts;
use http::{HeaderValue, Request, Response, header};
use hyper::body::Incoming;
use tokenweir_llm::response::usage_of_answer;
use tokenweir_llm::{OpenAiError, Operation, Peek};
use tokio::time::Instant;

use super::body::{self, BodyError};
use super::count;
use super::errors::Teller;
use super::headers;
use crate::admission::{Admission, BackendSet, Claim, Joined, Permit, Rejected};
use crate::meter::{Refusal, RequestLabels, RequestMeter};
use crate::plan::{Caller, Plan, Route, Routed};
use crate::relay::{AccessLog, Exchange, GatewayBody, PassedEvents, PlainRelay, StreamRelay, TranslatedEvents};
use crate::server::{Active, Worker};
use crate::upstream::{Answer, AnswerBody, Conversation, Forwarded, Outgoing};

/// The status of a success in the meter; any other status comes with an error.
const OK: u16 = 200;

/// The type of a stream that was translated.
const EVENT_STREAM: HeaderValue = HeaderValue::from_static("text/event-stream; charset=utf-8");

/// What is known of a request before its body is read.
pub(super) struct Head<'a> {
    pub(super) worker: &'a Worker,
    pub(super) active: &'a Active,
    pub(super) plan: &'a Plan,
    pub(super) caller: &'a Caller,
    pub(super) operation: Operation,
    /// Only the tokens of the request are asked for.
    pub(super) counts: bool,
    pub(super) teller: Teller<'a>,
    /// The meter's time at which the head came.
    pub(super) received: Duration,
    /// Unix time in seconds.
    pub(super) now_unix: u64,
}

impl Head<'_> {
    fn refused(&self, why: Refusal) {
        self.worker.meter.refused(Some(self.operation), why);
    }

    /// Serves the request.
    pub(super) async fn serve(self, request: Request<Incoming>) -> Response<GatewayBody> {
        let (parts, incoming) = request.into_parts();
        let bytes = match body::read(incoming, &parts.headers, self.plan.limits.max_body).await {
            Ok(bytes) => bytes,
            Err(why) => {
                self.refused(match why {
                    BodyError::TooLarge { .. } => Refusal::TooLarge,
                    BodyError::Timeout { .. } => Refusal::BodyTimeout,
                    BodyError::UnknownCoding | BodyError::Damaged(_) | BodyError::BrokenOff => Refusal::BadRequest,
                });
                return self.teller.body(why);
            }
        };
        let peek = match Peek::parse(self.operation, bytes) {
            Ok(peek) => peek,
            Err(why) => {
                self.refused(Refusal::BadRequest);
                return self.teller.answer(&OpenAiError::from(&why));
            }
        };
        if !self.caller.may_use(self.operation, peek.model()) {
            self.refused(Refusal::Forbidden);
            return self.teller.model_not_found(peek.model());
        }
        let route = match self.plan.route(&parts.headers, &peek) {
            Ok(Routed::To(route)) => route,
            Ok(Routed::NoMatch) => {
                self.refused(Refusal::ModelNotFound);
                return self.teller.no_route_matches(peek.model());
            }
            Ok(Routed::NoModel) => {
                self.refused(Refusal::ModelNotFound);
                return self.teller.model_not_found(peek.model());
            }
            Err(why) => {
                self.refused(Refusal::BadRequest);
                return self.teller.answer(&OpenAiError::from(&why));
            }
        };
        let usable = route.usable(peek.model());
        let mut response = if usable == 0 {
            self.refused(Refusal::ModelNotFound);
            self.teller.model_not_found(peek.model())
        } else if self.counts {
            count::answer(&peek, route, usable).unwrap_or_else(|why| {
                self.refused(Refusal::BadRequest);
                self.teller.answer(&OpenAiError::from(&why))
            })
        } else {
            self.routed(parts, peek, route, usable).await
        };
        if let Some(changes) = &route.response_headers {
            changes.apply(response.headers_mut());
        }
        response
    }

    async fn routed(self, parts: Parts, peek: Peek, route: &Route, usable: BackendSet) -> Response<GatewayBody> {
        let tenant = &self.caller.tenant;
        let labels = RequestLabels {
            tenant: Arc::clone(&tenant.name),
            route: Arc::clone(&route.name),
            operation: self.operation,
            stream: peek.stream(),
        };
        let meter = self.worker.meter.start(labels, self.received);
        meter.trace(&parts.headers, self.teller.request_id.to_str().unwrap_or_default());
        let logs = self.plan.access_log && AccessLog::is_written();
        let log = logs.then(|| self.access_log(&peek, route));
        let deadline = headers::client_timeout(&parts.headers, peek.stream()).map(|timeout| Instant::now() + timeout);
        let claim = Claim {
            deadline,
            tenant_id: tenant.id,
            tenant: Arc::clone(&tenant.limit),
            candidates: Arc::clone(&route.candidates),
            usable,
            priority: tenant.priority.unwrap_or(route.priority),
            wants: route.selection.wants(&peek, &parts.headers),
        };
        let mut exchange = Exchange::new(meter, log);
        let Some(meter) = exchange.meter() else {
            // An exchange has a meter until it ends.
            return self.teller.draining();
        };
        let mut permit = match admit(&self.plan.admission, claim, meter).await {
            Ok(permit) => permit,
            Err(why) => {
                let error = match why {
                    Rejected::QueueFull { .. } => "queue_full",
                    Rejected::WaitOver { .. } => "queue_timeout",
                };
                exchange.end(429, Some(error));
                return self.teller.rejected(why);
            }
        };
        let outgoing = Outgoing {
            operation: self.operation,
            query: parts.uri.query().map(Into::into),
            headers: parts.headers,
            request_id: self.teller.request_id.clone(),
            traceparent: meter.traceparent(),
            deadline,
            peek,
            now_unix: self.now_unix,
            drop_unsupported: route.drop_unsupported,
            changes: route.request_headers.clone(),
            conversation: Conversation::default(),
        };
        let forwarded = self
            .worker
            .upstreams
            .forward(&outgoing, route, usable, &mut permit, meter)
            .await;
        exchange.hold(permit);
        let provider = forwarded.provider.as_ref().map(|provider| Arc::clone(&provider.name));
        exchange.served_by(provider, forwarded.tries);
        self.answer(&outgoing, route, forwarded, exchange)
    }

    fn answer(
        &self,
        outgoing: &Outgoing,
        route: &Route,
        forwarded: Forwarded,
        mut exchange: Exchange,
    ) -> Response<GatewayBody> {
        let mut response = match forwarded.result {
            Ok(answer) => {
                let dropped = (!answer.dropped.is_empty()).then(|| headers::list(&answer.dropped));
                if let Some(fields) = &dropped {
                    route.lossy.fetch_add(1, Relaxed);
                    exchange.dropped(fields);
                }
                let mut response = self.succeeded(outgoing, answer, exchange);
                if let Some(fields) = dropped {
                    response.headers_mut().insert(headers::X_DROPPED, fields);
                }
                response
            }
            Err(failure) => {
                let kind = failure.kind;
                let response = self.teller.failed(failure);
                exchange.end(response.status().as_u16(), Some(kind.as_str()));
                response
            }
        };
        if let Some(provider) = forwarded.provider {
            response
                .headers_mut()
                .insert(headers::X_PROVIDER, provider.name_header.clone());
        }
        if forwarded.tries > 1 {
            response
                .headers_mut()
                .insert(headers::X_ATTEMPTS, HeaderValue::from(forwarded.tries));
        }
        response
    }

    fn succeeded(&self, outgoing: &Outgoing, answer: Answer, mut exchange: Exchange) -> Response<GatewayBody> {
        let Answer {
            head,
            events,
            body,
            translated,
            usage,
            dropped: _,
        } = answer;
        let status = head.status;
        let body: GatewayBody = match body {
            AnswerBody::Whole(bytes) => {
                exchange.first_byte();
                let usage = match translated {
                    Some(_) => usage.map(|usage| *usage),
                    None => usage_of_answer(self.operation, &bytes),
                };
                exchange.usage_of(usage, self.operation, &bytes);
                exchange.end(OK, None);
                GatewayBody::whole(bytes)
            }
            AnswerBody::Begun { first, rest } => {
                // A client that stops reading without closing is cut off some time after the request's own end.
                self.active
                    .answer(rest.deadline.saturating_duration_since(Instant::now()));
                let translation = translated.and_then(|pair| outgoing.stream_translation(pair));
                if let Some(translation) = translation {
                    StreamRelay::new(TranslatedEvents::new(translation), first, rest, exchange).into()
                } else if events {
                    let passed = PassedEvents::new(self.operation, outgoing.adds_usage());
                    StreamRelay::new(passed, first, rest, exchange).into()
                } else {
                    PlainRelay::new(self.operation, first, rest, exchange).into()
                }
            }
        };
        let mut response = Response::new(body);
        *response.status_mut() = status;
        *response.headers_mut() = head.headers;
        headers::to_client(response.headers_mut());
        if events && translated.is_some() {
            response.headers_mut().insert(header::CONTENT_TYPE, EVENT_STREAM);
        }
        response
    }

    fn access_log(&self, peek: &Peek, route: &Route) -> Box<AccessLog> {
        Box::new(AccessLog {
            request_id: self.teller.request_id.clone(),
            tenant: Arc::clone(&self.caller.tenant.name),
            key: Arc::clone(&self.caller.key),
            route: Arc::clone(&route.name),
            model: peek.model().into(),
            operation: self.operation,
            stream: peek.stream(),
            started: Instant::now(),
            tries: 0,
            usage: tokenweir_llm::Usage::default(),
            dropped: None,
        })
    }
}

/// Gets a permit, at once or after a wait.
async fn admit(admission: &Arc<Admission>, claim: Claim, meter: &RequestMeter) -> Result<Permit, Rejected> {
    let permit = match admission.try_admit(&claim) {
        Some(permit) => permit,
        None => match admission.join(claim)? {
            Joined::Admitted(permit) => permit,
            Joined::Waiting(waiting) => {
                meter.queued();
                waiting.admitted().await?
            }
        },
    };
    meter.admitted(permit.waited());
    Ok(permit)
}

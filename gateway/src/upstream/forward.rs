//! A request's way through backends, retries and fallbacks to its answer.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use rand::Rng as _;
use tokio::time::Instant;

use super::Upstreams;
use super::answer::Answer;
use super::failure::{Failure, backoff};
use super::outgoing::{Outgoing, Step};
use super::settle;
use crate::admission::{BackendSet, Permit};
use crate::meter::{RequestMeter, UpstreamErrorKind};
use crate::plan::{Backend, Provider, Route};

/// How a request ended, and where.
#[derive(Debug)]
pub struct Forwarded {
    /// The answer, or the last failure.
    pub result: Result<Answer, Failure>,
    /// The provider of the last try; `None` if none was tried.
    pub provider: Option<Arc<Provider>>,
    /// How many tries there were.
    pub tries: u32,
}

/// The state of one request between its tries.
struct Journey<'a> {
    upstreams: &'a Upstreams,
    outgoing: &'a Outgoing,
    meter: &'a RequestMeter,
    started: Instant,
    tries: u32,
    provider: Option<Arc<Provider>>,
    /// Endpoints of Services that failed this request.
    failed_endpoints: Vec<SocketAddr>,
}

/// Whether a provider is tried although it is out.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Force {
    No,
    Yes,
}

/// What follows a failure.
enum Next {
    /// Another try at this backend.
    Backend(usize),
    /// The fallbacks.
    Fallbacks,
}

impl Upstreams {
    /// Forwards a request: first to the backend at which the permit holds a place, then as often as the route says to
    /// its backends again, then once to each of its fallbacks.
    ///
    /// All tries together have the total time of the provider that is tried. Tries end with the first byte of an answer.
    pub async fn forward(
        &self,
        outgoing: &Outgoing,
        route: &Route,
        usable: BackendSet,
        permit: &mut Permit,
        meter: &RequestMeter,
    ) -> Forwarded {
        let mut journey = Journey {
            upstreams: self,
            outgoing,
            meter,
            started: Instant::now(),
            tries: 0,
            provider: None,
            failed_endpoints: Vec::new(),
        };
        let result = journey.run(route, usable, permit).await;
        Forwarded {
            result,
            provider: journey.provider,
            tries: journey.tries,
        }
    }
}

impl Journey<'_> {
    async fn run(&mut self, route: &Route, usable: BackendSet, permit: &mut Permit) -> Result<Answer, Failure> {
        route.budget.first_try();
        let mut last: Failure = UpstreamErrorKind::Unhealthy.into();
        let mut failed: BackendSet = 0;
        let mut wordless: BackendSet = 0;
        let mut backend = permit.backend();
        while let Some(at) = backend {
            let tries = self.tries;
            match self.attempt(&route.backends[at], Force::No).await {
                Ok(answer) => return Ok(answer),
                Err(failure) => {
                    if failure.is_unsupported() {
                        wordless |= 1 << at;
                    }
                    self.keep(&mut last, failure);
                }
            }
            failed |= 1 << at;
            // It went out after it was chosen, or has no words for the request. Nothing was sent, so the next one costs
            // nothing either.
            let untried = self.tries == tries;
            if untried {
                let fresh = usable & !failed;
                backend = (fresh != 0)
                    .then(|| permit.move_to_backend(&route.candidates, fresh))
                    .flatten();
                continue;
            }
            if !last.is_retried(&route.retry.on) || self.tries > route.retry.attempts {
                break;
            }
            backend = match self.next(route, usable, failed, at, &last, permit).await {
                Next::Backend(at) => Some(at),
                Next::Fallbacks => None,
            };
        }
        for fallback in &route.fallbacks {
            if !last.falls_back() {
                break;
            }
            if fallback.model(self.outgoing.peek.model()).is_none() || !permit.move_to_provider(&fallback.provider.live)
            {
                continue;
            }
            match self.attempt(fallback, Force::No).await {
                Ok(answer) => return Ok(answer),
                Err(failure) => self.keep(&mut last, failure),
            }
        }
        let able = usable & !wordless;
        if self.tries == 0
            && able != 0
            && let Some(at) = permit.move_to_backend(&route.candidates, able)
        {
            // All are out. What is out may be well again, and an answer that is not tried for is none for sure.
            return self.attempt(&route.backends[at], Force::Yes).await;
        }
        Err(last)
    }

    /// Keeps the failure that the client is told of: the last one of a provider that was asked; if none was, rather that
    /// none has words for the request than that all are out.
    fn keep(&self, last: &mut Failure, failure: Failure) {
        let untried = match failure.kind {
            UpstreamErrorKind::Unhealthy => true,
            UpstreamErrorKind::Unsupported => self.tries > 0,
            _ => false,
        };
        if !untried {
            *last = failure;
        }
    }

    /// Chooses where to try again, as far as the route's budget of retries goes.
    async fn next(
        &self,
        route: &Route,
        usable: BackendSet,
        failed: BackendSet,
        at: usize,
        failure: &Failure,
        permit: &mut Permit,
    ) -> Next {
        if !route.budget.spend(Instant::now()) {
            return Next::Fallbacks;
        }
        let next = self.place_to_retry(route, usable, failed, at, failure, permit).await;
        if matches!(next, Next::Fallbacks) {
            route.budget.refund();
        }
        next
    }

    /// A backend that has not failed yet, at once; else any, after a wait.
    async fn place_to_retry(
        &self,
        route: &Route,
        usable: BackendSet,
        failed: BackendSet,
        at: usize,
        failure: &Failure,
        permit: &mut Permit,
    ) -> Next {
        let fresh = usable & !failed;
        if fresh != 0
            && let Some(at) = permit.move_to_backend(&route.candidates, fresh)
        {
            return Next::Backend(at);
        }
        let elsewhere = self
            .upstreams
            .has_other_endpoint(&route.backends[at], &self.failed_endpoints);
        if !elsewhere {
            let asked = failure.retry_after();
            let random = rand::rng().random::<f64>();
            match backoff(route.retry.base, route.retry.max, self.tries, asked, random) {
                None => return Next::Fallbacks,
                Some(Duration::ZERO) => {}
                Some(wait) => {
                    // Others may use the place in the meantime.
                    permit.leave_provider();
                    tokio::time::sleep(wait).await;
                }
            }
        }
        match permit.move_to_backend(&route.candidates, usable) {
            Some(at) => Next::Backend(at),
            None => Next::Fallbacks,
        }
    }

    async fn attempt(&mut self, backend: &Backend, force: Force) -> Result<Answer, Failure> {
        let provider = &backend.provider;
        let asked = self.outgoing.peek.model();
        // Only backends that have the model are chosen; were it not so, the client's name would be sent.
        let model = backend.model(asked).unwrap_or(asked);
        let prepared = match self.outgoing.prepare(provider, model) {
            Ok(Step::Send(prepared)) => prepared,
            Ok(Step::Answered(body)) => return Ok(Answer::own(body)),
            Err(refusal) => return Err(Failure::unsupported(refusal)),
        };
        let Some(trying) = provider.live.begin(provider.outlier, force == Force::Yes) else {
            return Err(UpstreamErrorKind::Unhealthy.into());
        };
        self.tries += 1;
        self.provider = Some(Arc::clone(provider));
        self.meter.forwarded(&provider.name, model);
        let result = self
            .upstreams
            .attempt(
                self.outgoing,
                &prepared,
                backend,
                self.started,
                &mut self.failed_endpoints,
            )
            .await;
        let outcome = result.as_ref().err().map(|failure| failure.kind);
        if let Some(kind) = outcome {
            self.meter.upstream_error(&provider.name, kind);
        }
        settle::provider(provider, trying, outcome);
        result
    }
}

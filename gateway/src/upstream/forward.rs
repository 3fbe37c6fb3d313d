//! A request's way through backends, retries and fallbacks to its answer.

use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;

use futures::future::{Either, select};
use rand::Rng as _;
use tokio::time::Instant;

use super::Upstreams;
use super::answer::Answer;
use super::around::{Around, Avoid, Force, NotBegun, Started};
use super::failure::{Failure, backoff};
use super::hedge::{HedgeOutcome, hedge_after};
use super::outgoing::Outgoing;
use crate::admission::{BackendSet, Extra, Permit};
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
    around: &'a Around<'a>,
    tries: u32,
    provider: Option<Arc<Provider>>,
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
    /// All tries together have the total time of the provider that is tried, and no more than the client allows. Tries end
    /// with the first byte of an answer.
    pub async fn forward(
        &self,
        outgoing: &Outgoing,
        route: &Route,
        usable: BackendSet,
        permit: &mut Permit,
        meter: &RequestMeter,
    ) -> Forwarded {
        let around = Around {
            upstreams: self,
            outgoing,
            meter,
            route,
            usable,
            started: Instant::now(),
            wants: permit.wants().clone(),
            avoid: Avoid::new(route.retry.hedge.is_some()),
        };
        let mut journey = Journey {
            around: &around,
            tries: 0,
            provider: None,
        };
        let result = journey.run(permit).await;
        Forwarded {
            result,
            provider: journey.provider,
            tries: journey.tries,
        }
    }
}

impl<'a> Journey<'a> {
    async fn run(&mut self, permit: &mut Permit) -> Result<Answer, Failure> {
        let Around { route, usable, .. } = *self.around;
        route.budget.first_try();
        let mut last: Failure = UpstreamErrorKind::Unhealthy.into();
        let mut failed: BackendSet = 0;
        let mut wordless: BackendSet = 0;
        let mut backend = permit.backend();
        while let Some(at) = backend {
            let tries = self.tries;
            match self.attempt_at(at, failed, permit).await {
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
            backend = match self.next(failed, at, &last, permit).await {
                Next::Backend(at) => Some(at),
                Next::Fallbacks => None,
            };
        }
        for fallback in &route.fallbacks {
            if !last.falls_back() {
                break;
            }
            let asked = self.around.outgoing.peek.model();
            if fallback.model(asked).is_none() || !permit.move_to_provider(&fallback.provider.live) {
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

    /// One try.
    async fn attempt(&mut self, backend: &'a Backend, force: Force) -> Result<Answer, Failure> {
        match self.begin(backend, force) {
            Ok(started) => self.around.finish(started).await,
            Err(NotBegun::Answered(body)) => Ok(Answer::own(body)),
            Err(NotBegun::Failed(failure)) => Err(*failure),
        }
    }

    /// One try at a weighted backend, and a second one beside it if the route wants that.
    async fn attempt_at(&mut self, at: usize, failed: BackendSet, permit: &mut Permit) -> Result<Answer, Failure> {
        let route = self.around.route;
        match hedge_after(route.retry.hedge, &route.first_tokens, self.around.wants.stream) {
            None => self.attempt(&route.backends[at], Force::No).await,
            // Boxed, so that requests of other routes need no room for two tries.
            Some(after) => Box::pin(self.attempt_hedged(at, after, failed, permit)).await,
        }
    }

    /// One try, and a second one beside it if the first takes long. The one that answers first is the answer, the other
    /// one is cancelled.
    async fn attempt_hedged(
        &mut self,
        at: usize,
        after: Duration,
        failed: BackendSet,
        permit: &mut Permit,
    ) -> Result<Answer, Failure> {
        let around = self.around;
        let route = around.route;
        let backend = &route.backends[at];
        let started = match self.begin(backend, Force::No) {
            Ok(started) => started,
            Err(NotBegun::Answered(body)) => return Ok(Answer::own(body)),
            Err(NotBegun::Failed(failure)) => return Err(*failure),
        };
        let mut first = pin!(around.finish(started));
        if let Ok(result) = tokio::time::timeout(after, first.as_mut()).await {
            return result;
        }
        let Some((extra, started)) = self.second(at, failed, permit) else {
            return first.await;
        };
        let other = Arc::clone(&started.backend.provider);
        let second = pin!(around.finish(started));
        let (outcome, result) = match select(first, second).await {
            Either::Left((Ok(answer), _)) => (HedgeOutcome::Lost, Ok(answer)),
            Either::Right((Ok(answer), _)) => (HedgeOutcome::Won, Ok(answer)),
            Either::Left((Err(failure), second)) => match second.await {
                Ok(answer) => (HedgeOutcome::Won, Ok(answer)),
                Err(_) => (HedgeOutcome::Failed, Err(failure)),
            },
            Either::Right((Err(_), first)) => match first.await {
                Ok(answer) => (HedgeOutcome::Lost, Ok(answer)),
                Err(failure) => (HedgeOutcome::Failed, Err(failure)),
            },
        };
        route.hedges.count(outcome, around.wants.input);
        if outcome == HedgeOutcome::Won {
            self.provider = Some(other);
            permit.adopt(extra);
        } else {
            self.provider = Some(Arc::clone(&backend.provider));
            around.meter.answered_by(&backend.provider.name);
        }
        result
    }

    /// A second try beside the one at backend `at`, if there is a place for it and the budget allows it: at another
    /// backend that did not fail, else at another endpoint of the same one.
    fn second(&mut self, at: usize, failed: BackendSet, permit: &Permit) -> Option<(Extra, Started<'a>)> {
        let Around { route, usable, .. } = *self.around;
        if !route.budget.spend(Instant::now()) {
            return None;
        }
        // It is not worth another region that the first one is slow.
        let others = route.candidates.no_farther(at, usable & !failed & !(1 << at));
        let second = permit
            .extra(&route.candidates, others)
            .or_else(|| permit.extra(&route.candidates, 1 << at))
            .and_then(|extra| {
                let started = self.begin(&route.backends[extra.backend()?], Force::No).ok()?;
                Some((extra, started))
            });
        if second.is_none() {
            route.budget.refund();
        }
        second
    }

    fn begin(&mut self, backend: &'a Backend, force: Force) -> Result<Started<'a>, NotBegun> {
        let started = Started::at(self.around.outgoing, backend, force)?;
        self.tries += 1;
        self.provider = Some(Arc::clone(&backend.provider));
        Ok(started)
    }

    /// Chooses where to try again, as far as the route's budget of retries goes. A try without a connection has put no
    /// load on anybody, so the one after it costs nothing.
    async fn next(&self, failed: BackendSet, at: usize, failure: &Failure, permit: &mut Permit) -> Next {
        let budget = &self.around.route.budget;
        let costs = failure.kind != UpstreamErrorKind::Connect;
        if costs && !budget.spend(Instant::now()) {
            return Next::Fallbacks;
        }
        let next = self.place_to_retry(failed, at, failure, permit).await;
        if costs && matches!(next, Next::Fallbacks) {
            budget.refund();
        }
        next
    }

    /// A backend that has not failed yet, at once; else any, after a wait.
    async fn place_to_retry(&self, failed: BackendSet, at: usize, failure: &Failure, permit: &mut Permit) -> Next {
        let Around { route, usable, .. } = *self.around;
        let fresh = usable & !failed;
        if fresh != 0
            && let Some(at) = permit.move_to_backend(&route.candidates, fresh)
        {
            return Next::Backend(at);
        }
        let elsewhere = self
            .around
            .upstreams
            .has_other_endpoint(&route.backends[at], &self.around.avoid);
        if !elsewhere {
            // What the provider asks for, or says about its limits.
            let opens_in = route.backends[at].provider.live.rates.opens_in(Instant::now());
            let asked = failure.retry_after().max(Some(opens_in));
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
}

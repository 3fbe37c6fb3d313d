//! What all tries of one request share, and one try among them.

use std::net::SocketAddr;

use bytes::Bytes;
use parking_lot::{Mutex, MutexGuard};
use tokenweir_config::Hedge;
use tokio::time::Instant;

use super::Upstreams;
use super::answer::Answer;
use super::failure::Failure;
use super::outgoing::{Outgoing, Prepared, Step};
use super::settle;
use crate::admission::BackendSet;
use crate::health::Trying;
use crate::meter::{RequestMeter, UpstreamErrorKind};
use crate::plan::{Backend, Route};
use crate::selection::Wants;

/// What all tries of one request share.
pub(super) struct Around<'a> {
    pub(super) upstreams: &'a Upstreams,
    pub(super) outgoing: &'a Outgoing,
    pub(super) meter: &'a RequestMeter,
    pub(super) route: &'a Route,
    /// The backends that can serve it.
    pub(super) usable: BackendSet,
    pub(super) started: Instant,
    pub(super) wants: Wants,
    pub(super) avoid: Avoid,
}

/// Endpoints of Services at which a further try would be in vain. The lock is for tries side by side in one task, and never
/// held across an await.
#[derive(Debug)]
pub(super) struct Avoid {
    hedged: bool,
    endpoints: Mutex<Vec<SocketAddr>>,
}

impl Avoid {
    /// None yet. `hedged`: there may be tries side by side, so that one that runs is avoided too.
    pub(super) fn new(hedged: bool) -> Self {
        Self {
            hedged,
            endpoints: Mutex::default(),
        }
    }

    /// Those to avoid.
    pub(super) fn list(&self) -> MutexGuard<'_, Vec<SocketAddr>> {
        self.endpoints.lock()
    }

    /// A try at this endpoint begins.
    pub(super) fn chosen(&self, endpoint: SocketAddr) {
        if self.hedged {
            self.failed(endpoint);
        }
    }

    /// The try at this endpoint failed.
    pub(super) fn failed(&self, endpoint: SocketAddr) {
        let mut endpoints = self.endpoints.lock();
        if !endpoints.contains(&endpoint) {
            endpoints.push(endpoint);
        }
    }
}

/// Whether a provider is tried although it is out.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Force {
    No,
    Yes,
}

/// Why a try is not sent.
pub(super) enum NotBegun {
    /// The gateway has the answer itself.
    Answered(Bytes),
    /// The provider has no words for the request, or is out. Boxed, as almost every try is sent.
    Failed(Box<Failure>),
}

/// A try that may be sent.
pub(super) struct Started<'a> {
    pub(super) backend: &'a Backend,
    prepared: Prepared<'a>,
    trying: Trying<'a>,
}

impl<'a> Started<'a> {
    /// Begins a try, if the provider has words for the request and is not out.
    pub(super) fn at(outgoing: &'a Outgoing, backend: &'a Backend, force: Force) -> Result<Self, NotBegun> {
        let provider = &*backend.provider;
        let asked = outgoing.peek.model();
        // Only backends that have the model are chosen; were it not so, the client's name would be sent.
        let model = backend.model(asked).unwrap_or(asked);
        let failed = |failure: Failure| NotBegun::Failed(Box::new(failure));
        let prepared = match outgoing.prepare(provider, model) {
            Ok(Step::Send(prepared)) => prepared,
            Ok(Step::Answered(body)) => return Err(NotBegun::Answered(body)),
            Err(refusal) => return Err(failed(Failure::unsupported(refusal))),
        };
        let live = &provider.live;
        let trying = live.begin(provider.term, provider.outlier, force == Force::Yes);
        let trying = trying.ok_or_else(|| failed(UpstreamErrorKind::Unhealthy.into()))?;
        Ok(Self {
            backend,
            prepared,
            trying,
        })
    }
}

impl<'a> Around<'a> {
    /// Sends it and waits for the first byte of an answer.
    pub(super) async fn finish(&self, started: Started<'a>) -> Result<Answer, Failure> {
        let Started {
            backend,
            prepared,
            trying,
        } = started;
        let provider = &backend.provider;
        self.meter.forwarded(&provider.name, prepared.model);
        let sent = Instant::now();
        let (mut result, tried) = self
            .upstreams
            .attempt(
                self.outgoing,
                &prepared,
                backend,
                self.started,
                &self.wants,
                &self.avoid,
            )
            .await;
        let outcome = result.as_ref().err().map(|failure| failure.kind);
        match outcome {
            Some(kind) => self.meter.upstream_error(&provider.name, kind),
            None => self.answered(backend, sent),
        }
        settle::settle(provider, trying, tried, &mut result);
        result
    }

    fn answered(&self, backend: &Backend, sent: Instant) {
        let now = Instant::now();
        let (stream, after) = (self.wants.stream, now - sent);
        backend.provider.live.load.answered(stream, after, now);
        if matches!(self.route.retry.hedge, Some(Hedge::Percentile(_))) {
            self.route.first_tokens.observe(stream, after);
        }
    }
}

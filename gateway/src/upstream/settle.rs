//! What the outcome of a try says about the health of where it went.

use std::net::SocketAddr;
use std::sync::Arc;

use tokio::time::Instant;

use super::answer::{Answer, AnswerBody};
use super::balance::{Balancer, Consequence, Endpoint, EndpointTry};
use super::failure::Failure;
use crate::health::{Epoch, Loss, Rule, Trouble, Trying};
use crate::meter::UpstreamErrorKind;
use crate::plan::{Provider, Target};

/// What is still to be said of an answer that is passed on as it comes: whether it came whole. Dropping it says nothing,
/// as when the client went away.
#[derive(Debug)]
pub struct Verdict {
    judge: Judge,
    /// Which endpoint answers, and in which epoch of its own; `None`: the provider is judged as a whole.
    endpoint: Option<(Arc<Endpoint>, Epoch)>,
}

/// Who is judged, by its rule of then, and in which of its epochs.
#[derive(Debug)]
struct Judge {
    provider: Arc<Provider>,
    epoch: Epoch,
}

impl Verdict {
    /// All of it came.
    pub(super) fn came_whole(self) {
        match &self.endpoint {
            Some((endpoint, epoch)) => endpoint.breaker.came_whole(*epoch),
            None => self.judge.provider.live.breaker.came_whole(self.judge.epoch),
        }
    }

    /// It broke off, perhaps with the connection that carried it together with others.
    pub(super) fn broke_off(self, error: UpstreamErrorKind, lost: Option<&Loss>) {
        let Judge { provider, epoch } = &self.judge;
        let Some(rule) = provider.outlier.as_ref().filter(|_| error.is_sickness()) else {
            return;
        };
        let trouble = Trouble { error, loss: lost };
        if let Some(((endpoint, of_endpoint), balancer)) = self.endpoint.as_ref().zip(balancer(provider)) {
            let consequence = balancer.broke_off(endpoint, *of_endpoint, rule, trouble);
            self.judge.draw(rule, consequence, endpoint.address, error);
        } else {
            let breaker = &provider.live.breaker;
            if breaker.broke_off(*epoch, Instant::now(), rule, trouble, || true) {
                tell_out(provider, error);
            }
        }
    }
}

impl Judge {
    fn draw(&self, rule: &Rule, consequence: Consequence, endpoint: SocketAddr, error: UpstreamErrorKind) {
        let provider = &*self.provider;
        match consequence {
            Consequence::None => {}
            Consequence::Ejected => {
                provider.live.count_ejection();
                let name = &*provider.name;
                tracing::warn!(provider = name, %endpoint, error = error.as_str(), "an endpoint is out");
            }
            Consequence::NoneGood => {
                let breaker = &provider.live.breaker;
                if breaker.trip(self.epoch, Instant::now(), rule, error) {
                    tell_out(provider, error);
                }
            }
        }
    }
}

/// Says how a try went: at the provider, and at the endpoint if it is a Service. Of an answer that has only begun the rest
/// is judged too, once it is over.
///
/// If a failure leaves no endpoint that is good, the provider as a whole is out, so that others are asked at once.
pub(super) fn settle(
    provider: &Arc<Provider>,
    trying: Trying<'_>,
    tried: Option<EndpointTry>,
    result: &mut Result<Answer, Failure>,
) {
    // Without a word on how they went, both are given up.
    let Some((rule, epoch)) = trying.judged() else { return };
    let judge = |epoch| Judge {
        provider: Arc::clone(provider),
        epoch,
    };
    match result {
        Ok(answer) => {
            let endpoint = tried.map(|tried| tried.succeeded(&rule));
            let epoch = trying.succeeded().unwrap_or(epoch);
            if let AnswerBody::Begun { rest, .. } = &mut answer.body {
                let judge = judge(epoch);
                rest.verdict = Some(Verdict { judge, endpoint });
            }
        }
        Err(failure) if failure.kind.is_answer() => {
            if let Some(tried) = tried {
                tried.succeeded(&rule);
            }
            trying.succeeded();
        }
        Err(failure) if failure.kind.is_sickness() => {
            let error = failure.kind;
            let loss = failure.lost.as_deref();
            let Some((tried, balancer)) = tried.zip(balancer(provider)) else {
                if trying.failed(Trouble { error, loss }, true) {
                    tell_out(provider, error);
                }
                return;
            };
            // A lost connection is one event for its endpoint. Here requests are only counted, to be told of.
            trying.failed(Trouble { error, loss: None }, false);
            let consequence = balancer.failed(&tried, &rule, Trouble { error, loss });
            judge(epoch).draw(&rule, consequence, tried.address(), error);
        }
        Err(_) => {}
    }
}

fn balancer(provider: &Provider) -> Option<&Balancer> {
    match &provider.target {
        Target::Service { balancer, .. } => Some(balancer),
        Target::Endpoint { .. } => None,
    }
}

fn tell_out(provider: &Provider, error: UpstreamErrorKind) {
    provider.live.count_ejection();
    tracing::warn!(provider = &*provider.name, error = error.as_str(), "a provider is out");
}

//! What the outcome of a try says about the health of where it went.

use std::net::SocketAddr;
use std::sync::Arc;

use tokio::time::Instant;

use super::answer::{Answer, AnswerBody};
use super::balance::{Balancer, Consequence, Endpoint, EndpointTry};
use super::failure::Failure;
use crate::health::{Rule, Trying};
use crate::meter::UpstreamErrorKind;
use crate::plan::{Provider, Target};

/// What is still to be said of an answer that is passed on as it comes: whether it came whole. Dropping it says nothing,
/// as when the client went away.
#[derive(Debug)]
pub struct Verdict {
    provider: Arc<Provider>,
    /// Which endpoint answers; `None`: the provider is judged as a whole.
    endpoint: Option<Arc<Endpoint>>,
}

impl Verdict {
    /// All of it came.
    pub(super) fn came_whole(self) {
        match &self.endpoint {
            Some(endpoint) => endpoint.breaker.came_whole(),
            None => self.provider.live.breaker.came_whole(),
        }
    }

    /// It broke off.
    pub(super) fn broke_off(self, error: UpstreamErrorKind) {
        let provider = &*self.provider;
        let Some(rule) = provider.outlier.as_ref().filter(|_| error.is_sickness()) else {
            return;
        };
        if let (Target::Service { balancer, .. }, Some(endpoint)) = (&provider.target, &self.endpoint) {
            let consequence = balancer.broke_off(endpoint, rule, error);
            draw(consequence, provider, rule, endpoint.address, error);
        } else {
            let breaker = &provider.live.breaker;
            if breaker.broke_off(Instant::now(), rule, error, || true) {
                tell_out(provider, error);
            }
        }
    }
}

/// Has the rest of an answer judged too, if it has only begun.
pub(super) fn follow(provider: &Arc<Provider>, endpoint: Option<&EndpointTry>, result: &mut Result<Answer, Failure>) {
    if provider.outlier.is_none() {
        return;
    }
    if let Ok(answer) = result
        && let AnswerBody::Begun { rest, .. } = &mut answer.body
    {
        rest.verdict = Some(Verdict {
            provider: Arc::clone(provider),
            endpoint: endpoint.map(|tried| Arc::clone(tried.endpoint())),
        });
    }
}

/// Says how a try at an endpoint of a Service went; `None`: it was answered.
///
/// If that leaves no endpoint that is good, the provider as a whole is out, so that others are asked at once.
pub(super) fn endpoint(
    provider: &Provider,
    balancer: &Balancer,
    tried: EndpointTry,
    failed: Option<UpstreamErrorKind>,
) {
    let Some(rule) = &provider.outlier else { return };
    let Some(error) = failed.filter(|error| !error.is_answer()) else {
        return tried.succeeded();
    };
    if !error.is_sickness() {
        return;
    }
    let consequence = balancer.failed(&tried, rule, error);
    draw(consequence, provider, rule, tried.address(), error);
}

fn draw(consequence: Consequence, provider: &Provider, rule: &Rule, endpoint: SocketAddr, error: UpstreamErrorKind) {
    match consequence {
        Consequence::None => {}
        Consequence::Ejected => {
            provider.live.count_ejection();
            let name = &*provider.name;
            tracing::warn!(provider = name, %endpoint, error = error.as_str(), "an endpoint is out");
        }
        Consequence::NoneGood => {
            if provider.live.breaker.trip(Instant::now(), rule, error) {
                tell_out(provider, error);
            }
        }
    }
}

/// Says how a try at a provider went; `None`: it was answered.
pub(super) fn provider(provider: &Provider, tried: Trying<'_>, failed: Option<UpstreamErrorKind>) {
    let alone = matches!(provider.target, Target::Endpoint { .. });
    match failed {
        None => tried.succeeded(),
        Some(error) if error.is_answer() => tried.succeeded(),
        Some(error) if error.is_sickness() => {
            if tried.failed(error, alone) {
                tell_out(provider, error);
            }
        }
        Some(_) => {}
    }
}

fn tell_out(provider: &Provider, error: UpstreamErrorKind) {
    provider.live.count_ejection();
    tracing::warn!(provider = &*provider.name, error = error.as_str(), "a provider is out");
}

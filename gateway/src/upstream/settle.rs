//! What the outcome of a try says about the health of where it went.

use super::balance::{Balancer, Consequence, EndpointTry};
use crate::health::Trying;
use crate::meter::UpstreamErrorKind;
use crate::plan::{Provider, Target};

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
    match balancer.failed(&tried, rule, error) {
        Consequence::None => {}
        Consequence::Ejected => {
            provider.live.count_ejection();
            let (name, endpoint) = (&*provider.name, tried.address());
            tracing::warn!(provider = name, %endpoint, error = error.as_str(), "an endpoint is out");
        }
        Consequence::NoneGood => {
            let breaker = &provider.live.breaker;
            if breaker.trip(tokio::time::Instant::now(), rule, error) {
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

//! What is told about the health of providers.

use std::net::SocketAddr;
use std::time::Duration;

use tokenweir_config::status::{HealthState, ProviderReport};
use tokio::time::Instant;

use super::breaker::{Breaker, Outage};
use super::live::Live;
use super::{Probed, Standing};
use crate::endpoints::EndpointTable;
use crate::plan::{Plan, Provider, Target};

/// What is found about one provider.
struct Found {
    state: HealthState,
    reason: String,
    /// For how long.
    lasting: Duration,
}

/// How each provider of a plan is, at the moment `now`, which is `now_unix_ms` in milliseconds of Unix time.
pub fn report(plan: &Plan, endpoints: &EndpointTable, now: Instant, now_unix_ms: u64) -> Vec<ProviderReport> {
    let told = |provider: &Provider| {
        let found = find(provider, endpoints, now);
        let lasting = u64::try_from(found.lasting.as_millis()).unwrap_or(u64::MAX);
        ProviderReport {
            name: provider.name.to_string(),
            state: found.state,
            reason: found.reason,
            since_unix_ms: now_unix_ms.saturating_sub(lasting),
        }
    };
    plan.providers().map(|provider| told(provider)).collect()
}

fn find(provider: &Provider, table: &EndpointTable, now: Instant) -> Found {
    let live = &provider.live;
    if let Some(found) = out(&live.breaker, &live.probed, now) {
        return found;
    }
    let well = |lasting| Found {
        state: HealthState::Healthy,
        reason: String::new(),
        lasting,
    };
    let Target::Service { service, balancer, .. } = &provider.target else {
        return well(well_for(live, now));
    };
    let ready = table.get(service);
    if ready.is_empty() {
        return Found {
            state: HealthState::Unhealthy,
            reason: format!("Service {} has no ready endpoint", service.name),
            lasting: table.unchanged_for(service, now).unwrap_or_default(),
        };
    }
    let endpoints = balancer.endpoints(&ready);
    let mut sick: Vec<(SocketAddr, Found)> = endpoints
        .iter()
        .filter_map(|endpoint| Some((endpoint.address, out(&endpoint.breaker, &endpoint.probed, now)?)))
        .collect();
    // The one that is out for longest tells since when the provider is not whole.
    sick.sort_by_key(|(_, found)| std::cmp::Reverse(found.lasting));
    match sick.first() {
        None => well(well_for(live, now)),
        Some((address, found)) => Found {
            state: HealthState::Degraded,
            reason: format!(
                "{} of {} endpoints are out; {address}: {}",
                sick.len(),
                endpoints.len(),
                found.reason
            ),
            lasting: found.lasting,
        },
    }
}

/// Why nothing is sent to a place, if that is so.
fn out(breaker: &Breaker, probed: &Probed, now: Instant) -> Option<Found> {
    if let Some(outage) = probed.outage() {
        return Some(Found {
            state: HealthState::Unhealthy,
            reason: format!("probes fail: {}", outage.why),
            lasting: now.saturating_duration_since(outage.since),
        });
    }
    let Outage { error, errors } = breaker.outage()?;
    let trial = breaker.standing(now) == Standing::Trial;
    let next = if trial { "; the next request tries it" } else { "" };
    Some(Found {
        state: if trial {
            HealthState::Degraded
        } else {
            HealthState::Unhealthy
        },
        reason: format!(
            "{errors} requests in a row failed, the last by: {}{next}",
            error.words()
        ),
        lasting: breaker.stands_for(now),
    })
}

/// For how long nothing spoke against a provider.
fn well_for(live: &Live, now: Instant) -> Duration {
    let by_requests = live.breaker.stands_for(now);
    match live.probed.back_since() {
        Some(since) => by_requests.min(now.saturating_duration_since(since)),
        None => by_requests,
    }
}

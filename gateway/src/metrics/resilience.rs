//! Health of providers, and what routes do besides passing requests on.

use std::sync::atomic::Ordering::Relaxed;

use prometheus_client::encoding::DescriptorEncoder;
use prometheus_client::metrics::MetricType;
use tokenweir_config::status::HealthState;
use tokio::time::Instant;

use super::families::{Family, Result};
use crate::endpoints::EndpointTable;
use crate::health::report;
use crate::plan::Plan;
use crate::upstream::HedgeOutcome;

pub(super) fn health(encoder: &mut DescriptorEncoder<'_>, plan: &Plan, endpoints: &EndpointTable) -> Result {
    let mut family = Family::new(
        encoder,
        "tokenweir_provider_healthy",
        "1 while requests are sent to the provider, or to a part of it",
        MetricType::Gauge,
    )?;
    for provider in report(plan, endpoints, Instant::now(), 0) {
        let healthy = i64::from(provider.state != HealthState::Unhealthy);
        family.gauge(&[("gen_ai_provider_name", provider.name.as_str())], healthy)?;
    }
    let mut family = Family::new(
        encoder,
        "tokenweir_upstream_ejections",
        "How often a provider, or a pod behind it, was taken out",
        MetricType::Counter,
    )?;
    for provider in plan.providers() {
        let name = [("gen_ai_provider_name", &*provider.name)];
        family.counter(&name, provider.live.ejections())?;
    }
    let mut family = Family::new(
        encoder,
        "tokenweir_retries_refused",
        "Retries for which the route had no budget left",
        MetricType::Counter,
    )?;
    let mut routes: Vec<_> = plan.routes().collect();
    routes.sort_by(|a, b| a.name.cmp(&b.name));
    for route in &routes {
        family.counter(&[("route", &*route.name)], route.budget.refused())?;
    }
    let mut family = Family::new(
        encoder,
        "tokenweir_hedges",
        "Second tries beside a first one without an answer, by what came of them",
        MetricType::Counter,
    )?;
    for route in &routes {
        for outcome in HedgeOutcome::ALL {
            let labels = [("route", &*route.name), ("outcome", outcome.as_str())];
            family.counter(&labels, route.hedges.of(outcome))?;
        }
    }
    let mut family = Family::new(
        encoder,
        "tokenweir_hedge_cancelled_tokens",
        "Input tokens, by estimate, of tries that were cancelled because the other one answered",
        MetricType::Counter,
    )?;
    for route in &routes {
        family.counter(&[("route", &*route.name)], route.hedges.cancelled_tokens())?;
    }
    let mut family = Family::new(
        encoder,
        "tokenweir_requests_with_dropped_fields",
        "Answers to requests of which fields were left out, as the provider has no words for them",
        MetricType::Counter,
    )?;
    for route in &routes {
        family.counter(&[("route", &*route.name)], route.lossy.load(Relaxed))?;
    }
    Ok(())
}

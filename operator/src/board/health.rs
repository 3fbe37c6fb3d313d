//! From what gateway pods say about a provider to one sentence on how it is.

use std::collections::BTreeMap;

use k8s_openapi::jiff::Timestamp;
use tokenweir_config::status::{HealthState, ProviderReport};
use tokenweir_crds::conditions::{ConditionStatus, Finding, Reason};

use super::PodReport;

/// Pods reckon back to the moment since when something is so, and may be off by the rounding of two clocks.
const SAME_MOMENT_MS: u64 = 1_000;

/// How the pods of a gateway see its providers: by provider, then by pod.
pub type ProvidersSeen = BTreeMap<String, BTreeMap<String, ProviderReport>>;

/// Collects what pods say; what only differs from `before` by the rounding of clocks stays as it was.
pub fn seen(pods: &BTreeMap<String, PodReport>, before: &ProvidersSeen) -> ProvidersSeen {
    let mut seen = ProvidersSeen::new();
    for (pod, report) in pods {
        for provider in &report.providers {
            let mut provider = provider.clone();
            let old = before.get(&provider.name).and_then(|pods| pods.get(pod));
            if let Some(old) = old
                && old.since_unix_ms.abs_diff(provider.since_unix_ms) < SAME_MOMENT_MS
            {
                provider.since_unix_ms = old.since_unix_ms;
            }
            seen.entry(provider.name.clone())
                .or_default()
                .insert(pod.clone(), provider);
        }
    }
    seen
}

/// The condition `Healthy` of a provider, from what all pods of all gateways say.
pub fn healthy(reports: &[ProviderReport]) -> Finding {
    let count = |state: HealthState| reports.iter().filter(|report| report.state == state).count();
    let (all, well) = (reports.len(), count(HealthState::Healthy));
    // The worst of them speaks; of equally bad ones the one that has been so for longest.
    let worst = reports
        .iter()
        .min_by_key(|report| (std::cmp::Reverse(report.state), report.since_unix_ms));
    let Some(worst) = worst else {
        return Finding::unknown(Reason::NotReported, "no gateway pod has told how the provider is");
    };
    let noun = if all == 1 { "pod" } else { "pods" };
    if worst.state == HealthState::Healthy {
        return Finding::holds(Reason::Healthy, format!("{all}/{all} {noun} send requests to it"));
    }
    let since = moment(worst.since_unix_ms);
    let why = &worst.reason;
    let out = count(HealthState::Unhealthy);
    if out == all {
        Finding::fails(
            Reason::Unhealthy,
            format!("out on {out}/{all} {noun} since {since}: {why}"),
        )
    } else {
        let message = format!("whole on {well}/{all} {noun}, out on {out}; since {since}: {why}");
        Finding::holds(Reason::Degraded, message)
    }
}

/// The condition `Healthy` of a route, from those of its providers, by name.
pub fn route_healthy(backends: &[(String, Finding)], fallbacks: &[(String, Finding)]) -> Finding {
    let usable = |(_, finding): &&(String, Finding)| finding.status != ConditionStatus::False;
    let whole = |(_, finding): &(String, Finding)| finding.reason == Reason::Healthy;
    if backends
        .iter()
        .all(|(_, finding)| finding.status == ConditionStatus::Unknown)
    {
        return Finding::unknown(Reason::NotReported, "no gateway pod has told how the backends are");
    }
    if backends.iter().all(whole) {
        return Finding::holds(Reason::Healthy, "every backend is healthy");
    }
    let troubled: Vec<String> = backends
        .iter()
        .filter(|backend| !whole(backend))
        .map(|(name, finding)| format!("ModelProvider {name}: {}", finding.message))
        .collect();
    let troubled = troubled.join("; ");
    if backends.iter().any(|backend| usable(&backend)) {
        return Finding::holds(Reason::Degraded, troubled);
    }
    match fallbacks.iter().find(usable) {
        Some((name, _)) => {
            let message = format!("no backend is healthy, requests go to the fallback {name}; {troubled}");
            Finding::holds(Reason::Degraded, message)
        }
        None => Finding::fails(
            Reason::Unhealthy,
            format!("nothing that answers is healthy; {troubled}"),
        ),
    }
}

fn moment(unix_ms: u64) -> String {
    i64::try_from(unix_ms / 1_000)
        .ok()
        .and_then(|seconds| Timestamp::from_second(seconds).ok())
        .map_or_else(|| "an unknown time".to_owned(), |at| at.to_string())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn report(state: HealthState, reason: &str, since_unix_ms: u64) -> ProviderReport {
        ProviderReport {
            name: "openai".into(),
            state,
            reason: reason.into(),
            since_unix_ms,
        }
    }

    fn told(finding: &Finding) -> (ConditionStatus, Reason, &str) {
        (finding.status, finding.reason, &finding.message)
    }

    #[test]
    fn a_provider_is_unhealthy_when_all_pods_say_so_and_degraded_when_some_do() {
        let well = report(HealthState::Healthy, "", 5);
        let out = |since| report(HealthState::Unhealthy, "probes fail: GET /models answers 500", since);
        assert_eq!(healthy(&[]).status, ConditionStatus::Unknown);
        assert_eq!(
            told(&healthy(&[well.clone(), well.clone()])),
            (ConditionStatus::True, Reason::Healthy, "2/2 pods send requests to it")
        );
        assert_eq!(
            told(&healthy(&[out(1_800_000_000_999), out(1_900_000_000_000)])),
            (
                ConditionStatus::False,
                Reason::Unhealthy,
                "out on 2/2 pods since 2027-01-15T08:00:00Z: probes fail: GET /models answers 500"
            )
        );
        let mixed = healthy(&[well, out(1_800_000_000_000)]);
        assert_eq!(
            told(&mixed),
            (
                ConditionStatus::True,
                Reason::Degraded,
                "whole on 1/2 pods, out on 1; since 2027-01-15T08:00:00Z: probes fail: GET /models answers 500"
            )
        );
    }

    #[test]
    fn a_route_is_unhealthy_when_neither_backend_nor_fallback_answers() {
        let good = |name: &str| {
            (
                name.to_owned(),
                Finding::holds(Reason::Healthy, "1/1 pod send requests to it"),
            )
        };
        let bad = |name: &str| (name.to_owned(), Finding::fails(Reason::Unhealthy, "out"));
        let unknown = |name: &str| (name.to_owned(), Finding::unknown(Reason::NotReported, "nobody says"));
        assert_eq!(route_healthy(&[good("a")], &[bad("b")]).reason, Reason::Healthy);
        assert_eq!(
            told(&route_healthy(&[good("a"), bad("b")], &[])),
            (ConditionStatus::True, Reason::Degraded, "ModelProvider b: out")
        );
        assert_eq!(
            told(&route_healthy(&[bad("a")], &[bad("b"), good("c")])),
            (
                ConditionStatus::True,
                Reason::Degraded,
                "no backend is healthy, requests go to the fallback c; ModelProvider a: out"
            )
        );
        assert_eq!(
            told(&route_healthy(&[bad("a")], &[bad("b")])),
            (
                ConditionStatus::False,
                Reason::Unhealthy,
                "nothing that answers is healthy; ModelProvider a: out"
            )
        );
        assert_eq!(route_healthy(&[unknown("a")], &[]).status, ConditionStatus::Unknown);
    }

    #[test]
    fn the_rounding_of_clocks_is_no_news() {
        let pods = |since| {
            let report = PodReport {
                providers: vec![report(HealthState::Healthy, "", since)],
                ..PodReport::default()
            };
            BTreeMap::from([("edge-0".to_owned(), report)])
        };
        let first = seen(&pods(10_000), &ProvidersSeen::new());
        assert_eq!(seen(&pods(10_001), &first), first);
        assert_ne!(seen(&pods(11_000), &first), first);
    }
}

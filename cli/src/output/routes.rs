//! Routes with their targets, as all pods of a gateway together see them.

use std::collections::{BTreeMap, BTreeSet};

use k8s_openapi::jiff::Timestamp;
use serde::Serialize;
use tokenweir_config::status::{HealthState, ProviderReport, RouteReport, Status, TargetReport};
use tokenweir_config::{RouteMatch, ValueTest};

use super::age::since_unix_ms;
use super::table::{Align, Cell, Table, Tone};

/// What one pod said.
#[derive(Debug, Clone)]
pub struct Seen {
    pub namespace: String,
    pub gateway: String,
    pub status: Status,
}

/// A route of a gateway.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct RouteView {
    #[serde(skip_serializing_if = "String::is_empty")]
    pub namespace: String,
    pub gateway: String,
    pub route: String,
    pub model: String,
    /// Which requests for it the route takes; absent: all that no other route takes.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub matches: Vec<RouteMatch>,
    /// Requests that were admitted and have not ended, in all pods.
    pub in_flight: u64,
    /// Requests that wait for admission, in all pods.
    pub queue_depth: u64,
    /// The newest generation that a pod serves; the targets are those of this one.
    pub generation: u64,
    /// In the order of the route, the fallbacks last.
    pub targets: Vec<TargetView>,
}

/// A target of a route.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct TargetView {
    pub provider: String,
    /// The model name that is sent; absent: what the client sent.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub model: Option<String>,
    /// Absent for fallbacks.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub weight: Option<u32>,
    /// Percent of the requests while all backends are well and have room; absent for fallbacks.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub share: Option<f64>,
    /// The provider's region, as far as it is known.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub region: Option<String>,
    /// Requests on their way to the provider from all routes and pods.
    pub in_flight: u64,
    #[serde(flatten)]
    pub health: Health,
}

/// How a provider is, as several pods see it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Health {
    /// What all pods say, or `Degraded` where they differ.
    #[serde(rename = "health")]
    pub state: &'static str,
    /// Unix time in milliseconds since when; absent if nobody has told how it is.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub since_unix_ms: Option<u64>,
    /// Empty if it is well.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub reason: String,
}

/// The routes of all gateways, by namespace, gateway and name.
pub fn routes_of(seen: &[Seen]) -> Vec<RouteView> {
    let mut gateways: BTreeMap<(&str, &str), Vec<&Status>> = BTreeMap::new();
    for pod in seen {
        gateways
            .entry((&pod.namespace, &pod.gateway))
            .or_default()
            .push(&pod.status);
    }
    let mut views = Vec::new();
    for ((namespace, gateway), pods) in gateways {
        let generation = |status: &&Status| status.serving.as_ref().map_or(0, |serving| serving.generation);
        let Some(newest) = pods.iter().copied().max_by_key(generation) else {
            continue;
        };
        for route in &newest.routes {
            let same: Vec<&RouteReport> = pods
                .iter()
                .flat_map(|pod| pod.routes.iter().filter(|other| other.name == route.name))
                .collect();
            views.push(RouteView {
                namespace: namespace.to_owned(),
                gateway: gateway.to_owned(),
                route: route.name.clone(),
                model: route.model.clone(),
                matches: route.matches.clone(),
                in_flight: same.iter().map(|route| route.in_flight).sum(),
                queue_depth: same.iter().map(|route| route.queue_depth).sum(),
                generation: generation(&newest),
                targets: targets(route, &pods),
            });
        }
    }
    views
}

fn targets(route: &RouteReport, pods: &[&Status]) -> Vec<TargetView> {
    let weighted = || {
        route
            .backends
            .iter()
            .filter(|target| target.weight.is_some_and(|weight| weight > 0))
    };
    // What is farther gets nothing while something nearer is well.
    let nearest = weighted().map(|target| target.distance).min();
    let near = |target: &TargetReport| Some(target.distance) == nearest;
    let all: u32 = weighted()
        .filter(|target| near(target))
        .filter_map(|target| target.weight)
        .sum();
    let share = |target: &TargetReport| {
        let weight = if near(target) { target.weight? } else { 0 };
        (target.weight.is_some() && all > 0).then(|| f64::from(weight) * 100.0 / f64::from(all))
    };
    let target = |target: &TargetReport| TargetView {
        provider: target.provider.clone(),
        model: target.model.clone(),
        weight: target.weight,
        share: share(target),
        region: target.region.clone(),
        in_flight: on_the_way(&target.provider, pods),
        health: health(&target.provider, pods),
    };
    route.backends.iter().chain(&route.fallbacks).map(target).collect()
}

/// Requests on their way to a provider: each pod says the same number at every route that leads there.
fn on_the_way(provider: &str, pods: &[&Status]) -> u64 {
    let of_pod = |pod: &&Status| {
        let targets = pod
            .routes
            .iter()
            .flat_map(|route| route.backends.iter().chain(&route.fallbacks));
        let mut same = targets.filter(|target| target.provider == provider);
        same.next().map_or(0, |target| u64::from(target.in_flight))
    };
    pods.iter().map(of_pod).sum()
}

/// One word for what several pods say, and what the worst of them gives as its reason.
pub fn health(provider: &str, pods: &[&Status]) -> Health {
    let reports = pods.iter().flat_map(|pod| &pod.providers);
    let reports: Vec<&ProviderReport> = reports.filter(|report| report.name == provider).collect();
    let states: BTreeSet<HealthState> = reports.iter().map(|report| report.state).collect();
    let worst = reports
        .iter()
        .max_by_key(|report| (report.state, std::cmp::Reverse(report.since_unix_ms)));
    let Some(worst) = worst else {
        return Health {
            state: "Unknown",
            since_unix_ms: None,
            reason: "no pod has told how it is".to_owned(),
        };
    };
    if states.len() == 1 {
        return Health {
            state: health_word(worst.state).0,
            // Since when it is so for all of them.
            since_unix_ms: reports.iter().map(|report| report.since_unix_ms).max(),
            reason: worst.reason.clone(),
        };
    }
    let sick = reports
        .iter()
        .filter(|report| report.state != HealthState::Healthy)
        .count();
    Health {
        state: health_word(HealthState::Degraded).0,
        since_unix_ms: Some(worst.since_unix_ms),
        reason: format!("on {sick} of {} pods: {}", reports.len(), worst.reason),
    }
}

/// How a provider is, in a word.
pub fn health_word(state: HealthState) -> (&'static str, Tone) {
    match state {
        HealthState::Healthy => ("Healthy", Tone::Good),
        HealthState::Degraded => ("Degraded", Tone::Warn),
        HealthState::Unhealthy => ("Unhealthy", Tone::Bad),
    }
}

fn tone(health: &str) -> Tone {
    let states = [HealthState::Healthy, HealthState::Degraded, HealthState::Unhealthy];
    let known = states.into_iter().map(health_word).find(|(word, _)| *word == health);
    known.map_or(Tone::Warn, |(_, tone)| tone)
}

/// Which requests a route takes, in words: `x-team=a and body.user or x-beta`.
fn when(matches: &[RouteMatch]) -> String {
    let test = |name: &str, test: &ValueTest| match test {
        ValueTest::Present => name.to_owned(),
        ValueTest::Exact(value) => format!("{name}={value}"),
        ValueTest::Pattern(pattern) => format!("{name}~{pattern}"),
    };
    let entry = |entry: &RouteMatch| {
        let headers = entry.headers.iter().map(|header| test(&header.name, &header.test));
        let fields = entry
            .body
            .iter()
            .map(|field| test(&format!("body.{}", field.path), &field.test));
        headers.chain(fields).collect::<Vec<_>>().join(" and ")
    };
    matches.iter().map(entry).collect::<Vec<_>>().join(" or ")
}

/// One line for each target; what belongs to the route stands in the first one.
pub fn routes_table(routes: &[RouteView], namespaces: bool, now: Timestamp, color: bool) -> String {
    let mut columns = vec![
        ("GATEWAY", Align::Left),
        ("ROUTE", Align::Left),
        ("MODEL", Align::Left),
        ("IN FLIGHT", Align::Right),
        ("WAITING", Align::Right),
        ("TARGET", Align::Left),
        ("WEIGHT", Align::Left),
        ("HEALTH", Align::Left),
        ("SINCE", Align::Left),
        ("TO PROVIDER", Align::Right),
        ("REASON", Align::Left),
    ];
    let conditions = routes.iter().any(|route| !route.matches.is_empty());
    if conditions {
        columns.insert(3, ("WHEN", Align::Left));
    }
    if namespaces {
        columns.insert(0, ("NAMESPACE", Align::Left));
    }
    let heads = 5 + usize::from(namespaces) + usize::from(conditions);
    let mut table = Table::new(columns);
    for route in routes {
        let mut head: Vec<Cell> = vec![
            route.gateway.as_str().into(),
            route.route.as_str().into(),
            route.model.as_str().into(),
            route.in_flight.to_string().into(),
            Cell::new(
                route.queue_depth.to_string(),
                if route.queue_depth > 0 { Tone::Warn } else { Tone::Plain },
            ),
        ];
        if conditions {
            head.insert(3, when(&route.matches).into());
        }
        if namespaces {
            head.insert(0, route.namespace.as_str().into());
        }
        let mut fallbacks = 0;
        for target in &route.targets {
            let mut row = std::mem::replace(&mut head, vec![Cell::default(); heads]);
            let weight = match (target.weight, target.share) {
                (Some(weight), Some(share)) => format!("{weight} ({share:.0}%)"),
                (Some(weight), None) => weight.to_string(),
                (None, _) => {
                    fallbacks += 1;
                    format!("fallback {fallbacks}")
                }
            };
            let model = target.model.as_ref().map(|model| format!(" as {model}"));
            let region = target.region.as_ref().map(|region| format!(" in {region}"));
            let name = [Some(target.provider.clone()), model, region]
                .into_iter()
                .flatten()
                .collect::<String>();
            let health = &target.health;
            row.extend([
                name.into(),
                weight.into(),
                Cell::new(health.state, tone(health.state)),
                health
                    .since_unix_ms
                    .map_or_else(String::new, |since| since_unix_ms(since, now))
                    .into(),
                target.in_flight.to_string().into(),
                health.reason.as_str().into(),
            ]);
            table.row(row);
        }
    }
    table.render(color)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn pod(generation: u64, provider: &serde_json::Value, in_flight: u64) -> Seen {
        let status = json!({
            "version": "0.1.0", "phase": "serving", "inFlight": in_flight, "queueDepth": 0, "startedUnixMs": 0,
            "serving": {"generation": generation, "digest": "", "source": "api", "sinceUnixMs": 0},
            "providers": [provider, {"name": "spare", "state": "healthy", "sinceUnixMs": 400_000}],
            "routes": [{
                "name": "chat", "model": "assistant", "inFlight": in_flight, "queueDepth": 1,
                "backends": [
                    {"provider": "sim", "model": "sim-small", "weight": 3, "inFlight": in_flight},
                    {"provider": "spare", "weight": 1, "inFlight": 0},
                ],
                "fallbacks": [{"provider": "spare", "model": "big", "inFlight": 0}],
            }],
        });
        Seen {
            namespace: "llm".to_owned(),
            gateway: "edge".to_owned(),
            status: serde_json::from_value(status).unwrap(),
        }
    }

    fn now() -> Timestamp {
        Timestamp::from_second(1_000).unwrap()
    }

    #[test]
    fn pods_that_agree_are_told_as_one_and_their_requests_are_added_up() {
        let well = json!({"name": "sim", "state": "healthy", "sinceUnixMs": 500_000});
        let routes = routes_of(&[pod(3, &well, 2), pod(3, &well, 5)]);
        insta::assert_snapshot!(routes_table(&routes, false, now(), false), @r"
        GATEWAY   ROUTE   MODEL       IN FLIGHT   WAITING   TARGET             WEIGHT       HEALTH    SINCE   TO PROVIDER   REASON
        edge      chat    assistant           7         2   sim as sim-small   3 (75%)      Healthy   8m                7
                                                            spare              1 (25%)      Healthy   10m               0
                                                            spare as big       fallback 1   Healthy   10m               0
        ");
    }

    #[test]
    fn pods_that_differ_make_a_provider_degraded_with_the_reason_of_the_worst() {
        let well = json!({"name": "sim", "state": "healthy", "sinceUnixMs": 500_000});
        let sick =
            json!({"name": "sim", "state": "unhealthy", "reason": "probes fail: refused", "sinceUnixMs": 940_000});
        let routes = routes_of(&[pod(2, &well, 0), pod(3, &sick, 0), pod(3, &well, 0)]);
        insta::assert_snapshot!(routes_table(&routes, true, now(), false), @r"
        NAMESPACE   GATEWAY   ROUTE   MODEL       IN FLIGHT   WAITING   TARGET             WEIGHT       HEALTH     SINCE   TO PROVIDER   REASON
        llm         edge      chat    assistant           0         3   sim as sim-small   3 (75%)      Degraded   60s               0   on 1 of 3 pods: probes fail: refused
                                                                        spare              1 (25%)      Healthy    10m               0
                                                                        spare as big       fallback 1   Healthy    10m               0
        ");
    }

    #[test]
    fn a_provider_that_nobody_has_told_of_is_unknown_since_no_time() {
        let other = json!({"name": "other", "state": "healthy", "sinceUnixMs": 500_000});
        let routes = routes_of(&[pod(3, &other, 0)]);
        assert_eq!(routes[0].targets[0].health.since_unix_ms, None);
        let table = routes_table(&routes, false, now(), false);
        let row: Vec<&str> = table.lines().nth(1).unwrap().split_whitespace().collect();
        assert!(
            row.join(" ").ends_with("(75%) Unknown 0 no pod has told how it is"),
            "{table}"
        );
    }

    #[test]
    fn conditions_and_regions_are_told_and_what_is_farther_has_no_share() {
        let well = json!({"name": "sim", "state": "healthy", "sinceUnixMs": 500_000});
        let mut seen = pod(3, &well, 0);
        let route = &mut seen.status.routes[0];
        let matches = json!([
            {"rank": 0, "headers": [{"name": "x-team", "test": {"exact": "a"}}], "body": [{"path": "user", "test": "present"}]},
            {"rank": 1, "headers": [{"name": "x-beta", "test": {"pattern": "1|2"}}]},
        ]);
        route.matches = serde_json::from_value(matches).unwrap();
        route.backends[0].region = Some("eu-central-1".to_owned());
        route.backends[1].distance = 1;
        let routes = routes_of(&[seen]);
        let shares: Vec<Option<f64>> = routes[0].targets.iter().map(|target| target.share).collect();
        assert_eq!(shares, [Some(100.0), Some(0.0), None]);
        let table = routes_table(&routes, false, now(), false);
        for expected in [
            "x-team=a and body.user or x-beta~1|2   ",
            "sim as sim-small in eu-central-1   3 (100%)",
            "1 (0%)",
        ] {
            assert!(table.contains(expected), "{expected:?} is not in\n{table}");
        }
    }
}

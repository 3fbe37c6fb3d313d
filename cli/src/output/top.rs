//! What gateways do at this moment, by route.

use std::collections::BTreeMap;

use serde::Serialize;
use tokenweir_signals::{PodSignals, Scope, ScopeKind, Values};

use super::table::{Align, Cell, Table, Tone};

/// The last frames of one pod.
#[derive(Debug, Clone)]
pub struct PodNow {
    pub namespace: String,
    pub gateway: String,
    pub signals: PodSignals,
}

/// A gateway, or one route of it, in all pods together.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct TopRow {
    #[serde(skip_serializing_if = "String::is_empty")]
    pub namespace: String,
    pub gateway: String,
    /// Absent: the whole gateway.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub route: Option<String>,
    /// Pods that the values are from.
    pub pods: usize,
    /// Requests a second over the last ten seconds.
    pub requests_per_second: f64,
    /// Tokens a second over the last ten seconds, input and output.
    pub tokens_per_second: f64,
    /// Milliseconds to the first byte of answers, over the last ten seconds; absent without one.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub ttft_p50_ms: Option<f64>,
    /// As above.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub ttft_p95_ms: Option<f64>,
    pub queue_depth: u64,
    pub in_flight: u64,
}

/// Each gateway, followed by its routes by name.
pub fn top_rows(pods: &[PodNow]) -> Vec<TopRow> {
    let mut sums: BTreeMap<(&str, &str, Option<&str>), (usize, Values)> = BTreeMap::new();
    for pod in pods {
        for (Scope { kind, name }, values) in &pod.signals.scopes {
            let route = match kind {
                ScopeKind::Pod => None,
                ScopeKind::Route => Some(name.as_str()),
                ScopeKind::Tenant => continue,
            };
            let (count, sum) = sums.entry((&pod.namespace, &pod.gateway, route)).or_default();
            *count += 1;
            sum.merge(values);
        }
    }
    sums.into_iter()
        .map(|((namespace, gateway, route), (pods, values))| row(namespace, gateway, route, pods, &values))
        .collect()
}

fn row(namespace: &str, gateway: &str, route: Option<&str>, pods: usize, values: &Values) -> TopRow {
    // The digests are right to a hundredth; more digits would pretend.
    let ms = |q: f64| values.ttft.quantile(q).map(|seconds| rounded(seconds * 1e3));
    TopRow {
        namespace: namespace.to_owned(),
        gateway: gateway.to_owned(),
        route: route.map(str::to_owned),
        pods,
        requests_per_second: rounded(values.request_rate.s10),
        tokens_per_second: rounded(values.token_rate.s10),
        ttft_p50_ms: ms(0.5),
        ttft_p95_ms: ms(0.95),
        queue_depth: values.queue_depth,
        in_flight: values.in_flight,
    }
}

fn rounded(value: f64) -> f64 {
    (value * 10.0).round() / 10.0
}

/// The rows as a table.
pub fn top_table(rows: &[TopRow], namespaces: bool, color: bool) -> String {
    let mut columns = vec![
        ("GATEWAY", Align::Left),
        ("ROUTE", Align::Left),
        ("PODS", Align::Right),
        ("REQ/S", Align::Right),
        ("TOKENS/S", Align::Right),
        ("TTFT P50", Align::Right),
        ("TTFT P95", Align::Right),
        ("WAITING", Align::Right),
        ("IN FLIGHT", Align::Right),
    ];
    if namespaces {
        columns.insert(0, ("NAMESPACE", Align::Left));
    }
    let mut table = Table::new(columns);
    let time = |ms: Option<f64>| match ms {
        None => Cell::new("-", Tone::Faint),
        Some(ms) if ms < 1_000.0 => format!("{ms:.0} ms").into(),
        Some(ms) => format!("{:.1} s", ms / 1e3).into(),
    };
    for row in rows {
        let mut cells: Vec<Cell> = Vec::new();
        if namespaces {
            cells.push(row.namespace.as_str().into());
        }
        let waiting = if row.queue_depth > 0 { Tone::Warn } else { Tone::Plain };
        cells.extend([
            row.gateway.as_str().into(),
            row.route
                .as_deref()
                .map_or_else(|| Cell::new("(all)", Tone::Faint), Cell::from),
            row.pods.to_string().into(),
            format!("{:.1}", row.requests_per_second).into(),
            format!("{:.1}", row.tokens_per_second).into(),
            time(row.ttft_p50_ms),
            time(row.ttft_p95_ms),
            Cell::new(row.queue_depth.to_string(), waiting),
            row.in_flight.to_string().into(),
        ]);
        table.row(cells);
    }
    table.render(color)
}

/// A picture for a terminal of this height: the table, and below it who is silent. Lines without a place are counted.
pub fn top_screen(table: &str, silent: &[String], height: usize) -> String {
    // The last line is the cursor's.
    let room = height.saturating_sub(1);
    let mut below = cut(silent.iter().map(String::as_str).collect(), room / 2);
    if !below.is_empty() {
        below.insert(0, String::new());
    }
    let mut lines = cut(table.lines().collect(), room.saturating_sub(below.len()));
    lines.append(&mut below);
    lines.iter().flat_map(|line| [line.as_str(), "\n"]).collect()
}

fn cut(mut lines: Vec<&str>, room: usize) -> Vec<String> {
    let all = lines.len();
    let rest = if all > room {
        lines.truncate(room.saturating_sub(1));
        Some(format!("... and {} more", all - lines.len()))
    } else {
        None
    };
    lines.into_iter().map(str::to_owned).chain(rest).collect()
}

#[cfg(test)]
mod tests {
    use tokenweir_signals::{Frame, Rates};

    use super::*;

    fn pod(gateway: &str, rate: f64, seconds: f64) -> PodNow {
        let mut values = Values {
            queue_depth: 1,
            in_flight: 2,
            request_rate: Rates {
                s10: rate,
                ..Rates::default()
            },
            ..Values::default()
        };
        values.ttft.record(seconds);
        let mut signals = PodSignals::default();
        let frame = Frame {
            seq: 0,
            measured_unix_ms: 0,
            generation: 1,
            draining: false,
            full: true,
            scopes: vec![
                (Scope::pod(), values.clone()),
                (Scope::route("chat"), values.clone()),
                (Scope::route("idle"), Values::default()),
                (Scope::tenant("acme"), values),
            ],
        };
        signals.apply(frame).unwrap();
        PodNow {
            namespace: "llm".to_owned(),
            gateway: gateway.to_owned(),
            signals,
        }
    }

    #[test]
    fn pods_of_a_gateway_are_added_up_and_no_answer_is_not_a_fast_one() {
        let rows = top_rows(&[pod("edge", 1.25, 0.1), pod("edge", 2.0, 2.0), pod("other", 0.0, 0.5)]);
        insta::assert_snapshot!(top_table(&rows, false, false), @r"
        GATEWAY   ROUTE   PODS   REQ/S   TOKENS/S   TTFT P50   TTFT P95   WAITING   IN FLIGHT
        edge      (all)      2     3.3        0.0     100 ms     100 ms         2           4
        edge      chat       2     3.3        0.0     100 ms     100 ms         2           4
        edge      idle       2     0.0        0.0          -          -         0           0
        other     (all)      1     0.0        0.0     504 ms     504 ms         1           2
        other     chat       1     0.0        0.0     504 ms     504 ms         1           2
        other     idle       1     0.0        0.0          -          -         0           0
        ");
        assert_eq!(rows[2].ttft_p50_ms, None);
    }

    #[test]
    fn what_a_terminal_has_no_lines_for_is_counted() {
        let silent = ["a: refused".to_owned(), "b: refused".to_owned()];
        assert_eq!(top_screen("HEAD\n1\n2\n", &[], 5), "HEAD\n1\n2\n");
        assert_eq!(top_screen("HEAD\n1\n2\n3\n", &[], 4), "HEAD\n1\n... and 2 more\n");
        assert_eq!(
            top_screen("HEAD\n1\n2\n", &silent, usize::MAX),
            "HEAD\n1\n2\n\na: refused\nb: refused\n"
        );
        let small = top_screen("HEAD\n1\n2\n3\n4\n", &silent, 7);
        assert_eq!(small, "HEAD\n1\n... and 3 more\n\na: refused\nb: refused\n");
        assert!(small.lines().count() < 7);
    }
}

//! The open loop: requests come at a rate, whatever the answers do.

use std::fmt::Write;

use crate::arena::{Arena, Pair, names};
use crate::error::BenchError;
use crate::load::Report;
use crate::runner::{Scenario, millis};
use crate::table;

/// Share of the smaller capacity at which latencies are compared.
const LOAD: f64 = 0.7;
/// Connections that carry the load, so that one late answer does not hold up the next request.
const CONNECTIONS: usize = 64;
/// A latency of which the load generator's own delay is more than this share says little about the target.
const OWN_SHARE: f64 = 0.5;

const HEAD: [&str; 8] = [
    "request",
    "body",
    "requests/s",
    "target",
    "p50 ms",
    "p99 ms",
    "generator late p99 ms",
    "p99 ratio",
];

/// Compares both at the same rates.
pub(crate) fn measure(arena: &Arena<'_>) -> Result<String, BenchError> {
    let mut rows = Vec::new();
    let mut capacities = String::new();
    for mut scenario in arena.requests(CONNECTIONS) {
        let closed = arena.pair(&scenario)?;
        let (bare, ours) = (closed.bare.per_second, closed.ours.per_second);
        let (smaller, whose) = if ours <= bare {
            (ours, "gateway")
        } else {
            (bare, "bare proxy")
        };
        let [kind, body] = names(&scenario);
        // Writing to a String cannot fail.
        let _ = write!(
            capacities,
            "{}{kind} {body}: {smaller:.0}/s ({whose})",
            if capacities.is_empty() { "" } else { ", " }
        );
        scenario.rate = Some((smaller * LOAD).floor());
        rows.extend(rows_of(&scenario, &arena.pair(&scenario)?));
    }
    let mut out = table::format(&HEAD, &rows);
    let _ = writeln!(
        out,
        "\nThe rate is {:.0}% of the smaller capacity of both, measured just before in a closed loop over the same {CONNECTIONS} \
         connections: {capacities}.",
        LOAD * 100.0
    );
    Ok(out)
}

fn rows_of(scenario: &Scenario, pair: &Pair) -> [Vec<String>; 2] {
    let Pair { bare, ours } = pair;
    let row = |target: &str, report: &Report, ratio: String| {
        let mut row = Vec::from(names(scenario));
        row.extend([
            format!("{:.0}", scenario.rate.unwrap_or_default()),
            target.to_owned(),
            format!("{:.3}", millis(report.p50)),
            format!("{:.3}", millis(report.p99)),
            report
                .late_p99
                .map_or_else(String::new, |late| format!("{:.3}", millis(late))),
            ratio,
        ]);
        row
    };
    let ratio = if [bare, ours].into_iter().any(measures_itself) {
        "none: the generator was late".to_owned()
    } else {
        format!("{:.2}", ours.p99 as f64 / bare.p99.max(1) as f64)
    };
    [row("bare proxy", bare, String::new()), row("gateway", ours, ratio)]
}

/// Whether most of a latency is the load generator's own.
fn measures_itself(report: &Report) -> bool {
    report
        .late_p99
        .is_none_or(|late| late as f64 > report.p99 as f64 * OWN_SHARE)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn last_cell(bare: [u64; 2], ours: [u64; 2]) -> String {
        let report = |[p99, late]: [u64; 2]| Report {
            p99,
            late_p99: Some(late),
            ..Report::default()
        };
        let scenario = Scenario {
            size: 256,
            stream: false,
            tokens: 16,
            connections: CONNECTIONS,
            rate: Some(1000.0),
        };
        let pair = Pair {
            bare: report(bare),
            ours: report(ours),
        };
        rows_of(&scenario, &pair)[1].last().cloned().unwrap_or_default()
    }

    #[test]
    fn a_late_generator_gives_no_ratio_and_a_slow_target_does() {
        assert_eq!(last_cell([1000, 100], [1400, 100]), "1.40");
        assert_eq!(last_cell([1000, 100], [90_000, 100]), "90.00");
        assert!(last_cell([1000, 501], [90_000, 100]).starts_with("none"));
        assert!(last_cell([1000, 100], [90_000, 50_000]).starts_with("none"));
    }
}

//! The closed loop: each connection sends its next request when it has the whole answer of the last one.

use std::fmt::Write;

use crate::arena::{Arena, Pair, names};
use crate::error::BenchError;
use crate::load::Report;
use crate::runner::{Scenario, millis};
use crate::table;

/// Medians that a run must last for a comparison. What ends in a shorter run is a chance piece of it: mostly answers that
/// began before, or none of a slower target's.
const MEDIANS: f64 = 4.0;
/// What stands in the place of the ratio then.
const TOO_SHORT: &str = "none: too short";

const HEAD: [&str; 11] = [
    "request",
    "body",
    "connections",
    "target",
    "requests/s",
    "p50 ms",
    "p99 ms",
    "CPU ms/request",
    "throughput ratio",
    "CPU ratio",
    "added p50 ms",
];

/// Measures all rows.
pub(crate) fn measure(arena: &Arena<'_>) -> Result<String, BenchError> {
    let mut rows = Vec::new();
    let mut chunks = String::new();
    let counts = &arena.options.connections;
    let scenarios = |connections: &usize| arena.requests(*connections).collect::<Vec<_>>();
    let mut all: Vec<Scenario> = counts.iter().flat_map(scenarios).collect();
    // By what is asked for, then by connections; the sort keeps the order of the latter.
    all.sort_by_key(|scenario| (scenario.stream, scenario.size));
    for scenario in all {
        let pair = arena.pair(&scenario)?;
        rows.extend(rows_of(&scenario, &pair));
        if scenario.stream
            && let Some((time, cpu)) = added_per_chunk(&scenario, &pair)
        {
            // Writing to a String cannot fail.
            let _ = write!(
                chunks,
                "{}{time:.1} µs of time and {cpu:.1} µs of CPU with {} connections",
                if chunks.is_empty() { "" } else { ", " },
                scenario.connections
            );
        }
    }
    let mut out = table::format(&HEAD, &rows);
    if !chunks.is_empty() {
        let _ = writeln!(
            out,
            "\nAdded to each chunk of a stream, as the difference of both medians (and of CPU time) by the number of chunks \
             that share the target's core: {chunks}."
        );
    }
    if rows.iter().flatten().any(|cell| cell == TOO_SHORT) {
        let _ = writeln!(
            out,
            "\nWhere a run was shorter than {MEDIANS:.0} of its medians there is no comparison; `--seconds` makes runs longer."
        );
    }
    Ok(out)
}

/// Microseconds that the gateway adds to each chunk: to its way, and of its CPU time.
///
/// With many connections a stream lasts as long as the chunks of all others that are served in between, so its time is
/// shared out over all of them. `None` where a CPU time is missing or a run was too short.
fn added_per_chunk(scenario: &Scenario, pair: &Pair) -> Option<(f64, f64)> {
    if is_too_short(pair) {
        return None;
    }
    let chunks = scenario.tokens.max(1) as f64;
    let at_once = scenario.connections.max(1) as f64;
    let time = (pair.ours.p50 as f64 - pair.bare.p50 as f64) / chunks / at_once;
    let (ours, bare) = pair.ours.cpu_ms.zip(pair.bare.cpu_ms)?;
    Some((time, (ours - bare) * 1000.0 / chunks))
}

/// Whether a run of one of both ended without an answer, or lasted less than so many of its medians.
fn is_too_short(pair: &Pair) -> bool {
    [&pair.bare, &pair.ours]
        .iter()
        .any(|report| report.requests == 0 || report.seconds * 1000.0 < MEDIANS * millis(report.p50))
}

fn rows_of(scenario: &Scenario, pair: &Pair) -> [Vec<String>; 2] {
    let Pair { bare, ours } = pair;
    let row = |target: &str, report: &Report, ratios: [String; 3]| {
        let mut row = Vec::from(names(scenario));
        row.extend([
            scenario.connections.to_string(),
            target.to_owned(),
            format!("{:.0}", report.per_second),
            format!("{:.3}", millis(report.p50)),
            format!("{:.3}", millis(report.p99)),
            report.cpu_ms.map_or_else(String::new, |cpu| format!("{cpu:.4}")),
        ]);
        row.extend(ratios);
        row
    };
    let cpu = ours
        .cpu_ms
        .zip(bare.cpu_ms)
        .map_or_else(String::new, |(ours, bare)| format!("{:.2}", ours / bare));
    let ratios = if is_too_short(pair) {
        [TOO_SHORT.to_owned(), String::new(), String::new()]
    } else {
        [
            format!("{:.2}", ours.per_second / bare.per_second),
            cpu,
            format!("{:.3}", millis(ours.p50) - millis(bare.p50)),
        ]
    };
    [
        row("bare proxy", bare, [String::new(), String::new(), String::new()]),
        row("gateway", ours, ratios),
    ]
}

#[cfg(test)]
mod tests {
    use super::*;

    fn report(per_second: f64, p50: u64, cpu: f64) -> Report {
        Report {
            requests: 1000,
            seconds: 1.0,
            per_second,
            p50,
            p99: 2 * p50,
            cpu_ms: Some(cpu),
            ..Report::default()
        }
    }

    const SCENARIO: Scenario = Scenario {
        size: 8192,
        stream: true,
        tokens: 100,
        connections: 16,
        rate: None,
    };

    #[test]
    fn rows_show_the_ratio_of_the_gateway_to_the_proxy() {
        let pair = Pair {
            bare: report(1000.0, 100, 0.02),
            ours: report(700.0, 150, 0.03),
        };
        let [first, second] = rows_of(&SCENARIO, &pair);
        let bare = [
            "stream",
            "8 KiB",
            "16",
            "bare proxy",
            "1000",
            "0.100",
            "0.200",
            "0.0200",
        ];
        assert_eq!(first[..8], bare);
        let ours = ["gateway", "700", "0.150", "0.300", "0.0300", "0.70", "1.50", "0.050"];
        assert_eq!(second[3..], ours);
    }

    #[test]
    fn what_is_added_to_a_chunk_is_shared_by_the_streams_that_are_served_at_once() {
        let pair = Pair {
            bare: report(1000.0, 20_000, 1.0),
            ours: report(900.0, 36_000, 1.5),
        };
        let (time, cpu) = added_per_chunk(&SCENARIO, &pair).unwrap();
        assert!((time - 10.0).abs() < 1e-9 && (cpu - 5.0).abs() < 1e-9, "{time} {cpu}");
    }

    #[test]
    fn a_missing_cpu_time_gives_no_difference_and_a_run_that_is_too_short_no_comparison() {
        let pair = |p50: u64, cpu_ms: Option<f64>| Pair {
            bare: report(1000.0, 20_000, 1.0),
            ours: Report {
                cpu_ms,
                ..report(900.0, p50, 1.5)
            },
        };
        assert_eq!(added_per_chunk(&SCENARIO, &pair(36_000, None)), None);
        let [_, row] = rows_of(&SCENARIO, &pair(36_000, None));
        assert_eq!(row[8..], ["0.90", "", "16.000"]);

        assert!(added_per_chunk(&SCENARIO, &pair(250_000, Some(1.5))).is_some());
        let short = pair(250_001, Some(1.5));
        assert_eq!(added_per_chunk(&SCENARIO, &short), None);
        let [_, row] = rows_of(&SCENARIO, &short);
        assert_eq!(row[8..], [TOO_SHORT, "", ""]);
    }
}

//! The gateway against the bare proxy, alternating in one run, over sizes, connections and kinds of answers.

use std::fmt::Write;

use crate::error::BenchError;
use crate::fixture::{self, Configuration, KEY, MODEL, Programs};
use crate::load::{Report, percentile};
use crate::process::resident_kib;
use crate::runner::{Scenario, Target, mean, millis};
use crate::{machine, peers, table};

/// Tokens of an answer in one piece.
const TOKENS: u64 = 16;
/// Share of the gateway's own capacity at which latencies are compared in an open loop.
const OPEN_LOAD: f64 = 0.7;
/// Connections that carry the open loop, so that one late answer does not hold up the next request.
const OPEN_CONNECTIONS: usize = 64;

/// A bare proxy below its capacity answers within a millisecond or two. Where its median is above this, requests waited in
/// the load generator.
const LATE_MS: f64 = 20.0;

/// How the comparison is made.
#[derive(Debug, Clone)]
pub struct Options {
    /// Measured seconds of each run.
    pub seconds: u64,
    /// Runs of each target per row; they alternate.
    pub rounds: usize,
    /// Connections, a row each.
    pub connections: Vec<usize>,
    /// Bytes of request bodies, a row each; streams take the first.
    pub sizes: Vec<usize>,
    /// Events of a stream.
    pub chunks: u64,
    /// CPUs of the measured program. Empty: all.
    pub target_cpus: String,
    /// CPUs of simulator and load. Empty: all.
    pub other_cpus: String,
    /// Threads of the measured program.
    pub threads: usize,
    /// Starts measured for the time to the first answer.
    pub starts: usize,
}

/// The programs of a comparison, which end with it.
struct Arena<'a> {
    programs: &'a Programs,
    options: &'a Options,
    bare: Target,
    ours: Target,
}

/// What the bare proxy and the gateway did under the same load.
struct Pair {
    bare: Report,
    ours: Report,
}

/// Measures, and returns the figures as Markdown.
pub async fn compare(programs: &Programs, options: &Options) -> Result<String, BenchError> {
    let machine = machine::describe();
    let sim = fixture::sim(programs, &options.other_cpus, "").await?;
    let configuration = Configuration::write(sim.address)?;
    let (starts, idle) = starts(programs, options, &configuration).await?;
    let proxy = fixture::proxy(programs, &options.target_cpus, options.threads, sim.address).await?;
    let gateway = fixture::gateway(programs, &options.target_cpus, options.threads, &configuration).await?;
    let arena = Arena {
        programs,
        options,
        bare: Target {
            name: "bare proxy",
            address: proxy.address,
            process: proxy.running.id(),
            model: "sim".into(),
            key: None,
            headers: Vec::new(),
        },
        ours: Target {
            name: "gateway",
            address: gateway.server.address,
            process: gateway.server.running.id(),
            model: MODEL.into(),
            key: Some(KEY.into()),
            headers: Vec::new(),
        },
    };
    let mut out = String::new();
    // Writing to a String cannot fail.
    let _ = writeln!(
        out,
        "{machine}. Answers of {TOKENS} tokens, streams of {} events, {} threads per target; target on CPUs {}, simulator and \
         load on CPUs {}; {} s a run after 1 s of warm-up, mean of {} alternating runs.\n",
        options.chunks,
        options.threads,
        shown(&options.target_cpus),
        shown(&options.other_cpus),
        options.seconds,
        options.rounds
    );
    out.push_str(&arena.closed_loop()?);
    out.push_str(&arena.open_loop()?);
    let _ = writeln!(
        out,
        "\nExec to first answered request: median {:.1} ms, slowest {:.1} ms of {} starts. Resident memory after that request: \
         median {:.1} MiB; after the load above: {:.1} MiB.",
        millis(percentile(&starts, 50)),
        millis(percentile(&starts, 100)),
        starts.len(),
        mebibytes(percentile(&idle, 50)),
        mebibytes(resident_kib(arena.ours.process)?),
    );
    out.push_str(&peers::compare(programs, options, sim.address, &arena.ours).await?);
    Ok(out)
}

/// Times to the first answer in microseconds and memory in kibibytes, both sorted.
async fn starts(
    programs: &Programs,
    options: &Options,
    configuration: &Configuration,
) -> Result<(Vec<u64>, Vec<u64>), BenchError> {
    let mut starts = Vec::new();
    let mut idle = Vec::new();
    for _ in 0..options.starts.max(1) {
        let gateway = fixture::gateway(programs, "", options.threads, configuration).await?;
        starts.push(u64::try_from(gateway.first_answer.as_micros()).unwrap_or(u64::MAX));
        idle.push(resident_kib(gateway.server.running.id())?);
    }
    starts.sort_unstable();
    idle.sort_unstable();
    Ok((starts, idle))
}

impl Arena<'_> {
    fn pair(&self, scenario: &Scenario) -> Result<Pair, BenchError> {
        let (mut bare, mut ours) = (Vec::new(), Vec::new());
        for _ in 0..self.options.rounds.max(1) {
            bare.push(self.run(&self.bare, scenario)?);
            ours.push(self.run(&self.ours, scenario)?);
        }
        Ok(Pair {
            bare: mean(&bare),
            ours: mean(&ours),
        })
    }

    fn run(&self, target: &Target, scenario: &Scenario) -> Result<Report, BenchError> {
        let options = self.options;
        target.load(&self.programs.bench, &options.other_cpus, options.seconds, scenario)
    }

    fn closed_loop(&self) -> Result<String, BenchError> {
        let options = self.options;
        let mut rows = Vec::new();
        let sizes = options.sizes.iter().map(|size| (*size, false, TOKENS));
        let streams = options.sizes.first().map(|size| (*size, true, options.chunks));
        for (size, stream, tokens) in sizes.chain(streams) {
            for connections in &options.connections {
                let scenario = Scenario {
                    size,
                    stream,
                    tokens,
                    connections: *connections,
                    rate: None,
                };
                rows.extend(rows_of(&scenario, &self.pair(&scenario)?));
            }
        }
        let head = [
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
        Ok(table::format(&head, &rows))
    }

    /// Both at the same rate, a share of what the gateway can do.
    fn open_loop(&self) -> Result<String, BenchError> {
        let mut scenario = Scenario {
            size: self.options.sizes.first().copied().unwrap_or(256),
            stream: false,
            tokens: TOKENS,
            connections: OPEN_CONNECTIONS,
            rate: None,
        };
        let capacity = self.run(&self.ours, &scenario)?.per_second;
        scenario.rate = Some((capacity * OPEN_LOAD).floor());
        let Pair { bare, ours } = self.pair(&scenario)?;
        let rate = scenario.rate.unwrap_or_default();
        let share = OPEN_LOAD * 100.0;
        if millis(bare.p50) > LATE_MS {
            return Ok(format!(
                "\nOpen loop at {rate:.0} requests/s, {share:.0}% of what the gateway can do ({capacity:.0}/s): no figure. The load \
                 generator fell behind ({:.0} ms in front of the bare proxy), so it would measure itself.\n",
                millis(bare.p50)
            ));
        }
        Ok(format!(
            "\nOpen loop at {rate:.0} requests/s, {share:.0}% of what the gateway can do ({capacity:.0}/s), over {OPEN_CONNECTIONS} \
             connections: p50 {:.3} ms against {:.3} ms of the bare proxy, p99 {:.3} ms against {:.3} ms, ratio {:.2}.\n",
            millis(ours.p50),
            millis(bare.p50),
            millis(ours.p99),
            millis(bare.p99),
            ours.p99 as f64 / bare.p99.max(1) as f64
        ))
    }
}

fn rows_of(scenario: &Scenario, pair: &Pair) -> [Vec<String>; 2] {
    let Pair { bare, ours } = pair;
    let row = |target: &str, report: &Report, ratios: [String; 3]| {
        let mut row = vec![
            if scenario.stream { "stream" } else { "chat" }.to_owned(),
            body(scenario.size),
            scenario.connections.to_string(),
            target.to_owned(),
            format!("{:.0}", report.per_second),
            format!("{:.3}", millis(report.p50)),
            format!("{:.3}", millis(report.p99)),
            report.cpu_ms.map_or_else(String::new, |cpu| format!("{cpu:.4}")),
        ];
        row.extend(ratios);
        row
    };
    let cpu = ours
        .cpu_ms
        .zip(bare.cpu_ms)
        .map_or_else(String::new, |(ours, bare)| format!("{:.2}", ours / bare));
    let ratios = [
        format!("{:.2}", ours.per_second / bare.per_second),
        cpu,
        format!("{:.3}", millis(ours.p50) - millis(bare.p50)),
    ];
    [
        row("bare proxy", bare, [String::new(), String::new(), String::new()]),
        row("gateway", ours, ratios),
    ]
}

fn body(size: usize) -> String {
    if size >= 1024 && size.is_multiple_of(1024) {
        format!("{} KiB", size / 1024)
    } else {
        format!("{size} B")
    }
}

fn shown(cpus: &str) -> &str {
    if cpus.is_empty() { "all" } else { cpus }
}

fn mebibytes(kibibytes: u64) -> f64 {
    kibibytes as f64 / 1024.0
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rows_show_the_ratio_of_the_gateway_to_the_proxy() {
        let report = |per_second: f64, p50: u64, cpu: f64| Report {
            per_second,
            p50,
            p99: 2 * p50,
            cpu_ms: Some(cpu),
            ..Report::default()
        };
        let scenario = Scenario {
            size: 8192,
            stream: true,
            tokens: 100,
            connections: 16,
            rate: None,
        };
        let pair = Pair {
            bare: report(1000.0, 100, 0.02),
            ours: report(700.0, 150, 0.03),
        };
        let [first, second] = rows_of(&scenario, &pair);
        assert_eq!(
            first[..8],
            [
                "stream",
                "8 KiB",
                "16",
                "bare proxy",
                "1000",
                "0.100",
                "0.200",
                "0.0200"
            ]
        );
        assert_eq!(
            second[3..],
            ["gateway", "700", "0.150", "0.300", "0.0300", "0.70", "1.50", "0.050"]
        );
    }
}

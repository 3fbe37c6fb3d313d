//! The gateway against the bare proxy, alternating in one run.

use std::fmt::Write;
use std::net::SocketAddr;
use std::path::Path;
use std::process::Stdio;
use std::time::Duration;

use crate::error::BenchError;
use crate::fixture::{self, Configuration, KEY, MODEL, Programs};
use crate::load::Report;
use crate::process::{on_cpus, resident_kib};
use crate::{machine, table};

/// How the comparison is made.
#[derive(Debug, Clone)]
pub struct Options {
    /// Measured seconds of each run.
    pub seconds: u64,
    /// Runs of each target per row; they alternate.
    pub rounds: usize,
    /// Connections, a row each.
    pub connections: Vec<usize>,
    /// Bytes of a request body.
    pub size: usize,
    /// Tokens of an answer, events of a stream.
    pub tokens: u64,
    /// CPUs of the measured program. Empty: all.
    pub target_cpus: String,
    /// CPUs of simulator and load. Empty: all.
    pub other_cpus: String,
    /// Threads of the measured program.
    pub threads: usize,
    /// Starts measured for the time to the first answer.
    pub starts: usize,
}

/// Measures, and returns the figures as Markdown.
pub async fn compare(programs: &Programs, options: &Options) -> Result<String, BenchError> {
    let machine = machine::describe();
    let sim = fixture::sim(programs, &options.other_cpus, options.tokens).await?;
    let configuration = Configuration::write(sim.address)?;
    let mut starts = Vec::new();
    let mut idle = Vec::new();
    for _ in 0..options.starts.max(1) {
        let gateway = fixture::gateway(programs, "", options.threads, &configuration).await?;
        starts.push(u64::try_from(gateway.first_answer.as_micros()).unwrap_or(u64::MAX));
        idle.push(resident_kib(gateway.server.running.id())?);
    }
    starts.sort_unstable();
    idle.sort_unstable();
    let proxy = fixture::proxy(programs, &options.target_cpus, options.threads, sim.address).await?;
    let gateway = fixture::gateway(programs, &options.target_cpus, options.threads, &configuration).await?;
    let bare = Target {
        address: proxy.address,
        process: proxy.running.id(),
        gateway: false,
    };
    let ours = Target {
        address: gateway.server.address,
        process: gateway.server.running.id(),
        gateway: true,
    };
    let mut rows = Vec::new();
    for stream in [false, true] {
        for connections in &options.connections {
            let (mut of_bare, mut of_ours) = (Vec::new(), Vec::new());
            for _ in 0..options.rounds.max(1) {
                of_bare.push(measure(&programs.bench, options, &bare, *connections, stream)?);
                of_ours.push(measure(&programs.bench, options, &ours, *connections, stream)?);
            }
            rows.extend(compared(stream, *connections, &mean(&of_bare), &mean(&of_ours)));
        }
    }
    let after = resident_kib(ours.process)?;
    let head = [
        "request",
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
    let mut out = String::new();
    // Writing to a String cannot fail.
    let _ = writeln!(
        out,
        "{machine}. {} B requests, answers of {} tokens, {} threads per target; target on CPUs {}, simulator and load on CPUs {}; \
         {} s a run after 1 s of warm-up, mean of {} alternating runs.\n",
        options.size,
        options.tokens,
        options.threads,
        shown(&options.target_cpus),
        shown(&options.other_cpus),
        options.seconds,
        options.rounds
    );
    out.push_str(&table::format(&head, &rows));
    let _ = writeln!(
        out,
        "\nExec to first answered request: median {:.1} ms, slowest {:.1} ms of {} starts. Resident memory after that request: \
         median {:.1} MiB; after the load above: {:.1} MiB.",
        millis(crate::load::percentile(&starts, 50)),
        millis(crate::load::percentile(&starts, 100)),
        starts.len(),
        mebibytes(crate::load::percentile(&idle, 50)),
        mebibytes(after),
    );
    Ok(out)
}

struct Target {
    address: SocketAddr,
    process: u32,
    gateway: bool,
}

/// Runs the load generator as a process of its own, on the CPUs that are not the target's.
fn measure(
    bench: &Path,
    options: &Options,
    target: &Target,
    connections: usize,
    stream: bool,
) -> Result<Report, BenchError> {
    let mut command = on_cpus(bench, &options.other_cpus);
    command
        .arg("load")
        .arg(format!("--target={}", target.address))
        .arg(format!("--connections={connections}"))
        .arg(format!("--seconds={}", options.seconds))
        .arg(format!("--size={}", options.size))
        .arg(format!("--watch={}", target.process))
        .arg("--json");
    if stream {
        command.arg("--stream");
    }
    if target.gateway {
        command.arg(format!("--model={MODEL}")).env("TOKENWEIR_BENCH_KEY", KEY);
    }
    let output = command
        .stdin(Stdio::null())
        .output()
        .map_err(|source| BenchError::Start {
            program: bench.into(),
            source,
        })?;
    if !output.status.success() {
        return Err(BenchError::Silent {
            what: format!("the load on {}", target.address),
            reason: String::from_utf8_lossy(&output.stderr).trim().to_owned(),
        });
    }
    Ok(serde_json::from_slice(&output.stdout)?)
}

/// The mean of several runs, weighing each alike.
fn mean(runs: &[Report]) -> Report {
    let count = runs.len().max(1) as u64;
    let whole = |of: fn(&Report) -> u64| runs.iter().map(of).sum::<u64>() / count;
    let real = |of: fn(&Report) -> f64| runs.iter().map(of).sum::<f64>() / count as f64;
    Report {
        requests: whole(|run| run.requests),
        seconds: real(|run| run.seconds),
        per_second: real(|run| run.per_second),
        p50: whole(|run| run.p50),
        p99: whole(|run| run.p99),
        first_p50: whole(|run| run.first_p50),
        cpu_ms: runs
            .iter()
            .map(|run| run.cpu_ms)
            .sum::<Option<f64>>()
            .map(|sum| sum / count as f64),
    }
}

fn compared(stream: bool, connections: usize, bare: &Report, ours: &Report) -> [Vec<String>; 2] {
    let request = if stream { "stream" } else { "chat" };
    let row = |target: &str, report: &Report, ratios: [String; 3]| {
        let mut row = vec![
            request.to_owned(),
            connections.to_string(),
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

fn shown(cpus: &str) -> &str {
    if cpus.is_empty() { "all" } else { cpus }
}

fn millis(micros: u64) -> f64 {
    Duration::from_micros(micros).as_secs_f64() * 1000.0
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
        let bare = mean(&[report(900.0, 90, 0.02), report(1100.0, 110, 0.02)]);
        let [first, second] = compared(true, 16, &bare, &report(700.0, 150, 0.03));
        assert_eq!(
            first[..7],
            ["stream", "16", "bare proxy", "1000", "0.100", "0.200", "0.0200"]
        );
        assert_eq!(
            second[2..],
            ["gateway", "700", "0.150", "0.300", "0.0300", "0.70", "1.50", "0.050"]
        );
    }
}

//! One load on one target, by a process of its own.

use std::net::SocketAddr;
use std::path::Path;
use std::process::Stdio;
use std::time::Duration;

use crate::error::BenchError;
use crate::load::Report;
use crate::process::on_cpus;

/// What is measured.
#[derive(Debug, Clone)]
pub struct Target {
    /// Its name in the table.
    pub name: &'static str,
    /// Where it listens.
    pub address: SocketAddr,
    /// Its process.
    pub process: u32,
    /// The model to ask for.
    pub model: String,
    /// The API key, if it wants one.
    pub key: Option<String>,
    /// Further headers.
    pub headers: Vec<(&'static str, String)>,
}

/// A load.
#[derive(Debug, Clone, Copy)]
pub struct Scenario {
    /// Bytes of a request body.
    pub size: usize,
    /// Whether streams are asked for.
    pub stream: bool,
    /// Tokens of an answer; a stream sends each as an event.
    pub tokens: u64,
    /// Connections.
    pub connections: usize,
    /// Requests a second; `None`: as fast as answers come.
    pub rate: Option<f64>,
}

impl Target {
    /// Runs a load for so many seconds, on the given CPUs.
    pub fn load(&self, bench: &Path, cpus: &str, seconds: u64, scenario: &Scenario) -> Result<Report, BenchError> {
        let mut command = on_cpus(bench, cpus);
        command
            .arg("load")
            .arg(format!("--target={}", self.address))
            .arg(format!("--model={}", self.model))
            .arg(format!("--connections={}", scenario.connections))
            .arg(format!("--seconds={seconds}"))
            .arg(format!("--size={}", scenario.size))
            .arg(format!("--tokens={}", scenario.tokens))
            .arg(format!("--watch={}", self.process))
            .arg("--json");
        if scenario.stream {
            command.arg("--stream");
        }
        if let Some(rate) = scenario.rate {
            command.arg(format!("--rate={rate}"));
        }
        for (name, value) in &self.headers {
            command.arg(format!("--header={name}: {value}"));
        }
        if let Some(key) = &self.key {
            command.env("TOKENWEIR_BENCH_KEY", key);
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
                what: format!("the load on {} at {}", self.name, self.address),
                reason: String::from_utf8_lossy(&output.stderr).trim().to_owned(),
            });
        }
        Ok(serde_json::from_slice(&output.stdout)?)
    }
}

/// The median of several runs, of each figure by itself. A machine that pauses for a moment spoils one run, not all.
pub fn median(runs: &[Report]) -> Report {
    let whole = |of: fn(&Report) -> u64| middle(runs.iter().map(of).collect());
    let some = |of: fn(&Report) -> Option<u64>| runs.iter().map(of).collect::<Option<Vec<u64>>>().map(middle);
    let real = |of: fn(&Report) -> Option<f64>| {
        let values: Option<Vec<f64>> = runs.iter().map(of).collect();
        values.filter(|values| !values.is_empty()).map(|mut values| {
            values.sort_by(f64::total_cmp);
            let at = values.len() / 2;
            let before = values[at - usize::from(values.len().is_multiple_of(2))];
            f64::midpoint(before, values[at])
        })
    };
    Report {
        requests: whole(|run| run.requests),
        answered: whole(|run| run.answered),
        seconds: real(|run| Some(run.seconds)).unwrap_or_default(),
        per_second: real(|run| Some(run.per_second)).unwrap_or_default(),
        p50: whole(|run| run.p50),
        p99: whole(|run| run.p99),
        first_p50: whole(|run| run.first_p50),
        cpu_ms: real(|run| run.cpu_ms),
        late_p99: some(|run| run.late_p99),
    }
}

fn middle(mut values: Vec<u64>) -> u64 {
    values.sort_unstable();
    let at = values.len() / 2;
    let Some(upper) = values.get(at) else { return 0 };
    let before = values[at - usize::from(values.len().is_multiple_of(2))];
    before.midpoint(*upper)
}

/// Microseconds as milliseconds.
pub fn millis(micros: u64) -> f64 {
    Duration::from_micros(micros).as_secs_f64() * 1000.0
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_run_that_was_held_up_does_not_move_the_median() {
        let report = |per_second: f64, p50: u64| Report {
            per_second,
            p50,
            cpu_ms: Some(0.02),
            ..Report::default()
        };
        let of_three = median(&[report(900.0, 90), report(10.0, 9000), report(1100.0, 110)]);
        assert_eq!(
            (of_three.p50, of_three.cpu_ms, of_three.late_p99),
            (110, Some(0.02), None)
        );
        assert!((of_three.per_second - 900.0).abs() < 1e-9);
        let of_two = median(&[report(900.0, 90), report(1100.0, 110)]);
        assert_eq!(of_two.p50, 100);
        assert!((of_two.per_second - 1000.0).abs() < 1e-9);
    }
}

//! A load generator. In a closed loop each connection sends its next request when it has the whole answer of the last
//! one. In an open loop requests come at a rate, whatever the answers do, and each is timed from the moment at which it
//! should have been sent: a server that stalls is charged for all who waited.

mod connection;
mod pace;

use std::net::SocketAddr;
use std::time::{Duration, Instant};

use serde::{Deserialize, Serialize};

use crate::error::BenchError;
use crate::process;
pub use connection::{Connection, Shape};
use pace::{Pace, micros};

/// What to do, and for how long.
#[derive(Debug, Clone)]
pub struct Plan {
    /// Where to.
    pub target: SocketAddr,
    /// What each request is.
    pub shape: Shape,
    /// Connections, each with one request at a time.
    pub connections: usize,
    /// Load before the measurement begins, which fills pools and caches.
    pub warm_up: Duration,
    /// How long is measured.
    pub duration: Duration,
    /// The process whose CPU time is measured.
    pub watch: Option<u32>,
    /// Requests a second, whatever the answers do; `None`: a closed loop.
    pub rate: Option<f64>,
}

/// What was measured. Latencies are microseconds.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Report {
    /// Requests answered within the measurement.
    pub requests: u64,
    /// Requests answered in all, before and after it too.
    pub answered: u64,
    /// How long it took, in seconds.
    pub seconds: f64,
    /// Answers a second.
    pub per_second: f64,
    /// Median latency to the last byte.
    pub p50: u64,
    /// 99th percentile of it.
    pub p99: u64,
    /// Median time to the first byte of the body.
    pub first_p50: u64,
    /// CPU time of the watched process per request, in milliseconds.
    pub cpu_ms: Option<f64>,
    /// In an open loop: how late the load generator itself noticed that a request was due, 99th percentile. It does not
    /// depend on the target, and is part of the latencies above.
    pub late_p99: Option<u64>,
}

/// Times of one connection.
#[derive(Debug, Default)]
struct Times {
    answered: u64,
    whole: Vec<u64>,
    first: Vec<u64>,
}

/// Runs a load to its end. Any failed request fails the measurement.
pub async fn run(plan: &Plan) -> Result<Report, BenchError> {
    let mut tasks = Vec::new();
    let from = Instant::now() + plan.warm_up;
    let to = from + plan.duration;
    let pace = plan.rate.map(|rate| Pace::start(rate, to)).transpose()?;
    let clock = pace
        .clone()
        .map(|pace| tokio::spawn(async move { pace.run(from).await }));
    for _ in 0..plan.connections.max(1) {
        let mut connection = Connection::open(plan.target).await?;
        let shape = plan.shape.clone();
        let pace = pace.clone();
        tasks.push(tokio::spawn(async move {
            let mut times = Times::default();
            loop {
                let due = match &pace {
                    None => Some(Instant::now()).filter(|now| *now < to),
                    Some(pace) => pace.next().await,
                };
                let Some(sent) = due else {
                    return Ok::<Times, BenchError>(times);
                };
                let answer = connection.request(&shape).await?;
                times.answered += 1;
                // What ends in the window counts, as CPU time in the window does.
                if (from..=to).contains(&answer.done) {
                    times.whole.push(micros(answer.done - sent));
                    times.first.push(micros(answer.first - sent));
                }
            }
        }));
    }
    tokio::time::sleep_until(from.into()).await;
    let cpu_before = cpu(plan.watch)?;
    tokio::time::sleep_until(to.into()).await;
    let cpu_after = cpu(plan.watch)?;
    let mut all = Times::default();
    for task in tasks {
        let times = task.await.map_err(std::io::Error::other)??;
        all.answered += times.answered;
        all.whole.extend(times.whole);
        all.first.extend(times.first);
    }
    if let Some(clock) = clock {
        clock.await.map_err(std::io::Error::other)??;
    }
    let mut report = report(
        all,
        plan.duration,
        cpu_after
            .zip(cpu_before)
            .map(|(after, before)| after.saturating_sub(before)),
    );
    report.late_p99 = pace.map(|pace| percentile(&pace.late(), 99));
    Ok(report)
}

fn cpu(watch: Option<u32>) -> Result<Option<Duration>, BenchError> {
    watch.map(process::cpu_time).transpose()
}

fn report(mut times: Times, took: Duration, cpu: Option<Duration>) -> Report {
    times.whole.sort_unstable();
    times.first.sort_unstable();
    let requests = times.whole.len() as u64;
    let seconds = took.as_secs_f64();
    Report {
        requests,
        answered: times.answered,
        seconds,
        per_second: requests as f64 / seconds,
        p50: percentile(&times.whole, 50),
        p99: percentile(&times.whole, 99),
        first_p50: percentile(&times.first, 50),
        cpu_ms: cpu
            .filter(|_| requests > 0)
            .map(|cpu| cpu.as_secs_f64() * 1000.0 / requests as f64),
        late_p99: None,
    }
}

/// The smallest value that at least so many percent of the sorted values do not exceed. 0 without values.
pub fn percentile(sorted: &[u64], percent: usize) -> u64 {
    let rank = (sorted.len() * percent).div_ceil(100);
    sorted.get(rank.saturating_sub(1)).copied().unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use super::*;
    use tokenweir_sim::{Sim, SimConfig};

    #[test]
    fn percentiles_are_values_that_occurred() {
        let values: Vec<u64> = (1..=200).collect();
        assert_eq!(
            (
                percentile(&values, 50),
                percentile(&values, 99),
                percentile(&values, 100)
            ),
            (100, 198, 200)
        );
        assert_eq!((percentile(&[7], 50), percentile(&[], 99)), (7, 0));
    }

    fn plan(target: SocketAddr, stream: bool) -> Plan {
        Plan {
            target,
            shape: Shape::chat("m", 256, stream, 4),
            connections: 3,
            warm_up: Duration::from_millis(50),
            duration: Duration::from_millis(200),
            watch: Some(std::process::id()),
            rate: None,
        }
    }

    #[tokio::test]
    async fn an_open_loop_keeps_its_rate_and_charges_a_slow_server_for_those_who_wait() {
        let mut config = SimConfig::default();
        config.behaviour.latency = "fixed;first=20;token=0".parse().unwrap();
        let sim = Sim::start(config).unwrap();
        let mut plan = plan(sim.addr(), false);
        plan.duration = Duration::from_millis(500);
        plan.connections = 40;
        plan.rate = Some(400.0);
        let keeps_up = run(&plan).await.unwrap();
        assert!((300.0..=500.0).contains(&keeps_up.per_second), "{keeps_up:?}");
        // 3 connections of 20 ms each carry 150 a second: the rest waits, longer and longer.
        plan.connections = 3;
        let behind = run(&plan).await.unwrap();
        assert!(behind.p50 > 2 * keeps_up.p50 && behind.per_second < 200.0, "{behind:?}");
        // That is the server's doing, and the report tells it from a generator that is late itself.
        assert!(behind.late_p99.unwrap() < behind.p50, "{behind:?}");
    }

    #[tokio::test]
    async fn a_load_counts_what_the_server_saw_and_takes_the_time_of_its_answers() {
        let mut config = SimConfig::default();
        config.behaviour.latency = "fixed;first=10;token=0".parse().unwrap();
        let sim = Sim::start(config).unwrap();
        for stream in [false, true] {
            let report = run(&plan(sim.addr(), stream)).await.unwrap();
            assert!(
                report.requests > 10 && report.requests <= report.answered && report.answered <= sim.stats().requests,
                "{report:?}"
            );
            assert!(report.p50 >= 10_000 && report.p50 <= report.p99, "{report:?}");
            assert!(report.cpu_ms.is_some());
        }
    }

    #[tokio::test]
    async fn a_failed_request_fails_the_measurement() {
        let mut config = SimConfig::default();
        config.behaviour.faults.insert("*".into(), "500".parse().unwrap());
        let sim = Sim::start(config).unwrap();
        let error = run(&plan(sim.addr(), false)).await.unwrap_err();
        assert!(error.to_string().contains("500"), "{error}");
    }

    #[tokio::test]
    async fn the_bare_proxy_passes_everything_through() {
        let sim = Sim::start(SimConfig::default()).unwrap();
        let [listen] = process::free_addresses().unwrap();
        let upstream = sim.addr();
        std::thread::spawn(move || crate::proxy::run(listen, upstream, 1));
        process::wait_for_port(listen, Duration::from_secs(10)).await.unwrap();
        for stream in [false, true] {
            let shape = Shape::chat("m", 256, stream, 4);
            let through = Connection::open(listen).await.unwrap().request(&shape).await.unwrap();
            let direct = Connection::open(upstream).await.unwrap().request(&shape).await.unwrap();
            assert_eq!(through.bytes, direct.bytes);
            run(&plan(listen, stream)).await.unwrap();
        }
    }
}

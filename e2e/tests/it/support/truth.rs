//! Watches what an HPA would read while something is broken, and compares it with the truth: a right number or an error
//! is fine, a wrong number never.

use std::ops::RangeInclusive;
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use kube::Client;
use tokenweir_e2e::harness::{metrics, wait};
use tokio::task::JoinHandle;

use super::{SOON, TestResult};

/// More than four times a second.
const INTERVAL: Duration = Duration::from_millis(200);

/// One answer.
#[derive(Clone)]
pub struct Answer {
    pub at: Duration,
    pub through: &'static str,
    pub value: Result<f64, String>,
}

/// Asks for `in_flight` of the gateway `edge` in every way that an HPA may, and for the HPA's own view.
pub struct Watchdog {
    answers: Arc<Mutex<Vec<Answer>>>,
    task: JoinHandle<()>,
}

impl Watchdog {
    /// Starts to ask. An HPA makes assumptions of its own for pods that a `Pods` metric leaves out: an answer for fewer
    /// than `pods` pods counts as one without a number.
    pub fn start(client: &Client, namespace: &str, pods: usize, hpa: Option<&str>) -> Self {
        let answers = Arc::new(Mutex::new(Vec::new()));
        let started = Instant::now();
        let (client, namespace, hpa, seen) = (
            client.clone(),
            namespace.to_owned(),
            hpa.map(ToOwned::to_owned),
            answers.clone(),
        );
        let task = tokio::spawn(async move {
            let mut ticks = tokio::time::interval(INTERVAL);
            ticks.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Skip);
            loop {
                ticks.tick().await;
                let at = started.elapsed();
                let round = round(&client, &namespace, pods, hpa.as_deref()).await;
                seen.lock()
                    .expect("no panic under the lock")
                    .extend(round.into_iter().map(|(through, value)| Answer { at, through, value }));
            }
        });
        Self { answers, task }
    }

    /// Waits until it has asked in every way `rounds` more times.
    pub async fn rounds(&self, rounds: usize) -> TestResult {
        let before = self.rounds_so_far();
        wait::poll(format!("{rounds} more answers"), SOON, || async {
            let since = self.rounds_so_far() - before;
            if since >= rounds {
                Ok(())
            } else {
                Err(format!("{since} answers"))
            }
        })
        .await
    }

    /// Answers so far.
    pub fn answers(&self) -> Vec<Answer> {
        self.answers.lock().expect("no panic under the lock").clone()
    }

    fn rounds_so_far(&self) -> usize {
        self.answers()
            .iter()
            .filter(|answer| answer.through == "Object")
            .count()
    }

    /// Ends the asking and shows that no number was outside of `truth`, and that every way gave numbers at all.
    pub fn assert_never_wrong(self, truth: RangeInclusive<f64>) {
        self.task.abort();
        let answers = self.answers();
        let wrong: Vec<_> = answers
            .iter()
            .filter_map(|answer| Some((answer, answer.value.as_ref().ok()?)))
            .filter(|(_, value)| !truth.contains(value))
            .map(|(answer, value)| format!("{:.1} s: {value} through {}", answer.at.as_secs_f64(), answer.through))
            .collect();
        assert!(
            wrong.is_empty(),
            "the truth lies in {truth:?}, and these were answered: {wrong:#?}"
        );
        for through in ["Pods", "Object", "External"] {
            let of_way = answers.iter().filter(|answer| answer.through == through);
            let numbers = of_way.clone().filter(|answer| answer.value.is_ok()).count();
            assert!(
                numbers * 4 >= of_way.clone().count(),
                "through {through} only {numbers} of {} answers were numbers; the last error: {:?}",
                of_way.clone().count(),
                of_way.rev().find_map(|answer| answer.value.as_ref().err())
            );
        }
    }
}

/// Waits until every way of asking answers `truth`. A load that has just begun shows a moment later.
pub async fn settle(client: &Client, namespace: &str, pods: usize, truth: f64) -> TestResult {
    wait::poll(format!("{truth} requests in flight in every metric"), SOON, || async {
        let round = round(client, namespace, pods, None).await;
        let right = |value: &Result<f64, String>| value.as_ref().is_ok_and(|value| (value - truth).abs() < 0.01);
        if round.iter().all(|(_, value)| right(value)) {
            Ok(())
        } else {
            Err(format!("{round:?}"))
        }
    })
    .await
}

impl Drop for Watchdog {
    fn drop(&mut self) {
        self.task.abort();
    }
}

async fn round(
    client: &Client,
    namespace: &str,
    expected: usize,
    hpa: Option<&str>,
) -> Vec<(&'static str, Result<f64, String>)> {
    let pods = async {
        let samples = metrics::of_pods(client, namespace, "tokenweir.dev/gateway=edge", "in_flight", "").await;
        let enough = samples.as_ref().map_or(expected, Vec::len);
        let value = sum(samples);
        (
            "Pods",
            if enough < expected {
                Err(format!("values of {enough} pods"))
            } else {
                value
            },
        )
    };
    let object = async {
        let samples = metrics::of_object(client, namespace, "llmgateways.tokenweir.dev", "edge", "in_flight", "").await;
        ("Object", sum(samples))
    };
    let external = async {
        (
            "External",
            sum(metrics::external(client, namespace, "in_flight", "gateway=edge,tenant=acme").await),
        )
    };
    let view = async {
        let Some(hpa) = hpa else { return Vec::new() };
        match metrics::hpa(client, namespace, hpa).await {
            // The HPA's value is the average over its pods.
            Ok(view) => view
                .metrics
                .iter()
                .map(|(_, average)| ("HPA", Ok(average * f64::from(view.current.max(1)))))
                .collect(),
            Err(error) => vec![("HPA", Err(error.chain()))],
        }
    };
    let (pods, object, external, view) = tokio::join!(pods, object, external, view);
    [pods, object, external].into_iter().chain(view).collect()
}

fn sum(samples: tokenweir_e2e::harness::Result<Vec<metrics::Sample>>) -> Result<f64, String> {
    match samples {
        // An empty list is "no value", not zero.
        Ok(samples) if samples.is_empty() => Err("an empty list".to_owned()),
        Ok(samples) => Ok(metrics::total(&samples)),
        Err(error) => Err(error.chain()),
    }
}

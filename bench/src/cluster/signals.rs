//! How old the values are that a HorizontalPodAutoscaler reads.

use std::fmt::Write;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use serde_json::Value;
use tokenweir_config::names::GATEWAY_LABEL;

use super::{Api, Settings, World};
use crate::error::BenchError;
use crate::load::percentile;
use crate::machine;

/// Time for the adapter to have subscribed to new pods.
const PATIENCE: Duration = Duration::from_secs(30);

/// Reads the metric as the HPA's `Pods` metrics do, again and again, and returns the ages as text.
///
/// The age of an answer is that of its oldest value when the answer has been read. Pods and this program share a clock
/// only where they share a machine, as on the local cluster; elsewhere the difference of clocks is part of the figure.
pub async fn measure(api: Api, settings: Settings, samples: usize) -> Result<String, BenchError> {
    let machine = machine::describe();
    let mut world = World::make(api, settings).await?;
    let path = format!(
        "/apis/custom.metrics.k8s.io/v1beta2/namespaces/{}/pods/*/queue_depth?labelSelector={GATEWAY_LABEL}%3Dbench",
        world.settings.namespace
    );
    let pods = world.settings.pods;
    let deadline = Instant::now() + PATIENCE;
    while read(&mut world, &path).await?.len() < pods {
        if Instant::now() >= deadline {
            return Err(BenchError::Silent {
                what: "the adapter".into(),
                reason: format!("it has not got values of {pods} pods"),
            });
        }
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    let (mut ages, mut times, mut short) = (Vec::new(), Vec::new(), 0);
    for sample in 0..samples.max(1) {
        // Steps that share no divisor with the four frames a second, so that all phases between them are read.
        tokio::time::sleep(Duration::from_millis(37 + (sample as u64 * 13) % 29)).await;
        let asked = Instant::now();
        let values = read(&mut world, &path).await?;
        times.push(u64::try_from(asked.elapsed().as_millis()).unwrap_or(u64::MAX));
        short += usize::from(values.len() < pods);
        ages.extend(values.into_iter().max());
    }
    ages.sort_unstable();
    times.sort_unstable();
    let mut out = format!("{machine}. ");
    // Writing to a String cannot fail.
    let _ = writeln!(
        out,
        "{pods} gateway pods, {} answers to the question of a Pods metric: age of the oldest value p50 {} ms, p99 {} ms, highest {} ms; \
         time of an answer p50 {} ms, p99 {} ms; answers without all pods: {short}.",
        times.len(),
        percentile(&ages, 50),
        percentile(&ages, 99),
        percentile(&ages, 100),
        percentile(&times, 50),
        percentile(&times, 99),
    );
    Ok(out)
}

/// Ages of all values of an answer, in milliseconds. An error of the adapter is an answer without values.
async fn read(world: &mut World, path: &str) -> Result<Vec<u64>, BenchError> {
    let (_, answer) = world.api.get(path).await?;
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    let now = u64::try_from(now.as_millis()).unwrap_or(u64::MAX);
    let items = answer["items"].as_array().map(Vec::as_slice).unwrap_or_default();
    items.iter().map(|item| age(item, now)).collect()
}

fn age(item: &Value, now: u64) -> Result<u64, BenchError> {
    let text = item["timestamp"].as_str().unwrap_or_default();
    let measured: jiff::Timestamp = text.parse().map_err(|_| BenchError::Silent {
        what: "the adapter".into(),
        reason: format!("a value has the time {text:?}"),
    })?;
    Ok(now.saturating_sub(u64::try_from(measured.as_millisecond()).unwrap_or(0)))
}

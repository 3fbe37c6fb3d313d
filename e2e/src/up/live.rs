//! Drives load through the example's gateway and shows what happens, once a second.

use std::time::{Duration, Instant};

use k8s_openapi::api::core::v1::Pod;
use kube::api::ListParams;
use kube::{Api, Client};

use super::quickstart::Quickstart;
use super::terminal::Terminal;
use super::view::{History, Reported, Sample};
use crate::harness::load::{Load, Tally};
use crate::harness::openai::{Chat, Connections, OpenAi};
use crate::harness::{Result, api, metrics};

/// The longest load of the front door.
pub const LONGEST: Duration = Duration::from_secs(90);
/// The load goes on at least so long, so that a person sees the queue rise and fall.
const SHORTEST: Duration = Duration::from_secs(20);
/// Samples in a row that must be calm before the load ends.
const CALM_SAMPLES: usize = 8;
/// Output that is not a terminal gets a line for every second sample.
const LINE_EVERY: usize = 2;
/// Longer than the example takes for an answer even when it waited.
const ANSWER_LIMIT: Duration = Duration::from_mins(1);
/// A sample that takes longer is shown as one without values.
const SAMPLE_LIMIT: Duration = Duration::from_millis(900);

/// How the load is driven.
#[derive(Debug, Clone)]
pub struct LoadOptions {
    /// Clients that each ask one chat after the other.
    pub clients: usize,
    /// The longest time.
    pub limit: Duration,
}

impl Default for LoadOptions {
    fn default() -> Self {
        Self {
            clients: 64,
            limit: LONGEST,
        }
    }
}

/// What the load showed.
#[derive(Debug)]
pub struct Outcome {
    /// Requests and their ends.
    pub tally: Tally,
    /// Everything that was sampled.
    pub history: History,
}

/// Drives load until the HPA has added pods and the queue is calm, at most `options.limit`.
pub async fn drive(
    client: &Client,
    example: &Quickstart,
    base: &str,
    key: &str,
    options: &LoadOptions,
    terminal: &mut Terminal,
) -> Result<Outcome> {
    let limit = options.limit.min(LONGEST);
    let chat = Chat {
        limit: ANSWER_LIMIT,
        ..Chat::new(&example.model, 64)
    };
    // New connections let the Service bring new pods into play at once.
    let openai = OpenAi::new(base, key, Connections::PerRequest);
    let load = Load::closed(&openai, &chat, options.clients, limit);
    let started = Instant::now();
    let mut history = History::default();
    let mut ticks = tokio::time::interval(Duration::from_secs(1));
    ticks.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
    let (mut chunks, mut at) = (0, started);
    for turn in 0_usize.. {
        ticks.tick().await;
        let mut sample = sample(client, example).await?;
        let (now, seen) = (Instant::now(), load.chunks());
        let seconds = now.duration_since(at).as_secs_f64();
        sample.elapsed = started.elapsed();
        sample.clients = load.active();
        // The first sample has no time behind it.
        sample.token_rate = if turn == 0 {
            0.0
        } else {
            (seen - chunks) as f64 / seconds.max(0.001)
        };
        (chunks, at) = (seen, now);
        history.push(sample);
        if terminal.redraws() {
            terminal.block(&history.block(limit));
        } else if turn % LINE_EVERY == 0 {
            terminal.line(history.line());
        }
        let elapsed = started.elapsed();
        if elapsed >= limit || (elapsed >= SHORTEST && history.settled(CALM_SAMPLES)) {
            break;
        }
    }
    Ok(Outcome {
        tally: load.abort().await,
        history,
    })
}

async fn sample(client: &Client, example: &Quickstart) -> Result<Sample> {
    let (pods, reported, hpa) = tokio::join!(pods(client, example), reported(client, example), hpa(client, example));
    let pods = pods?;
    // A pod that does not serve yet has no queue, and does not answer.
    let serving = pods.iter().filter(|pod| is_ready(pod));
    let names: Vec<&str> = serving.filter_map(|pod| pod.metadata.name.as_deref()).collect();
    let depths = names.iter().map(|name| queue_depth(client, &example.namespace, name));
    let depths = tokio::time::timeout(SAMPLE_LIMIT, futures::future::join_all(depths)).await;
    let (wanted, has) = hpa.unwrap_or_default();
    Ok(Sample {
        queue_depth: depths.ok().and_then(|depths| depths.into_iter().sum()),
        reported: Some(reported),
        wanted,
        has,
        ready: pods.iter().filter(|pod| is_ready(pod)).count(),
        pods: pods.len(),
        ..Sample::default()
    })
}

/// Pods of the gateway that are not on their way out.
async fn pods(client: &Client, example: &Quickstart) -> Result<Vec<Pod>> {
    let pods: Api<Pod> = Api::namespaced(client.clone(), &example.namespace);
    let selector = format!("{}={}", tokenweir_config::names::GATEWAY_LABEL, example.gateway);
    let list = pods
        .list(&ListParams::default().labels(&selector))
        .await
        .map_err(api("list the gateway's pods"))?;
    Ok(list
        .items
        .into_iter()
        .filter(|pod| pod.metadata.deletion_timestamp.is_none())
        .collect())
}

fn is_ready(pod: &Pod) -> bool {
    let conditions = pod
        .status
        .as_ref()
        .and_then(|status| status.conditions.as_deref())
        .unwrap_or_default();
    conditions
        .iter()
        .any(|condition| condition.type_ == "Ready" && condition.status == "True")
}

/// What the adapter says about the whole gateway, as an HPA would read it.
async fn reported(client: &Client, example: &Quickstart) -> Result<Reported, String> {
    let resource = "llmgateways.tokenweir.dev";
    let of = |metric: &'static str, labels: &'static str| {
        metrics::of_object(client, &example.namespace, resource, &example.gateway, metric, labels)
    };
    let both = async { tokio::try_join!(of("queue_depth", ""), of("token_rate", "window=1s")) };
    let (depth, rate) = tokio::time::timeout(SAMPLE_LIMIT, both)
        .await
        .map_err(|_| "no answer in time".to_owned())?
        .map_err(|error| error.chain())?;
    let measured = depth
        .iter()
        .chain(&rate)
        .filter_map(|sample| sample.timestamp.parse::<jiff::Timestamp>().ok());
    let oldest = measured.min().ok_or("values without a time")?;
    Ok(Reported {
        queue_depth: metrics::total(&depth),
        token_rate: metrics::total(&rate),
        age: Duration::try_from(jiff::Timestamp::now().duration_since(oldest)).unwrap_or_default(),
    })
}

/// Replicas wanted and had by the HPA that follows the gateway.
async fn hpa(client: &Client, example: &Quickstart) -> Option<(i32, i32)> {
    use k8s_openapi::api::autoscaling::v2::HorizontalPodAutoscaler;
    let hpas: Api<HorizontalPodAutoscaler> = Api::namespaced(client.clone(), &example.namespace);
    let list = hpas.list(&ListParams::default()).await.ok()?;
    let owned = list.items.iter().find(|hpa| {
        let owners = hpa.metadata.owner_references.as_deref().unwrap_or_default();
        owners
            .iter()
            .any(|owner| owner.kind == "ScalingPolicy" && owner.name == example.policy)
    })?;
    let view = metrics::view(owned);
    Some((view.desired, view.current))
}

/// A pod's own word on how many requests wait, through the API server so that it works on any cluster.
async fn queue_depth(client: &Client, namespace: &str, pod: &str) -> Option<f64> {
    let port = tokenweir_config::names::TELEMETRY_PORT;
    let path = format!("/api/v1/namespaces/{namespace}/pods/{pod}:{port}/proxy/metrics");
    let request = http::Request::get(path).body(Vec::new()).ok()?;
    gauge(&client.request_text(request).await.ok()?, "task_queue_depth")
}

/// The sum of a metric's samples in Prometheus text. `None` if there is none.
fn gauge(text: &str, name: &str) -> Option<f64> {
    let values = text.lines().filter_map(|line| {
        let rest = line.strip_prefix(name)?;
        let value = match rest.strip_prefix('{') {
            Some(labels) => labels.split_once('}')?.1,
            None => rest.strip_prefix(' ')?,
        };
        value.split_whitespace().next()?.parse::<f64>().ok()
    });
    values.reduce(|sum, value| sum + value)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_gauge_is_summed_over_its_labels_and_not_over_other_names() {
        let text = "# TYPE task_queue_depth gauge\ntask_queue_depth{tenant=\"a\"} 3\ntask_queue_depth{tenant=\"b\"} 4 1700\ntask_queue_depth_max 9\n";
        assert_eq!(gauge(text, "task_queue_depth"), Some(7.0));
        assert_eq!(gauge("task_queue_depth 5\n", "task_queue_depth"), Some(5.0));
        assert_eq!(gauge(text, "other"), None);
    }
}

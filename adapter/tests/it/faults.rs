//! What happens when something breaks: no wrong number, ever.

use std::time::{Duration, Instant};

use serde_json::json;
use tokenweir_signals::Scope;

use crate::client::Connection;
use crate::pki::Authority;
use crate::world::{CUSTOM, EXTERNAL, PODS, SECRETS, World, depth, pod, serving_secret, until};

const GATEWAY: &str = "/llmgateways.tokenweir.dev/edge/queue_depth";

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_pod_that_falls_silent_is_an_error_and_never_zero() {
    let mut world = World::with(&["--max-signal-age", "400ms"]).await;
    world.pod("edge-1", vec![(Scope::pod(), depth(3))]).await;
    let silent = world.pod("edge-2", vec![(Scope::pod(), depth(4))]).await;
    let (sum, each) = (format!("{CUSTOM}{GATEWAY}"), format!("{CUSTOM}/pods/*/queue_depth"));
    world.value_until(&sum, "7").await;
    silent.set_silent(true);
    let error = world
        .ask_until(&sum, "the sum is refused", |answer| {
            assert!(
                answer.code != 200 || answer.json()["items"][0]["value"] == "7",
                "{answer:?}"
            );
            answer.code == 503
        })
        .await;
    assert_eq!(error.message(), "no values younger than 400ms from edge-2");
    assert_eq!(world.ask(&format!("{EXTERNAL}/queue_depth")).await.code, 503);
    assert_eq!(world.ask(&format!("{CUSTOM}/pods/edge-2/queue_depth")).await.code, 503);
    let fresh = world.ask(&each).await.json();
    assert_eq!(fresh["items"].as_array().unwrap().len(), 1, "{fresh}");
    assert_eq!(fresh["items"][0]["describedObject"]["name"], "edge-1");
    let only_silent = world.ask(&format!("{each}?labelSelector=pod%3Dedge-2")).await;
    assert_eq!(only_silent.code, 503);
    // A question may be more patient than the default.
    let patient = world.ask(&format!("{sum}?metricLabelSelector=max-age%3D1m")).await;
    assert_eq!(patient.json()["items"][0]["value"], "7", "{patient:?}");
    // On its way out, the pod is left out; the rest is a sum again.
    let mut leaving = pod("edge-2", &silent);
    leaving["metadata"]["deletionTimestamp"] = json!("2026-01-01T00:00:00Z");
    world.api.put(PODS, leaving);
    world.value_until(&sum, "3").await;
    silent.set_silent(false);
    world.value_until(&sum, "7").await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_stream_that_was_cut_is_back_at_once() {
    let mut world = World::with(&["--max-signal-age", "900ms"]).await;
    let first = world.pod("edge-1", vec![(Scope::pod(), depth(3))]).await;
    let sum = format!("{CUSTOM}{GATEWAY}");
    world.value_until(&sum, "3").await;
    // The process in the pod starts again at the same address.
    first.kill();
    let address = first.address;
    let again = until("the address is free again", async || {
        crate::gateway::Gateway::restart(&crate::world::ROOT_KEY, "llm", "edge", address)
            .await
            .ok()
    })
    .await;
    again.say(vec![(Scope::pod(), depth(5))]);
    let begun = Instant::now();
    world
        .ask_until(&sum, "the new value", |answer| {
            assert!(answer.code == 503 || ["3", "5"].contains(&answer.json()["items"][0]["value"].as_str().unwrap()));
            answer.code == 200 && answer.json()["items"][0]["value"] == "5"
        })
        .await;
    assert!(begun.elapsed() < Duration::from_secs(1), "{:?}", begun.elapsed());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_address_that_passes_to_another_pod_is_not_counted_twice() {
    let mut world = World::with(&["--max-signal-age", "400ms"]).await;
    world.pod("edge-1", vec![(Scope::pod(), depth(3))]).await;
    let leaving = world.pod("edge-2", vec![(Scope::pod(), depth(4))]).await;
    let sum = format!("{CUSTOM}{GATEWAY}");
    world.value_until(&sum, "7").await;
    let mut terminating = pod("edge-2", &leaving);
    terminating["metadata"]["deletionTimestamp"] = json!("2026-01-01T00:00:00Z");
    world.api.put(PODS, terminating);
    leaving.kill();
    let heir = until("the address is free again", async || {
        crate::gateway::Gateway::restart(&crate::world::ROOT_KEY, "llm", "edge", leaving.address)
            .await
            .ok()
    })
    .await;
    heir.say(vec![(Scope::pod(), depth(100))]);
    world.value_until(&sum, "3").await;
    world.api.put(PODS, pod("edge-3", &heir));
    world
        .ask_until(&sum, "the heir counts once", |answer| {
            let value = answer.json()["items"][0]["value"].as_str().map(str::to_owned);
            assert_ne!(value.as_deref(), Some("203"));
            value.as_deref() == Some("103")
        })
        .await;
    world
        .ask_until(
            &format!("{CUSTOM}/pods/edge-2/queue_depth"),
            "the old pod is stale",
            |a| a.code == 503,
        )
        .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn values_go_on_while_the_api_server_is_away() {
    let mut world = World::new().await;
    let gateway = world.pod("edge-1", vec![(Scope::pod(), depth(3))]).await;
    let sum = format!("{CUSTOM}{GATEWAY}");
    world.value_until(&sum, "3").await;
    world.api.set_available(false);
    gateway.say(vec![(Scope::pod(), depth(8))]);
    world.value_until(&sum, "8").await;
    // What changed meanwhile is seen once it is back.
    world.pod("edge-2", vec![(Scope::pod(), depth(2))]).await;
    world.api.set_available(true);
    world.value_until(&sum, "10").await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_rotated_root_key_is_used_for_new_streams() {
    let mut world = World::new().await;
    world.pod("edge-1", vec![(Scope::pod(), depth(3))]).await;
    let next_key = [9; 32];
    let stranger = crate::gateway::Gateway::start(&next_key, "llm", "edge", world.port).await;
    stranger.say(vec![(Scope::pod(), depth(4))]);
    world.api.put(PODS, pod("edge-2", &stranger));
    let sum = format!("{CUSTOM}{GATEWAY}");
    world
        .ask_until(&sum, "the stream is refused", |answer| {
            answer.code == 503 && answer.message() == "no values younger than 5s from edge-2"
        })
        .await;
    world.api.put(SECRETS, crate::world::root_key_secret(&next_key));
    // The open stream goes on although its token is of the old key.
    world.value_until(&sum, "7").await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_rotated_serving_certificate_reaches_new_connections_and_spares_old_ones() {
    let world = World::new().await;
    let mut old = world.connect(None).await.unwrap();
    assert_eq!(old.get("/livez", &[]).await.code, 200);
    let next = Authority::new("next-serving-ca");
    world.api.put(SECRETS, serving_secret(&next));
    until("the new certificate is served", async || {
        Connection::open(world.address, &next.pem(), None)
            .await
            .ok()
            .map(|_| ())
    })
    .await;
    assert!(world.connect(None).await.is_err());
    assert_eq!(old.get("/livez", &[]).await.code, 200);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_stopping_adapter_says_so_and_serves_until_callers_have_noticed() {
    let world = World::with(&["--shutdown-delay", "300ms"]).await;
    let mut connection = world.connect(None).await.unwrap();
    assert_eq!(connection.get("/readyz", &[]).await.code, 200);
    world.stop.cancel();
    until("it says that it stops", async || {
        let answer = world.connect(None).await.ok()?.get("/readyz", &[]).await;
        (answer.code == 500).then(|| assert!(String::from_utf8_lossy(&answer.body).contains("[-]running failed")))
    })
    .await;
    assert_eq!(world.ask("/apis").await.code, 200);
    tokio::time::timeout(Duration::from_secs(10), world.running)
        .await
        .unwrap()
        .unwrap();
}

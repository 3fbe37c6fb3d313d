//! Values, from frames to answers.

use jiff::Timestamp;
use serde_json::json;
use tokenweir_signals::{Rates, Scope, Values};

use crate::world::{CUSTOM, EXTERNAL, PODS, World, depth, pod};

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_autoscaler_reads_each_pod_as_it_is_now() {
    let mut world = World::new().await;
    let first = world.pod("edge-1", vec![(Scope::pod(), depth(3))]).await;
    world.pod("edge-2", vec![(Scope::pod(), depth(4))]).await;
    let path = format!("{CUSTOM}/pods/%2A/queue_depth?labelSelector=app%3Dedge");
    let answer = world
        .ask_until(&path, "both pods have values", |answer| {
            answer.code == 200 && answer.json()["items"].as_array().is_some_and(|items| items.len() == 2)
        })
        .await;
    let list = answer.json();
    assert_eq!(list["kind"], "MetricValueList");
    assert_eq!(list["apiVersion"], "custom.metrics.k8s.io/v1beta2");
    let described = json!({"kind": "Pod", "namespace": "llm", "name": "edge-2", "apiVersion": "v1"});
    assert_eq!(list["items"][1]["describedObject"], described);
    assert_eq!(
        list["items"][1]["metric"],
        json!({"name": "queue_depth", "selector": null})
    );
    assert_eq!(list["items"][1]["value"], "4");
    let measured: Timestamp = list["items"][1]["timestamp"].as_str().unwrap().parse().unwrap();
    let age = Timestamp::now().duration_since(measured);
    assert!(age.as_millis() < 1_000, "{age}");
    first.say(vec![(Scope::pod(), depth(9))]);
    world.value_until(&path, "9").await;
    world
        .value_until(&format!("{CUSTOM}/pods/edge-2/task_queue_depth"), "4")
        .await;
    let one = world
        .ask(&format!("{CUSTOM}/pods/*/queue_depth?labelSelector=pod+in+(edge-2)"))
        .await
        .json();
    assert_eq!(one["items"].as_array().unwrap().len(), 1);
    let none = world
        .ask(&format!("{CUSTOM}/pods/*/queue_depth?labelSelector=app=other"))
        .await;
    assert_eq!((none.code.as_u16(), none.json()["items"].clone()), (200, json!([])));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn objects_and_external_metrics_sum_over_the_pods() {
    let mut world = World::new().await;
    let rates = |s1: f64, s10: f64| Rates { s1, s10, s60: 0.5 };
    let values = |in_flight, token_rate| Values {
        in_flight,
        token_rate,
        ..Values::default()
    };
    for (name, n) in [("edge-1", 1), ("edge-2", 2)] {
        let scopes = vec![
            (Scope::pod(), values(10 * n, rates(100.0, 10.25))),
            (Scope::route("chat"), values(3 * n, rates(50.0, 5.0))),
            (Scope::tenant("acme"), values(n, rates(10.0, 1.0))),
        ];
        world.pod(name, scopes).await;
    }
    let gateway = format!("{CUSTOM}/llmgateways.tokenweir.dev/edge");
    world.value_until(&format!("{gateway}/in_flight"), "30").await;
    let rate = world
        .value_until(&format!("{gateway}/token_rate"), "20500m")
        .await
        .json();
    assert_eq!(rate["items"][0]["windowSeconds"], 10);
    let described =
        json!({"kind": "LLMGateway", "namespace": "llm", "name": "edge", "apiVersion": "tokenweir.dev/v1alpha1"});
    assert_eq!(rate["items"][0]["describedObject"], described);
    let one_second = format!("{gateway}/token_rate?metricLabelSelector=window%3D1s%2Ctenant%3Dacme");
    let narrowed = world.value_until(&one_second, "20").await.json();
    let selector = json!({"matchLabels": {"tenant": "acme", "window": "1s"}});
    assert_eq!(narrowed["items"][0]["metric"]["selector"], selector);
    world
        .value_until(&format!("{CUSTOM}/modelroutes.tokenweir.dev/chat/active_tasks"), "9")
        .await;
    world
        .value_until(&format!("{CUSTOM}/tenants.tokenweir.dev/acme/in_flight"), "3")
        .await;
    let external = world
        .value_until(
            &format!("{EXTERNAL}/token_rate?labelSelector=gateway=edge,window=60s"),
            "1",
        )
        .await;
    let external = external.json();
    assert_eq!(external["kind"], "ExternalMetricValueList");
    assert_eq!(
        external["items"][0]["metricLabels"],
        json!({"gateway": "edge", "window": "60s"})
    );
    assert_eq!(external["items"][0]["window"], 60);
    world
        .value_until(
            &format!("{EXTERNAL}/in_flight?labelSelector=tenant+in+(acme),pod=edge-2"),
            "2",
        )
        .await;
    let v1beta1 = CUSTOM.replace("v1beta2", "v1beta1");
    let old = world
        .ask(&format!(
            "{v1beta1}/pods/edge-1/token_rate?metricLabelSelector=route%3Dchat"
        ))
        .await
        .json();
    assert_eq!(old["items"][0]["metricName"], "token_rate");
    assert_eq!(old["items"][0]["window"], 10);
    assert_eq!(old["items"][0]["selector"], json!({"matchLabels": {"route": "chat"}}));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_wildcard_selects_objects_by_their_labels() {
    let mut world = World::new().await;
    let tenants = "/apis/tokenweir.dev/v1alpha1/tenants";
    for (name, tier) in [("acme", "gold"), ("globex", "silver"), ("idle", "gold")] {
        let labels = json!({"tier": tier});
        world.api.put(
            tenants,
            json!({"metadata": {"namespace": "llm", "name": name, "labels": labels}}),
        );
    }
    world
        .pod(
            "edge-1",
            vec![(Scope::tenant("acme"), depth(2)), (Scope::tenant("globex"), depth(5))],
        )
        .await;
    let path = format!("{CUSTOM}/tenants.tokenweir.dev/*/queue_depth?labelSelector=tier%3Dgold");
    let list = world.value_until(&path, "2").await.json();
    assert_eq!(list["items"].as_array().unwrap().len(), 1);
    assert_eq!(list["items"][0]["describedObject"]["name"], "acme");
    world.api.delete(tenants, "acme");
    world
        .ask_until(&path, "the tenant is gone", |answer| {
            answer.json()["items"] == json!([])
        })
        .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_does_not_exist_or_make_sense_is_said_so() {
    let mut world = World::new().await;
    world.pod("edge-1", vec![(Scope::pod(), depth(1))]).await;
    world
        .value_until(&format!("{CUSTOM}/pods/edge-1/queue_depth"), "1")
        .await;
    for (path, code, says) in [
        (
            format!("{CUSTOM}/pods/edge-1/cpu"),
            404,
            "known are queue_depth, in_flight",
        ),
        (format!("{CUSTOM}/pods/nobody/queue_depth"), 404, "for pods nobody"),
        (
            format!("{CUSTOM}/services/edge/queue_depth"),
            404,
            "metrics describe pods, llmgateways.tokenweir.dev",
        ),
        (
            format!("{CUSTOM}/llmgateways.tokenweir.dev/other/queue_depth"),
            404,
            "no gateway pod serves",
        ),
        (
            format!("{CUSTOM}/tenants.tokenweir.dev/other/queue_depth"),
            404,
            "no gateway pod knows",
        ),
        (format!("{CUSTOM}/pods/edge-1/ttft"), 404, "no request of pod edge-1"),
        (format!("{CUSTOM}/metrics/queue_depth"), 404, "for namespaces llm"),
        (
            format!("{CUSTOM}/pods/*/queue_depth?labelSelector=a==b==c"),
            400,
            "unable to parse labelSelector",
        ),
        (
            format!("{CUSTOM}/pods/*/queue_depth?metricLabelSelector=colour=red"),
            400,
            "known are window",
        ),
        (
            format!("{EXTERNAL}/token_rate?labelSelector=window=5s"),
            400,
            "1s, 10s or 60s",
        ),
        (format!("{EXTERNAL}/nonsense"), 404, "known are"),
        (
            "/apis/custom.metrics.k8s.io/v1beta2/nodes/n1/queue_depth".into(),
            404,
            "for nodes n1",
        ),
        ("/apis/apps/v1".into(), 404, "could not find the requested resource"),
    ] {
        let answer = world.ask(&path).await;
        assert_eq!(answer.code, code, "{path}: {answer:?}");
        let status = answer.json();
        assert_eq!(
            (status["kind"].as_str(), status["code"].as_u64()),
            (Some("Status"), Some(u64::from(code)))
        );
        assert!(answer.message().contains(says), "{path}: {}", answer.message());
    }
    let mut connection = world.aggregator().await;
    let headers = [("x-remote-user", "admin"), ("x-remote-group", "system:masters")];
    let post = connection
        .send("POST", &format!("{CUSTOM}/pods/edge-1/queue_depth"), &headers)
        .await
        .unwrap();
    assert_eq!(
        (post.code.as_u16(), post.json()["reason"].clone()),
        (405, json!("MethodNotAllowed"))
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_gateway_whose_clock_is_wrong_gives_right_times() {
    let mut world = World::new().await;
    let gateway = world.pod("edge-1", vec![(Scope::pod(), depth(1))]).await;
    let path = format!("{CUSTOM}/pods/edge-1/queue_depth");
    for (skew_ms, value) in [(-86_400_000, 2), (86_400_000, 3)] {
        gateway.set_clock(skew_ms);
        gateway.say(vec![(Scope::pod(), depth(value))]);
        let answer = world.value_until(&path, &value.to_string()).await.json();
        let measured: Timestamp = answer["items"][0]["timestamp"].as_str().unwrap().parse().unwrap();
        let age = Timestamp::now().duration_since(measured).as_millis();
        assert!((-10..1_000).contains(&age), "{age}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn pods_come_and_go() {
    let mut world = World::new().await;
    let path = format!("{CUSTOM}/llmgateways.tokenweir.dev/edge/queue_depth");
    world.pod("edge-1", vec![(Scope::pod(), depth(1))]).await;
    world.value_until(&path, "1").await;
    let second = world.pod("edge-2", vec![(Scope::pod(), depth(2))]).await;
    world.value_until(&path, "3").await;
    // Made again under the same name: another pod at another address.
    world.api.delete(PODS, "edge-2");
    world.value_until(&path, "1").await;
    second.kill();
    world.pod("edge-2", vec![(Scope::pod(), depth(5))]).await;
    world.value_until(&path, "6").await;
    let mut ended = pod("edge-1", &second);
    ended["status"]["phase"] = json!("Failed");
    world.api.put(PODS, ended);
    world.value_until(&path, "5").await;
}

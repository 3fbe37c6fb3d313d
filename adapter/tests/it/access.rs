//! Who may ask what.

use serde_json::json;
use tokenweir_signals::Scope;

use crate::pki::Authority;
use crate::world::{CONFIG_MAPS, CUSTOM, EXTERNAL, World, depth, front_proxy_config};

const METRIC: &str = "/pods/*/queue_depth";

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn only_the_aggregator_vouches_for_users() {
    let mut world = World::new().await;
    world.pod("edge-1", vec![(Scope::pod(), depth(1))]).await;
    world.api.allow("jo get pods/queue_depth");
    let path = format!("{CUSTOM}{METRIC}");
    let user = [
        ("x-remote-user", "jo"),
        ("x-remote-group", "dev"),
        ("x-remote-extra-scope", "a"),
    ];
    world.value_until(&path, "1").await;
    assert_eq!(world.aggregator().await.get(&path, &user).await.code, 200);
    let review = world.api.reviews().pop().unwrap();
    assert_eq!(review["groups"], json!(["dev", "system:authenticated"]));
    assert_eq!(review["extra"], json!({"scope": ["a"]}));
    assert_eq!(
        review["resourceAttributes"],
        json!({
            "verb": "get", "group": "custom.metrics.k8s.io", "version": "v1beta2", "namespace": "llm",
            "resource": "pods", "subresource": "queue_depth", "name": "*",
        })
    );

    // The same headers from anybody else say nothing.
    let stranger = Authority::new("front-proxy-ca").client("front-proxy-client");
    let wrong_name = world.front_proxy.client("somebody");
    for identity in [None, Some(&stranger), Some(&wrong_name)] {
        let answer = world.connect(identity).await.unwrap().get(&path, &user).await;
        assert_eq!(answer.code, 403, "{answer:?}");
        assert!(
            answer
                .message()
                .contains("User \"system:anonymous\" cannot get resource \"pods/queue_depth\"")
        );
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn tokens_are_reviewed_and_permissions_asked() {
    let mut world = World::new().await;
    world.pod("edge-1", vec![(Scope::pod(), depth(1))]).await;
    world.api.add_token(
        "good",
        json!({"username": "sa", "uid": "7", "groups": ["system:serviceaccounts"]}),
    );
    world.api.allow("sa list queue_depth");
    let external = format!("{EXTERNAL}/queue_depth");
    world.value_until(&external, "1").await;
    let mut connection = world.connect(None).await.unwrap();
    let good = [("authorization", "Bearer good")];
    assert_eq!(connection.get(&external, &good).await.code, 200);
    let refused = connection.get(&format!("{CUSTOM}{METRIC}"), &good).await;
    assert_eq!(
        (refused.code.as_u16(), refused.json()["reason"].clone()),
        (403, json!("Forbidden"))
    );
    assert_eq!(connection.get("/metrics", &good).await.code, 403);
    for path in [&*external, "/healthz", "/apis", "/metrics"] {
        let bad = connection.get(path, &[("authorization", "Bearer bad")]).await;
        assert_eq!(
            (bad.code.as_u16(), bad.json()["reason"].clone()),
            (401, json!("Unauthorized")),
            "{path}"
        );
        assert!(bad.headers.contains_key("www-authenticate"));
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn anonymous_callers_get_health_and_nothing_else() {
    let world = World::new().await;
    let mut connection = world.connect(None).await.unwrap();
    for path in ["/livez", "/readyz", "/healthz"] {
        let answer = connection.get(path, &[]).await;
        assert_eq!((answer.code.as_u16(), &*answer.body), (200, &b"ok"[..]), "{path}");
    }
    let verbose = connection.get("/readyz?verbose", &[]).await;
    assert!(String::from_utf8_lossy(&verbose.body).contains("[+]front-proxy-ca ok"));
    for path in [
        "/metrics",
        "/apis",
        "/apis/custom.metrics.k8s.io/v1beta1",
        "/openapi/v2",
        "/",
        "/nothing",
    ] {
        assert_eq!(connection.get(path, &[]).await.code, 403, "{path}");
    }
    let metrics = world.ask("/metrics").await;
    assert_eq!(metrics.code, 200);
    let text = String::from_utf8_lossy(&metrics.body).into_owned();
    assert!(
        text.contains("tokenweir_adapter_requests_total{api=\"discovery\",code=\"403\"} 3"),
        "{text}"
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_cannot_be_reviewed_is_refused_and_discovery_still_answers() {
    let world = World::new().await;
    world.api.set_available(false);
    let user = [("x-remote-user", "jo"), ("x-remote-group", "dev")];
    let mut aggregator = world.aggregator().await;
    let metric = aggregator.get(&format!("{CUSTOM}{METRIC}"), &user).await;
    assert_eq!(
        (metric.code.as_u16(), metric.json()["reason"].clone()),
        (503, json!("ServiceUnavailable"))
    );
    let token = world
        .connect(None)
        .await
        .unwrap()
        .get("/apis", &[("authorization", "Bearer x")])
        .await;
    assert_eq!(
        (token.code.as_u16(), token.json()["kind"].clone()),
        (503, json!("Status"))
    );
    for path in [
        "/apis",
        "/apis/custom.metrics.k8s.io",
        "/apis/custom.metrics.k8s.io/v1beta1",
        "/apis/custom.metrics.k8s.io/v1beta2",
        "/apis/external.metrics.k8s.io/v1beta1",
        "/openapi/v2",
        "/openapi/v3",
        "/version",
    ] {
        let answer = aggregator.get(path, &user).await;
        assert_eq!(answer.code, 200, "{path}");
        let tag = answer.headers["etag"].to_str().unwrap().to_owned();
        let again = aggregator
            .get(path, &[("x-remote-user", "jo"), ("if-none-match", &tag)])
            .await;
        assert_eq!((again.code.as_u16(), again.body.len()), (304, 0), "{path}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_new_front_proxy_authority_is_followed_on_open_connections() {
    let world = World::new().await;
    let mut old = world.aggregator().await;
    let user = [("x-remote-user", "admin"), ("x-remote-group", "system:masters")];
    assert_eq!(old.get("/metrics", &user).await.code, 200);
    let next = Authority::new("next-front-proxy-ca");
    let identity = next.client("front-proxy-client");
    world.api.put(CONFIG_MAPS, front_proxy_config(&next));
    crate::world::until("the new authority is trusted", async || {
        let mut new = world.connect(Some(&identity)).await.unwrap();
        (new.get("/metrics", &user).await.code == 200).then_some(())
    })
    .await;
    assert_eq!(old.get("/metrics", &user).await.code, 403);
}

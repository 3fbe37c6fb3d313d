//! Reading objects of a cluster.

use serde_json::{Value, json};

use super::support::{Api, list, refusal};

const OURS: &str = "/apis/tokenweir.dev/v1alpha1/namespaces/llm";

fn condition(kind: &str, status: &str, reason: &str, message: &str) -> Value {
    json!({
        "type": kind, "status": status, "reason": reason, "message": message,
        "lastTransitionTime": "2020-01-01T00:00:00Z", "observedGeneration": 1,
    })
}

fn object(kind: &str, name: &str, spec: &Value, status: &Value) -> Value {
    json!({
        "apiVersion": "tokenweir.dev/v1alpha1", "kind": kind,
        "metadata": {"name": name, "namespace": "llm", "generation": 1, "creationTimestamp": "2020-01-01T00:00:00Z"},
        "spec": spec, "status": status,
    })
}

fn route() -> Value {
    let spec = json!({
        "model": "assistant", "gatewayRefs": [{"name": "edge"}],
        "backends": [{"providerRef": {"name": "sim"}, "weight": 1}], "fallbacks": [{"providerRef": {"name": "spare"}}],
    });
    let conditions = [
        condition("Accepted", "True", "Accepted", "the object is valid"),
        condition("Healthy", "False", "Unhealthy", "sim: 5 requests in a row failed"),
    ];
    object(
        "ModelRoute",
        "chat",
        &spec,
        &json!({"observedGeneration": 1, "conditions": conditions}),
    )
}

fn gateway() -> Value {
    let status = json!({
        "replicas": 2, "readyReplicas": 1, "configGeneration": 7, "podsOnGeneration": 1, "observedGeneration": 1,
        "conditions": [condition("Accepted", "True", "Accepted", "the object is valid")],
    });
    object("LLMGateway", "edge", &json!({"listeners": [{"port": 8080}]}), &status)
}

async fn api() -> Api {
    let pod = json!({
        "apiVersion": "v1", "kind": "Pod",
        "metadata": {"name": "edge-0", "namespace": "llm", "labels": {"tokenweir.dev/gateway": "edge"}},
        "status": {"conditions": [{"type": "Ready", "status": "True"}]},
    });
    let event = json!({
        "metadata": {"name": "e", "namespace": "llm"}, "involvedObject": {"kind": "ModelRoute", "name": "chat"},
        "type": "Warning", "reason": "Unhealthy", "message": "sim is out", "count": 3,
        "lastTimestamp": "2020-01-01T00:00:00Z",
    });
    let paths = ["modelproviders", "tenants", "scalingpolicies"].map(|plural| format!("{OURS}/{plural}"));
    let mut answers = vec![
        (
            "/apis/tokenweir.dev/v1alpha1/namespaces/llm/llmgateways",
            200,
            list(&[gateway()]),
        ),
        (
            "/apis/tokenweir.dev/v1alpha1/namespaces/llm/modelroutes",
            200,
            list(&[route()]),
        ),
        (
            "/apis/tokenweir.dev/v1alpha1/namespaces/llm/modelroutes/chat",
            200,
            route(),
        ),
        (
            "/apis/tokenweir.dev/v1alpha1/namespaces/llm/modelroutes/none",
            404,
            refusal(404, "NotFound", "none"),
        ),
        (
            "/apis/tokenweir.dev/v1alpha1/modelroutes",
            403,
            refusal(403, "Forbidden", ""),
        ),
        ("/api/v1/namespaces/llm/pods", 200, list(&[pod])),
        ("/api/v1/namespaces/llm/events", 200, list(&[event])),
        (
            "/api/v1/namespaces/tokenweir-system/secrets/tokenweir-root-key",
            403,
            refusal(403, "Forbidden", "tokenweir-root-key"),
        ),
    ];
    answers.extend(paths.iter().map(|path| (path.as_str(), 200, list(&[]))));
    Api::start(&answers).await
}

/// A table without what changes with the day.
fn aged(text: &str) -> String {
    text.split_whitespace()
        .map(|word| match word.strip_suffix('d') {
            Some(days) if days.parse::<u32>().is_ok() => "OLD",
            _ => word,
        })
        .collect::<Vec<_>>()
        .join(" ")
}

#[tokio::test]
async fn get_shows_all_kinds_and_what_does_not_work() {
    let api = api().await;
    let ran = api.run(&["get"]).await;
    assert_eq!((ran.code, ran.err.as_str()), (0, ""));
    assert_eq!(
        aged(&ran.out),
        "NAME STATE ACCEPTED PROGRAMMED READY HEALTHY AGE ABOUT \
         llmgateway/edge ok True - - - OLD 1/2 pods ready, generation 7 on 1 \
         modelroute/chat Unhealthy for OLD True - - False OLD assistant -> sim, else spare"
    );
    let wide = api.run(&["get", "routes", "-o", "wide"]).await;
    assert!(wide.out.contains("5 requests in a row failed"), "{}", wide.out);
    let names = api.run(&["get", "-o", "name"]).await;
    assert_eq!(
        names.out,
        "llmgateway.tokenweir.dev/edge\nmodelroute.tokenweir.dev/chat\n"
    );
}

#[tokio::test]
async fn get_gives_objects_to_programs() {
    let api = api().await;
    assert_eq!(
        api.run(&["get", "route", "chat", "-o", "json"]).await.json()["spec"]["model"],
        "assistant"
    );
    let all = api.run(&["get", "mr", "-o", "json"]).await.json();
    assert_eq!(
        (all["kind"].as_str(), all["items"][0]["kind"].as_str()),
        (Some("List"), Some("ModelRoute"))
    );
    let yaml = api.run(&["get", "modelroute/chat", "-o", "yaml"]).await;
    assert!(
        yaml.out.contains("kind: ModelRoute\n") && yaml.out.contains("model: assistant"),
        "{}",
        yaml.out
    );
}

#[tokio::test]
async fn describe_tells_what_it_may_and_why_it_may_not_the_rest() {
    let api = api().await;
    let ran = api.run(&["describe", "route/chat"]).await;
    assert_eq!((ran.code, ran.err.as_str()), (0, ""));
    for expected in [
        "Kind:           ModelRoute\n",
        "Backends:       sim, weight 1\n",
        "Fallbacks:      spare\n",
        "Retry:          2 more tries\n",
        "sim: 5 requests in a row failed (Unhealthy)\n",
        "1 pods, which could not be asked: not allowed to get secrets tokenweir-system/tokenweir-root-key; needed is the \
         rule {apiGroups: [\"\"], resources: [\"secrets\"], verbs: [\"get\"]} in a Role of namespace tokenweir-system\n",
        "sim is out\n",
    ] {
        assert!(ran.out.contains(expected), "{expected:?} is not in\n{}", ran.out);
    }
    let json = api.run(&["describe", "route", "chat", "-o", "json"]).await.json();
    assert_eq!(
        (json["events"][0]["count"].as_u64(), json["object"]["kind"].as_str()),
        (Some(3), Some("ModelRoute"))
    );
    assert!(json["podsError"].as_str().unwrap().contains("not allowed"));
}

#[tokio::test]
async fn what_the_cluster_refuses_is_told_with_what_would_help() {
    let api = api().await;
    for (args, expected) in [
        (&["get", "route", "none"][..], "there is no modelroutes llm/none"),
        (&["get", "routes", "-A"], "verbs: [\"list\"]} in a ClusterRole"),
        (
            &["get", "routes", "-n", "other"],
            "does not have the kinds of tokenweir.dev",
        ),
        (&["routes"], "tokenweir-root-key"),
        (&["chat", "Hello"], "there is no Tenant in namespace llm"),
    ] {
        let ran = api.run(args).await;
        assert!(ran.err.contains(expected), "{args:?}: {}", ran.err);
        assert_eq!(ran.code, 1, "{args:?}");
    }
}

#[tokio::test]
async fn the_api_server_judges_files_without_changing_anything() {
    let kinds = json!({
        "kind": "APIResourceList", "apiVersion": "v1", "groupVersion": "tokenweir.dev/v1alpha1",
        "resources": [{"name": "tenants", "singularName": "tenant", "namespaced": true, "kind": "Tenant", "verbs": ["patch"]}],
    });
    let tenant = "/apis/tokenweir.dev/v1alpha1/namespaces/llm/tenants/acme";
    let text = "apiVersion: tokenweir.dev/v1alpha1\nkind: Tenant\nmetadata: {name: acme}\nspec:\n  auth: {apiKeys: [{name: ci}]}\n";
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("tenant.yaml");
    std::fs::write(&path, text).unwrap();
    let check = ["check", "--server", "-f", path.to_str().unwrap()];

    let taken = object("Tenant", "acme", &json!({}), &json!({}));
    let api = Api::start(&[
        ("/apis/tokenweir.dev/v1alpha1", 200, kinds.clone()),
        (tenant, 200, taken),
    ])
    .await;
    let ran = api.run(&check).await;
    assert_eq!(ran.code, 0, "{ran:?}");
    assert!(
        ran.out.contains("; the API server would take 1 object\n"),
        "{}",
        ran.out
    );

    let mut refused = refusal(422, "Invalid", "acme");
    refused["details"]["causes"] =
        json!([{"field": "spec.auth.apiKeys[0].name", "message": "no key may have this name"}]);
    let api = Api::start(&[
        ("/apis/tokenweir.dev/v1alpha1", 200, kinds.clone()),
        (tenant, 422, refused),
    ])
    .await;
    let ran = api.run(&check).await;
    assert_eq!(ran.code, 1, "{ran:?}");
    assert!(
        ran.out
            .contains("tenant.yaml:5:21: spec.auth.apiKeys[0].name: no key may have this name\n"),
        "{}",
        ran.out
    );

    let api = Api::start(&[
        ("/apis/tokenweir.dev/v1alpha1", 200, kinds),
        (tenant, 403, refusal(403, "Forbidden", "acme")),
    ])
    .await;
    let ran = api.run(&check).await;
    assert!(
        ran.code == 1 && ran.err.contains("verbs: [\"patch\", \"create\"]"),
        "{ran:?}"
    );

    let empty = Api::start(&[]).await;
    let ran = empty.run(&check).await;
    assert!(
        ran.out
            .contains("this cluster has no kind Tenant of tokenweir.dev/v1alpha1"),
        "{ran:?}"
    );
}

#[tokio::test]
async fn an_api_server_that_is_not_there_is_told() {
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    drop(listener);
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("config");
    let config = json!({
        "apiVersion": "v1", "kind": "Config", "current-context": "gone",
        "clusters": [{"name": "gone", "cluster": {"server": format!("http://{address}")}}],
        "contexts": [{"name": "gone", "context": {"cluster": "gone"}}],
    });
    std::fs::write(&path, config.to_string()).unwrap();
    let ran = super::support::run(&["get", "--kubeconfig", path.to_str().unwrap()]).await;
    assert_eq!(ran.code, 1);
    assert!(ran.err.contains("the API server cannot be reached"), "{}", ran.err);
}

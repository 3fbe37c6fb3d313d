//! What is told, and with which exit code, when a part does not answer.

use std::process::Stdio;

use serde_json::{Value, json};

use super::support::{Api, SILENT, command, list, refusal, run_with};

const OURS: &str = "/apis/tokenweir.dev/v1alpha1/namespaces/llm";

fn pod(name: &str, phase: &str) -> Value {
    json!({
        "apiVersion": "v1", "kind": "Pod",
        "metadata": {"name": name, "namespace": "llm", "labels": {"tokenweir.dev/gateway": "edge"}},
        "status": {"phase": phase},
    })
}

fn root_key() -> Value {
    // 32 bytes in Base64, as the field of a Secret once more in Base64.
    json!({
        "metadata": {"name": "tokenweir-root-key", "namespace": "tokenweir-system"},
        "data": {"rootKey": "QUFBQUFBQUFBQUFBQUFBQUFBQUFBQUFBQUFBQUFBQUFBQUFBQUFBQUFBQT0="},
    })
}

#[tokio::test]
async fn an_api_server_that_does_not_answer_is_not_waited_for_for_ever() {
    let routes = format!("{OURS}/modelroutes");
    let discovery = "/apis/tokenweir.dev/v1alpha1";
    let api = Api::start(&[
        (&routes, SILENT, Value::Null),
        (&format!("{routes}/chat"), SILENT, Value::Null),
        ("/api/v1/namespaces/llm/pods", SILENT, Value::Null),
        (discovery, SILENT, Value::Null),
    ])
    .await;
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("tenant.yaml");
    std::fs::write(
        &path,
        "apiVersion: tokenweir.dev/v1alpha1\nkind: Tenant\nmetadata: {name: acme}\nspec:\n  auth: {apiKeys: [{name: ci}]}\n",
    )
    .unwrap();
    for args in [
        &["get", "routes"][..],
        &["get", "route", "chat"],
        &["routes"],
        &["check", "--server", "-f", path.to_str().unwrap()],
    ] {
        let ran = api.run(&[args, &["--request-timeout", "200ms"]].concat()).await;
        assert_eq!(ran.code, 1, "{args:?}: {ran:?}");
        assert!(ran.err.contains("did not answer within 200ms"), "{args:?}: {ran:?}");
    }
}

#[tokio::test]
async fn what_can_be_read_is_shown_and_the_rest_is_told() {
    let route = json!({
        "apiVersion": "tokenweir.dev/v1alpha1", "kind": "ModelRoute",
        "metadata": {"name": "chat", "namespace": "llm"}, "spec": {"model": "assistant"},
    });
    let paths = ["modelproviders", "llmgateways", "scalingpolicies"].map(|plural| format!("{OURS}/{plural}"));
    let (routes, tenants) = (format!("{OURS}/modelroutes"), format!("{OURS}/tenants"));
    let (chat, none) = (format!("{routes}/chat"), format!("{routes}/none"));
    let mut answers = vec![
        (routes.as_str(), 200, list(std::slice::from_ref(&route))),
        (chat.as_str(), 200, route),
        (none.as_str(), 404, refusal(404, "NotFound", "none")),
        (tenants.as_str(), 403, refusal(403, "Forbidden", "")),
    ];
    answers.extend(paths.iter().map(|path| (path.as_str(), 200, list(&[]))));
    let api = Api::start(&answers).await;
    let ran = api.run(&["get"]).await;
    assert_eq!((ran.code, ran.err.lines().count()), (1, 1), "{ran:?}");
    assert!(ran.out.contains("modelroute/chat"), "{ran:?}");
    assert!(ran.err.contains("not allowed to list tenants"), "{ran:?}");
    let ran = api.run(&["get", "routes", "chat", "none", "-o", "json"]).await;
    assert_eq!(
        (ran.code, ran.json()["items"][0]["metadata"]["name"].as_str()),
        (1, Some("chat"))
    );
    assert!(ran.err.contains("there is no modelroutes llm/none"), "{ran:?}");
    // The same reason for all kinds is one line, and no empty list stands before it.
    let ran = api.run(&["get", "-n", "other", "-o", "json"]).await;
    assert_eq!(
        (ran.code, ran.out.as_str(), ran.err.lines().count()),
        (1, "", 1),
        "{ran:?}"
    );
}

#[tokio::test]
async fn pods_that_have_ended_are_not_asked_and_those_that_are_silent_fail_the_command() {
    let secret = "/api/v1/namespaces/tokenweir-system/secrets/tokenweir-root-key";
    let pods = [
        pod("edge-0", "Failed"),
        pod("edge-1", "Running"),
        pod("edge-2", "Succeeded"),
    ];
    let api = Api::start(&[
        ("/api/v1/namespaces/llm/pods", 200, list(&pods)),
        ("/api/v1/pods", 403, refusal(403, "Forbidden", "")),
        (secret, 200, root_key()),
    ])
    .await;
    // Without a namespace it asks for the pods of all of them, which it may not.
    assert!(api.run(&["version", "--gateways"]).await.err.contains("all namespaces"));
    let ran = api.run(&["version", "--gateways", "-n", "llm"]).await;
    assert_eq!((ran.code, ran.err.as_str()), (1, ""), "{ran:?}");
    let lines: Vec<&str> = ran.out.lines().collect();
    assert_eq!(lines.len(), 2, "{ran:?}");
    assert!(lines[1].starts_with("gateway llm/edge-1 unknown: "), "{ran:?}");
    for args in [&["routes"][..], &["top"], &["top", "--once"]] {
        let ran = api.run(args).await;
        assert_eq!((ran.code, ran.err.lines().count()), (1, 1), "{args:?}: {ran:?}");
        assert!(ran.err.contains("llm/edge-1"), "{args:?}: {ran:?}");
    }
}

#[tokio::test]
async fn an_api_server_that_is_busy_or_broken_says_nothing_about_a_file() {
    let kinds = json!({
        "kind": "APIResourceList", "apiVersion": "v1", "groupVersion": "tokenweir.dev/v1alpha1",
        "resources": [{"name": "tenants", "singularName": "tenant", "namespaced": true, "kind": "Tenant", "verbs": ["patch"]}],
    });
    let text = "apiVersion: tokenweir.dev/v1alpha1\nkind: Tenant\nmetadata: {name: acme}\nspec:\n  auth: {apiKeys: [{name: ci}]}\n";
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("tenant.yaml");
    std::fs::write(&path, text).unwrap();
    let tenant = format!("{OURS}/tenants/acme");
    for (status, about_the_file) in [(409, true), (413, true), (429, false), (500, false), (503, false)] {
        let api = Api::start(&[
            ("/apis/tokenweir.dev/v1alpha1", 200, kinds.clone()),
            (&tenant, status, refusal(status, "No", "acme")),
        ])
        .await;
        let path = path.to_str().unwrap();
        let ran = api
            .run(&["check", "--server", "-f", path, "--request-timeout", "3s"])
            .await;
        assert_eq!(ran.code, 1, "{status}: {ran:?}");
        let told = if about_the_file { &ran.out } else { &ran.err };
        // A server that is too busy is asked again as long as there is time.
        let busy = matches!(status, 429 | 503) && told.contains("too busy");
        assert!(busy || told.contains("No said the API server"), "{status}: {ran:?}");
        assert_eq!(ran.out.is_empty(), !about_the_file, "{status}: {ran:?}");
    }
}

#[tokio::test]
async fn an_answer_that_cannot_be_written_is_a_failure() {
    let full = std::fs::OpenOptions::new().write(true).open("/dev/full").unwrap();
    let mut command = command(&["version"]);
    command.stdin(Stdio::null()).stdout(full).stderr(Stdio::piped());
    let output = command.spawn().unwrap().wait_with_output().await.unwrap();
    let told = String::from_utf8(output.stderr).unwrap();
    assert_eq!(output.status.code(), Some(1), "{told}");
    assert!(told.contains("standard output: "), "{told}");
    let ran = run_with(super::support::command(&["version"]), "").await;
    assert_eq!((ran.code, ran.err.as_str()), (0, ""));
}

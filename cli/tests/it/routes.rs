//! Routes of a gateway that is asked on its admin port.

use axum::Json;
use axum::extract::Query;
use axum::response::{IntoResponse as _, Response};
use axum::routing::get;
use http::{HeaderMap, StatusCode};
use serde_json::json;
use std::collections::BTreeMap;

use super::support::run;

async fn status(Query(query): Query<BTreeMap<String, String>>, headers: HeaderMap) -> Response {
    if headers.get("authorization").is_some_and(|token| token != "Bearer open") {
        return StatusCode::UNAUTHORIZED.into_response();
    }
    assert_eq!(query.get("with").map(String::as_str), Some("routes"));
    Json(json!({
        "version": "0.1.0", "pod": "laptop", "phase": "serving", "inFlight": 1, "queueDepth": 0, "startedUnixMs": 0,
        "serving": {"generation": 4, "digest": "", "source": "files", "sinceUnixMs": 0},
        "providers": [{"name": "sim", "state": "unhealthy", "reason": "probes fail: refused", "sinceUnixMs": 0}],
        "routes": [{
            "name": "chat", "model": "assistant", "inFlight": 1, "queueDepth": 0,
            "backends": [{"provider": "sim", "weight": 1, "inFlight": 1}],
        }],
    }))
    .into_response()
}

async fn admin_port() -> String {
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    let router = axum::Router::new().route("/status", get(status));
    tokio::spawn(async move { axum::serve(listener, router).await });
    url
}

#[tokio::test]
async fn a_gateway_without_a_cluster_tells_its_routes() {
    let url = admin_port().await;
    let ran = run(&["routes", "--url", &url]).await;
    assert_eq!((ran.code, ran.err.as_str()), (0, ""));
    let row = ran
        .out
        .lines()
        .nth(1)
        .unwrap()
        .split_whitespace()
        .collect::<Vec<_>>()
        .join(" ");
    assert!(
        row.starts_with("laptop chat assistant 1 0 sim 1 (100%) Unhealthy "),
        "{row}"
    );
    assert!(row.ends_with(" 1 probes fail: refused"), "{row}");
    let json = run(&["routes", "--url", &url, "-o", "json"]).await.json();
    let target = &json["routes"][0]["targets"][0];
    assert_eq!(
        (target["health"].as_str(), target["share"].as_f64()),
        (Some("Unhealthy"), Some(100.0))
    );
}

#[tokio::test]
async fn a_token_comes_from_a_file_and_a_wrong_one_is_told() {
    let url = admin_port().await;
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("token");
    for (token, code) in [("open\n", 0), ("closed", 1)] {
        std::fs::write(&path, token).unwrap();
        let ran = run(&["routes", "--url", &url, "--token-file", path.to_str().unwrap()]).await;
        assert_eq!(ran.code, code, "{}", ran.err);
        assert_eq!(
            ran.err.contains("the admin port answered 401"),
            code == 1,
            "{}",
            ran.err
        );
    }
}

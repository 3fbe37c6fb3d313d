//! Providers and endpoints that fail in a row are left alone for a while.

use std::net::SocketAddr;
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

use serde_json::{Value, json};
use tokenweir_config::status::HealthState;

use super::harness::{Gateway, chat, provider, retries, sim, sim_with, streamed, until};
use super::script::Script;

fn outlier(errors: u32, millis: u64) -> Value {
    json!({"outlier": {"consecutiveErrors": errors, "ejectForMs": millis}})
}

fn dead() -> SocketAddr {
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    listener.local_addr().unwrap()
}

#[tokio::test]
async fn requests_go_to_the_fallback_at_once_while_a_provider_is_out_and_come_back_after_a_trial() {
    let (first, second) = (sim(), sim());
    let gateway = Gateway::with(&first.url(), |v| {
        v["providers"]["sim"]["health"] = outlier(3, 300);
        v["providers"]["second"] = provider(&second.url());
        v["routes"]["chat"]["fallbacks"] = json!([{"provider": "second"}]);
    });
    first.update(|b| {
        b.faults.insert("*".into(), "500".parse().unwrap());
    });
    for _ in 0..10 {
        assert_eq!(gateway.chat(&chat("any")).await.status, 200);
    }
    assert_eq!((first.requests().len(), second.requests().len()), (3, 10));
    let report = gateway
        .reports()
        .into_iter()
        .find(|report| report.name == "sim")
        .unwrap();
    assert_eq!(
        (report.state, report.reason.as_str()),
        (
            HealthState::Unhealthy,
            "3 requests in a row failed, the last by: a status from 500 to 599"
        )
    );
    let answer = gateway.chat(&streamed("any")).await;
    assert_eq!(answer.header("x-tokenweir-provider"), Some("second"));
    assert_eq!(answer.header("x-tokenweir-attempts"), None, "nothing was tried in vain");
    first.update(|b| {
        b.faults.clear();
    });
    let begun = Instant::now();
    loop {
        let answer = gateway.chat(&chat("any")).await;
        assert_eq!(answer.status, 200);
        if answer.header("x-tokenweir-provider") == Some("sim") {
            break;
        }
        assert!(begun.elapsed() < Duration::from_secs(20), "the provider comes back");
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
}

#[tokio::test]
async fn without_anything_else_a_provider_that_is_out_is_tried_once_all_the_same() {
    let only = sim_with(|b| {
        b.faults.insert("*".into(), "500".parse().unwrap());
    });
    let gateway = Gateway::with(&only.url(), |v| {
        v["providers"]["sim"]["health"] = outlier(3, 60_000);
        v["routes"]["chat"]["retry"] = retries(2);
    });
    assert_eq!(gateway.chat(&chat("any")).await.status, 500);
    assert_eq!(only.requests().len(), 3);
    assert_eq!(gateway.chat(&chat("any")).await.status, 500);
    assert_eq!(only.requests().len(), 4, "no retries");
    only.update(|b| b.faults.clear());
    assert_eq!(gateway.chat(&chat("any")).await.status, 200);
}

#[tokio::test]
async fn limits_and_mistakes_of_clients_take_nothing_out() {
    let only = sim_with(|b| {
        b.faults
            .insert("*".into(), "429,400,404,429,400,404,429,500,ok".parse().unwrap());
    });
    let gateway = Gateway::with(&only.url(), |v| v["providers"]["sim"]["health"] = outlier(2, 60_000));
    for status in [429, 400, 404, 429, 400, 404, 429, 500, 200] {
        assert_eq!(gateway.chat(&chat("any")).await.status.as_u16(), status);
    }
    assert_eq!(gateway.reports()[0].state, HealthState::Healthy);
}

#[tokio::test]
async fn a_pod_of_a_service_that_fails_is_out_and_the_others_serve() {
    let (one, two) = (sim(), sim());
    let gateway = Gateway::with("http://127.0.0.1:1/v1", |v| {
        v["providers"]["sim"]["upstream"] =
            json!({"service": {"namespace": "llm", "name": "vllm", "port": 8000, "path": "/v1"}});
        v["providers"]["sim"]["health"] = outlier(2, 60_000);
        v["routes"]["chat"]["retry"] = retries(1);
    });
    gateway.set_endpoints("vllm", &[one.addr(), dead(), two.addr()]);
    for _ in 0..40 {
        assert_eq!(gateway.chat(&chat("any")).await.status, 200);
    }
    assert_eq!(gateway.upstream_errors()["sim connect"], 2);
    let report = &gateway.reports()[0];
    assert_eq!(report.state, HealthState::Degraded);
    assert!(
        report.reason.starts_with("1 of 3 endpoints are out; 127.0.0.1:"),
        "{}",
        report.reason
    );
}

#[tokio::test]
async fn probes_take_a_provider_out_and_back_in_without_any_request() {
    let probed = Script::start().await;
    let other = sim();
    let gateway = Gateway::with(&probed.url(), |v| {
        v["providers"]["sim"]["health"] =
            json!({"activeProbe": {"path": "/models", "intervalMs": 5, "timeoutMs": 5_000}});
        v["providers"]["other"] = provider(&other.url());
        v["routes"]["chat"]["fallbacks"] = json!([{"provider": "other"}]);
    });
    gateway.probe();
    let state = || {
        gateway
            .reports()
            .into_iter()
            .find(|report| report.name == "sim")
            .unwrap()
    };
    for _ in 0..3 {
        assert_eq!(state().state, HealthState::Healthy);
        probed.send("HTTP/1.1 503 Service Unavailable\r\ncontent-length: 0\r\n\r\n");
        probed.close();
        let answered = probed.requests.load(Ordering::SeqCst);
        until("the next probe", || probed.requests.load(Ordering::SeqCst) > answered).await;
    }
    until("it is out", || state().state == HealthState::Unhealthy).await;
    assert_eq!(state().reason, "probes fail: GET /models answers 503");
    let answer = gateway.chat(&chat("any")).await;
    assert_eq!(answer.header("x-tokenweir-provider"), Some("other"));
    assert_eq!(answer.header("x-tokenweir-attempts"), None);
    probed.send("HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n");
    probed.close();
    until("it is back", || state().state == HealthState::Healthy).await;
}

#[tokio::test]
async fn a_service_without_a_good_pod_is_out_as_a_whole_and_its_fallback_is_asked_at_once() {
    let other = sim();
    let gateway = Gateway::with("http://127.0.0.1:1/v1", |v| {
        v["providers"]["sim"]["upstream"] =
            json!({"service": {"namespace": "llm", "name": "vllm", "port": 8000, "path": "/v1"}});
        v["providers"]["sim"]["health"] = outlier(2, 60_000);
        v["providers"]["other"] = provider(&other.url());
        v["routes"]["chat"]["fallbacks"] = json!([{"provider": "other"}]);
    });
    gateway.set_endpoints("vllm", &[dead(), dead()]);
    for _ in 0..20 {
        assert_eq!(gateway.chat(&chat("any")).await.status, 200);
    }
    let tries = gateway.upstream_errors()["sim connect"];
    assert!((4..=6).contains(&tries), "{tries}");
    let last = gateway.chat(&chat("any")).await;
    assert_eq!(last.header("x-tokenweir-attempts"), None);
    until("all requests have ended", || gateway.running() == 0).await;
}

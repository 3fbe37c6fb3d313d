//! Providers and endpoints that fail in a row are left alone for a while.

use std::net::SocketAddr;
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

use serde_json::{Value, json};
use tokenweir_config::status::HealthState;
use tokenweir_sim::SimHandle;

use super::harness::{Answer, Gateway, chat, provider, retries, route, sim, sim_with, streamed, until};
use super::passed::provider_of;
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

/// For how long these providers are out.
const EJECTED_MILLIS: u128 = 300;

/// A gateway in front of a provider with a fault and another one without, to which streams fall back.
fn faulty_streams(fault: &str) -> (SimHandle, SimHandle, Gateway) {
    let (first, second) = (sim(), sim());
    first.update(|b| {
        b.faults.insert("*".into(), fault.parse().unwrap());
    });
    let gateway = Gateway::with(&first.url(), |v| {
        v["providers"]["sim"]["health"] = outlier(3, u64::try_from(EJECTED_MILLIS).unwrap());
        v["providers"]["sim"]["timeouts"]["idleMs"] = json!(200);
        v["providers"]["second"] = provider(&second.url());
        v["routes"]["chat"]["fallbacks"] = json!([{"provider": "second"}]);
    });
    (first, second, gateway)
}

fn is_whole(answer: &Answer) -> bool {
    answer.text().ends_with("data: [DONE]\n\n")
}

#[tokio::test]
async fn a_provider_whose_streams_all_break_off_or_fall_silent_is_out_until_one_comes_whole() {
    for fault in ["reset;after=3", "close;after=3", "hang;after=3"] {
        let (first, _second, gateway) = faulty_streams(fault);
        for _ in 0..3 {
            let broken = gateway.chat(&streamed("any")).await;
            assert_eq!(broken.header("x-tokenweir-provider"), Some("sim"), "{fault}");
            assert!(!is_whole(&broken), "{fault}");
        }
        let next = gateway.chat(&streamed("any")).await;
        assert_eq!(next.header("x-tokenweir-provider"), Some("second"), "{fault}");
        assert!(is_whole(&next), "{fault}");
        let report = gateway
            .reports()
            .into_iter()
            .find(|report| report.name == "sim")
            .unwrap();
        let last = if fault.starts_with("hang") {
            "silence within an answer"
        } else {
            "an answer broke off"
        };
        assert!(
            report.reason.starts_with("3 requests in a row failed") && report.reason.contains(last),
            "{}",
            report.reason
        );
        // One stream at a time tries it, and takes it out again as long as they break off.
        until("it may be tried", || {
            gateway
                .reports()
                .iter()
                .all(|report| report.state != HealthState::Unhealthy)
        })
        .await;
        let (before, begun) = (first.requests().len(), Instant::now());
        for _ in 0..5 {
            gateway.chat(&streamed("any")).await;
        }
        let tries = first.requests().len() - before;
        let most = 1 + usize::try_from(begun.elapsed().as_millis() / EJECTED_MILLIS).unwrap();
        assert!((1..=most).contains(&tries), "{fault}: {tries}");
        first.update(|b| b.faults.clear());
        until("it may be tried", || {
            gateway
                .reports()
                .iter()
                .all(|report| report.state != HealthState::Unhealthy)
        })
        .await;
        let begun = Instant::now();
        while gateway.chat(&streamed("any")).await.header("x-tokenweir-provider") != Some("sim") {
            assert!(begun.elapsed() < Duration::from_secs(20), "the provider comes back");
        }
        assert!(is_whole(&gateway.chat(&streamed("any")).await), "{fault}");
        assert!(
            gateway
                .reports()
                .iter()
                .all(|report| report.state == HealthState::Healthy)
        );
    }
}

#[tokio::test]
async fn answers_in_one_piece_do_not_hide_that_streams_break_off_and_whole_streams_do() {
    let (first, _second, gateway) = faulty_streams("reset;after=3,ok,reset;after=3,ok,reset;after=3");
    for n in 0..5 {
        // Every other one is an answer in one piece, which comes whole.
        let body = if n % 2 == 0 { streamed("any") } else { chat("any") };
        let answer = gateway.chat(&body).await;
        assert_eq!(answer.header("x-tokenweir-provider"), Some("sim"), "{n}");
    }
    let out = gateway.chat(&chat("any")).await;
    assert_eq!(out.header("x-tokenweir-provider"), Some("second"));
    assert_eq!(first.requests().len(), 5);

    let twice = "reset;after=3,reset;after=3,ok";
    let (_first, _second, gateway) = faulty_streams(&format!("{twice},{twice},{twice}"));
    for _ in 0..9 {
        let answer = gateway.chat(&streamed("any")).await;
        assert_eq!(answer.header("x-tokenweir-provider"), Some("sim"));
    }
}

#[tokio::test]
async fn neither_a_client_that_leaves_nor_an_error_that_the_provider_tells_speaks_against_it() {
    let (first, _second, gateway) = faulty_streams("error;after=3");
    for _ in 0..6 {
        let told = gateway.chat(&streamed("any")).await;
        assert_eq!(told.header("x-tokenweir-provider"), Some("sim"));
        assert!(told.text().contains(r#""error""#));
    }
    first.update(|b| {
        b.faults.clear();
        b.latency = "fixed;first=0;token=20".parse().unwrap();
    });
    for n in 0..6 {
        let left = gateway
            .begin(gateway.request("/v1/chat/completions", &streamed("any")))
            .await;
        drop(left);
        until("it was cancelled", || gateway.ended(499) == n + 1).await;
    }
    assert_eq!(
        gateway
            .reports()
            .iter()
            .filter(|report| report.state == HealthState::Healthy)
            .count(),
        2
    );
}

#[tokio::test]
async fn a_pod_whose_streams_break_off_is_out_and_so_is_what_is_translated() {
    let (bad, good) = (sim(), sim());
    bad.update(|b| {
        b.faults.insert("*".into(), "reset;after=3".parse().unwrap());
    });
    let gateway = Gateway::with("http://127.0.0.1:1/v1", |v| {
        v["providers"]["sim"]["upstream"] =
            json!({"service": {"namespace": "llm", "name": "vllm", "port": 8000, "path": "/v1"}});
        v["providers"]["sim"]["health"] = outlier(2, 60_000);
        v["providers"]["claude"] = provider_of("Anthropic", "x-api-key", &bad.url());
        v["providers"]["claude"]["health"] = outlier(2, 60_000);
        v["providers"]["good"] = provider(&good.url());
        v["routes"]["claude"] = route("claude", "claude");
        v["routes"]["claude"]["fallbacks"] = json!([{"provider": "good"}]);
    });
    gateway.set_endpoints("vllm", &[bad.addr(), good.addr()]);
    let mut whole = 0;
    for _ in 0..40 {
        whole += usize::from(is_whole(&gateway.chat(&streamed("any")).await));
    }
    assert_eq!(whole, 38, "the pod is out after two");
    let report = gateway
        .reports()
        .into_iter()
        .find(|report| report.name == "sim")
        .unwrap();
    assert_eq!(report.state, HealthState::Degraded);

    for provider in ["claude", "claude", "good", "good"] {
        let answer = gateway.chat(&streamed("claude")).await;
        assert_eq!(answer.header("x-tokenweir-provider"), Some(provider));
        assert_eq!(is_whole(&answer), provider == "good", "{}", answer.text());
    }
}

//! A second try beside a slow first one, time that clients give, and conversations that are too long.

use std::time::{Duration, Instant};

use serde_json::json;
use tokenweir_gateway::upstream::HedgeOutcome;

use super::harness::{Gateway, chat, provider, sim, sim_with, streamed, until};
use super::script::Script;

#[tokio::test]
async fn a_slow_first_try_gets_company_and_the_one_that_answers_first_is_the_answer() {
    for stream in [false, true] {
        let (slow, fast) = (
            sim_with(|b| {
                b.faults.insert("*".into(), "hang".parse().unwrap());
            }),
            sim(),
        );
        let gateway = Gateway::with(&slow.url(), |v| {
            v["providers"]["fast"] = provider(&fast.url());
            v["routes"]["chat"]["backends"] =
                json!([{"provider": "sim", "weight": 1_000_000}, {"provider": "fast", "weight": 1}]);
            v["routes"]["chat"]["retry"]["hedge"] = json!({"afterMs": 50});
        });
        let request = if stream { streamed("any") } else { chat("any") };
        let answer = gateway.chat(&request).await;
        assert_eq!(answer.status, 200, "{}", answer.text());
        assert_eq!(answer.header("x-tokenweir-provider"), Some("fast"));
        assert_eq!(answer.header("x-tokenweir-attempts"), Some("2"));
        let hedges = gateway.hedges("chat");
        assert_eq!(
            HedgeOutcome::ALL.map(|outcome| hedges.of(outcome)),
            [1, 0, 0],
            "won, lost, failed"
        );
        assert!(hedges.cancelled_tokens() > 0);
        until("nothing runs on", || gateway.running() == 0 && gateway.in_flight() == 0).await;
    }
}

#[tokio::test]
async fn the_loser_is_cancelled_at_the_provider() {
    let (slow, fast) = (Script::start().await, sim());
    let gateway = Gateway::with(&slow.url(), |v| {
        v["providers"]["fast"] = provider(&fast.url());
        v["routes"]["chat"]["backends"] =
            json!([{"provider": "sim", "weight": 1_000_000}, {"provider": "fast", "weight": 1}]);
        v["routes"]["chat"]["retry"]["hedge"] = json!({"afterMs": 20});
    });
    assert_eq!(gateway.chat(&chat("any")).await.status, 200);
    until("the gateway hung up", || {
        slow.closed.load(std::sync::atomic::Ordering::SeqCst) == 1
    })
    .await;
}

#[tokio::test]
async fn second_tries_stay_within_the_budget_of_retries() {
    let slow = sim_with(|b| b.latency = "fixed;first=60;token=0".parse().unwrap());
    let gateway = Gateway::with(&slow.url(), |v| {
        v["routes"]["chat"]["retry"]["hedge"] = json!({"afterMs": 5});
    });
    let begun = Instant::now();
    for _ in 0..30 {
        assert_eq!(gateway.chat(&chat("any")).await.status, 200);
    }
    let most = 30 + 6 + 10 + usize::try_from(begun.elapsed().as_secs()).unwrap();
    let tries = slow.requests().len();
    assert!((40..=most).contains(&tries), "{tries} of {most}");
}

#[tokio::test]
async fn a_client_that_says_how_long_it_waits_is_told_in_time_and_servers_in_the_cluster_know() {
    let slow = sim_with(|b| {
        b.faults.insert("slow".into(), "hang".parse().unwrap());
    });
    let gateway = Gateway::with("http://127.0.0.1:1/v1", |v| {
        v["providers"]["sim"]["upstream"] =
            json!({"service": {"namespace": "llm", "name": "vllm", "port": 8000, "path": "/v1"}});
    });
    gateway.set_endpoints("vllm", &[slow.addr()]);
    let begun = Instant::now();
    let mut request = gateway.request("/v1/chat/completions", &chat("slow"));
    request
        .headers_mut()
        .insert("x-request-timeout", "0.2".parse().unwrap());
    assert_eq!(gateway.send(request).await.status, 504);
    assert!(
        begun.elapsed() < Duration::from_secs(5),
        "not the provider's fifteen seconds"
    );
    let mut request = gateway.request("/v1/chat/completions", &chat("any"));
    request
        .headers_mut()
        .insert("x-stainless-timeout", "9".parse().unwrap());
    assert_eq!(gateway.send(request).await.status, 200);
    let told: f64 = slow.requests()[1].headers["x-request-timeout"].parse().unwrap();
    assert!((5.0..=9.0).contains(&told), "{told}");
}

#[tokio::test]
async fn a_conversation_that_is_too_long_goes_to_the_next_target() {
    let (short, long) = (Script::start().await, sim());
    let mut gateway = Gateway::with(&short.url(), |v| {
        v["providers"]["long"] = provider(&long.url());
        v["providers"]["sim"]["health"] = json!({"outlier": {"consecutiveErrors": 1, "ejectForMs": 60_000}});
        v["routes"]["chat"]["fallbacks"] = json!([{"provider": "long"}]);
    });
    let refuse = || {
        let body = r#"{"error":{"message":"This model's maximum context length is 8192 tokens","type":"invalid_request_error","param":"messages","code":"context_length_exceeded"}}"#;
        short.send(format!(
            "HTTP/1.1 400 Bad Request\r\ncontent-type: application/json\r\ncontent-length: {}\r\n\r\n{body}",
            body.len()
        ));
        short.close();
    };
    refuse();
    let answer = gateway.chat(&chat("any")).await;
    assert_eq!(
        (answer.status.as_u16(), answer.header("x-tokenweir-provider")),
        (200, Some("long"))
    );
    gateway.reconfigure(|v| v["routes"]["chat"]["fallbacks"] = json!([]));
    refuse();
    let answer = gateway.chat(&chat("any")).await;
    assert_eq!(answer.status, 400);
    assert_eq!(answer.json()["error"]["code"], "context_length_exceeded");
}

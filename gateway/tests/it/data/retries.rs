//! Retries before the first byte, fallbacks in their order, and Services with several endpoints.

use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

use serde_json::json;
use tokenweir_sim::SimHandle;

use super::harness::{Gateway, chat, provider, retries, sim, sim_with, streamed, until};
use super::script::Script;

fn failing(fault: &str) -> SimHandle {
    sim_with(|b| {
        b.faults.insert("*".into(), fault.parse().unwrap());
    })
}

#[tokio::test]
async fn a_failure_before_the_first_byte_is_tried_again_as_often_as_the_route_says() {
    for (faults, attempts, status, tries) in [
        ("500,429,ok", 2, 200, 3),
        ("reset,ok", 2, 200, 2),
        ("500,500,503,ok", 2, 503, 3),
        ("500,ok", 0, 500, 1),
        ("400,ok", 2, 400, 1),
    ] {
        for stream in [false, true] {
            let sim = failing(faults);
            let gateway = Gateway::with(&sim.url(), |v| {
                v["routes"]["chat"]["retry"] = retries(attempts);
                // As long as a 429 asks for.
                v["routes"]["chat"]["retry"]["maxMs"] = json!(5_000);
            });
            let request = if stream { streamed("any") } else { chat("any") };
            let answer = gateway.chat(&request).await;
            assert_eq!(answer.status.as_u16(), status, "{faults}: {}", answer.text());
            assert_eq!(sim.requests().len(), tries, "{faults}");
            let header = (tries > 1).then(|| tries.to_string());
            assert_eq!(answer.header("x-tokenweir-attempts"), header.as_deref());
        }
    }
}

#[tokio::test]
async fn a_first_token_that_does_not_come_is_tried_again() {
    let sim = failing("hang,hang;after=0,ok");
    let gateway = Gateway::with(&sim.url(), |v| {
        v["routes"]["chat"]["retry"] = retries(2);
        v["providers"]["sim"]["timeouts"]["firstTokenMs"] = json!(150);
    });
    let answer = gateway.chat(&streamed("any")).await;
    assert!(answer.text().ends_with("data: [DONE]\n\n"), "{}", answer.text());
    assert_eq!(answer.header("x-tokenweir-attempts"), Some("3"));
    assert_eq!(gateway.upstream_errors()["sim first_token_timeout"], 2);
}

#[tokio::test]
async fn after_the_first_byte_nothing_is_tried_again() {
    let sim = failing("reset;after=1,ok");
    let gateway = Gateway::with(&sim.url(), |v| v["routes"]["chat"]["retry"] = retries(3));
    let answer = gateway.chat(&streamed("any")).await;
    assert!(answer.text().contains("broke off"));
    assert_eq!(sim.requests().len(), 1);
}

#[tokio::test]
async fn an_answer_in_one_piece_that_breaks_in_its_middle_is_tried_again() {
    let sim = failing("reset;after=2,close;after=2,ok");
    let gateway = Gateway::with(&sim.url(), |v| v["routes"]["chat"]["retry"] = retries(2));
    let answer = gateway.chat(&chat("any")).await;
    assert_eq!(answer.status, 200, "{}", answer.text());
    assert_eq!(answer.json()["object"], "chat.completion");
}

#[tokio::test]
async fn the_provider_is_left_alone_as_long_as_it_asks() {
    let sim = failing("429;retry-after=1,ok");
    let mut gateway = Gateway::with(&sim.url(), |v| {
        v["routes"]["chat"]["retry"] = json!({"attempts": 1, "baseMs": 1, "maxMs": 2000, "on": ["429"]});
    });
    let begun = Instant::now();
    assert_eq!(gateway.chat(&chat("any")).await.status, 200);
    assert!(begun.elapsed() >= Duration::from_secs(1));
    // More than the route's longest wait: not tried again, and the client is told.
    gateway.reconfigure(|v| v["routes"]["chat"]["retry"]["maxMs"] = json!(500));
    sim.update(|b| {
        b.faults.insert("*".into(), "429;retry-after=30".parse().unwrap());
    });
    sim.clear_requests();
    let answer = gateway.chat(&chat("any")).await;
    assert_eq!(
        (answer.status.as_u16(), answer.header("retry-after")),
        (429, Some("30"))
    );
    assert_eq!(sim.requests().len(), 1);
}

#[tokio::test]
async fn retries_of_a_route_stay_within_their_budget_and_fallbacks_go_on() {
    let (bad, good) = (failing("500"), sim());
    let gateway = Gateway::with(&bad.url(), |v| {
        v["providers"]["good"] = provider(&good.url());
        v["routes"]["chat"]["retry"] = retries(2);
        v["routes"]["chat"]["fallbacks"] = json!([{"provider": "good"}]);
    });
    let begun = Instant::now();
    for _ in 0..100 {
        assert_eq!(gateway.chat(&chat("any")).await.status, 200);
    }
    // A fifth of the first tries, what a quiet route has, and what comes back of that with time.
    let most = 100 + 20 + 10 + usize::try_from(begun.elapsed().as_secs()).unwrap();
    let tries = bad.requests().len();
    assert!((120..=most).contains(&tries), "{tries} of {most}");
    assert_eq!(good.requests().len(), 100);
}

#[tokio::test]
async fn fallbacks_are_tried_in_their_order_and_the_last_error_is_told() {
    let (first, second, third) = (failing("500"), failing("503"), sim());
    let mut gateway = Gateway::with(&first.url(), |v| {
        v["providers"]["second"] = provider(&second.url());
        v["providers"]["third"] = provider(&third.url());
        v["routes"]["chat"]["retry"] = retries(1);
        v["routes"]["chat"]["fallbacks"] =
            json!([{"provider": "second", "model": "their-second"}, {"provider": "third", "model": "their-third"}]);
    });
    let answer = gateway.chat(&streamed("any")).await;
    assert!(answer.text().ends_with("data: [DONE]\n\n"), "{}", answer.text());
    assert_eq!(answer.header("x-tokenweir-provider"), Some("third"));
    assert_eq!(answer.header("x-tokenweir-attempts"), Some("4"));
    let counts = [first.requests().len(), second.requests().len(), third.requests().len()];
    assert_eq!(counts, [2, 1, 1]);
    assert_eq!(second.requests()[0].body["model"], "their-second");
    assert_eq!(third.requests()[0].body["model"], "their-third");
    gateway.reconfigure(|v| v["routes"]["chat"]["fallbacks"] = json!([{"provider": "second"}]));
    assert_eq!(gateway.chat(&chat("any")).await.status, 503);
}

#[tokio::test]
async fn another_backend_is_tried_before_the_one_that_failed() {
    let (bad, good) = (failing("500"), sim());
    let gateway = Gateway::with(&bad.url(), |v| {
        v["providers"]["good"] = provider(&good.url());
        v["routes"]["chat"]["backends"] =
            json!([{"provider": "sim", "weight": 1000}, {"provider": "good", "weight": 1}]);
        v["routes"]["chat"]["retry"] = json!({"attempts": 1, "baseMs": 60_000, "maxMs": 60_000, "on": ["5xx"]});
    });
    for _ in 0..5 {
        assert_eq!(gateway.chat(&chat("any")).await.status, 200);
    }
    assert_eq!(good.requests().len(), 5);
}

#[tokio::test]
async fn a_connection_that_the_provider_closed_meanwhile_is_no_failure() {
    let provider = Script::start().await;
    let gateway = Gateway::start(&provider.url());
    let answer = || "HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: 2\r\n\r\n{}";
    for _ in 0..3 {
        provider.send(answer());
        assert_eq!(gateway.chat(&chat("any")).await.status, 200);
        // Closed while it is idle; whether the gateway has seen that before its next request is up to chance.
        provider.close();
    }
    assert_eq!(provider.requests.load(Ordering::SeqCst), 3);
    assert_eq!(gateway.upstream_errors().len(), 0);
}

#[tokio::test]
async fn a_service_spreads_requests_and_survives_an_endpoint_that_is_gone() {
    let (one, two) = (sim(), sim());
    let gateway = Gateway::with("http://127.0.0.1:1/v1", |v| {
        v["providers"]["sim"]["upstream"] =
            json!({"service": {"namespace": "llm", "name": "vllm", "port": 8000, "path": "/v1"}});
        v["providers"]["sim"]["health"] = json!({"outlier": {"consecutiveErrors": 3, "ejectForMs": 60_000}});
        // With this base a wait would be seen: another endpoint is tried at once.
        v["routes"]["chat"]["retry"] = json!({"attempts": 1, "baseMs": 60_000, "maxMs": 60_000, "on": ["connect"]});
    });
    gateway.set_endpoints("vllm", &[one.addr(), two.addr()]);
    for sim in [&one, &two] {
        sim.update(|b| b.latency = "fixed;first=200".parse().unwrap());
    }
    let body = chat("any");
    let all = futures::future::join_all((0..8).map(|_| gateway.chat(&body))).await;
    assert!(all.iter().all(|answer| answer.status == 200));
    assert_eq!(
        [one.requests().len(), two.requests().len()],
        [4, 4],
        "the least busy endpoint is taken"
    );
    assert_eq!(one.requests()[0].headers["host"], "vllm.llm:8000");
    for sim in [&one, &two] {
        sim.update(|b| b.latency = "fixed".parse().unwrap());
    }
    gateway.set_endpoints("vllm", &[one.addr(), "127.0.0.1:1".parse().unwrap()]);
    let all = futures::future::join_all((0..20).map(|_| gateway.chat(&body))).await;
    assert!(all.iter().all(|answer| answer.status == 200));
    until("the dead endpoint was tried", || {
        gateway.upstream_errors().contains_key("sim connect")
    })
    .await;
}

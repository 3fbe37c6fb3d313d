//! Limits, the queue and its answers, over real sockets and two workers.

use std::time::Duration;

use futures::future::join_all;
use serde_json::{Value, json};
use tokenweir_sim::SimHandle;

use super::harness::{Gateway, OTHER_KEY, chat, provider, sim_with, until};

/// A simulator that takes its time, so that requests meet.
fn slow(first_ms: u64) -> SimHandle {
    sim_with(|b| b.latency = format!("fixed;first={first_ms}").parse().unwrap())
}

fn queue(v: &mut Value, max_depth: u32, max_wait_ms: u64) {
    v["admission"]["queue"]["maxDepth"] = json!(max_depth);
    v["admission"]["queue"]["maxWaitMs"] = json!(max_wait_ms);
}

async fn most_at_once(sim: &SimHandle, gateway: &Gateway, requests: usize) -> u64 {
    let body = chat("any");
    let all = join_all((0..requests).map(|_| gateway.chat(&body)));
    let watch = async {
        let mut most = 0;
        loop {
            most = most.max(sim.stats().active);
            tokio::time::sleep(Duration::from_millis(2)).await;
            if sim.stats().completed >= requests as u64 {
                return most;
            }
        }
    };
    let (answers, most) = futures::join!(all, watch);
    assert!(answers.iter().all(|answer| answer.status == 200));
    most
}

#[tokio::test]
async fn no_more_run_than_gateway_tenant_and_provider_allow_and_all_get_their_turn() {
    for (path, limit) in [
        ("/admission/maxInFlight", 3),
        ("/tenants/acme/limits", 2),
        ("/admission/perTenantMaxInFlight", 2),
        ("/providers/sim/limits", 1),
    ] {
        let sim = slow(20);
        let gateway = Gateway::with(&sim.url(), |v| match path {
            "/admission/maxInFlight" => v["admission"]["maxInFlight"] = json!(limit),
            "/admission/perTenantMaxInFlight" => v["admission"]["perTenantMaxInFlight"] = json!(limit),
            "/tenants/acme/limits" => v["tenants"]["acme"]["limits"] = json!({"maxInFlight": limit}),
            _ => v["providers"]["sim"]["limits"] = json!({"maxInFlight": limit}),
        });
        assert_eq!(most_at_once(&sim, &gateway, 12).await, limit, "{path}");
        until("all are counted", || gateway.ended(200) == 12).await;
        let counted = gateway.counted("chat").unwrap();
        assert_eq!((counted.queue_depth, counted.in_flight), (0, 0));
        assert_eq!(counted.queue_wait.count(), 12);
        assert!(counted.queue_wait.sum() > 0.02, "somebody waited");
    }
}

#[tokio::test]
async fn a_full_queue_answers_429_at_once_with_the_time_to_come_back() {
    let sim = slow(10_000);
    let gateway = Gateway::with(&sim.url(), |v| {
        v["admission"]["maxInFlight"] = json!(1);
        queue(v, 1, 9_000);
    });
    let body = chat("any");
    let first = gateway.begin(gateway.request("/v1/chat/completions", &body));
    let second = gateway.begin(gateway.request("/v1/chat/completions", &body));
    let third = async {
        until("one runs and one waits", || {
            gateway
                .counted("chat")
                .is_some_and(|c| (c.in_flight, c.queue_depth) == (1, 1))
        })
        .await;
        gateway.chat(&body).await
    };
    let answer = tokio::select! {
        _ = futures::future::join(first, second) => panic!("nobody is done yet"),
        answer = third => answer,
    };
    assert_eq!(answer.status, 429);
    assert_eq!(answer.header("retry-after"), Some("9"));
    assert_eq!(answer.json()["error"]["code"], "rate_limit_exceeded");
    // The clients of the first two have left by now: nothing runs and nothing waits.
    until("places are free", || {
        gateway
            .counted("chat")
            .is_some_and(|c| (c.in_flight, c.queue_depth) == (0, 0))
    })
    .await;
}

#[tokio::test]
async fn a_wait_that_is_over_answers_429() {
    let sim = slow(10_000);
    let gateway = Gateway::with(&sim.url(), |v| {
        v["admission"]["maxInFlight"] = json!(1);
        queue(v, 10, 100);
    });
    let body = chat("any");
    let first = gateway.begin(gateway.request("/v1/chat/completions", &body));
    let second = async {
        until("one runs", || gateway.counted("chat").is_some_and(|c| c.in_flight == 1)).await;
        gateway.chat(&body).await
    };
    let answer = tokio::select! {
        _ = first => panic!("it is not done yet"),
        answer = second => answer,
    };
    assert_eq!(answer.status, 429);
    assert!(answer.header("retry-after").is_some());
    assert!(answer.error().contains("waited too long"), "{}", answer.text());
}

#[tokio::test]
async fn a_request_waits_only_while_all_its_backends_are_full() {
    let (one, two) = (slow(200), slow(200));
    let gateway = Gateway::with(&one.url(), |v| {
        v["providers"]["two"] = provider(&two.url());
        v["providers"]["sim"]["limits"] = json!({"maxInFlight": 1});
        v["providers"]["two"]["limits"] = json!({"maxInFlight": 1});
        v["routes"]["chat"]["backends"] =
            json!([{"provider": "sim", "weight": 1000}, {"provider": "two", "weight": 1}]);
    });
    let body = chat("any");
    let answers = join_all((0..4).map(|_| gateway.chat(&body))).await;
    assert!(answers.iter().all(|answer| answer.status == 200));
    // The heavier one cannot take all, as each takes one at a time.
    assert_eq!([one.requests().len(), two.requests().len()], [2, 2]);
    until("all are counted", || gateway.ended(200) == 4).await;
    let waits = gateway.counted("chat").unwrap().queue_wait.sum();
    assert!(
        (0.2..1.0).contains(&waits),
        "two of four waited for 0.2 s each: {waits}"
    );
}

#[tokio::test]
async fn the_tenant_of_higher_priority_goes_first() {
    let sim = slow(30);
    let gateway = Gateway::with(&sim.url(), |v| {
        v["admission"]["maxInFlight"] = json!(1);
        v["tenants"]["globex"]["limits"] = json!({"priority": 10});
    });
    let low = chat("allowed-low");
    let urgent = || {
        let mut request = gateway.request("/v1/chat/completions", &chat("allowed-urgent"));
        request
            .headers_mut()
            .insert("authorization", format!("Bearer {OTHER_KEY}").parse().unwrap());
        gateway.send(request)
    };
    let many = join_all((0..5).map(|_| gateway.chat(&low)));
    let late = async {
        until("others wait", || {
            gateway.counted("chat").is_some_and(|c| c.queue_depth == 4)
        })
        .await;
        urgent().await
    };
    futures::join!(many, late);
    let order: Vec<bool> = sim
        .requests()
        .iter()
        .map(|r| r.body["model"] == "allowed-urgent")
        .collect();
    let at = order.iter().position(|urgent| *urgent).unwrap();
    // One was running when it came; at most one more was let in between two looks of this test.
    assert!(at <= 2, "{order:?}");
}

use std::sync::Arc;
use std::time::{Duration, Instant};

use serde_json::json;
use tokenweir_sim::{Latency, OutputTokens};

use crate::client::{CHAT, chat, eventually, post, start};

#[tokio::test]
async fn a_fixed_latency_is_never_undercut() {
    let sim = start(|behaviour| behaviour.latency = "fixed;first=40;token=10".parse().unwrap());
    for stream in [false, true] {
        let began = Instant::now();
        let body = chat(json!({"max_tokens": 5, "ignore_eos": true, "stream": stream}));
        assert_eq!(post(&sim, CHAT, &[], body).await.status, 200);
        assert!(
            began.elapsed() >= Duration::from_millis(80),
            "{stream}: {:?}",
            began.elapsed()
        );
    }
}

#[tokio::test]
async fn a_full_batch_makes_requests_wait_and_a_full_line_refuses_them() {
    let sim = start(|behaviour| {
        behaviour.latency = "loaded;max-batch=1;max-waiting=1;step=20;step-per-sequence=0"
            .parse()
            .unwrap();
        behaviour.output_tokens = OutputTokens { min: 1000, max: 1000 };
    });
    let sim = Arc::new(sim);
    let ask = |tokens: u64| {
        let sim = Arc::clone(&sim);
        tokio::spawn(async move {
            let body = chat(json!({"max_tokens": tokens, "stream": true}));
            let status = post(&sim, CHAT, &[], body).await.status.as_u16();
            (status, Instant::now())
        })
    };
    let first = ask(10);
    eventually("the first one runs", async || sim.stats().running == 1).await;
    let second = ask(1);
    eventually("the second one waits", async || sim.stats().waiting == 1).await;
    let refused = post(&sim, CHAT, &[], chat(json!({}))).await;
    assert_eq!(refused.status, 503);
    let (first, second) = (first.await.unwrap(), second.await.unwrap());
    assert_eq!((first.0, second.0), (200, 200));
    assert!(first.1 < second.1, "the second request overtook the first");
    eventually("the engine is empty", async || {
        (sim.stats().running, sim.stats().waiting) == (0, 0)
    })
    .await;
}

#[tokio::test]
async fn more_requests_at_once_make_each_slower() {
    let sim = Arc::new(start(|behaviour| {
        behaviour.latency = "loaded;max-batch=64;step=2;step-per-sequence=2;prefill=1000000"
            .parse()
            .unwrap();
    }));
    let ask = || {
        let sim = Arc::clone(&sim);
        tokio::spawn(async move {
            let began = Instant::now();
            post(&sim, CHAT, &[], chat(json!({"max_tokens": 10, "ignore_eos": true}))).await;
            began.elapsed()
        })
    };
    let alone = ask().await.unwrap();
    let crowd: Vec<_> = (0..16).map(|_| ask()).collect();
    let mut slowest = Duration::ZERO;
    for one in crowd {
        slowest = slowest.max(one.await.unwrap());
    }
    // Ten steps take at least 40 ms alone, and in a batch of 16 at least 34 ms each.
    assert!(alone >= Duration::from_millis(40), "{alone:?}");
    assert!(slowest >= Duration::from_millis(300), "{slowest:?}");
}

#[tokio::test]
async fn a_change_of_latency_leaves_requests_in_flight_as_they_began() {
    let sim = Arc::new(start(|behaviour| behaviour.latency = "loaded;step=10".parse().unwrap()));
    let request = {
        let sim = Arc::clone(&sim);
        tokio::spawn(async move {
            let began = Instant::now();
            let reply = post(&sim, CHAT, &[], chat(json!({"max_tokens": 12, "ignore_eos": true}))).await;
            (reply.status.as_u16(), began.elapsed())
        })
    };
    eventually("it runs", async || sim.stats().running == 1).await;
    sim.update(|behaviour| behaviour.latency = Latency::default());
    let (status, took) = request.await.unwrap();
    assert_eq!(status, 200);
    assert!(took >= Duration::from_millis(120), "{took:?}");
}

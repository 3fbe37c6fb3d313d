//! What a provider takes in a minute, by the configuration and by its own word.

use std::time::{Duration, Instant};

use serde_json::{Value, json};
use tokenweir_sim::SimHandle;

use super::harness::{Gateway, chat, provider, sim, sim_with, streamed};
use super::script::Script;

#[tokio::test]
async fn requests_beyond_a_minutes_share_go_to_the_fallback_or_wait_for_their_turn() {
    let (first, second) = (sim(), sim());
    let mut gateway = Gateway::with(&first.url(), |v| {
        v["providers"]["sim"]["limits"] = json!({"requestsPerMinute": 60});
        v["providers"]["second"] = provider(&second.url());
        v["routes"]["chat"]["fallbacks"] = json!([{"provider": "second"}]);
    });
    let begun = Instant::now();
    for _ in 0..20 {
        assert_eq!(gateway.chat(&chat("any")).await.status, 200);
    }
    let most = 7 + usize::try_from(begun.elapsed().as_secs()).unwrap();
    assert!(
        (6..=most).contains(&first.requests().len()),
        "{}",
        first.requests().len()
    );
    gateway.reconfigure(|v| v["routes"]["chat"]["fallbacks"] = json!([]));
    let before = first.requests().len();
    let waited = Instant::now();
    assert_eq!(gateway.chat(&chat("any")).await.status, 200);
    assert_eq!(gateway.chat(&chat("any")).await.status, 200);
    assert!(waited.elapsed() >= Duration::from_millis(900), "one a second");
    assert_eq!(first.requests().len(), before + 2);
}

#[tokio::test]
async fn a_provider_that_says_it_is_exhausted_is_left_alone_until_it_is_not() {
    let (spent, other) = (Script::start().await, sim());
    let gateway = Gateway::with(&spent.url(), |v| {
        v["providers"]["other"] = provider(&other.url());
        v["routes"]["chat"]["fallbacks"] = json!([{"provider": "other"}]);
    });
    let answer = |remaining: &str| {
        spent.send(format!(
            "HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: 2\r\n\
             x-ratelimit-remaining-requests: {remaining}\r\nx-ratelimit-reset-requests: 2s\r\n\r\n{{}}"
        ));
        spent.close();
    };
    answer("1");
    assert_eq!(
        gateway.chat(&chat("any")).await.header("x-tokenweir-provider"),
        Some("sim")
    );
    answer("0");
    let exhausted = gateway.chat(&chat("any")).await;
    assert_eq!(exhausted.header("x-tokenweir-provider"), Some("sim"));
    assert_eq!(
        exhausted.header("x-ratelimit-remaining-requests"),
        Some("0"),
        "the client sees it too"
    );
    let next = gateway.chat(&chat("any")).await;
    assert_eq!(
        (next.header("x-tokenweir-provider"), next.header("x-tokenweir-attempts")),
        (Some("other"), None)
    );
    answer("9");
    let begun = Instant::now();
    while gateway.chat(&chat("any")).await.header("x-tokenweir-provider") != Some("sim") {
        assert!(begun.elapsed() < Duration::from_secs(20), "the provider comes back");
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}

#[tokio::test]
async fn after_a_429_the_next_requests_wait_in_the_queue_as_long_as_the_provider_asks() {
    let busy = sim_with(|b| {
        b.faults.insert("*".into(), "429;retry-after=1,ok".parse().unwrap());
    });
    let gateway = Gateway::start(&busy.url());
    assert_eq!(gateway.chat(&chat("any")).await.status, 429);
    let begun = Instant::now();
    assert_eq!(gateway.chat(&chat("any")).await.status, 200);
    assert!(begun.elapsed() >= Duration::from_millis(900), "{:?}", begun.elapsed());
    assert_eq!(busy.requests().len(), 2);
}

/// Answers of a provider that lets a thousand tokens a second through, until it takes no more at once.
async fn at_once(gateway: &Gateway, body: &Value) -> usize {
    let mut answered = 0;
    while answered < 100 {
        let answer = gateway.chat(body).await;
        assert_eq!(answer.status, 200, "{}", answer.text());
        if answer.header("x-tokenweir-provider") != Some("sim") {
            break;
        }
        answered += 1;
    }
    answered
}

/// A provider of few tokens, and one of many behind it.
fn scarce(sim: &SimHandle, other: &SimHandle) -> Gateway {
    Gateway::with(&sim.url(), |v| {
        v["providers"]["sim"]["limits"] = json!({"tokensPerMinute": 60_000});
        v["providers"]["other"] = provider(&other.url());
        v["routes"]["chat"]["fallbacks"] = json!([{"provider": "other"}]);
    })
}

#[tokio::test]
async fn the_tokens_of_a_minute_are_those_that_answers_have_cost_and_not_their_estimate() {
    let (sim, other) = (sim(), sim());
    let gateway = scarce(&sim, &other);
    // By estimate each costs over 4,000 tokens, so that after two of them the six seconds that may go at once are gone. By
    // their usage they cost some twenty.
    for mut body in [chat("any"), streamed("any")] {
        body["max_tokens"] = json!(4_096);
        body["messages"][0]["content"] = json!("[[sim:say=Good day.]]");
        assert_eq!(at_once(&gateway, &body).await, 100);
    }
}

#[tokio::test]
async fn an_answer_without_usage_stays_with_its_estimate_and_so_does_one_that_breaks_off() {
    for fault in ["no-usage", "reset;after=3"] {
        let (sim, other) = (sim(), sim());
        sim.update(|b| {
            b.faults.insert("*".into(), fault.parse().unwrap());
        });
        let gateway = scarce(&sim, &other);
        let mut body = streamed("any");
        body["max_tokens"] = json!(4_096);
        let begun = Instant::now();
        let answered = at_once(&gateway, &body).await;
        let most = 2 + usize::try_from(begun.elapsed().as_secs() / 4).unwrap();
        assert!((2..=most).contains(&answered), "{fault}: {answered}");
    }
}

#[tokio::test]
async fn an_answer_that_costs_more_than_its_estimate_holds_up_those_behind_it() {
    let (sim, other) = (sim(), sim());
    let gateway = scarce(&sim, &other);
    let mut body = chat("any");
    // Without a limit of its own it is taken for one of 512 tokens, and turns out to have cost fifteen seconds' worth.
    body.as_object_mut().unwrap().remove("max_tokens");
    body["messages"][0]["content"] = json!("[[sim:tokens=15000]]");
    let begun = Instant::now();
    let answered = at_once(&gateway, &body).await;
    assert!(
        begun.elapsed() < Duration::from_secs(9),
        "the machine is too slow to tell"
    );
    assert_eq!(answered, 1);
}

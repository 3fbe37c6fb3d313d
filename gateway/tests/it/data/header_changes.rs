//! What routes change about headers, on the way to providers and back.

use serde_json::{Value, json};
use tokenweir_sim::SimHandle;

use super::harness::{Answer, Gateway, chat, provider, retries, route, sim, sim_with, streamed};
use super::passed::provider_of;

/// Sets, adds and removes headers in both directions.
fn change(route: &mut Value) {
    route["requestHeaders"] = json!({
        "set": [{"name": "openai-project", "value": "proj_1"}, {"name": "x-team", "value": "edge"}],
        "add": [{"name": "x-tag", "value": "two"}],
        "remove": ["x-internal"],
    });
    route["responseHeaders"] = json!({
        "set": [{"name": "cache-control", "value": "no-store"}],
        "add": [{"name": "x-ratelimit-limit-requests", "value": "1"}],
        "remove": ["openai-processing-ms"],
    });
}

async fn ask(gateway: &Gateway, path: &str, body: &Value) -> Answer {
    let mut request = gateway.request(path, body);
    for (name, value) in [
        ("openai-project", "proj_of_the_client"),
        ("x-team", "client"),
        ("x-tag", "one"),
        ("x-internal", "secret"),
        ("x-kept", "kept"),
    ] {
        request.headers_mut().insert(name, value.parse().unwrap());
    }
    gateway.send(request).await
}

/// Every request that a simulator has seen was changed, and still proves the gateway.
fn assert_changed_at(sim: &SimHandle) -> usize {
    let seen = sim.requests();
    for request in &seen {
        let header = |name: &str| request.headers.get(name).map(String::as_str);
        assert_eq!(header("openai-project"), Some("proj_1"));
        assert_eq!(header("x-team"), Some("edge"));
        assert_eq!(header("x-tag"), Some("one, two"), "{:?}", request.headers);
        assert_eq!((header("x-internal"), header("x-kept")), (None, Some("kept")));
        assert!(request.key_hash.is_some() && header("x-request-id").is_some());
    }
    seen.len()
}

#[tokio::test]
async fn headers_change_both_ways_for_whole_streamed_and_translated_answers() {
    let sims = [sim(), sim()];
    let gateway = Gateway::with(&sims[0].url(), |v| {
        v["providers"]["anthropic"] = provider_of("Anthropic", "x-api-key", &sims[1].url());
        v["routes"] = json!({"openai": route("openai", "sim"), "anthropic": route("anthropic", "anthropic"), "same": route("same", "sim")});
        change(&mut v["routes"]["openai"]);
        change(&mut v["routes"]["anthropic"]);
    });
    for model in ["openai", "anthropic"] {
        for body in [chat(model), streamed(model)] {
            for path in ["/v1/chat/completions", "/v1/messages"] {
                let answer = ask(&gateway, path, &body).await;
                assert_eq!(answer.status, 200, "{model} {path}: {}", answer.text());
                assert_eq!(answer.header("cache-control"), Some("no-store"));
                let limits: Vec<_> = answer.headers.get_all("x-ratelimit-limit-requests").iter().collect();
                assert_eq!(limits.last().unwrap(), &"1");
                assert_eq!(answer.header("openai-processing-ms"), None);
                assert!(answer.header("x-tokenweir-provider").is_some());
            }
        }
    }
    assert_eq!(assert_changed_at(&sims[0]), 4);
    assert_eq!(assert_changed_at(&sims[1]), 4);
    sims[0].clear_requests();
    let answer = ask(&gateway, "/v1/chat/completions", &chat("same")).await;
    assert_ne!(answer.header("cache-control"), Some("no-store"));
    assert_eq!(
        sims[0].requests()[0].headers["x-internal"],
        "secret",
        "other routes change nothing"
    );
}

#[tokio::test]
async fn headers_change_at_every_try_and_with_errors_too() {
    let broken = sim_with(|b| {
        b.faults.insert("*".into(), "503".parse().unwrap());
    });
    let hung = sim_with(|b| {
        b.faults.insert("*".into(), "hang".parse().unwrap());
    });
    let good = sim();
    let gateway = Gateway::with(&broken.url(), |v| {
        v["providers"]["good"] = provider(&good.url());
        v["providers"]["hung"] = provider(&hung.url());
        v["routes"]["chat"]["retry"] = retries(1);
        v["routes"]["chat"]["fallbacks"] = json!([{"provider": "good"}]);
        change(&mut v["routes"]["chat"]);
        let mut hedged = route("hedged", "hung");
        hedged["backends"] = json!([{"provider": "hung", "weight": 1_000_000}, {"provider": "good", "weight": 1}]);
        hedged["retry"]["hedge"] = json!({"afterMs": 30});
        change(&mut hedged);
        v["routes"]["hedged"] = hedged;
        let mut alone = route("alone", "sim");
        change(&mut alone);
        v["routes"]["alone"] = alone;
        v["providers"]["few"] = provider(&good.url());
        v["providers"]["few"]["models"] = json!([{"name": "few-1"}]);
        let mut few = route("few-*", "few");
        change(&mut few);
        v["routes"]["few"] = few;
    });
    assert_eq!(ask(&gateway, "/v1/chat/completions", &chat("any")).await.status, 200);
    assert_eq!((assert_changed_at(&broken), assert_changed_at(&good)), (2, 1));
    assert_eq!(ask(&gateway, "/v1/chat/completions", &chat("hedged")).await.status, 200);
    assert_eq!((assert_changed_at(&hung), assert_changed_at(&good)), (1, 2));
    let answer = ask(&gateway, "/v1/chat/completions", &chat("alone")).await;
    assert_eq!(answer.status, 503);
    assert_eq!(answer.header("cache-control"), Some("no-store"));
    let answer = ask(&gateway, "/v1/chat/completions", &chat("few-2")).await;
    assert_eq!(answer.status, 404, "the route takes it, and no backend has the model");
    assert_eq!(answer.header("cache-control"), Some("no-store"));
}

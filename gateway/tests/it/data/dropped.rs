//! What a provider has no words for is left out where the route says so, and the client is told.

use serde_json::{Value, json};
use tokenweir_sim::SimHandle;

use super::harness::{Gateway, provider, route, sim, until};
use super::passed::provider_of;
use super::speaks::Speaks::{self, Chat, Completions, Messages, Responses};

const DROPPED: &str = "x-tokenweir-dropped";

/// Providers of both wires, behind routes that leave out what these have no words for.
fn gateway(sim: &SimHandle) -> Gateway {
    Gateway::with(&sim.url(), |v| {
        v["providers"]["openai"] = provider(&sim.url());
        v["providers"]["anthropic"] = provider_of("Anthropic", "x-api-key", &sim.url());
        let dropping = |model: &str| {
            let mut route = route(model, model);
            route["dropUnsupported"] = json!(true);
            route
        };
        v["routes"] = json!({"openai": dropping("openai"), "anthropic": dropping("anthropic")});
        v["routes"]["either"] = route("either*", "openai");
        v["routes"]["either"]["fallbacks"] = json!([{"provider": "anthropic"}]);
        v["routes"]["either"]["dropUnsupported"] = json!(true);
    })
}

/// A request with fields for which the other wire has no words, and the names of these.
fn request(client: Speaks, stream: bool) -> (Value, Vec<&'static str>) {
    let model = if client == Messages { "openai" } else { "anthropic" };
    let mut request = client.request(model, "[[sim:say=Good day.]]", stream);
    let fields = match client {
        Chat => vec![("seed", json!(7)), ("logit_bias", json!({"1": 5}))],
        Completions => vec![("suffix", json!("!")), ("logit_bias", json!({"1": 5}))],
        Responses => vec![("truncation", json!("auto")), ("max_tool_calls", json!(3))],
        Messages => vec![("container", json!("one")), ("service_tier", json!("standard_only"))],
    };
    for (name, value) in &fields {
        request[*name] = value.clone();
    }
    (request, fields.into_iter().map(|(name, _)| name).collect())
}

#[tokio::test]
async fn every_client_is_told_what_was_left_out_with_its_answer_and_with_its_stream() {
    let sim = sim();
    let gateway = gateway(&sim);
    for client in super::speaks::ALL {
        for stream in [false, true] {
            let (request, mut fields) = request(client, stream);
            let answer = gateway.send(gateway.request(client.path(), &request)).await;
            assert_eq!(answer.status, 200, "{client:?}: {}", answer.text());
            let mut told: Vec<_> = answer.header(DROPPED).unwrap_or_default().split(", ").collect();
            told.sort_unstable();
            fields.sort_unstable();
            assert_eq!(told, fields, "{client:?}, stream: {stream}");
            let seen = sim.requests().pop().unwrap().body;
            assert!(fields.iter().all(|field| seen.get(field).is_none()), "{seen}");
        }
    }
    assert_eq!((gateway.lossy("anthropic"), gateway.lossy("openai")), (6, 2));
}

#[tokio::test]
async fn a_request_of_which_nothing_is_left_out_says_nothing() {
    let sim = sim();
    let gateway = gateway(&sim);
    for stream in [false, true] {
        let translated = Chat.request("anthropic", "Hello", stream);
        let mut passed = Chat.request("openai", "Hello", stream);
        passed["seed"] = json!(7);
        for request in [translated, passed] {
            let answer = gateway.send(gateway.request(Chat.path(), &request)).await;
            assert_eq!((answer.status.as_u16(), answer.header(DROPPED)), (200, None));
        }
    }
    assert_eq!((gateway.lossy("anthropic"), gateway.lossy("openai")), (0, 0));
}

#[tokio::test]
async fn what_is_told_is_about_the_provider_that_answers() {
    let sim = sim();
    let gateway = gateway(&sim);
    for (model, left_out) in [("either!503,ok", Some("seed")), ("either", None)] {
        let mut request = Chat.request(model, "Hello", false);
        request["seed"] = json!(7);
        let answer = gateway.send(gateway.request(Chat.path(), &request)).await;
        assert_eq!(
            (answer.status.as_u16(), answer.header(DROPPED)),
            (200, left_out),
            "{model}"
        );
    }
    // An error is no answer that could lack something.
    let mut request = Chat.request("anthropic", "Hello", false);
    request["model"] = json!("either!503,503");
    request["seed"] = json!(7);
    let failed = gateway.send(gateway.request(Chat.path(), &request)).await;
    assert_eq!((failed.status.as_u16(), failed.header(DROPPED)), (503, None));
    until("all have ended", || gateway.running() == 0).await;
    assert_eq!(gateway.lossy("either"), 1);
}

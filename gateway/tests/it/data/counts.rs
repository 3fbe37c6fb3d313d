//! Tokens that the gateway counts itself.

use serde_json::{Value, json};

use super::harness::{Answer, Gateway, provider, route, sim};

fn gateway(upstream: &str) -> Gateway {
    tokenweir_tokens::load().unwrap().join().unwrap();
    Gateway::with(upstream, |v| {
        v["providers"]["openai"] = provider(upstream);
        let mut four = route("four", "openai");
        four["backends"][0]["model"] = json!("gpt-4o");
        let mut other = route("other", "openai");
        other["backends"][0]["model"] = json!("some-model");
        v["routes"] = json!({"four": four, "other": other});
    })
}

async fn count(gateway: &Gateway, body: &Value) -> Answer {
    gateway.send(gateway.request("/v1/tokens/count", body)).await
}

#[tokio::test]
async fn a_chat_request_is_counted_for_the_model_that_its_route_leads_to_without_asking_anybody() {
    let sim = sim();
    let gateway = gateway(&sim.url());
    // The conversation of OpenAI's cookbook, for which it publishes the count of its own API.
    let messages = json!([
        {"role": "system", "content": "You are a helpful, pattern-following assistant that translates corporate jargon into plain English."},
        {"role": "system", "name": "example_user", "content": "New synergies will help drive top-line growth."},
        {"role": "system", "name": "example_assistant", "content": "Things working well together will increase revenue."},
        {"role": "system", "name": "example_user", "content": "Let's circle back when we have more bandwidth to touch base on opportunities for increased leverage."},
        {"role": "system", "name": "example_assistant", "content": "Let's talk later when we're less busy about how to do better."},
        {"role": "user", "content": "This late pivot means we don't have time to boil the ocean for the client deliverable."},
    ]);
    let exact = count(&gateway, &json!({"model": "four", "messages": messages})).await;
    assert_eq!(exact.status, 200, "{}", exact.text());
    assert_eq!(
        exact.json(),
        json!({"input_tokens": 124, "exact": true, "encoding": "o200k_base"})
    );
    let estimated = count(&gateway, &json!({"model": "other", "messages": messages}))
        .await
        .json();
    assert_eq!(
        (&estimated["exact"], &estimated["encoding"]),
        (&json!(false), &json!("estimate"))
    );
    assert!(
        (100..160).contains(&estimated["input_tokens"].as_u64().unwrap()),
        "{estimated}"
    );
    assert_eq!(sim.requests().len(), 0);
}

#[tokio::test]
async fn a_body_that_is_too_large_to_be_counted_beside_other_requests_is_estimated() {
    let sim = sim();
    let gateway = gateway(&sim.url());
    let text = "all the rivers run ".repeat(16 * 1024);
    let body = json!({"model": "four", "messages": [{"role": "user", "content": text}]});
    let counted = count(&gateway, &body).await.json();
    assert_eq!(counted["encoding"], "estimate");
}

#[tokio::test]
async fn what_is_no_request_or_for_no_route_is_refused_as_a_chat_is() {
    let sim = sim();
    let gateway = gateway(&sim.url());
    let wrong = count(&gateway, &json!({"model": "four", "messages": [7]})).await;
    assert_eq!(wrong.status, 400, "{}", wrong.text());
    assert_eq!(wrong.json()["error"]["type"], "invalid_request_error");
    let unknown = count(&gateway, &json!({"model": "nobody", "messages": []})).await;
    assert_eq!(unknown.status, 404, "{}", unknown.text());
}

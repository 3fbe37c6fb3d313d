use http::{Method, StatusCode};
use serde_json::{Value, json};
use tokenweir_sim::{RequestOutcome, Sim, SimConfig};

use crate::client::{CHAT, chat, eventually, post, send, start};

#[tokio::test]
async fn requests_are_recorded_as_they_came_and_without_their_keys() {
    let sim = start(|behaviour| behaviour.record = 2);
    post(&sim, CHAT, &[], chat(json!({"first": true}))).await;
    for secret in ["Bearer secret-1", "Bearer secret-2"] {
        post(
            &sim,
            CHAT,
            &[("authorization", secret), ("x-extra", "1")],
            chat(json!({"temperature": 1.0})),
        )
        .await;
    }
    let list = send(&sim, Method::GET, "/sim/requests", &[], "").await.json();
    let list = list.as_array().unwrap();
    assert_eq!(list.len(), 2, "the oldest one is gone");
    assert_eq!(list[0]["number"], 2);
    assert_eq!(list[0]["headers"]["x-extra"], "1");
    assert_eq!(list[0]["body"], chat(json!({"temperature": 1.0})));
    assert_eq!(list[0]["outcome"], "completed");
    assert_ne!(list[0]["keyHash"], list[1]["keyHash"]);
    assert!(!Value::from(list.clone()).to_string().contains("secret"));
    assert_eq!(sim.requests()[1].outcome, RequestOutcome::Completed);
    assert_eq!(
        send(&sim, Method::DELETE, "/sim/requests", &[], "").await.status,
        StatusCode::NO_CONTENT
    );
    assert!(sim.requests().is_empty());
    assert_eq!(sim.stats().completed, 3);
}

#[tokio::test]
async fn the_behaviour_is_shown_replaced_and_patched() {
    let sim = start(|_| ());
    let patch = json!({"latency": "fixed;first=1", "faults": {"bad": "500"}}).to_string();
    let patched = send(&sim, Method::PATCH, "/sim/config", &[], patch).await.json();
    assert_eq!(patched["created"], 1_700_000_000);
    assert_eq!(patched["latency"], "fixed;first=1;token=0");
    assert_eq!(post(&sim, CHAT, &[], chat(json!({"model": "bad"}))).await.status, 500);
    send(
        &sim,
        Method::PATCH,
        "/sim/config",
        &[],
        json!({"faults": {"bad": null}}).to_string(),
    )
    .await;
    assert_eq!(post(&sim, CHAT, &[], chat(json!({"model": "bad"}))).await.status, 200);
    let replaced = send(&sim, Method::PUT, "/sim/config", &[], json!({"seed": 3}).to_string())
        .await
        .json();
    assert_eq!(replaced["latency"], "fixed;first=0;token=0");
    assert_eq!(replaced["seed"], 3);
    for (body, part) in [
        (json!({"sed": 3}), "unknown field `sed`"),
        (json!({"latency": "quick"}), "not a latency model"),
        (json!({"outputTokens": "9..3"}), "a range such as 16..48"),
    ] {
        let refused = send(&sim, Method::PUT, "/sim/config", &[], body.to_string()).await;
        assert_eq!(refused.status, StatusCode::BAD_REQUEST);
        assert!(
            refused.json()["error"].as_str().unwrap().contains(part),
            "{:?}",
            refused.json()
        );
    }
    assert_eq!(sim.behaviour().seed, 3, "a refused change changes nothing");
}

#[tokio::test]
async fn keys_are_required_and_rotate_with_their_file() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("keys");
    std::fs::write(&file, "# provider keys\nold\n").unwrap();
    let sim = Sim::start(SimConfig {
        api_keys: vec!["fixed".into()],
        api_key_file: Some(file.clone()),
        ..SimConfig::default()
    })
    .unwrap();
    let ask = async |name: &str, value: &str| {
        post(&sim, CHAT, &[(name, value)], chat(json!({})))
            .await
            .status
            .as_u16()
    };
    assert_eq!(ask("authorization", "Bearer old").await, 200);
    assert_eq!(ask("x-api-key", "old").await, 401, "OpenAI knows bearer tokens alone");
    assert_eq!(ask("authorization", "Bearer new").await, 401);
    assert_eq!(ask("x-other", "old").await, 401);
    std::fs::write(&file, "new\n").unwrap();
    eventually("the new key is valid", async || {
        ask("authorization", "Bearer new").await == 200
    })
    .await;
    assert_eq!(ask("authorization", "Bearer old").await, 401);
    assert_eq!(ask("authorization", "Bearer fixed").await, 200);
    assert_eq!(send(&sim, Method::GET, "/v1/models", &[], "").await.status, 401);
    assert_eq!(send(&sim, Method::GET, "/readyz", &[], "").await.status, 200);
}

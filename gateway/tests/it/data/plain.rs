//! Answers in one piece, models, headers and request ids.

use serde_json::{Value, json};

use super::harness::{Gateway, KEY, OTHER_KEY, chat, provider, route, sim, until};

#[tokio::test]
async fn a_chat_completion_is_served_and_counted() {
    let sim = sim();
    let gateway = Gateway::start(&sim.url());
    let answer = gateway.chat(&chat("any")).await;
    assert_eq!(answer.status, 200, "{}", answer.text());
    let json = answer.json();
    assert_eq!(json["object"], "chat.completion");
    assert_eq!(answer.header("x-tokenweir-provider"), Some("sim"));
    assert_eq!(answer.header("x-tokenweir-attempts"), None);
    until("the request was counted", || gateway.ended(200) == 1).await;
    let counted = gateway.counted("chat").unwrap();
    assert_eq!(Some(counted.input_tokens), json["usage"]["prompt_tokens"].as_u64());
    assert_eq!(Some(counted.output_tokens), json["usage"]["completion_tokens"].as_u64());
    assert_eq!((counted.in_flight, counted.queue_depth), (0, 0));
}

#[tokio::test]
async fn embeddings_and_text_completions_are_served() {
    let sim = sim();
    let gateway = Gateway::start(&sim.url());
    let embeddings = json!({"model": "e", "input": ["a", "b"], "dimensions": 8});
    let answer = gateway.send(gateway.request("/v1/embeddings", &embeddings)).await;
    assert_eq!(answer.json()["data"].as_array().unwrap().len(), 2);
    let completion = json!({"model": "c", "prompt": "Once", "max_tokens": 4});
    let answer = gateway.send(gateway.request("/v1/completions", &completion)).await;
    assert_eq!(answer.json()["object"], "text_completion");
    let paths: Vec<_> = sim.requests().iter().map(|request| request.path.clone()).collect();
    assert_eq!(paths, ["/v1/embeddings", "/v1/completions"]);
}

#[tokio::test]
async fn unknown_fields_and_number_formats_reach_the_provider_untouched() {
    let sim = sim();
    let gateway = Gateway::with(&sim.url(), |v| {
        v["routes"]["chat"]["backends"][0]["model"] = json!("theirs");
    });
    let body = r#"{"x_new": {"deep": [1, {"y": null}]},  "temperature": 1.0e0, "model":"mine","messages":[{"role":"user","content":"é\u00e9"}]}"#;
    let answer = gateway.send(gateway.raw_request("/v1/chat/completions", body)).await;
    assert_eq!(answer.status, 200);
    let seen = &sim.requests()[0];
    assert_eq!(seen.body_bytes, body.replace("mine", "theirs").len());
    assert_eq!(
        seen.body,
        serde_json::from_str::<Value>(&body.replace("mine", "theirs")).unwrap()
    );
}

#[tokio::test]
async fn large_bodies_pass_both_ways() {
    let sim = sim();
    let gateway = Gateway::start(&sim.url());
    let mut request = chat("any");
    request["messages"][0]["content"] = json!("word ".repeat(200_000));
    assert_eq!(gateway.chat(&request).await.status, 200);
    assert!(sim.requests()[0].body_bytes > 1_000_000);
    // More than the gateway holds back: the answer goes through as it comes, with its usage read.
    let inputs: Vec<String> = (0..200).map(|n| format!("text {n}")).collect();
    let embeddings = json!({"model": "e", "input": inputs, "dimensions": 1024});
    let answer = gateway.send(gateway.request("/v1/embeddings", &embeddings)).await;
    assert!(answer.body.len() > 1024 * 1024 + 1, "{}", answer.body.len());
    assert_eq!(answer.json()["data"].as_array().unwrap().len(), 200);
    until("both are counted", || gateway.ended(200) == 2).await;
    assert_eq!(gateway.ended(499), 0);
    let embedded = gateway
        .meter
        .totals()
        .series
        .into_iter()
        .find(|s| s.operation.name() == "embeddings")
        .unwrap();
    assert_eq!(
        Some(embedded.input_tokens),
        answer.json()["usage"]["prompt_tokens"].as_u64()
    );
}

#[tokio::test]
async fn the_clients_key_stays_here_and_the_providers_goes_there() {
    let sim = sim();
    sim.set_api_keys(vec!["provider-secret".into()]);
    let gateway = Gateway::start(&sim.url());
    let mut request = gateway.request("/v1/chat/completions", &chat("any"));
    for (name, value) in [
        ("cookie", "session=1"),
        ("x-api-key", "leak"),
        ("accept-encoding", "br"),
        ("openai-organization", "org"),
        ("x-custom", "kept"),
        ("traceparent", "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"),
    ] {
        request.headers_mut().insert(name, value.parse().unwrap());
    }
    assert_eq!(gateway.send(request).await.status, 200);
    let headers = &sim.requests()[0].headers;
    for gone in ["cookie", "x-api-key", "openai-organization", "authorization"] {
        assert!(!headers.contains_key(gone), "{gone} went to the provider");
    }
    assert_eq!(headers["accept-encoding"], "identity", "its answer is read on the way");
    assert_eq!(headers["x-custom"], "kept");
    assert_eq!(
        headers["traceparent"],
        "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"
    );
    assert_eq!(headers["host"], sim.addr().to_string());
}

#[tokio::test]
async fn a_request_id_is_made_or_taken_over_and_goes_everywhere() {
    let sim = sim();
    let gateway = Gateway::start(&sim.url());
    let mut request = gateway.request("/v1/chat/completions", &chat("any"));
    request.headers_mut().insert("x-request-id", "my-id".parse().unwrap());
    assert_eq!(gateway.send(request).await.header("x-request-id"), Some("my-id"));
    let made = gateway.chat(&chat("any")).await;
    let made = made.header("x-request-id").unwrap();
    assert!(made.starts_with("req_"), "{made}");
    let seen: Vec<_> = sim
        .requests()
        .iter()
        .map(|request| request.headers["x-request-id"].clone())
        .collect();
    assert_eq!(seen, ["my-id", made]);
    // Errors have one too.
    assert!(gateway.get("/nowhere", KEY).await.header("x-request-id").is_some());
}

#[tokio::test]
async fn the_list_of_models_is_what_the_tenant_may_use() {
    let sim = sim();
    let gateway = Gateway::with(&sim.url(), |v| {
        v["providers"]["known"] = provider("http://127.0.0.1:1/v1");
        v["providers"]["known"]["models"] = json!([{"name": "allowed-small"}, {"name": "org/large"}]);
        v["routes"] = json!({
            "one": route("allowed-assistant", "sim"),
            "two": route("private", "sim"),
            "rest": route("*", "known"),
        });
    });
    let ids = |answer: super::harness::Answer| {
        let json = answer.json();
        assert_eq!(json["object"], "list");
        json["data"]
            .as_array()
            .unwrap()
            .iter()
            .map(|m| m["id"].as_str().unwrap().to_owned())
            .collect::<Vec<_>>()
    };
    assert_eq!(
        ids(gateway.get("/v1/models", KEY).await),
        ["allowed-assistant", "allowed-small", "org/large", "private"]
    );
    assert_eq!(
        ids(gateway.get("/v1/models", OTHER_KEY).await),
        ["allowed-assistant", "allowed-small"]
    );
    let one = gateway.get("/v1/models/org%2Flarge", KEY).await.json();
    assert_eq!(
        (one["id"].as_str(), one["object"].as_str()),
        (Some("org/large"), Some("model"))
    );
    assert!(one["created"].as_u64().unwrap() > 1_700_000_000);
    let denied = gateway.get("/v1/models/private", OTHER_KEY).await;
    assert_eq!(
        (denied.status.as_u16(), denied.json()["error"]["code"].as_str()),
        (404, Some("model_not_found"))
    );
}

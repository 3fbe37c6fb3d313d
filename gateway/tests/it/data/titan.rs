//! Embeddings of Amazon Titan, which takes one text a request.

use serde_json::{Value, json};
use tokenweir_sim::SimHandle;

use super::harness::{Answer, Gateway, provider, sim, until};

fn bedrock(sim: &SimHandle) -> Gateway {
    Gateway::with(&sim.url(), |v| {
        v["providers"]["sim"] = provider(&sim.url());
        v["providers"]["sim"]["kind"] = json!("Bedrock");
        v["providers"]["sim"]["upstream"]["endpoint"]["url"] = json!(sim.url());
        v["providers"]["sim"]["credential"] = json!({"aws": {
            "accessKeyId": "AKIDEXAMPLE", "secretAccessKey": "s3cret", "region": "eu-central-1",
        }});
    })
}

async fn embed(gateway: &Gateway, body: &Value) -> Answer {
    gateway.send(gateway.request("/v1/embeddings", body)).await
}

#[tokio::test]
async fn titan_is_asked_for_each_of_several_texts_and_one_failure_is_that_of_all() {
    let sim = sim();
    let gateway = bedrock(&sim);
    let texts: Vec<String> = (0..9).map(|n| format!("text {n}")).collect();
    let model = "amazon.titan-embed-text-v2:0";
    let one = async |text: &str| {
        let answer = embed(&gateway, &json!({"model": model, "input": text, "dimensions": 256})).await;
        assert_eq!(answer.status, 200, "{}", answer.text());
        answer.json()
    };
    let answer = embed(&gateway, &json!({"model": model, "input": texts, "dimensions": 256})).await;
    assert_eq!(answer.status, 200, "{}", answer.text());
    let all = answer.json();
    let mut cost = 0;
    for (index, text) in texts.iter().enumerate() {
        let alone = one(text).await;
        assert_eq!(all["data"][index]["index"], index);
        assert_eq!(all["data"][index]["embedding"], alone["data"][0]["embedding"], "{text}");
        cost += alone["usage"]["prompt_tokens"].as_u64().unwrap();
    }
    assert_eq!(all["usage"]["prompt_tokens"], cost);
    assert_eq!(sim.requests().len(), 18);
    until("the tokens were counted", || {
        gateway
            .counted("chat")
            .is_some_and(|counted| counted.input_tokens == 2 * cost)
    })
    .await;
    assert_eq!(gateway.meter.totals().forwarded["sim"], 10, "several are one try");

    sim.update(|b| {
        b.faults.insert("*".into(), "ok,ok,ok,429".parse().unwrap());
    });
    let failed = embed(&gateway, &json!({"model": model, "input": texts})).await;
    assert_eq!(failed.status, 429, "{}", failed.text());
    assert!(!failed.error().is_empty());
    until("nothing runs", || gateway.running() == 0 && gateway.in_flight() == 0).await;
}

//! Embeddings of Amazon Titan, which takes one text a request.

use std::convert::Infallible;

use bytes::Bytes;
use http::{Request, Response};
use http_body_util::{BodyExt as _, Full};
use hyper::body::Incoming;
use hyper::service::service_fn;
use hyper_util::rt::{TokioExecutor, TokioIo};
use hyper_util::server::conn::auto;
use serde_json::{Value, json};
use tokenweir_sim::SimHandle;
use tokio::net::TcpListener;
use tokio::task::AbortHandle;

use super::harness::{Answer, Gateway, provider, sim, until};

const MODEL: &str = "amazon.titan-embed-text-v2:0";

fn bedrock(sim: &SimHandle) -> Gateway {
    before(&sim.url(), |_| {})
}

fn before(url: &str, change: impl FnOnce(&mut Value)) -> Gateway {
    Gateway::with(url, |v| {
        v["providers"]["sim"] = provider(url);
        v["providers"]["sim"]["kind"] = json!("Bedrock");
        v["providers"]["sim"]["upstream"]["endpoint"]["url"] = json!(url);
        v["providers"]["sim"]["credential"] = json!({"aws": {
            "accessKeyId": "AKIDEXAMPLE", "secretAccessKey": "s3cret", "region": "eu-central-1",
        }});
        change(v);
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
    let one = async |text: &str| {
        let answer = embed(&gateway, &json!({"model": MODEL, "input": text, "dimensions": 256})).await;
        assert_eq!(answer.status, 200, "{}", answer.text());
        answer.json()
    };
    let answer = embed(&gateway, &json!({"model": MODEL, "input": texts, "dimensions": 256})).await;
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
    let failed = embed(&gateway, &json!({"model": MODEL, "input": texts})).await;
    assert_eq!(failed.status, 429, "{}", failed.text());
    assert!(!failed.error().is_empty());
    until("nothing runs", || gateway.running() == 0 && gateway.in_flight() == 0).await;
}

/// Answers for one text. A text of the form `left N` says besides how many requests are left, and `fails` fails.
async fn answer(request: Request<Incoming>) -> Result<Response<Full<Bytes>>, Infallible> {
    let body = request.into_body().collect().await.unwrap().to_bytes();
    let asked: Value = serde_json::from_slice(&body).unwrap();
    let text = asked["inputText"].as_str().unwrap();
    let mut response = Response::builder().header("content-type", "application/json");
    if let Some(left) = text.strip_prefix("left ") {
        response = response
            .header("x-ratelimit-remaining-requests", left)
            .header("x-ratelimit-reset-requests", "60s");
    }
    if text == "fails" {
        response = response.status(500);
    }
    let body = json!({"embedding": [0.5], "inputTextTokenCount": 1});
    Ok(response.body(Full::from(body.to_string())).unwrap())
}

/// A provider of its own words about its limits.
async fn limited() -> (String, AbortHandle) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    let task = tokio::spawn(async move {
        loop {
            let (stream, _) = listener.accept().await.unwrap();
            let builder = auto::Builder::new(TokioExecutor::new());
            tokio::spawn(async move { builder.serve_connection(TokioIo::new(stream), service_fn(answer)).await });
        }
    });
    (url, task.abort_handle())
}

#[tokio::test]
async fn what_any_of_several_answers_says_about_limits_is_heeded() {
    let (url, task) = limited().await;
    for (texts, status, exhausted) in [
        (vec!["left 9", "left 8", "a", "b", "c", "d", "left 7"], 200, false),
        (vec!["left 9", "a", "b", "left 0", "c", "d", "left 5"], 200, true),
        (vec!["a", "b", "c", "d", "e", "f", "g", "left 0"], 200, true),
        // All of them fail with one, and what the others have said holds.
        (vec!["left 0", "fails"], 500, true),
        (vec!["left 0"], 200, true),
    ] {
        let gateway = before(&url, |_| {});
        let answer = embed(&gateway, &json!({"model": MODEL, "input": texts})).await;
        assert_eq!(answer.status, status, "{texts:?}: {}", answer.text());
        assert_eq!(gateway.exhausted("sim"), exhausted, "{texts:?}");
    }
    task.abort();
}

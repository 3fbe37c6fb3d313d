use std::time::Duration;

use bytes::Bytes;
use http::Request;
use http_body_util::{BodyExt, Full};
use hyper_util::client::legacy::Client;
use hyper_util::rt::TokioExecutor;
use serde_json::json;
use tokenweir_sim::{Sim, SimConfig, StartError};

use crate::client::{CHAT, chat, client, eventually, open, post, start};

#[tokio::test]
async fn http_2_is_served_on_the_same_port() {
    let sim = start(|_| ());
    let client: Client<_, Full<Bytes>> = Client::builder(TokioExecutor::new()).http2_only(true).build_http();
    let request = Request::post(format!("{}{CHAT}", sim.url()))
        .body(Full::from(chat(json!({"stream": true})).to_string()))
        .unwrap();
    let response = client.request(request).await.unwrap();
    assert_eq!(response.version(), http::Version::HTTP_2);
    let body = response.into_body().collect().await.unwrap().to_bytes();
    assert_eq!(body, post(&sim, CHAT, &[], chat(json!({"stream": true}))).await.body);
}

#[tokio::test]
async fn every_thread_serves_the_one_port() {
    let sim = Sim::start(SimConfig {
        threads: 3,
        ..SimConfig::default()
    })
    .unwrap();
    for _ in 0..30 {
        // A new client, so a new connection, which the kernel gives to any of the threads.
        assert_eq!(post(&sim, CHAT, &[], chat(json!({}))).await.status, 200);
    }
    assert_eq!(sim.requests().len(), 30);
}

#[tokio::test]
async fn a_stop_lets_streams_end_and_takes_no_new_connections() {
    let sim = start(|behaviour| behaviour.latency = "fixed;first=10;token=10".parse().unwrap());
    let url = sim.url();
    let body = chat(json!({"stream": true, "max_tokens": 10, "ignore_eos": true}));
    let response = open(&sim, http::Method::POST, CHAT, &[], body.to_string())
        .await
        .unwrap();
    let stopped = tokio::spawn(sim.stop());
    eventually("new connections are refused", async || {
        let request = Request::get(format!("{url}/livez")).body(Full::default()).unwrap();
        client().request(request).await.is_err()
    })
    .await;
    let body = response.into_body().collect().await.unwrap().to_bytes();
    assert!(body.ends_with(b"data: [DONE]\n\n"));
    tokio::time::timeout(Duration::from_secs(5), stopped)
        .await
        .unwrap()
        .unwrap();
}

#[tokio::test]
async fn a_stop_cuts_off_what_outlasts_the_grace_period() {
    let sim = Sim::start(SimConfig {
        grace_ms: 50,
        ..SimConfig::default()
    })
    .unwrap();
    let headers = [("x-sim-fault", "hang;after=1")];
    let body = chat(json!({"stream": true})).to_string();
    let response = open(&sim, http::Method::POST, CHAT, &headers, body).await.unwrap();
    tokio::time::timeout(Duration::from_secs(5), sim.stop()).await.unwrap();
    assert!(response.into_body().collect().await.is_err());
}

#[tokio::test]
async fn a_missing_key_file_is_an_error_that_names_it() {
    let config = SimConfig {
        api_key_file: Some("/nonexistent/keys".into()),
        ..SimConfig::default()
    };
    let error = Sim::start(config).unwrap_err();
    assert!(matches!(error, StartError::KeyFile { .. }));
    assert_eq!(error.to_string(), "cannot read the key file /nonexistent/keys");
}

#[tokio::test]
async fn a_port_on_which_another_one_listens_is_refused() {
    let first = start(|_| ());
    let config = SimConfig {
        listen: first.addr(),
        ..SimConfig::default()
    };
    assert!(matches!(Sim::start(config), Err(StartError::Listen { .. })));
    assert_eq!(post(&first, CHAT, &[], chat(json!({}))).await.status, 200);
}

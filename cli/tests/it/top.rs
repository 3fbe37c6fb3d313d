//! Live signals of a gateway that is asked on its admin port.

use std::convert::Infallible;
use std::process::Stdio;

use axum::body::{Body, Bytes};
use axum::response::{IntoResponse as _, Response};
use axum::routing::get;
use futures::StreamExt as _;
use http::StatusCode;
use serde_json::{Value, json};
use tokio::io::{AsyncBufReadExt as _, BufReader};

use super::support::{DEADLINE, command, interrupt, run};

fn frame(seq: u64, full: bool, scope: &Value, waiting: u64) -> Bytes {
    let rates = json!({"s1": 0.0, "s10": 2.5, "s60": 0.0});
    let values = json!({
        "queueDepth": waiting, "inFlight": 3, "tokenRate": rates, "requestRate": rates, "queueWait": {}, "ttft": {"700": 9},
    });
    let frame = json!({"seq": seq, "measuredUnixMs": 0, "generation": 1, "full": full, "scopes": [[scope, values]]});
    Bytes::from(format!("{frame}\n"))
}

/// A full frame, and then silence, as for a reader that is gone before the next one.
async fn signals() -> Response {
    let first = frame(0, true, &json!({"kind": "route", "name": "chat"}), 1);
    // Lines are cut anywhere on their way.
    let halves = [first.slice(..20), first.slice(20..)].map(Ok::<_, Infallible>);
    Body::from_stream(futures::stream::iter(halves).chain(futures::stream::pending())).into_response()
}

async fn serve(router: axum::Router) -> String {
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    tokio::spawn(async move { axum::serve(listener, router).await });
    url
}

#[tokio::test]
async fn one_picture_of_a_gateway_without_a_cluster() {
    let url = serve(axum::Router::new().route("/signals/v1/stream", get(signals))).await;
    let ran = run(&["top", "--once", "--url", &url, "-o", "json"]).await;
    assert_eq!((ran.code, ran.err.as_str()), (0, ""));
    let row = &ran.json()["rows"][0];
    assert_eq!(
        (row["route"].as_str(), row["requestsPerSecond"].as_f64()),
        (Some("chat"), Some(2.5)),
        "{row}"
    );
    assert_eq!(
        (
            row["queueDepth"].as_u64(),
            row["inFlight"].as_u64(),
            row["pods"].as_u64()
        ),
        (Some(1), Some(3), Some(1))
    );
    assert_eq!(row["ttftP50Ms"], row["ttftP95Ms"], "all values lie in one bucket");
    let table = run(&["top", "--once", "--url", &url]).await;
    assert!(
        table.out.starts_with("GATEWAY ") && table.out.lines().count() == 2,
        "{}",
        table.out
    );
}

#[tokio::test]
async fn a_gateway_that_refuses_is_told() {
    let full = async || StatusCode::SERVICE_UNAVAILABLE;
    let url = serve(axum::Router::new().route("/signals/v1/stream", get(full))).await;
    let ran = run(&["top", "--once", "--url", &url]).await;
    assert_eq!(ran.code, 1, "{ran:?}");
    assert!(ran.err.contains("the admin port answered 503"), "{}", ran.err);
}

#[tokio::test]
async fn it_ends_when_nobody_reads_any_more() {
    let url = serve(axum::Router::new().route("/signals/v1/stream", get(signals))).await;
    let mut command = command(&["top", "--url", &url]);
    let mut child = command.stdout(Stdio::piped()).stderr(Stdio::null()).spawn().unwrap();
    drop(child.stdout.take());
    let ended = tokio::time::timeout(DEADLINE, child.wait()).await.expect("it ends");
    assert_eq!(ended.unwrap().code(), Some(0));
}

#[tokio::test]
async fn without_a_value_of_any_pod_it_ends_and_says_why() {
    let full = async || StatusCode::SERVICE_UNAVAILABLE;
    let url = serve(axum::Router::new().route("/signals/v1/stream", get(full))).await;
    let ran = run(&["top", "--url", &url]).await;
    assert_eq!((ran.code, ran.out.as_str()), (1, ""), "{ran:?}");
    assert!(ran.err.contains("the admin port answered 503"), "{}", ran.err);
}

#[tokio::test]
async fn each_picture_is_one_line_or_one_document_and_ctrl_c_ends_it() {
    let url = serve(axum::Router::new().route("/signals/v1/stream", get(signals))).await;
    for form in ["json", "yaml"] {
        let mut command = command(&["top", "--url", &url, "-o", form]);
        let mut child = command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
        let mut lines = BufReader::new(child.stdout.take().unwrap()).lines();
        let reading = async {
            if form == "json" {
                for _ in 0..2 {
                    let line = lines.next_line().await.unwrap().unwrap();
                    let picture: Value = serde_json::from_str(&line).unwrap();
                    assert!(picture["rows"].is_array(), "{line}");
                }
                return;
            }
            let mut documents = 0;
            while documents < 2 {
                let line = lines.next_line().await.unwrap().unwrap();
                documents += u8::from(line == "---");
            }
        };
        tokio::time::timeout(DEADLINE, reading).await.expect("pictures come");
        // The stream is silent by now or soon: without a terminal that is told beside the answer.
        let mut told = BufReader::new(child.stderr.take().unwrap()).lines();
        let line = tokio::time::timeout(DEADLINE, told.next_line())
            .await
            .expect("it is told");
        let line = line.unwrap().unwrap();
        assert!(line.contains("no signals for 2 s"), "{line}");
        interrupt(&child);
        let ended = tokio::time::timeout(DEADLINE, child.wait()).await.expect("it ends");
        assert_eq!(ended.unwrap().code(), Some(130));
    }
}

//! A plain client.

use std::time::Duration;

use bytes::Bytes;
use http::{HeaderMap, Request, StatusCode};
use http_body_util::{BodyExt as _, Full};
use hyper::body::Incoming;
use hyper_util::client::legacy::Client;
use hyper_util::rt::TokioExecutor;
use serde_json::Value;

/// How long anything in these tests may take.
pub const DEADLINE: Duration = Duration::from_secs(30);

/// A whole answer.
#[derive(Debug)]
pub struct Answer {
    pub status: StatusCode,
    pub headers: HeaderMap,
    pub body: String,
}

impl Answer {
    pub fn json(&self) -> Value {
        serde_json::from_str(&self.body).unwrap_or_else(|error| panic!("{error}: {}", self.body))
    }
}

/// Sends a request and gives the answer with its body still to come.
pub async fn send(
    request: Request<Full<Bytes>>,
) -> Result<http::Response<Incoming>, hyper_util::client::legacy::Error> {
    Client::builder(TokioExecutor::new())
        .build_http()
        .request(request)
        .await
}

pub async fn exchange(request: Request<Full<Bytes>>) -> Option<Answer> {
    let response = send(request).await.ok()?;
    let (head, body) = response.into_parts();
    let body = body.collect().await.ok()?.to_bytes();
    Some(Answer {
        status: head.status,
        headers: head.headers,
        body: String::from_utf8_lossy(&body).into_owned(),
    })
}

pub async fn get(url: &str) -> Answer {
    exchange(Request::get(url).body(Full::default()).unwrap())
        .await
        .unwrap()
}

pub async fn get_with_token(url: &str, token: &str) -> Answer {
    let request = Request::get(url).header("authorization", format!("Bearer {token}"));
    exchange(request.body(Full::default()).unwrap()).await.unwrap()
}

/// A chat request.
pub fn chat(base: &str, key: &str, stream: bool) -> Request<Full<Bytes>> {
    let body = serde_json::json!({
        "model": "assistant", "stream": stream, "messages": [{"role": "user", "content": "Hello"}],
    });
    Request::post(format!("{base}/v1/chat/completions"))
        .header("authorization", format!("Bearer {key}"))
        .header("content-type", "application/json")
        .body(Full::from(body.to_string()))
        .unwrap()
}

/// Asks again and again until the answer is the one that is waited for.
pub async fn wait_for<T, F: Future<Output = Option<T>>>(what: &str, mut probe: impl FnMut() -> F) -> T {
    let deadline = tokio::time::Instant::now() + DEADLINE;
    loop {
        if let Some(found) = probe().await {
            return found;
        }
        assert!(tokio::time::Instant::now() < deadline, "waited in vain for {what}");
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
}

//! A small HTTP client for tests.

use std::time::{Duration, Instant};

use bytes::Bytes;
use http::{HeaderMap, Method, Request, Response, StatusCode};
use http_body_util::{BodyExt, Full};
use hyper::body::Incoming;
use hyper_util::client::legacy::Client;
use hyper_util::client::legacy::connect::HttpConnector;
use hyper_util::rt::TokioExecutor;
use serde_json::{Value, json};
use tokenweir_llm::sse::{Event, Parser};
use tokenweir_sim::{Behaviour, Sim, SimConfig, SimHandle};

pub type Headers<'a> = &'a [(&'a str, &'a str)];

/// A simulator with a fixed `created`, so that answers are the same bytes.
pub fn start(change: impl FnOnce(&mut Behaviour)) -> SimHandle {
    let mut config = SimConfig::default();
    config.behaviour.created = Some(1_700_000_000);
    change(&mut config.behaviour);
    Sim::start(config).unwrap()
}

pub fn client() -> Client<HttpConnector, Full<Bytes>> {
    Client::builder(TokioExecutor::new()).build_http()
}

pub struct Reply {
    pub status: StatusCode,
    pub headers: HeaderMap,
    pub body: Bytes,
}

impl Reply {
    pub fn json(&self) -> Value {
        serde_json::from_slice(&self.body).unwrap()
    }

    pub fn events(&self) -> Vec<Event> {
        let mut parser = Parser::new(1 << 20);
        parser.push(self.body.clone());
        let events = std::iter::from_fn(|| parser.next_event().unwrap()).collect();
        assert_eq!(parser.finish(), None, "the stream ends within an event");
        events
    }

    /// The JSON of all events but `[DONE]`.
    pub fn chunks(&self) -> Vec<Value> {
        let events = self.events();
        let data = events.iter().filter_map(|event| event.data());
        data.filter(|data| data[..] != *b"[DONE]")
            .map(|data| serde_json::from_slice(data).unwrap())
            .collect()
    }
}

pub async fn open(
    sim: &SimHandle,
    method: Method,
    path: &str,
    headers: Headers<'_>,
    body: impl Into<Bytes>,
) -> Result<Response<Incoming>, hyper_util::client::legacy::Error> {
    let mut request = Request::builder().method(method).uri(format!("{}{path}", sim.url()));
    for (name, value) in headers {
        request = request.header(*name, *value);
    }
    client().request(request.body(Full::new(body.into())).unwrap()).await
}

pub async fn send(sim: &SimHandle, method: Method, path: &str, headers: Headers<'_>, body: impl Into<Bytes>) -> Reply {
    let response = open(sim, method, path, headers, body).await.unwrap();
    let (parts, body) = response.into_parts();
    Reply {
        status: parts.status,
        headers: parts.headers,
        body: body.collect().await.unwrap().to_bytes(),
    }
}

pub async fn post(sim: &SimHandle, path: &str, headers: Headers<'_>, body: Value) -> Reply {
    send(sim, Method::POST, path, headers, body.to_string()).await
}

/// A chat request with further fields.
pub fn chat(more: Value) -> Value {
    let mut body = json!({"model": "m", "messages": [{"role": "user", "content": "hello world"}]});
    let Value::Object(more) = more else {
        panic!("more fields come as an object, not as {more}")
    };
    for (key, value) in more {
        body[key] = value;
    }
    body
}

pub const CHAT: &str = "/v1/chat/completions";

/// Waits until a condition holds, for at most ten seconds.
pub async fn eventually(what: &str, mut holds: impl AsyncFnMut() -> bool) {
    let deadline = Instant::now() + Duration::from_secs(10);
    while !holds().await {
        assert!(Instant::now() < deadline, "never happened: {what}");
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
}

/// The I/O error at the root of an error.
pub fn io_kind(error: &(dyn std::error::Error + 'static)) -> Option<std::io::ErrorKind> {
    let mut next = Some(error);
    while let Some(error) = next {
        if let Some(io) = error.downcast_ref::<std::io::Error>() {
            return Some(io.kind());
        }
        next = error.source();
    }
    None
}

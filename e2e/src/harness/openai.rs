//! An OpenAI client that judges answers as strictly as a demanding user: a stream that ends without `[DONE]` is broken.
//!
//! It reads server-sent events on its own and not with the gateway's parser, so that a fault of that parser cannot hide.

use std::time::{Duration, Instant};

use bytes::Bytes;
use http_body_util::{BodyExt, Full};
use hyper::body::Incoming;
use hyper_util::client::legacy::Client;
use hyper_util::client::legacy::connect::HttpConnector;
use hyper_util::rt::TokioExecutor;
use serde_json::{Value, json};

/// How connections are used.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Connections {
    /// Kept and used again, as SDKs do.
    KeepAlive,
    /// A new one for each request, so that a Service spreads requests over its pods.
    PerRequest,
}

/// A chat to ask for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Chat {
    /// The model's name, as the route has it.
    pub model: String,
    /// What the user says.
    pub prompt: String,
    /// The most tokens to answer with.
    pub max_tokens: u32,
    /// Longest time from the request to the last byte.
    pub limit: Duration,
}

impl Chat {
    /// A chat with a short prompt.
    pub fn new(model: &str, max_tokens: u32) -> Self {
        Self {
            model: model.to_owned(),
            prompt: "Say something about rivers and weirs.".to_owned(),
            max_tokens,
            limit: Duration::from_mins(2),
        }
    }
}

/// A whole answer.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Completion {
    /// What the model said.
    pub text: String,
    /// Stream events that carried text.
    pub chunks: u64,
    /// Prompt tokens by the provider's count.
    pub prompt_tokens: u64,
    /// Completion tokens by the provider's count.
    pub completion_tokens: u64,
    /// From the request to the first text.
    pub first_token: Duration,
    /// From the request to the last byte.
    pub total: Duration,
    /// The gateway's `x-request-id`.
    pub request_id: String,
}

/// Why there is no whole answer.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Failure {
    /// No connection, or it broke before the answer's head.
    #[error("no answer: {0}")]
    Unanswered(String),
    /// An answer other than 200.
    #[error("refused with {status}: {body}")]
    Refused {
        /// The status code.
        status: u16,
        /// `retry-after` in seconds, where given.
        retry_after: Option<u64>,
        /// The start of the body.
        body: String,
    },
    /// The stream carried an error event.
    #[error("error event after {chunks} chunks: {event}")]
    ErrorEvent {
        /// Text chunks before it.
        chunks: u64,
        /// The event's data.
        event: String,
    },
    /// The stream ended without `[DONE]`, or was not what OpenAI sends.
    #[error("broken after {chunks} chunks: {reason}")]
    Broken {
        /// Text chunks before it.
        chunks: u64,
        /// What happened.
        reason: String,
    },
    /// It took longer than the chat's limit.
    #[error("not over in time")]
    TooLate,
}

/// Speaks to one base URL with one API key. Cheap to clone; clones share connections.
#[derive(Debug, Clone)]
pub struct OpenAi {
    http: Client<HttpConnector, Full<Bytes>>,
    base: String,
    key: String,
}

impl OpenAi {
    /// A client for `base` (`http://HOST:PORT`).
    pub fn new(base: impl Into<String>, key: impl Into<String>, connections: Connections) -> Self {
        let mut connector = HttpConnector::new();
        connector.set_nodelay(true);
        connector.set_connect_timeout(Some(Duration::from_secs(5)));
        let mut builder = Client::builder(TokioExecutor::new());
        if connections == Connections::PerRequest {
            builder.pool_max_idle_per_host(0);
        }
        Self {
            http: builder.build(connector),
            base: base.into(),
            key: key.into(),
        }
    }

    /// Streams a chat; `seen` gets every piece of text as it comes.
    pub async fn stream(&self, chat: &Chat, mut seen: impl FnMut(&str)) -> Result<Completion, Failure> {
        let body = json!({
            "model": chat.model,
            "messages": [{"role": "user", "content": chat.prompt}],
            "max_tokens": chat.max_tokens,
            "stream": true,
            "stream_options": {"include_usage": true},
        });
        let started = Instant::now();
        let work = async {
            let answer = self.send("POST", "/v1/chat/completions", Some(&body)).await?;
            read_stream(answer, started, &mut seen).await
        };
        tokio::time::timeout(chat.limit, work)
            .await
            .unwrap_or(Err(Failure::TooLate))
    }

    /// Asks for a chat in one piece.
    pub async fn complete(&self, chat: &Chat) -> Result<Completion, Failure> {
        let body = json!({
            "model": chat.model,
            "messages": [{"role": "user", "content": chat.prompt}],
            "max_tokens": chat.max_tokens,
        });
        let started = Instant::now();
        let work = async {
            let answer = self.send("POST", "/v1/chat/completions", Some(&body)).await?;
            let request_id = request_id(&answer);
            let broken = |reason: String| Failure::Broken { chunks: 0, reason };
            let bytes = answer
                .into_body()
                .collect()
                .await
                .map_err(|e| broken(e.to_string()))?
                .to_bytes();
            let total = started.elapsed();
            let value: Value = serde_json::from_slice(&bytes).map_err(|e| broken(e.to_string()))?;
            let text = value.pointer("/choices/0/message/content").and_then(Value::as_str);
            let mut completion = Completion {
                text: text.ok_or_else(|| broken(format!("no content in {value}")))?.to_owned(),
                first_token: total,
                total,
                request_id,
                ..Completion::default()
            };
            completion.take_usage(&value);
            Ok(completion)
        };
        tokio::time::timeout(chat.limit, work)
            .await
            .unwrap_or(Err(Failure::TooLate))
    }

    /// Sends any request and returns the JSON of a 200.
    pub async fn call(&self, method: &str, path: &str, body: Option<&Value>) -> Result<Value, Failure> {
        let work = async {
            let answer = self.send(method, path, body).await?;
            let broken = |reason: String| Failure::Broken { chunks: 0, reason };
            let bytes = answer
                .into_body()
                .collect()
                .await
                .map_err(|e| broken(e.to_string()))?
                .to_bytes();
            serde_json::from_slice(&bytes).map_err(|e| broken(e.to_string()))
        };
        tokio::time::timeout(Duration::from_secs(30), work)
            .await
            .unwrap_or(Err(Failure::TooLate))
    }

    async fn send(&self, method: &str, path: &str, body: Option<&Value>) -> Result<http::Response<Incoming>, Failure> {
        let bytes = body.map_or_else(Bytes::new, |body| Bytes::from(body.to_string()));
        let request = http::Request::builder()
            .method(method)
            .uri(format!("{}{path}", self.base))
            .header("content-type", "application/json")
            .header("authorization", format!("Bearer {}", self.key))
            .body(Full::new(bytes))
            .map_err(|e| Failure::Unanswered(e.to_string()))?;
        let answer = self
            .http
            .request(request)
            .await
            .map_err(|e| Failure::Unanswered(causes(&e)))?;
        if answer.status() == http::StatusCode::OK {
            return Ok(answer);
        }
        let status = answer.status().as_u16();
        let header = answer
            .headers()
            .get("retry-after")
            .and_then(|value| value.to_str().ok());
        let retry_after = header.and_then(|value| value.parse().ok());
        let body = answer
            .into_body()
            .collect()
            .await
            .map(http_body_util::Collected::to_bytes)
            .unwrap_or_default();
        let body = String::from_utf8_lossy(&body).chars().take(500).collect();
        Err(Failure::Refused {
            status,
            retry_after,
            body,
        })
    }
}

impl Completion {
    fn take_usage(&mut self, value: &Value) {
        let count = |field: &str| value.pointer(field).and_then(Value::as_u64);
        if let Some(tokens) = count("/usage/prompt_tokens") {
            self.prompt_tokens = tokens;
        }
        if let Some(tokens) = count("/usage/completion_tokens") {
            self.completion_tokens = tokens;
        }
    }
}

async fn read_stream(
    answer: http::Response<Incoming>,
    started: Instant,
    seen: &mut impl FnMut(&str),
) -> Result<Completion, Failure> {
    let mut completion = Completion {
        request_id: request_id(&answer),
        ..Completion::default()
    };
    let mut body = answer.into_body();
    let mut events = Events::default();
    let mut done = false;
    while let Some(frame) = body.frame().await {
        let broken = |chunks, reason: String| Failure::Broken { chunks, reason };
        let frame = frame.map_err(|e| broken(completion.chunks, causes(&e)))?;
        let Ok(data) = frame.into_data() else { continue };
        for event in events.push(&data) {
            if done {
                return Err(broken(completion.chunks, format!("an event after [DONE]: {event}")));
            }
            if event == "[DONE]" {
                done = true;
                continue;
            }
            let value: Value = serde_json::from_str(&event)
                .map_err(|e| broken(completion.chunks, format!("{e} in the event {event}")))?;
            if value.get("error").is_some_and(|error| !error.is_null()) {
                return Err(Failure::ErrorEvent {
                    chunks: completion.chunks,
                    event,
                });
            }
            let text = value
                .pointer("/choices/0/delta/content")
                .and_then(Value::as_str)
                .unwrap_or_default();
            if !text.is_empty() {
                if completion.chunks == 0 {
                    completion.first_token = started.elapsed();
                }
                completion.chunks += 1;
                completion.text.push_str(text);
                seen(text);
            }
            completion.take_usage(&value);
        }
    }
    completion.total = started.elapsed();
    if done {
        Ok(completion)
    } else {
        Err(Failure::Broken {
            chunks: completion.chunks,
            reason: "it ended without [DONE]".to_owned(),
        })
    }
}

fn request_id(answer: &http::Response<Incoming>) -> String {
    let header = answer
        .headers()
        .get("x-request-id")
        .and_then(|value| value.to_str().ok());
    header.unwrap_or_default().to_owned()
}

fn causes(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut source = error.source();
    while let Some(cause) = source {
        text = format!("{text}: {cause}");
        source = cause.source();
    }
    text
}

/// The data of server-sent events, as whole lines come in.
#[derive(Debug, Default)]
struct Events {
    rest: Vec<u8>,
    data: Vec<String>,
}

impl Events {
    fn push(&mut self, bytes: &[u8]) -> Vec<String> {
        self.rest.extend_from_slice(bytes);
        let mut events = Vec::new();
        while let Some(end) = self.rest.iter().position(|byte| *byte == b'\n') {
            let line: Vec<u8> = self.rest.drain(..=end).collect();
            let line = String::from_utf8_lossy(&line);
            let line = line.trim_end_matches(['\r', '\n']);
            if line.is_empty() {
                if !self.data.is_empty() {
                    events.push(std::mem::take(&mut self.data).join("\n"));
                }
            } else if let Some(data) = line.strip_prefix("data:") {
                self.data.push(data.strip_prefix(' ').unwrap_or(data).to_owned());
            }
        }
        events
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn events_are_the_same_for_every_split() {
        let text = ": hello\r\ndata: {\"a\":\"ö\"}\r\n\r\ndata: x\ndata: y\n\ndata: [DONE]\n\n";
        for cut in 0..text.len() {
            let mut events = Events::default();
            let mut seen = events.push(&text.as_bytes()[..cut]);
            seen.extend(events.push(&text.as_bytes()[cut..]));
            assert_eq!(seen, ["{\"a\":\"ö\"}", "x\ny", "[DONE]"], "cut at {cut}");
        }
    }
}

//! One connection of the load generator.

use std::net::SocketAddr;
use std::time::Instant;

use bytes::Bytes;
use http::header::{CONTENT_TYPE, HOST};
use http::{HeaderMap, HeaderName, HeaderValue, Request};
use http_body_util::{BodyExt, Full};
use hyper::client::conn::http1::SendRequest;
use hyper_util::rt::TokioIo;
use tokio::net::TcpStream;

use crate::error::BenchError;

/// What a request is.
#[derive(Debug, Clone)]
pub struct Shape {
    path: &'static str,
    body: Bytes,
    stream: bool,
    headers: HeaderMap,
}

impl Shape {
    /// A chat completion whose body has `size` bytes, as nearly as its fields allow, and whose answer has `tokens` tokens:
    /// the simulator keeps to `max_tokens` exactly when it is told to ignore the end, as vLLM does.
    pub fn chat(model: &str, size: usize, stream: bool, tokens: u64) -> Self {
        let body = |text: &str| {
            serde_json::json!({
                "model": model, "stream": stream, "max_tokens": tokens, "ignore_eos": true,
                "messages": [{"role": "user", "content": text}],
            })
            .to_string()
        };
        let filler = size.saturating_sub(body("").len());
        let text: String = "tell me about rivers and weirs ".chars().cycle().take(filler).collect();
        Self {
            path: "/v1/chat/completions",
            body: body(&text).into(),
            stream,
            headers: HeaderMap::new(),
        }
    }

    /// The same with an API key.
    #[must_use]
    pub fn with_key(self, key: Option<&str>) -> Self {
        match key {
            Some(key) => self.with_header("authorization", &format!("Bearer {key}")),
            None => self,
        }
    }

    /// The same with a header. One that is not a header is left out; the server will say what it lacks.
    #[must_use]
    pub fn with_header(mut self, name: &str, value: &str) -> Self {
        if let (Ok(name), Ok(value)) = (name.parse::<HeaderName>(), HeaderValue::from_str(value)) {
            self.headers.insert(name, value);
        }
        self
    }

    /// Bytes of the body.
    pub const fn size(&self) -> usize {
        self.body.len()
    }
}

/// When an answer came, and how large it was.
#[derive(Debug, Clone, Copy)]
pub struct Answer {
    /// The first byte of the body.
    pub first: Instant,
    /// The last byte.
    pub done: Instant,
    /// Bytes of the body.
    pub bytes: usize,
}

/// A keep-alive connection.
pub struct Connection {
    sender: SendRequest<Full<Bytes>>,
    host: HeaderValue,
}

impl Connection {
    /// Connects.
    pub async fn open(target: SocketAddr) -> Result<Self, BenchError> {
        let stream = TcpStream::connect(target).await?;
        stream.set_nodelay(true)?;
        let (sender, connection) = hyper::client::conn::http1::handshake(TokioIo::new(stream))
            .await
            .map_err(std::io::Error::other)?;
        tokio::spawn(async move {
            if let Err(error) = connection.await {
                tracing::debug!(%error, "a connection broke off");
            }
        });
        let host = HeaderValue::from_str(&target.to_string()).map_err(std::io::Error::other)?;
        Ok(Self { sender, host })
    }

    /// Sends a request and reads its answer to the end. An answer that is not 200, or a stream without its end, is an
    /// error: a server that refuses fast must not look fast.
    pub async fn request(&mut self, shape: &Shape) -> Result<Answer, BenchError> {
        let (answer, _) = self.request_keeping_head(shape, 0).await?;
        Ok(answer)
    }

    /// The same, and the first bytes of the body.
    pub async fn request_keeping_head(&mut self, shape: &Shape, keep: usize) -> Result<(Answer, Vec<u8>), BenchError> {
        let failed = |first: String| BenchError::Failed {
            failed: 1,
            all: 1,
            first,
        };
        self.sender.ready().await.map_err(|error| failed(error.to_string()))?;
        let mut request = Request::post(shape.path)
            .body(Full::new(shape.body.clone()))
            .map_err(std::io::Error::other)?;
        *request.headers_mut() = shape.headers.clone();
        request.headers_mut().insert(HOST, self.host.clone());
        request
            .headers_mut()
            .insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
        let response = self
            .sender
            .send_request(request)
            .await
            .map_err(|error| failed(error.to_string()))?;
        let status = response.status();
        let mut body = response.into_body();
        let (mut first, mut bytes, mut last, mut kept) = (None, 0, Bytes::new(), Vec::new());
        while let Some(frame) = body.frame().await {
            let frame = frame.map_err(|error| failed(error.to_string()))?;
            if let Ok(data) = frame.into_data() {
                first.get_or_insert_with(Instant::now);
                bytes += data.len();
                if kept.len() < keep {
                    kept.extend_from_slice(&data[..data.len().min(keep - kept.len())]);
                }
                last = data;
            }
        }
        let done = Instant::now();
        if status != 200 {
            let text = String::from_utf8_lossy(&last).into_owned();
            return Err(failed(format!("status {status}: {text}")));
        }
        if shape.stream && !last.ends_with(b"data: [DONE]\n\n") {
            return Err(failed("the stream ended without [DONE]".into()));
        }
        let answer = Answer {
            first: first.unwrap_or(done),
            done,
            bytes,
        };
        Ok((answer, kept))
    }
}

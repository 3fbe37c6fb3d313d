//! One connection of the load generator.

use std::net::SocketAddr;
use std::time::Instant;

use bytes::Bytes;
use http::header::{AUTHORIZATION, CONTENT_TYPE, HOST};
use http::{HeaderValue, Request};
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
    authorization: Option<HeaderValue>,
}

impl Shape {
    /// A chat completion whose body has `size` bytes, as nearly as its fields allow.
    pub fn chat(model: &str, key: Option<&str>, size: usize, stream: bool) -> Self {
        let body = |text: &str| {
            serde_json::json!({"model": model, "stream": stream, "messages": [{"role": "user", "content": text}]})
                .to_string()
        };
        let filler = size.saturating_sub(body("").len());
        let text: String = "tell me about rivers and weirs ".chars().cycle().take(filler).collect();
        Self {
            path: "/v1/chat/completions",
            body: body(&text).into(),
            stream,
            authorization: key.and_then(|key| HeaderValue::from_str(&format!("Bearer {key}")).ok()),
        }
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
            .header(HOST, self.host.clone())
            .header(CONTENT_TYPE, HeaderValue::from_static("application/json"));
        if let Some(authorization) = &shape.authorization {
            request = request.header(AUTHORIZATION, authorization.clone());
        }
        let request = request
            .body(Full::new(shape.body.clone()))
            .map_err(std::io::Error::other)?;
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

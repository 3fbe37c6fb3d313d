//! The smallest upstream that answers chat completions: it reads a request to its end and writes bytes that were made
//! before.
//!
//! The simulator of `tokenweir-sim` plays a provider with all that belongs to it, and costs more for each request than a
//! bare proxy does. Where it shares a core with the load generator, that core is the limit, and a measurement of proxies
//! would measure the simulator.

use std::convert::Infallible;
use std::net::SocketAddr;
use std::pin::Pin;
use std::task::{Context, Poll};

use bytes::Bytes;
use http::header::CONTENT_TYPE;
use http::{HeaderValue, Request, Response};
use http_body_util::BodyExt as _;
use hyper::body::{Body, Frame, Incoming, SizeHint};
use hyper::service::service_fn;
use hyper_util::rt::TokioIo;
use tokio::net::TcpListener;

/// What a request for a stream has in it, as the load generator writes it and as both targets pass it on.
const WANTS_STREAM: &[u8] = br#""stream":true"#;
/// It is looked for in pieces of a body up to this size: requests for streams are small here, and come in one piece.
const SEARCHED: usize = 16 * 1024;

/// The answers, made once and shared.
#[derive(Debug, Clone)]
struct Answers {
    whole: Bytes,
    /// The first event, those in the middle, and the last ones with usage and the end.
    first: Bytes,
    middle: Bytes,
    last: Bytes,
    chunks: u64,
}

impl Answers {
    fn new(tokens: u64, chunks: u64) -> Self {
        let words = "water ".repeat(usize::try_from(tokens).unwrap_or(usize::MAX).min(100_000));
        let whole = serde_json::json!({
            "id": "chatcmpl-0123456789abcdef", "object": "chat.completion", "created": 1_700_000_000, "model": "sim",
            "choices": [{
                "index": 0, "finish_reason": "length", "logprobs": null,
                "message": {"role": "assistant", "content": words.trim_end(), "refusal": null},
            }],
            "usage": {"prompt_tokens": 40, "completion_tokens": tokens, "total_tokens": 40 + tokens},
        });
        let chunk = |choices: serde_json::Value, usage: serde_json::Value| {
            let chunk = serde_json::json!({
                "id": "chatcmpl-0123456789abcdef", "object": "chat.completion.chunk", "created": 1_700_000_000,
                "model": "sim", "choices": choices, "usage": usage,
            });
            format!("data: {chunk}\n\n")
        };
        let delta = |delta: serde_json::Value, finish: Option<&str>| {
            let choice = serde_json::json!([{"index": 0, "delta": delta, "logprobs": null, "finish_reason": finish}]);
            chunk(choice, serde_json::Value::Null)
        };
        let usage = serde_json::json!({"prompt_tokens": 40, "completion_tokens": chunks, "total_tokens": 40 + chunks});
        let last = [
            delta(serde_json::json!({}), Some("length")),
            chunk(serde_json::json!([]), usage),
            "data: [DONE]\n\n".to_owned(),
        ];
        Self {
            whole: whole.to_string().into(),
            first: delta(serde_json::json!({"role": "assistant", "content": "water"}), None).into(),
            middle: delta(serde_json::json!({"content": " water"}), None).into(),
            last: last.concat().into(),
            chunks,
        }
    }
}

/// Serves until the process ends. Answers have `tokens` tokens, streams `chunks` events with one each.
pub async fn run(listen: SocketAddr, tokens: u64, chunks: u64) -> std::io::Result<()> {
    let listener = TcpListener::bind(listen).await?;
    let answers = Answers::new(tokens, chunks);
    loop {
        let (stream, _) = listener.accept().await?;
        stream.set_nodelay(true)?;
        let answers = answers.clone();
        tokio::spawn(async move {
            let service = service_fn(move |request| answer(answers.clone(), request));
            let served = hyper::server::conn::http1::Builder::new()
                .header_read_timeout(None)
                .serve_connection(TokioIo::new(stream), service)
                .await;
            if let Err(error) = served {
                tracing::debug!(%error, "a connection broke off");
            }
        });
    }
}

async fn answer(answers: Answers, request: Request<Incoming>) -> Result<Response<Prepared>, Infallible> {
    let mut body = request.into_body();
    let mut stream = false;
    while let Some(Ok(frame)) = body.frame().await {
        let small = frame.data_ref().filter(|data| data.len() <= SEARCHED);
        stream |= small.is_some_and(|data| memchr::memmem::find(data, WANTS_STREAM).is_some());
    }
    let (kind, left) = if stream {
        ("text/event-stream", answers.chunks + 1)
    } else {
        ("application/json", 1)
    };
    let mut response = Response::new(Prepared {
        answers,
        stream,
        left,
        rests: false,
    });
    response
        .headers_mut()
        .insert(CONTENT_TYPE, HeaderValue::from_static(kind));
    Ok(response)
}

/// A body that is made of prepared pieces.
struct Prepared {
    answers: Answers,
    stream: bool,
    /// Pieces to come.
    left: u64,
    /// The connection is to write what it has before it asks for more, so that each event goes by itself.
    rests: bool,
}

impl Body for Prepared {
    type Data = Bytes;
    type Error = Infallible;

    fn poll_frame(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, Infallible>>> {
        if self.left == 0 {
            return Poll::Ready(None);
        }
        if std::mem::take(&mut self.rests) {
            cx.waker().wake_by_ref();
            return Poll::Pending;
        }
        let answers = &self.answers;
        let piece = match (self.stream, self.left) {
            (false, _) => &answers.whole,
            (true, 1) => &answers.last,
            (true, left) if left > answers.chunks => &answers.first,
            (true, _) => &answers.middle,
        }
        .clone();
        self.left -= 1;
        self.rests = true;
        Poll::Ready(Some(Ok(Frame::data(piece))))
    }

    fn is_end_stream(&self) -> bool {
        self.left == 0
    }

    fn size_hint(&self) -> SizeHint {
        if self.stream {
            SizeHint::default()
        } else {
            SizeHint::with_exact(if self.left == 0 {
                0
            } else {
                self.answers.whole.len() as u64
            })
        }
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;
    use crate::load::{Connection, Shape};
    use crate::process::{free_addresses, wait_for_port};

    #[tokio::test]
    async fn answers_and_streams_are_those_that_were_asked_for() {
        let [listen] = free_addresses().unwrap();
        tokio::spawn(run(listen, 16, 100));
        wait_for_port(listen, Duration::from_secs(10)).await.unwrap();
        let mut connection = Connection::open(listen).await.unwrap();
        let whole = Shape::chat("m", 256, false, 16);
        let (answer, body) = connection.request_keeping_head(&whole, 10_000).await.unwrap();
        assert_eq!(answer.bytes, body.len());
        let body: serde_json::Value = serde_json::from_slice(&body).unwrap();
        assert_eq!(body["usage"]["completion_tokens"], 16);
        let stream = Shape::chat("m", 256, true, 100);
        let (_, events) = connection.request_keeping_head(&stream, 100_000).await.unwrap();
        let events = String::from_utf8(events).unwrap();
        assert_eq!(events.matches(r#""content":"#).count(), 100);
        assert_eq!(events.matches("data: ").count(), 103);
    }
}
